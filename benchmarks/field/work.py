"""What a work is: operands by size, its function in NumPy's terms, the same as plain loops, and its bars."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

#: The outermost loops whose iterations are independent, or only add up scalars. Peers with threads divide them.
prange = range


class Size(NamedTuple):
    """A number of elements, as a vector, a matrix, a square one, and a cube of three different lengths."""

    name: str
    n: int
    matrix: tuple[int, int]
    square: int
    cube: tuple[int, int, int]


#: l2: four operands of float64 take 0.8 MB, in the 1 MiB of a server's core.
#: dram: no power of two, whose rows would all fall on the same cache sets: that is a case of its own.
SIZES = {
    size.name: size
    for size in (
        Size("1000", 1_000, (25, 40), 32, (10, 5, 20)),
        Size("l2", 25_000, (125, 200), 158, (25, 20, 50)),
        Size("dram", 16_000_000, (3200, 5000), 4000, (250, 200, 320)),
    )
}


class Array(NamedTuple):
    """One operand or result: an array in C order, and what is taken of it, as Python writes it after the name."""

    base: np.ndarray
    view: str = ""

    @property
    def array(self) -> np.ndarray:
        return eval(f"x{self.view}", {"x": self.base})


class Bar(NamedTuple):
    """The least that the time of `against` over ours may be.

    `against` is "best" (the fastest peer with a right result), "numpy", "hand" (hand-tuned C), or "contiguous"
    (ours, on the same arrays without their views). For "scratch" `least` is the most bytes that a call of ours may
    take beside its operands and results.
    """

    against: str
    least: float
    sizes: Sequence[str] = tuple(SIZES)


def normal(rng: np.random.Generator, shape: Any, dtype: str = "float64") -> np.ndarray:
    """Random numbers around 0; whole ones are so small that sums and products of a few stay in range."""
    kind = np.dtype(dtype)
    if kind.kind == "i":
        return rng.integers(-8, 9, shape, kind)
    if kind.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(kind)
    return rng.standard_normal(shape, kind if kind.itemsize == 4 else np.float64).astype(kind, copy=False)


@dataclass(frozen=True)
class Work:
    """One thing to compute.

    name: as the command line takes it.
    text: as a reader knows it.
    operands: from a random generator and a size, the operands by the names of the function's parameters.
    function: the definition. It uses `np` and its parameters only, so that it serves every peer with such a
        namespace, and returns an array or a tuple of them.
    loops: the same with the parameters and then the results, `r` or `r0`, `r1`, ...: what Numba, C and Fortran get.
        It is also Python, with `math`'s functions. Its order of loops is the one a careful programmer writes for
        these layouts.
    scratch: arrays that the loops take between operands and results, by name.
    numexpr: the texts that give the results one after the other, which may use results before them by name;
        () where numexpr has no form. `slices` names what they use beside the operands.
    results: the results' arrays for a size, where those that the function makes, in C order, will not do.
    scale: the size of the terms that make up an element of the result; errors are taken relative to it.
    tolerance: the error a right result may have, in rounding errors of its type at that scale.
    also: peers that take part for this work only.
    in_place: the results are memory of operands; between timed calls nothing is restored, so operands are then zeros.
    """

    name: str
    text: str
    operands: Callable[[np.random.Generator, Size], dict[str, Array]]
    function: Callable[..., Any]
    loops: Callable[..., None] | None
    bars: Sequence[Bar]
    numexpr: Sequence[str] = ()
    slices: dict[str, str] = field(default_factory=dict)
    results: Callable[[Size, dict[str, Array]], tuple[Array, ...]] | None = None
    scale: float = 1.0
    tolerance: float = 16.0
    also: Sequence[str] = ()
    hand: str = ""
    in_place: bool = False
    scratch: Callable[[Size], dict[str, np.ndarray]] | None = None


@dataclass
class Problem:
    """A work at a size: its arrays, and what NumPy gives for them."""

    work: Work
    size: Size
    operands: dict[str, Array]
    results: tuple[Array, ...]
    expected: tuple[np.ndarray, ...]

    @property
    def inputs(self) -> list[np.ndarray]:
        return [operand.array for operand in self.operands.values()]

    @property
    def outputs(self) -> list[np.ndarray]:
        return [result.array for result in self.results]

    @property
    def result_names(self) -> list[str]:
        return ["r"] if len(self.results) == 1 else [f"r{k}" for k in range(len(self.results))]

    def loop_arrays(self) -> dict[str, np.ndarray]:
        """The arguments of the loops: operands, scratch, results."""
        scratch = self.work.scratch(self.size) if self.work.scratch else {}
        inputs = {name: operand.array for name, operand in self.operands.items()}
        return {**inputs, **scratch, **dict(zip(self.result_names, self.outputs, strict=True))}

    def contiguous(self) -> Problem:
        """The same work on arrays without views: what the layouts cost is the difference."""
        operands = {name: Array(operand.base) for name, operand in self.operands.items()}
        results = tuple(Array(result.base) for result in self.results)
        return Problem(self.work, self.size, operands, results, _computed(self.work, operands))


def problem(work: Work, size: Size, seed: int = 0) -> Problem:
    """The arrays of a work, with fresh random numbers."""
    operands = work.operands(np.random.default_rng(seed), size)
    expected = _computed(work, operands)
    if work.results is None:
        results = tuple(Array(np.empty(e.shape, e.dtype)) for e in expected)
    else:
        results = work.results(size, operands)
    return Problem(work, size, operands, results, expected)


def _computed(work: Work, operands: dict[str, Array]) -> tuple[np.ndarray, ...]:
    found = work.function(*(operand.array for operand in operands.values()))
    return tuple(np.array(f) for f in (found if isinstance(found, tuple) else (found,)))


def using(function: Any, **names: Any) -> Any:
    """The function with other meanings for its global names, as `np` for another library's namespace."""
    return types.FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)


def error(found: Sequence[np.ndarray], problem: Problem) -> float:
    """The largest error in rounding errors of the result's type, at the scale of the work; inf for another shape."""
    worst = 0.0
    if len(found) != len(problem.expected):
        return math.inf
    for f, e in zip(found, problem.expected, strict=True):
        if f.shape != e.shape or f.dtype != e.dtype:
            return math.inf
        if e.dtype.kind in "iub":
            worst = max(worst, 0.0 if np.array_equal(f, e) else math.inf)
            continue
        unit = float(np.finfo(e.dtype).eps)
        if np.array_equal(f, e):
            continue
        differ = f != e
        difference = np.abs(f[differ] - e[differ]) / ((np.abs(e[differ]) + problem.work.scale) * unit)
        largest = float(difference.max(initial=0.0))
        worst = max(worst, math.inf if math.isnan(largest) else largest)
    return worst
