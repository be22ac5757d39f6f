"""Loops that stay loops, around steps: planned once, and iterated at little cost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import ShapeMismatch
from ..nodes import Assign, For, Node, Operand, Slice, View, postorder
from ..printer import show
from ..program import assigned_operand
from ..swaps import swapped
from .host import HostStep
from .windowstep import Number, WindowStep

if TYPE_CHECKING:
    from .looped import LoopCodes
    from .memory import Slots as Bound
    from .plan import RegionStep, Step

Slots = dict[str, Any]

#: Iterations that are not worth preparing: it takes as long as two or three of them that are not.
_FEW = 4


@dataclass(frozen=True, slots=True)
class LoopStep:
    """Runs steps for each value of the slot `index` in a range; what is its own ends with it.

    Those of `before` come once, where there is an iteration at all: what is the same in every one.
    `renewed` are the slots of its own whose shapes may differ from one iteration to the next. `swap` are two operands,
    where the last step copies the second to the first, and they may change places instead: see `swapped`. `names` are
    the operands of the program that the loop touches.
    """

    node: For
    index: str
    bounds: tuple[Number, ...]
    before: tuple[Step, ...]
    steps: tuple[Step, ...]
    own: frozenset[str]
    renewed: frozenset[str]
    swap: tuple[str, str] | None
    names: frozenset[str]
    codes: LoopCodes
    records: ClassVar[bool] = True

    @staticmethod
    def of(
        node: For,
        bounds: Sequence[Number],
        before: Sequence[Step],
        steps: Sequence[Step],
        own: Collection[str],
        kept: Collection[str],
        codes: LoopCodes,
    ) -> LoopStep:
        """The step for a loop with the steps of its body; of its own slots some are kept from before it on."""
        free = any(_is_part(n) for n in postorder(node.body)) or any(isinstance(s, HostStep) for s in steps)
        pair = swapped(node.body)
        swap = None if pair is None else (pair[0].name, pair[1].name)
        if swap is not None and not (hasattr(steps[-1], "assigns") and steps[-1].assigns == (node.body[-1],)):
            swap = None
        return LoopStep(
            node,
            node.index.name,
            tuple(bounds),
            tuple(before),
            tuple(steps),
            frozenset(own),
            frozenset(set(own) - set(kept) if free else ()),
            swap,
            frozenset(n.name for n in postorder(node.body) if isinstance(n, Operand)),
            codes,
        )

    @property
    def inside(self) -> tuple[Step, ...]:
        """The steps of it."""
        return (*self.before, *self.steps)

    def run(self, slots: Bound, run: Run, streams: Streams) -> None:
        """Run it."""
        run_loop(self, slots, run, streams)

    def range(self, slots: Slots) -> range:
        """The values of the index."""
        return index_range(self.node, self.bounds, slots)


def index_range(node: For, bounds: Sequence[Number], slots: Slots) -> range:
    """The values of a loop's index."""
    start, stop, step = (int(bound(slots)) for bound in bounds)
    if step == 0:
        raise ShapeMismatch(f"{show(node)}: the step is 0, expected another")
    return range(start, stop, step)


def _is_part(node: Node) -> bool:
    """Whether a node is a slice whose length may change from one iteration to the next."""
    return (
        isinstance(node, View)
        and len(node.args) > 1
        and any(isinstance(x, Node) for item in node.subscripts if isinstance(item, Slice) for x in item)
    )


# -- Running ------------------------------------------------------------------------------------

#: Runs a step on the slots.
Run = Callable[[Any, Any], object]
#: What a region runs on: its arrays, the outputs last, and the shape that they broadcast to; None where some of them
#: have to be copied.
Streams = Callable[["RegionStep", Slots], tuple[list[Any], tuple[int, ...]] | None]


def run_loop(step: LoopStep, slots: Bound, run: Run, streams: Streams, values: range | None = None) -> None:
    """Run a loop on the slots, its steps by `run`; over `values`, where they are not all of its range.

    The first iteration shows all shapes. For the others, regions whose arrays only move are prepared once.
    """
    if values is None:
        values = step.range(slots)
    if not values:
        return
    index = slots[step.index] = np.asarray(values[0], np.int64)
    for each in step.before:
        run(each, slots)
    _iteration(step, step.steps, slots, run)
    if len(values) > 1:
        index[...] = values[1]
        prepared = None
        if not step.renewed and len(values) > _FEW:
            prepared = _prepared(step, slots, values, streams)
        if prepared is not None and prepared.complete:
            prepared.run(step, slots, len(values) - 1)
        else:
            rest = step.steps if prepared is None else prepared.steps
            if prepared is not None:
                slots.recording.stop()
            for k in values[1:]:
                index[...] = k
                _iteration(step, rest, slots, run)
    for name in step.own:
        slots.pop(name, None)
    del slots[step.index]


def _iteration(step: LoopStep, steps: Iterable[Any], slots: Slots, run: Run) -> None:
    for each in steps:
        if callable(each):
            each()
        else:
            run(each, slots)
    for name in step.renewed:
        slots.pop(name, None)


@dataclass(slots=True)
class _Prepared:
    """A loop's iterations from the second one on.

    `phases` are regions for iterations in turn, where all of a body's steps are such: two, where two operands
    change places. Else `steps` has what is left to run one by one, and what runs prepared regions.
    """

    complete: bool
    phases: list[list[Any]]
    #: Per phase its slots.
    slots: list[Slots]
    steps: list[Any]
    swap: tuple[Any, Any] | None

    def run(self, step: LoopStep, slots: Bound, count: int) -> None:
        """Run so many iterations. Operands that changed places are made equal, as the copy would have."""
        from .iterate import Repeat

        repeat = Repeat(self.phases, step.codes.of(self.phases))
        repeat.iterate(count)
        regions: list[Any] = [each for each in step.steps if hasattr(each, "region")]
        body = regions if self.swap is None else regions[:-1]
        slots.recording.repeat(repeat, count, [(each, at) for at in self.slots for each in body])
        if self.swap is not None:
            old, new = self.swap if count % 2 else self.swap[::-1]
            np.copyto(old, new)
            at = dict(zip(step.swap or (), (old, new), strict=True))
            slots.recording.region(regions[-1], [new, old], old.shape, at)


def _prepared(step: LoopStep, slots: Slots, values: range, streams: Streams) -> _Prepared | None:
    """What runs the iterations from the second one on; None where it is no different."""
    moving = _Windows(step, slots, values)
    swap = _swap_arrays(step, slots)
    body = step.steps if swap is None else step.steps[:-1]
    phases: list[list[Any]] = []
    found: list[Slots] = []
    for place in range(1 if swap is None else 2):
        phase = []
        at = dict(slots)
        if place:
            assert step.swap is not None
            old, new = step.swap
            at[old], at[new] = slots[new], slots[old]
        for each in body:
            if isinstance(each, WindowStep):
                continue
            made = moving.region(each, at, place, 1 if swap is None else 2, streams)
            phase.append(made)
        phases.append(phase)
        found.append(at)
    regions = [each for each in body if not isinstance(each, WindowStep)]
    if all(made is not None for phase in phases for made in phase):
        return _Prepared(True, phases, found, [], swap)
    if swap is not None:
        # Steps of other kinds find their arrays by name: the copy stays.
        return _prepared(_without_swap(step), slots, values, streams)
    made_of = dict(zip(map(id, regions), phases[0], strict=True))
    if not any(made_of.values()):
        return None
    # What no step that is left takes by its name is no window to take.
    left = [each for each in regions if made_of[id(each)] is None]
    wanted = _slots_of(left)
    steps: list[Any] = []
    for each in body:
        if isinstance(each, WindowStep):
            if wanted is None or each.slot in wanted:
                steps.append(each)
        else:
            made = made_of[id(each)]
            steps.append(each if made is None else made.run)
    return _Prepared(False, [], [], steps, None)


def _without_swap(step: LoopStep) -> LoopStep:
    return replace(step, swap=None)


def _slots_of(steps: Iterable[Any]) -> set[str] | None:
    """The slots that steps take arrays from; None where that is not known."""
    names: set[str] = set()
    for step in steps:
        if not hasattr(step, "sources"):
            return None
        names.update(source.slot for source in step.sources)
        names.update(target.slot for target in getattr(step, "targets", ()))
    return names


def _swap_arrays(step: LoopStep, slots: Slots) -> tuple[Any, Any] | None:
    """The two arrays that may change places: of one shape, and no other name's memory is theirs."""
    if step.swap is None:
        return None
    old, new = (slots[name] for name in step.swap)
    others = [slots[name] for name in step.names if name in slots and name not in step.swap]
    if old.shape != new.shape or np.may_share_memory(old, new):
        return None
    if any(np.may_share_memory(old, other) or np.may_share_memory(new, other) for other in others):
        return None
    return old, new


class _Windows:
    """How the views of a loop move: by so many bytes an iteration, where they do so evenly."""

    def __init__(self, step: LoopStep, slots: Slots, values: range):
        self.index = step.index
        self.values = values
        self._indices: Any = None
        self.steps = {each.slot: each for each in step.steps if isinstance(each, WindowStep)}
        # Slots that have another array in each iteration.
        self.unstable = {each.slot for each in step.steps if hasattr(each, "slot") and each.slot not in self.steps}
        assigned = {assigned_operand(n.target).name for n in postorder(step.node.body) if isinstance(n, Assign)}
        self.unstable.update(
            operand.name
            for each in step.steps
            if hasattr(each, "program")
            for operand in (*each.program.results, *each.program.locals)
        )
        self.assigned = assigned

    def _index(self, place: int) -> Any:
        """The value that the index has in an iteration, in an array of all of them."""
        if self._indices is None:
            self._indices = np.asarray(self.values, np.int64)
        return self._indices[place, ...]

    def region(self, step: Any, slots: Slots, place: int, phases: int, streams: Streams) -> Any:
        """A region prepared for every `phases`-th iteration from iteration 1 + place on; None where it cannot be."""
        from .iterate import Moving, moves

        if not hasattr(step, "region"):
            return None
        sources = (*step.sources, *step.targets)
        used = {source.slot for source in sources}
        if used & self.unstable:
            return None
        moving = used & self.steps.keys()
        first, last = slots, slots
        if moving or self.index in used:
            first, last = dict(slots), dict(slots)
            if self.index in used:
                first[self.index], last[self.index] = (self._index(place) for place in (1, -1))
            for name in moving:
                window = self.steps[name]
                if window.base in self.unstable or not window.is_even(self.index, self.assigned, slots, self.values):
                    return None
                first[name] = window.array(slots | {self.index: np.asarray(self.values[1], np.int64)})
                last[name] = window.array(slots | {self.index: np.asarray(self.values[-1], np.int64)})
        here = streams(step, first)
        there = streams(step, last) if first is not last else here
        if here is None or there is None or here[1] != there[1]:
            return None
        found = moves(here[0], there[0], len(step.targets), len(self.values) - 2)
        if found is None:
            return None
        made = Moving(
            step.region, here[0], here[1], [move * place for move in found], [move * phases for move in found]
        )
        return made if made.usable else None
