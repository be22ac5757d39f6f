"""Parts of a schedule for a GPU: loops over lanes, and places within a block's part of an axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..affine import integer, minus, plus, quotient, times
from ..nodes import Apply, Guard, Index, Loop, Node
from ..ops import operator
from ..record import record, replace
from .banks import IDLE, Way
from .nests import conjunction, untaken

_LESS = operator("less")


@record
class Axis:
    """How the lanes of a block share one axis: `lanes` of them, each `unroll` times `vector` neighbouring elements.

    A block has `start`, the index of a loop of role `grid`, or whatever place its part begins at.

        start + (u * lanes + lane) * vector + v    for u < unroll, lane < lanes, v < vector
    """

    start: Node
    stop: Node
    lanes: int = 1
    unroll: int = 1
    vector: int = 1

    @property
    def span(self) -> int:
        """The elements of a block."""
        return self.lanes * self.unroll * self.vector

    def named(self, name: str, taken: set[str]) -> Places:
        """The indices that walk a block's part, under names of their own."""
        found = []
        for mark, count in (("l", self.lanes), ("u", self.unroll), ("v", self.vector)):
            if count == 1:
                found.append(integer(0))
                continue
            fresh = untaken(f"{name}_{mark}", taken)
            taken.add(fresh)
            found.append(Index(fresh))
        return Places(self, *found)


@record
class Places:
    """The indices of one walk over an `Axis`: constant 0 where there is but one of a kind."""

    axis: Axis
    lane: Node
    turn: Node
    part: Node

    @property
    def within(self) -> Node:
        """The place within the block's part."""
        a = self.axis
        first = plus(times(self.turn, integer(a.lanes * a.vector)), times(self.lane, integer(a.vector)))
        return plus(first, self.part) if first is not integer(0) else self.part

    @property
    def index(self) -> Node:
        """The place on the axis."""
        within = self.within
        return self.axis.start if within is integer(0) else plus(self.axis.start, within)

    def last_inside(self) -> Node | None:
        """That all neighbours that are taken at once are places of the axis; None where they always are."""
        return Places(self.axis, self.lane, self.turn, integer(self.axis.vector - 1)).inside()

    def inside(self) -> Node | None:
        """That the place is one of the axis; None where it always is."""
        return None if self.within is integer(0) and self.axis.span == 1 else Apply(_LESS, (self.index, self.axis.stop))


def places_of(way: Way, number: Node, lanes: int, axes: Mapping[int, Axis], taken: set[str]) -> dict[int, Places]:
    """The places that a lane has of axes where it walks them in a way of their own: by its number among `lanes`."""
    rest, places = 1, {}
    for k, count, turns, vector in reversed(way.axes):
        lane = quotient(number, rest)
        if rest * count < lanes:
            lane = minus(lane, times(quotient(number, rest * count), integer(count)))
        rest *= count
        own = axes[k] if k != IDLE else Axis(integer(0), integer(1))
        axis = replace(own, lanes=count, unroll=turns, vector=vector)
        places[k] = replace(axis.named("idle" if k == IDLE else "ijk"[k], taken), lane=lane)
    return places


def whole(axes: Iterable[Axis]) -> Node | None:
    """That a block's part lies within all axes; None where it always does."""
    return conjunction(
        Apply(_LESS, (plus(axis.start, integer(axis.span - 1)), axis.stop)) for axis in axes if axis.span > 1
    )


def over_lanes(places: Sequence[Places], body: Sequence[Node]) -> tuple[Node, ...]:
    """Statements under loops over the lanes of axes, the last axis's fastest."""
    for each in reversed(places):
        if isinstance(each.lane, Index):
            body = (Loop(each.lane, integer(0), integer(each.axis.lanes), integer(1), "lane", tuple(body)),)
    return tuple(body)


def over_parts(places: Sequence[Places], body: Sequence[Node]) -> tuple[Node, ...]:
    """Statements under loops over what one lane has of axes: the first axis's turns outermost, vectors innermost."""
    return _over_turns(places, _over_vectors(places, body))


def over_edge(places: Sequence[Places], body: Sequence[Node]) -> tuple[Node, ...]:
    """As `over_parts`, where a block's part goes on beyond axes: vectors under one guard, and the elements of those
    that are partly beyond each under its own."""
    apart = _over_vectors(places, guarded(inside(places), body))
    test = conjunction(test for test in (each.last_inside() for each in places) if test is not None)
    if any(isinstance(each.part, Index) for each in places):
        apart = guarded(test, _over_vectors(places, body), apart)
    return _over_turns(places, apart)


def _over_vectors(places: Sequence[Places], body: Sequence[Node]) -> tuple[Node, ...]:
    for each in reversed(places):
        if isinstance(each.part, Index):
            body = (Loop(each.part, integer(0), integer(each.axis.vector), integer(1), "vector", tuple(body)),)
    return tuple(body)


def _over_turns(places: Sequence[Places], body: Sequence[Node]) -> tuple[Node, ...]:
    for each in reversed(places):
        if isinstance(each.turn, Index):
            body = (Loop(each.turn, integer(0), integer(each.axis.unroll), integer(1), "unroll", tuple(body)),)
    return tuple(body)


def guarded(condition: Node | None, then: Sequence[Node], otherwise: Sequence[Node] = ()) -> tuple[Node, ...]:
    """Statements under a condition, or as they are under none."""
    return tuple(then) if condition is None else (Guard(condition, tuple(then), tuple(otherwise)),)


def inside(places: Iterable[Places]) -> Node | None:
    """That places are ones of their axes; None where they always are."""
    return conjunction(test for test in (each.inside() for each in places) if test is not None)
