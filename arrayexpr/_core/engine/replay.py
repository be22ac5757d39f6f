"""Calls on a device that are remembered: the memory and launches that they took, for arrays that lie as theirs did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..record import record

#: Launches of a call that is remembered, at the most.
MOST = 64


@record
class Hole:
    """An argument of a launch that another call has another one of: `delta` bytes into a memory of the call."""

    place: int
    memory: int
    delta: int


@record
class Given:
    """An argument of a launch that is a scalar of the call's, as `convert` makes it of what is given."""

    place: int
    argument: int
    convert: Callable[[Any], Any]


@record
class Played:
    """One launch of a tape."""

    function: Any
    blocks: int
    lanes: int
    arguments: tuple[Any, ...]
    holes: tuple[Hole, ...]
    given: tuple[Given, ...]


@record
class Tape:
    """One call: `results` with their shape, element type and order of axes, `sizes` of what lies between, launches.

    Memories are numbered: the call's arguments with what it was given for results, then the results that it made, then
    what lies between. `given` has, for each result, its place among the arguments, or -1 where it was made.
    """

    device: Any
    like: int
    given: tuple[int, ...]
    results: tuple[tuple[tuple[int, ...], Any, tuple[int, ...]], ...]
    sizes: tuple[int, ...]
    launches: tuple[Played, ...]

    def play(self, args: Sequence[Any], addresses: Sequence[int], stream: int) -> Any:
        """The results for other arguments of the same types and layouts, those given for results after them."""
        device = self.device
        device.follow(stream)
        launches = []
        for launch in self.launches:
            arguments = list(launch.arguments)
            for given in launch.given:
                arguments[given.place] = given.convert(args[given.argument])
            launches.append(arguments)
        made: list[Any] = []
        bases = list(addresses)
        for shape, dtype, order in self.results:
            result, address = device.fresh(shape, dtype, order, args[self.like])
            made.append(result)
            bases.append(address)
        owners = []
        for size in self.sizes:
            address, owner = device.allocate(size)
            bases.append(address)
            owners.append(owner)
        for launch, arguments in zip(self.launches, launches, strict=True):
            for hole in launch.holes:
                arguments[hole.place] = bases[hole.memory] + hole.delta
            device.launch(launch.function, launch.blocks, launch.lanes, arguments)
        made = [device.handed(result, args[self.like]) for result in made]
        if self.given:
            new = iter(made)
            made = [next(new) if place < 0 else args[place] for place in self.given]
        return None if not made else made[0] if len(made) == 1 else tuple(made)


class Recorder:
    """Writes down what a call does, as far as it can be remembered."""

    def __init__(self) -> None:
        self.whole = True
        self.launches: list[tuple[Any, int, int, list[Any]]] = []
        self.memories: list[tuple[int, int]] = []

    def launch(self, function: Any, blocks: int, lanes: int, arguments: list[Any]) -> None:
        """A launch; pointers among its arguments are whole numbers of Python's."""
        self.launches.append((function, blocks, lanes, arguments))
        self.whole = self.whole and len(self.launches) <= MOST

    def tape(
        self,
        device: Any,
        like: int,
        arguments: Sequence[tuple[int, int, int]],
        given: Sequence[int],
        results: Sequence[tuple[int, int, tuple[Any, ...]]],
        kept: Sequence[tuple[int, int]],
        scalars: dict[int, tuple[int, Callable[[Any], Any]]],
    ) -> Tape | None:
        """What was written down, over memories from one address to another; None where it is not all known.

        Of arguments it is also said where their first element lies, which need not be the lowest. `kept` lies where it
        does for good. `scalars` are the call's own, by the identity of what launches were given.
        """
        own = {first for first, _, _ in results}
        between = [m for m in self.memories if m[0] not in own]
        memories = [
            *arguments,
            *((first, last, first) for first, last, _ in results),
            *((first, last, first) for first, last in between),
        ]
        launches = []
        for function, blocks, lanes, values in self.launches:
            holes, scalar = [], []
            for place, value in enumerate(values):
                if id(value) in scalars:
                    scalar.append(Given(place, *scalars[id(value)]))
                elif isinstance(value, int):
                    number = next((n for n, m in enumerate(memories) if m[0] <= value < m[1]), None)
                    if number is not None:
                        holes.append(Hole(place, number, value - memories[number][2]))
                    elif not any(low <= value < high for low, high in kept):
                        return None
            launches.append(Played(function, blocks, lanes, tuple(values), tuple(holes), tuple(scalar)))
        return Tape(
            device,
            like,
            tuple(given) if max(given, default=-1) >= 0 else (),
            tuple(made for _, _, made in results),
            tuple(last - first for first, last in between),
            tuple(launches),
        )
