"""The pass `scratch`."""

from __future__ import annotations

from ..infer import effects, operands, same_lengths
from ..nodes import (
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Extent,
    Function,
    Node,
    Operand,
    Reduce,
    Scratch,
    View,
    postorder,
    substitute,
)
from ..program import Program
from ..regions import beneath
from .elements import base_of, extents_along, longest


def scratch(program: Program) -> Program:
    """Keep locals in scratch, of the shape that they are first assigned; one for all that are not needed at a time.

        t[...] = exp(a)                t = scratch(float64['C', :], a.shape[0])
        u[...] = exp(t[::-1])          t[...] = exp(a)
        v[...] = u + t          →      u = scratch(float64['C', :], a.shape[0])
        w[...] = v[::-1] + a           u[...] = exp(t[::-1])
        r[...] = w[::-1] + v           v = scratch(float64['C', :], a.shape[0])
                                       v[...] = u + t
                                       u[...] = v[::-1] + a
                                       r[...] = u[::-1] + v

    A local takes another one's scratch where that is of the same type, surely of the same shape, and not mentioned
    from the statement on that assigns it. Programs with a local that the lengths of operands do not tell the shape of,
    or with statements that may have effects, are left as they are.

    Keeps: the value of every local between its first assignment and its last use.
    Requires: nothing.
    """
    local = {operand: operand for operand in program.locals}
    if not local or any(not isinstance(s, Assign) or effects(s) for s in program.statements):
        return program
    last: dict[str, int] = {}
    for k, statement in enumerate(program.statements):
        last.update(dict.fromkeys(operands(statement), k))
    statements: list[Node] = []
    called: dict[Node, Node] = {}
    # What lies in scratch: the local whose it is now, and a value of its shape, of operands alone.
    held: dict[Operand, tuple[str, Node]] = {}
    shapes: dict[Node, Node] = {}
    new: dict[Node, Node] = {}
    for k, statement in enumerate(program.statements):
        assert isinstance(statement, Assign)
        target, value = statement.target, statement.value
        (fresh,) = substitute((value,), called.get)
        if isinstance(target, Operand) and target in local and target not in called:
            if not all(map(_told, postorder((value,)))) or value.type.rank != target.type.rank:
                return program
            (shapes[target],) = substitute(
                (value,), lambda node: node if isinstance(node, Extent) else shapes.get(node)
            )
            shaped = target.type.element.array(target.type.rank, order="C") if target.type.rank else target.type
            free = (
                operand
                for operand, (name, first) in held.items()
                if operand.type is shaped and last[name] < k and same_lengths(first, shapes[target])
            )
            operand = next(free, None)
            if operand is None:
                operand = Operand(target.name, shaped)
                statements.append(Scratch(operand, _extents(fresh, shapes[target])))
            called[target] = operand
            held[operand] = target.name, shapes[target]
        made = Assign(substitute((target,), called.get)[0], fresh)
        new[statement] = made
        statements.append(made)
    return program.rewritten(statements, new).replace(locals=())


def _extents(value: Node, shaped: Node) -> tuple[Node, ...]:
    """The lengths of a value: those of an operand where it surely has its shape, as `shaped` does."""
    axes = range(value.type.rank)
    for node in postorder((shaped,)):
        if isinstance(node, Operand) and same_lengths(node, shaped):
            return tuple(Extent(node, axis) for axis in axes)
    return tuple(longest(extents_along(value, axis)) for axis in axes)


def _told(node: Node) -> bool:
    """Whether the lengths of a value are those of what it is of: not of a part of a computed value."""
    if isinstance(node, View):
        computed = not isinstance(base_of(node), Operand)
        return not computed or beneath(node, tuple(range(node.type.rank))) is not None
    return isinstance(node, Apply | Call | Cast | Constant | Extent | Function | Operand | Reduce)
