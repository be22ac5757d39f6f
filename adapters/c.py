"""C99: a whole source file for a scheduled program, and its compilation by the system's compiler.

The kernel's binary interface, which every emitted file repeats at its head:

    typedef struct {
        void *data;                 /* the first element */
        const ptrdiff_t *shape;     /* the length of each axis */
        const ptrdiff_t *strides;   /* bytes between neighbours along each axis, of any sign */
    } arrayexpr_array;

    int NAME(const arrayexpr_array *arrays, void *scratch, int threads);

`arrays` holds the operands in order, then the results. `scratch` is NAME_scratch(arrays) bytes, aligned
to 64; it may be NULL where that is 0. Returns 0, or one of the ARRAYEXPR_ codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from arrayexpr._core.errors import UnsupportedError
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Constant,
    Extent,
    For,
    Guard,
    Index,
    Load,
    Node,
    Operand,
    Scratch,
    Store,
    Stride,
    postorder,
)
from arrayexpr._core.ops import Operator, operators
from arrayexpr._core.passes.nests import enclosed
from arrayexpr._core.program import Program, assigned_operand
from arrayexpr._core.types import FALLING, UNIT

from .clike import KEYWORDS, OPENCL_WORDS, Dialect, Writer

C = Dialect(
    name="c",
    aligned="__attribute__((aligned(64)))",
    # Without it loops over calls that are not expanded are no vector loops.
    vector_form='__attribute__((const, simd("notinbranch")))',
    vector_math=True,
    types={
        "bool": "uint8_t",
        **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
        "float16": "_Float16",
        "float32": "float",
        "float64": "double",
        "longdouble": "long double",
        "complex64": "arrayexpr_complex64",
        "complex128": "arrayexpr_complex128",
        "clongdouble": "arrayexpr_clongdouble",
    },
    pragmas={
        # ivdep and not restrict: an output may be the very view that an input is.
        "vector": ("#pragma GCC ivdep",),
        "parallel": ("#ifdef _OPENMP", "#pragma omp parallel for num_threads(threads) if (threads > 1)", "#endif"),
    },
)

HEAD = """\
#include <complex.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifndef ARRAYEXPR_ABI
#define ARRAYEXPR_ABI 1
typedef struct {
    void *data;
    const ptrdiff_t *shape;
    const ptrdiff_t *strides;
} arrayexpr_array;
enum { ARRAYEXPR_OK, ARRAYEXPR_RAISED, ARRAYEXPR_SHAPE, ARRAYEXPR_OVERLAP };
#endif
"""

_COMPLEX = {
    "complex64": "typedef struct { float re, im; } arrayexpr_complex64;",
    "complex128": "typedef struct { double re, im; } arrayexpr_complex128;",
    "clongdouble": "typedef struct { long double re, im; } arrayexpr_clongdouble;",
}

_OVERLAP = """\
/* Whether two arrays may share memory without being the same view. */
static inline int arrayexpr_overlap(const arrayexpr_array *a, int rank_a, ptrdiff_t size_a,
                                    const arrayexpr_array *b, int rank_b, ptrdiff_t size_b) {
    uintptr_t low_a = (uintptr_t)a->data, high_a = low_a + size_a;
    uintptr_t low_b = (uintptr_t)b->data, high_b = low_b + size_b;
    int same = rank_a == rank_b && low_a == low_b && size_a == size_b;
    for (int k = 0; k < rank_a; ++k) {
        ptrdiff_t reach = (a->shape[k] - 1) * a->strides[k];
        if (a->shape[k] == 0) return 0;
        if (reach < 0) low_a += reach; else high_a += reach;
        same = same && a->shape[k] == b->shape[k] && (a->strides[k] == b->strides[k] || a->shape[k] == 1);
    }
    for (int k = 0; k < rank_b; ++k) {
        ptrdiff_t reach = (b->shape[k] - 1) * b->strides[k];
        if (b->shape[k] == 0) return 0;
        if (reach < 0) low_b += reach; else high_b += reach;
    }
    return low_a < high_b && low_b < high_a && !same;
}
"""

_SHARE = """\
/* Whether two arrays may share memory, be they the same view. */
static inline int arrayexpr_share(const arrayexpr_array *a, int rank_a, ptrdiff_t size_a,
                                  const arrayexpr_array *b, int rank_b, ptrdiff_t size_b) {
    uintptr_t low_a = (uintptr_t)a->data, high_a = low_a + size_a;
    uintptr_t low_b = (uintptr_t)b->data, high_b = low_b + size_b;
    for (int k = 0; k < rank_a; ++k) {
        ptrdiff_t reach = (a->shape[k] - 1) * a->strides[k];
        if (a->shape[k] == 0) return 0;
        if (reach < 0) low_a += reach; else high_a += reach;
    }
    for (int k = 0; k < rank_b; ++k) {
        ptrdiff_t reach = (b->shape[k] - 1) * b->strides[k];
        if (b->shape[k] == 0) return 0;
        if (reach < 0) low_b += reach; else high_b += reach;
    }
    return low_a < high_b && low_b < high_a;
}
"""


def _functions(op: Operator) -> set[str]:
    """The functions of C's library that a row calls."""
    texts = [op.c, op.source]
    words: set[str] = set()
    for text in texts:
        for part in text.values() if isinstance(text, Mapping) else [text or ""]:
            words.update(re.findall(r"[a-z][a-z0-9]*(?=\$s|\()|^[a-z][a-z0-9]*$", part))
    return words


# Names that a function of ours cannot have: what C, its compilers and the headers above give a meaning.
_TAKEN = (
    (KEYWORDS - OPENCL_WORDS)
    | {f"{name}{suffix}" for op in operators() for name in _functions(op) for suffix in ("", "f", "l")}
    | set(
        """abort abs atexit atof atoi calloc exit free labs ldiv malloc memcmp memcpy memmove memset printf puts
        putchar qsort rand realloc scanf snprintf sprintf srand strcat strchr strcmp strcpy strlen strncpy strstr
        strtod strtol system time wchar_t intptr_t uintptr_t intmax_t uintmax_t max_align_t float_t double_t
        offsetof HUGE_VAL imaginary _Imaginary carg cimag conj creal cproj""".split()
    )
)


def emit(program: Program, *, checked: bool = True) -> str:
    """The C source of a scheduled program (`optimize` gives one).

    `checked` adds the tests that shapes fit and that no output partly overlaps another operand, or, of what was fused
    under `Program.assumption`, shares any memory with it; the
    caller of an unchecked kernel has made sure of both, and gives broadcast axes stride 0.

    Raises UnsupportedError for what C has no form for, naming the node.
    """
    helpers, function = parts(program, checked=checked)
    return "\n".join([HEAD, *helpers, "", *function]) + "\n"


def parts(program: Program, *, checked: bool = True) -> tuple[list[str], list[str]]:
    """What `emit` puts after the head: definitions that other kernels in the same file may share, and the functions.

    The definitions are in order, and equal ones are equal text: a file has each once, before the kernels.
    """
    name = program.name
    if name in _TAKEN or name.startswith(("_", "arrayexpr_")):
        raise UnsupportedError(f"program name {name!r} is taken in C: expected another, which names the function")
    writer = Writer(program, C, reserved=(name, f"{name}_scratch"))
    lines = list(writer.body(program.statements))
    writer.leave()
    prologue = _prologue(program, writer, checked)
    used = "\n".join([*prologue, *lines, *writer.helpers])
    helpers = [text for t, text in _COMPLEX.items() if f"arrayexpr_{t}" in used]
    if "arrayexpr_overlap(" in used:
        helpers.append(_OVERLAP)
    if "arrayexpr_share(" in used:
        helpers.append(_SHARE)
    helpers.extend(writer.helpers)
    text = [_describe(program, "arrayexpr_v_" in used)]
    text.extend(_scratch_function(program, writer))
    text.append(f"int {name}(const arrayexpr_array *arrays, void *scratch, int threads) {{")
    if not _uses("\n".join(lines), "scratch"):
        text.append("    (void)scratch;")
    # Only a pragma uses it, which a compiler may ignore.
    text.append("    (void)threads;")
    if writer.may_raise:
        text.append("    int raised = 0;")
    text.extend(prologue)
    text.extend(lines)
    text.append(
        "    return raised ? ARRAYEXPR_RAISED : ARRAYEXPR_OK;" if writer.may_raise else "    return ARRAYEXPR_OK;"
    )
    text.append("}")
    return helpers, text


def _describe(program: Program, vector_math: bool) -> str:
    rows = [f"   arrays[{k}]  {operand.name}: {operand.type}" for k, operand in enumerate(program.declared)]
    notes = ["", "   Functions come from glibc's vector library, where there is one: cc -O3 -march=native ... -lm"]
    return "\n".join([f"/* {program.name}", *rows, *(notes if vector_math else []), "*/"])


def _prologue(program: Program, writer: Writer, checked: bool) -> list[str]:
    """Name the pointer, lengths and byte strides that the body uses of each operand."""
    body = "\n".join(writer.lines)
    stored = {s.operand for s in enclosed(program.statements) if isinstance(s, Store)}
    stored |= {assigned_operand(s.target) for s in program.statements if isinstance(s, Assign)}
    checks = _checks(program, writer, stored) if checked else []
    tested = "\n".join(checks)
    lines = []
    for k, operand in enumerate(program.declared):
        name = writer.names.of("operand", operand.name)
        if _uses(body, name):
            const = "" if operand in stored else "const "
            lines.append(f"    {const}char *{name} = ({const}char *)arrays[{k}].data;")
        for axis in range(operand.type.rank):
            if _uses(body + tested, f"{name}_n{axis}"):
                lines.append(f"    const ptrdiff_t {name}_n{axis} = arrays[{k}].shape[{axis}];")
            if _uses(body, f"{name}_{axis}"):
                stride = f"arrays[{k}].strides[{axis}]"
                if checked:
                    stride = f"arrays[{k}].shape[{axis}] == 1 ? 0 : {stride}"
                lines.append(f"    const ptrdiff_t {name}_{axis} = {stride};")
    return lines + checks


def _uses(text: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def _checks(program: Program, writer: Writer, stored: set[Operand]) -> list[str]:
    """Tests that shapes fit, that operands lie as the program's layouts say, and that no output partly overlaps."""
    lines = []
    place = {operand: k for k, operand in enumerate(program.declared)}
    for operand, k in place.items():
        layout = program.layouts.get(operand.name)
        if layout is None:
            continue
        for axis, (length, stride) in enumerate(zip(layout.shape, layout.strides, strict=True)):
            test = f"arrays[{k}].shape[{axis}] != {length}"
            if length > 1:
                test += f" || arrays[{k}].strides[{axis}] != {stride}"
            lines.append(f"    if ({test}) return ARRAYEXPR_SHAPE;")
    if program.requires:
        conditions = dict.fromkeys(_denied(condition, writer, stored) for condition in program.requires)
    else:
        conditions = dict.fromkeys(_too_short(program, writer, place, stored))
    lines.extend(f"    if ({condition}) return ARRAYEXPR_SHAPE;" for condition in conditions)
    apart = program.assumption.apart if program.assumption is not None else ()
    for out in program.declared:
        if out not in stored:
            continue
        for other in program.declared:
            if other is out or (other in stored and place[other] < place[out]):
                continue
            a, b = place[out], place[other]
            # Where statements were fused, not even the same view will do.
            test = "share" if out.name in apart or other.name in apart else "overlap"
            lines.append(
                f"    if (arrayexpr_{test}(&arrays[{a}], {out.type.rank}, {out.type.element.itemsize}, "
                f"&arrays[{b}], {other.type.rank}, {other.type.element.itemsize})) return ARRAYEXPR_OVERLAP;"
            )
    return lines


def _denied(condition: Node, writer: Writer, stored: set[Operand]) -> str:
    """The C that holds where one of `Program.requires` does not."""
    assert isinstance(condition, Apply)
    if condition.op.name == "logical_or":
        alone, same = condition.args
        length = alone.args[0]
        if isinstance(length, Extent) and not _stretches(length.operand, length.axis, stored):
            return _denied(same, writer, stored)
        return " && ".join(_denied(part, writer, stored) for part in condition.args)
    x, y = (writer.integer(part, 9) for part in condition.args)
    return f"{x} {'!=' if condition.op.name == 'equal' else '>='} {y}"


def _stretches(operand: Operand, axis: int, stored: set[Operand]) -> bool:
    """Whether one element may stand for a whole axis.

    What is stored too, or contiguous by its type, is walked by that stride however long it is.
    """
    return operand not in stored and operand.type.layout[axis] not in (UNIT, FALLING)


def _too_short(program: Program, writer: Writer, place: dict[Operand, int], stored: set[Operand]) -> Iterator[str]:
    """Where a whole loop walks an axis: that this is shorter, for a program of loops that says no more."""
    statements = list(program.statements)
    while statements:
        statement = statements.pop(0)
        if isinstance(statement, Guard):
            # What is done under a condition on elements may be what keeps to the bounds.
            if all(isinstance(n, Stride | Constant | Apply | Operand) for n in postorder((statement.condition,))):
                statements[:0] = [*statement.then, *statement.otherwise]
            continue
        if not isinstance(statement, For):
            continue
        statements[:0] = statement.body
        guarded = {n for s in statement.body if isinstance(s, Guard) for n in postorder((s,))}
        for node in postorder(statement.body):
            if not isinstance(node, Load | Store) or node.operand not in place or node in guarded:
                continue
            if node.operand.name in program.layouts:
                continue
            for axis, subscript in enumerate(node.subscripts):
                whole = isinstance(statement.start, Constant) and statement.start.value >= 0
                if subscript is not statement.index or not whole or isinstance(statement.stop, Index):
                    continue
                extent, wanted = Extent(node.operand, axis), statement.stop
                # A bound that strides decide goes beyond an axis where the operand goes on in memory.
                if wanted is extent or any(isinstance(n, Index | Stride) for n in postorder((wanted,))):
                    continue
                length = writer.integer(extent)
                alone = f"{length} != 1 && " if _stretches(node.operand, axis, stored) else ""
                yield f"{alone}{length} < {writer.integer(wanted, 9)}"


def _scratch_function(program: Program, writer: Writer) -> list[str]:
    """NAME_scratch: the bytes of scratch that a call needs."""
    sizes = []
    declared: set[str] = set()
    wanted = [s for s in enclosed(program.statements) if isinstance(s, Scratch) and s.operand not in writer.automatic]
    if wanted:
        # One that has given no names to bounds, which are the kernel's own.
        writer = Writer(program, C, reserved=(program.name, f"{program.name}_scratch"))
        for statement in wanted:
            extents = [writer.integer(e, 10) for e in statement.extents]
            size = " * ".join([*extents, str(statement.operand.type.element.itemsize)])
            sizes.append(f"({size} + 63) / 64 * 64")
            declared.update(_extent_lines(program, writer, statement))
    body = (
        ["    (void)arrays;", "    return 0;"] if not sizes else [*sorted(declared), f"    return {' + '.join(sizes)};"]
    )
    if sizes and not any("arrays" in line for line in body):
        body.insert(0, "    (void)arrays;")
    return [f"ptrdiff_t {program.name}_scratch(const arrayexpr_array *arrays) {{", *body, "}"]


def _extent_lines(program: Program, writer: Writer, statement: Scratch) -> list[str]:
    place = {operand: k for k, operand in enumerate(program.declared)}
    return [
        f"    const ptrdiff_t {writer.names.of('operand', n.operand.name)}_n{n.axis} = "
        f"arrays[{place[n.operand]}].shape[{n.axis}];"
        for n in postorder(statement.extents)
        if isinstance(n, Extent)
    ]
