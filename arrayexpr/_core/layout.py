"""What is known of an operand in memory."""

from __future__ import annotations

from typing import Any

from .errors import ShapeMismatch
from .record import record


@record
class Layout:
    """The shape of an operand, and per axis the distance between neighbours in bytes.

    >>> import numpy as np
    >>> Layout.of(np.zeros((3, 4)).T)
    Layout(shape=(4, 3), strides=(8, 32))
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.shape) != len(self.strides):
            given = f"shape {self.shape} with strides {self.strides}"
            raise ShapeMismatch(f"layout of {given}: expected one stride an axis")
        if any(n < 0 for n in self.shape):
            raise ShapeMismatch(f"layout of shape {self.shape}: expected lengths of at least 0")

    @staticmethod
    def of(array: Any) -> Layout:
        """The layout of a NumPy array, or of anything with `shape` and `strides`."""
        if isinstance(array, Layout):
            return array
        return Layout(tuple(map(int, array.shape)), tuple(map(int, array.strides)))
