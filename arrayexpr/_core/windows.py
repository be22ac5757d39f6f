"""Slices of slices: what two in a row take of an axis, whatever its length."""

from __future__ import annotations

from .nodes import Node, Slice


def is_full(item: Slice) -> bool:
    """Whether a slice takes a whole axis in order."""
    return item.start in (None, 0) and item.stop is None and item.step in (None, 1)


def composed(item: Slice, over: Slice | int) -> Slice | int | None:
    """The subscript that does what two do in a row, where that does not depend on the length.

    >>> composed(Slice(1, -1), Slice(2, None)), composed(Slice(1, None), 3), composed(Slice(1, 9), Slice(2, None))
    (Slice(start=3, stop=-1, step=None), 4, None)
    """
    if is_full(item):
        return over
    if isinstance(over, Slice) and is_full(over):
        return item
    if any(isinstance(part, Node) for part in (*item, *(over if isinstance(over, Slice) else (over,)))):
        # What a subscript is that is computed is not known before it runs.
        return None
    if item == over == Slice(None, None, -1):
        return Slice()
    start = item.start or 0
    if start < 0 or item.step not in (None, 1):
        return None
    if isinstance(over, int):
        return start + over if over >= 0 and item.stop is None else None
    if (over.start or 0) < 0 or (over.step or 1) < 0:
        return None
    if item.stop is None and (over.stop is None or over.stop >= 0):
        return Slice(start + (over.start or 0), None if over.stop is None else start + over.stop, over.step)
    ends = [stop for stop in (item.stop, over.stop) if stop is not None]
    if all(stop < 0 for stop in ends):
        # Counted from the end both: of an axis too short for the first nothing is left by either.
        return Slice(start + (over.start or 0) or None, sum(ends) or None, over.step)
    return None


def trimmed(item: Slice) -> int | None:
    """How many elements a slice leaves out of an axis that is long enough; None where that depends on its length.

    >>> trimmed(Slice(1, -1)), trimmed(Slice(2, None)), trimmed(Slice(0, 2))
    (2, 2, None)
    """
    if any(isinstance(part, Node) for part in item):
        return None
    if item.step not in (None, 1) or (item.start or 0) < 0 or (item.stop or -1) >= 0 or item.stop == 0:
        return None
    return (item.start or 0) - (item.stop or 0)
