"""The pass `scratch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..infer import effects, operands, same_lengths
from ..nodes import (
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Extent,
    For,
    Function,
    Guard,
    Index,
    Load,
    Node,
    Operand,
    Reduce,
    Scratch,
    View,
    postorder,
    substitute,
)
from ..program import Program
from ..regions import beneath, regions
from .elements import base_of, extents_along, longest
from .nests import names_lasting, scratch_lengths, scratch_type, untaken


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
    from the region on that assigns it. One that is first assigned in a loop has its scratch there. Programs with a
    local that the lengths of operands do not tell the shape of, or with statements that may have effects, are left as
    they are.

    Keeps: the value of every local between its first assignment and its last use.
    Requires: nothing.
    """
    local = set(program.locals)
    if not local or any(map(effects, program.statements)):
        return program
    keeping = _Keeping(local, names_lasting(program) - {operand.name for operand in local})
    statements = keeping.block(program.statements, {}, {})
    if statements is None:
        return program
    return program.rewritten(statements, keeping.new).replace(locals=())


class _Keeping:
    """Gives locals scratch, block by block."""

    def __init__(self, local: set[Operand], taken: set[str]):
        self.local = local
        #: The names of what is no local, and of the scratch there is: no two blocks have scratch of one name.
        self.taken = taken
        #: The lengths of scratch.
        self.lengths: dict[Node, Node] = {}
        self.new: dict[Node, Node] = {}

    def block(
        self, given: Sequence[Node], called: Mapping[Node, Node], shapes: Mapping[Node, Node]
    ) -> list[Node] | None:
        """The statements with the scratch that they need; None where a local's lengths are not told.

        `called` has the scratch of locals that were assigned before the block, and `shapes` values of their shapes.
        """
        called, shapes = dict(called), dict(shapes)
        last: dict[str, int] = {}
        for k, statement in enumerate(given):
            last.update(dict.fromkeys(operands(statement), k))
        statements: list[Node] = []
        # What lies in scratch: the local whose it is now, and a value of its shape, of operands alone.
        held: dict[Operand, tuple[str, Node]] = {}
        place = 0
        for group in regions(given):
            # Statements that one nest computes stay neighbours: their scratch is declared before.
            made: list[Node] = []
            for statement in group:
                if isinstance(statement, Guard):
                    branches = [self.block(b, called, shapes) for b in (statement.then, statement.otherwise)]
                    if branches[0] is None or branches[1] is None:
                        return None
                    (condition,) = substitute((statement.condition,), called.get)
                    made.append(Guard(condition, tuple(branches[0]), tuple(branches[1])))
                    continue
                if type(statement) is For:
                    body = self.block(statement.body, called, shapes)
                    if body is None:
                        return None
                    start, stop, step = substitute((statement.start, statement.stop, statement.step), called.get)
                    made.append(For(statement.index, start, stop, step, tuple(body)))
                    self.new[statement] = made[-1]
                    continue
                if not isinstance(statement, Assign):
                    made.append(substitute((statement,), called.get)[0])
                    self.new[statement] = made[-1]
                    continue
                target, value = statement.target, statement.value
                (fresh,) = substitute((value,), called.get)
                if isinstance(target, Operand) and target in self.local and target not in called:
                    if not all(map(_told, postorder((value,)))) or value.type.rank != target.type.rank:
                        return None
                    (shapes[target],) = substitute(
                        (value,), lambda node: node if isinstance(node, Extent) else shapes.get(node)
                    )
                    extents = tuple(substitute(_extents(fresh, shapes[target]), self.lengths.get))
                    shaped = scratch_type(target.type.element, extents)
                    free = (
                        operand
                        for operand, (name, first) in held.items()
                        if operand.type is shaped and last[name] < place and same_lengths(first, shapes[target])
                    )
                    operand = next(free, None)
                    if operand is None:
                        operand = Operand(untaken(target.name, self.taken), shaped)
                        self.taken.add(operand.name)
                        statements.append(Scratch(operand, extents))
                        self.lengths = scratch_lengths((statements[-1],), self.lengths)
                    called[target] = operand
                    held[operand] = target.name, shapes[target]
                made.append(Assign(substitute((target,), called.get)[0], fresh))
                self.new[statement] = made[-1]
            statements.extend(made)
            place += len(group)
        return statements


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
    return isinstance(node, Apply | Call | Cast | Constant | Extent | Function | Index | Load | Operand | Reduce)
