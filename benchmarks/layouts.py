"""`a * b + c` in memory of every order, and `a + b.T` beside NumPy.

All C, all Fortran, all permuted alike and all reversed walk the same memory, and should take the same time. Every
result is checked against NumPy's before anything is measured. What is compared runs in turns in one process.

    python benchmarks/layouts.py
    python benchmarks/layouts.py --side 256 2000 --threads 2

The bar: those four are within 1.1 of each other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from timing import interleaved, table

import arrayexpr


def cube(side: int) -> tuple[int, int, int]:
    """A shape of three different lengths with about side * side elements."""
    inner = max(2, round(side ** (2 / 3)))
    return inner, max(2, side * side // (inner * (inner + 3))), inner + 3


def alike(kernel: Any, side: int, rounds: int) -> tuple[bool, str]:
    """The orders that are one problem, with `out=` of the same order."""
    rng = np.random.default_rng(0)
    views: dict[str, Callable[[Any], Any]] = {
        "all C": lambda x: x,
        "all Fortran": lambda x: x.T,
        "all permuted alike": lambda x: x.transpose(1, 2, 0),
        "all reversed": lambda x: x[::-1, ::-1, ::-1],
    }
    a, b, c, out = (rng.normal(size=cube(side)) for _ in range(4))
    calls: dict[str, Callable[[], object]] = {}
    for name, view in views.items():
        x, y, z, r = (view(v) for v in (a, b, c, out))
        for _ in range(2):
            r[...] = np.nan
            assert kernel(x, y, z, out=r) is r and np.array_equal(r, x * y + z), name
        calls[name] = lambda x=x, y=y, z=z, r=r: kernel(x, y, z, out=r)
    scratch = np.empty_like(a)

    def numpys() -> None:
        np.multiply(a, b, out=scratch)
        np.add(scratch, c, out=out)

    timings = interleaved({**calls, "NumPy, all C": numpys}, rounds=rounds)
    medians = [timings[name].median for name in views]
    spread = max(medians) / min(medians)
    verdict = f"largest over smallest {spread:.3f}, bar 1.1: {'held' if spread <= 1.1 else 'MISSED'}"
    return spread <= 1.1, table(timings, "all C") + f"\n  {verdict}"


def others(kernel: Any, side: int, rounds: int) -> str:
    """Orders that do not go together, results made by the call, beside NumPy."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=(side, side)) for _ in range(3))
    calls: dict[str, Callable[[], object]] = {}
    cases = {
        "C": (a, b, c),
        "reversed": (a[::-1, ::-1], b[::-1, ::-1], c[::-1, ::-1]),
        "one reversed": (a, b[:, ::-1], c),
        "one broadcast": (a, b[0], c),
        "stepped": (a[:, ::2], b[:, ::2], c[:, ::2]),
        "one transposed": (a, b.T, c),
    }
    for name, (x, y, z) in cases.items():
        assert np.array_equal(kernel(x, y, z), x * y + z), name
        calls[f"kernel, {name}"] = lambda x=x, y=y, z=z: kernel(x, y, z)
        calls[f"NumPy,  {name}"] = lambda x=x, y=y, z=z: x * y + z
    return table(interleaved(calls, rounds=rounds), "kernel, C")


def transposed(side: int, rounds: int, threads: int) -> str:
    """`a + b.T` with `out=`."""
    rng = np.random.default_rng(0)
    first, second = arrayexpr.array("a", "float64", 2), arrayexpr.array("b", "float64", 2)
    kernel = arrayexpr.compile(arrayexpr.program(first + second.T), threads=threads)
    a, b = rng.normal(size=(side, side + 8)), rng.normal(size=(side + 8, side))
    out = np.empty_like(a)
    for _ in range(2):
        assert np.array_equal(kernel(a, b, out=out), a + b.T)
    calls = {"NumPy": lambda: np.add(a, b.T, out=out), "kernel": lambda: kernel(a, b, out=out)}
    return table(interleaved(calls, rounds=rounds), "NumPy")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, nargs="+", default=[100, 1000, 2000], help="elements are its square")
    parser.add_argument("--rounds", type=int, default=31, help="of calls in turns (31)")
    parser.add_argument("--threads", type=int, default=1, help="that a kernel uses (1)")
    options = parser.parse_args()
    a, b, c = (arrayexpr.array(name, "float64", 3) for name in "abc")
    three = arrayexpr.compile(arrayexpr.program(a * b + c), threads=options.threads)
    two = arrayexpr.kernel(lambda a, b, c: a * b + c, threads=options.threads)
    held = True
    for side in options.side:
        print(f"a * b + c, {side * side} elements of float64, {options.threads} thread(s)")
        fine, text = alike(three, side, options.rounds)
        held = held and fine
        print(text)
        print(f"a * b + c, {side} x {side}, results made by the call, beside NumPy")
        print(others(two, side, options.rounds))
        print(f"a + b.T, {side} x {side + 8}")
        print(transposed(side, options.rounds, options.threads) + "\n")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
