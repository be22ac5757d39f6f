"""Calls of composite functions become their bodies."""

from __future__ import annotations

from ..nodes import Call, Node, transform
from ..program import Program


def inline(program: Program) -> Program:
    """Replace every `Call` by its function's body over the arguments.

        y[...] = f(a)      with  f(x) = x * x
        →  y[...] = a * a

    Keeps: f(args) == body[params := args].
    """
    new: dict[Node, Node] = {}

    def expand(node: Node) -> Node | None:
        if not isinstance(node, Call):
            return None
        # Arguments hold calls of their own, and so may the body: both are expanded by the next round.
        params = dict(zip(node.function.params, node.arguments, strict=True))
        return transform((node.function.body,), params.get)[node.function.body]

    statements = program.statements
    while any(isinstance(node, Call) for node in program.replace(statements=statements).nodes()):
        new = transform(statements, expand)
        program = program.rewritten((new[s] for s in statements), new)
        statements = program.statements
    return program
