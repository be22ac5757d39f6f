"""The pass `scratch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from ..infer import Lengths, effects, lengths, operands
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
from ..types import ArrayType
from .elements import base_of, extents_along, longest
from .nests import add_scratch_lengths, names_lasting, scratch_type, untaken


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
    keeping = _Keeping(program, local)
    statements = keeping.block(program.statements, {}, {})
    if statements is None:
        return program
    return program.rewritten(statements, keeping.new).replace(locals=())


class _Keeping:
    """Gives locals scratch, block by block."""

    def __init__(self, program: Program, local: set[Operand]):
        self.local = local
        self.operands = (*program.operands, *program.results)
        self.place = {operand.name: k for k, operand in enumerate(self.operands)}
        #: The names of what is no local, and of the scratch there is: no two blocks have scratch of one name.
        self.taken = names_lasting(program) - {operand.name for operand in local}
        #: The lengths of locals as expressions of operands' lengths, by what they are.
        self.known: dict[Lengths, tuple[Node, ...] | None] = {}
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
        # The scratch of the block by its type and lengths.
        held: dict[tuple[ArrayType, Lengths], _Held] = {}
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
                    extents = tuple(substitute(self.extents(fresh, shapes[target]), self.lengths.get))
                    shaped = scratch_type(target.type.element, extents)
                    alike = held.setdefault((shaped, lengths(shapes[target])), _Held())
                    operand = alike.free(place)
                    if operand is None:
                        operand = Operand(untaken(target.name, self.taken), shaped)
                        self.taken.add(operand.name)
                        statements.append(Scratch(operand, extents))
                        add_scratch_lengths(self.lengths, statements[-1:])
                    alike.take(operand, last[target.name])
                    called[target] = operand
                made.append(Assign(substitute((target,), called.get)[0], fresh))
                self.new[statement] = made[-1]
            statements.extend(made)
            place += len(group)
        return statements

    def extents(self, value: Node, shaped: Node) -> tuple[Node, ...]:
        """The lengths of a value: those of the operands that they surely are of, as those of `shaped` are."""
        alike = lengths(shaped)
        if alike not in self.known:
            self.known[alike] = self.of_operands(alike)
        found = self.known[alike]
        if found is not None:
            return found
        return tuple(longest(extents_along(value, axis)) for axis in range(value.type.rank))

    def of_operands(self, alike: Lengths) -> tuple[Node, ...] | None:
        """Lengths as those of operands that broadcast together; None where parts of some are among them.

        A local's are so told by operands, of which there are some, and not by the locals that it is computed of.
        """
        found: list[Node] = []
        for axis in alike:
            if not all(isinstance(each, tuple) and len(each) == 2 and each[0] in self.place for each in axis):
                return None
            among = sorted((self.place[name], k) for name, k in axis)
            found.append(longest([Extent(self.operands[place], k) for place, k in among]))
        return tuple(found)


class _Held:
    """Scratch of one type and one shape, in the order in which it was declared, and until when it is needed."""

    def __init__(self) -> None:
        self.operands: list[Operand] = []
        self.places: dict[Operand, int] = {}
        #: By the statement that mentions it last, and what no statement needs any more.
        self.needed: list[tuple[int, int]] = []
        self.spare: list[int] = []

    def free(self, place: int) -> Operand | None:
        """The first that no statement from a place on needs."""
        while self.needed and self.needed[0][0] < place:
            heappush(self.spare, heappop(self.needed)[1])
        return self.operands[heappop(self.spare)] if self.spare else None

    def take(self, operand: Operand, last: int) -> None:
        """Have one, up to a statement."""
        place = self.places.setdefault(operand, len(self.operands))
        if place == len(self.operands):
            self.operands.append(operand)
        heappush(self.needed, (last, place))


def _told(node: Node) -> bool:
    """Whether the lengths of a value are those of what it is of: not of a part of a computed value."""
    if isinstance(node, View):
        computed = not isinstance(base_of(node), Operand)
        return not computed or beneath(node, tuple(range(node.type.rank))) is not None
    return isinstance(node, Apply | Call | Cast | Constant | Extent | Function | Index | Load | Operand | Reduce)
