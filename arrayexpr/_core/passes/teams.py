"""Reductions by the lanes of a GPU's blocks."""

from __future__ import annotations

from collections.abc import Sequence

from ..affine import integer, least, minus, plus, quotient, times
from ..errors import ArrayExprError
from ..nodes import (
    Apply,
    Assign,
    Barrier,
    Extent,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Reduce,
    Scratch,
    Store,
    View,
    postorder,
    transform,
)
from ..ops import operator
from ..program import Program
from ..record import replace
from ..types import BROADCAST, UNIT
from .banks import IDLE, Copy, Way, copied
from .blocks import Axis, Places, guarded, inside, over_edge, over_lanes, over_parts, places_of, whole
from .elements import base_of, element, subscripts_of
from .nests import untaken
from .neutral import neutral

_LESS, _EQUAL = operator("less"), operator("equal")
#: Lanes that step together: what they join waits for no others.
WARP = 32


def teams(
    program: Program,
    *,
    lanes: tuple[int, int],
    vector: tuple[int, int],
    unroll: int,
    rows: bool,
    chunk: int = 0,
    held: int = 0,
    staged: int = 0,
) -> Program:
    """Have a block's lanes reduce rows together: each some elements, then all of them pairwise in local memory.

        r[...] = reduce(add, a, 1)   →   for i_b in grid(0, n, 1):
                                             part = scratch(256)
                                             for j_l in lane(0, 256, 1):
                                                 sums of a[i_b, j_l + 256 * ...], some at a time
                                                 part[j_l] = their sum
                                             barrier
                                             half of each warp: part[j_l] += part[j_l + 16], and so on
                                             the warps' parts: part[j_l] += part[j_l + 4], and so on
                                             lane 0: r[i_b] = part[0]

    Of the axes those that are reduced come last. `lanes` and `vector` are of the last kept and of the last reduced
    axis, whose lanes are the fastest where there are `rows`, that is where it is the contiguous one; `unroll` is how
    many vectors a lane takes in at a time, each into accumulators of its own. Values that need what was reduced, as in
    a softmax, go over the row again: with `held`, the turns that a row takes, over what each lane has kept of it for
    itself. With `chunk` a block takes in so many elements of the last axis, and stores at the chunk's number along it:
    what is to be reduced once more. With `staged`, operands whose type says that they are contiguous along the reduced
    axis, where there are no `rows`, come through local memory, a turn's tile at a time; so many neighbours along that
    axis are taken at once.

    Keeps: each element is taken in once, in an order that lengths alone decide.
    Requires: assignments over one shape, with reductions over the same last axes that keep dimensions; as `grid`
    otherwise. With `chunk`, values that are reductions. With `staged`, values that read what is staged only within
    reductions, none of which waits for another one.
    """
    if held and not rows:
        raise ArrayExprError("a schedule that keeps rows of columns: expected `held` of contiguous rows alone")
    if staged and rows:
        raise ArrayExprError("a schedule that stages rows: expected `staged` of columns alone")
    return _Teams(program, lanes, vector, unroll, rows, chunk, held, staged).program()


class _Teams:
    def __init__(
        self,
        program: Program,
        lanes: tuple[int, int],
        vector: tuple[int, int],
        unroll: int,
        rows: bool,
        chunk: int,
        held: int,
        staged: int,
    ):
        self.source = program
        self.assigns = [s for s in program.statements if isinstance(s, Assign)]
        assert len(self.assigns) == len(program.statements)
        found = [n for n in postorder([s.value for s in self.assigns]) if isinstance(n, Reduce)]
        self.reductions = found
        self.reduced = tuple(sorted(found[0].axes))
        self.rank = found[0].arg.type.rank
        self.kept = tuple(k for k in range(self.rank) if k not in self.reduced)
        self.rows = rows
        self.chunk = chunk
        self.taken = {operand.name for operand in program.declared}
        ends = [self._length(k) for k in range(self.rank)]
        self.indices: list[Node] = [Index(self._name(f"i{k}")) for k in range(self.rank)]
        self.ends = ends
        last = self.reduced[-1]
        self.first: Node = integer(0)
        self.stop = ends[last]
        self.slab: Index | None = None
        if chunk:
            self.slab = Index(self._name("s"))
            self.first, self.stop = self.slab, least(plus(self.slab, integer(chunk)), ends[last])
        # A block's part of the last kept axis; and of the last reduced one, at each turn of a loop.
        self.turn = Index(self._name(f"i{last}_b"))
        span = lanes[1] * unroll * vector[1]
        self.held = held
        start = times(self.turn, integer(span)) if held else self.turn
        self.across = Axis(start, self.stop, lanes[1], unroll, vector[1])
        self.along: Axis | None = None
        if self.kept:
            self.along = Axis(Index(self._name(f"i{self.kept[-1]}_b")), ends[self.kept[-1]], lanes[0], 1, vector[0])
        self.parts: dict[Reduce, Operand] = {}
        self.warps: dict[Reduce, Operand] = {}
        self.lanes_along, self.lanes_across = self._named()
        #: What each lane keeps of the row, by the operand that it is of, or by the value.
        self.own_rows: dict[Operand, Operand] = {}
        self.own_values: dict[Node, Operand] = {}
        self._walked: dict[Node, Places] = {}
        #: Copies in local memory of a turn's tile, by the operand that each is of; and how neighbours are taken.
        self.staged = staged
        self.tiles: dict[Operand, tuple[Operand, Copy]] = {}

    def _name(self, name: str) -> str:
        fresh = untaken(name, self.taken)
        self.taken.add(fresh)
        return fresh

    def _length(self, axis: int) -> Node:
        for operand in self.source.declared:
            if operand.type.rank and operand.type.layout[axis] != BROADCAST and not self._is_single(operand, axis):
                return Extent(operand, axis)
        return next(Extent(o, axis) for o in self.source.declared if o.type.rank)

    def _is_single(self, operand: Operand, axis: int) -> bool:
        """Whether an operand is stored at the first place of a reduced axis alone."""
        return axis in self.reduced and any(
            isinstance(s.target, View) and base_of(s.target) is operand for s in self.assigns
        )

    def program(self) -> Program:
        before: list[Node] = self._tiles() if self.staged else []
        body: list[Node] = self._hold() if self.held else []
        levels: dict[Reduce, int] = {}
        for node in self.reductions:
            under = [levels[n] for n in postorder((node.arg,)) if isinstance(n, Reduce)]
            levels[node] = 1 + max(under, default=0)
        for level in range(1, max(levels.values()) + 1):
            together = [n for n in self.reductions if levels[n] == level]
            for node in together:
                self.parts[node] = self._part(node)
                before.append(Scratch(self.parts[node], tuple(map(integer, self._part_extents()))))
                if self.rows and self.across.lanes > WARP:
                    self.warps[node] = Operand(self._name("warps"), node.type.element.array(2, order="C"))
                    extents = self._part_extents()[0], self.across.lanes // WARP
                    before.append(Scratch(self.warps[node], tuple(map(integer, extents))))
            later = [n.arg for n in self.reductions if levels[n] > level]
            later += [s.value for s in self.assigns if not isinstance(s.target, View)]
            body += self._sweep(together, later)
        single = [s for s in self.assigns if isinstance(s.target, View)]
        spread = [s for s in self.assigns if not isinstance(s.target, View)]
        if spread:
            body += self._spread(spread)
        if single:
            # What is stored may lie where other lanes have read a value of the row: in place.
            body += [Barrier()] if spread else []
            body += self._results(single)
        inner: tuple[Node, ...] = (*before, *self._over_lanes(body))
        if self.along is not None:
            assert isinstance(self.along.start, Index)
            inner = (self._grid(self.along.start, self.along.stop, self.along.span, inner),)
        for k in reversed(self.kept[:-1]):
            inner = (self._grid(self.indices[k], self.ends[k], 1, inner),)
        if self.slab is not None:
            inner = (self._grid(self.slab, self.ends[self.reduced[-1]], self.chunk, inner),)
        elif not self.kept:
            inner = (self._grid(Index(self._name("b")), integer(1), 1, inner),)
        return self.source.rewritten(inner, dict.fromkeys(self.assigns, inner[0]))

    @staticmethod
    def _grid(index: Node, stop: Node, step: int, body: tuple[Node, ...]) -> Node:
        return Loop(index, integer(0), stop, integer(step), "grid", body)

    # -- lanes and what they share --

    def _part(self, node: Reduce) -> Operand:
        return Operand(self._name("part"), node.type.element.array(len(self._part_extents()), order="C"))

    def _part_extents(self) -> tuple[int, ...]:
        lanes = 1 if self.along is None else self.along.lanes
        if self.rows:
            return lanes, self.across.lanes
        # A warp's lanes lie side by side, so that they ask for different banks.
        return 1 if self.along is None else self.along.vector, self.across.lanes, lanes

    def _at(self, along: Places | None, across: Node) -> tuple[Node, ...]:
        """The place of a lane's own part, or that of another one along the reduced axis."""
        lane = integer(0) if along is None else along.lane
        if self.rows:
            return lane, across
        return integer(0) if along is None else along.part, across, lane

    def _named(self) -> tuple[Places | None, Places]:
        across = self.across.named(f"i{self.reduced[-1]}", self.taken)
        return None if self.along is None else self.along.named(f"i{self.kept[-1]}", self.taken), across

    def _places(self) -> tuple[Places | None, Places]:
        """New indices for what each lane has; the lanes are the same in all phases."""
        along, across = self._named()
        if along is not None and self.lanes_along is not None:
            along = replace(along, lane=self.lanes_along.lane)
        across = replace(across, lane=self.lanes_across.lane)
        self._walked[across.index] = across
        return along, across

    def _over_lanes(self, body: Sequence[Node]) -> tuple[Node, ...]:
        along, across = self.lanes_along, self.lanes_across
        places = [across] if along is None else [along, across] if self.rows else [across, along]
        return over_lanes(places, body)

    def _over_kept(self, along: Places | None, body: Sequence[Node]) -> tuple[Node, ...]:
        """Statements for each of the neighbours that a lane has along the kept axis."""
        return tuple(body) if along is None else over_parts([along], body)

    def _at_index(self, along: Places | None, across: Node) -> tuple[Node, ...]:
        indices = list(self.indices)
        if along is not None:
            indices[self.kept[-1]] = along.index
        indices[self.reduced[-1]] = across
        return tuple(indices)

    def _hold(self) -> list[Node]:
        """Load what several phases read of the row into memory of each lane's own."""
        phases = [n.arg for n in self.reductions] + [s.value for s in self.assigns if not isinstance(s.target, View)]
        uses: dict[Operand, int] = {}
        for phase in phases:
            for operand in _read(phase):
                assert isinstance(operand, Operand)
                if operand.type.rank and operand.type.layout[self.reduced[-1]] != BROADCAST:
                    uses[operand] = uses.get(operand, 0) + 1
        along, across = self._places()
        count = self.held * self.across.unroll * self.across.vector
        body: list[Node] = []
        stores: list[Node] = []
        made: dict[Operand, Operand] = {}
        for operand in [operand for operand, times_read in uses.items() if times_read > 1]:
            row = Operand(self._name(f"{operand.name}_r"), operand.type.element.array(1, order="C"))
            made[operand] = row
            body.append(Scratch(row, (integer(count),)))
            stores.append(Store(row, (self._row_place(across),), self._value(operand, along, across.index)))
        if stores:
            body += self._over_row(along, across, stores)
        self.own_rows = made
        return body

    def _row_place(self, across: Places) -> Node:
        """Where a lane keeps an element of the row."""
        wide = self.across.vector
        turn = plus(times(self.turn, integer(self.across.unroll * wide)), times(across.turn, integer(wide)))
        return plus(turn, across.part)

    def _kept_loads(self, along: Places | None, across: Node) -> dict[Node, Node]:
        """The loads of what each lane keeps, and where it does."""
        found: dict[Node, Node] = {}
        place = self._walked.get(across)
        if place is not None:
            for operand, row in self.own_rows.items():
                load = element(operand, self._at_index(along, across), None)
                found[load] = Load(row, (self._row_place(place),))
            for value, row in self.own_values.items():
                found[self._element(value, along, across)] = Load(row, (self._row_place(place),))
        return found

    def _is_kept(self, node: Reduce, later: Sequence[Node]) -> bool:
        """Whether what is reduced is needed again, by values that need nothing else of what lanes keep of the row.

        A softmax computes its exponentials once then, in the registers that the row was in.
        """
        value = node.arg
        if not self.own_rows or isinstance(value, Operand):
            return False
        size = max(operand.type.element.itemsize for operand in self.own_rows)
        read = [_read(each, value) for each in later]
        return (
            value.type.element.itemsize <= size
            and any(value in found for found in read)
            and not any(found & self.own_rows.keys() for found in read)
        )

    def _value(self, value: Node, along: Places | None, across: Node) -> Node:
        found = self._element(value, along, across)
        moved = self._kept_loads(along, across) if self.own_rows else self._staged_loads(along, across)
        return transform((found,), moved.get)[found] if moved else found

    def _element(self, value: Node, along: Places | None, across: Node) -> Node:
        def reduced(node: Node, at: tuple[Node, ...]) -> Node:
            assert isinstance(node, Reduce)
            return Load(self.parts[node], self._at(along, integer(0)))

        return element(value, self._at_index(along, across), None, reduced)

    # -- operands that lie along the reduced axis, where lanes do not --

    def _tiles(self) -> list[Node]:
        """Declare a copy of a turn's tile for each operand that is to be staged."""
        assert self.along is not None
        r, x = self.reduced[-1], self.kept[-1]
        main = Way(
            ((0, self.across.lanes, self.across.unroll, 1), (1, self.along.lanes, self.along.unroll, self.along.vector))
        )
        sides, lanes = (self.across.span, self.along.span), self.across.lanes * self.along.lanes
        found: list[Node] = []
        for operand in self.source.operands:
            layout = operand.type.layout
            if not operand.type.rank or layout[r] != UNIT or layout[x] == BROADCAST:
                continue
            copy, _ = copied(sides, 0, (0, 1), operand.type.element.itemsize, self.staged, main, lanes)
            tile = Operand(self._name(f"{operand.name}_t"), operand.type.element.array(2, order="C"))
            self.tiles[operand] = tile, copy
            found.append(Scratch(tile, tuple(map(integer, copy.extents))))
        return found

    def _staged_loads(self, along: Places | None, across: Node) -> dict[Node, Node]:
        """The loads of what is staged, and where its copy has it."""
        place = self._walked.get(across)
        if place is None or along is None:
            return {}
        within = place.within, along.within
        return {
            element(operand, self._at_index(along, across), None): Load(tile, tuple(within[k] for k in copy.order))
            for operand, (tile, copy) in self.tiles.items()
        }

    def _brought(self) -> list[Node]:
        """Bring a turn's tiles into local memory, by all lanes of the block, in whatever order they lie."""
        assert self.along is not None and self.lanes_along is not None
        number = plus(times(self.lanes_across.lane, integer(self.along.lanes)), self.lanes_along.lane)
        full: list[Node] = []
        edge: list[Node] = []
        for operand, (tile, copy) in self.tiles.items():
            places = places_of(
                copy.way, number, self.across.lanes * self.along.lanes, {0: self.across, 1: self.along}, self.taken
            )
            at = self._at_index(places[1], places[0].index)
            body: tuple[Node, ...] = (
                Store(tile, tuple(places[k].within for k in copy.order), element(operand, at, None)),
            )
            ordered = list(places.values())
            idle = [place for k, place in places.items() if k == IDLE]
            full += over_parts(ordered, guarded(inside(idle), body))
            edge += over_edge(ordered, body)
        return [*guarded(whole([self.across, self.along]), full, edge), Barrier()]

    # -- phases --

    def _sweep(self, together: Sequence[Reduce], later: Sequence[Node]) -> list[Node]:
        """Reduce over the row: what each lane takes in, then the lanes' parts. `later` are values of later phases."""
        along, across = self._places()
        vectors = 1 if along is None else along.axis.vector
        unroll, wide = self.across.unroll, self.across.vector
        count = unroll * wide * vectors
        accumulators = {node: Operand(self._name("sum"), node.type.element.array(1, order="C")) for node in together}
        body: list[Node] = [Scratch(acc, (integer(count),)) for acc in accumulators.values()]
        each = Index(self._name("k"))
        start = [Store(acc, (each,), neutral(node.op, acc.type.element)) for node, acc in accumulators.items()]
        body.append(Loop(each, integer(0), integer(count), integer(1), "unroll", tuple(start)))
        own = self._own(along, across)
        stores: list[Node] = []
        kept: dict[Node, Operand] = {}
        for node, acc in accumulators.items():
            value = self._value(node.arg, along, across.index)
            if node.arg not in kept and self._is_kept(node, later):
                kept[node.arg] = Operand(self._name("row"), node.arg.type.element.array(1, order="C"))
                body.append(Scratch(kept[node.arg], (integer(self.held * unroll * wide),)))
                stores.append(Store(kept[node.arg], (self._row_place(across),), value))
            stores.append(Store(acc, (own,), Apply(node.op, (Load(acc, (own,)), value))))
        body += self._over_row(along, across, stores)
        self.own_values |= kept
        # Those of one kept element are joined pairwise.
        rest = count // vectors
        while rest > 1:
            rest //= 2
            for k in range(rest * vectors):
                for node, acc in accumulators.items():
                    x, y = Load(acc, (integer(k),)), Load(acc, (integer(k + rest * vectors),))
                    body.append(Store(acc, (integer(k),), Apply(node.op, (x, y))))
        own = integer(0) if along is None else along.part
        body += self._over_kept(
            along,
            [Store(self.parts[n], self._at(along, across.lane), Load(acc, (own,))) for n, acc in accumulators.items()],
        )
        found: list[Node] = [*body, Barrier()]
        if not self.rows:
            return found + self._halved(together, self.across.lanes)
        found += self._halved(together, min(WARP, self.across.lanes), within=True)
        warps = self.across.lanes // WARP
        if warps > 1:
            found += self._gathered(together, warps) + self._halved(together, warps)
        return found

    def _own(self, along: Places | None, across: Places) -> Node:
        """A lane's accumulator for an element: by turn and neighbour on the reduced axis, and neighbour on the kept."""
        own: Node = integer(0)
        sizes = [(across.turn, self.across.unroll), (across.part, self.across.vector)]
        if along is not None:
            sizes.append((along.part, along.axis.vector))
        scale = 1
        for index, size in reversed(sizes):
            if size > 1:
                own = plus(times(index, integer(scale)), own) if own is not integer(0) else times(index, integer(scale))
            scale *= size
        return own

    def _over_row(self, along: Places | None, across: Places, statements: Sequence[Node]) -> list[Node]:
        """Statements for each element of the rows that a block has: whole turns with no test between loads."""
        places = [across] if along is None else [across, along]
        full = over_parts(places, statements)
        edge = over_edge(places, statements)
        axes = [self.across] if self.along is None else [self.across, self.along]
        found: tuple[Node, ...] = guarded(whole(axes), full, edge)
        if self.tiles:
            found = (*self._brought(), *found, Barrier())
        if self.held:
            found = (Loop(self.turn, integer(0), integer(self.held), integer(1), "unroll", found),)
        else:
            found = (Loop(self.turn, self.first, self.stop, integer(self.across.span), "serial", found),)
        for k in reversed(self.reduced[:-1]):
            found = (Loop(self.indices[k], integer(0), self.ends[k], integer(1), "serial", found),)
        return list(found)

    def _halved(self, together: Sequence[Reduce], lanes: int, within: bool = False) -> list[Node]:
        """The parts of so many lanes joined pairwise; with `within` of those of each warp."""
        found: list[Node] = []
        half = lanes // 2
        while half:
            found += self._joined(together, half, within and self.across.lanes > WARP)
            half //= 2
        return found

    def _gathered(self, together: Sequence[Reduce], warps: int) -> list[Node]:
        """The part of each warp's first lane brought to the first lanes of the row."""
        along, across = self._places()
        lane = across.lane
        first = Apply(_EQUAL, (minus(lane, times(quotient(lane, WARP), integer(WARP))), integer(0)))
        down, up = [], []
        for node in together:
            part, mine = self.parts[node], self._at(along, lane)
            row = mine[0]
            down.append(Store(self.warps[node], (row, quotient(lane, WARP)), Load(part, mine)))
            up.append(Store(part, mine, Load(self.warps[node], (row, lane))))
        few = Apply(_LESS, (lane, integer(warps)))
        return [Guard(first, tuple(down), ()), Barrier(), Guard(few, tuple(up), ()), Barrier()]

    def _joined(self, together: Sequence[Reduce], half: int, within: bool) -> list[Node]:
        along, across = self._places()
        stores = []
        for node in together:
            part = self.parts[node]
            mine = self._at(along, across.lane)
            other = self._at(along, plus(across.lane, integer(half)))
            stores.append(Store(part, mine, Apply(node.op, (Load(part, mine), Load(part, other)))))
        lane = across.lane
        if within:
            lane = minus(lane, times(quotient(lane, WARP), integer(WARP)))
        test = Apply(_LESS, (lane, integer(half)))
        body = (Guard(test, self._over_kept(along, stores), ()),)
        return [*body, Barrier()]

    def _results(self, assigns: Sequence[Assign]) -> list[Node]:
        """Store what was reduced: by the first of a row's lanes."""
        along, across = self._places()
        stores = []
        for assign in assigns:
            places = list(subscripts_of(assign.target, self._at_index(along, integer(0))))
            for k in self.reduced[:-1]:
                places[k] = integer(0)
            if self.slab is not None:
                places[self.reduced[-1]] = quotient(self.slab, self.chunk)
            value = self._value(assign.value, along, integer(0))
            stores.append(Store(base_of(assign.target), tuple(places), value))
        first = None if self.across.lanes == 1 else Apply(_EQUAL, (across.lane, integer(0)))
        kept = [along] if along is not None else []
        test = whole([along.axis]) if along is not None else None
        body = guarded(
            test,
            self._over_kept(along, stores),
            self._over_kept(along, guarded(inside(kept), stores)),
        )
        return list(guarded(first, body))

    def _spread(self, assigns: Sequence[Assign]) -> list[Node]:
        """Store what varies along the row."""
        along, across = self._places()
        return self._over_row(
            along,
            across,
            [
                Store(
                    base_of(assign.target),
                    subscripts_of(assign.target, self._at_index(along, across.index)),
                    self._value(assign.value, along, across.index),
                )
                for assign in assigns
            ],
        )


def _read(value: Node, leaf: Node | None = None) -> set[Node]:
    """The operands that a value reads, and the node `leaf` in place of those under it, but for what it reduces."""
    found: set[Node] = set()
    stack = [value]
    seen: set[Node] = set()
    while stack:
        node = stack.pop()
        if node in seen or isinstance(node, Reduce):
            continue
        seen.add(node)
        if isinstance(node, Operand) or node is leaf:
            found.add(node)
        elif not isinstance(node, Extent):
            stack.extend(node.args)
    return found
