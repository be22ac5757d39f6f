"""Results that overlap operands: shifted by one, and transposed in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..work import SIZES, Array, Bar, Size, Work, normal, prange


def add(a: Any, b: Any) -> Any:
    return a + b


def _shifted_loops(a, b, r):
    for i in range(r.shape[0] - 1, -1, -1):
        r[i] = a[i] + b[i]


def _transposed_loops(a, b, r):
    for i in prange(r.shape[0]):
        for j in range(i):
            kept = r[i, j]
            r[i, j] = r[j, i] + b[i, j]
            r[j, i] = kept + b[j, i]
        r[i, i] += b[i, i]


def _shifted(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    base = normal(rng, size.n)
    return {"a": Array(base, "[1:]"), "b": Array(base, "[:-1]")}


def _square(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    n = size.square
    return {"a": Array(normal(rng, (n, n)), ".T"), "b": Array(normal(rng, (n, n)))}


# What the allocator and the measurement of resident memory round up to, and a tile or a row.
_TILE = 2 << 20
# Transposed in place there is no direction in which nothing is read that was written: one temporary is allowed.
_TEMPORARY = _TILE + 8 * SIZES["dram"].square ** 2

WORKS = (
    Work(
        "shifted",
        "a[1:] = a[1:] + a[:-1]",
        operands=_shifted,
        function=add,
        loops=_shifted_loops,
        bars=(Bar("scratch", _TILE, ("dram",)),),
        numexpr=("a + b",),
        results=lambda size, operands: (operands["a"],),
        in_place=True,
    ),
    Work(
        "transposed_in_place",
        "a[...] = a.T + b",
        operands=_square,
        function=add,
        loops=_transposed_loops,
        bars=(Bar("scratch", _TEMPORARY, ("dram",)),),
        numexpr=("a + b",),
        results=lambda size, operands: (Array(operands["a"].base),),
        in_place=True,
    ),
)
