"""Functions of array statements, compiled by Numba with our pass and without: time of a call, and to compile.

Results are compared bit for bit before anything is timed. All run in turns in one process; a ratio is the other's time
over ours.

    python benchmarks/numba_pass.py
    python benchmarks/numba_pass.py --sizes 64,1024 --works into_fortran,three --parallel
    python benchmarks/numba_pass.py --overhead

The bars: never slower than plain Numba (0.97 for noise), at least 10 times as fast for Fortran arrays typed A assigned
to `out` and for broadcasts, 2 times for mixed layouts and for three statements; a compile time of at most 1.3 times
Numba's.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
from timing import interleaved, shown

from arrayexpr.adapters.numba import njit


def expression(a: Any, b: Any, c: Any, out: Any) -> Any:
    return a * b + c


def into(a: Any, b: Any, c: Any, out: Any) -> None:
    out[:] = a * b + c


def three(a: Any, b: Any, c: Any, out: Any) -> None:
    t = a * b
    u = t + c
    out[:] = u * t - a


def broadcast(a: Any, b: Any, c: Any, out: Any) -> Any:
    return np.sin(a**2) + np.cos(b**2)


def broadcast_named(a: Any, b: Any, c: Any, out: Any) -> Any:
    x = a**2
    y = b**2
    return np.sin(x) + np.cos(y)


def broadcast_into(a: Any, b: Any, c: Any, out: Any) -> None:
    out[:] = np.sin(a**2) + np.cos(b**2)


def stencil(a: Any, b: Any, c: Any, out: Any) -> None:
    out[1:-1, 1:-1] = 0.2 * (a[1:-1, 1:-1] + a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:])


def in_place(a: Any, b: Any, c: Any, out: Any) -> None:
    out += a * b


def sum_rows(a: Any, b: Any, c: Any, out: Any) -> Any:
    return np.sum((a - b) ** 2, axis=1)


def sum_columns(a: Any, b: Any, c: Any, out: Any) -> Any:
    return ((a - b) ** 2).sum(axis=0)


def sum_all(a: Any, b: Any, c: Any, out: Any) -> Any:
    return np.sum((a - b) ** 2)


def plain_sum(a: Any, b: Any, c: Any, out: Any) -> Any:
    return a.sum()


def largest(a: Any, b: Any, c: Any, out: Any) -> Any:
    return np.max(np.abs(a - b))


def chosen(a: Any, b: Any, c: Any, out: Any) -> None:
    out[:] = np.where(a > b, a * c, np.clip(b, 0.2, 0.8))


def nest_across(a: Any, b: Any, c: Any, out: Any) -> None:
    for j in range(out.shape[1]):
        for i in range(out.shape[0]):
            out[i, j] = a[i, j] * b[i, j] + c[i, j]


def nest_along(a: Any, b: Any, c: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = a[i, j] * b[i, j] + c[i, j]


def nest_stencil(a: Any, b: Any, c: Any, out: Any) -> None:
    for j in range(1, out.shape[1] - 1):
        for i in range(1, out.shape[0] - 1):
            out[i, j] = 0.2 * (a[i, j] + a[i - 1, j] + a[i + 1, j] + a[i, j - 1] + a[i, j + 1])


def nest_columns(a: Any, b: Any, c: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            t = a[i, j] - b[0, j]
            out[i, j] = t * t + c[i, 0]


def nest_product(a: Any, b: Any, c: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(a.shape[1]):
                out[i, j] += a[i, k] * b[k, j]


def nest_columns_sum(a: Any, b: Any, c: Any, out: Any) -> None:
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            out[0, j] += a[i, j] * b[i, j]


def nest_indexed(a: Any, b: Any, c: Any, out: Any) -> None:
    for j in range(out.shape[1]):
        for i in range(out.shape[0]):
            out[i, j] = i * j + a[i, j]


def nest_dot(a: Any, b: Any, c: Any, out: Any) -> Any:
    s = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            s += a[i, j] * b[i, j]
    return s


class Work(NamedTuple):
    function: Callable[..., Any]
    #: the arrays, from a generator of uniform numbers and a length
    arrays: Callable[[Any, int], list[Any]]
    bar: float = 0.97


def _c(rng: Any, n: int) -> list[Any]:
    return [rng.random((n, n)) for _ in range(4)]


def _fortran(rng: Any, n: int) -> list[Any]:
    return [np.asfortranarray(each) for each in _c(rng, n)]


def _fortran_a(rng: Any, n: int) -> list[Any]:
    return [np.asfortranarray(rng.random((n + 1, n)))[1:] for _ in range(4)]


def _turned(rng: Any, n: int) -> list[Any]:
    a, b, c, out = _c(rng, n)
    return [a, b.T, c, out]


def _permuted(rng: Any, n: int) -> list[Any]:
    m = max(4, round(n ** (2 / 3)))
    return [rng.random((m, m, m)).transpose(1, 2, 0) for _ in range(4)]


def _rows_and_columns(rng: Any, n: int) -> list[Any]:
    return [rng.random((n, 1)), rng.random((1, n)), rng.random((n, n)), rng.random((n, n))]


WORKS = {
    "returned_c": Work(expression, _c),
    "returned_fortran": Work(expression, _fortran),
    "returned_fortran_a": Work(expression, _fortran_a),
    "returned_turned": Work(expression, _turned, 2),
    "into_c": Work(into, _c),
    "into_fortran": Work(into, _fortran),
    "into_fortran_a": Work(into, _fortran_a, 10),
    "into_turned": Work(into, _turned, 2),
    "into_permuted": Work(into, _permuted),
    "three_c": Work(three, _c, 2),
    "three_turned": Work(three, _turned, 2),
    "in_place_turned": Work(in_place, _turned),
    "stencil": Work(stencil, _c),
    "sum_rows": Work(sum_rows, _c),
    "sum_rows_turned": Work(sum_rows, _turned),
    "sum_columns": Work(sum_columns, _c),
    "sum_all": Work(sum_all, _c),
    "sum_all_turned": Work(sum_all, _turned),
    "plain_sum": Work(plain_sum, _c),
    "plain_sum_a": Work(plain_sum, _fortran_a),
    "largest": Work(largest, _c),
    "chosen": Work(chosen, _c),
    "broadcast": Work(broadcast, _rows_and_columns, 10),
    "broadcast_into": Work(broadcast_into, _rows_and_columns, 10),
    "broadcast_named": Work(broadcast_named, _rows_and_columns),
    "nest_across": Work(nest_across, _c),
    "nest_across_turned": Work(nest_across, _turned),
    "nest_along": Work(nest_along, _c),
    "nest_along_fortran": Work(nest_along, _fortran),
    "nest_along_fortran_a": Work(nest_along, _fortran_a),
    "nest_stencil": Work(nest_stencil, _c),
    "nest_stencil_along": Work(nest_stencil, _fortran),
    "nest_columns": Work(nest_columns, _c),
    "nest_columns_sum": Work(nest_columns_sum, _c),
    "nest_indexed": Work(nest_indexed, _c),
    "nest_dot_turned": Work(nest_dot, _turned),
    "nest_dot_fortran": Work(nest_dot, _fortran),
    "nest_dot_fortran_a": Work(nest_dot, _fortran_a),
    "nest_product": Work(nest_product, _c),
}


def compiled(decorate: Callable[..., Any], function: Any, arrays: list[Any]) -> tuple[Any, float]:
    """A function that is compiled for its arrays, and the seconds that took, the least of three times: the first of
    them compiles what Numba's own library needs, which others find there."""
    kinds = tuple(map(numba.typeof, arrays))
    times = []
    for _ in range(3):
        made = decorate(function)
        start = time.perf_counter()
        made.compile(kinds)
        times.append(time.perf_counter() - start)
    return made, min(times)


#: In a process of its own, after Numba: milliseconds that asking the entry point costs where it is off.
ASKED = """
import os, time
os.environ.pop("ARRAYEXPR_NUMBA", None)
import numba
start = time.perf_counter()
import arrayexpr_numba
arrayexpr_numba.init()
print((time.perf_counter() - start) * 1e3)
"""


def overhead(rounds: int) -> None:
    """Print what a call of a function costs that does nothing, and what the entry point costs where it is off."""

    def nothing(a: Any) -> int:
        return 0

    a = np.zeros((2, 2))
    calls = {}
    for name, decorate in (("ours", njit), ("numba", numba.njit)):
        function, _ = compiled(decorate, nothing, [a])
        function(a)
        calls[name] = partial(function, a)
    times = interleaved(calls, rounds=rounds)
    print("a call of what does nothing: " + ", ".join(f"{name} {shown(t.median)}" for name, t in times.items()))
    found = [
        float(subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds)
    ]
    print(f"the entry point where it is off: {statistics.median(found):.2f} ms in a process that has imported Numba")


def checked(function: Any, plain: Any, arrays: list[Any]) -> None:
    """Raise unless both give the same bits."""
    sets = [[each.copy(order="K") for each in arrays] for _ in range(2)]
    # A copy lies as the array does, but for what it is a part of.
    found, wanted = function(*sets[0]), plain(*sets[1])
    same = (found is None) == (wanted is None) and (found is None or np.array_equal(found, wanted))
    if not same or not np.array_equal(sets[0][-1], sets[1][-1]):
        raise SystemExit(f"{plain.py_func.__name__}: results differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="64,1024,4096", help="lengths of an axis")
    parser.add_argument("--works", default=",".join(WORKS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--parallel", action="store_true", help="njit(parallel=True), Numba's and ours")
    parser.add_argument("--overhead", action="store_true", help="what a call and the entry point cost")
    given = parser.parse_args()
    if given.overhead:
        overhead(given.rounds)
        return
    # What a first compile costs, it costs once.
    compiled(numba.njit, lambda a: a + 1, [np.ones((2, 2))])
    compiled(njit, lambda a: a + 1, [np.ones((2, 2))])
    print(
        f"{'work':>20} {'n':>6} {'ours':>11} {'numba':>8} {'NumPy':>8} {'parallel':>9} {'ours par.':>9}"
        f" {'compile':>8}  bar"
    )
    for name in given.works.split(","):
        work = WORKS[name]
        rng = np.random.default_rng(0)
        arrays = work.arrays(rng, 8)
        plain, seconds = compiled(numba.njit, work.function, arrays)
        ours, our_seconds = compiled(njit, work.function, arrays)
        calls = {"ours": ours, "numba": plain, "NumPy": work.function}
        if name.startswith("nest"):
            # Python itself would run the loops.
            del calls["NumPy"]
        if given.parallel:
            calls["parallel"], seconds = compiled(numba.njit(parallel=True), work.function, arrays)
            calls["ours parallel"], our_seconds = compiled(njit(parallel=True), work.function, arrays)
        for n in map(int, given.sizes.split(",")):
            arrays = work.arrays(rng, n)
            checked(ours, plain, arrays)
            if given.parallel:
                checked(calls["ours parallel"], plain, arrays)
            times = interleaved(
                {each: partial(function, *arrays) for each, function in calls.items()},
                rounds=given.rounds,
            )
            base = times["ours"].median
            ratios = dict.fromkeys(("NumPy", "parallel", "ours parallel"), float("nan"))
            ratios.update({each: timing.median / base for each, timing in times.items()})
            print(
                f"{name:>20} {n:>6} {base * 1e6:>8.1f} us {ratios['numba']:>8.2f} {ratios['NumPy']:>8.2f}"
                f" {ratios['parallel']:>9.2f} {ratios['ours parallel']:>9.2f}"
                f" {our_seconds / seconds:>8.2f}"
                f"  {'ok' if ratios['numba'] >= work.bar else 'below'} {work.bar}",
                flush=True,
            )


if __name__ == "__main__":
    main()
