"""C for assignments in a row that one nest of loops computes.

    static int arrayexpr_NAME(char **data, const ptrdiff_t *geometry)

`data` holds the first element of each array, targets first, then the address of each number; `geometry` the lengths
and steps of each array. Returns 1 where it has run; 0 where the statements have to run one by one, as arrays share
memory or do not fit; -1 with a Python exception set. It needs no GIL.
"""

from __future__ import annotations

from collections.abc import Sequence

from arrayexpr._core.nodes import Node, Operand

from .kernels import Kernel, versions, walked


def fused(
    stores: Sequence[tuple[Operand, Node]], arrays: Sequence[Operand], numbers: Sequence[Operand], *, fast: bool = False
) -> Kernel:
    """The kernel of assignments to targets of one rank; arrays may have fewer axes.

    No value reads a target other than its own. `fast` is for functions of C within 4 ulp.
    """
    targets = [target for target, _ in stores]
    made = versions(stores, arrays, numbers, min(targets[0].type.rank, 2), fast=fast)
    return walked(made, _FUSED, targets, arrays, numbers)


_FUSED = """\
static int NAME(char **data, const ptrdiff_t *geometry) {
    enum { RANK = $RANK$, INNER = $INNER$, COUNT = $COUNT$, NUMBERS = $NUMBERS$, TARGETS = $TARGETS$, DONE = 1 };
    static const int ranks[COUNT] = {$RANKS$}, sizes[COUNT] = {$SIZES$};
    ptrdiff_t shape[RANK], steps[COUNT * RANK], at[RANK];
    arrayexpr_array arrays[COUNT + NUMBERS];
    char *copies[1];
    void *scratch = NULL;
    int copied = 0, status = ARRAYEXPR_ERROR, left;
    if (!arrayexpr_matches(RANK, COUNT, TARGETS, ranks, geometry)) return 0;
    if (arrayexpr_fit(RANK, COUNT, ranks, geometry, shape, steps) != 1) return 0;
    left = arrayexpr_canonical(RANK, COUNT, data, shape, steps);
    for (int target = 0; target < TARGETS; ++target)
        if (!arrayexpr_single(RANK, shape, steps + target * RANK, sizes[target])) return 0;
    for (int target = 0; target < TARGETS; ++target)
        for (int k = target + 1; k < COUNT; ++k)
            if (!arrayexpr_apart(RANK, target, k, TARGETS == 1, sizes, data, shape, steps)) return 0;
"""
