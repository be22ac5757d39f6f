"""What a program was changed under: that arrays share no memory, that values have one shape, that some are large."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .infer import shape
from .layout import Layout
from .nodes import Apply, Constant, Extent, Node, Operand, postorder
from .record import record

if TYPE_CHECKING:
    from .program import Program

#: np.shares_memory is exact, and exponential at worst: beyond this much work an overlap is assumed.
OVERLAP_WORK = 10_000


@record
class Assumption:
    """That no operand of `apart` shares memory with another one, and both of each pair of `alike` have one shape.

    `lengths` are conditions on the lengths of the caller's arrays, such as that a product is large. Where that does not
    hold, `otherwise` is what the program means.
    """

    apart: tuple[str, ...]
    alike: tuple[tuple[Node, Node], ...]
    otherwise: Program
    lengths: tuple[Node, ...] = ()

    def holds(self, arrays: Mapping[str, Any], but: Collection[str] = ()) -> bool:
        """Whether it is so of arrays by name; those not given are made for the program. `but`: what is so anyway."""
        named = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}
        for name in self.apart:
            if name in named and name not in but:
                mine = named[name]
                if any(name != other and share_memory(mine, array) for other, array in named.items()):
                    return False
        for one, other in self.alike:
            wanted = {node.name for node in postorder((one, other)) if isinstance(node, Operand)}
            layouts = {name: Layout.of(named[name]) for name in wanted if name in named}
            if isinstance(other, Operand) and other.name not in named:
                # What the value makes has its shape.
                continue
            found = shape(one, layouts)
            if found is None or found != shape(other, layouts):
                return False
        return all(_value(condition, named) for condition in self.lengths)


def _value(expression: Node, arrays: Mapping[str, Any]) -> Any:
    """The value of an expression over lengths."""
    match expression:
        case Constant(value):
            return value
        case Extent(operand, axis):
            return arrays[operand.name].shape[axis]
    assert isinstance(expression, Apply), expression
    return expression.op.numpy(*(_value(arg, arrays) for arg in expression.args))


def share_memory(one: Any, other: Any) -> bool:
    """Whether two arrays share memory, as far as can be told soon: True where it cannot."""
    if not np.may_share_memory(one, other):
        return False
    try:
        return bool(np.shares_memory(one, other, max_work=OVERLAP_WORK))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
