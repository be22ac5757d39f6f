"""Arrays of every layout and with every kind of value, for tests: plain NumPy, from a seeded generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from arrayexpr._core.types import APART, BROADCAST, FOUR, THREE, TWO, UNIT, ArrayType, ElementType

#: Layouts that `lay_out` makes. `broadcast` is read-only, and takes the values of its first elements.
LAYOUTS = ("C", "F", "permuted", "reversed", "stepped", "record", "swapped", "broadcast")
WRITABLE = LAYOUTS[:-1]


def values(element: ElementType, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random values of an element type, a third of them special: NaN, infinities, -0.0, subnormals, extremes."""
    dtype = element.dtype
    if element.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if element.kind in "iu":
        info = np.iinfo(dtype)
        usual = rng.integers(max(info.min, -20), min(info.max, 20), shape, dtype=dtype, endpoint=True)
        special = np.array([info.min, info.max, 0, 1, info.max - 1, info.min + 1], dtype)
    elif element.kind == "f":
        info_f = np.finfo(dtype)
        usual = (rng.standard_normal(shape) * 10.0 ** rng.integers(-2, 3, shape)).astype(dtype)
        tiny = info_f.smallest_subnormal
        special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, tiny, -tiny, info_f.max, 1.0, -1.0, 2.0], dtype)
    else:
        part = dtype.type(0).real.dtype
        from arrayexpr._core.types import element as element_of

        made = np.empty(shape, dtype)
        made.real = values(element_of(part), shape, rng)
        made.imag = values(element_of(part), shape, rng)
        return made
    chosen = rng.random(shape) < 1 / 3
    return np.where(chosen, special[rng.integers(0, len(special), shape)], usual).astype(dtype)


def lay_out(array: np.ndarray, layout: str, rng: np.random.Generator) -> np.ndarray:
    """An array of equal values in another layout, one of `LAYOUTS`.

    `record` is a field of a packed record: unaligned, with strides that are no multiple of the element's
    size. `broadcast` repeats along random axes: there the values change.
    """
    shape, dtype, rank = array.shape, array.dtype, array.ndim
    if layout == "F":
        return np.asfortranarray(array).reshape(shape, order="F")
    if layout == "permuted":
        order = rng.permutation(rank)
        made = np.empty([shape[k] for k in order], dtype).transpose(np.argsort(order))
    elif layout == "reversed":
        flips = tuple(slice(None, None, -1 if flip else 1) for flip in rng.random(rank) < 0.7)
        made = np.empty(shape, dtype)[(*flips, ...)]
    elif layout == "stepped":
        steps = rng.integers(1, 5, rank)
        steps = np.where(rng.random(rank) < 0.3, -steps, steps)
        made = np.empty([n * abs(s) for n, s in zip(shape, steps, strict=True)], dtype)
        made = made[(*(slice(None, None, int(s)) for s in steps), ...)]
    elif layout == "record":
        made = np.zeros(shape, np.dtype([("before", "u1", 3), ("it", dtype), ("after", "u1", 2)]))["it"]
    elif layout == "swapped":
        return array.astype(dtype.newbyteorder())
    elif layout == "broadcast":
        kept = tuple(slice(0, 1) if repeat else slice(None) for repeat in rng.random(rank) < 0.6)
        return np.broadcast_to(array[(*kept, ...)].copy(), shape)
    else:
        return np.ascontiguousarray(array).reshape(shape)
    made[...] = array
    return made


def lay_out_as(array: np.ndarray, type_: ArrayType, layout: str, rng: np.random.Generator) -> np.ndarray:
    """As `lay_out`, within what an operand's type says of its layout."""
    if type_.order is not None:
        return lay_out(array, type_.order, rng)
    if BROADCAST in type_.layout:
        kept = tuple(slice(0, 1) if fact == BROADCAST else slice(None) for fact in type_.layout)
        inner = type_.element.array(type_.rank, tuple("strided" if f == BROADCAST else f for f in type_.layout))
        return np.broadcast_to(lay_out_as(array[kept].copy(), inner, layout, rng), array.shape)
    known = [axis for axis, fact in enumerate(type_.layout) if fact in (UNIT, TWO, THREE, FOUR)]
    if known:
        axis = known[0]
        moved = np.moveaxis(array, axis, -1)
        room = np.empty([n * s for n, s in zip(moved.shape[:-1], rng.integers(1, 4, moved.ndim - 1), strict=True)]
                        + [moved.shape[-1] * APART[type_.layout[axis]]], array.dtype)  # fmt: skip
        steps = [slice(None, None, m // n if n else 1) for m, n in zip(room.shape, moved.shape, strict=True)]
        made = np.moveaxis(room[(*steps, ...)], -1, axis)
        made[...] = array
        return made
    return lay_out(array, layout, rng)


def clone(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The same arrays over copies of their memory: layouts, overlaps and read-only flags are kept."""
    roots: dict[int, tuple[np.ndarray, int]] = {}
    made: dict[str, Any] = {}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            made[name] = array
            continue
        root = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        low, high = np.lib.array_utils.byte_bounds(root)
        if id(root) not in roots:
            # At the same alignment: an unaligned array stays so.
            room = np.zeros(high - low + 64, np.uint8)
            start = (low - room.ctypes.data) % 64
            source = np.ndarray((high - low,), np.uint8, _Memory(root, low, high - low))
            room[start : start + high - low] = source
            roots[id(root)] = room, start - low
        room, shift = roots[id(root)]
        offset = array.__array_interface__["data"][0] + shift
        copied: np.ndarray = np.ndarray(array.shape, array.dtype, room, offset if array.size else 0, array.strides)
        copied.flags.writeable = array.flags.writeable
        made[name] = copied
    return made


def _Memory(owner: np.ndarray, low: int, size: int) -> Any:
    """The bytes of an array, as a buffer."""
    import ctypes

    return (ctypes.c_uint8 * size).from_address(low) if size else b""


def same(x: Any, y: Any) -> bool:
    """Whether two arrays are equal bit for bit, with every NaN equal to every other."""
    x, y = np.asarray(x), np.asarray(y)
    if x.shape != y.shape or x.dtype.newbyteorder("=") != y.dtype.newbyteorder("="):
        return False
    if x.dtype.kind == "c":
        return same(x.real, y.real) and same(x.imag, y.imag)
    if x.dtype.kind != "f":
        return bool(np.array_equal(x, y))
    nan = np.isnan(x)
    if not np.array_equal(nan, np.isnan(y)):
        return False
    return bool(np.array_equal(x[~nan], y[~nan]) and np.array_equal(np.signbit(x[~nan]), np.signbit(y[~nan])))


def ulps(x: Any, y: Any) -> float:
    """The largest distance of two arrays of reals or complexes in units of the last place."""
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype.kind == "c":
        return max(ulps(x.real, y.real), ulps(x.imag, y.imag))
    if x.dtype.kind != "f":
        return 0.0 if np.array_equal(x, y) else np.inf
    if x.shape != y.shape:
        return np.inf
    with np.errstate(all="ignore"):
        equal = (x == y) | (np.isnan(x) & np.isnan(y))
        far = np.abs(x - y) / np.spacing(np.maximum(np.abs(x), np.abs(y)))
    far = np.where(equal, 0, np.where(np.isnan(far), np.inf, far))
    return float(far.max(initial=0))


def placed(array: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """The values of an array of this shape, in memory of its own with exactly these byte strides."""
    spans = [(n - 1) * s for n, s in zip(shape, strides, strict=True) if n > 0]
    low = sum(s for s in spans if s < 0)
    high = sum(s for s in spans if s > 0) + array.itemsize
    made: np.ndarray = np.ndarray(shape, array.dtype, np.zeros(high - low, np.uint8), -low, strides)
    made[...] = array
    return made
