"""The arrays of one call by name, and whose memory may be whose."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .dispatch import walks_itself

if TYPE_CHECKING:
    from .recording import Recording

#: Bytes of temporaries that a kernel keeps from one call to the next.
_SPARE_BYTES: Final = 128 << 20
#: From so many on keeping them pays.
LARGE_BYTES: Final = 1 << 20


class Spare:
    """The memory of the last call's temporaries, for the next one.

    The system gives large arrays page by page, each cleared. Harris' corners of 2048 x 2048, with two temporaries of
    34 MB: 11.3 ms with new ones, 8.4 with those of the call before.
    """

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def take(self) -> list[Any]:
        """What there is, which is the caller's then."""
        taken: list[Any] = []
        kept = self._kept
        # Other threads may be taking too: each piece is one's own.
        while kept:
            try:
                taken.append(kept.pop())
            except IndexError:
                break
        return taken

    def keep(self, slots: Slots) -> bool:
        """A call is done with its slots. Returns whether they are so large that keeping them pays."""
        large = slots.took >= LARGE_BYTES
        if large:
            total = 0
            kept = []
            for memory in slots.memory():
                total += memory.nbytes
                if total <= _SPARE_BYTES:
                    kept.append(memory)
            self._kept = kept
        return large


class Slots(dict[str, Any]):
    """Arrays by the names of operands, results, locals and temporaries.

    What none of the caller's names is for lies in memory that is used again once no step needs it, where the slots are
    `pooled`: `took` counts the bytes of it, of which some may come from `spare`, that of the call before. A result may
    take the memory of an operand of `dead` that no later step reads.
    """

    def __init__(
        self,
        recording: Recording,
        results: Collection[str],
        dead: Collection[str] = (),
        *,
        pooled: bool = True,
        spare: Sequence[Any] = (),
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
        self._before = list(spare)
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
            # That of the call before is as large as it was then.
            memory = _taken(self._before, like.nbytes, like.nbytes)
            if memory is None:
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
                self._free.append(self._owned.pop(name))
                self.released[name] = self.pop(name)

    def memory(self) -> list[Any]:
        """All that was taken for temporaries."""
        return [*self._free, *self._owned.values()]


def _taken(memory: list[Any], least: int, most: int | None = None) -> Any:
    """The smallest piece of so many bytes, which is taken out; None where there is none."""
    fits = [k for k, each in enumerate(memory) if each.nbytes >= least and (most is None or each.nbytes <= most)]
    return memory.pop(min(fits, key=lambda k: memory[k].nbytes)) if fits else None
