"""Emission of vector math: a loop of one function over a strip is one call, elsewhere it is a function of one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrayexpr._core.affine import depends
from arrayexpr._core.nodes import Apply, Constant, For, Load, Loop, Node, Store, substitute
from arrayexpr._core.ops import Operator, operator
from arrayexpr._core.types import ElementType
from arrayexpr._core.vector_math import C_TYPES, function_of, header

if TYPE_CHECKING:
    from .clike import Writer

_SUBTRACT = operator("subtract")


def function(writer: Writer, op: Operator, t: ElementType) -> str:
    """The name of an operator's function over strips; its C is put among the writer's helpers."""
    name = function_of(op, t)
    suffix = "f" if t.name == "float32" else ""
    writer.helpers.setdefault(header().strip())
    writer.helpers.setdefault(f"ARRAYEXPR_MATH_{op.arity}({name}, {C_TYPES[t.name]}, {t.name}, {name}{suffix})")
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
    places = [_address(writer, access, loop) for access in (store, *args)]
    if None in places:
        return False
    c_type = C_TYPES[t.name]
    start, stop = writer.bound(loop.start), writer.bound(loop.stop)
    count = stop if start == "0" else f"{stop} - {start}"
    pointers = [f"({c_type} *)({places[0]})", *(f"(const {c_type} *)({place})" for place in places[1:])]
    writer.line(f"{function(writer, op, t)}({', '.join(pointers)}, {count});")
    return True


def _address(writer: Writer, access: Node, loop: Loop) -> str | None:
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
