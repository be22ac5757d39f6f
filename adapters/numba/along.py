"""Which axis of a region memory lies along, as the types of arrays tell when it is compiled.

An axis is counted from the last one, which is -1: parts of arrays with fewer axes broadcast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from arrayexpr._core.nodes import Node, Operand, Slice, View


def innermost(views: Mapping[str, Node], layouts: Mapping[str, str], assigned: Collection[str]) -> int | None:
    """The axis along which most of the parts of operands lie next to one another, or None. `layouts` are Numba's, by
    operand; what is `assigned` counts twice, as in `walk.h`."""
    votes: Counter[int] = Counter()
    for name, view in views.items():
        axis = next_to_one_another(view, layouts)
        if axis is not None:
            votes[axis] += 2 if name in assigned else 1
        elif any(layouts[base] == "A" for base in _bases(view)):
            return None
    found = votes.most_common(2)
    if not found or (len(found) == 2 and found[0][1] <= 2 * found[1][1]):
        return None
    return found[0][0]


def next_to_one_another(view: Node, layouts: Mapping[str, str]) -> int | None:
    """The axis along which elements of a part follow one another in memory, or None."""
    if isinstance(view, Operand):
        return {"C": -1, "F": -view.type.rank}.get(layouts[view.name])
    assert isinstance(view, View)
    inner = next_to_one_another(view.arg, layouts)
    if inner is None or (shown := _shown(view, inner)) is None:
        return None
    return None if shown[1] else shown[0]


def stands_still(view: Node, axis: int) -> bool:
    """Whether a part of an operand has the same element along an axis, whatever its steps."""
    if axis < -view.type.rank:
        return True
    if not isinstance(view, View):
        return False
    inner = [k for k in range(-view.arg.type.rank, 0) if (shown := _shown(view, k)) and shown[0] == axis]
    return not inner or stands_still(view.arg, inner[0])


def _shown(view: View, axis: int) -> tuple[int, bool] | None:
    """Where an axis of what a view is of is in the view, and whether it is gone along in steps of several; None where
    the view shows one element of it."""
    axis += view.arg.type.rank
    if view.order is not None:
        return view.order.index(axis) - view.type.rank, False
    shown = 0
    taken = 0
    for item in view.subscripts or ():
        if item is None:
            shown += 1
            continue
        if taken == axis:
            return (shown - view.type.rank, item.step not in (None, 1)) if isinstance(item, Slice) else None
        taken += 1
        shown += isinstance(item, Slice)
    return shown + axis - taken - view.type.rank, False


def _bases(view: Node) -> list[str]:
    while isinstance(view, View):
        view = view.arg
    assert isinstance(view, Operand)
    return [view.name]
