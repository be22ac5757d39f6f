"""Emission of vector math: a loop of one function over a strip is one call, elsewhere it is a function of one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrayexpr._core.nodes import Apply, Constant, For, Load, Loop, Node, Scratch, Store
from arrayexpr._core.ops import Operator
from arrayexpr._core.primitives import text
from arrayexpr._core.types import ElementType
from arrayexpr._core.vector_math import C_TYPES, EXACT, OWN, function_of, header

from .addresses import address
from .vectors import Vectors

if TYPE_CHECKING:
    from .clike import Writer


def function(writer: Writer, op: Operator, t: ElementType) -> str:
    """The name of an operator's function over strips; its C is put among the writer's helpers."""
    name = function_of(op, t)
    suffix = "f" if t.name == "float32" else ""
    writer.helpers.setdefault(header().strip())
    if name in EXACT:
        writer.helpers.setdefault(header("remainder.h").strip())
        writer.need(op, t)
        writer.helpers.setdefault(f"ARRAYEXPR_{name.upper()}({C_TYPES[t.name]}, {t.name}, {suffix})")
        return f"arrayexpr_{name}_{t.name}"
    own = (name, t.name) in OWN
    if own:
        writer.helpers.setdefault(header("vector_math_avx512.h").strip())
    writer.helpers.setdefault(
        f"ARRAYEXPR_{'OWN_' * own}MATH_{op.arity}({name}, {C_TYPES[t.name]}, {t.name}, {name}{suffix})"
    )
    return f"arrayexpr_{name}_{t.name}"


def call(writer: Writer, loop: For) -> bool:
    """Write a loop as a call, where it is a function of elements side by side, into elements side by side."""
    if not writer.vector_math or not isinstance(loop, Loop) or len(loop.body) != 1:
        return False
    (store,) = loop.body
    if not isinstance(store, Store) or not isinstance(store.value, Apply) or not isinstance(loop.step, Constant):
        return False
    op, args = store.value.op, store.value.args
    t = args[0].type.element
    if loop.step.value != 1 or function_of(op, t) is None or not all(isinstance(a, Load) for a in args):
        return False
    places = [address(writer, access, loop) for access in (store, *args)]
    if None in places:
        return False
    c_type = C_TYPES[t.name]
    start, stop = writer.bound(loop.start), writer.bound(loop.stop)
    count = stop if start == "0" else f"{stop} - {start}"
    pointers = [f"({c_type} *)({places[0]})", *(f"(const {c_type} *)({place})" for place in places[1:])]
    writer.line(f"{function(writer, op, t)}({', '.join(pointers)}, {count});")
    return True


# -- Whole vectors ------------------------------------------------------------------------------
# Where every function of a strip loop is inline code for vectors, whole vectors go through all of its stages in
# registers, and the strips are left the rest. Measured on exp(-x*x) * sin(y) over 40,000 doubles, ns an element: gcc's
# chain of calls into libmvec 0.81, strips 0.54, registers 0.49.


def vectors(writer: Writer, loop: For, index: str, start: str, stop: str) -> bool:
    """Write a strip loop in whole vectors, for processors that have them; False, and nothing, where it cannot be.

    Afterwards a block and the `#else` of a condition are open, for the strips of other processors.
    """
    if not writer.vector_math or not isinstance(loop, Loop) or loop.role != "serial" or loop.index not in _starts(loop):
        return False
    found = Vectors(writer)
    results: list[str] = []
    for stage in loop.body:
        if isinstance(stage, Scratch):
            continue
        if not isinstance(stage, Loop) or stage.start is not loop.index:
            return False
        stored = found.take(stage)
        if stored is None:
            return False
        for store, value in stored:
            results.append(address(writer, store, stage) or "")
            found.lines.append(f"{{store}}(double *)({results[-1]}){{mask}}, {value});")
    if not found.functions:
        return False
    for op, t in found.functions.items():
        function(writer, op, t)
    last = loop.body[-1]
    streams = isinstance(last, Loop) and last.role == "stream" and len(results) == 1
    if streams:
        writer.helpers.setdefault(text("stream.h"))
    lead, count, mask = (writer.local(letter) for letter in "lnm")
    some = {"load": found.masked(mask), "store": "_mm512_mask_storeu_pd(", "mask": f", {mask}"}
    whole = {"load": found.load, "store": "_mm512_stream_pd(" if streams else "_mm512_storeu_pd(", "mask": ""}
    size = writer.dialect.index
    writer.line("{")
    writer.depth += 1
    writer.line(f"{size} {index} = {start};")
    writer.line("#if ARRAYEXPR_VECTOR_MATH == 64")
    if streams:
        writer.line(f"{size} {lead} = arrayexpr_lead({results[0]}, 8, {stop} - {index});")
    writer.line(f"while ({index} < {stop}) {{")
    writer.depth += 1
    for line in found.before:
        writer.line(line)
    unless = f"!{lead} && " if streams else ""
    writer.line(f"for (; {unless}{index} <= {stop} - 8; {index} += 8) {{")
    for place in found.loads if streams else ():
        writer.line(f"    arrayexpr_ahead({place}, 64, 64);")
    writer.prefetch(loop, 8, stop)
    for line in found.lines:
        writer.line("    " + line.format(**whole))
    writer.line("}")
    writer.line(f"if ({index} == {stop}) break;")
    # What is before the first cache line of the result, and what is left, in vectors that are masked.
    writer.line(f"{size} {count} = {stop} - {index} < 8 ? {stop} - {index} : 8;")
    if streams:
        writer.line(f"if ({lead} && {lead} < {count}) {count} = {lead};")
        writer.line(f"{lead} -= {lead} ? {count} : 0;")
    writer.line(f"const __mmask8 {mask} = (__mmask8)((1u << {count}) - 1);")
    for line in found.lines:
        writer.line(line.format(**some))
    writer.line(f"{index} += {count};")
    writer.depth -= 1
    writer.line("}")
    writer.line("#else")
    return True


def _starts(loop: Loop) -> set[Node]:
    return {stage.start for stage in loop.body if isinstance(stage, Loop)}
