"""What is the same in every iteration of a loop around statements of arrays is computed before it."""

from __future__ import annotations

from collections.abc import Sequence

from ..invariants import invariant_values
from ..nodes import Assign, Contract, For, Guard, Node, Operand, Store, postorder, substitute
from ..program import Program, assigned_operand
from .elements import as_assign
from .joint import Path, apart, iterates, places
from .nests import conjunction, enclosed, names_lasting, untaken, with_body


def invariants(program: Program) -> Program:
    """Assign values that no iteration of a loop changes to locals before it, where they cost more than to be read.

                                                  if 0 < n and disjoint(a, u):
        for k in range(0, n, 1):                      t[...] = exp(a)
            u[...] = u * 0.5 + exp(a)      →          for k in range(0, n, 1):
                                                          u[...] = u * 0.5 + t
                                                  else: the loop as it was

    What is under a guard or an inner loop, which may not come to it, is left there.

    Keeps: every value.
    Requires: nothing.
    """
    place = places(program)
    taken = names_lasting(program)
    fresh: list[Operand] = []
    new: dict[Node, Node] = {}

    def block(statements: Sequence[Node], path: Path) -> tuple[Node, ...]:
        result: list[Node] = []
        for statement in statements:
            if isinstance(statement, Guard):
                # As it is written it runs seldom: no code is spent on that.
                then = block(statement.then, path.branches(statement.condition)[0])
                if then != statement.then:
                    new[statement] = statement = Guard(statement.condition, then, statement.otherwise)
                result.append(statement)
            elif type(statement) is For:
                made = around(statement, path)
                new[statement] = made[-1]
                result.extend(made)
            else:
                result.append(statement)
        return tuple(result)

    def around(loop: For, path: Path) -> tuple[Node, ...]:
        """The loop, or what its iterations have in common and the rest of it, under a test if need be."""
        body = tuple(map(as_assign, loop.body))
        values = [
            v for v in invariant_values(body, loop.index) if not any(isinstance(n, Contract) for n in postorder((v,)))
        ]
        if not values:
            return (with_body(loop, block(loop.body, path)),)
        stored = dict.fromkeys(n for statement in enclosed(body) for n in _stored(statement))
        tests = {iterates(loop): None}
        kept: dict[Node, Node] = {}
        for value in values:
            kept[value] = local = Operand(untaken("t", taken), value.type.plain)
            taken.add(local.name)
            fresh.append(local)
            for node in postorder((value,)):
                tests.update(dict.fromkeys(test for other in stored for test in apart(node, other, place)))
        condition = conjunction(test for test in tests if test is not None and test not in path.facts)
        within = path if condition is None else path.branches(condition)[0]
        rest = [
            Assign(now.target, *substitute((now.value,), kept.get)) if isinstance(now, Assign) else was
            for was, now in zip(loop.body, body, strict=True)
        ]
        made = (*(Assign(local, value) for value, local in kept.items()), with_body(loop, block(rest, within)))
        return made if condition is None else (Guard(condition, made, (loop,)),)

    statements = block(program.statements, Path())
    if not fresh:
        return program
    return program.rewritten(statements, new).replace(locals=(*program.locals, *fresh))


def _stored(statement: Node) -> list[Node]:
    """What a statement assigns."""
    if isinstance(statement, Assign):
        return [assigned_operand(statement.target)]
    return [statement.operand] if isinstance(statement, Store) else []
