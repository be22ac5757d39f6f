"""Emission of vector math: a loop of one function over a strip is one call, elsewhere it is a function of one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrayexpr._core.affine import depends, minus
from arrayexpr._core.nodes import Apply, Constant, For, Load, Loop, Node, Scratch, Store, substitute
from arrayexpr._core.ops import Operator, operator
from arrayexpr._core.primitives import text
from arrayexpr._core.types import ElementType
from arrayexpr._core.vector_math import C_TYPES, EXACT, OWN, function_of, header

if TYPE_CHECKING:
    from .clike import Writer

_SUBTRACT = operator("subtract")


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


def address(writer: Writer, access: Node, loop: Loop) -> str | None:
    """The first element that a loop visits; None where the next one does not follow it."""
    assert isinstance(access, Load | Store)
    operand = access.operand
    moving = [axis for axis, subscript in enumerate(access.subscripts) if depends(subscript, loop.index)]
    if len(moving) != 1 or writer.stride(operand, moving[0]) != str(operand.type.element.itemsize):
        return None
    subscripts = list(access.subscripts)
    match subscripts[moving[0]]:
        case index if index is loop.index:
            subscripts[moving[0]] = loop.start
        case Apply(op, (index, first)) if op is _SUBTRACT and index is loop.index and first is loop.start:
            return writer.names.of("operand", operand.name) if len(subscripts) == 1 else None
        case Apply(op, (index, other)) if op.name in ("add", "subtract") and index is loop.index:
            if depends(other, loop.index):
                return None
            subscripts[moving[0]] = substitute((subscripts[moving[0]],), {loop.index: loop.start}.get)[0]
        case _:
            return None
    return f"{writer.names.of('operand', operand.name)}{writer.offset(operand, list(enumerate(subscripts)))}"


# -- Whole vectors ------------------------------------------------------------------------------
# Where every function of a strip loop is inline code for vectors, whole vectors go through all of its stages in
# registers, and the strips are left the rest. Measured on exp(-x*x) * sin(y) over 40,000 doubles, ns an element: gcc's
# chain of calls into libmvec 0.81, strips 0.54, registers 0.49.

_INLINE = {"add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "true_divide": "{0} / {1}"}
_INLINE |= {"negative": "-{0}", "square": "{0} * {0}", "absolute": "_mm512_abs_pd({0})", "sqrt": "_mm512_sqrt_pd({0})"}


def vectors(writer: Writer, loop: For, index: str, start: str, stop: str) -> bool:
    """Write a strip loop in whole vectors, for processors that have them; False, and nothing, where it cannot be.

    Afterwards a block and the `#else` of a condition are open, for the strips of other processors.
    """
    if not writer.vector_math or not isinstance(loop, Loop) or loop.role != "serial" or loop.index not in _starts(loop):
        return False
    lines: list[str] = []
    results: list[str] = []
    loads: dict[str, None] = {}
    values: dict[Node, str] = {}
    functions: dict[Operator, ElementType] = {}
    for stage in loop.body:
        if isinstance(stage, Scratch):
            continue
        if not isinstance(stage, Loop) or stage.start is not loop.index or not _in_registers(writer, stage, values):
            return False
        computed: dict[Node, str] = {}
        for store in _stores(stage):
            value = _vector(writer, store.value, stage, values, functions, lines, loads)
            if store.operand in writer.automatic:
                computed[store.operand] = value
            else:
                results.append(address(writer, store, stage) or "")
                lines.append(f"{{store}}(double *)({results[-1]}){{mask}}, {value});")
        values |= computed
    if not functions:
        return False
    for op, t in functions.items():
        function(writer, op, t)
    last = loop.body[-1]
    streams = isinstance(last, Loop) and last.role == "stream" and len(results) == 1
    if streams:
        writer.helpers.setdefault(text("stream.h"))
    lead, count, mask = (writer.local(letter) for letter in "lnm")
    some = {"load": f"_mm512_maskz_loadu_pd({mask}, ", "store": "_mm512_mask_storeu_pd(", "mask": f", {mask}"}
    whole = {"load": "_mm512_loadu_pd(", "store": "_mm512_stream_pd(" if streams else "_mm512_storeu_pd(", "mask": ""}
    size = writer.dialect.index
    writer.line("{")
    writer.depth += 1
    writer.line(f"{size} {index} = {start};")
    writer.line("#if ARRAYEXPR_VECTOR_MATH == 64")
    if streams:
        writer.line(f"{size} {lead} = arrayexpr_lead({results[0]}, 8, {stop} - {index});")
    writer.line(f"while ({index} < {stop}) {{")
    writer.depth += 1
    unless = f"!{lead} && " if streams else ""
    writer.line(f"for (; {unless}{index} <= {stop} - 8; {index} += 8) {{")
    for place in loads if streams else ():
        writer.line(f"    arrayexpr_ahead({place}, 64, 64);")
    writer.prefetch(loop, 8, stop)
    for line in lines:
        writer.line("    " + line.format(**whole))
    writer.line("}")
    writer.line(f"if ({index} == {stop}) break;")
    # What is before the first cache line of the result, and what is left, in vectors that are masked.
    writer.line(f"{size} {count} = {stop} - {index} < 8 ? {stop} - {index} : 8;")
    if streams:
        writer.line(f"if ({lead} && {lead} < {count}) {count} = {lead};")
        writer.line(f"{lead} -= {lead} ? {count} : 0;")
    writer.line(f"const __mmask8 {mask} = (__mmask8)((1u << {count}) - 1);")
    for line in lines:
        writer.line(line.format(**some))
    writer.line(f"{index} += {count};")
    writer.depth -= 1
    writer.line("}")
    writer.line("#else")
    return True


def _starts(loop: Loop) -> set[Node]:
    return {stage.start for stage in loop.body if isinstance(stage, Loop)}


def _stores(stage: Loop) -> list[Store]:
    return [statement for statement in stage.body if isinstance(statement, Store)]


def _in_registers(writer: Writer, stage: Loop, values: dict[Node, str]) -> bool:
    """Whether vectors can take a loop over a strip: of doubles side by side or fixed, one result, known operators."""
    stores = _stores(stage)
    results = [store for store in stores if store.operand not in writer.automatic]
    if len(stores) < len(stage.body) or len(results) > 1 or (results and len(stores) > 1):
        return False
    for node in (*stores, *(n for store in stores for n in _scalars(store.value))):
        match node:
            case Constant():
                known = True
            case Load() | Store() if node.operand in writer.automatic and node.operand.type.rank:
                known = node.subscripts == (minus(stage.index, stage.start),)
                known = known and (isinstance(node, Store) or node.operand in values)
            case Load() | Store():
                known = address(writer, node, stage) is not None or (
                    isinstance(node, Load) and _fixed(writer, node, stage)
                )
            case Apply(op, (first, *_)):
                known = op.name in _INLINE or (function_of(op, first.type.element), "float64") in OWN
            case _:
                known = False
        t = node.operand.type.element if isinstance(node, Store) else node.type.element
        if not known or t.name != "float64":
            return False
    return True


def _fixed(writer: Writer, access: Load, loop: Loop) -> bool:
    """Whether a loop reads one element all along."""
    moving = [axis for axis, subscript in enumerate(access.subscripts) if depends(subscript, loop.index)]
    return all(writer.stride(access.operand, axis) == "0" for axis in moving)


def _scalars(value: Node) -> list[Node]:
    """A value and the values that it is computed from, those first."""
    order: dict[Node, None] = {}
    stack = [value]
    while stack:
        node = stack[-1]
        wanted = [part for part in node.args if part not in order] if isinstance(node, Apply) else []
        if wanted and node not in order:
            stack.extend(wanted)
        else:
            order[stack.pop()] = None
    return list(order)


def _vector(
    writer: Writer,
    value: Node,
    stage: Loop,
    values: dict[Node, str],
    functions: dict[Operator, ElementType],
    lines: list[str],
    loads: dict[str, None],
) -> str:
    """The name of a vector of a value's elements.

    The lines that compute it are put at the end of `lines`, and the addresses that they load from into `loads`.
    """
    names: dict[Node, str] = {}
    for node in _scalars(value):
        if isinstance(node, Load) and node.operand in writer.automatic and node.operand.type.rank:
            names[node] = values[node.operand]
            continue
        match node:
            case Load() if address(writer, node, stage) is not None:
                place = address(writer, node, stage) or ""
                loads.setdefault(place)
                line = f"{{load}}(const double *)({place}))"
            case Load() | Constant():
                line = f"_mm512_set1_pd({writer.expression(node)})"
            case Apply(op, args):
                name = function_of(op, args[0].type.element)
                if name is not None:
                    functions[op] = args[0].type.element
                    line = f"arrayexpr_v_{name}_float64({names[args[0]]})"
                else:
                    line = _INLINE[op.name].format(*(names[a] for a in args))
        names[node] = writer.local("v")
        lines.append(f"const __m512d {names[node]} = {line};")
    return names[value]
