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

from ..nodes import Apply, Assign, Cast, Constant, Disjoint, Extent, Node, Operand, Reduce, postorder
from ..ops import operator
from ..program import Program
from ..record import record
from ..regions import regions
from ..types import BOOL
from .elements import base_of, extents_along, extents_of, longest

_EQUAL, _AND, _WHERE = operator("equal"), operator("logical_and"), operator("where")
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
    """The conditions of the guards around a block of statements, each with whether it holds there."""

    conditions: tuple[tuple[Node, bool], ...] = ()
    facts: frozenset[Node] = frozenset()

    def branches(self, condition: Node) -> tuple[Path, Path]:
        """The paths of the two branches of a guard."""
        then = Path((*self.conditions, (condition, True)), self.facts.union(conjuncts(condition)))
        return then, Path((*self.conditions, (condition, False)), self.facts)

    def required(self, condition: Node) -> Node:
        """That something holds if the block runs."""
        for other, holds in reversed(self.conditions):
            condition = Apply(_WHERE, (other, condition, _TRUE) if holds else (other, _TRUE, condition))
        return condition


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
