"""Sums, moments, layer norm and softmax."""

from __future__ import annotations

from math import exp, sqrt
from typing import Any

import numpy as np

from ..work import Array, Bar, Size, Work, normal, prange


def squares_columns(a: Any, b: Any) -> Any:
    return np.sum((a - b) ** 2, axis=0)


def _squares_columns_loops(a, b, r):
    for j in range(r.shape[0]):
        r[j] = 0.0
    for i in range(a.shape[0]):
        for j in range(r.shape[0]):
            r[j] += (a[i, j] - b[i, j]) ** 2


def squares_rows(a: Any, b: Any) -> Any:
    return np.sum((a - b) ** 2, axis=1)


def _squares_rows_loops(a, b, r):
    for i in prange(r.shape[0]):
        total = 0.0
        for j in range(a.shape[1]):
            total += (a[i, j] - b[i, j]) ** 2
        r[i] = total


def squares(a: Any, b: Any) -> Any:
    return np.sum((a - b) ** 2)


def _squares_loops(a, b, r):
    total = 0.0
    for i in prange(a.shape[0]):
        for j in range(a.shape[1]):
            total += (a[i, j] - b[i, j]) ** 2
    r[()] = total


def mean_variance(a: Any) -> Any:
    return np.mean(a, axis=1), np.var(a, axis=1)


def _mean_variance_loops(a, r0, r1):
    for i in prange(a.shape[0]):
        total = 0.0
        for j in range(a.shape[1]):
            total += a[i, j]
        mean = total / a.shape[1]
        around = 0.0
        for j in range(a.shape[1]):
            around += (a[i, j] - mean) ** 2
        r0[i] = mean
        r1[i] = around / a.shape[1]


def layer_norm(a: Any, gain: Any, bias: Any) -> Any:
    mean = np.mean(a, axis=1, keepdims=True)
    variance = np.var(a, axis=1, keepdims=True)
    return (a - mean) / np.sqrt(variance + 1e-5) * gain + bias


def _layer_norm_loops(a, gain, bias, r):
    for i in prange(a.shape[0]):
        total = 0.0
        for j in range(a.shape[1]):
            total += a[i, j]
        mean = total / a.shape[1]
        around = 0.0
        for j in range(a.shape[1]):
            around += (a[i, j] - mean) ** 2
        deviation = sqrt(around / a.shape[1] + 1e-5)
        for j in range(a.shape[1]):
            r[i, j] = (a[i, j] - mean) / deviation * gain[j] + bias[j]


def softmax(a: Any) -> Any:
    e = np.exp(a - np.max(a, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def _softmax_loops(a, r):
    for i in prange(a.shape[0]):
        largest = a[i, 0]
        for j in range(a.shape[1]):
            largest = max(largest, a[i, j])
        total = 0.0
        for j in range(a.shape[1]):
            e = exp(a[i, j] - largest)
            r[i, j] = e
            total += e
        for j in range(a.shape[1]):
            r[i, j] = r[i, j] / total


def variance_columns(a: Any) -> Any:
    return np.var(a, axis=0)


def _variance_columns_loops(a, mean, r):
    for j in range(r.shape[0]):
        mean[j] = 0.0
        r[j] = 0.0
    for i in range(a.shape[0]):
        for j in range(r.shape[0]):
            mean[j] += a[i, j]
    for j in range(r.shape[0]):
        mean[j] = mean[j] / a.shape[0]
    for i in range(a.shape[0]):
        for j in range(r.shape[0]):
            r[j] += (a[i, j] - mean[j]) ** 2
    for j in range(r.shape[0]):
        r[j] = r[j] / a.shape[0]


def _matrices(names: str) -> Any:
    def operands(rng: np.random.Generator, size: Size) -> dict[str, Array]:
        return {name: Array(normal(rng, size.matrix)) for name in names}

    return operands


def _transposed(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    return {"a": Array(normal(rng, size.matrix)), "b": Array(normal(rng, size.matrix[::-1]), ".T")}


def _layer(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    n = size.matrix[1]
    return {"a": Array(normal(rng, size.matrix)), "gain": Array(normal(rng, n)), "bias": Array(normal(rng, n))}


_BEST = (Bar("best", 1.0),)
# A plain loop adds one element after the other: its error grows with the number of them.
_ROW = {"tolerance": 1e3}

WORKS = (
    Work(
        "squares_axis0",
        "sum((a-b)**2, axis=0)",
        operands=_matrices("ab"),
        function=squares_columns,
        loops=_squares_columns_loops,
        bars=_BEST,
        numexpr=("sum((a - b)**2, axis=0)",),
        **_ROW,
    ),
    Work(
        "squares_axis1",
        "sum((a-b)**2, axis=1)",
        operands=_matrices("ab"),
        function=squares_rows,
        loops=_squares_rows_loops,
        bars=_BEST,
        numexpr=("sum((a - b)**2, axis=1)",),
        **_ROW,
    ),
    Work(
        "squares_full",
        "sum((a-b)**2)",
        operands=_matrices("ab"),
        function=squares,
        loops=_squares_loops,
        bars=_BEST,
        numexpr=("sum((a - b)**2)",),
        tolerance=1e5,
    ),
    Work(
        "squares_bT",
        "sum((a-b.T)**2, axis=0)",
        operands=_transposed,
        function=squares_columns,
        loops=_squares_columns_loops,
        bars=_BEST,
        numexpr=("sum((a - b)**2, axis=0)",),
        **_ROW,
    ),
    Work(
        "mean_var",
        "mean and var over axis 1",
        operands=_matrices("a"),
        function=mean_variance,
        loops=_mean_variance_loops,
        bars=_BEST,
        **_ROW,
    ),
    Work(
        "layer_norm",
        "layer norm over rows",
        operands=_layer,
        function=layer_norm,
        loops=_layer_norm_loops,
        bars=_BEST,
        **_ROW,
    ),
    Work(
        "softmax",
        "softmax over rows",
        operands=_matrices("a"),
        function=softmax,
        loops=_softmax_loops,
        bars=(Bar("best", 1.5),),
        also=("gcc-fast",),
        scale=0.0,
        **_ROW,
    ),
    Work(
        "var_axis0",
        "var(a, axis=0)",
        operands=_matrices("a"),
        function=variance_columns,
        loops=_variance_columns_loops,
        bars=(Bar("best", 1.5),),
        scratch=lambda size: {"mean": np.empty(size.matrix[1])},
        **_ROW,
    ),
)
