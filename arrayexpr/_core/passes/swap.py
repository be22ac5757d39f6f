"""Operands of time loops change places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ..affine import integer, plus, times
from ..infer import operands, same_lengths
from ..nodes import Apply, Assign, Constant, Extent, For, Guard, Node, Operand, postorder, substitute
from ..ops import operator
from ..program import Program, assigned_operand
from ..swaps import swapped
from .joint import Path, apart, places
from .nests import conjunction, untaken, with_body

_EQUAL, _LESS, _LESS_EQUAL, _OR = (operator(name) for name in ("equal", "less", "less_equal", "logical_or"))


def swap(program: Program) -> Program:
    """Have loops that copy one operand to another at the end of each iteration read and write them in turn instead.

                                               if u.shape[0] == v.shape[0] and disjoint(u, v):
                                                   for k in range(0, n, 2):
                                                       v[1:-1] = u[:-2] + u[2:]
        for k in range(0, n, 1):                       if k == 0 or n <= k + 1:
            v[1:-1] = u[:-2] + u[2:]    →                  u[...] = v
            u[...] = v                                 if k + 1 < n:
                                                           u[1:-1] = v[:-2] + v[2:]
                                                           if n <= k + 2:
                                                               v[...] = u
                                               else: the loop as it was

    Two iterations are one. The first copies, where not all of `v` is assigned, and the last.

    Keeps: every value. After the first iteration u and v are equal but for what is assigned to v, all of it in every
    iteration, before it is read.
    Requires: nothing.
    """
    place = places(program)
    locals_ = set(program.locals)
    taken = {operand.name for operand in program.declared}
    fresh: list[Operand] = []
    new: dict[Node, Node] = {}

    def block(statements: Sequence[Node], path: Path, known: set[Node]) -> list[Node]:
        """`known` are the locals that are there before the block."""
        known = set(known)
        result: list[Node] = []
        for statement in statements:
            if isinstance(statement, Guard):
                # As it is written it runs seldom: no code is spent on that.
                then = block(statement.then, path.branches(statement.condition)[0], known)
                if tuple(then) != statement.then:
                    new[statement] = statement = Guard(statement.condition, tuple(then), statement.otherwise)
            elif type(statement) is For:
                made = turns(statement, path, known) or with_body(statement, block(statement.body, path, known))
                new[statement] = statement = made
            elif isinstance(statement, Assign) and statement.target in locals_:
                known.add(statement.target)
            result.append(statement)
        return result

    def turns(loop: For, path: Path, known: set[Node]) -> Node | None:
        """The loop in which the two operands take turns, under its test; None where there are none."""
        pair = swapped(loop.body)
        if pair is None or not isinstance(loop.step, Constant):
            return None
        one, other = pair
        own = [o for o in program.locals if o not in known and any(o.name in operands(s) for s in loop.body)]
        assigned = {assigned_operand(cast(Assign, s).target) for s in loop.body}
        if one in own or one.type.element is not other.type.element:
            return None
        if not assigned.isdisjoint(postorder((loop.start, loop.stop))):
            return None
        first = loop.body[:-1]
        whole = next((s for s in first if isinstance(s, Assign) and s.target is other), None)
        if other in own and (whole is None or not same_lengths(whole.value, one)):
            # It has the shape of what it is assigned: that is not known to be the other one's.
            return None
        following = plus(loop.index, loop.step)
        exchanged: dict[Node, Node] = {one: other, other: one, loop.index: following}
        for local in own:
            if local is not other:
                exchanged[local] = Operand(untaken(local.name, taken), local.type)
                taken.add(exchanged[local].name)  # type: ignore[attr-defined]
                fresh.append(cast(Operand, exchanged[local]))
        second = substitute(first, exchanged.get)
        ends = _not_before(following, loop)
        copies = ends if whole is not None else Apply(_OR, (Apply(_EQUAL, (loop.index, loop.start)), ends))
        after: tuple[Node, ...] = ()
        if other not in own:
            after = (Guard(_not_before(plus(following, loop.step), loop), (Assign(other, one),), ()),)
        body = (
            *first,
            Guard(copies, (Assign(one, other),), ()),
            Guard(_before(following, loop), (*second, *after), ()),
        )
        made = For(loop.index, loop.start, loop.stop, times(loop.step, integer(2)), body)
        axes = range(0 if other in own else one.type.rank)
        tests: list[Node] = [Apply(_EQUAL, (Extent(one, k), Extent(other, k))) for k in axes]
        for node in postorder((loop,)):
            # What else the loop touches would be read before the one it is the same as is written, or after.
            tests += [*apart(node, one, place), *apart(node, other, place)]
        condition = conjunction(dict.fromkeys(test for test in tests if test not in path.facts))
        return made if condition is None else Guard(condition, (made,), (loop,))

    statements = block(program.statements, Path(), set())
    changed = program.rewritten(statements, new)
    return changed.replace(locals=(*program.locals, *fresh)) if fresh else changed


def _before(place: Node, loop: For) -> Node:
    """That a value of a loop's index is one of its own, as far as its end tells."""
    falls = isinstance(loop.step, Constant) and loop.step.value < 0
    return Apply(_LESS, (loop.stop, place) if falls else (place, loop.stop))


def _not_before(place: Node, loop: For) -> Node:
    falls = isinstance(loop.step, Constant) and loop.step.value < 0
    return Apply(_LESS_EQUAL, (place, loop.stop) if falls else (loop.stop, place))
