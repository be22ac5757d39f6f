"""Steps, reversed axes, and the five-point stencil by slices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..work import Array, Bar, Size, Work, normal, prange


def add(a: Any, b: Any) -> Any:
    return a + b


def _add_loops(a, b, r):
    for i in prange(r.shape[0]):
        for j in range(r.shape[1]):
            r[i, j] = a[i, j] + b[i, j]


def stencil(a: Any) -> Any:
    return a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] - 4.0 * a[1:-1, 1:-1]


def _stencil_loops(a, r):
    for i in prange(r.shape[0]):
        for j in range(r.shape[1]):
            r[i, j] = a[i, j + 1] + a[i + 2, j + 1] + a[i + 1, j] + a[i + 1, j + 2] - 4.0 * a[i + 1, j + 1]


def _two(view: str) -> Any:
    def operands(rng: np.random.Generator, size: Size) -> dict[str, Array]:
        return {name: Array(normal(rng, size.matrix), view) for name in "ab"}

    return operands


def _grid(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    return {"a": Array(normal(rng, size.matrix))}


_BEST = (Bar("best", 1.0),)

WORKS = (
    *(
        Work(
            name,
            f"a{view} + b{view}",
            operands=_two(view),
            function=add,
            loops=_add_loops,
            bars=_BEST,
            numexpr=("a + b",),
        )
        for name, view in (("every_other", "[::2, ::2]"), ("reversed", "[::-1, ::-1]"), ("every_third", "[:, ::3]"))
    ),
    Work(
        "stencil",
        "five-point stencil by slices",
        operands=_grid,
        function=stencil,
        loops=_stencil_loops,
        bars=_BEST,
        numexpr=("n + s + w + e - 4.0 * c",),
        slices={"n": "a[:-2, 1:-1]", "s": "a[2:, 1:-1]", "w": "a[1:-1, :-2]", "e": "a[1:-1, 2:]", "c": "a[1:-1, 1:-1]"},
        scale=8.0,
    ),
)
