"""The pass `guards`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from ..assumption import Assumption
from ..infer import PURE, effects
from ..nodes import (
    Apply,
    For,
    Guard,
    Index,
    Node,
    postorder,
)
from ..ops import operator
from ..program import Program
from ..regions import regions
from .elements import extents_along, longest
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

    Keeps: every value, in whatever memory operands lie.
    Requires: no effects: programs that have some are left as they are.
    """
    if any(effects(statement) != PURE for statement in program.statements):
        return program
    place = places(program)
    assumed = _assumed(program.assumption, program, place) if program.assumption is not None else ()
    tests: dict[Node, None] = {}
    for test in chain(assumed, _shared(program.statements, place)):
        tests[test] = None
        if len(tests) > _TESTS:
            return program
    condition = conjunction(tests)
    if condition is None:
        return program
    otherwise = program if program.assumption is None else program.assumption.otherwise
    locals_ = {operand.name: operand for operand in (*program.locals, *otherwise.locals)}
    guard = Guard(condition, program.statements, otherwise.statements)
    return program.rewritten([guard], {}).replace(locals=tuple(locals_.values()), assumption=None)


def _shared(statements: Sequence[Node], place: dict[str, int]) -> Iterator[Node]:
    """The tests of statements that one nest is to compute, those within loops that stay included."""
    for statement in statements:
        if type(statement) is For:
            yield from _shared(statement.body, place)
    for group in regions(statements):
        wanted = conditions(group, place) if len(group) > 1 else None
        # What moves with a loop is not known before it: those have a nest each.
        if wanted and not any(isinstance(node, Index) for node in postorder(wanted)):
            yield from wanted


def _assumed(assumption: Assumption, program: Program, place: dict[str, int]) -> Iterator[Node]:
    """The tests of what a program was changed under."""
    yield from assumption.lengths
    for one, other in assumption.alike:
        for axis in range(one.type.rank):
            lengths = [longest(extents_along(node, axis)) for node in (one, other)]
            if lengths[0] is not lengths[1]:
                yield Apply(_EQUAL, (lengths[0], lengths[1]))
    for operand in program.declared:
        if operand.name in assumption.apart:
            for other in program.declared:
                yield from apart(operand, other, place)
