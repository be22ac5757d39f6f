"""Computed values of which parts are read become statements of their own."""

from __future__ import annotations

from collections.abc import Sequence

from ..infer import PURE, effects
from ..nodes import Assign, For, Guard, Node, Operand, Reduce, Slice, View, postorder, substitute
from ..program import Program
from .elements import as_assign, base_of
from .nests import names_lasting, untaken, with_body


def parts(program: Program) -> Program:
    """Assign what a statement reads a part of, and computes itself, to a local.

                                      t[...] = a + b
        r[...] = (a + b)[1:] * c  →   r[...] = t[1:] * c

    Loops have no form for it: an element of the part is one of the value at another place, for which the lengths of
    the value would have to be known. A local of a statement in a loop is the loop's own.

    Keeps: every value.
    Requires: no effects: statements that have some are left as they are.
    """
    taken = names_lasting(program)
    fresh: list[Operand] = []
    new: dict[Node, Node] = {}

    def block(statements: Sequence[Node]) -> list[Node]:
        made: list[Node] = []
        for statement in statements:
            if isinstance(statement, Guard):
                then, otherwise = tuple(block(statement.then)), tuple(block(statement.otherwise))
                if then != statement.then or otherwise != statement.otherwise:
                    new[statement] = statement = Guard(statement.condition, then, otherwise)
                made.append(statement)
            elif type(statement) is For:
                made.append(with_body(statement, block(statement.body)))
                new[statement] = made[-1]
            else:
                made.extend(_apart(statement))
        return made

    def _apart(statement: Node) -> list[Node]:
        assign = as_assign(statement)
        if not isinstance(assign, Assign) or effects(assign) != PURE:
            return [statement]
        reduces = any(isinstance(node, Reduce) for node in postorder((assign.value,)))
        known: dict[Node, Node] = {}
        before: list[Node] = []
        for node in postorder((assign.value,)):
            value = base_of(node)
            if node is value or isinstance(value, Operand) or value in known or _walked(node, reduces):
                continue
            local = Operand(untaken("t", taken), value.type.plain)
            taken.add(local.name)
            fresh.append(local)
            # The innermost are locals already where they stand in others.
            before.append(Assign(local, substitute((value,), known.get)[0]))
            known[value] = local
        if not known:
            return [statement]
        new[statement] = Assign(assign.target, substitute((assign.value,), known.get)[0])
        return [*before, new[statement]]

    statements = block(program.statements)
    if not fresh:
        return program
    return program.rewritten(statements, new).replace(locals=(*program.locals, *fresh))


def _walked(node: Node, reduces: bool) -> bool:
    """Whether loops find the elements of views of a computed value: axes in another order, or, in sweeps, new ones."""
    while isinstance(node, View):
        if node.order is None and not (reduces and all(item is None or item == Slice() for item in node.subscripts)):
            return False
        node = node.arg
    return True
