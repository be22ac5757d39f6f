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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from arrayexpr._core.affine import linear
from arrayexpr._core.errors import UnsupportedError
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Barrier,
    Constant,
    Disjoint,
    Extent,
    For,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Pack,
    Scratch,
    Store,
    Stride,
    postorder,
)
from arrayexpr._core.ops import Operator, operators
from arrayexpr._core.passes.joint import conjuncts, scalars_of
from arrayexpr._core.passes.nests import enclosed
from arrayexpr._core.program import Program, assigned_operand
from arrayexpr._core.types import BROADCAST, STRIDED

from .clike import KEYWORDS, OPENCL_WORDS, Dialect, Writer, is_whole, of_lengths

C = Dialect(
    name="c",
    disjoint="!arrayexpr_{}(&arrays[{}], {}, {}, &arrays[{}], {}, {})",
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

_TO_LAST = """\
/* The step from the first value of a loop to its last one. */
static inline ptrdiff_t arrayexpr_to_last(ptrdiff_t start, ptrdiff_t stop, ptrdiff_t step) {
    ptrdiff_t steps = (stop - start + (step > 0 ? -1 : 1)) / step;
    return steps > 1 ? steps * step : step;
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
    writer.apart = not checked
    for statement in enclosed(program.statements) if checked else ():
        if type(statement) is For and not isinstance(statement.step, Constant):
            raise UnsupportedError(
                f"the step of loop {statement.index.name} is {statement.step!r}: expected a number, for C"
            )
    named = _conditions(program, writer)
    for condition, (variable, _) in named.items():
        writer.know(condition, variable)
    lines = list(writer.body(program.statements))
    writer.leave()
    prologue = _prologue(program, writer, checked, named)
    scratch = _scratch_function(program, writer)
    used = "\n".join([*prologue, *lines, *scratch, *writer.helpers])
    helpers = [text for t, text in _COMPLEX.items() if f"arrayexpr_{t}" in used]
    if "arrayexpr_overlap(" in used:
        helpers.append(_OVERLAP)
    if "arrayexpr_share(" in used:
        helpers.append(_SHARE)
    if "arrayexpr_to_last(" in used:
        helpers.append(_TO_LAST)
    helpers.extend(writer.helpers)
    text = [_describe(program, "arrayexpr_v_" in used), *scratch]
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


def _conditions(program: Program, writer: Writer) -> dict[Node, tuple[str, str]]:
    """The tests of memory that guards make, and of lengths beside it: the variable that holds each, and its text."""
    found: dict[Node, tuple[str, str]] = {}
    for guard in enclosed(program.statements):
        if isinstance(guard, Guard) and guard.condition not in found and _at_call(guard.condition, program):
            if any(isinstance(node, Disjoint) for node in postorder((guard.condition,))):
                variable = writer.names.of("value", "apart" if not found else f"apart_{len(found) + 1}")
                found[guard.condition] = variable, writer.integer(guard.condition)
    return found


def _at_call(condition: Node, program: Program) -> bool:
    """Whether a condition can be told before anything is done: it is of lengths, memory, and scalars that stay."""
    scalars = scalars_of(condition)
    return of_lengths(condition) and not any(
        isinstance(s, Store) and s.operand in scalars for s in enclosed(program.statements)
    )


def _prologue(program: Program, writer: Writer, checked: bool, conditions: Mapping[Node, tuple[str, str]]) -> list[str]:
    """Name the pointer, lengths and byte strides that the body uses of each operand, and make the tests of guards."""
    tests = [f"    const int {variable} = {text};" for variable, text in conditions.values()]
    for condition, (variable, _) in conditions.items():
        writer.know(condition, variable)
    body = "\n".join([*writer.lines, *tests])
    stored = {s.operand for s in enclosed(program.statements) if isinstance(s, Store)}
    stored |= {assigned_operand(s.target) for s in program.statements if isinstance(s, Assign)}
    checks = _checks(program, writer, stored) if checked else []
    tested = "\n".join(checks)
    lines = []
    for k, operand in enumerate(program.declared):
        name = writer.names.of("operand", operand.name)
        if _uses(body + tested, name):
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
    return lines + tests + checks


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
    # Loops as they are written have no conditions of theirs, nor has a program that says none.
    plain = [s for s in program.statements if not (program.requires and type(s) is Loop)]
    tests: _Tests = {}
    for condition in program.requires:
        _test(condition, writer, stored, tests)
    for shorter in _too_short(program, plain, writer, place, stored, ""):
        tests[f"if ({shorter}) return ARRAYEXPR_SHAPE;"] = {}
    lines.extend(_nested(tests, 1))
    apart = program.assumption.apart if program.assumption is not None else ()
    tested = set(_in_one_piece(program.statements, frozenset(), place))
    for out in program.declared:
        if out not in tested:
            continue
        for other in program.declared:
            if other is out or (other in tested and place[other] < place[out]):
                continue
            a, b = place[out], place[other]
            # Where statements were fused, not even the same view will do.
            test = "share" if out.name in apart or other.name in apart else "overlap"
            lines.append(
                f"    if (arrayexpr_{test}(&arrays[{a}], {out.type.rank}, {out.type.element.itemsize}, "
                f"&arrays[{b}], {other.type.rank}, {other.type.element.itemsize})) return ARRAYEXPR_OVERLAP;"
            )
    return lines


#: Lines of C, each with those of the block that it opens.
_Tests = dict[str, "_Tests"]


def _nested(tests: _Tests, depth: int) -> Iterator[str]:
    for line, block in tests.items():
        inner = list(_nested(block, depth + 1))
        if line.endswith("{") and not inner:
            continue
        yield "    " * depth + line
        if inner:
            yield from inner
            yield "    " * depth + "}"


def _test(condition: Node, writer: Writer, stored: set[Operand], tests: _Tests) -> None:
    """Add the test of one of `Program.requires`: a condition, or a statement around some."""
    match condition:
        case Guard(test, (Barrier(),), ()):
            _test(test, writer, stored, tests)
        case Guard(test, then, otherwise):
            # What is told too late is taken to hold.
            if writer.changing.isdisjoint(postorder((test,))):
                sign = "" if then else "!"
                tests = tests.setdefault(f"if ({sign}{writer.integer(test, 11 if sign else 0)}) {{", {})
            for inner in then or otherwise:
                _test(inner, writer, stored, tests)
        case For():
            _of_what_stays((condition.start, condition.stop), writer)
            tests = tests.setdefault(_header(condition, writer, ends=all(map(_is_linear, condition.body))), {})
            for inner in condition.body:
                _test(inner, writer, stored, tests)
        case _:
            memory = [n for n in postorder((_needed(condition),)) if isinstance(n, Disjoint)]
            if all(o in writer.program.declared for n in memory for o in (n.one, n.other)):
                code = "OVERLAP" if memory else "SHAPE"
                tests[f"if ({_denied(condition, writer, stored)}) return ARRAYEXPR_{code};"] = {}


def _needed(condition: Node) -> Node:
    """What has to hold where the tests around a condition do."""
    while isinstance(condition, Apply) and condition.op.name == "where":
        _, then, otherwise = condition.args
        condition = otherwise if isinstance(then, Constant) else then
    return condition


def _of_what_stays(nodes: Iterable[Node], writer: Writer) -> None:
    """Refuse what a call cannot know before it does anything."""
    for node in postorder(list(nodes)):
        if node in writer.changing:
            raise UnsupportedError(
                f"where views or loops end depends on {node!r}, which the program assigns: expected what stays, for C"
            )


def _is_linear(condition: Node) -> bool:
    """Whether a condition holds in every iteration of a loop where it holds in the first and the last."""
    match condition:
        case Guard(Apply(op, (x, y)), (Barrier(),), ()) if op.name in ("equal", "less"):
            return linear(x) is not None and linear(y) is not None
    return False


def _header(loop: For, writer: Writer, *, ends: bool = False) -> str:
    """The head of a loop that stays, over all values of its index, or over the first and the last."""
    i = writer.names.of("index", loop.index.name)
    start, stop, step = (writer.integer(bound, 9) for bound in (loop.start, loop.stop, loop.step))
    falls = isinstance(loop.step, Constant) and loop.step.value < 0
    if ends:
        step = f"arrayexpr_to_last({start}, {stop}, {step})"
    return f"for (ptrdiff_t {i} = {start}; {i} {'>' if falls else '<'} {stop}; {i} += {step}) {{"


def _in_one_piece(
    statements: Sequence[Node], apart: frozenset[Node], place: Mapping[Operand, int]
) -> Iterator[Operand]:
    """What is assigned by nests of assignments that partly overlapping memory would change.

    Loops as they were written run in their order, and what guards know to be apart is.
    """
    for statement in statements:
        if isinstance(statement, Guard):
            holds = {n for n in conjuncts(statement.condition) if isinstance(n, Disjoint)}
            yield from _in_one_piece(statement.then, apart | holds, place)
            yield from _in_one_piece(statement.otherwise, apart, place)
        elif type(statement) is Loop:
            nodes = postorder((statement,))
            touched = {n.operand for n in nodes if isinstance(n, Load | Store)} & place.keys()
            touched |= {n.source for n in nodes if isinstance(n, Pack)}
            for out in {n.operand for n in nodes if isinstance(n, Store)} & place.keys():
                if touched == {out} or not all(_are_apart(out, other, apart) for other in touched - {out}):
                    yield out
        elif type(statement) is For:
            yield from _in_one_piece(statement.body, apart, place)
        elif isinstance(statement, Assign):
            yield assigned_operand(statement.target)


def _are_apart(one: Operand, other: Operand, facts: Collection[Node]) -> bool:
    return any(Disjoint(*pair, same) in facts for pair in ((one, other), (other, one)) for same in (False, True))


def _denied(condition: Node, writer: Writer, stored: set[Operand]) -> str:
    """The C that holds where one of `Program.requires` does not."""
    if isinstance(condition, Disjoint):
        return writer.disjoint(condition).removeprefix("!")
    assert isinstance(condition, Apply)
    if condition.op.name == "where":
        test, then, otherwise = condition.args
        needed, sign = (otherwise, "!") if isinstance(then, Constant) else (then, "")
        if not writer.changing.isdisjoint(postorder((test,))):
            # What is told too late is taken to hold.
            return _denied(needed, writer, stored)
        text = writer.integer(test, 11)
        return f"{sign}{text} && {_bracketed(_denied(needed, writer, stored))}"
    if condition.op.name == "logical_or":
        alone, same = condition.args
        length = alone.args[0]
        if isinstance(length, Extent) and not _stretches(length.operand, length.axis, stored):
            return _denied(same, writer, stored)
        return " && ".join(_denied(part, writer, stored) for part in condition.args)
    _of_what_stays((condition,), writer)
    x, y = (writer.integer(part, 9) for part in condition.args)
    return f"{x} {'!=' if condition.op.name == 'equal' else '>='} {y}"


def _bracketed(text: str) -> str:
    return f"({text})" if "||" in text or "&&" in text else text


def _stretches(operand: Operand, axis: int, stored: set[Operand]) -> bool:
    """Whether one element may stand for a whole axis.

    What is stored too, or contiguous by its type, is walked by that stride however long it is.
    """
    return operand not in stored and operand.type.layout[axis] in (STRIDED, BROADCAST)


def _too_short(
    program: Program,
    statements: Iterable[Node],
    writer: Writer,
    place: dict[Operand, int],
    stored: set[Operand],
    path: str,
) -> Iterator[str]:
    """Where a whole loop walks an axis: that this is shorter. `path` is the C of the conditions around the loops."""
    for statement in statements:
        if isinstance(statement, Guard):
            # What is done under a condition on elements may be what keeps to the bounds.
            if _at_call(statement.condition, program):
                test = writer.integer(statement.condition, 11)
                inside = (path, path)
                if not any(isinstance(n, Stride) for n in postorder((statement.condition,))):
                    inside = f"{path}{test} && ", f"{path}!{test} && "
                for branch, around in zip((statement.then, statement.otherwise), inside, strict=True):
                    loops = [s for s in branch if not (program.requires and type(s) is Loop)]
                    yield from _too_short(program, loops, writer, place, stored, around)
            continue
        if not isinstance(statement, For):
            continue
        body = [s for s in statement.body if not (program.requires and type(s) is Loop)]
        yield from _too_short(program, body, writer, place, stored, path)
        guarded = {n for s in statement.body if isinstance(s, Guard) for n in postorder((s,))}
        for node in postorder(body):
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
                yield f"{path}{alone}{length} < {writer.integer(wanted, 9)}"


def _scratch_function(program: Program, writer: Writer) -> list[str]:
    """NAME_scratch: the bytes of scratch that a call needs, of the branches that it takes."""
    wanted = [s for s in enclosed(program.statements) if isinstance(s, Scratch) and s.operand not in writer.automatic]
    head = f"ptrdiff_t {program.name}_scratch(const arrayexpr_array *arrays) {{"
    if not wanted:
        return [head, "    (void)arrays;", "    return 0;", "}"]
    # One that has given no names to bounds, which are the kernel's own.
    sizes = Writer(program, C, reserved=(program.name, f"{program.name}_scratch", "size"))
    total = _scratch_of(program, program.statements, sizes, writer.automatic)
    writer.helpers.update(sizes.helpers)
    text = "\n".join([*sizes.lines, total])
    place = {operand: k for k, operand in enumerate(program.declared)}
    declared = [
        f"    const ptrdiff_t {name} = arrays[{k}].shape[{axis}];"
        for operand, k in place.items()
        for axis in range(operand.type.rank)
        if _uses(text, name := f"{sizes.names.of('operand', operand.name)}_n{axis}")
    ]
    declared += [
        f"    const char *{name} = (const char *)arrays[{k}].data;"
        for operand, k in place.items()
        if not operand.type.rank and _uses(text, name := sizes.names.of("operand", operand.name))
    ]
    unused = [] if "arrays" in text or declared else ["    (void)arrays;"]
    return [head, *unused, *declared, *sizes.lines, f"    return {total};", "}"]


def _scratch_of(program: Program, statements: Sequence[Node], writer: Writer, automatic: Collection[Operand]) -> str:
    """The bytes of scratch that statements take, those of one branch of a guard where its test is of lengths.

    Of a loop they are the most that an iteration takes: where its index tells, lines that go through all of them are
    written before.
    """
    sizes = []
    for statement in statements:
        if isinstance(statement, Scratch) and statement.operand not in automatic:
            _of_what_stays(statement.extents, writer)
            extents = [writer.integer(e, 10) for e in statement.extents]
            size = " * ".join([*extents, str(statement.operand.type.element.itemsize)])
            sizes.append(f"({size} + 63) / 64 * 64")
        elif isinstance(statement, For):
            sizes.append(_most_of(program, statement, writer, automatic))
        elif isinstance(statement, Guard):
            branches = statement.then, statement.otherwise
            then, otherwise = (_scratch_of(program, branch, writer, automatic) for branch in branches)
            strides = any(isinstance(n, Stride) for n in postorder((statement.condition,)))
            if _is_told(statement.condition, writer) and not strides:
                if (then, otherwise) != ("0", "0"):
                    sizes.append(f"({writer.integer(statement.condition, 2)} ? {then} : {otherwise})")
            else:
                sizes += [then, otherwise]
    return " + ".join(size for size in sizes if size != "0") or "0"


def _is_told(condition: Node, writer: Writer) -> bool:
    """Whether a test can be made before anything is done, in loops over the indices that it reads."""
    return is_whole(condition) and writer.changing.isdisjoint(postorder((condition,)))


def _most_of(program: Program, loop: For, writer: Writer, automatic: Collection[Operand]) -> str:
    """The bytes of scratch that an iteration of a loop takes at the most."""
    before, writer.lines[:] = list(writer.lines), []
    writer.depth += 1
    size = _scratch_of(program, loop.body, writer, automatic)
    writer.depth -= 1
    inside, writer.lines[:] = list(writer.lines), before
    index = writer.names.of("index", loop.index.name)
    if not _uses("\n".join([*inside, size]), index):
        writer.lines += [line.removeprefix("    ") for line in inside]
        return size
    _of_what_stays((loop.start, loop.stop), writer)
    most, own = writer.local("size"), writer.local("size")
    writer.line(f"ptrdiff_t {most} = 0;")
    writer.line(_header(loop, writer))
    writer.lines += inside
    writer.line(f"    const ptrdiff_t {own} = {size};")
    writer.line(f"    if ({own} > {most}) {most} = {own};")
    writer.line("}")
    return most
