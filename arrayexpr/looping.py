"""Loops of a traced function: `for k in range(...)` over a length that is not known becomes a loop of the program.

Where the bounds are symbolic, the body is run twice: once to see which names it binds anew and what it assigns to, and
once for the program. A name that is bound anew, as in `s = s + a[k]`, is kept in a local of the program from one
iteration to the next. Names of arrays that take turns, as in `u, v = v, u`, are none: the loop of the program takes as
many iterations at a time as there are turns.
"""

from __future__ import annotations

import operator as python_operator
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np

from ._core.affine import greatest, integer, minus, plus, quotient, times
from ._core.errors import TypeMismatch, UnsupportedError
from ._core.nodes import Constant, Node
from ._core.types import INT64
from .carried import Part
from .promotion import WEAK
from .symbolic import SymbolicArray, as_element, computed, in_memory, localise


class TracedLoop(Part):
    """One `for` of a function that is being traced: its `known` range, or what its body is run for."""

    def __init__(self, name: str, names: tuple[str, ...], line: int, bounds: Sequence[Any]):
        #: The range, of bounds that are numbers.
        self.known: range | None = None
        if not any(isinstance(bound, SymbolicArray) for bound in bounds):
            self.known = range(*bounds)
            return
        super().__init__(names, f"the loop over {name} (line {line})")
        if not 1 <= len(bounds) <= 3:
            raise TypeError(f"range expected 1 to 3 arguments: got {len(bounds)}")
        start, stop, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1)[:3]
        self.name = name
        self.bounds = tuple(_integer(bound, name) for bound in (start, stop, step))
        #: Where names of arrays change places: whose array each has in the next iteration.
        self.takes: dict[str, str] = {}
        self.turn = 0
        self.index: Any = None

    def __iter__(self) -> Iterator[None]:
        """Once for each time that the body is to be run."""
        yield from self._settle()
        turns = self._turns()
        start, stop, step = self.bounds
        # Whole rounds of turns, and of what is left a loop of one iteration at the most for each.
        last, round_ = minus(stop, times(step, integer(turns - 1))), times(step, integer(turns))
        first = self.recorder.enter_loop(self.name, self.written)
        for turn in range(turns):
            self.turn, self.index = turn, computed(plus(first.node, times(step, integer(turn))), WEAK[int])
            yield
        self.recorder.leave_loop(start, last, round_)
        for turn in range(turns - 1):
            self.turn, self.index = turn, self.recorder.enter_loop(self.name, self.written)
            yield
            done = plus(times(quotient(self._iterations(), turns), integer(turns)), integer(turn))
            self.recorder.leave_loop(plus(start, times(done, step)), stop, round_)

    def _trial(self) -> Iterator[None]:
        self.index = self.recorder.enter_loop(self.name, None)
        for turn in range(self._turns()):
            self.turn = turn
            yield

    def _iterations(self) -> Node:
        """How many there are."""
        start, stop, step = self.bounds
        if not isinstance(step, Constant) or not step.value:
            raise UnsupportedError(f"names change places in {self.what}: expected a number as its step, and not 0")
        distance, by = (minus(stop, start), step.value) if step.value > 0 else (minus(start, stop), -step.value)
        return greatest(quotient(plus(distance, integer(by - 1)), by), integer(0))

    def _turns(self) -> int:
        """After how many iterations all names have the arrays that they began with."""
        return next(n for n in count(1) if all(self._array(name, n) is self.before[name] for name in self.takes))

    def _array(self, name: str, turn: int) -> Any:
        """The array that a name has in an iteration of a round."""
        for _ in range(turn):
            name = self.takes.get(name, name)
        return self.before[name]

    def _change_places(self, values: dict[str, Any]) -> dict[str, str]:
        """Whose arrays names have when an iteration ends, where they change places, as after `u, v = v, u`."""
        arrays = {n: x for n, x in self.before.items() if isinstance(x, SymbolicArray) and (x._alias or x.ndim)}
        takes = {
            name: other
            for name in arrays
            for other, x in arrays.items()
            if other != name and values.get(name) is x is not arrays[name]
        }
        if takes.keys() != set(takes.values()) or not any(arrays[name]._alias for name in takes):
            return {}
        for name in takes:
            localise(arrays[name])
        return takes

    def _given(self, name: str) -> Any:
        return self._array(name, self.turn)

    def _left(self, name: str) -> Any:
        return self._array(name, self.turn + 1)

    def end(self, values: dict[str, Any]) -> None:
        """Take the values of the names when an iteration ends."""
        if not self.takes:
            self.takes = self._change_places(values)
            self.settled = not self.takes
        super().end(values)

    def _last(self, name: str) -> Any:
        """What a name is after the loop. Of arrays that change places, which one the number of iterations tells."""
        if name not in self.takes:
            return super()._last(name)
        left, found = computed(self._iterations(), WEAK[int]) % self._turns(), self.before[name]
        for turn in range(1, self._turns()):
            array = self._array(name, turn)
            if array.type.plain is not found.type.plain:
                raise TypeMismatch(
                    f"{name}, in {self.what}, is {found.type} and {array.type} by turns: "
                    "expected arrays of one type to change places"
                )
            found = np.where(left == turn, array, found)
        return in_memory(found.node)


def _integer(bound: Any, name: str) -> Node:
    """A bound of a loop as an int64 scalar."""
    if not isinstance(bound, SymbolicArray):
        return integer(python_operator.index(bound))
    if bound.ndim or bound.type.element.kind not in "iu":
        raise TypeMismatch(f"bound of the loop over {name} is {bound.type}: expected an integer")
    return as_element(bound.node, INT64)
