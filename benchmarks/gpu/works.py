"""What is measured on a GPU: each a function for NumPy's arrays, and arrays for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Work:
    """One work. `by(xp, ...)` is the function over a library's module; `torch` the same for torch's tensors."""

    name: str
    by: Callable[..., Any]
    shapes: Callable[[int], list[tuple[int, ...]]]
    torch: Callable[..., Any]
    elementwise: bool = True
    tolerance: float = 1e-6
    #: The least per cent of a copy's bandwidth that is wanted of an H200; None where there is none.
    bar: int | None = None
    low: float = 0.5
    high: float = 2.0

    @property
    def function(self) -> Callable[..., Any]:
        import inspect

        # As many parameters as arrays: kernels are traced by them.
        count = len(inspect.signature(self.by).parameters) - 1
        return {
            1: lambda a: self.by(np, a),
            2: lambda a, b: self.by(np, a, b),
            3: lambda a, b, c: self.by(np, a, b, c),
        }[count]

    def arrays(self, elements: int, rng: np.random.Generator) -> list[Any]:
        """Arrays of up to so many elements."""
        made = []
        for shape in self.shapes(elements):
            values = rng.random(shape, "f4")
            values *= np.float32(self.high - self.low)
            values += np.float32(self.low)
            made.append(values)
        return made

    def bytes_of(self, arrays: list[Any]) -> int:
        """The bytes that must be moved: operands read once, the result written once."""
        result = np.empty(_shape(self, arrays), "f4")
        return sum(a.nbytes for a in arrays) + result.nbytes


def _shape(work: Work, arrays: list[Any]) -> tuple[int, ...]:
    """The result's shape, by the work on arrays that take no memory and few elements."""
    first = arrays[0].shape
    return {
        "sum axis 0": first[1:],
        "sum(a + b.T) axis 0": first[1:],
        "sum(a * b.T)": (),
        "sum axis 1": first[:1],
        "sum of all": (),
    }.get(work.name, first)


def _square(elements: int) -> int:
    return math.isqrt(elements) // 64 * 64


def _cube(elements: int) -> tuple[int, int, int]:
    side = max(16, round(elements ** (1 / 3)) // 16 * 16)
    return side, side, side


def _softmax(xp: Any, a: Any) -> Any:
    e = xp.exp(a - a.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _black_scholes(xp: Any, s: Any, k: Any, t: Any) -> Any:
    """A call's price at a rate of 0.02 and a volatility of 0.3, by a normal distribution as tanh approximates it."""
    root = xp.sqrt(t)
    d1 = (xp.log(s / k) + t * np.float32(0.065)) / (root * np.float32(0.3))
    d2 = d1 - root * np.float32(0.3)

    def normal(x: Any) -> Any:
        inner = x * np.float32(0.7978846) * (x * x * np.float32(0.044715) + np.float32(1))
        return (xp.tanh(inner) + np.float32(1)) * np.float32(0.5)

    return s * normal(d1) - k * xp.exp(t * np.float32(-0.02)) * normal(d2)


def _black_scholes_torch(s: Any, k: Any, t: Any) -> Any:
    import torch

    root = torch.sqrt(t)
    d1 = (torch.log(s / k) + t * 0.065) / (root * 0.3)
    d2 = d1 - root * 0.3

    def normal(x: Any) -> Any:
        return (torch.tanh(x * 0.7978846 * (x * x * 0.044715 + 1)) + 1) * 0.5

    return s * normal(d1) - k * torch.exp(t * -0.02) * normal(d2)


_WORKS = (
    Work("triad", lambda xp, a, b, c: a * b + c, lambda n: [(n,)] * 3, lambda a, b, c: a * b + c, bar=97),
    Work("a + b.T", lambda xp, a, b: a + b.T, lambda n: [(_square(n),) * 2] * 2, lambda a, b: a + b.T, bar=85),
    Work(
        "mixed 3-D permutation",
        lambda xp, a, b, c: a + b.transpose(1, 2, 0) * c.transpose(2, 0, 1),
        lambda n: [_cube(n)] * 3,
        lambda a, b, c: a + b.permute(1, 2, 0) * c.permute(2, 0, 1),
        bar=80,
    ),
    Work("sum axis 0", lambda xp, a: a.sum(0), lambda n: [(_square(n),) * 2], lambda a: a.sum(0), False, 1e-5, bar=90),
    Work("sum axis 1", lambda xp, a: a.sum(1), lambda n: [(_square(n),) * 2], lambda a: a.sum(1), False, 1e-5, bar=95),
    Work("sum of all", lambda xp, a: a.sum(), lambda n: [(_square(n),) * 2], lambda a: a.sum(), False, 1e-5),
    Work(
        "sum(a * b.T)",
        lambda xp, a, b: (a * b.T).sum(),
        lambda n: [(_square(n),) * 2] * 2,
        lambda a, b: (a * b.T).sum(),
        False,
        1e-5,
    ),
    Work(
        "sum(a + b.T) axis 0",
        lambda xp, a, b: (a + b.T).sum(0),
        lambda n: [(_square(n),) * 2] * 2,
        lambda a, b: (a + b.T).sum(0),
        False,
        1e-5,
    ),
    Work(
        "softmax",
        _softmax,
        lambda n: [(max(1, n // 16384), 16384)],
        lambda a: __import__("torch").softmax(a, 1),
        False,
        1e-5,
        bar=85,
    ),
    Work("Black-Scholes", _black_scholes, lambda n: [(n,)] * 3, _black_scholes_torch, True, 1e-4),
)

#: By name.
WORKS = {work.name: work for work in _WORKS}
