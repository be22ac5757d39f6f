"""`a * b + c` where all operands agree: contiguous, Fortran, permuted, reversed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..work import Array, Bar, Size, Work, normal, prange


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    return a * b + c


def _vector_loops(a, b, c, r):
    for i in prange(r.shape[0]):
        r[i] = a[i] * b[i] + c[i]


def _column_loops(a, b, c, r):
    for j in prange(r.shape[1]):
        for i in range(r.shape[0]):
            r[i, j] = a[i, j] * b[i, j] + c[i, j]


def _permuted_loops(a, b, c, r):
    for k in prange(r.shape[2]):
        for i in range(r.shape[0]):
            for j in range(r.shape[1]):
                r[i, j, k] = a[i, j, k] * b[i, j, k] + c[i, j, k]


def _backward_loops(a, b, c, r):
    for i in prange(r.shape[0] - 1, -1, -1):
        for j in range(r.shape[1] - 1, -1, -1):
            for k in range(r.shape[2] - 1, -1, -1):
                r[i, j, k] = a[i, j, k] * b[i, j, k] + c[i, j, k]


def _alike(axes: int, view: str) -> dict[str, Any]:
    """Operands and results of 1, 2 or 3 axes with the same view of each."""

    def shape(size: Size) -> Any:
        return (size.n, size.matrix, size.cube)[axes - 1]

    def operands(rng: np.random.Generator, size: Size) -> dict[str, Array]:
        return {name: Array(normal(rng, shape(size)), view) for name in "abc"}

    def results(size: Size, operands: dict[str, Array]) -> tuple[Array, ...]:
        return (Array(np.empty(shape(size)), view),)

    return {"operands": operands, "results": results, "function": multiply_add, "numexpr": ("a * b + c",)}


_LIKE_CONTIGUOUS = (Bar("contiguous", 1 / 1.1),)

WORKS = (
    Work(
        name="a_b_c",
        text="a*b + c, contiguous",
        loops=_vector_loops,
        bars=(Bar("best", 1.0), Bar("hand", 0.9, ("dram",))),
        hand="triad",
        **_alike(1, ""),
    ),
    Work("a_b_c_fortran", "a*b + c, all Fortran", loops=_column_loops, bars=_LIKE_CONTIGUOUS, **_alike(2, ".T")),
    Work(
        "a_b_c_permuted",
        "a*b + c, all permuted",
        loops=_permuted_loops,
        bars=_LIKE_CONTIGUOUS,
        **_alike(3, ".transpose(1, 2, 0)"),
    ),
    Work(
        "a_b_c_reversed",
        "a*b + c, all reversed",
        loops=_backward_loops,
        bars=_LIKE_CONTIGUOUS,
        **_alike(3, "[::-1, ::-1, ::-1]"),
    ),
)
