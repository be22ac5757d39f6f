"""The pass `guards`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..assumption import Assumption
from ..infer import PURE, effects
from ..nodes import (
    Apply,
    Assign,
    Constant,
    Contract,
    Disjoint,
    Extent,
    For,
    Guard,
    Node,
    Operand,
    Reduce,
    Store,
    View,
    postorder,
)
from ..ops import operator
from ..primitives import fold
from ..program import Program, assigned_operand
from ..regions import regions
from ..types import INT64
from .elements import ELEMENTWISE, base_of, extents_along, longest
from .joint import apart, conditions, places
from .nests import conjunction

_EQUAL = operator("equal")
#: Tests of a program at the most: of more operands than that, all are taken to be in memory of their own.
_TESTS = 100


def guards(program: Program) -> Program:
    """Test what was taken for granted of memory and of shapes; where it does not hold, the program as written runs.

        r[...] = (a + b) * c               if s.shape[0] == r.shape[0] and disjoint(r, s) and disjoint(a, r) and ...:
        s[...] = (a + b) - c                   r[...] = (a + b) * c
                                    ->         s[...] = (a + b) - c
        assumed: r and s share no          else:
        memory with another operand            t[...] = a + b
                                               r[...] = t * c
                                               s[...] = t - c

    So do statements that one nest is to compute: where they are not over one shape, or share memory, each has its own.
    A loop that was raised, but to what has no loops ahead of time, such as `a[:n]`, is the loop again.

    Keeps: every value, in whatever memory operands lie.
    Requires: no effects: programs that have some are left as they are.
    """
    assigned = _assigned(program)
    statements = [each for statement in program.statements for each in _unraised(statement, assigned)]
    if len(statements) != len(program.statements) or any(
        x is not y for x, y in zip(statements, program.statements, strict=True)
    ):
        program = program.rewritten(statements, {})
    if any(effects(statement) != PURE for statement in program.statements):
        return program
    place = places(program)
    tests = dict.fromkeys(_assumed(program.assumption, program, place) if program.assumption is not None else ())
    for group in regions(program.statements):
        if len(group) > 1:
            tests.update(dict.fromkeys(conditions(group, place) or ()))
    condition = conjunction(tests)
    if condition is None or len(tests) > _TESTS:
        return program
    otherwise = program if program.assumption is None else program.assumption.otherwise
    written = [each for statement in otherwise.statements for each in _unraised(statement, assigned)]
    locals_ = {operand.name: operand for operand in (*program.locals, *otherwise.locals)}
    guard = Guard(condition, program.statements, tuple(written))
    return program.rewritten([guard], {}).replace(locals=tuple(locals_.values()), assumption=None)


def _assigned(program: Program) -> set[str]:
    """The names of what a program assigns."""
    otherwise = program.assumption.otherwise.statements if program.assumption is not None else ()
    found: set[str] = set()
    for node in postorder((*program.statements, *otherwise)):
        if isinstance(node, Assign):
            found.add(assigned_operand(node.target).name)
        elif isinstance(node, Store):
            found.add(node.operand.name)
    return found


def _assumed(assumption: Assumption, program: Program, place: dict[str, int]) -> Iterator[Node]:
    """The tests of what a program was fused under."""
    for one, other in assumption.alike:
        for axis in range(one.type.rank):
            lengths = [longest(extents_along(node, axis)) for node in (one, other)]
            if lengths[0] is not lengths[1]:
                yield Apply(_EQUAL, (lengths[0], lengths[1]))
    for operand in program.declared:
        if operand.name in assumption.apart:
            for other in program.declared:
                yield from apart(operand, other, place)


def _unraised(statement: Node, assigned: Collection[str]) -> Sequence[Node]:
    """A statement, or what stands for it where a test is not met, if there are no loops for it."""
    if not isinstance(statement, Guard):
        return (statement,)
    branches = (statement.then, statement.otherwise)
    then, otherwise = (tuple(each for s in branch for each in _unraised(s, assigned)) for branch in branches)
    loops = any(isinstance(each, For) for branch in branches for each in branch)
    if loops and not (_stays(statement.condition, assigned) and all(map(_lowers, then))):
        return otherwise
    if then == statement.then and otherwise == statement.otherwise:
        return (statement,)
    return (Guard(statement.condition, then, otherwise),)


def _stays(condition: Node, assigned: Collection[str]) -> bool:
    """Whether a condition is of lengths, memory, and scalars that nothing changes."""
    scalars = [n for n in postorder((condition,)) if isinstance(n, Operand) and not n.type.rank]
    return all(
        isinstance(node, Extent | Constant | Disjoint | Apply | Operand) for node in postorder((condition,))
    ) and not any(node.name in assigned or node.type.element is not INT64 for node in scalars)


def _lowers(statement: Node) -> bool:
    """Whether there are loops for a statement."""
    if isinstance(statement, Guard):
        return all(map(_lowers, (*statement.then, *statement.otherwise)))
    if not isinstance(statement, Assign):
        return not isinstance(statement, For) or not any(isinstance(n, Assign) for n in postorder((statement,)))
    for node in postorder((statement,)):
        if isinstance(node, View):
            if len(node.args) > 1 or (node.order is None and not isinstance(base_of(node), Operand)):
                return False
        elif isinstance(node, Reduce):
            if not node.axes or fold(node.op, node.type.element) is None:
                return False
        elif node is not statement and not isinstance(node, (*ELEMENTWISE, Contract)):
            return False
    return True
