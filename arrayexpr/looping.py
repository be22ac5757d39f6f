"""Loops of a traced function: `for k in range(...)` over a length that is not known becomes a loop of the program.

Where the bounds are symbolic, the body is run twice: once to see which names it binds anew and what it assigns to, and
once for the program. A name that is bound anew, as in `s = s + a[k]`, is kept in a local of the program from one
iteration to the next. Names of arrays that take turns, as in `u, v = v, u`, are none: the loop of the program takes as
many iterations at a time as there are turns.
"""

from __future__ import annotations

import operator as python_operator
from collections.abc import Collection, Iterator, Sequence
from itertools import count
from typing import Any, Final, NoReturn

import numpy as np

from ._core.affine import greatest, integer, minus, plus, quotient, times
from ._core.errors import ArrayExprError, TypeMismatch, UnsupportedError
from ._core.nodes import Constant, Contract, Node, Operand, Reduce, View, postorder
from ._core.types import INT64
from .promotion import WEAK, Weak
from .symbolic import RECORDER, SymbolicArray, as_element, as_symbolic, computed, in_memory, localise, operand_of

#: What a name is that has no value.
_UNDEFINED: Final = object()


class TracedLoop:
    """One `for` of a function that is being traced: its `known` range, or what its body is run for."""

    def __init__(self, name: str, names: tuple[str, ...], line: int, bounds: Sequence[Any]):
        self.name = name
        self.names = names
        self.line = line
        #: The range, of bounds that are numbers.
        self.known: range | None = None
        if not any(isinstance(bound, SymbolicArray) for bound in bounds):
            self.known = range(*bounds)
            return
        if not 1 <= len(bounds) <= 3:
            raise TypeError(f"range expected 1 to 3 arguments: got {len(bounds)}")
        start, stop, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1)[:3]
        self.bounds = tuple(_integer(bound, name) for bound in (start, stop, step))
        recorder = RECORDER.get()
        if recorder is None or not hasattr(recorder, "enter_loop"):
            raise UnsupportedError(
                f"the loop over {name} has symbolic bounds: expected it in a function that is traced"
            )
        self.recorder: Any = recorder
        self.before: dict[str, Any] = {}
        self.carried: dict[str, _Carried] = {}
        #: Where names of arrays change places: whose array each has in the next iteration.
        self.takes: dict[str, str] = {}
        self.turn = 0
        self.index: Any = None

    def __iter__(self) -> Iterator[None]:
        """Once for each time that the body is to be run."""
        # Types of what is kept may take a turn to settle: what begins as a Python number.
        for _ in range(4):
            self.settled = True
            self.index = self.recorder.enter_loop(self.name, None)
            for turn in range(self._turns()):
                self.turn = turn
                yield
            assigned = self.recorder.leave_trial()
            self._check_in_place(assigned)
            if self.settled:
                break
        else:
            raise TypeMismatch(
                f"the loop over {self.name} in line {self.line}: the types of {self.names} do not settle"
            )
        for carried in self.carried.values():
            carried.start(self.recorder)
        locals_ = [carried.local for carried in self.carried.values() if carried.local is not None]
        written, turns = {*assigned, *locals_}, self._turns()
        start, stop, step = self.bounds
        # Whole rounds of turns, and of what is left a loop of one iteration at the most for each.
        last, round_ = minus(stop, times(step, integer(turns - 1))), times(step, integer(turns))
        first = self.recorder.enter_loop(self.name, written)
        for turn in range(turns):
            self.turn, self.index = turn, computed(plus(first.node, times(step, integer(turn))), WEAK[int])
            yield
        self.recorder.leave_loop(start, last, round_)
        for turn in range(turns - 1):
            self.turn, self.index = turn, self.recorder.enter_loop(self.name, written)
            yield
            done = plus(times(quotient(self._iterations(), turns), integer(turns)), integer(turn))
            self.recorder.leave_loop(plus(start, times(done, step)), stop, round_)

    def _iterations(self) -> Node:
        """How many there are."""
        start, stop, step = self.bounds
        if not isinstance(step, Constant) or not step.value:
            raise UnsupportedError(
                f"names change places in the loop over {self.name} (line {self.line}): "
                "expected a number as its step, and not 0"
            )
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

    def _check_in_place(self, assigned: Collection[Operand]) -> None:
        for carried in self.carried.values():
            initial = carried.initial
            base = initial.node if isinstance(initial, SymbolicArray) and initial._alias else None
            while isinstance(base, View):
                base = base.arg
            if base in assigned:
                raise carried.error(
                    "is assigned in place and bound anew: expected one of the two "
                    "(`u, v = v, u` changes places; a new array is stored by `u[...] = `)"
                )

    def begin(self, values: dict[str, Any]) -> tuple[Any, ...]:
        """The values of the names when an iteration begins."""
        if not self.before:
            self.before = {name: values.get(name, _UNDEFINED) for name in self.names}
        for carried in self.carried.values():
            carried.begin()
        return tuple(
            self.carried[name].value if name in self.carried else self._array(name, self.turn) for name in self.names
        )

    def end(self, values: dict[str, Any]) -> None:
        """Take the values of the names when an iteration ends."""
        if not self.takes:
            self.takes = self._change_places(values)
            self.settled = not self.takes
        for name in self.names:
            before, now = self._array(name, self.turn + 1), values.get(name, _UNDEFINED)
            if name in self.carried:
                if not self.carried[name].end(now, self.recorder):
                    self.settled = False
            elif before is not _UNDEFINED and now is not before and not _same(before, now):
                self.carried[name] = _Carried(name, before, now, self)
                self.settled = False

    def after(self) -> tuple[Any, ...]:
        """The values of the names after the loop."""
        found: list[Any] = []
        for name in self.names:
            if name in self.carried:
                carried = self.carried[name]
                assert carried.local is not None
                found.append(computed(carried.local, carried.kind))
            elif name in self.takes:
                found.append(self._last(name))
            elif self.before[name] is _UNDEFINED:
                found.append(Unassigned(name, self))
            else:
                found.append(self.before[name])
        return tuple(found)

    def _last(self, name: str) -> SymbolicArray:
        """The array that a name has after the loop: which, the number of iterations tells. It can be read only."""
        left, found = computed(self._iterations(), WEAK[int]) % self._turns(), self.before[name]
        for turn in range(1, self._turns()):
            array = self._array(name, turn)
            if array.type.plain is not found.type.plain:
                raise TypeMismatch(
                    f"{name}, in the loop over {self.name} (line {self.line}), is {found.type} and {array.type} "
                    "by turns: expected arrays of one type to change places"
                )
            found = np.where(left == turn, array, found)
        return in_memory(found.node)


class Unassigned:
    """A name that only a loop binds, which may run no iteration: an error where it is used."""

    def __init__(self, name: str, loop: TracedLoop):
        self._name = name
        self._loop = loop

    def fail(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise what its use is."""
        raise UnsupportedError(
            f"{self._name} is bound in the loop over {self._loop.name} (line {self._loop.line}) and used after it: "
            "expected a value before the loop, which may run no iteration"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = fail
    __array_ufunc__ = __array_function__ = __getitem__ = __setitem__ = __call__ = __iter__ = __bool__ = fail


class _Carried:
    """A name whose value goes from one iteration to the next, in a local of the program."""

    def __init__(self, name: str, before: Any, now: Any, loop: TracedLoop):
        self.name = name
        self.loop = loop
        self.initial = before
        try:
            kind, node = operand_of(before, name)
        except ArrayExprError:
            raise self.error(f"is {type(before).__name__}: expected arrays and numbers to be bound anew") from None
        if not isinstance(node, Node):
            kind = WEAK[kind]
        self.kind = kind
        self.rank = node.type.rank if isinstance(node, Node) else 0
        self.local: Operand | None = None
        self._stand_in()

    def error(self, message: str) -> TypeMismatch:
        return TypeMismatch(f"{self.name}, in the loop over {self.loop.name} (line {self.loop.line}), {message}")

    @property
    def type(self) -> Any:
        element = self.kind.element if isinstance(self.kind, Weak) else self.kind
        return element.array(self.rank)

    def _stand_in(self) -> None:
        # For trials, in which only types count.
        self.value = computed(self.loop.recorder._local(self.type), self.kind)

    def start(self, recorder: Any) -> None:
        """Keep the initial value in the local, before the loop."""
        self.local = recorder._local(self.type)
        initial = as_symbolic(self.initial, self.name)
        recorder.record(self.local, as_element(initial.node, self.type.element))

    def begin(self) -> None:
        """Read the local anew, in an iteration."""
        if self.local is not None:
            self.value = computed(self.local, self.kind)

    def end(self, now: Any, recorder: Any) -> bool:
        """Keep a value for the next iteration. Whether its type is the one of this."""
        kind, node = operand_of(now, self.name)
        if not isinstance(node, Node):
            kind = WEAK[kind]
            node = as_symbolic(now, self.name).node
        if node.type.rank != self.rank:
            raise self.error(
                f"has {self.rank} axes before it and {node.type.rank} in it: "
                "expected one shape, such as that of np.zeros_like"
            )
        if kind is not self.kind:
            if not isinstance(self.kind, Weak):
                raise self.error(f"is {self.kind} before it and {kind} in it: expected one type")
            self.kind = kind
            self._stand_in()
            return False
        if self.local is not None:
            if self.rank and _moves(node, self.local):
                # Computed from its neighbours: the two take turns.
                fresh = recorder._local(self.type)
                recorder.record(fresh, node)
                node = fresh
            if node is not self.local:
                recorder.record(self.local, node)
        return True


def _moves(node: Node, local: Operand) -> bool:
    """Whether an element of a value depends on other elements of an operand than its own."""
    nodes = postorder((node,))
    return local in nodes and any(isinstance(n, (View, Reduce, Contract)) for n in nodes)


def _same(before: Any, now: Any) -> bool:
    """Whether a name was bound to what it was."""
    if isinstance(before, SymbolicArray) and isinstance(now, SymbolicArray):
        return before._node is now._node and before._kind is now._kind
    return type(before) is type(now) and isinstance(before, (int, float, complex, np.generic)) and before == now


def _integer(bound: Any, name: str) -> Node:
    """A bound of a loop as an int64 scalar."""
    if not isinstance(bound, SymbolicArray):
        return integer(python_operator.index(bound))
    if bound.ndim or bound.type.element.kind not in "iu":
        raise TypeMismatch(f"bound of the loop over {name} is {bound.type}: expected an integer")
    return as_element(bound.node, INT64)
