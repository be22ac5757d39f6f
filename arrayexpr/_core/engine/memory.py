"""The arrays of one call by name, and whose memory may be whose."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .caching_allocator import empty
from .dispatch import walks_itself

if TYPE_CHECKING:
    from .recording import Recording


class Slots(dict[str, Any]):
    """Arrays by the names of operands, results, locals and temporaries.

    What none of the caller's names is for lies in memory that is used again once no step needs it, where the slots are
    `pooled`: `took` counts the bytes of it. A result may take the memory of an operand of `dead` that no later step
    reads.
    """

    def __init__(
        self,
        recording: Recording,
        results: Collection[str],
        dead: Collection[str] = (),
        *,
        pooled: bool = True,
    ):
        super().__init__()
        #: What has run on them.
        self.recording = recording
        self.results = results
        self.dead = set(dead)
        #: What the step that runs is the last to read.
        self.ending: Sequence[str] = ()
        self.took = 0
        #: What was let go of: its layouts may still be asked for, its elements are others'.
        self.released: dict[str, Any] = {}
        self._pooled = pooled
        self._free: list[Any] = []
        self._owned: dict[str, Any] = {}

    def new(self, name: str, like: Any) -> Any:
        """An array for a name, as `like`, which nobody has written to."""
        if name in self.results:
            return self._inherited(like)
        if not self._pooled:
            self.took += like.nbytes
            return like
        memory = _taken(self._free, like.nbytes)
        if memory is None:
            memory = empty(like.nbytes)
            self.took += memory.nbytes
        self._owned[name] = memory
        return np.ndarray(like.shape, like.dtype, memory, strides=like.strides)

    def _inherited(self, like: Any) -> Any:
        for name in self.ending:
            array = self[name] if name in self.dead else None
            if array is None or array.dtype != like.dtype or array.shape != like.shape or not array.flags.writeable:
                continue
            others = [each for other, each in self.items() if other != name]
            if not walks_itself(array) and not any(np.may_share_memory(array, each) for each in others):
                self.dead.discard(name)
                return array
        return like

    def release(self, names: Collection[str]) -> None:
        """Let others have the memory of what no later step needs."""
        for name in names:
            if name in self._owned:
                self._free.append(self._owned.pop(name))
                self.released[name] = self.pop(name)


def _taken(memory: list[Any], least: int) -> Any:
    """The smallest piece of so many bytes, which is taken out; None where there is none."""
    fits = [k for k, each in enumerate(memory) if each.nbytes >= least]
    return memory.pop(min(fits, key=lambda k: memory[k].nbytes)) if fits else None
