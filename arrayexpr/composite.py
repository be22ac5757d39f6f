"""Composite functions: written once, called in kernels, and one node of every program that calls them."""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ._core.errors import ArrayExprError
from ._core.nodes import Apply, Call, Cast, Constant, Function, Node, Operand, postorder, substitute
from ._core.ops import is_operator
from ._core.printer import is_name, is_word
from .promotion import Kind
from .symbolic import SymbolicArray, as_symbolic, computed
from .tracing import Trace, symbol

#: Composites of one function, for kinds of arguments and values of those that are no arrays.
_MADE_MAX: Final = 256


class Composite:
    """A function that kernels call as one: see `function`."""

    def __init__(self, function: Callable[..., Any]):
        functools.update_wrapper(self, function)
        self.function = function
        self.signature = inspect.signature(function)
        self._made: dict[Any, tuple[Function, tuple[int, ...], Kind] | None] = {}

    def __repr__(self) -> str:
        return f"<composite {self.__name__}{self.signature}>"  # type: ignore[attr-defined]

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if not any(type(arg) is SymbolicArray for arg in (*args, *keywords.values())):
            return self.function(*args, **keywords)
        bound = self.signature.bind(*args, **keywords)
        bound.apply_defaults()
        names, values = tuple(bound.arguments), tuple(bound.arguments.values())
        key = tuple(map(_key, values))
        if None in key:
            return self.function(*args, **keywords)
        if key not in self._made:
            while len(self._made) >= _MADE_MAX:
                self._made.pop(next(iter(self._made)))
            self._made[key] = self._composed(names, values)
        made = self._made[key]
        if made is None:
            return self.function(*args, **keywords)
        function, places, kind = made
        return computed(Call(function, tuple(values[k].node for k in places)), kind)

    def _composed(
        self, names: tuple[str, ...], values: tuple[Any, ...]
    ) -> tuple[Function, tuple[int, ...], Kind] | None:
        """The function for such arguments, and which of them it takes; None where it is no function of elements."""
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in self.signature.parameters.values()):
            return None
        given: dict[str, Any] = {}
        for name, value in zip(names, values, strict=True):
            given[name] = symbol(name, value) if type(value) is SymbolicArray else value
        operands = {x._node: name for name, x in given.items() if type(x) is SymbolicArray}
        bound = inspect.BoundArguments(self.signature, OrderedDict(given))
        try:
            with Trace() as recording:
                returned = self.function(*bound.args, **bound.kwargs)
                if type(returned) is not SymbolicArray:
                    return None
                result = as_symbolic(returned, "result")
                node = result.node
        except (ArrayExprError, TypeError, ValueError, IndexError, OverflowError):
            # Run in its place, it may do, or says itself what it does not do.
            return None
        nodes = postorder((node,))
        if recording.statements or not all(
            isinstance(n, Constant | Operand | Apply | Cast | Call | Function) for n in nodes
        ):
            return None
        if any(isinstance(n, Operand) and n not in operands for n in nodes) or isinstance(node, Constant | Operand):
            return None
        # An argument that is not read has no part in the result's shape, as in NumPy.
        read = [n for n in operands if n in set(nodes)]
        elements: dict[Node, Node] = {n: Operand(n.name, n.type.element) for n in read}  # type: ignore[attr-defined]
        (body,) = substitute((node,), elements.get)
        params = tuple(elements[n] for n in read)
        places = tuple(names.index(operands[n]) for n in read)
        return Function(_name(self.function.__name__), params, body), places, result._kind


def _name(name: str) -> str:
    """A name for a function that means nothing else in a program's text."""
    if not is_name(name):
        return "composite"
    return f"{name}_" if is_word(name) or is_operator(name) else name


def _key(value: Any) -> Any:
    """What the composite for an argument depends on; None where it is made for no such one."""
    if type(value) is SymbolicArray:
        return value.type.element, value.ndim, value._kind
    if value is None or isinstance(value, bool | int | float | complex | str | np.generic):
        # A type and a text: 0 is not 0.0, nor -0.0, and NaN is itself.
        return type(value), repr(value)
    return None


def function(function: Callable[..., Any]) -> Composite:
    """Make a function written for NumPy one that kernels call as a whole: a composite.

    Called with arrays or numbers it is the function as it is. In a kernel a call of it is one node, whatever its
    body: it is optimised once however often it is called, and expanded where that gains. A body that is more than
    operators element by element (it reduces, indexes, assigns, returns several values) is traced in its place.

    >>> import numpy as np, arrayexpr
    >>> @arrayexpr.function
    ... def smooth(t):
    ...     return t * t * (3 - 2 * t)
    >>> @arrayexpr.kernel
    ... def blend(a, b, t):
    ...     return a + smooth(t) * (b - a) + smooth(a)
    >>> blend(np.zeros(3), np.ones(3), np.array([0.0, 0.5, 1.0]))
    array([0. , 0.5, 1. ])
    >>> smooth(0.5)
    0.5
    """
    return Composite(function)
