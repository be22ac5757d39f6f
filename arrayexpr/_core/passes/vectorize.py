"""Marks the loops that may be vector loops."""

from __future__ import annotations

from collections.abc import Sequence

from ..nodes import For, Guard, Load, Loop, Node, Store, postorder
from ..program import Program
from .nests import enclosed, refusal, unit_condition, with_body


def vectorize(program: Program, *, versions: bool = True) -> Program:
    """Give innermost loops the role `vector`, with a version for unit strides where strides are unknown.

        for i in serial(0, n, 1):         if a.strides[0] == 8 and r.strides[0] == 8:
            r[i] = a[i]             →         for i in vector(0, n, 1): r[i] = a[i]
                                          else:
                                              for i in vector(0, n, 1): r[i] = a[i]

    `versions=False` is for a caller whose operand types say all there is to know of strides.
    What forbids it is put on the program's remarks: an effect that pins the order, a host's function,
    or an operand that is stored and loaded at different elements.

    Keeps: the loop's iterations, which are independent.
    Requires: nests that `lower` made: operands overlap only where they are the same view.
    """
    remarks: list[str] = []
    new: dict[Node, Node] = {}

    def visit(statement: Node) -> tuple[Node, ...]:
        if isinstance(statement, Guard):
            then = tuple(s for t in statement.then for s in visit(t))
            otherwise = tuple(s for t in statement.otherwise for s in visit(t))
            return (Guard(statement.condition, then, otherwise),)
        if type(statement) is For:
            new[statement] = with_body(statement, block(statement.body))
            return (new[statement],)
        if type(statement) is not Loop:
            return (statement,)
        if any(type(inner) is Loop for inner in enclosed(statement.body)):
            body = tuple(s for t in statement.body for s in visit(t))
            changed = Loop(statement.index, statement.start, statement.stop, statement.step, statement.role, body)
            new[statement] = changed
            return (changed,)
        if statement.role != "serial":
            return (statement,)
        reason = refusal(statement)
        if reason is not None:
            remarks.append(f"loop {statement.index.name} is no vector loop: {reason}")
            return (statement,)
        vector = Loop(statement.index, statement.start, statement.stop, statement.step, "vector", statement.body)
        new[statement] = vector
        return (vector,)

    def version(statement: Node) -> Node:
        """The guard stands outside the whole nest: it is tested once."""
        loops = [s for s in enclosed((statement,)) if type(s) is Loop and s.role == "vector"]
        if not loops or type(statement) is not Loop:
            return statement
        # Loops over one strip share their index.
        index = loops[0].index
        bodies = [s for loop in loops if loop.index is index for s in loop.body]
        accesses = [n for n in postorder(bodies) if isinstance(n, Load | Store)]
        condition = unit_condition(accesses, index, program)
        return statement if condition is None else Guard(condition, (statement,), (statement,))

    def block(given: Sequence[Node]) -> list[Node]:
        statements = []
        for statement in given:
            for marked in visit(statement):
                guarded = version(marked) if versions else marked
                if guarded is not marked:
                    new[statement] = guarded
                statements.append(guarded)
        return statements

    changed = program.rewritten(block(program.statements), new)
    return changed.remarked(remarks)
