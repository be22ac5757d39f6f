"""Calls of composite functions become their bodies."""

from __future__ import annotations

from ..infer import SIDE_EFFECT, UNREORDERABLE, effects
from ..nodes import Apply, Call, Cast, Constant, Node, postorder, transform
from ..ops import operator
from ..program import Program
from ..types import BOOL

_WHERE = operator("where")


def inline(program: Program) -> Program:
    """Replace every `Call` by its function's body over the arguments.

        y[...] = f(a)      with  f(x) = x * x
        →  y[...] = a * a

    Arguments that the body does not read keep their part in the shape: `where(True, body, argument)`.
    A call with an effect, in its arguments or its function, stays: arguments are evaluated once, and first.

    Keeps: f(args) == body[params := args].
    """
    new: dict[Node, Node] = {}

    def expand(node: Node) -> Node | None:
        if not _expands(node):
            return None
        assert isinstance(node, Call)
        # Arguments hold calls of their own, and so may the body: both are expanded by the next round.
        params = dict(zip(node.function.params, node.arguments, strict=True))
        body = node.function.body
        expanded = transform((body,), params.get)[body]
        if any(param.type.rank for param in params):
            return expanded
        # A value has the shape that all arguments broadcast to, also those that the body does not read.
        used = set(postorder((body,)))
        for param, argument in params.items():
            if argument.type.rank and param not in used:
                expanded = Apply(_WHERE, (Constant(True, BOOL), expanded, _as(argument, body)))
        return expanded

    statements = program.statements
    while any(map(_expands, program.replace(statements=statements).nodes())):
        new = transform(statements, expand)
        program = program.rewritten((new[s] for s in statements), new)
        statements = program.statements
    return program


def _expands(node: Node) -> bool:
    return isinstance(node, Call) and not effects(node) & (SIDE_EFFECT | UNREORDERABLE)


def _as(argument: Node, like: Node) -> Node:
    """The argument cast to the element type of another node."""
    element = like.type.element
    return argument if argument.type.element is element else Cast(argument, element)
