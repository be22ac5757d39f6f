"""Which neighbouring statements one nest of loops may compute where shapes and memory are not known, and when.

>>> from arrayexpr._core.parser import parse
>>> program = parse(
...     "def f(a: float64[:], *, r: float64[:], s: float64[:]):\\n    r[...] = a + 1.0\\n    s[...] = a * 2.0\\n"
... )
>>> conditions(program.statements, places(program))
[s.shape[0] == r.shape[0], disjoint(r, s), disjoint(a, s), disjoint(a, r)]
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..nodes import (
    Apply,
    Assign,
    Barrier,
    Cast,
    Constant,
    Disjoint,
    Extent,
    For,
    Guard,
    Load,
    Node,
    Operand,
    Reduce,
    postorder,
)
from ..ops import operator
from ..program import Program
from ..record import record
from ..regions import regions
from ..types import BOOL
from .elements import base_of, extents_along, extents_of, longest

_EQUAL, _LESS, _AND, _WHERE = (operator(name) for name in ("equal", "less", "logical_and", "where"))
_TRUE = Constant(True, BOOL)


def places(program: Program) -> dict[str, int]:
    """The places of the operands and results by name: what lies in the caller's memory."""
    return {operand.name: k for k, operand in enumerate((*program.operands, *program.results))}


def conditions(group: Sequence[Node], place: Mapping[str, int]) -> list[Node] | None:
    """What must hold for statements of one region to share a nest: lengths, and memory that is not shared.

    `place` gives the places of operands; what has none lies in memory of its own. None where lengths are not told by
    operands.
    """
    assigns = [statement for statement in group if isinstance(statement, Assign)]
    found: dict[Node, None] = {}
    first = _lengths(assigns, assigns[0], place)
    for statement in assigns[1:]:
        for own, length in zip(_lengths(assigns, statement, place), first, strict=True):
            if own is not length:
                found[Apply(_EQUAL, (own, length))] = None
    if any(n.operand.name not in place for n in postorder(list(found)) if isinstance(n, Extent)):
        return None
    targets = [base_of(statement.target) for statement in assigns]
    for k, target in enumerate(targets):
        for other in targets[k + 1 :]:
            found.update(dict.fromkeys(apart(target, other, place)))
    for statement in assigns:
        for operand in postorder((statement.value,)):
            for target, other in zip(targets, assigns, strict=True):
                if other is not statement:
                    found.update(dict.fromkeys(apart(operand, target, place)))
    return list(found)


def _lengths(group: Sequence[Assign], statement: Assign, place: Mapping[str, int]) -> list[Node]:
    """The lengths of what a statement assigns along the axes that its region keeps."""
    target, value = statement.target, statement.value
    reduces = [n for each in group for n in postorder((each.value,)) if isinstance(n, Reduce)]
    lengths = list(extents_of(target))
    if isinstance(target, Operand) and target.name not in place:
        # A local has the shape of what it is assigned.
        lengths = [longest(extents_along(value, axis)) for axis in range(value.type.rank)]
    if reduces and len(lengths) == reduces[0].arg.type.rank:
        return [length for k, length in enumerate(lengths) if k not in reduces[0].axes]
    return lengths


def apart(x: Node, y: Node, place: Mapping[str, int]) -> list[Node]:
    """The test that two operands share no memory; none of what has memory of its own, or is one operand."""
    if not isinstance(x, Operand) or not isinstance(y, Operand) or x is y:
        return []
    if x.name not in place or y.name not in place:
        return []
    return [Disjoint(x, y) if place[x.name] < place[y.name] else Disjoint(y, x)]


def scalars_of(condition: Node) -> set[Operand]:
    """The scalars whose values a condition reads."""
    nodes = postorder((condition,))
    return {arg for node in nodes if isinstance(node, Apply | Cast) for arg in node.args if isinstance(arg, Operand)}


def conjuncts(condition: Node) -> list[Node]:
    """The conditions that all hold where one does."""
    match condition:
        case Apply(op, (x, y)) if op is _AND:
            return [*conjuncts(x), *conjuncts(y)]
    return [condition]


def equal_lengths(group: Sequence[Node], place: Mapping[str, int]) -> dict[Node, Node]:
    """Of statements that share a nest, the lengths that are those of the first, with these."""
    found: dict[Node, Node] = {}
    for condition in conditions(group, place) or ():
        if isinstance(condition, Apply) and not isinstance(condition.args[0], Constant):
            found[condition.args[0]] = condition.args[1]
    return found


@record
class Path:
    """The guards and loops around a block of statements, outermost first.

    Of a guard there is the condition, with whether it holds there. `facts` is what all of them tell.
    """

    around: tuple[tuple[Node, bool], ...] = ()
    facts: frozenset[Node] = frozenset()

    def branches(self, condition: Node) -> tuple[Path, Path]:
        """The paths of the two branches of a guard."""
        then = Path((*self.around, (condition, True)), self.facts.union(conjuncts(condition)))
        return then, Path((*self.around, (condition, False)), self.facts)

    def within(self, loop: For) -> Path:
        """The path of the body of a loop that stays."""
        return Path((*self.around, (loop, True)), self.facts)

    def required(self, condition: Node) -> Node:
        """That something holds wherever the block runs: in every iteration of the loops whose indices it reads.

        Such a loop, and a guard around one, is a statement around `stated` conditions.
        """
        for other, holds in reversed(self.around):
            if type(other) is not For:
                # What elements decide is known too late: there the condition is to hold in any case.
                if not any(isinstance(node, Load) for node in postorder((other,))):
                    condition = _under(other, holds, condition)
            elif other.index in postorder((condition,)):
                condition = For(other.index, other.start, other.stop, other.step, (stated(condition),))
            else:
                runs = iterates(other)
                condition = condition if runs is None else _under(runs, True, condition)
        return condition


def iterates(loop: For) -> Node | None:
    """The test that a loop has an iteration; None where it surely has."""
    ends = (loop.start, loop.stop)
    if isinstance(loop.step, Constant) and loop.step.value < 0:
        ends = ends[::-1]
    if isinstance(ends[0], Constant) and isinstance(ends[1], Constant) and ends[0].value < ends[1].value:
        return None
    return Apply(_LESS, ends)


def _under(test: Node, holds: bool, condition: Node) -> Node:
    """That a condition holds if a test does, or if it does not."""
    if condition.type is None:
        return Guard(test, (condition,), ()) if holds else Guard(test, (), (condition,))
    return Apply(_WHERE, (test, condition, _TRUE) if holds else (test, _TRUE, condition))


def stated(condition: Node) -> Node:
    """A condition as a statement."""
    return condition if condition.type is None else Guard(condition, (Barrier(),), ())


def joined(statements: Sequence[Node], facts: Collection[Node], place: Mapping[str, int]) -> list[list[Node]]:
    """Statements by the nest that computes them, where `facts` hold."""
    if not facts:
        return [[statement] for statement in statements]
    groups: list[list[Node]] = []
    for group in regions(statements):
        wanted = conditions(group, place) if len(group) > 1 else None
        if wanted is not None and all(condition in facts for condition in wanted):
            groups.append(group)
        else:
            groups.extend([statement] for statement in group)
    return groups
