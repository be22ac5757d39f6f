"""Sums of products, as of matrices, by tiles of both factors in the local memory of a GPU's blocks."""

from __future__ import annotations

from collections.abc import Sequence

from ..affine import integer, minus, plus, times
from ..nodes import (
    Apply,
    Assign,
    Barrier,
    Extent,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Reduce,
    Scratch,
    Store,
    View,
    transform,
)
from ..ops import operator
from ..program import Program
from ..types import BROADCAST, UNIT
from .banks import IDLE, Copy, Way, copied
from .blocks import Axis, Places, guarded, inside, over_edge, over_lanes, over_parts, places_of, whole
from .elements import base_of, element, subscripts_of
from .nests import untaken
from .neutral import neutral

_FMA = operator("fma")


def contract(
    program: Program,
    *,
    axes: tuple[int, int],
    lanes: tuple[int, int],
    turns: tuple[int, int],
    depth: int,
    wide: Sequence[int],
    fused: bool,
) -> Program:
    """Have a block compute a tile of a reduction from tiles of its operands, which vary along one of two axes each.

        r[...] = reduce(add, a * b, 2)   →   for i_b in grid(0, n, 64), j_b in grid(0, m, 64):
        a varies along 0 and 2,                  a_t, b_t = scratch(64, 17), scratch(16, 64)
        b along 1 and 2                          lanes: 4 x 4 sums each
                                                 for k_b in serial(0, p, 16):
                                                     lanes: a_t[i', k'] = a[i_b + i', k_b + k'], and b_t alike
                                                     barrier
                                                     for k' in serial(0, 16, 1): sums += a_t[..., k'] * b_t[k', ...]
                                                     barrier
                                                 lanes: r[i_b + i', j_b + j'] = sums

    `axes` are the two kept axes, the one with the fastest lanes last; `lanes` and `turns` are of them: how many lanes
    lie along each, and how many elements a lane has along it, a block's lanes apart. `depth` is the tiles' side along
    the last reduced axis. `wide` has, for each operand, the neighbours that are loaded at once along the axis that its
    type says it is contiguous along. With `fused`, products of reals are added with one rounding.

    Keeps: each element is taken in once, in the order of the reduced axes, whatever the tiles.
    Requires: one assignment of a reduction over the last axes that keeps dimensions, its value over operands that vary
    along one of `axes` and the last reduced axis, or along none; otherwise as `teams`.
    """
    return _Tiles(program, axes, lanes, turns, depth, wide, fused).program()


class _Tiles:
    def __init__(
        self,
        program: Program,
        axes: tuple[int, int],
        lanes: tuple[int, int],
        turns: tuple[int, int],
        depth: int,
        wide: Sequence[int],
        fused: bool,
    ):
        (assign,) = program.statements
        assert isinstance(assign, Assign) and isinstance(assign.value, Reduce)
        self.source, self.assign, self.value = program, assign, assign.value
        self.fused = fused
        self.rank = self.value.arg.type.rank
        self.reduced = tuple(sorted(self.value.axes))
        self.axes = axes
        self.taken = {operand.name for operand in program.declared}
        self.indices: list[Node] = [Index(self._name(f"i{k}")) for k in range(self.rank)]
        self.ends = [self._length(k) for k in range(self.rank)]
        self.kept = [
            Axis(Index(self._name(f"i{k}_b")), self.ends[k], count, turn)
            for k, count, turn in zip(axes, lanes, turns, strict=True)
        ]
        last = self.reduced[-1]
        self.turn = Index(self._name(f"i{last}_b"))
        self.across = Axis(self.turn, self.ends[last], 1, depth)
        self.places = [axis.named(f"i{k}", self.taken) for k, axis in zip(axes, self.kept, strict=True)]
        self.count = lanes[0] * lanes[1]
        self.number = plus(times(self.places[0].lane, integer(lanes[1])), self.places[1].lane)
        #: By operand: the copy of its tile. Axes are 0 for the reduced one, 1 and 2 for those that are kept.
        self.tiles: dict[Operand, tuple[Operand, Copy]] = {}
        for operand, width in zip(program.operands, wide, strict=True):
            if operand is not base_of(assign.target):
                self._tile(operand, width, lanes)

    def _name(self, name: str) -> str:
        fresh = untaken(name, self.taken)
        self.taken.add(fresh)
        return fresh

    def _length(self, axis: int) -> Node:
        stored = base_of(self.assign.target)
        for operand in self.source.declared:
            single = operand is stored and isinstance(self.assign.target, View) and axis in self.reduced
            if operand.type.rank and operand.type.layout[axis] != BROADCAST and not single:
                return Extent(operand, axis)
        return next(Extent(o, axis) for o in self.source.declared if o.type.rank)

    def _tile(self, operand: Operand, width: int, lanes: tuple[int, int]) -> None:
        layout = operand.type.layout
        own = [k for k in self.axes if operand.type.rank and layout[k] != BROADCAST]
        if not own:
            return
        numbers = {self.reduced[-1]: 0, own[0]: 1 + self.axes.index(own[0])}
        along = next((n for k, n in numbers.items() if layout[k] == UNIT), numbers[own[0]])
        sides = self.across.span, self.kept[0].span, self.kept[1].span
        main = Way(((1, lanes[0], self.kept[0].unroll, 1), (2, lanes[1], self.kept[1].unroll, 1)))
        size = operand.type.element.itemsize
        copy, _ = copied(sides, along, tuple(numbers.values()), size, width, main, self.count)
        tile = Operand(self._name(f"{operand.name}_t"), operand.type.element.array(2, order="C"))
        self.tiles[operand] = tile, copy

    def program(self) -> Program:
        t = self.value.type.element
        count = self.kept[0].unroll * self.kept[1].unroll
        sums = Operand(self._name("sum"), t.array(1, order="C"))
        each = Index(self._name("k"))
        start = (Store(sums, (each,), neutral(self.value.op, t)),)
        body: list[Node] = [
            Scratch(sums, (integer(count),)),
            Loop(each, integer(0), integer(count), integer(1), "unroll", start),
        ]
        body += self._swept(sums)
        body += self._stored(sums)
        before = [Scratch(tile, tuple(map(integer, copy.extents))) for tile, copy in self.tiles.values()]
        inner: tuple[Node, ...] = (*before, *over_lanes(self.places, body))
        for axis in reversed(self.kept):
            assert isinstance(axis.start, Index)
            inner = (Loop(axis.start, integer(0), axis.stop, integer(axis.span), "grid", inner),)
        for k in reversed(range(self.rank)):
            index = self.indices[k]
            if k not in self.reduced and k not in self.axes and isinstance(index, Index):
                inner = (Loop(index, integer(0), self.ends[k], integer(1), "grid", inner),)
        return self.source.rewritten(inner, {self.assign: inner[0]})

    def _at(self, first: Node, second: Node, across: Node) -> tuple[Node, ...]:
        indices = list(self.indices)
        indices[self.axes[0]], indices[self.axes[1]] = first, second
        indices[self.reduced[-1]] = across
        return tuple(indices)

    def _swept(self, sums: Operand) -> list[Node]:
        """Loops over the reduced axes, a pair of tiles at a time."""
        step = Index(self._name("k"))
        taken = self._taken(sums, step)
        whole_tile = Loop(step, integer(0), integer(self.across.span), integer(1), "serial", taken)
        rest = Loop(step, integer(0), minus(self.ends[self.reduced[-1]], self.turn), integer(1), "serial", taken)
        found: tuple[Node, ...] = (
            *self._brought(),
            Barrier(),
            *guarded(whole([self.across]), (whole_tile,), (rest,)),
            Barrier(),
        )
        stop, span = self.ends[self.reduced[-1]], integer(self.across.span)
        found = (Loop(self.turn, integer(0), stop, span, "serial", found),)
        for k in reversed(self.reduced[:-1]):
            index = self.indices[k]
            assert isinstance(index, Index)
            found = (Loop(index, integer(0), self.ends[k], integer(1), "serial", found),)
        return list(found)

    def _taken(self, sums: Operand, step: Node) -> tuple[Node, ...]:
        """What a lane takes in at one place along the reduced axis: outer products of what it has of both tiles."""
        first, second = self.places
        at = self._at(first.index, second.index, plus(self.turn, step))
        within = step, first.within, second.within
        read: dict[Node, Node] = {
            element(operand, at, None): Load(tile, tuple(within[k] for k in copy.order))
            for operand, (tile, copy) in self.tiles.items()
        }
        value = element(self.value.arg, at, None)
        value = transform((value,), read.get)[value]
        own = self._own()
        return over_parts(self.places, [Store(sums, (own,), self._joined(Load(sums, (own,)), value))])

    def _own(self) -> Node:
        first, second = self.places
        return plus(times(first.turn, integer(self.kept[1].unroll)), second.turn)

    def _joined(self, old: Node, value: Node) -> Node:
        match value:
            case Apply(op, (x, y)) if (
                self.fused
                and op.name == "multiply"
                and self.value.op.name == "add"
                and value.type.element.name in _FMA.only
            ):
                return Apply(_FMA, (x, y, old))
        return Apply(self.value.op, (old, value))

    def _brought(self) -> list[Node]:
        """Bring a turn's tiles into local memory, by all lanes of the block."""
        full: list[Node] = []
        edge: list[Node] = []
        axes = {0: self.across, 1: self.kept[0], 2: self.kept[1]}
        for operand, (tile, copy) in self.tiles.items():
            places = places_of(copy.way, self.number, self.count, axes, self.taken)
            index = {k: places[k].index if k in places else integer(0) for k in axes}
            at = self._at(index[1], index[2], index[0])
            body: tuple[Node, ...] = (
                Store(tile, tuple(places[k].within for k in copy.order), element(operand, at, None)),
            )
            ordered: list[Places] = list(places.values())
            idle = [place for k, place in places.items() if k == IDLE]
            full += over_parts(ordered, guarded(inside(idle), body))
            edge += over_edge(ordered, body)
        return list(guarded(whole([*self.kept, self.across]), full, edge))

    def _stored(self, sums: Operand) -> list[Node]:
        first, second = self.places
        at = list(self._at(first.index, second.index, integer(0)))
        for k in self.reduced:
            at[k] = integer(0)
        store = Store(
            base_of(self.assign.target), subscripts_of(self.assign.target, tuple(at)), Load(sums, (self._own(),))
        )
        full, edge = over_parts(self.places, (store,)), over_edge(self.places, (store,))
        return list(guarded(whole(self.kept), full, edge))
