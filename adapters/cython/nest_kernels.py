"""C for what nests of loops are made of: stores to a place each, sums that keep their order, and sums in any order.

    static int arrayexpr_NAME(char **data, const ptrdiff_t *geometry)

`data` holds the first element of each array, targets first, then the address of each number; `geometry` the lengths of
the loops and then the steps in bytes of each array along all of them, 0 where it stays. Returns 0, or -1 with a
Python exception set; it needs no GIL.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from arrayexpr._core.affine import integer, minus, plus
from arrayexpr._core.driver import run
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Extent,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Reduce,
    Scratch,
    Store,
    substitute,
)
from arrayexpr._core.ops import Operator, operator
from arrayexpr._core.program import Program
from arrayexpr._core.types import BROADCAST, STRIDED, UNIT

from .kernels import TARGET, Kernel, choice, finished, versions, walked

#: Sums at a time, in registers. Sums of 2496 rows of as many doubles took 0.60 ns an element one by one, and 0.11 in
#: 32 at a time where those lie side by side; where rows do, 0.44, 0.17 in 8 and 0.23 in 32, and of 512 rows 0.40, 0.28
#: and 0.94.
_ABREAST, _APART = 32, 8


def each(
    stores: Sequence[tuple[Operand, Node]],
    arrays: Sequence[Operand],
    numbers: Sequence[Operand],
    copied: Sequence[Operand],
    *,
    fast: bool = False,
) -> Kernel:
    """The kernel that stores values in targets, all arrays of one rank: an iteration needs nothing of another one.

    `copied` are arrays that may share memory with the only target: what the target overwrites is read before. `fast` is
    for functions of C within 4 ulp.
    """
    targets = [target for target, _ in stores]
    made = versions(stores, arrays, numbers, min(targets[0].type.rank, 2), fast=fast)
    places = [len(targets) + k for k, array in enumerate(arrays) if array in copied]
    copies = _COPY.replace("$PLACES$", ", ".join(map(str, places))) if places else ""
    return walked(made, _EACH.replace("$COPY$", copies), targets, arrays, numbers)


def summed(
    target: Operand,
    op: Operator,
    part: Node,
    arrays: Sequence[Operand],
    numbers: Sequence[Operand],
    kept: int,
) -> Kernel:
    """The kernel of `target = target op part`, in the order of the last loops; the target moves with the others."""
    rank = arrays[0].type.rank
    over = rank - kept
    moving = [array for array in arrays]
    made: list[Program] = []
    conditions: list[str] = []
    if kept == 1:
        # Which arrays stay is known.
        ways = [tuple(BROADCAST if array.type.layout[0] == BROADCAST else UNIT for array in moving)]
    elif len(moving) <= 2:
        ways = [way for way in product((UNIT, BROADCAST), repeat=len(moving)) if UNIT in way]
    else:
        ways = [(UNIT,) * len(moving)]
    for k, way in enumerate(ways):
        made.append(_sums(f"unit{k}", target, op, part, arrays, numbers, over, way))
        tests = [f"ways[{n}] == {1 if each == UNIT else 0}" for n, each in enumerate(way)]
        conditions.append(" && ".join(["unit", *tests]))
    made.append(_sums("any", target, op, part, arrays, numbers, over, None))
    sizes = [a.type.element.itemsize for a in (target, *arrays)]
    body = _SUM.replace("$KEPT$", str(kept)).replace("$ABREAST$", str(_ABREAST))
    return finished(
        made,
        choice(made, conditions) + body,
        rank=rank,
        inner=1 + over,
        ranks=[rank] * len(sizes),
        sizes=sizes,
        numbers=len(numbers),
    )


def _sums(
    name: str,
    target: Operand,
    op: Operator,
    part: Node,
    arrays: Sequence[Operand],
    numbers: Sequence[Operand],
    over: int,
    way: Sequence[str] | None,
) -> Program:
    """Some sums at a time, each in a register, as a schedule: arrays have the axis of the sums first."""
    rank = 1 + over
    t = target.type.element
    own = Operand("r0", t.array(1, (UNIT,) if way else None))
    new: dict[Node, Operand] = {}
    for k, array in enumerate(arrays):
        layout = (way[k], *(STRIDED,) * over) if way else None
        new[array] = Operand(f"a{k}", array.type.element.array(rank, layout))
    for k, number in enumerate(numbers):
        new[number] = Operand(f"s{k}", number.type)
    inner = [Index(f"j{k}") for k in range(over)]
    length = Extent(own, 0)
    lane = Index("r")
    shape = [Extent(new[arrays[0]], 1 + k) for k in range(over)]

    def value(place: Node) -> Node:
        return substitute((part,), lambda n: _at(n, new, (place, *inner)))[0]

    def around(body: tuple[Node, ...]) -> tuple[Node, ...]:
        for index, stop in zip(reversed(inner), reversed(shape), strict=True):
            body = (Loop(index, integer(0), stop, integer(1), "serial", body),)
        return body

    def some(count: int, role: str, first: Index) -> tuple[Node, ...]:
        held = Operand(f"t{count}", t.array(1))
        place = plus(first, lane)

        def lanes(store: Store) -> Node:
            return Loop(lane, integer(0), integer(count), integer(1), role, (store,))

        current = Load(held, (lane,))
        return (
            Scratch(held, (integer(count),)),
            lanes(Store(held, (lane,), Load(own, (place,)))),
            *around((lanes(Store(held, (lane,), Apply(op, (current, value(place))))),)),
            lanes(Store(own, (place,), current)),
        )

    statements: list[Node] = []
    begin: Node = integer(0)
    for count in (_ABREAST, _APART) if way else (_APART,):
        first = Index(f"i{count}")
        stop = minus(length, integer(count - 1))
        statements.append(
            Loop(first, begin, stop, integer(count), "serial", some(count, "vector" if way else "serial", first))
        )
        whole = Apply(operator("floor_divide"), (length, integer(count)))
        begin = Apply(operator("multiply"), (whole, integer(count)))
    last = Index("i")
    place = Load(own, (last,))
    body = around((Store(own, (last,), Apply(op, (place, value(last)))),))
    statements.append(Loop(last, begin, length, integer(1), "serial", body))
    return Program(name, [own, *new.values()], statements, target=TARGET)


def _at(node: Node, new: dict[Node, Operand], places: tuple[Node, ...]) -> Node | None:
    found = new.get(node)
    if found is None or not found.type.rank:
        return found
    return Load(found, places)


def whole(target: Operand, op: Operator, part: Node, arrays: Sequence[Operand], numbers: Sequence[Operand]) -> Kernel:
    """The kernel of `target = target op part` for a target that stays, in any order."""
    rank = arrays[0].type.rank
    inner = min(rank, 2)
    made = []
    for name, layout in (("unit", (STRIDED,) * (inner - 1) + (UNIT,)), ("any", None)):
        own = Operand("r0", target.type.element.array(0))
        new: dict[Node, Operand] = {}
        for k, array in enumerate(arrays):
            new[array] = Operand(f"a{k}", array.type.element.array(inner, layout))
        for k, number in enumerate(numbers):
            new[number] = Operand(f"s{k}", number.type)
        value = substitute((part,), new.get)[0]
        total = Reduce(op, value, tuple(range(inner)))
        made.append(run(Program(name, [own, *new.values()], [Assign(own, Apply(op, (own, total)))], target=TARGET)))
    sizes = [a.type.element.itemsize for a in (target, *arrays)]
    return finished(
        made,
        choice(made, ["unit"]) + _WHOLE,
        rank=rank,
        inner=inner,
        ranks=[rank] * len(sizes),
        sizes=sizes,
        numbers=len(numbers),
    )


_EACH = """\
static int NAME(char **data, const ptrdiff_t *geometry) {
    enum { RANK = $RANK$, INNER = $INNER$, COUNT = $COUNT$, NUMBERS = $NUMBERS$, TARGETS = $TARGETS$, DONE = 0 };
    static const int sizes[COUNT] = {$SIZES$};
    ptrdiff_t shape[RANK], steps[COUNT * RANK], at[RANK];
    arrayexpr_array arrays[COUNT + NUMBERS];
    char *copies[COUNT];
    void *scratch = NULL;
    int copied = 0, status = ARRAYEXPR_ERROR, left;
    for (int axis = 0; axis < RANK; ++axis) shape[axis] = geometry[axis];
    for (int k = 0; k < COUNT * RANK; ++k) steps[k] = shape[k % RANK] == 1 ? 0 : geometry[RANK + k];
    left = arrayexpr_canonical(RANK, COUNT, data, shape, steps);
$COPY$"""

_COPY = """\
    static const int places[] = {$PLACES$};
    for (int n = 0; n < (int)(sizeof(places) / sizeof(int)); ++n) {
        const int k = places[n];
        if (arrayexpr_apart(RANK, 0, k, 1, sizes, data, shape, steps)) continue;
        copies[copied] = arrayexpr_copied(RANK, shape, data[k], steps + k * RANK, sizes[k]);
        if (copies[copied] == NULL) {
            arrayexpr_raise_memory();
            goto end;
        }
        data[k] = copies[copied++];
    }
"""

#: The axis along which most arrays lie side by side becomes the one of the sums; those before it are walked.
_SUM = """\
static int NAME(char **data, const ptrdiff_t *geometry) {
    enum { RANK = $RANK$, INNER = $INNER$, COUNT = $COUNT$, NUMBERS = $NUMBERS$, KEPT = $KEPT$, OTHERS = KEPT - 1 };
    static const int sizes[COUNT] = {$SIZES$};
    ptrdiff_t shape[RANK], steps[COUNT * RANK], at[KEPT], inner[COUNT * INNER], lengths[INNER];
    arrayexpr_array arrays[COUNT + NUMBERS];
    int best = 0, most = -1, unit, ways[COUNT];
    for (int axis = 0; axis < RANK; ++axis) shape[axis] = geometry[axis];
    for (int k = 0; k < COUNT * RANK; ++k) steps[k] = geometry[RANK + k];
    for (int axis = 0; axis < KEPT; ++axis) {
        int found = 0;
        for (int k = 0; k < COUNT; ++k) {
            const ptrdiff_t step = steps[k * RANK + axis];
            found += step == sizes[k] || (k > 0 && step == 0);
        }
        if (found == COUNT) found *= 2;
        if (shape[axis] >= 8) found += 4 * COUNT;
        if (found >= most) {
            most = found;
            best = axis;
        }
    }
    if (best != OTHERS) {
        const ptrdiff_t length = shape[best];
        shape[best] = shape[OTHERS];
        shape[OTHERS] = length;
        for (int k = 0; k < COUNT; ++k) {
            const ptrdiff_t step = steps[k * RANK + best];
            steps[k * RANK + best] = steps[k * RANK + OTHERS];
            steps[k * RANK + OTHERS] = step;
        }
    }
    unit = steps[OTHERS] == sizes[0];
    for (int k = 0; k < COUNT; ++k) {
        const ptrdiff_t step = steps[k * RANK + OTHERS];
        if (k > 0) ways[k - 1] = step == 0 ? 0 : step == sizes[k] ? 1 : 2;
        for (int axis = 0; axis < INNER; ++axis) inner[k * INNER + axis] = steps[k * RANK + OTHERS + axis];
        arrays[k].shape = lengths;
        arrays[k].strides = inner + k * INNER;
    }
    for (int axis = 0; axis < INNER; ++axis) lengths[axis] = shape[OTHERS + axis];
    for (int k = COUNT; k < COUNT + NUMBERS; ++k) {
        arrays[k].data = data[k];
        arrays[k].shape = NULL;
        arrays[k].strides = NULL;
    }
    (void)unit;
    (void)ways;
    const int version = NAME_version;
    for (int axis = 0; axis < KEPT; ++axis) at[axis] = 0;
    for (ptrdiff_t first = 0; first < shape[OTHERS]; first += $ABREAST$) {
        /* What is read for some sums stays in the cache for the same ones of other axes. */
        lengths[0] = shape[OTHERS] - first < $ABREAST$ ? shape[OTHERS] - first : $ABREAST$;
        for (int k = 0; k < COUNT; ++k) arrays[k].data = data[k] + first * steps[k * RANK + OTHERS];
        do {
            NAME_run(version, arrays, NULL);
        } while (arrayexpr_next(OTHERS, RANK, 0, COUNT, shape, steps, at, arrays));
    }
    return 0;
}
"""

#: Axes in the order of the first array's steps, and walked but for the inner ones.
_WHOLE = """\
static int NAME(char **data, const ptrdiff_t *geometry) {
    enum { RANK = $RANK$, INNER = $INNER$, COUNT = $COUNT$, NUMBERS = $NUMBERS$ };
    static const int sizes[COUNT] = {$SIZES$};
    ptrdiff_t shape[RANK], steps[COUNT * RANK], at[RANK];
    arrayexpr_array arrays[COUNT + NUMBERS];
    int unit = 1;
    void *scratch, *aligned;
    for (int axis = 0; axis < RANK; ++axis) shape[axis] = geometry[axis];
    for (int k = 0; k < COUNT * RANK; ++k) steps[k] = shape[k % RANK] == 1 ? 0 : geometry[RANK + k];
    arrayexpr_canonical(RANK, COUNT - 1, data + 1, shape, steps + RANK);
    for (int k = 1; k < COUNT; ++k) unit = unit && steps[k * RANK + RANK - 1] == sizes[k];
    arrayexpr_open(RANK, INNER, COUNT, COUNT + NUMBERS, data, shape, steps, arrays, at);
    const int version = NAME_version;
    if (arrayexpr_scratch(NAME_needs(version, arrays), &scratch, &aligned) < 0) return ARRAYEXPR_ERROR;
    do {
        NAME_run(version, arrays, aligned);
    } while (arrayexpr_next(RANK - INNER, RANK, 1, COUNT, shape, steps, at, arrays));
    free(scratch);
    return 0;
}
"""
