"""Functions of elements: vector math, finance, a polynomial, and a costly branch that is seldom taken."""

from __future__ import annotations

from math import exp, log, log1p, sin, sqrt
from typing import Any

import numpy as np

from ..work import Array, Bar, Size, Work, normal, prange


def damped_sine(x: Any, y: Any) -> Any:
    return np.exp(-x * x) * np.sin(y)


def _damped_sine_loops(x, y, r):
    for i in prange(r.shape[0]):
        r[i] = exp(-x[i] * x[i]) * sin(y[i])


def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


def _softplus_loops(x, r):
    for i in prange(r.shape[0]):
        r[i] = log1p(exp(x[i]))


def polynomial(x: Any) -> Any:
    return 0.25 * x**3 + 0.75 * x**2 - 1.5 * x - 2.0


def _polynomial_loops(x, r):
    for i in prange(r.shape[0]):
        r[i] = 0.25 * x[i] ** 3 + 0.75 * x[i] ** 2 - 1.5 * x[i] - 2.0


def black_scholes(s: Any, k: Any, t: Any) -> Any:
    """Call and put with rate 0.02 and volatility 0.3; the normal distribution by Abramowitz and Stegun 26.2.17."""
    root = 0.3 * np.sqrt(t)
    d1 = (np.log(s / k) + 0.065 * t) / root
    d2 = d1 - root
    u1 = 1.0 / (1.0 + 0.2316419 * np.abs(d1))
    u2 = 1.0 / (1.0 + 0.2316419 * np.abs(d2))
    p1 = u1 * (0.31938153 + u1 * (-0.356563782 + u1 * (1.781477937 + u1 * (-1.821255978 + u1 * 1.330274429))))
    p2 = u2 * (0.31938153 + u2 * (-0.356563782 + u2 * (1.781477937 + u2 * (-1.821255978 + u2 * 1.330274429))))
    q1 = 0.3989422804014327 * np.exp(-0.5 * d1 * d1) * p1
    q2 = 0.3989422804014327 * np.exp(-0.5 * d2 * d2) * p2
    n1 = np.where(d1 > 0.0, 1.0 - q1, q1)
    n2 = np.where(d2 > 0.0, 1.0 - q2, q2)
    discounted = k * np.exp(-0.02 * t)
    call = s * n1 - discounted * n2
    return call, call - s + discounted


def _black_scholes_loops(s, k, t, r0, r1):
    for i in prange(r0.shape[0]):
        root = 0.3 * sqrt(t[i])
        d1 = (log(s[i] / k[i]) + 0.065 * t[i]) / root
        d2 = d1 - root
        u1 = 1.0 / (1.0 + 0.2316419 * abs(d1))
        u2 = 1.0 / (1.0 + 0.2316419 * abs(d2))
        p1 = u1 * (0.31938153 + u1 * (-0.356563782 + u1 * (1.781477937 + u1 * (-1.821255978 + u1 * 1.330274429))))
        p2 = u2 * (0.31938153 + u2 * (-0.356563782 + u2 * (1.781477937 + u2 * (-1.821255978 + u2 * 1.330274429))))
        q1 = 0.3989422804014327 * exp(-0.5 * d1 * d1) * p1
        q2 = 0.3989422804014327 * exp(-0.5 * d2 * d2) * p2
        n1 = 1.0 - q1 if d1 > 0.0 else q1
        n2 = 1.0 - q2 if d2 > 0.0 else q2
        discounted = k[i] * exp(-0.02 * t[i])
        call = s[i] * n1 - discounted * n2
        r0[i] = call
        r1[i] = call - s[i] + discounted


def _black_scholes_text() -> tuple[str, str]:
    """numexpr has no statements: the names of intermediates are put in."""
    root = "(0.3 * sqrt(t))"
    d1 = f"((log(s / k) + 0.065 * t) / {root})"
    d2 = f"({d1} - {root})"

    def cumulative(d: str) -> str:
        u = f"(1.0 / (1.0 + 0.2316419 * abs({d})))"
        p = f"({u} * (1.781477937 + {u} * (-1.821255978 + {u} * 1.330274429)))"
        p = f"({u} * (0.31938153 + {u} * (-0.356563782 + {p})))"
        q = f"(0.3989422804014327 * exp(-0.5 * {d} * {d}) * {p})"
        return f"where({d} > 0.0, 1.0 - {q}, {q})"

    return f"s * {cumulative(d1)} - k * exp(-0.02 * t) * {cumulative(d2)}", "r0 - s + k * exp(-0.02 * t)"


def seldom(mask: Any, x: Any) -> Any:
    return np.where(mask, np.exp(-x * x) * np.sin(3.0 * x) + np.log1p(x * x), x)


def _seldom_loops(mask, x, r):
    for i in prange(r.shape[0]):
        if mask[i]:
            r[i] = exp(-x[i] * x[i]) * sin(3.0 * x[i]) + log1p(x[i] * x[i])
        else:
            r[i] = x[i]


def _vectors(names: str) -> Any:
    def operands(rng: np.random.Generator, size: Size) -> dict[str, Array]:
        return {name: Array(normal(rng, size.n)) for name in names}

    return operands


def _options(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    return {
        "s": Array(rng.uniform(10, 50, size.n)),
        "k": Array(rng.uniform(10, 50, size.n)),
        "t": Array(rng.uniform(0.5, 2, size.n)),
    }


def _clustered(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    """One element in a hundred is true, all in a few runs."""
    mask = np.zeros(size.n, bool)
    runs = max(1, size.n // 200_000)
    length = size.n // 100 // runs
    for start in (np.arange(runs) + 0.5) * (size.n / runs):
        mask[int(start) : int(start) + length] = True
    return {"mask": Array(mask), "x": Array(normal(rng, size.n))}


WORKS = (
    Work(
        "exp_sin",
        "exp(-x*x)*sin(y)",
        operands=_vectors("xy"),
        function=damped_sine,
        loops=_damped_sine_loops,
        bars=(Bar("best", 1.7),),
        numexpr=("exp(-x * x) * sin(y)",),
        scale=0.0,
    ),
    Work(
        "black_scholes",
        "Black-Scholes, call and put",
        operands=_options,
        function=black_scholes,
        loops=_black_scholes_loops,
        bars=(Bar("best", 1.0),),
        numexpr=_black_scholes_text(),
        scale=50.0,
        also=("gcc-fast",),
    ),
    Work(
        "softplus",
        "log1p(exp(x))",
        operands=_vectors("x"),
        function=softplus,
        loops=_softplus_loops,
        bars=(Bar("best", 1.0),),
        numexpr=("log1p(exp(x))",),
        scale=0.0,
    ),
    Work(
        "polynomial",
        ".25*x**3 + .75*x**2 - 1.5*x - 2",
        operands=_vectors("x"),
        function=polynomial,
        loops=_polynomial_loops,
        bars=(Bar("best", 1.0),),
        numexpr=("0.25 * x**3 + 0.75 * x**2 - 1.5 * x - 2.0",),
        scale=4.0,
    ),
    Work(
        "where_seldom",
        "where, 1% clustered mask, costly branch",
        operands=_clustered,
        function=seldom,
        loops=_seldom_loops,
        bars=(Bar("numpy", 5.0),),
        numexpr=("where(mask, exp(-x * x) * sin(3.0 * x) + log1p(x * x), x)",),
    ),
)
