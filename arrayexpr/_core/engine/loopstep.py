"""Loops that stay loops, around steps: planned once, and iterated at little cost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeMismatch
from ..nodes import For, Node, Slice, View, postorder
from ..printer import show
from .host import HostStep
from .windows import Number

if TYPE_CHECKING:
    from .plan import Step


@dataclass(frozen=True, slots=True)
class LoopStep:
    """Runs steps for each value of the slot `index` in a range; what is its own ends with it.

    `renewed` are the slots of its own whose shapes may differ from one iteration to the next.
    """

    node: For
    index: str
    bounds: tuple[Number, ...]
    steps: tuple[Step, ...]
    own: frozenset[str]
    renewed: frozenset[str]

    @staticmethod
    def of(node: For, bounds: Sequence[Number], steps: Sequence[Step], own: Collection[str]) -> LoopStep:
        """The step for a loop with the steps of its body."""
        free = any(_is_part(n) for n in postorder(node.body)) or any(isinstance(s, HostStep) for s in steps)
        return LoopStep(
            node, node.index.name, tuple(bounds), tuple(steps), frozenset(own), frozenset(own if free else ())
        )

    def range(self, slots: dict[str, Any]) -> range:
        """The values of the index."""
        start, stop, step = (int(bound(slots)) for bound in self.bounds)
        if step == 0:
            raise ShapeMismatch(f"{show(self.node)}: the step is 0, expected another")
        return range(start, stop, step)


def _is_part(node: Node) -> bool:
    """Whether a node is a slice whose length may change from one iteration to the next."""
    return (
        isinstance(node, View)
        and len(node.args) > 1
        and any(isinstance(x, Node) for item in node.subscripts if isinstance(item, Slice) for x in item)
    )


def run_loop(step: LoopStep, slots: dict[str, Any], run: Callable[[Any, dict[str, Any]], None]) -> None:
    """Run a loop on the slots, its steps by `run`."""
    for k in step.range(slots):
        slots[step.index] = np.asarray(k, np.int64)
        for each in step.steps:
            run(each, slots)
        for name in step.renewed:
            slots.pop(name, None)
    for name in step.own:
        slots.pop(name, None)
