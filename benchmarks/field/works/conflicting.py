"""Operands whose unit-stride axes conflict: transposed and permuted ones, added or summed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..work import Array, Bar, Size, Work, normal, prange

_DRAM = ("dram",)


def add_transposed(a: Any, b: Any) -> Any:
    return a + b


def _add_loops(a, b, r):
    for i in prange(r.shape[0]):
        for j in range(r.shape[1]):
            r[i, j] = a[i, j] + b[i, j]


def multiply_add_transposed(a: Any, b: Any, c: Any) -> Any:
    return a * b + c


def _multiply_add_loops(a, b, c, r):
    for i in prange(r.shape[0]):
        for j in range(r.shape[1]):
            r[i, j] = a[i, j] * b[i, j] + c[i, j]


def mixed(a: Any, b: Any, c: Any) -> Any:
    return a * b + c


def _mixed_loops(a, b, c, r):
    for i in prange(r.shape[0]):
        for j in range(r.shape[1]):
            for k in range(r.shape[2]):
                r[i, j, k] = a[i, j, k] * b[i, j, k] + c[i, j, k]


def sum_product(a: Any, b: Any) -> Any:
    return np.sum(a * b)


def _sum_product_loops(a, b, r):
    total = 0.0
    for i in prange(a.shape[0]):
        for j in range(a.shape[1]):
            total += a[i, j] * b[i, j]
    r[()] = total


def sum_columns(a: Any, b: Any) -> Any:
    return np.sum(a + b, axis=0)


def _sum_columns_loops(a, b, r):
    for j in range(r.shape[0]):
        r[j] = 0.0
    for i in range(a.shape[0]):
        for j in range(r.shape[0]):
            r[j] += a[i, j] + b[i, j]


def _pair(dtype: str) -> Any:
    def operands(rng: np.random.Generator, size: Size) -> dict[str, Array]:
        return {"a": Array(normal(rng, size.matrix, dtype)), "b": Array(normal(rng, size.matrix[::-1], dtype), ".T")}

    return operands


def _three(dtype: str) -> Any:
    def operands(rng: np.random.Generator, size: Size) -> dict[str, Array]:
        back = size.matrix[::-1]
        return {
            "a": Array(normal(rng, size.matrix, dtype)),
            "b": Array(normal(rng, back, dtype), ".T"),
            "c": Array(normal(rng, back, dtype), ".T"),
        }

    return operands


def _cubes(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    p, q, s = size.cube
    return {
        "a": Array(normal(rng, (p, q, s))),
        "b": Array(normal(rng, (s, q, p)), ".transpose(2, 1, 0)"),
        "c": Array(normal(rng, (s, p, q)), ".transpose(1, 2, 0)"),
    }


def _typed(dtype: str) -> tuple[Work, Work]:
    plain = dtype == "float64"
    suffix, label = ("", "") if plain else (f"_{dtype}", f", {dtype}")
    # numexpr has neither 8-bit nor complex64 results: int8 operands would give int32.
    has = dtype != "int8"
    return (
        Work(
            f"a_bT{suffix}",
            f"a + b.T{label}",
            operands=_pair(dtype),
            function=add_transposed,
            loops=_add_loops,
            bars=(Bar("best", 3.0, _DRAM),),
            numexpr=("a + b",) if has else (),
        ),
        Work(
            f"abT_cT{suffix}",
            f"a*b.T + c.T{label}",
            operands=_three(dtype),
            function=multiply_add_transposed,
            loops=_multiply_add_loops,
            bars=(Bar("best", 3.0, _DRAM),),
            numexpr=("a * b + c",) if has else (),
        ),
    )


WORKS = (
    *(work for dtype in ("float64", "int8", "float32", "complex128") for work in _typed(dtype)),
    Work(
        "mixed_3d",
        "a*b.transpose(2,1,0) + c.transpose(1,2,0)",
        operands=_cubes,
        function=mixed,
        loops=_mixed_loops,
        bars=(Bar("best", 1.8, _DRAM),),
        numexpr=("a * b + c",),
    ),
    Work(
        "sum_abT",
        "sum(a*b.T)",
        operands=_pair("float64"),
        function=sum_product,
        loops=_sum_product_loops,
        bars=(Bar("best", 1.7),),
        numexpr=("sum(a * b)",),
        # A plain loop adds one element after the other: its error grows with the number of them.
        scale=1e4,
        tolerance=1e3,
    ),
    Work(
        "sum_a_bT_axis0",
        "sum(a + b.T, axis=0)",
        operands=_pair("float64"),
        function=sum_columns,
        loops=_sum_columns_loops,
        bars=(Bar("best", 1.7),),
        numexpr=("sum(a + b, axis=0)",),
        scale=1e2,
        tolerance=1e2,
    ),
)
