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

from arrayexpr._core.driver import passes, run
from arrayexpr._core.nodes import Apply, Assign, Cast, Node, Operand, Reduce, postorder, substitute
from arrayexpr._core.ops import operator
from arrayexpr._core.passes.stream import stream
from arrayexpr._core.passes.tiles import SIZES
from arrayexpr._core.primitives import text as primitive
from arrayexpr._core.program import Program
from arrayexpr._core.types import BOOL, BROADCAST, STRIDED, UNIT
from arrayexpr.target import Target

from .. import c
from . import wide

#: Functions are C's own, as in a loop of Cython's. Sizes are those that most machines have at least.
TARGET = Target(vector_math=False, vector=32)

#: Elements below which nothing is packed: 16 x 16 took 132 ns in a tile, 79 in loops.
_SMALL = 1024
_FEW = 32
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
    return "\n".join(map(_file, ("host.h", "nests.h")))


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def opening() -> str:
    """What stands before the kernels of a file: no product and sum is rounded as one, whatever the file's options."""
    head = c.HEAD.replace("#include <complex.h>\n", "")
    return f"{head}\n{_GCC}#pragma GCC push_options\n#pragma GCC optimize ({_OPTIONS})\n#endif\n"


def closing() -> str:
    return f"{_GCC}#pragma GCC pop_options\n#endif\n"


def assignment(
    value: Node,
    target: Operand,
    arrays: Sequence[Operand],
    numbers: Sequence[Operand],
    *,
    brief: bool = False,
    fast: bool = False,
) -> Kernel:
    """The kernel of `target[...] = value`, a value of the target's element type over arrays and numbers.

    The target may be one of the arrays that the value reads; it is not among `arrays` then. `brief`
    leaves versions out; `fast` is for functions of C within 4 ulp.
    """
    made = versions([(target, value)], arrays, numbers, min(target.type.rank, 2), brief=brief, fast=fast)
    return walked(made, _CALL, [target], arrays, numbers)


#: How an operand may lie where the target is contiguous along the last axis: contiguous along that one as well, or
#: stretched along it; or else, some other way.
_ALONG, _STRETCHED = 1, 2
_WAYS = {_ALONG: "ARRAYEXPR_ALONG", _STRETCHED: "ARRAYEXPR_STRETCHED"}
_LAYOUTS = {_ALONG: (STRIDED, UNIT), _STRETCHED: (STRIDED, BROADCAST)}


@dataclass(frozen=True, slots=True)
class Versions:
    """Schedules, and for each but the last the condition, in C, under which it is the one to run.

    `along` is the number of the one for which all arrays are contiguous along the last axis, and `apart` that of the
    first for which nothing is known of them. `wider` are for the processors of `wide`, in the place of `along`.
    """

    programs: list[Program]
    conditions: list[str]
    along: int
    apart: int
    wider: list[Program]


def versions(
    stores: Sequence[tuple[Operand, Node]],
    arrays: Sequence[Operand],
    numbers: Sequence[Operand],
    rank: int,
    *,
    brief: bool = False,
    fast: bool = False,
) -> Versions:
    """What a kernel of stores may run.

    Up to two operands of a short expression have a version for each way in which some are stretched. Else there is one
    for all contiguous; the last takes any strides. No more than those two where `brief`.
    """
    unit = (STRIDED,) * (rank - 1) + (UNIT,)
    short = not brief and len(list(postorder([value for _, value in stores]))) <= _SHORT
    every = (_ALONG,) * len(arrays)
    ways: list[tuple[int, ...]] = [every]
    if rank == 2 and arrays and short and len(arrays) <= 2:
        ways = [way for way in product(_LAYOUTS, repeat=len(arrays)) if way != (_STRETCHED,) * 2]
    made, conditions = [], []
    widens = fast and len(arrays) > 0 and wide.gains(value for _, value in stores)
    # Functions take longer than stores.
    if short and arrays and len(stores) == 1 and not widens:
        layouts = [_LAYOUTS[_ALONG][2 - rank :]] * len(arrays)
        plain = _scheduled("past", stores, arrays, numbers, rank, unit, layouts)
        past = stream(plain)
        if past is not plain:
            made.append(past)
            conditions.append(_chosen("unit && large", every))
    along = len(made)
    for way in ways:
        name = "unit" + "".join(map(str, way))
        layouts = [_LAYOUTS[each][2 - rank :] for each in way]
        made.append(_scheduled(name, stores, arrays, numbers, rank, unit, layouts))
        conditions.append(_chosen("unit", way))
    apart = len(made)
    if arrays and short:
        made.append(_scheduled("even", stores, arrays, numbers, rank, None, None))
        conditions.append("even")
    made.append(_scheduled("any", stores, arrays, numbers, rank, None, None))
    layouts = [_LAYOUTS[_ALONG][2 - rank :]] * len(arrays)
    wider: list[Program] = []
    if widens:
        wider = wide.versions(
            lambda name, target: _scheduled(name, stores, arrays, numbers, rank, unit, layouts, target)
        )
    return Versions(made, conditions, along, apart, wider)


def _chosen(test: str, way: Sequence[int]) -> str:
    return " && ".join([test, *(f"ways[{k}] == {_WAYS[each]}" for k, each in enumerate(way))])


def walked(
    made: Versions,
    opening: str,
    targets: Sequence[Operand],
    arrays: Sequence[Operand],
    numbers: Sequence[Operand],
) -> Kernel:
    """The kernel of some versions: `opening` brings arrays into one order; their outer axes are walked then, and a
    version is called on the inner ones."""
    rank, every = targets[0].type.rank, [*targets, *arrays]
    sizes = [each.type.element.itemsize for each in every]
    # What lies across the target's rows, or any other way beside that, goes through tiles.
    tiled = rank > 1 and len(arrays) > 0 and set(sizes) <= set(SIZES)
    tiles, helpers, walk = "", list[str](), _WALK.replace("$TILED$", "0").replace("$TILES$", "0")
    if tiled:
        packed = sizes[len(targets) :]
        test = f"unit && crossing && version >= {made.apart} && rows >= 4 && last * rows >= {_SMALL}"
        if made.wider:
            # Functions gain by far more than copies cost: 8 x 8 of Black-Scholes took 0.92 us element by element.
            test = f"unit && version != {made.along} && last * rows >= {_FEW}"
        version = f"large ? 0 : {made.along}" if made.along else "0"
        walk = _WALK.replace("$TILED$", test).replace("$TILES$", f"NAME_tiles({version}, arrays, ways)")
        tiles = _TILES.replace("$PACKS$", ", ".join(f"arrayexpr_pack{size}" for size in packed))
        packs = [f"ARRAYEXPR_PACK({size})" for size in dict.fromkeys(packed)]
        helpers = [primitive("pack.h"), _file("tiles.h"), *packs]
    wider, chosen = "", choice(made.programs, made.conditions)
    if made.wider:
        definitions, wider = wide.text(made.wider, _static)
        helpers = [*definitions, *helpers]
        name = f"NAME_{made.programs[made.along].name}"
        runs, needs = f"{name}(arrays, scratch, 1)", f"{name}_scratch(arrays)"
        chosen = chosen.replace(f" {runs};", f" if (!NAME_wide(arrays, scratch)) {runs};")
        chosen = chosen.replace(
            f" {needs};", f" NAME_wide_scratch(arrays) > {needs} ? NAME_wide_scratch(arrays) : {needs};"
        )
    return finished(
        made.programs,
        wider + chosen + tiles + opening + walk,
        rank=rank,
        inner=min(rank, 2),
        ranks=[each.type.rank for each in every],
        sizes=sizes,
        numbers=len(numbers),
        targets=len(targets),
        helpers=helpers,
    )


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
    target: Target = TARGET,
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
    for stored, value in stores:
        if isinstance(value, Reduce):
            inner = _renamed(value.arg, new)
            value = Reduce(value.op, inner, tuple(range(inner.type.rank)))
        else:
            value = _renamed(value, new)
        statements.append(Assign(new[stored], value))
    program = Program(suffix, list(new.values()), statements, target=target)
    # What stores finds arrays in one order, and has tested how they lie.
    left_out = set() if any(isinstance(value, Reduce) for _, value in stores) else {"versions"}
    return run(program, [name for name in passes() if name not in left_out], together=len(stores) > 1)


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
    helpers: Sequence[str] = (),
) -> Kernel:
    """The text, under a name that is a hash of it; `helpers` are definitions that `call` needs."""
    texts, needed = [], dict.fromkeys(helpers)
    for program in programs:
        definitions, function = c.parts(program.replace(name=f"NAME_{program.name}"), checked=False)
        needed.update(dict.fromkeys(definitions))
        apart = program.name in ("any", "even")
        if program.name == "even":
            # One step for all: addresses are a base and one offset. 510 x 510 of every second element took a stencil
            # 120 to 156 us so, and 177 with a pointer for each of its five views.
            step = re.compile(rf"(const ptrdiff_t a\d+_{inner - 1}) = arrays\[\d+\]\.strides\[{inner - 1}\];")
            function = [step.sub(rf"\1 = r0_{inner - 1};", line) for line in function]
        if apart:
            # Elements side by side in no array: 512 x 512 of every second one took 259 us in vectors, 163 one by one.
            function = [line for line in function if "#pragma GCC ivdep" not in line]
        texts.append(_static(function, "ARRAYEXPR_SCALAR " if apart else ""))
    body = "\n".join(texts) + "\n" + call
    for word, text in (
        ("LARGE", _LARGE),
        ("RANK", rank),
        ("INNER", inner),
        ("COUNT", len(ranks)),
        ("NUMBERS", numbers),
        ("TARGETS", targets),
        ("RANKS", ", ".join(map(str, ranks))),
        ("SIZES", ", ".join(map(str, sizes))),
    ):
        body = body.replace(f"${word}$", str(text))
    name = hashlib.sha256("\n".join([*needed, body]).encode()).hexdigest()[:12]
    return Kernel(f"arrayexpr_{name}", tuple(needed), body.replace("NAME", f"arrayexpr_{name}"))


def _static(lines: Sequence[str], attribute: str = "") -> str:
    """The functions of a kernel's version as those of one file."""
    static = [f"static ARRAYEXPR_UNUSED {attribute}{line}" if _heads(line) else line for line in lines]
    # C++ has no arrays without a name.
    return _UNNAMED.sub(r"ARRAYEXPR_LIST(\1, \2)", "\n".join(static))


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
        arrayexpr_open(RANK, INNER, COUNT, COUNT + NUMBERS, data, shape, steps, arrays, at);
        int unit = 1, crossing = 0, even = 1, ways[COUNT];
        const ptrdiff_t last = shape[RANK - 1], rows = INNER > 1 ? shape[RANK - INNER] : 1;
        for (int k = 0; k < TARGETS; ++k) unit = unit && (steps[k * RANK + RANK - 1] == sizes[k] || last == 1);
        for (int k = TARGETS; k < COUNT; ++k) {
            const ptrdiff_t along = steps[k * RANK + RANK - 1], across = INNER > 1 ? steps[k * RANK + RANK - INNER] : 0;
            ways[k - TARGETS] = along == sizes[k] ? ARRAYEXPR_ALONG : along == 0 ? ARRAYEXPR_STRETCHED : 0;
            even = even && along == steps[RANK - 1];
            crossing = crossing || (along != sizes[k] && arrayexpr_magnitude(across) == sizes[k]);
        }
        const int large = last * rows >= $LARGE$ / sizes[0];
        (void)crossing;
        (void)even;
        (void)ways;
        (void)large;
        for (int k = 0; unit && k < TARGETS; ++k) steps[k * RANK + RANK - 1] = sizes[k];
        const int version = NAME_version;
        if ($TILED$) {
            int tiled;
            do {
                tiled = $TILES$;
            } while (tiled == 0 && arrayexpr_next(RANK - INNER, RANK, 0, COUNT, shape, steps, at, arrays));
            if (tiled < 0) goto end;
        } else {
            void *aligned;
            if (arrayexpr_scratch(NAME_needs(version, arrays), &scratch, &aligned) < 0) goto end;
            do {
                NAME_run(version, arrays, aligned);
            } while (arrayexpr_next(RANK - INNER, RANK, 0, COUNT, shape, steps, at, arrays));
        }
    }
    status = DONE;
end:
    free(scratch);
    while (copied > 0) free(copies[--copied]);
    return status;
}
"""

_TILES = """\
static int NAME_tiles(int version, const arrayexpr_array *given, const int *ways) {
    enum { COUNT = $COUNT$, NUMBERS = $NUMBERS$, TARGETS = $TARGETS$ };
    static const int sizes[COUNT] = {$SIZES$};
    static void (*const packs[])(char *, const ptrdiff_t *, const char *, const ptrdiff_t *, const ptrdiff_t *, int) = {
        $PACKS$};
    arrayexpr_array arrays[COUNT + NUMBERS];
    ptrdiff_t steps[2 * COUNT], places[COUNT];
    const arrayexpr_tiling tiling = {
        COUNT, TARGETS, NUMBERS, sizes, packs, NAME_run, NAME_needs, arrays, steps, places};
    return arrayexpr_tiles(&tiling, version, given, ways);
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
    arrayexpr_open(RANK, INNER, COUNT, COUNT + NUMBERS, data, shape, steps, arrays, at);
    arrays[0].data = &found;
    do {
        NAME_any(arrays, scratch, 1);
        if (found) return 1;
    } while (arrayexpr_next(RANK - INNER, RANK, 1, COUNT, shape, steps, at, arrays));
    return 0;
}
"""
