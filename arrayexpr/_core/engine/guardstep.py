"""Guards between statements of arrays: a test of lengths, scalars and memory, and the steps of each branch."""

from __future__ import annotations

import operator as python
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..errors import ShapeMismatch
from ..interpret import are_disjoint
from ..nodes import Apply, Disjoint, Guard, Node
from ..printer import show
from .windowstep import Slots, number

if TYPE_CHECKING:
    from .plan import Step

Test = Callable[[Slots], bool]

_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "equal": python.eq,
    "not_equal": python.ne,
    "less": python.lt,
    "less_equal": python.le,
    "greater": python.gt,
    "greater_equal": python.ge,
}


@dataclass(slots=True)
class GuardStep:
    """Runs the steps of one of two branches; what is the branch's own ends with it.

    The other branch is planned, by `plan`, when it is first taken: of a loop that was raised, the loop hardly ever is.
    """

    node: Guard
    test: Test
    then: Branch
    plan: Callable[[], Branch]
    other: Branch | None = None
    records: ClassVar[bool] = True

    def taken(self, slots: Slots) -> Branch:
        """The branch that the slots choose."""
        try:
            held = self.test(slots)
        except KeyError as missing:
            name = missing.args[0]
            message = f"result {name} is read or viewed before its shape is known: give its storage"
            raise ShapeMismatch(f"{message}, for {show(self.node)}") from None
        if held:
            return self.then
        if self.other is None:
            self.other = self.plan()
        return self.other

    def run(self, slots: Any, run_step: Callable[[Step, Any], object], _streams: Any) -> None:
        """Run the steps of the branch that the slots choose."""
        known = self.other is not None
        branch = self.taken(slots)
        if branch is self.other and not known:
            slots.recording.stop()
            slots.recording.planned = True
        for step in branch.steps:
            run_step(step, slots)
        for name in branch.own:
            slots.pop(name, None)

    @property
    def inside(self) -> list[Step]:
        """The steps of the branches that have been planned."""
        planned = [self.then] if self.other is None else [self.then, self.other]
        return [step for branch in planned for step in branch.steps]


@dataclass(frozen=True, slots=True)
class Branch:
    """The steps of a branch, and the slots that are its own."""

    steps: tuple[Step, ...]
    own: frozenset[str]


def test(condition: Node) -> Test:
    """A condition as a function of the slots.

    Python's own comparisons of Python's integers: a tenth of the time of NumPy's on scalars.
    """
    match condition:
        case Disjoint(one, other, same):
            first, second = one.name, other.name
            return lambda slots: are_disjoint(slots[first], slots[second], same)
        case Apply(op, (x, y)) if op.name in ("logical_and", "logical_or"):
            left, right = test(x), test(y)
            if op.name == "logical_and":
                return lambda slots: left(slots) and right(slots)
            return lambda slots: left(slots) or right(slots)
        case Apply(op, (x,)) if op.name == "logical_not":
            inner = test(x)
            return lambda slots: not inner(slots)
        case Apply(op, (x, y)) if op.name in _COMPARISONS and x.type.element.kind == "i":
            compare, low, high = _COMPARISONS[op.name], number(x), number(y)
            return lambda slots: compare(low(slots), high(slots))
    value = number(condition)
    return lambda slots: bool(value(slots))
