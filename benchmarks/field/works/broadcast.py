"""What is invariant along an axis: functions of a row and a column, and both added to a matrix."""

from __future__ import annotations

from math import cos, sin
from typing import Any

import numpy as np

from ..work import Array, Bar, Size, Work, normal, prange


def sine_cosine(x: Any, y: Any) -> Any:
    return np.sin(x**2) + np.cos(y**2)


def _sine_cosine_loops(x, y, r):
    for i in prange(r.shape[0]):
        for j in range(r.shape[1]):
            r[i, j] = sin(x[0, j] ** 2) + cos(y[i, 0] ** 2)


def add_row_column(a: Any, row: Any, col: Any) -> Any:
    return a + row + col


def _add_row_column_loops(a, row, col, r):
    for i in prange(r.shape[0]):
        for j in range(r.shape[1]):
            r[i, j] = a[i, j] + row[j] + col[i, 0]


def _outer(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    m, n = size.matrix
    return {"x": Array(normal(rng, (1, n))), "y": Array(normal(rng, (m, 1)))}


def _matrix_row_column(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    m, n = size.matrix
    return {"a": Array(normal(rng, (m, n))), "row": Array(normal(rng, n)), "col": Array(normal(rng, m), "[:, None]")}


_HAND = (Bar("hand", 1 / 1.3),)

WORKS = (
    Work(
        "sin_cos",
        "sin(x**2) + cos(y**2), (1,n) with (m,1)",
        operands=_outer,
        function=sine_cosine,
        loops=_sine_cosine_loops,
        bars=_HAND,
        numexpr=("sin(x**2) + cos(y**2)",),
        hand="sine_cosine",
    ),
    Work(
        "row_col",
        "a + row + col[:,None]",
        operands=_matrix_row_column,
        function=add_row_column,
        loops=_add_row_column_loops,
        bars=_HAND,
        numexpr=("a + row + col",),
        hand="row_column",
    ),
)
