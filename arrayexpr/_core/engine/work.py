"""What a launch on a device computes, or a few: values over streams, into arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..nodes import Node, Operand
from ..record import record


@record
class Work:
    """Values over the scalar operands `inputs`, one for each of `outputs`; `streams` and `outs` are the arrays of both.

    Arrays broadcast to `shape`; of what is `reduced` of it, results have one element. A `product` is of matrices: in
    which order its sums are taken, and how often they are rounded, is open.
    """

    values: tuple[Node, ...]
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    streams: Sequence[Any]
    outs: Sequence[Any]
    shape: tuple[int, ...]
    reduced: tuple[int, ...] = ()
    product: bool = False

    @property
    def arrays(self) -> list[Any]:
        """The arrays that are read, then those that are stored."""
        return [*self.streams, *self.outs]
