"""Arrays to call what Numba compiles with: random values, in many ways to lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

#: What Numba types C, what it types F, and ways to lie that it types A.
WAYS = ("stepped", "turned", "part", "permuted")
LAYOUTS = ("C", "F", *WAYS)


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    kind = np.dtype(dtype).kind
    if kind in "iu":
        return rng.integers(0, 100, shape).astype(dtype)
    if kind == "b":
        return rng.random(shape) < 0.5
    made = rng.random(shape) * 4 - 1
    made = np.where(rng.random(shape) < 0.05, rng.choice([np.nan, np.inf, -0.0, 0.0], shape), made)
    return (made + 1j * rng.random(shape)).astype(dtype) if kind == "c" else made.astype(dtype)


def small(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    """Numbers of which sums and products of some are exact."""
    made = rng.integers(-20, 20, shape)
    return (made if np.dtype(dtype).kind in "iu" else made / 4).astype(dtype)


def laid_out(rng: np.random.Generator, array: Any, layout: str) -> Any:
    """An array of the same values, laid out as `layout` says; A is one of several ways."""
    if layout in ("C", "F"):
        return np.array(array, order=layout)
    way = WAYS[int(rng.integers(4))] if layout == "A" else layout
    lengths = array.shape
    if way == "stepped":
        room = np.zeros([n * (2 + k) + 1 for k, n in enumerate(lengths)], array.dtype)
        view = room[tuple(slice(k % 2, k % 2 + (2 + k) * n, 2 + k) for k, n in enumerate(lengths))]
    elif way == "turned":
        room = np.zeros([n + 1 for n in lengths], array.dtype)
        view = room[tuple(slice(1, n + 1) for n in lengths)][tuple(slice(None, None, -1) for _ in lengths)]
    elif way == "part":
        room = np.zeros([n + 1 for n in lengths[::-1]], array.dtype).T
        view = room[tuple(slice(1, n + 1) for n in lengths)]
    else:
        order = rng.permutation(array.ndim)
        room = np.zeros([lengths[k] + 1 for k in order], array.dtype).transpose(np.argsort(order))
        view = room[tuple(slice(0, n) for n in lengths)]
    view[...] = array
    return view
