"""Loops along neighbouring columns, which run by blocks of rows, give what one column after the other gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import arrayexpr

ROWS, COLUMNS = 700, 40


def recurrence(a: Any, b: Any) -> None:
    for j in range(1, a.shape[1]):
        a[:, j] = a[:, j - 1] * 0.5 + b[:, j]


def backwards(a: Any, b: Any) -> None:
    for j in range(a.shape[1] - 3, -1, -1):
        a[:, j] = a[:, j + 2] - b[:, j] * a[:, j]


def two(a: Any, b: Any) -> None:
    for j in range(1, a.shape[1] - 1):
        a[:, j] = a[:, j - 1] + b[:, j + 1]
        b[:, j] = a[:, j] * 0.25 - b[:, j - 1]


def shifted(a: Any, b: Any) -> None:
    for j in range(1, a.shape[1]):
        a[1:, j] = a[:-1, j - 1] + b[1:, j]


def turned(a: Any, b: Any) -> None:
    for j in range(1, a.shape[1]):
        a[::-1, j] = a[:, j - 1] + b[:, j]


def of_a_row(a: Any, b: Any) -> None:
    for j in range(1, a.shape[1]):
        a[:, j] = a[:, j - 1] * b[3, j] + a[5, j]


def of_a_vector(a: Any, b: Any) -> None:
    for j in range(1, a.shape[1]):
        a[:, j] = a[:, j - 1] * b[:, 0] + b[0, :].max()


FUNCTIONS: list[Callable[..., Any]] = [recurrence, backwards, two, shifted, turned, of_a_row, of_a_vector]


def _arrays(kind: str, dtype: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    wide = rng.integers(-4, 5, (2 * ROWS, 2 * COLUMNS + 2)).astype(dtype)
    a, b = wide[:ROWS, :COLUMNS], wide[ROWS:, :COLUMNS]
    if kind == "same":
        return a, a
    if kind == "beside":
        return a, wide[:ROWS, COLUMNS : 2 * COLUMNS]
    if kind == "a column further":
        return a, wide[:ROWS, 1 : COLUMNS + 1]
    if kind == "a row further":
        return a, wide[1 : ROWS + 1, :COLUMNS]
    if kind == "stepped":
        return wide[:ROWS, : 2 * COLUMNS : 2], wide[::2, 1 : COLUMNS + 1]
    if kind == "reversed":
        return a[::-1], b[::-1, ::-1]
    if kind == "Fortran":
        return np.asfortranarray(a), np.asfortranarray(b)
    return a, b


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "kind",
    ["apart", "same", "beside", "a column further", "a row further", "stepped", "reversed", "Fortran"],
)
def test_columns_one_after_the_other(function: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARRAYEXPR_WAIT", "1")
    for dtype in ("float64", "float32"):
        theirs, ours = _arrays(kind, dtype), _arrays(kind, dtype)
        with np.errstate(all="ignore"):
            function(*theirs)
            kernel = arrayexpr.kernel(function)
            kernel(*ours)
            for one, two_ in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one, two_)
            # Calls again are remembered ones.
            again = _arrays(kind, dtype)
            kernel(*again)
        for one, two_ in zip(again, theirs, strict=True):
            np.testing.assert_array_equal(one, two_)
