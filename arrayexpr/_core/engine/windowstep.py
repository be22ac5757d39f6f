"""Views that move: subscripts that are expressions, as numbers, and the steps that take such views of arrays."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import ShapeMismatch, UnsupportedError
from ..interpret import subscripts_at
from ..nodes import Apply, Cast, Constant, Extent, Node, Operand, Slice, View, postorder
from ..printer import show

Slots = Mapping[str, Any]
Number = Callable[[Slots], Any]

#: Operators that Python's own integers compute, a tenth of the time of NumPy's.
_PYTHON: dict[str, Callable[[int, int], int]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "minimum": min,
    "maximum": max,
}


@dataclass(frozen=True, slots=True)
class WindowStep:
    """Sets a slot to views of another one's array, whose subscripts `numbers` compute from the slots."""

    slot: str
    base: str
    views: tuple[View, ...]
    numbers: tuple[tuple[Number, ...], ...]
    records: ClassVar[bool] = True

    @staticmethod
    def of(slot: str, node: Node) -> WindowStep:
        """The step for views of an operand."""
        views: list[View] = []
        while isinstance(node, View):
            views.append(node)
            node = node.arg
        assert isinstance(node, Operand), node
        views.reverse()
        return WindowStep(slot, node.name, tuple(views), tuple(tuple(map(number, v.args[1:])) for v in views))

    def run(self, slots: dict[str, Any], *how: Any) -> None:
        """Set the slot."""
        slots[self.slot] = self.array(slots)

    def array(self, slots: Slots) -> Any:
        """The views of the array that the base slot has."""
        array = slots[self.base]
        for view, numbers in zip(self.views, self.numbers, strict=True):
            if view.order is not None:
                array = array.transpose(view.order)
                continue
            try:
                array = array[(*subscripts_at(view, iter([n(slots) for n in numbers])), ...)]
            except IndexError as error:
                raise ShapeMismatch(f"{show(view)}: {error}, of shape {array.shape}") from None
        return array

    def is_even(self, index: str, assigned: Collection[str], slots: Slots, values: range) -> bool:
        """Whether the view moves by the same bytes each time the index does, from the second of its values on."""
        ends = [{**slots, index: np.asarray(k, np.int64)} for k in (values[1], values[-1])]
        array = slots[self.base]
        for view, numbers in zip(self.views, self.numbers, strict=True):
            if not all(_is_affine(n, index, assigned) for n in view.args[1:]):
                return False
            if view.order is not None:
                array = array.transpose(view.order)
                continue
            first, last = ([n(at) for n in numbers] for at in ends)
            places = iter(zip(first, last, strict=True))
            axis = 0
            for item in view.subscripts:
                if item is None:
                    continue
                length = array.shape[axis]
                axis += 1
                whole = item if isinstance(item, Slice) else (item,)
                for bound in whole:
                    if not isinstance(bound, Node):
                        continue
                    # Counted from the end at both ends, or at none; and nothing is clipped on the way.
                    a, b = next(places)
                    if not (0 <= a <= length and 0 <= b <= length or -length <= a < 0 and -length <= b < 0):
                        return False
            array = array[(*subscripts_at(view, iter(first)), ...)]
        return True


def _is_affine(node: Node, index: str, assigned: Collection[str]) -> bool:
    """Whether a scalar is affine in an index, all else in it being the same in every iteration."""
    match node:
        case Constant() | Extent():
            return True
        case Operand(name):
            return name == index or name not in assigned
        case Apply(op, (x, y)) if op.name in ("add", "subtract"):
            return _is_affine(x, index, assigned) and _is_affine(y, index, assigned)
        case Apply(op, (x, y)) if op.name == "multiply":
            if not (_is_affine(x, index, assigned) and _is_affine(y, index, assigned)):
                return False
            return not (_mentions(x, index) and _mentions(y, index))
        case Apply() | Cast():
            return not _mentions(node, index) and all(_is_affine(x, index, assigned) for x in node.args)
    return False


def _mentions(node: Node, name: str) -> bool:
    return any(isinstance(n, Operand) and n.name == name for n in postorder((node,)))


def number(node: Node) -> Number:
    """A scalar expression as a function of the slots."""
    match node:
        case Constant(value):
            return lambda slots: value
        case Operand(name):
            return lambda slots: slots[name].item()
        case Extent():
            name, axis = node.operand.name, node.axis
            return lambda slots: slots[name].shape[axis]
        case View():
            window = WindowStep.of("", node)
            return lambda slots: window.array(slots).item()
        case Cast(arg):
            inner, element = number(arg), node.type.element
            return lambda slots: np.asarray(inner(slots)).astype(element.dtype).item()
        case Apply(op, args):
            given = tuple(map(number, args))
            python = _PYTHON.get(op.name) if node.type.element.kind == "i" else None
            if python is not None:
                x, y = given
                return lambda slots: python(x(slots), y(slots))
            dtypes = [arg.type.element.dtype for arg in args]
            return lambda slots: op.numpy(
                *[np.asarray(g(slots), dtype=t) for g, t in zip(given, dtypes, strict=True)]
            ).item()
    raise UnsupportedError(f"{show(node)} is no subscript: expected numbers, scalars and operators")


def moves(node: Node) -> bool:
    """Whether a chain of views has a subscript that is an expression."""
    while isinstance(node, View):
        if len(node.args) > 1:
            return True
        node = node.arg
    return False
