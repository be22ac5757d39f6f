"""Where a block's copy of a tile lies in local memory, so that the lanes of a warp reach different banks."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

from ..record import record

#: Banks of local memory, the bytes that each gives at a time, and the lanes that ask at a time.
BANKS, WORD, LANES = 32, 4, 32
#: The bytes of a line of memory.
LINE = 128


def conflicts(places: Sequence[int], size: int) -> int:
    """How many times more often a warp asks a bank than it must, for elements of `size` bytes at places in elements.

    Lanes that ask for the same word are served together; elements of 8 bytes are asked for by half a warp at a time,
    and those of 16 by a quarter.

    >>> conflicts(range(32), 4), conflicts(range(0, 1024, 32), 4), conflicts(range(0, 1056, 33), 4)
    (1, 32, 1)
    """
    worst = 1
    at_once = LANES * WORD // max(size, WORD)
    for start in range(0, len(places), at_once):
        banks: dict[int, set[int]] = {}
        for place in places[start : start + at_once]:
            word = place * size // WORD
            for each in range(word, word + max(1, size // WORD)):
                banks.setdefault(each % BANKS, set()).add(each)
        worst = max(worst, *(len(words) for words in banks.values()))
    return worst


def padded(
    sides: Sequence[int], size: int, ways: Iterable[Sequence[tuple[int, int, int]]]
) -> tuple[tuple[int, ...], int]:
    """The extents of a copy of a tile, its last axes lengthened as little as keeps banks apart, and what is left.

    `ways` are the ways that lanes reach it: axes, slowest lanes first, each with the lanes that lie along it and the
    elements from one to the next.
    """
    ways = list(ways)
    best: tuple[int, int, tuple[int, ...]] | None = None
    room = [range(1)] * len(sides)
    unit = max(1, WORD // size)
    room[-1] = range(0, 8 * unit + 1, unit)
    if len(sides) > 2:
        room[-2] = range(0, 9)
    for pads in itertools.product(*room):
        extents = tuple(n + p for n, p in zip(sides, pads, strict=True))
        worst = 1
        for way in ways:
            worst = max(worst, conflicts(_reached(extents, way), size))
            if best is not None and worst > best[0]:
                break
        found = worst, math.prod(extents), extents
        if best is None or found < best:
            best = found
        if worst == 1:
            # Pads grow: none that follows is less.
            break
    assert best is not None
    return best[2], best[0]


def _reached(extents: Sequence[int], way: Sequence[tuple[int, int, int]]) -> list[int]:
    """The places that the first warp reaches."""
    strides = [math.prod(extents[k + 1 :]) for k in range(len(extents))]
    places = [0]
    for axis, lanes, step in way:
        places = [place + k * step * strides[axis] for place in places for k in range(lanes)]
    return places[:LANES]


@record
class Way:
    """How lanes walk a tile: axes, slowest lanes first, each with its lanes, turns, and neighbours at once."""

    axes: tuple[tuple[int, int, int, int], ...]

    def over(self, order: Sequence[int]) -> list[tuple[int, int, int]]:
        """The lanes of each axis over a copy with its axes in an order, as `padded` takes them."""
        return [
            (order.index(axis), lanes, vector) if axis in order else (0, lanes, 0)
            for axis, lanes, _, vector in self.axes
        ]


#: Stands for an axis of lanes that have nothing to do.
IDLE = -1


def ways_of(axes: Sequence[int], along: int, sides: Sequence[int], size: int, vector: int, lanes: int) -> Iterator[Way]:
    """The ways that `lanes` may walk a tile's axes with the fastest along one of them, as far as a line of memory."""
    if math.prod(sides[k] for k in axes) < lanes * vector:
        return
    others = [k for k in axes if k != along]
    first = min(sides[along] // vector, max(8, LINE // (vector * size)))
    while first and first * vector <= sides[along]:
        for turned in itertools.permutations(others):
            for few in dict.fromkeys((lanes, 4, 2, 8)) if len(others) > 1 else (lanes,):
                rest = lanes // first
                found = [(along, first, sides[along] // (first * vector), vector)]
                for place, k in enumerate(turned):
                    count = min(rest, sides[k], few if place == 0 else lanes)
                    found.append((k, count, sides[k] // count, 1))
                    rest //= count
                if rest == 1:
                    yield Way(tuple(reversed(found)))
        first *= 2


@record
class Copy:
    """A copy of a tile: its axes in memory, their extents, and the way in which it is loaded."""

    order: tuple[int, ...]
    extents: tuple[int, ...]
    way: Way


@functools.lru_cache(256)
def arranged(
    sides: tuple[int, ...],
    last: int,
    vectors: tuple[tuple[int, int], ...],
    staged: tuple[tuple[int, tuple[int, ...], int], ...],
    size: int,
    lanes: int,
) -> tuple[Way, tuple[Copy, ...]]:
    """The way in which a block computes a tile, and a copy for each of `staged`: (axis that it lies along, axes, size).

    `size` is that of what is stored. Of all ways the first in which no bank is asked twice at a time, with the widest
    vectors; else the one in which banks are asked twice least.
    """
    wide = dict(vectors)
    tile = [k for k, side in enumerate(sides) if side > 1]
    best: tuple[int, Way, tuple[Copy, ...]] | None = None
    for vector in _narrower(wide.get(last, 1)):
        for main in ways_of(tile, last, sides, size, vector, lanes):
            copies, worst = [], 1
            for along, own, size in staged:
                copy, found = copied(sides, along, own, size, wide.get(along, 1), main, lanes)
                copies.append(copy)
                worst = max(worst, found)
            if best is None or worst < best[0]:
                best = worst, main, tuple(copies)
            if worst == 1:
                return main, tuple(copies)
    assert best is not None
    return best[1:]


def _narrower(vector: int) -> list[int]:
    return [vector >> k for k in range(vector.bit_length())]


def copied(
    sides: Sequence[int], along: int, own: Sequence[int], size: int, wide: int, main: Way, lanes: int
) -> tuple[Copy, int]:
    """The copy of one staged operand that leaves banks least to do, beside the way in which a block computes; and how
    many times more often one is asked than it must be."""
    best: tuple[int, Copy] | None = None
    for vector in _narrower(wide):
        ways = list(ways_of(own, along, sides, size, vector, lanes))
        if vector == 1 and not ways:
            ways = [_small(own, along, sides, lanes)]
        # Rows along the axis that it lies along, where that will do.
        for order in sorted(itertools.permutations(own), key=lambda order: order[-1] != along):
            for way in ways:
                extents, worst = padded([sides[k] for k in order], size, [way.over(order), main.over(order)])
                if best is None or worst < best[0]:
                    best = worst, Copy(order, extents, way)
                if worst == 1:
                    return best[1], 1
    assert best is not None
    return best[1], best[0]


def _small(axes: Sequence[int], along: int, sides: Sequence[int], lanes: int) -> Way:
    """The way over a tile of fewer elements than there are lanes."""
    found = [(k, sides[k], 1, 1) for k in axes if k != along] + [(along, sides[along], 1, 1)]
    return Way(((IDLE, lanes // math.prod(sides[k] for k in axes), 1, 1), *found))
