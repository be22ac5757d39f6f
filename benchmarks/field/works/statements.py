"""Several values of the same arrays: siblings with several results, a shifted value, rows of 1,000 elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..work import Array, Bar, Size, Work, normal, prange
from .reductions import (
    _layer_norm_loops,
    _mean_variance_loops,
    _softmax_loops,
    layer_norm,
    mean_variance,
    softmax,
)


def siblings(a: Any, b: Any, c: Any) -> Any:
    t = a + b
    u = t * c
    v = t - c
    return u + v, u * v


def _siblings_loops(a, b, c, r0, r1):
    for i in prange(r0.shape[0]):
        u = (a[i] + b[i]) * c[i]
        v = (a[i] + b[i]) - c[i]
        r0[i] = u + v
        r1[i] = u * v


def shifted_product(a: Any, b: Any) -> Any:
    t = a * b
    return t[2:] - t[:-2]


def _shifted_product_loops(a, b, r):
    for i in prange(r.shape[0]):
        r[i] = a[i + 2] * b[i + 2] - a[i] * b[i]


def _vectors(names: str) -> Any:
    def operands(rng: np.random.Generator, size: Size) -> dict[str, Array]:
        return {name: Array(normal(rng, size.n)) for name in names}

    return operands


def _rows(size: Size) -> tuple[int, int]:
    return (10_000, 1_000) if size.name == "dram" else size.matrix


def _matrix(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    return {"a": Array(normal(rng, _rows(size)))}


def _layer(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    n = _rows(size)[1]
    return {**_matrix(rng, size), "gain": Array(normal(rng, n)), "bias": Array(normal(rng, n))}


_BEST = (Bar("best", 1.0),)
_ROW = {"tolerance": 1e3}

WORKS = (
    Work(
        "siblings",
        "t=a+b; u=t*c; v=t-c; u+v, u*v",
        operands=_vectors("abc"),
        function=siblings,
        loops=_siblings_loops,
        bars=_BEST,
        numexpr=("(a + b) * c + ((a + b) - c)", "(a + b) * c * ((a + b) - c)"),
    ),
    Work(
        "shifted_product",
        "t=a*b; t[2:]-t[:-2]",
        operands=_vectors("ab"),
        function=shifted_product,
        loops=_shifted_product_loops,
        bars=_BEST,
    ),
    Work(
        "softmax_rows",
        "softmax over rows of 1,000",
        operands=_matrix,
        function=softmax,
        loops=_softmax_loops,
        bars=_BEST,
        scale=0.0,
        **_ROW,
    ),
    Work(
        "layer_norm_rows",
        "layer norm over rows of 1,000",
        operands=_layer,
        function=layer_norm,
        loops=_layer_norm_loops,
        bars=_BEST,
        **_ROW,
    ),
    Work(
        "mean_var_rows",
        "mean and var over rows of 1,000",
        operands=_matrix,
        function=mean_variance,
        loops=_mean_variance_loops,
        bars=_BEST,
        **_ROW,
    ),
)
