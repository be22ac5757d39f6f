"""Where the elements lie that a loop visits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrayexpr._core.affine import depends
from arrayexpr._core.nodes import Apply, Load, Loop, Node, Store, substitute
from arrayexpr._core.ops import operator

if TYPE_CHECKING:
    from .clike import Writer

_SUBTRACT = operator("subtract")


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


def is_fixed(writer: Writer, access: Load, loop: Loop) -> bool:
    """Whether a loop reads one element all along."""
    moving = [axis for axis, subscript in enumerate(access.subscripts) if depends(subscript, loop.index)]
    return all(writer.stride(access.operand, axis) == "0" for axis in moving)
