"""Views that move: subscripts that are expressions, as numbers, and the steps that take such views of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ShapeMismatch, UnsupportedError
from ..interpret import subscripts_at
from ..nodes import Apply, Cast, Constant, Extent, Node, Operand, View
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
