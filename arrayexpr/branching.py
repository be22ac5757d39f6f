"""Choices of a traced function: `if` on a value that is not known becomes a `Guard` of the program.

Both branches are traced. A name that one of them binds is kept in a local, which each branch assigns, and which is what
the name is after the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, Final

import numpy as np

from ._core.errors import UnsupportedError
from ._core.types import BOOL, FLOAT64
from .carried import UNDEFINED, Part, Unusable, value_of
from .promotion import WEAK
from .symbolic import SymbolicArray, as_element, computed


def choice(test: Any, names: tuple[str, ...], line: int) -> KnownChoice | TracedChoice:
    """The branches of `if test`, which bind the names."""
    # Of arrays with axes Python's own error is raised.
    if not isinstance(test, SymbolicArray) or test.ndim:
        return KnownChoice(bool(test), names)
    return TracedChoice(test, names, line)


class KnownChoice:
    """One `if` whose test is known while its function is traced: an iterator over the branch that is run."""

    def __init__(self, test: bool, names: tuple[str, ...]):
        self.test = test
        self.names = names

    def __iter__(self) -> Iterator[bool]:
        yield self.test

    def begin(self, values: dict[str, Any]) -> tuple[Any, ...]:
        """The values of the names when the branch begins."""
        given = ((name, value_of(values, name)) for name in self.names)
        return tuple(_without_value(name) if value is UNDEFINED else value for name, value in given)

    def end(self, values: dict[str, Any]) -> None:
        """Take the values of the names when the branch ends."""
        self.values = self.begin(values)

    def after(self) -> tuple[Any, ...]:
        """The values of the names after the choice."""
        return self.values


def _without_value(name: str) -> Unusable:
    return Unusable(UnsupportedError(f"{name} is used before it has a value"))


class TracedChoice(Part):
    """One `if` of a function that is being traced: an iterator over the branches that its statements are run for."""

    def __init__(self, test: SymbolicArray, names: tuple[str, ...], line: int):
        super().__init__(names, f"the choice in line {line}")
        self.condition = as_element(test.node, BOOL)
        self.branch = True
        #: Names that have a value after a branch.
        self.bound: dict[bool, set[str]] = {True: set(), False: set()}

    def __iter__(self) -> Iterator[bool]:
        """Each branch for which the body is to be run."""
        yield from self._settle()
        self.recorder.enter_choice(self.written)
        bodies = []
        for self.branch in (True, False):
            yield self.branch
            bodies.append(self.recorder.leave_branch())
        self.recorder.leave_choice(self.condition, *bodies)

    def _trial(self) -> Iterator[bool]:
        self.recorder.enter_choice(None)
        for self.branch in (True, False):
            yield self.branch

    def end(self, values: dict[str, Any]) -> None:
        """Take the values of the names when a branch ends."""
        for name in self.names:
            given = self.carried[name].value if name in self.carried else UNDEFINED
            if value_of(values, name) is not given or self.before[name] is not UNDEFINED:
                self.bound[self.branch].add(name)
        super().end(values)

    def _is_carried(self, before: Any) -> bool:
        return True

    def _last(self, name: str) -> Any:
        everywhere = self.bound[True] & self.bound[False]
        return super()._last(name) if name in everywhere or name in self.lost else self._unassigned(name)


def negated(x: Any) -> Any:
    """`not x`."""
    return np.logical_not(x) if isinstance(x, SymbolicArray) and not x.ndim else not x


def _extreme(function: Callable[..., Any], first: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Python's `min` or `max` of numbers: the first of those that compare equal, and of those that do not compare."""

    def chosen(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) < 2 or not any(isinstance(x, SymbolicArray) for x in args):
            return function(*args, **kwargs)
        return reduce(lambda x, y: np.where(first(y, x), y, x), args)

    return chosen


def _float(x: Any = 0.0) -> Any:
    """`float`."""
    if not isinstance(x, SymbolicArray) or x.ndim or x.type.element.kind == "c":
        return float(x)
    return computed(as_element(x.node, FLOAT64), WEAK[float])


#: What stands for Python's functions on numbers, in a function that is traced.
OF_NUMBERS: Final[dict[Any, Callable[..., Any]]] = {
    min: _extreme(min, lambda y, x: y < x),
    max: _extreme(max, lambda y, x: y > x),
    float: _float,
}
