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
from collections.abc import Iterator

from arrayexpr._core.affine import integer
from arrayexpr._core.nodes import (
    Assign,
    Constant,
    Extent,
    Load,
    Loop,
    Node,
    Operand,
    Scratch,
    Slice,
    Store,
    View,
    postorder,
)
from arrayexpr._core.passes.lower import base_of, extents_of
from arrayexpr._core.passes.nests import enclosed
from arrayexpr._core.program import Program
from arrayexpr._core.types import BROADCAST, UNIT

from .clike import Dialect, Writer

C = Dialect(
    name="c",
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

# As C's shifts: sums and products in comparisons need no parentheses.
_COMPARED = 9

_HEAD = """\
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


def emit(program: Program, *, checked: bool = True) -> str:
    """The C source of a scheduled program (`optimize` gives one).

    `checked` adds the tests that shapes fit, that an operand whose layout the program knows has that
    layout, and that no output partly overlaps another operand; the caller of an unchecked kernel has
    made sure of all that, and gives broadcast axes stride 0.

    Raises UnsupportedError for what C has no form for, naming the node.
    """
    name = program.name
    writer = Writer(program, C, reserved=(name, f"{name}_scratch"))
    for operand in program.declared:
        writer.names.of("operand", operand.name)
    lines = list(writer.body(program.statements))
    prologue = _prologue(program, writer, checked)
    used = "\n".join([*prologue, *lines, *writer.helpers])
    text = [_HEAD]
    text.extend(_COMPLEX[t] for t in _COMPLEX if f"arrayexpr_{t}" in used)
    if "arrayexpr_overlap(" in used:
        text.append(_OVERLAP)
    text.extend(writer.helpers)
    text.append("")
    text.append(_describe(program))
    text.extend(_scratch_function(program, writer))
    text.append(f"int {name}(const arrayexpr_array *arrays, void *scratch, int threads) {{")
    if "scratch" not in "\n".join(lines):
        text.append("    (void)scratch;")
    if "threads" not in "\n".join(lines):
        text.append("    (void)threads;")
    if writer.may_raise:
        text.append("    int raised = 0;")
    text.extend(prologue)
    text.extend(lines)
    text.append(
        "    return raised ? ARRAYEXPR_RAISED : ARRAYEXPR_OK;" if writer.may_raise else "    return ARRAYEXPR_OK;"
    )
    text.append("}")
    return "\n".join(text) + "\n"


def _describe(program: Program) -> str:
    rows = [f"   arrays[{k}]  {operand.name}: {operand.type}" for k, operand in enumerate(program.declared)]
    return "\n".join([f"/* {program.name}", *rows, "*/"])


def _prologue(program: Program, writer: Writer, checked: bool) -> list[str]:
    """Name the pointer, lengths and byte strides that the body uses of each operand."""
    body = "\n".join(writer.lines)
    stored = {s.operand for s in enclosed(program.statements) if isinstance(s, Store)}
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
                if checked and operand not in stored:
                    stride = f"arrays[{k}].shape[{axis}] == 1 ? 0 : {stride}"
                lines.append(f"    const ptrdiff_t {name}_{axis} = {stride};")
    return lines + checks


def _uses(text: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def _checks(program: Program, writer: Writer, stored: set[Operand]) -> list[str]:
    lines = []
    place = {operand: k for k, operand in enumerate(program.declared)}
    for k, operand in enumerate(program.declared):
        if operand.name in program.layouts:
            lines.append(f"    if ({' || '.join(_differs(k, operand, program))}) return ARRAYEXPR_SHAPE;")
    source = program.source
    lines.extend(_within(program, writer, stored) if source is None else _fits(source, program, writer, stored))
    for out in program.declared:
        if out not in stored:
            continue
        for other in program.declared:
            if other is out or (other in stored and place[other] < place[out]):
                continue
            a, b = place[out], place[other]
            lines.append(
                f"    if (arrayexpr_overlap(&arrays[{a}], {out.type.rank}, {out.type.element.itemsize}, "
                f"&arrays[{b}], {other.type.rank}, {other.type.element.itemsize})) return ARRAYEXPR_OVERLAP;"
            )
    return list(dict.fromkeys(lines))


def _differs(place: int, operand: Operand, program: Program) -> list[str]:
    """The tests that an array has not the layout that the program was scheduled for."""
    layout = program.layouts[operand.name]
    tests = [f"arrays[{place}].shape[{axis}] != {n}" for axis, n in enumerate(layout.shape)]
    # The stride of an axis of one element says nothing.
    tests += [
        f"arrays[{place}].strides[{axis}] != {s}"
        for axis, (n, s) in enumerate(zip(layout.shape, layout.strides, strict=True))
        if n > 1
    ]
    return tests or ["0"]


def _fits(source: Program, program: Program, writer: Writer, stored: set[Operand]) -> Iterator[str]:
    """The tests that the shapes of a program on arrays fit together."""
    for statement in source.statements:
        if not isinstance(statement, Assign):
            continue
        for length, wanted, stretches in _lengths(statement):
            operands = [n.operand.name for n in postorder((length, wanted)) if isinstance(n, Extent)]
            if length is wanted or all(name in program.layouts for name in operands):
                continue
            got, asked = writer.integer(length, _COMPARED), writer.integer(wanted, _COMPARED)
            # What is stored too, or contiguous by its type, is walked by that stride however long it is.
            stretched = isinstance(stretches, Extent) and _stretches(stretches.operand, stretches.axis, stored)
            alone = f"{writer.integer(stretches, _COMPARED)} != 1 && " if stretched else ""
            yield f"    if ({alone}{got} != {asked}) return ARRAYEXPR_SHAPE;"
        for node in postorder((statement,)):
            if isinstance(node, View) and node.subscripts is not None and isinstance(base_of(node), Operand):
                lengths = iter(extents_of(node.arg))
                for item in node.subscripts:
                    if item is None:
                        continue
                    length = writer.integer(next(lengths), _COMPARED)
                    if not isinstance(item, Slice):
                        yield f"    if ({length} < {item + 1 if item >= 0 else -item}) return ARRAYEXPR_SHAPE;"


def _stretches(operand: Operand, axis: int, stored: set[Operand]) -> bool:
    return operand not in stored and operand.type.layout[axis] != UNIT


def _lengths(statement: Assign) -> Iterator[tuple[Node, Node, Node | None]]:
    """For each axis of each operand of a value: its length, the length that it must have, and the length that
    may be 1 in its stead, whose one element is then read all along."""
    stack: list[tuple[Node, tuple[Node, ...]]] = [(statement.value, extents_of(statement.target))]
    seen = set()
    while stack:
        node, wanted = stack.pop()
        wanted = wanted[len(wanted) - node.type.rank :]
        if (node, wanted) in seen or not wanted:
            continue
        seen.add((node, wanted))
        if isinstance(node, View) and not isinstance(base_of(node), Operand):
            inner: list[Node] = list(wanted)
            for place, axis in enumerate(node.order):
                inner[axis] = wanted[place]
            stack.append((node.arg, tuple(inner)))
        elif isinstance(node, View | Operand):
            for length, asked, whole in zip(extents_of(node), wanted, _whole_axes(node), strict=True):
                if not isinstance(length, Constant) or length.value != 1:
                    yield length, asked, whole
        else:
            stack.extend((child, wanted) for child in node.args)


def _whole_axes(view: Node) -> list[Node | None]:
    """For each axis of views of an operand the length of the operand's axis, where it is that as a whole."""
    chain = []
    while isinstance(view, View):
        chain.append(view)
        view = view.arg
    axes: list[Node | None] = [Extent(view, axis) for axis in range(view.type.rank)]
    for link in reversed(chain):
        if link.order is not None:
            axes = [axes[axis] for axis in link.order]
            continue
        inner, axes = iter(axes), []
        for item in link.subscripts:
            if item is None:
                axes.append(None)
                continue
            axis = next(inner)
            if isinstance(item, Slice):
                whole = item.start is None and item.stop is None and item.step in (None, 1, -1)
                axes.append(axis if whole else None)
    return axes


def _within(program: Program, writer: Writer, stored: set[Operand]) -> Iterator[str]:
    """The tests that a schedule written as such does not walk beyond the axes that its loops walk along.

    It does not say whether a loop was meant to walk a whole axis: one that is longer is taken.
    """
    place = {operand: k for k, operand in enumerate(program.declared)}
    for operand, axis, stop in _walked(program):
        # An operand of a known layout is tested as a whole, and joined loops walk beyond its axes.
        if operand.name in program.layouts or operand.type.layout[axis] == BROADCAST:
            continue
        if not (isinstance(stop, Extent) and (stop.operand, stop.axis) == (operand, axis)):
            length = f"arrays[{place[operand]}].shape[{axis}]"
            alone = f"{length} != 1 && " if _stretches(operand, axis, stored) else ""
            yield f"    if ({alone}{length} < {writer.integer(stop, _COMPARED)}) return ARRAYEXPR_SHAPE;"


def _walked(program: Program) -> list[tuple[Operand, int, Node]]:
    """For each axis of an operand that a loop walks along from 0: the operand, the axis and the loop's end."""
    found: dict[tuple[Operand, int, Node], None] = {}
    declared = set(program.declared)
    for statement in program.statements:
        # A tile's loop goes where the loop over tiles goes. Another statement's loop may have the same index.
        loops: dict[Node, Loop] = {}
        for inner in enclosed((statement,)):
            if isinstance(inner, Loop):
                loops[inner.index] = loops.get(inner.start, inner)
        for node in postorder((statement,)):
            if isinstance(node, Load | Store) and node.operand in declared:
                for axis, subscript in enumerate(node.subscripts):
                    if subscript in loops and loops[subscript].start is integer(0):
                        found[node.operand, axis, loops[subscript].stop] = None
    return list(found)


def _scratch_function(program: Program, writer: Writer) -> list[str]:
    """NAME_scratch: the bytes of scratch that a call needs."""
    sizes = []
    declared: set[str] = set()
    for statement in enclosed(program.statements):
        if isinstance(statement, Scratch):
            extents = [writer.integer(e, 10) for e in statement.extents]
            size = " * ".join([*extents, str(statement.operand.type.element.itemsize)])
            sizes.append(f"({size} + 63) / 64 * 64")
            declared.update(_extent_lines(program, writer, statement))
    body = (
        ["    (void)arrays;", "    return 0;"] if not sizes else [*sorted(declared), f"    return {' + '.join(sizes)};"]
    )
    return [f"ptrdiff_t {program.name}_scratch(const arrayexpr_array *arrays) {{", *body, "}"]


def _extent_lines(program: Program, writer: Writer, statement: Scratch) -> list[str]:
    place = {operand: k for k, operand in enumerate(program.declared)}
    return [
        f"    const ptrdiff_t {writer.names.of('operand', n.operand.name)}_n{n.axis} = "
        f"arrays[{place[n.operand]}].shape[{n.axis}];"
        for n in postorder(statement.extents)
        if isinstance(n, Extent)
    ]
