"""Which statements one nest of loops computes: the one rule, by which `fuse` orders statements and `plan` cuts them.

A region computes its statements together, element by element: whatever one of them reads is from before the first.

>>> from arrayexpr._core.parser import parse
>>> program = parse(
...     "def f(a: float64[:], b: float64[:], *, r: float64[:], s: float64[:], t: float64[:]):\\n"
...     "    r[...] = a + b\\n    s[...] = a * 2.0\\n    t[...] = s - a\\n"
... )
>>> [[each.target.name for each in group] for group in regions(program.statements)]
[['r', 's'], ['t']]
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from .infer import PURE, cost, effects
from .nodes import (
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
    Slice,
    View,
    postorder,
)
from .primitives import reduces
from .record import record

#: Streams that a region reads and writes at the most: a call of more goes through no table of layouts, and the
#: machine follows no more of them at a time.
STREAMS: Final = 16
#: Operations of a region at the most. A compiler's time grows faster than the text, and what is stored and loaded
#: between two regions of this size is a hundredth of what they compute.
OPERATIONS: Final = 400.0
#: Pairs of views that are looked at for a program at the most: each takes 20 to 200 microseconds.
_ASKED: Final = 2000

#: An operand, or slices of one, and the axes of the region's shape that its own are.
Access = tuple[Node, tuple[int, ...]]


class Meeting:
    """Whether two views of one operand have elements in common, as far as can be told; each pair is looked at once.

    >>> from arrayexpr._core.parser import parse
    >>> program = parse("def f(a: float64[:], b: float64[:], *, r: float64[:]):\\n    r[...] = a[::2] + a[1::2]\\n")
    >>> Meeting()(*program.statements[0].value.args)
    False
    """

    def __init__(self) -> None:
        self._found: dict[tuple[Node, Node], bool] = {}

    def __call__(self, x: Node, y: Node) -> bool:
        if x is y or isinstance(x, Operand) or isinstance(y, Operand):
            return True
        if (x, y) not in self._found:
            self._found[x, y] = self._found[y, x] = self._meet(x, y)
        return self._found[x, y]

    def _meet(self, x: Node, y: Node) -> bool:
        if isinstance(x, View) and isinstance(y, View) and x.arg is y.arg and x.order is y.order is None:
            # Rows, columns and components by their numbers: what needs no system of equations, nor its import.
            for one, other in zip(x.subscripts, y.subscripts, strict=False):
                if one is None or other is None:
                    break
                if isinstance(one, int) and isinstance(other, int) and one != other and (one < 0) == (other < 0):
                    return False
        if len(self._found) > 2 * _ASKED:
            return True
        from .dependence import may_touch

        return may_touch(x, y).answer != "never"


@record
class Part:
    """A statement as a region computes it: over a shape of `rank` axes, of which it reduces `reduced`.

    `reads` are its accesses, `name` is what it assigns and `writes` how. `lengths` are the lengths that it reads.
    """

    statement: Assign
    rank: int
    reduced: tuple[int, ...]
    reads: dict[Access, None]
    lengths: tuple[Extent, ...]
    name: str
    writes: Access
    work: float
    #: Whether it reads what it assigns otherwise than in place, so that whole arrays may have to be copied.
    turns: bool = False
    #: Whether subscripts of its views are expressions.
    moves: bool = False

    @property
    def whole(self) -> bool:
        """Whether every axis of its shape is reduced."""
        return len(self.reduced) == self.rank > 0


def base(node: Node) -> Operand:
    """The operand that a chain of views is of."""
    while isinstance(node, View):
        node = node.arg
    assert isinstance(node, Operand), node
    return node


def part_of(statement: Node, meet: Meeting) -> Part | None:
    """A statement as a region computes it; None where none computes it as it stands."""
    if not isinstance(statement, Assign) or effects(statement) != PURE:
        return None
    value, target = statement.value, statement.target
    nodes = postorder((value,))
    rank, work = target.type.rank, 0.0
    reduced: tuple[int, ...] = ()
    placed = False
    for node in nodes:
        if isinstance(node, Reduce):
            space = node.arg.type.rank, tuple(sorted(node.axes))
            swept = reduces(node.op, node.arg.type.element, node.type.element, len(node.axes))
            if not swept or (reduced and space != (rank, reduced)):
                return None
            rank, reduced = space
            placed = True
        elif isinstance(node, View):
            placed = True
        elif not isinstance(node, Apply | Call | Cast | Operand | Constant | Extent | Function):
            return None
        work += cost(node)
    full = tuple(range(rank))
    if reduced and target.type.rank == rank - len(reduced):
        at = tuple(k for k in full if k not in reduced)
    elif target.type.rank == rank:
        at = full
    else:
        return None
    lengths = tuple(node for node in nodes if isinstance(node, Extent))
    beneath = {node.operand for node in lengths}
    reads: dict[Access, None] | None
    if not placed and not beneath:
        reads = {(node, full[rank - node.type.rank :]): None for node in nodes if isinstance(node, Operand)}
    else:
        reads = _accesses(value, at, rank, reduced)
    if reads is None:
        return None
    name = base(target).name
    writes = target, at
    moving = [n for n in (*nodes, *postorder((target,))) if isinstance(n, View) and len(n.args) > 1]
    for each in postorder([subscript for view in moving for subscript in view.args[1:]]):
        if isinstance(each, Operand):
            reads[each, ()] = None
    turns = any(base(node).name == name and (node, place) != writes and meet(node, target) for node, place in reads)
    return Part(statement, rank, reduced, reads, lengths, name, writes, work, turns, bool(moving))


def _accesses(value: Node, at: tuple[int, ...], rank: int, reduced: tuple[int, ...]) -> dict[Access, None] | None:
    """What a value at some axes of the shape reads; None where a part of it has to be computed as a whole first."""
    found: dict[Access, None] = {}
    full = tuple(range(rank))
    kept = tuple(k for k in full if k not in reduced)
    stack: list[tuple[Node, tuple[int, ...]]] = [(value, at[len(at) - value.type.rank :])]
    seen = set(stack)
    while stack:
        node, places = stack.pop()
        inner: list[tuple[Node, tuple[int, ...]]] = []
        if isinstance(node, Operand):
            found[node, places] = None
        elif isinstance(node, View):
            moved = beneath(node, places)
            if moved is not None:
                inner = [(node.arg, moved)]
            elif _is_chain(node):
                found[node, places] = None
            else:
                return None
        elif isinstance(node, Apply | Call | Cast):
            values = node.arguments if isinstance(node, Call) else node.args
            inner = [(child, places[len(places) - child.type.rank :]) for child in values]
        elif isinstance(node, Reduce):
            if tuple(sorted(node.axes)) != reduced or node.arg.type.rank != rank:
                return None
            if (tuple(places[k] for k in kept) if node.keepdims else places) != kept:
                return None
            inner = [(node.arg, full)]
        for each in inner:
            if each not in seen:
                seen.add(each)
                stack.append(each)
    return found


def beneath(view: View, places: tuple[int, ...]) -> tuple[int, ...] | None:
    """The axes of the shape that those of a view's operand are; None of a view that takes a part of it."""
    if view.order is not None:
        inner = [0] * len(view.order)
        for place, axis in zip(places, view.order, strict=True):
            inner[axis] = place
        return tuple(inner)
    if all(item is None or item == Slice() for item in view.subscripts):
        return tuple(p for p, item in zip(places, view.subscripts, strict=True) if item is not None)
    return None


def _is_chain(node: Node) -> bool:
    while isinstance(node, View):
        node = node.arg
    return isinstance(node, Operand)


class Group:
    """The statements of one region so far."""

    def __init__(self, rank: int, reduced: tuple[int, ...], meet: Meeting):
        self.rank = rank
        self.reduced = reduced
        self.meet = meet
        #: Accesses by the operand that they are of, and all there are.
        self.reads: dict[str, dict[Access, None]] = {}
        self.sources: dict[Access, None] = {}
        #: What is assigned by the operand that it is of, with its axes.
        self.writes: dict[str, dict[Node, tuple[int, ...]]] = {}
        self.outputs = 0
        self.work = 0.0
        self.alone = False

    @staticmethod
    def of(part: Part, meet: Meeting) -> Group:
        """The group of one statement."""
        group = Group(part.rank, part.reduced, meet)
        group.add(part)
        return group

    def space(self, part: Part) -> tuple[int, tuple[int, ...]] | None:
        """The shape that the statements and another one are over; None where there is no one such."""
        if part.rank != self.rank or self.alone or part.turns:
            return None
        if part.reduced == self.reduced:
            return self.rank, self.reduced
        # Beside a reduction over everything nothing is swept: see `plan`.
        if not self.reduced and not part.whole:
            return part.rank, part.reduced
        if not part.reduced and len(self.reduced) < self.rank:
            return self.rank, self.reduced
        return None

    def shares(self, reads: Collection[Access]) -> bool:
        """Whether the statements and another one have in common what makes it worth to sweep once.

        That is something read along all axes; or all that is read, where only together it has all axes, as in
        `x[:, None] - x[None, :]`: values of those are in common then.
        """
        if any(len(access[1]) == self.rank and access in self.sources for access in reads):
            return True
        if not self.rank or not all(access in self.sources for access in reads):
            return False
        return {axis for _, axes in reads for axis in axes} == set(range(self.rank))

    def wide(self, reads: Iterable[Access], work: float, outputs: int | None = None) -> bool:
        """Whether the statements and another one are more than a region should do; `outputs` of them are stored."""
        fresh = sum(access not in self.sources for access in reads)
        count = self.outputs if outputs is None else outputs
        return len(self.sources) + fresh + count + 1 > STREAMS or self.work + work > OPERATIONS

    def takes(self, part: Part) -> bool:
        """Whether a statement that comes next belongs to the region."""
        if self.space(part) is None or not self.shares(part.reads) or self.wide(part.reads, part.work):
            return False
        if part.whole and not _one_sweep(part):
            # It is computed in turns.
            return False
        for node in (part.writes[0], *(node for node, _ in part.reads)):
            if any(self.meet(node, written) for written in self.writes.get(base(node).name, ())):
                return False
        if any(length.operand.name in self.writes for length in part.lengths):
            return False
        # What others read may be assigned in place, once they have.
        before = self.reads.get(part.name, ())
        return all(access == part.writes or not self.meet(access[0], part.writes[0]) for access in before)

    def add(self, part: Part) -> None:
        """Make a statement one of the region's."""
        self.rank, self.reduced = self.space(part) or (self.rank, self.reduced)
        for access in part.reads:
            self.sources[access] = None
            self.reads.setdefault(base(access[0]).name, {})[access] = None
        target, at = part.writes
        mine = self.writes.setdefault(part.name, {})
        self.outputs += target not in mine
        mine[target] = at
        self.work += part.work
        self.alone = self.alone or part.turns or (part.whole and not _one_sweep(part))


def _one_sweep(part: Part) -> bool:
    """Whether what reduces everything is one number from one sweep."""
    return bool(part.writes[0].type.rank == 0)


def regions(statements: Sequence[Node]) -> list[list[Node]]:
    """Neighbouring statements by the region that computes them; what none computes stands alone."""
    groups: list[list[Node]] = []
    last: Group | None = None
    meet = Meeting()
    for statement in statements:
        part = part_of(statement, meet)
        if part is not None and last is not None and last.takes(part):
            groups[-1].append(statement)
            last.add(part)
            continue
        groups.append([statement])
        last = None if part is None else Group.of(part, meet)
    return groups
