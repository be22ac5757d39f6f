"""C for a statement on arrays: two versions of its loops, and the function that fits shapes and chooses one.

    static int arrayexpr_NAME(char **data, const ptrdiff_t *geometry)

`data` holds the first element of each array, the target's first, then the address of each number; `geometry` the
lengths and steps in bytes of each array. Both are the call's own, and are changed. Returns 0, or -1 with a Python
exception set; it needs no GIL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from arrayexpr._core.driver import run
from arrayexpr._core.nodes import Apply, Assign, Cast, Node, Operand, Reduce, postorder, substitute
from arrayexpr._core.ops import operator
from arrayexpr._core.program import Program
from arrayexpr._core.types import BOOL, STRIDED, UNIT
from arrayexpr.target import Target

from .. import c

#: Functions are C's own, as in a loop of Cython's. Sizes are those that most machines have at least.
TARGET = Target(vector_math=False, vector=32)

_OPTIONS = '"O3", "wrapv", "fp-contract=off", "no-math-errno", "no-trapping-math", "no-tree-slp-vectorize", "no-strict-aliasing"'


@dataclass(frozen=True, slots=True)
class Kernel:
    """The C of one kernel: `helpers` are definitions that others may share, each to be written once, in order."""

    name: str
    helpers: tuple[str, ...]
    functions: str


def host_code() -> str:
    """The C that all kernels call, with the head of emitted kernels."""
    return resources.files(__package__).joinpath("host.h").read_text(encoding="utf-8")


def opening() -> str:
    """What stands before the kernels of a file: no product and sum is rounded as one, whatever the file's options."""
    head = c.HEAD.replace("#include <complex.h>\n", "")
    return f"{head}\n#if defined(__GNUC__) && !defined(__clang__)\n#pragma GCC push_options\n#pragma GCC optimize ({_OPTIONS})\n#endif\n"


def closing() -> str:
    return "#if defined(__GNUC__) && !defined(__clang__)\n#pragma GCC pop_options\n#endif\n"


def assignment(value: Node, target: Operand, arrays: Sequence[Operand], numbers: Sequence[Operand]) -> Kernel:
    """The kernel of `target[...] = value`, a value of the target's element type over arrays and numbers.

    The target may be one of the arrays that the value reads; it is not among `arrays` then.
    """
    rank = min(target.type.rank, 2)
    made = _versions([(target, value)], arrays, numbers, rank)
    ranks = [target.type.rank, *(a.type.rank for a in arrays)]
    sizes = [target.type.element.itemsize, *(a.type.element.itemsize for a in arrays)]
    return _finished(made, _CALL + _WALK, rank=target.type.rank, inner=rank, ranks=ranks, sizes=sizes, numbers=len(numbers))


def nest(stores: Sequence[tuple[Operand, Node]], arrays: Sequence[Operand], numbers: Sequence[Operand]) -> Kernel:
    """The kernel of a nest of loops that stores values in targets, all arrays of the nest's rank.

    No value reads a target other than its own. `geometry` is the shape, then the steps of each array, targets first.
    Returns 1 where it has run, 0 where the loops have to run as they were written: arrays share memory.
    """
    targets = [target for target, _ in stores]
    rank = targets[0].type.rank
    inner = min(rank, 2)
    made = _versions(stores, arrays, numbers, inner)
    sizes = [a.type.element.itemsize for a in (*targets, *arrays)]
    return _finished(
        made, _NEST + _WALK, rank=rank, inner=inner, ranks=[rank] * len(sizes), sizes=sizes, numbers=len(numbers),
        targets=len(targets),
    )  # fmt: skip


def _versions(
    stores: Sequence[tuple[Operand, Node]], arrays: Sequence[Operand], numbers: Sequence[Operand], rank: int
) -> list[Program]:
    """For targets that are contiguous along the last axis, and for any others."""
    return [
        _scheduled(name, stores, arrays, numbers, rank, layout)
        for name, layout in (("unit", (STRIDED,) * (rank - 1) + (UNIT,)), ("any", None))
    ]


def test(condition: Node, arrays: Sequence[Operand], numbers: Sequence[Operand]) -> Kernel:
    """The kernel that says whether a condition holds for any element: it returns 1 then.

    In the place of the target, `geometry` has the shape that the arrays are stretched to, of as many axes as the one
    with most of them has: one for numbers alone.
    """
    rank = max((a.type.rank for a in arrays), default=1)
    target = Operand("found", BOOL.array(0))
    inner = min(rank, 2)
    body = Reduce(operator("logical_or"), condition, ()) if arrays else condition
    made = [_scheduled("any", [(target, body)], arrays, numbers, inner, None)]
    return _finished(
        made, _TEST, rank=rank, inner=inner, ranks=[rank, *(a.type.rank for a in arrays)],
        sizes=[1, *(a.type.element.itemsize for a in arrays)], numbers=len(numbers),
    )  # fmt: skip


def _scheduled(
    suffix: str,
    stores: Sequence[tuple[Operand, Node]],
    arrays: Sequence[Operand],
    numbers: Sequence[Operand],
    rank: int,
    layout: tuple[str, ...] | None,
) -> Program:
    """The program over operands of the kernel's own names, all of its rank, as a schedule."""
    new: dict[Node, Node] = {}
    for k, (operand, _) in enumerate(stores):
        new[operand] = Operand(f"r{k}", operand.type.element.array(rank if operand.type.rank else 0, layout))
    for k, operand in enumerate(arrays):
        new[operand] = Operand(f"a{k}", operand.type.element.array(rank))
    for k, operand in enumerate(numbers):
        new[operand] = Operand(f"s{k}", operand.type)
    statements: list[Node] = []
    for target, value in stores:
        if isinstance(value, Reduce):
            inner = _renamed(value.arg, new)
            value = Reduce(value.op, inner, tuple(range(inner.type.rank)))
        else:
            value = _renamed(value, new)
        statements.append(Assign(new[target], value))
    program = Program(suffix, list(new.values()), statements, target=TARGET)
    return run(program, together=len(stores) > 1)


def _renamed(value: Node, new: dict[Node, Node]) -> Node:
    return substitute((value,), new.get)[0]


def _finished(programs: Sequence[Program], call: str, *, rank: int, inner: int, ranks: Sequence[int],
              sizes: Sequence[int], numbers: int, targets: int = 1) -> Kernel:  # fmt: skip
    """The text, under a name that is a hash of it."""
    texts, helpers = [], dict[str, None]()
    for program in programs:
        definitions, function = c.parts(program.replace(name=f"NAME_{program.name}"), checked=False)
        helpers.update(dict.fromkeys(definitions))
        texts.append("\n".join(f"static CYTHON_UNUSED {line}" if _heads(line) else line for line in function))
    body = "\n".join(texts) + "\n" + call
    for word, text in (
        ("RANK", rank), ("INNER", inner), ("COUNT", len(ranks)), ("NUMBERS", numbers), ("TARGETS", targets),
        ("RANKS", ", ".join(map(str, ranks))), ("SIZES", ", ".join(map(str, sizes))),
    ):  # fmt: skip
        body = body.replace(f"${word}$", str(text))
    name = hashlib.sha256("\n".join([*helpers, body]).encode()).hexdigest()[:12]
    return Kernel(f"arrayexpr_{name}", tuple(helpers), body.replace("NAME", f"arrayexpr_{name}"))


def _heads(line: str) -> bool:
    return line.startswith(("int NAME", "ptrdiff_t NAME"))


def reads(value: Node) -> list[Operand]:
    """The operands of a value, once each."""
    return [node for node in postorder((value,)) if isinstance(node, Operand)]


def converted(value: Node, to: Operand) -> Node:
    """The value in the element type of what it is stored to."""
    own = to.type.element
    return value if value.type.element is own else Cast(value, own)


def either(conditions: Sequence[Node]) -> Node:
    found = conditions[0]
    for condition in conditions[1:]:
        found = Apply(operator("logical_or"), (found, condition))
    return found


#: Walks the outer axes, and calls one of the versions on the inner ones.
_CALL = """\
static int NAME(char **data, const ptrdiff_t *geometry) {
    enum { RANK = $RANK$, INNER = $INNER$, COUNT = $COUNT$, NUMBERS = $NUMBERS$, TARGETS = 1, DONE = 0 };
    static const int ranks[COUNT] = {$RANKS$}, sizes[COUNT] = {$SIZES$};
    ptrdiff_t shape[RANK], steps[COUNT * RANK], at[RANK];
    arrayexpr_array arrays[COUNT + NUMBERS];
    char *copies[COUNT];
    void *scratch = NULL;
    int copied = 0, status = ARRAYEXPR_ERROR, left;
    const int work = arrayexpr_fit(RANK, COUNT, ranks, geometry, shape, steps);
    if (work != 1) return work;
    left = arrayexpr_canonical(RANK, COUNT, data, shape, steps);
    for (int k = 1; k < COUNT; ++k) {
        if (arrayexpr_apart(RANK, 0, k, 1, sizes, data, shape, steps)) continue;
        copies[copied] = arrayexpr_copied(RANK, shape, data[k], steps + k * RANK, sizes[k]);
        if (copies[copied] == NULL) {
            arrayexpr_raise_memory();
            goto end;
        }
        data[k] = copies[copied++];
    }
"""

#: What follows once arrays lie in one order.
_WALK = """\
    if (left > 2) arrayexpr_cross(RANK, left, COUNT, sizes, shape, steps);
    for (int k = 0; k < COUNT + NUMBERS; ++k) {
        arrays[k].data = data[k];
        arrays[k].shape = shape + RANK - INNER;
        arrays[k].strides = k < COUNT ? steps + k * RANK + RANK - INNER : NULL;
    }
    for (int axis = 0; axis < RANK; ++axis) at[axis] = 0;
    int unit = 1;
    for (int k = 0; k < TARGETS; ++k) {
        unit = unit && (steps[k * RANK + RANK - 1] == sizes[k] || shape[RANK - 1] == 1);
    }
    for (int k = 0; unit && k < TARGETS; ++k) steps[k * RANK + RANK - 1] = sizes[k];
    const ptrdiff_t needed = unit ? NAME_unit_scratch(arrays) : NAME_any_scratch(arrays);
    if (needed > 0 && (scratch = malloc((size_t)needed + 63)) == NULL) {
        arrayexpr_raise_memory();
        goto end;
    }
    void *const aligned = (void *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
    for (;;) {
        if (unit) NAME_unit(arrays, aligned, 1);
        else NAME_any(arrays, aligned, 1);
        int axis = RANK - INNER - 1;
        for (; axis >= 0; --axis) {
            for (int k = 0; k < COUNT; ++k) arrays[k].data = (char *)arrays[k].data + steps[k * RANK + axis];
            if (++at[axis] < shape[axis]) break;
            for (int k = 0; k < COUNT; ++k)
                arrays[k].data = (char *)arrays[k].data - shape[axis] * steps[k * RANK + axis];
            at[axis] = 0;
        }
        if (axis < 0) break;
    }
    status = DONE;
end:
    free(scratch);
    while (copied > 0) free(copies[--copied]);
    return status;
}
"""

_NEST = """\
static int NAME(char **data, const ptrdiff_t *geometry) {
    enum { RANK = $RANK$, INNER = $INNER$, COUNT = $COUNT$, NUMBERS = $NUMBERS$, TARGETS = $TARGETS$, DONE = 1 };
    static const int sizes[COUNT] = {$SIZES$};
    ptrdiff_t shape[RANK], steps[COUNT * RANK], at[RANK];
    arrayexpr_array arrays[COUNT + NUMBERS];
    char *copies[1];
    void *scratch = NULL;
    int copied = 0, status = ARRAYEXPR_ERROR, left;
    for (int axis = 0; axis < RANK; ++axis) shape[axis] = geometry[axis];
    for (int k = 0; k < COUNT * RANK; ++k) steps[k] = shape[k % RANK] == 1 ? 0 : geometry[RANK + k];
    left = arrayexpr_canonical(RANK, COUNT, data, shape, steps);
    for (int target = 0; target < TARGETS; ++target)
        for (int k = target + 1; k < COUNT; ++k)
            if (!arrayexpr_apart(RANK, target, k, TARGETS == 1, sizes, data, shape, steps)) return 0;
"""

_TEST = """\
static int NAME(char **data, const ptrdiff_t *geometry) {
    enum { RANK = $RANK$, INNER = $INNER$, COUNT = $COUNT$, NUMBERS = $NUMBERS$ };
    static const int ranks[COUNT] = {$RANKS$}, sizes[COUNT] = {$SIZES$};
    ptrdiff_t shape[RANK], steps[COUNT * RANK], at[RANK];
    arrayexpr_array arrays[COUNT + NUMBERS];
    uint8_t found = 0;
    void *scratch = NULL;
    const int work = arrayexpr_fit(RANK, COUNT, ranks, geometry, shape, steps);
    (void)sizes;
    if (work != 1) return work;
    for (int axis = 0; axis < RANK; ++axis) {
        int moves = 0;
        for (int k = 1; k < COUNT; ++k) moves = moves || steps[k * RANK + axis] != 0;
        if (!moves) shape[axis] = 1;
    }
    for (int k = 0; k < COUNT + NUMBERS; ++k) {
        arrays[k].data = k == 0 ? (char *)&found : data[k];
        arrays[k].shape = shape + RANK - INNER;
        arrays[k].strides = k < COUNT ? steps + k * RANK + RANK - INNER : NULL;
    }
    for (int axis = 0; axis < RANK; ++axis) at[axis] = 0;
    for (;;) {
        NAME_any(arrays, scratch, 1);
        if (found) return 1;
        int axis = RANK - INNER - 1;
        for (; axis >= 0; --axis) {
            for (int k = 1; k < COUNT; ++k) arrays[k].data = (char *)arrays[k].data + steps[k * RANK + axis];
            if (++at[axis] < shape[axis]) break;
            for (int k = 1; k < COUNT; ++k)
                arrays[k].data = (char *)arrays[k].data - shape[axis] * steps[k * RANK + axis];
            at[axis] = 0;
        }
        if (axis < 0) break;
    }
    return 0;
}
"""
