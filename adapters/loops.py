"""The loops of the block engine that NumPy has not got, or not with the bits of emitted C: written by the C printer.

    python -m arrayexpr.adapters.loops > arrayexpr/_core/engine/loops.h

makes the header anew after a change of the table of operators or of the printer; a test compares the two. Each loop
has the form of NumPy's inner loops, and the text of its element is what emitted kernels have for it.
"""

from __future__ import annotations

import re

from arrayexpr._core.nodes import Apply, Cast, Node, Operand
from arrayexpr._core.ops import Operator, operators
from arrayexpr._core.program import Program
from arrayexpr._core.types import BOOL, ElementType, Int, elements
from arrayexpr.target import Target

from .c import _COMPLEX, C
from .clike import _ATOM, Writer

#: Operators that NumPy has as no ufunc.
_NO_UFUNC = ("where", "clip", "fma", "trunc_divide", "real", "imag", "complex")
#: Those where it leaves open which of two zeros comes out.
_CHOOSE = ("minimum", "maximum", "fmin", "fmax")
_PLACES = {"B": BOOL, "N": Int(32)}
_LETTERS = "abc"

_HEAD = """\
/* Written by adapters/loops.py: change that, or the table of operators, and make this anew. */

#define OPEN(name) static void name(char **p, const intptr_t *count, const intptr_t *s, void *data) { \\
    const intptr_t n = *count; (void)data;
/* The plain loop is for the vectoriser: an input may be the very strip that the output is. */
#define LOOP1(A, R, ...) \\
    if (s[0] == sizeof(A) && s[1] == sizeof(R)) { \\
        _Pragma("GCC ivdep") for (intptr_t k = 0; k < n; ++k) { \\
            const A a = ((const A *)p[0])[k]; R *const r = (R *)p[1] + k; __VA_ARGS__ } \\
    } else for (intptr_t k = 0; k < n; ++k) { \\
        const A a = *(const A *)(p[0] + k * s[0]); R *const r = (R *)(p[1] + k * s[1]); __VA_ARGS__ }
#define LOOP2(A, B, R, ...) \\
    if (s[0] == sizeof(A) && s[1] == sizeof(B) && s[2] == sizeof(R)) { \\
        _Pragma("GCC ivdep") for (intptr_t k = 0; k < n; ++k) { \\
            const A a = ((const A *)p[0])[k]; const B b = ((const B *)p[1])[k]; R *const r = (R *)p[2] + k; \\
            __VA_ARGS__ } \\
    } else for (intptr_t k = 0; k < n; ++k) { \\
        const A a = *(const A *)(p[0] + k * s[0]); const B b = *(const B *)(p[1] + k * s[1]); \\
        R *const r = (R *)(p[2] + k * s[2]); __VA_ARGS__ }
#define LOOP3(A, B, C, R, ...) \\
    if (s[0] == sizeof(A) && s[1] == sizeof(B) && s[2] == sizeof(C) && s[3] == sizeof(R)) { \\
        _Pragma("GCC ivdep") for (intptr_t k = 0; k < n; ++k) { \\
            const A a = ((const A *)p[0])[k]; const B b = ((const B *)p[1])[k]; const C c = ((const C *)p[2])[k]; \\
            R *const r = (R *)p[3] + k; __VA_ARGS__ } \\
    } else for (intptr_t k = 0; k < n; ++k) { \\
        const A a = *(const A *)(p[0] + k * s[0]); const B b = *(const B *)(p[1] + k * s[1]); \\
        const C c = *(const C *)(p[2] + k * s[2]); R *const r = (R *)(p[3] + k * s[3]); __VA_ARGS__ }
"""


def has_loop(op: Operator, t: ElementType) -> bool:
    """Whether a loop of an operator is written here for operands of a type."""
    if t.kind not in op.kinds or (op.only and t.name not in op.only):
        return False
    return (
        op.name in _NO_UFUNC
        or t.kind in op.vector_math
        # Of strided operands NumPy rounds the products one by one, of others not.
        or (op.name in ("multiply", "square") and t.kind == "c")
        or (op.name in _CHOOSE and t.kind == "f")
        or (t.kind in op.may_raise)
        or (op.name == "power" and t.kind == "u")
    )


def header() -> str:
    """The text of loops.h."""
    # Those of the vector library are in vector_loops.h.
    program = Program("loops", [], [], target=Target(vector_math=False))
    writer = Writer(program, C)
    chunks: list[tuple[str, str, bool]] = []
    for op in operators():
        # What an example in a docstring registers is not the table's own.
        if op.name.endswith("_doc") or (op.arity == 1 and op.reduction):
            continue
        for t in elements():
            if has_loop(op, t):
                types = tuple(_PLACES.get(place, t) for place in op.signature.split(">")[0])
                args = tuple(Operand(name, of) for name, of in zip(_LETTERS, types, strict=False))
                chunks.append(_loop(writer, f"{op.name}_{t.name}", Apply(op, args), args))
    for of in elements():
        for to in elements():
            # Of the type itself: a copy, which makes any byte that is not 0 true.
            arg = Operand("a", of)
            value = Apply(_not_equal(), (arg, _false())) if of is to is BOOL else Cast(arg, to) if of is not to else arg
            chunks.append(_loop(writer, f"cast_{of.name}_{to.name}", value, (arg,)))
    fused = _fused(writer)
    lines = [_HEAD, "#ifdef __FLT16_MAX__", "#define HALF(...) __VA_ARGS__", "#else", "#define HALF(...)", "#endif", ""]
    lines += [*_COMPLEX.values(), ""]
    for helper in writer.helpers:
        half = "_Float16" in helper
        lines += ["#ifdef __FLT16_MAX__", helper, "#endif"] if half else [helper]
    lines.append("")
    for _, text, half in chunks:
        lines += ["#ifdef __FLT16_MAX__", text, "#endif"] if half else [text]
    lines += [
        "#ifdef __x86_64__",
        *fused.values(),
        "#define FUSED(...) __VA_ARGS__",
        "#else",
        "#define FUSED(...)",
        "#endif",
    ]
    lines.append("\nstatic const struct { const char *name; loop_function function; } loops[] = {")
    lines += [
        f'    HALF({{"{name}", loop_{name}}},)' if half else f'    {{"{name}", loop_{name}}},'
        for name, _, half in chunks
    ]
    lines += [f'    FUSED({{"{name}", loop_{name}}},)' for name in fused]
    lines.append("};")
    return "\n".join(lines) + "\n"


def _not_equal() -> Operator:
    from arrayexpr._core.ops import operator

    return operator("not_equal")


def _false() -> Node:
    from arrayexpr._core.nodes import Constant

    return Constant(False, BOOL)


def _fused(writer: Writer) -> dict[str, str]:
    """The loops of complex products for processors that round a product and a sum once: kernels compiled there do."""
    found = {}
    for t in elements():
        helper = next((h for h in writer.helpers if f" multiply_{t.name}(" in h and "__FMA__" in h), None)
        if helper is None:
            continue
        attribute = '__attribute__((target("avx2,fma")))'
        body = re.sub(r"#if.*\n(.*\n)#else\n.*\n#endif", r"\1", helper).replace("\n\n", "\n")
        body = body.replace("static inline", f"{attribute} static inline").replace(
            f" multiply_{t.name}(", f" multiply_{t.name}_fused("
        )
        c_type = writer.type(t)
        for name, arity, args in (("multiply", 2, "a, b"), ("square", 1, "a, a")):
            loop = f"OPEN(loop_{name}_{t.name}_fused) LOOP{arity}({', '.join([c_type] * (arity + 1))}, "
            loop += f"*r = multiply_{t.name}_fused({args});) }}"
            found[f"{name}_{t.name}_fused"] = (
                f"{body}\n{attribute} {loop}" if name == "multiply" else f"{attribute} {loop}"
            )
    return found


def _loop(writer: Writer, name: str, value: Node, args: tuple[Operand, ...]) -> tuple[str, str, bool]:
    writer.lines, writer.depth, writer.may_raise = [], 0, None
    text: dict[Node, tuple[str, int]] = {arg: (letter, _ATOM) for arg, letter in zip(args, _LETTERS, strict=False)}
    if isinstance(value, Apply):
        for constant in value.args:
            if constant not in text:
                text[constant] = writer.literal(constant)  # type: ignore[arg-type]
        element = writer._apply(value.op, value.args, text)[0]
    elif isinstance(value, Cast):
        element = writer._cast(value.arg.type.element, value.type.element, text[value.arg])[0]
    else:
        element = "a"
    types = [writer.type(x.type.element) for x in (*args, value)]
    lines = " ".join(line.strip() for line in writer.lines)
    body = f"{lines + ' ' if lines else ''}*r = {element};"
    raised = ("int raised = 0; ", " if (raised) *(int *)data = 1;") if writer.may_raise else ("", "")
    loop = f"OPEN(loop_{name}) {raised[0]}LOOP{len(args)}({', '.join(types)}, {body}){raised[1]} }}"
    return name, loop, "_Float16" in loop


if __name__ == "__main__":
    print(header(), end="")
