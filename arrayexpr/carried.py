"""Names that a part of a traced function binds anew, where the program runs it any number of times, or not at all."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final, NoReturn

import numpy as np

from ._core.errors import ArrayExprError, TypeMismatch, UnsupportedError
from ._core.nodes import Constant, Contract, Node, Operand, Reduce, View, postorder
from ._core.types import BOOL
from .promotion import WEAK, Weak, filled, result_type
from .symbolic import RECORDER, SymbolicArray, as_element, as_symbolic, computed, operand_of

#: What a name is that has no value.
UNDEFINED: Final = object()


class Part:
    """A part of a function that is being traced: its body runs a few times, until the types of its names settle."""

    def __init__(self, names: tuple[str, ...], what: str):
        self.names = names
        #: How errors call it.
        self.what = what
        recorder = RECORDER.get()
        if recorder is None or not hasattr(recorder, "enter_loop"):
            raise UnsupportedError(f"{what} is symbolic: expected it in a function that is traced")
        self.recorder: Any = recorder
        self.before: dict[str, Any] = {}
        self.carried: dict[str, Carried] = {}
        #: What is wrong with what a name is bound to.
        self.lost: dict[str, ArrayExprError] = {}
        #: Names bound anew to what they had, as far as is known: not so where an array of that is assigned meanwhile.
        self.same: dict[str, SymbolicArray] = {}
        self.settled = False

    def _settle(self) -> Iterator[Any]:
        """Run trials of the body, and know after them what is kept in locals and what is `written`."""
        # Types of what is kept may take a turn to settle: what begins as a Python number.
        for _ in range(4):
            self.settled = True
            yield from self._trial()
            assigned = self.recorder.leave_trial()
            self._carry_changed(assigned)
            self._check_in_place(assigned)
            if self.settled:
                break
        else:
            raise TypeMismatch(f"{self.what}: the types of {self.names} do not settle")
        for carried in self.carried.values():
            carried.start(self.recorder)
        self.written = {*assigned, *(carried.local for carried in self.carried.values())}

    def _carry_changed(self, assigned: Collection[Operand]) -> None:
        """Keep in locals what names are bound to by the same words as before, of arrays that have changed since."""
        for name, now in self.same.items():
            if name not in self.carried and name not in self.lost and self.recorder.overtakes(assigned, now._node):
                self.carried[name] = Carried(name, self.before[name], now, self)
                self.settled = False
        self.same.clear()

    def _trial(self) -> Iterator[Any]:
        """Enter the part with nothing known of what is assigned, and run the body."""
        raise NotImplementedError

    def _check_in_place(self, assigned: Collection[Operand]) -> None:
        for carried in self.carried.values():
            initial = carried.initial
            base = initial.node if isinstance(initial, SymbolicArray) and initial._alias else None
            while isinstance(base, View):
                base = base.arg
            if base in assigned:
                raise carried.error(
                    "is assigned in place and bound anew: expected one of the two "
                    "(in a loop, `u, v = v, u` changes places; a new array is stored by `u[...] = `)"
                )

    def begin(self, values: dict[str, Any]) -> tuple[Any, ...]:
        """The values of the names when the body begins."""
        if not self.before:
            self.before = {name: value_of(values, name) for name in self.names}
        for carried in self.carried.values():
            carried.begin()
        return tuple(self._first(name) for name in self.names)

    def _first(self, name: str) -> Any:
        if name in self.lost:
            return Unusable(self.lost[name])
        value = self.carried[name].value if name in self.carried else self._given(name)
        return self._unassigned(name) if value is UNDEFINED else value

    def _unassigned(self, name: str) -> Unusable:
        error = f"{name} is bound in {self.what} and used after it: expected a value before, as that may not run"
        return Unusable(UnsupportedError(error))

    def _given(self, name: str) -> Any:
        """What a name that is not carried has when the body begins."""
        return self.before[name]

    def end(self, values: dict[str, Any]) -> None:
        """Take the values of the names when the body ends. What a local cannot keep is an error where it is used."""
        for name in self.names:
            if name in self.lost:
                continue
            try:
                self._keep(name, value_of(values, name))
            except ArrayExprError as error:
                self.lost[name] = error
                self.carried.pop(name, None)
                self.settled = False

    def _keep(self, name: str, now: Any) -> None:
        before = self._left(name)
        if name in self.carried:
            if not self.carried[name].end(now, self.recorder):
                self.settled = False
        elif now is not before and not _same(before, now) and self._is_carried(before):
            self.carried[name] = Carried(name, before, now, self)
            self.settled = False
        elif now is not before and isinstance(now, SymbolicArray):
            self.same[name] = now

    def _left(self, name: str) -> Any:
        """What a name has when the body ends, where that does not bind it to anything else."""
        return self.before[name]

    def _is_carried(self, before: Any) -> bool:
        """Whether what a name is bound to goes on, with what it had before the part."""
        return before is not UNDEFINED

    def after(self) -> tuple[Any, ...]:
        """The values of the names after the part."""
        return tuple(self._last(name) for name in self.names)

    def _last(self, name: str) -> Any:
        if name in self.carried:
            carried = self.carried[name]
            assert carried.local is not None
            return computed(carried.local, carried.kind)
        if name in self.lost:
            return Unusable(self.lost[name])
        return self._unassigned(name) if self.before[name] is UNDEFINED else self.before[name]


class Unusable:
    """What a name is bound to that has no value: an error where it is used."""

    def __init__(self, error: ArrayExprError):
        self._error = error

    def fail(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise what its use is."""
        raise self._error

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = fail
    __pow__ = __rpow__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __matmul__ = __rmatmul__ = __abs__ = fail
    __lt__ = __le__ = __gt__ = __ge__ = __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __invert__ = fail
    __array_ufunc__ = __array_function__ = __getitem__ = __setitem__ = __call__ = __iter__ = __bool__ = fail
    __float__ = __int__ = __index__ = __len__ = fail


class Carried:
    """A name whose value goes from one run of a part to what follows, in a local of the program."""

    def __init__(self, name: str, before: Any, now: Any, part: Part):
        self.name = name
        self.part = part
        self.initial = before
        value = now if before is UNDEFINED else before
        if isinstance(value, (SymbolicArray, np.generic, np.ndarray, int, float, complex)):
            kind, node = operand_of(value, name)
        else:
            raise self.error(f"is {type(value).__name__}: expected arrays and numbers to be bound anew")
        #: A value of the shape, where there is none before.
        self.shape: Node | None = None
        if not isinstance(node, Node):
            kind = WEAK[kind]
        if before is UNDEFINED:
            self.shape = part.recorder.shaped(node) if isinstance(node, Node) else Constant(False, BOOL)
        self.kind = kind
        self.rank = node.type.rank if isinstance(node, Node) else 0
        self.local: Operand | None = None
        self._stand_in()

    def error(self, message: str) -> TypeMismatch:
        return TypeMismatch(f"{self.name}, in {self.part.what}, {message}")

    @property
    def type(self) -> Any:
        element = self.kind.element if isinstance(self.kind, Weak) else self.kind
        return element.array(self.rank)

    def _widens(self, kind: Any) -> bool:
        """Whether all values so far are of a kind too: Python's numbers are of others."""
        if isinstance(self.kind, Weak) and isinstance(kind, Weak):
            return result_type([kind, self.kind], self.name) is not self.type.element
        return isinstance(self.kind, Weak)

    def _stand_in(self) -> None:
        # For trials, in which only types count.
        self.value = computed(self.part.recorder._local(self.type), self.kind)

    def start(self, recorder: Any) -> None:
        """Keep the initial value in the local, before the part."""
        self.local = recorder._local(self.type)
        if self.shape is not None:
            # What only branches assign is a local of theirs unless it is assigned before.
            recorder.record(self.local, as_element(filled(self.shape, False), self.type.element))
            return
        initial = as_symbolic(self.initial, self.name)
        recorder.record(self.local, as_element(initial.node, self.type.element))

    def begin(self) -> None:
        """Read the local anew, in another run."""
        if self.local is not None:
            self.value = computed(self.local, self.kind)

    def end(self, now: Any, recorder: Any) -> bool:
        """Keep a value for what follows. Whether its type is the one of before."""
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
            if self._widens(kind):
                self.kind = kind
                self._stand_in()
                return False
            if not isinstance(kind, Weak) or result_type([kind, self.kind], self.name) is not self.type.element:
                raise self.error(f"is {self.kind} before it and {kind} in it: expected one type")
            node = as_element(node, self.type.element)
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


def value_of(values: dict[str, Any], name: str) -> Any:
    """What a name is bound to among the locals of a function, if anything."""
    value = values.get(name, UNDEFINED)
    return UNDEFINED if isinstance(value, Unusable) else value


def _same(before: Any, now: Any) -> bool:
    """Whether a name was bound to what it was."""
    if isinstance(before, SymbolicArray) and isinstance(now, SymbolicArray):
        return before._node is now._node and before._kind is now._kind
    return type(before) is type(now) and isinstance(before, (int, float, complex, np.generic)) and before == now
