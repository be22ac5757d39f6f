"""C for a statement on arrays: two versions of its loops, and the function that fits shapes and chooses one.

    static int arrayexpr_NAME(char **data, const ptrdiff_t *geometry)

`data` holds the first element of each array, the target's first, then the address of each number; `geometry` the
lengths and steps in bytes of each array. Both are the call's own, and are changed. Returns 0, or -1 with a Python
exception set; it needs no GIL.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import product

from arrayexpr._core.driver import run
from arrayexpr._core.nodes import Apply, Assign, Cast, Node, Operand, Reduce, postorder, substitute
from arrayexpr._core.ops import operator
from arrayexpr._core.passes.stream import stream
from arrayexpr._core.program import Program
from arrayexpr._core.types import BOOL, BROADCAST, STRIDED, UNIT
from arrayexpr.target import Target

from .. import c

#: Functions are C's own, as in a loop of Cython's. Sizes are those that most machines have at least.
TARGET = Target(vector_math=False, vector=32)

#: Elements below which nothing is packed.
_SMALL = 1024
#: Bytes of a result from which its stores go past the caches: it would not stay in the last one.
_LARGE = 32 << 20
#: Nodes of an expression that has a version for each way in which two operands lie: gcc 12 took 0.3 s for one of 6.
_SHORT = 24

#: What emitted C is compiled with, as docs/explanation/c-abi.md says; and memory may be written as another integer type
#: of the same size (long, long long) by the host.
_OPTIONS = (
    '"O3", "wrapv", "fp-contract=off", "no-math-errno", "no-trapping-math", "no-tree-slp-vectorize", '
    '"no-strict-aliasing"'
)
_UNNAMED = re.compile(r"\(((?:const )?\w+)\[\]\)\{([^{}]*)\}")
_GCC = "#if defined(__GNUC__) && !defined(__clang__)\n"


@dataclass(frozen=True, slots=True)
class Kernel:
    """The C of one kernel: `helpers` are definitions that others may share, each to be written once, in order."""

    name: str
    helpers: tuple[str, ...]
    functions: str


def host_code() -> str:
    """The C that all kernels call, with the head of emitted kernels."""
    files = resources.files(__package__)
    return "\n".join(files.joinpath(name).read_text(encoding="utf-8") for name in ("host.h", "nests.h"))


def opening() -> str:
    """What stands before the kernels of a file: no product and sum is rounded as one, whatever the file's options."""
    head = c.HEAD.replace("#include <complex.h>\n", "")
    return f"{head}\n{_GCC}#pragma GCC push_options\n#pragma GCC optimize ({_OPTIONS})\n#endif\n"


def closing() -> str:
    return f"{_GCC}#pragma GCC pop_options\n#endif\n"


def assignment(value: Node, target: Operand, arrays: Sequence[Operand], numbers: Sequence[Operand]) -> Kernel:
    """The kernel of `target[...] = value`, a value of the target's element type over arrays and numbers.

    The target may be one of the arrays that the value reads; it is not among `arrays` then.
    """
    rank = min(target.type.rank, 2)
    made, conditions = versions([(target, value)], arrays, numbers, rank)
    ranks = [target.type.rank, *(a.type.rank for a in arrays)]
    sizes = [target.type.element.itemsize, *(a.type.element.itemsize for a in arrays)]
    return finished(
        made,
        choice(made, conditions) + _CALL + _WALK,
        rank=target.type.rank,
        inner=rank,
        ranks=ranks,
        sizes=sizes,
        numbers=len(numbers),
    )


#: How an operand may lie where the target is contiguous along the last axis: contiguous along that one as well, along
#: the one before, or stretched along the last. The digits are what the kernel compares.
_ALONG, _ACROSS, _STRETCHED = 1, 2, 3
_LAYOUTS = {_ALONG: (STRIDED, UNIT), _ACROSS: (UNIT, STRIDED), _STRETCHED: (STRIDED, BROADCAST)}


def versions(
    stores: Sequence[tuple[Operand, Node]], arrays: Sequence[Operand], numbers: Sequence[Operand], rank: int
) -> tuple[list[Program], list[str]]:
    """The schedules, and for each but the last the condition, in C, under which it is the one to run.

    One or two operands of a short expression have a version for each way in which they commonly lie; three or four, for
    one of them across the others. Else there is one for all contiguous, and one that packs all that lie either way.
    The last takes any strides.
    """
    unit = (STRIDED,) * (rank - 1) + (UNIT,)
    ways: list[tuple[int, ...]] = [(_ALONG,) * len(arrays)]
    short = len(list(postorder([value for _, value in stores]))) <= _SHORT
    each_way = short and len(arrays) <= 2
    if rank == 2 and arrays and each_way:
        ways = [way for way in product(_LAYOUTS, repeat=len(arrays)) if way != (_STRETCHED,) * 2]
    elif rank == 2 and short and len(arrays) <= 4:
        # To pack all of three where one lies across took 18 ms of 2500 x 2500, as long as loops that pack nothing.
        ways += [tuple(_ACROSS if k == across else _ALONG for k in range(len(arrays))) for across in range(len(arrays))]
    made, conditions = [], []
    if short and arrays and len(stores) == 1:
        layouts = [_LAYOUTS[_ALONG][2 - rank :]] * len(arrays)
        plain = _scheduled("past", stores, arrays, numbers, rank, unit, layouts)
        past = stream(plain)
        if past is not plain:
            made.append(past)
            conditions.append(" && ".join(["unit && large", *(f"ways[{k}] == {_ALONG}" for k in range(len(arrays)))]))
    for way in ways:
        name = "unit" + "".join(map(str, way))
        layouts = [_LAYOUTS[each][2 - rank :] for each in way]
        made.append(_scheduled(name, stores, arrays, numbers, rank, unit, layouts))
        conditions.append(" && ".join(["unit", *(f"ways[{k}] == {each}" for k, each in enumerate(way))]))
    if rank == 2 and arrays and not each_way:
        made.append(_scheduled("tiled", stores, arrays, numbers, rank, unit, None))
        conditions.append("unit && crossing")
    made.append(_scheduled("any", stores, arrays, numbers, rank, None, None))
    return made, conditions


def walk() -> str:
    """The C that walks the outer axes of arrays that lie in one order, and calls a version on the inner ones."""
    return _WALK


def test(condition: Node, arrays: Sequence[Operand], numbers: Sequence[Operand]) -> Kernel:
    """The kernel that says whether a condition holds for any element: it returns 1 then.

    In the place of the target, `geometry` has the shape that the arrays are stretched to, of as many axes as the one
    with most of them has: one for numbers alone.
    """
    rank = max((a.type.rank for a in arrays), default=1)
    target = Operand("found", BOOL.array(0))
    inner = min(rank, 2)
    body = Reduce(operator("logical_or"), condition, ()) if arrays else condition
    made = [_scheduled("any", [(target, body)], arrays, numbers, inner, None, None)]
    return finished(
        made,
        _TEST,
        rank=rank,
        inner=inner,
        ranks=[rank, *(a.type.rank for a in arrays)],
        sizes=[1, *(a.type.element.itemsize for a in arrays)],
        numbers=len(numbers),
    )


def _scheduled(
    suffix: str,
    stores: Sequence[tuple[Operand, Node]],
    arrays: Sequence[Operand],
    numbers: Sequence[Operand],
    rank: int,
    layout: tuple[str, ...] | None,
    layouts: Sequence[tuple[str, ...]] | None,
) -> Program:
    """The program over operands of the kernel's own names, all of its rank, as a schedule."""
    new: dict[Node, Operand] = {}
    for k, (operand, _) in enumerate(stores):
        new[operand] = Operand(f"r{k}", operand.type.element.array(rank if operand.type.rank else 0, layout))
    for k, operand in enumerate(arrays):
        new[operand] = Operand(f"a{k}", operand.type.element.array(rank, layouts[k] if layouts else None))
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


def _renamed(value: Node, new: Mapping[Node, Node]) -> Node:
    return substitute((value,), new.get)[0]


def finished(
    programs: Sequence[Program],
    call: str,
    *,
    rank: int,
    inner: int,
    ranks: Sequence[int],
    sizes: Sequence[int],
    numbers: int,
    targets: int = 1,
) -> Kernel:
    """The text, under a name that is a hash of it."""
    texts, helpers = [], dict[str, None]()
    for program in programs:
        definitions, function = c.parts(program.replace(name=f"NAME_{program.name}"), checked=False)
        helpers.update(dict.fromkeys(definitions))
        scalar = "ARRAYEXPR_SCALAR " if program.name == "any" else ""
        lines = [f"static ARRAYEXPR_UNUSED {scalar}{line}" if _heads(line) else line for line in function]
        if program.name == "any":
            # Elements side by side in no array: 512 x 512 of every second one took 259 us in vectors, 163 one by one.
            lines = [line for line in lines if "#pragma GCC ivdep" not in line]
        # C++ has no arrays without a name.
        texts.append(_UNNAMED.sub(r"ARRAYEXPR_LIST(\1, \2)", "\n".join(lines)))
    body = "\n".join(texts) + "\n" + call
    for word, text in (
        ("SMALL", _SMALL),
        ("LARGE", _LARGE),
        ("ALONG", _ALONG),
        ("ACROSS", _ACROSS),
        ("STRETCHED", _STRETCHED),
        ("RANK", rank),
        ("INNER", inner),
        ("COUNT", len(ranks)),
        ("NUMBERS", numbers),
        ("TARGETS", targets),
        ("RANKS", ", ".join(map(str, ranks))),
        ("SIZES", ", ".join(map(str, sizes))),
    ):
        body = body.replace(f"${word}$", str(text))
    name = hashlib.sha256("\n".join([*helpers, body]).encode()).hexdigest()[:12]
    return Kernel(f"arrayexpr_{name}", tuple(helpers), body.replace("NAME", f"arrayexpr_{name}"))


def choice(made: Sequence[Program], conditions: Sequence[str]) -> str:
    """The functions that run the version of a number, and say what scratch it needs; `conditions` are by number."""
    lines = ["static CYTHON_INLINE void NAME_run(int version, const arrayexpr_array *arrays, void *scratch) {"]
    lines.append("    switch (version) {")
    lines += [f"    case {k}: NAME_{each.name}(arrays, scratch, 1); break;" for k, each in enumerate(made[:-1])]
    lines += [f"    default: NAME_{made[-1].name}(arrays, scratch, 1);", "    }", "}", ""]
    lines.append("static CYTHON_INLINE ptrdiff_t NAME_needs(int version, const arrayexpr_array *arrays) {")
    lines.append("    switch (version) {")
    lines += [f"    case {k}: return NAME_{each.name}_scratch(arrays);" for k, each in enumerate(made[:-1])]
    lines += [f"    default: return NAME_{made[-1].name}_scratch(arrays);", "    }", "}", ""]
    lines.append("#define NAME_version \\")
    lines += [f"    {condition} ? {k} : \\" for k, condition in enumerate(conditions)]
    lines += [f"    {len(conditions)}", ""]
    return "\n".join(lines)


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
static ARRAYEXPR_UNUSED int NAME_fits(const ptrdiff_t *geometry) {
    enum { RANK = $RANK$, COUNT = $COUNT$ };
    static const int ranks[COUNT] = {$RANKS$};
    ptrdiff_t shape[RANK], steps[COUNT * RANK];
    return arrayexpr_fit(RANK, COUNT, ranks, geometry, shape, steps);
}
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
    char *begin, *end, *low, *high;
    arrayexpr_reaches(RANK, shape, steps, data[0], sizes[0], &begin, &end);
    for (int k = 1; k < COUNT; ++k) {
        arrayexpr_reaches(RANK, shape, steps + k * RANK, data[k], sizes[k], &low, &high);
        if (low >= end || high <= begin || arrayexpr_apart(RANK, 0, k, 1, sizes, data, shape, steps)) continue;
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
    {
        if (RANK > 2 && left > 2) arrayexpr_cross(RANK, left, COUNT, sizes, shape, steps);
        for (int k = 0; k < COUNT + NUMBERS; ++k) {
            arrays[k].data = data[k];
            arrays[k].shape = shape + RANK - INNER;
            arrays[k].strides = k < COUNT ? steps + k * RANK + RANK - INNER : NULL;
        }
        for (int axis = 0; axis < RANK; ++axis) at[axis] = 0;
        int unit = 1, crossing = 1, ways[COUNT];
        const ptrdiff_t last = shape[RANK - 1], rows = INNER > 1 ? shape[RANK - INNER] : 1;
        for (int k = 0; k < TARGETS; ++k) unit = unit && (steps[k * RANK + RANK - 1] == sizes[k] || last == 1);
        for (int k = TARGETS; k < COUNT; ++k) {
            const ptrdiff_t along = steps[k * RANK + RANK - 1], across = INNER > 1 ? steps[k * RANK + RANK - INNER] : 0;
            /* Tiles of few elements cost more than they save: 16 x 16 took 132 ns in one, 79 in loops. */
            const int tile = across == sizes[k] && last * rows >= $SMALL$;
            ways[k - TARGETS] = along == sizes[k] ? $ALONG$ : along == 0 ? $STRETCHED$ : tile ? $ACROSS$ : 0;
            crossing = crossing && (ways[k - TARGETS] == $ALONG$ || ways[k - TARGETS] == $ACROSS$);
        }
        const int large = last * rows >= $LARGE$ / sizes[0];
        (void)crossing;
        (void)ways;
        (void)large;
        for (int k = 0; unit && k < TARGETS; ++k) steps[k * RANK + RANK - 1] = sizes[k];
        const int version = NAME_version;
        const ptrdiff_t needed = NAME_needs(version, arrays);
        if (needed > 0 && (scratch = malloc((size_t)needed + 63)) == NULL) {
            arrayexpr_raise_memory();
            goto end;
        }
        void *const aligned = (void *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
        do {
            NAME_run(version, arrays, aligned);
        } while (arrayexpr_next(RANK - INNER, RANK, 0, COUNT, shape, steps, at, arrays));
    }
    status = DONE;
end:
    free(scratch);
    while (copied > 0) free(copies[--copied]);
    return status;
}
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
    do {
        NAME_any(arrays, scratch, 1);
        if (found) return 1;
    } while (arrayexpr_next(RANK - INNER, RANK, 1, COUNT, shape, steps, at, arrays));
    return 0;
}
"""
