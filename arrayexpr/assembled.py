"""NumPy's functions whose results are put together of parts: `diff`, `roll`, and running totals."""

from __future__ import annotations

import operator as python_operator
from typing import Any, Final

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ._core.affine import integer
from ._core.errors import TypeMismatch, UnsupportedError
from .shapes import lengths_of
from .symbolic import RECORDER, SymbolicArray, as_symbolic, into, localise

_WHOLE: Final = slice(None)


def _along(x: SymbolicArray, axis: int, part: Any) -> tuple[Any, ...]:
    return tuple(part if k == axis else _WHOLE for k in range(x.ndim))


def _axis_of(name: str, x: SymbolicArray, axis: Any) -> Any:
    """The axis that a function goes along, as it was given; none need be said of an array that has one."""
    if axis is None and x.ndim > 1:
        raise UnsupportedError(f"{name} of {x.type} without an axis cannot be traced: expected axis=")
    return 0 if axis is None else axis


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Any:
    """`np.diff`."""
    if prepend is not np._NoValue or append is not np._NoValue:
        raise UnsupportedError("np.diff with prepend= or append= cannot be traced: expected differences of one array")
    x: Any = as_symbolic(a, "diff")
    if not x.ndim:
        raise ValueError("diff requires input that is at least one dimensional")
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    axis = normalize_axis_index(axis, x.ndim)
    minus: Any = np.not_equal if x.type.element.kind == "b" else np.subtract
    for _ in range(python_operator.index(n)):
        x = minus(x[_along(x, axis, slice(1, None))], x[_along(x, axis, slice(None, -1))])
    return x


def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """`np.roll`, by numbers of places that are known."""
    x: Any = as_symbolic(a, "roll")
    shifts = np.broadcast_arrays(shift, _axis_of("np.roll", x, axis))
    if shifts[0].dtype.kind not in "iu":
        raise TypeMismatch(f"np.roll by {shift!r}: expected whole numbers that are known")
    total: dict[int, int] = {}
    for places, each in zip(*(part.reshape(-1).tolist() for part in shifts), strict=True):
        at = normalize_axis_index(each, x.ndim)
        total[at] = total.get(at, 0) + places
    for at, places in total.items():
        x = _rolled(x, at, places)
    return x


def _rolled(x: Any, axis: int, places: int) -> Any:
    if not places:
        return x
    # One place is right for any length, also none and one.
    to: Any = places
    rest: Any = -places
    if abs(places) != 1:
        to = np.mod(places, np.maximum(x.shape[axis], 1))
        rest = x.shape[axis] - to
    made = np.empty_like(x)
    for here, there in ((slice(to, None), slice(None, rest)), (slice(None, to), slice(rest, None))):
        made[_along(x, axis, here)] = x[_along(x, axis, there)]
    return made


def accumulated(name: str, ufunc: Any, like: Any, a: Any, axis: Any, dtype: Any, out: Any) -> SymbolicArray:
    """An array of what `ufunc` makes of all elements so far; `like` is NumPy's function, which knows the type."""
    x = as_symbolic(a, name)
    if not x.ndim:
        raise TypeError(f"{name} of a scalar {x.type}: expected an array")
    axis = normalize_axis_index(_axis_of(name, x, axis), x.ndim)
    made = x.astype(like(np.zeros(1, x.dtype), dtype=dtype).dtype).copy()
    localise(made)
    length = lengths_of(made)[axis].node
    recorder: Any = RECORDER.get()
    index = recorder.enter_loop("k", {made.node})
    here, before = (_along(made, axis, at) for at in (index, index - 1))
    made[here] = ufunc(made[before], made[here])
    recorder.leave_loop(integer(1), length, integer(1))
    return into(out, made)


def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> SymbolicArray:
    """`np.cumsum`."""
    return accumulated("cumsum", np.add, np.cumsum, a, axis, dtype, out)


def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> SymbolicArray:
    """`np.cumprod`."""
    return accumulated("cumprod", np.multiply, np.cumprod, a, axis, dtype, out)
