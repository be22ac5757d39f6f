"""Time loops ahead of time: the C of a loop around statements of arrays, beside the run-time path and C by hand.

Each program is checked against the C by hand first, in every bit. What is compared runs in turns in one process, in
one thread, all C with the same flags: medians of the time of a step, and ratios to the C by hand.

    python benchmarks/time_loops.py
    python benchmarks/time_loops.py --works jacobi heat --sides 256 2048 --steps 20
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ahead_of_time import Linked
from timing import interleaved

import arrayexpr
from arrayexpr._core.engine.compiler import FLAGS, compiler


@dataclass(frozen=True)
class Work:
    """A program of two operands and a number of steps, the same in C for arrays in C order, and a shape."""

    text: str
    by_hand: str
    shape: Callable[[int], tuple[int, ...]]


WORKS = {
    # Two arrays of which one is copied to the other at the end of a step; by hand they change places.
    "jacobi": Work(
        """
def jacobi(u: float64[:, :], v: float64[:, :], steps: int64):
    for k in range(0, steps, 1):
        v[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
        u[...] = v
""",
        """
void by_hand(double *restrict u, double *restrict v, const ptrdiff_t *n, ptrdiff_t steps) {
    double *one = u, *other = v;
    const ptrdiff_t rows = n[0], row = n[1];
    for (ptrdiff_t k = 0; k < steps; ++k) {
        for (ptrdiff_t i = 1; i < rows - 1; ++i) {
            const double *restrict p = one + i * row;
            double *restrict q = other + i * row;
            for (ptrdiff_t j = 1; j < row - 1; ++j)
                q[j] = 0.25 * (p[j - row] + p[j + row] + p[j - 1] + p[j + 1]);
        }
        if (k == 0 || k == steps - 1) memcpy(one, other, rows * row * sizeof(double));
        double *swapped = one;
        one = other, other = swapped;
    }
}
""",
        lambda side: (side, side),
    ),
    "heat": Work(
        """
def heat(u: float64[:, :, :], v: float64[:, :, :], steps: int64):
    for k in range(0, steps, 1):
        v[1:-1, 1:-1, 1:-1] = u[1:-1, 1:-1, 1:-1] + 0.1 * (
            u[:-2, 1:-1, 1:-1] + u[2:, 1:-1, 1:-1] + u[1:-1, :-2, 1:-1] + u[1:-1, 2:, 1:-1]
            + u[1:-1, 1:-1, :-2] + u[1:-1, 1:-1, 2:] - 6.0 * u[1:-1, 1:-1, 1:-1])
        u[...] = v
""",
        """
void by_hand(double *restrict u, double *restrict v, const ptrdiff_t *n, ptrdiff_t steps) {
    double *one = u, *other = v;
    const ptrdiff_t planes = n[0], rows = n[1], row = n[2], plane = rows * row;
    for (ptrdiff_t k = 0; k < steps; ++k) {
        for (ptrdiff_t i = 1; i < planes - 1; ++i)
            for (ptrdiff_t j = 1; j < rows - 1; ++j) {
                const double *restrict p = one + i * plane + j * row;
                double *restrict q = other + i * plane + j * row;
                for (ptrdiff_t l = 1; l < row - 1; ++l)
                    q[l] = p[l] + 0.1 * (p[l - plane] + p[l + plane] + p[l - row] + p[l + row]
                                         + p[l - 1] + p[l + 1] - 6.0 * p[l]);
            }
        if (k == 0 || k == steps - 1) memcpy(one, other, planes * plane * sizeof(double));
        double *swapped = one;
        one = other, other = swapped;
    }
}
""",
        lambda side: (max(4, round(side ** (2 / 3))),) * 3,
    ),
    # A local of each iteration, which no one reads when both arrays have what is made of it.
    "damped": Work(
        """
def damped(u: float64[:, :], v: float64[:, :], steps: int64):
    t = local(float64[:, :])
    for k in range(0, steps, 1):
        t[...] = u * 0.5 + v * 0.25
        u[...] = t * 0.5 + 1.0
        v[...] = t - v * 0.25
""",
        """
void by_hand(double *restrict u, double *restrict v, const ptrdiff_t *n, ptrdiff_t steps) {
    const ptrdiff_t all = n[0] * n[1];
    for (ptrdiff_t k = 0; k < steps; ++k)
        for (ptrdiff_t i = 0; i < all; ++i) {
            const double t = u[i] * 0.5 + v[i] * 0.25;
            u[i] = t * 0.5 + 1.0;
            v[i] = t - v[i] * 0.25;
        }
}
""",
        lambda side: (side, side),
    ),
    # Every row is made of the one before.
    "recurrence": Work(
        """
def recurrence(u: float64[:, :], v: float64[:, :], steps: int64):
    for k in range(1, u.shape[0], 1):
        u[k, :] = u[k - 1, :] * 0.5 + v[k, :]
""",
        """
void by_hand(double *restrict u, double *restrict v, const ptrdiff_t *n, ptrdiff_t steps) {
    (void)steps;
    const ptrdiff_t rows = n[0], row = n[1];
    for (ptrdiff_t i = 1; i < rows; ++i) {
        const double *restrict before = u + (i - 1) * row, *restrict p = v + i * row;
        double *restrict q = u + i * row;
        for (ptrdiff_t j = 0; j < row; ++j)
            q[j] = before[j] * 0.5 + p[j];
    }
}
""",
        lambda side: (side, side),
    ),
}


def by_hand(work: Work, directory: Path) -> Any:
    """The C by hand as a function."""
    path = directory / "by_hand.so"
    source = f"#include <stddef.h>\n#include <string.h>\n{work.by_hand}"
    command = [*compiler(), *FLAGS, "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
    subprocess.run(command, input=source, text=True, check=True)
    return ctypes.CDLL(str(path)).by_hand


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 512, 2048], help="of arrays of two axes")
    parser.add_argument("--steps", type=int, default=20, help="of a call (20)")
    parser.add_argument("--rounds", type=int, default=7, help="of calls in turns (7)")
    options = parser.parse_args()
    print(f"{'':<12} {'shape':<16} {'by hand':>10} {'ahead':>10} {'run time':>10}   us a step; ratios to C by hand")
    for name in options.works:
        work = WORKS[name]
        program = arrayexpr.parse(work.text)
        with tempfile.TemporaryDirectory() as directory:
            linked = Linked(program, Path(directory))
            hand = by_hand(work, Path(directory))
            kernel = arrayexpr.compile(program, threads=1, wait=True)
            for side in options.sides:
                shape = work.shape(side)
                # Values that steps neither blow up nor make denormal.
                start = [np.random.default_rng(k).uniform(1.0, 2.0, shape) for k in range(2)]
                sets = [[array.copy() for array in start] for _ in range(3)]
                steps = np.array(options.steps)
                lengths = np.array(shape, np.intp)
                pointers = [ctypes.c_void_p(array.ctypes.data) for array in sets[0]]
                arguments = (*pointers, ctypes.c_void_p(lengths.ctypes.data), ctypes.c_ssize_t(options.steps))

                def written(hand: Any = hand, arguments: Any = arguments, keep: Any = lengths) -> None:
                    hand(*arguments)

                def run_time(arrays: Any = sets[2], steps: Any = options.steps, kernel: Any = kernel) -> None:
                    kernel(*arrays, steps)

                calls = {"by hand": written, "ahead": linked.on([*sets[1], steps]), "run time": run_time}
                for call in calls.values():
                    call()
                    call()
                for mine in sets[1:]:
                    for array, expected in zip(mine, sets[0], strict=True):
                        np.testing.assert_array_equal(array, expected)
                found = interleaved(calls, rounds=options.rounds, at_least=0.02)
                each = options.steps if name != "recurrence" else 1
                medians = [found[key].median / each * 1e6 for key in calls]
                ratios = ", ".join(f"{median / medians[0]:.2f}" for median in medians[1:])
                size = " x ".join(map(str, shape))
                print(f"{name:<12} {size:<16} " + " ".join(f"{m:>10.1f}" for m in medians) + f"   {ratios}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
