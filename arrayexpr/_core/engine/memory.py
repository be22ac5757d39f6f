"""The arrays of one call by name, and whose memory may be whose."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from .dispatch import walks_itself


class Slots(dict[str, Any]):
    """Arrays by the names of operands, results, locals and temporaries.

    What none of the caller's names is for lies in memory that is used again once no step needs it: `took` counts the
    bytes of it. A result may take the memory of an operand of `dead` that no later step reads.
    """

    def __init__(self, results: Collection[str], dead: Collection[str] = ()):
        super().__init__()
        self.results = results
        self.dead = set(dead)
        #: What the step that runs is the last to read.
        self.ending: Sequence[str] = ()
        self.took = 0
        #: What was let go of: its layouts may still be asked for, its elements are others'.
        self.released: dict[str, Any] = {}
        self._spare: list[Any] = []
        self._owned: dict[str, Any] = {}

    def new(self, name: str, like: Any) -> Any:
        """An array for a name, as `like`, which nobody has written to."""
        if name in self.results:
            return self._inherited(like)
        fits = [memory for memory in self._spare if memory.nbytes >= like.nbytes]
        if fits:
            memory = min(fits, key=lambda each: each.nbytes)
            self._spare = [each for each in self._spare if each is not memory]
        else:
            memory = np.empty(like.nbytes, np.uint8)
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
                self._spare.append(self._owned.pop(name))
                self.released[name] = self.pop(name)
