"""The block engine beside NumPy with `out=`, and the first result of a new expression in a cold process.

Every result is checked against NumPy's before anything is measured. What is compared runs in turns; one thread.

    python benchmarks/block_engine.py
    python benchmarks/block_engine.py --rounds 30 --processes 20
    python benchmarks/block_engine.py --parts tiles

The bars: `a * b + c` is no slower than NumPy with `out=`, `exp(-a * a) * sin(b)` 1.1 times as fast, at 1,000, 40,000
and 16M elements; operands in other orders of memory, in tiles, are no slower than NumPy with `out=`; a call on 10
elements takes at most 300 ns; a process that imports this and computes a new expression of 1M elements, with nothing in
the cache, takes at most 1.2 times as long as one that has NumPy do it.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from timing import Timing, interleaved, shown, table

import arrayexpr


def axpy(a: Any, b: Any, c: Any) -> Any:
    return a * b + c


def wave(a: Any, b: Any, c: Any) -> Any:
    return np.exp(-a * a) * np.sin(b)


def _axpy_numpy(a: Any, b: Any, c: Any, out: Any, scratch: Any) -> None:
    np.multiply(a, b, out=scratch)
    np.add(scratch, c, out=out)


def _wave_numpy(a: Any, b: Any, c: Any, out: Any, scratch: Any) -> None:
    np.negative(a, out=scratch)
    np.multiply(scratch, a, out=scratch)
    np.exp(scratch, out=scratch)
    np.sin(b, out=out)
    np.multiply(scratch, out, out=out)


#: name: the expression, NumPy's calls for it, and how many times as fast the block engine is to be.
WORKS: dict[str, tuple[Callable[..., Any], Callable[..., None], float]] = {
    "a*b + c": (axpy, _axpy_numpy, 1.0),
    "exp(-a*a) * sin(b)": (wave, _wave_numpy, 1.1),
}


def throughput(rounds: int) -> bool:
    """Whole arrays, contiguous float64."""
    held = True
    rng = np.random.default_rng(0)
    for name, (function, numpy_calls, bar) in WORKS.items():
        for n in (1_000, 40_000, 16_000_000):
            a, b, c = rng.normal(size=(3, n))
            out, scratch = np.empty((2, n))
            block = arrayexpr.kernel(function, engine="block")
            compiled = arrayexpr.kernel(function, engine="c")
            expected = function(a, b, c)
            for kernel in (block, compiled):
                kernel(a, b, c, out=out)
                assert np.allclose(out, expected, rtol=1e-14, atol=1e-300)
            timings = interleaved(
                {
                    "NumPy, out=": partial(numpy_calls, a, b, c, out, scratch),
                    "block engine": partial(block, a, b, c, out=out),
                    "compiled C": partial(compiled, a, b, c, out=out),
                },
                rounds=rounds if n < 1_000_000 else max(5, rounds // 3),
            )
            print(f"{name}, {n:,} elements")
            print(table(timings, "NumPy, out=", {"block engine": 1 / bar}))
            held &= timings["block engine"].median * bar <= timings["NumPy, out="].median
    return held


def add_transposed(a: Any, b: Any) -> Any:
    return a + b.T


def multiply_add_transposed(a: Any, b: Any, c: Any) -> Any:
    return a * b.T + c.T


def multiply_add_permuted(a: Any, b: Any, c: Any) -> Any:
    return a * b.transpose(2, 1, 0) + c.transpose(1, 2, 0)


def sum_transposed(a: Any, b: Any) -> Any:
    return np.sum(a * b.T)


def _add_transposed_numpy(a: Any, b: Any, out: Any, scratch: Any) -> None:
    np.add(a, b.T, out=out)


def _multiply_add_transposed_numpy(a: Any, b: Any, c: Any, out: Any, scratch: Any) -> None:
    np.multiply(a, b.T, out=scratch)
    np.add(scratch, c.T, out=out)


def _multiply_add_permuted_numpy(a: Any, b: Any, c: Any, out: Any, scratch: Any) -> None:
    np.multiply(a, b.transpose(2, 1, 0), out=scratch)
    np.add(scratch, c.transpose(1, 2, 0), out=out)


def _sum_transposed_numpy(a: Any, b: Any, out: Any, scratch: Any) -> None:
    np.multiply(a, b.T, out=scratch)
    scratch.sum(out=out)


_MATRIX, _BACK, _CUBE = (3200, 5000), (5000, 3200), (250, 200, 320)
#: name: the expression, NumPy's calls for it, and the shapes of its operands.
TILED: dict[str, tuple[Callable[..., Any], Callable[..., None], list[tuple[int, ...]]]] = {
    "a + b.T": (add_transposed, _add_transposed_numpy, [_MATRIX, _BACK]),
    "a*b.T + c.T": (multiply_add_transposed, _multiply_add_transposed_numpy, [_MATRIX, _BACK, _BACK]),
    "a*b(kji) + c(kij)": (
        multiply_add_permuted,
        _multiply_add_permuted_numpy,
        [_CUBE, (320, 200, 250), (320, 250, 200)],
    ),
    "sum(a*b.T)": (sum_transposed, _sum_transposed_numpy, [_MATRIX, _BACK]),
}


def tiles(rounds: int) -> bool:
    """Operands in other orders of memory than the result, 16M elements: the same tiles by both engines."""
    held = True
    rng = np.random.default_rng(0)
    for dtype in ("float64", "float32", "int8"):
        for name, (function, numpy_calls, shapes) in TILED.items():
            operands = [rng.integers(-8, 8, shape).astype(dtype) for shape in shapes]
            expected = function(*operands)
            if dtype == "int8" and not expected.ndim:
                # NumPy adds it up as int64.
                continue
            out, scratch = np.empty_like(expected), np.empty(shapes[0], dtype)
            block = arrayexpr.kernel(function, engine="block")
            compiled = arrayexpr.kernel(function, engine="c")
            for kernel in (block, compiled):
                kernel(*operands, out=out)
                assert np.allclose(out, expected, rtol=1e-6)
            timings = interleaved(
                {
                    "NumPy, out=": partial(numpy_calls, *operands, out, scratch),
                    "block engine": partial(block, *operands, out=out),
                    "compiled C": partial(compiled, *operands, out=out),
                },
                rounds=max(5, rounds // 5),
            )
            print(f"{name}, {dtype}, 16M elements")
            print(table(timings, "NumPy, out=", {"block engine": 1.0}))
            held &= timings["block engine"].median <= timings["NumPy, out="].median
    return held


def calls(rounds: int) -> bool:
    """What a repeat call, a row and a strip cost."""
    rng = np.random.default_rng(0)
    kernel = arrayexpr.kernel(axpy, engine="block")
    a, b, c = rng.normal(size=(3, 10))
    out = np.empty(10)
    wide = [rng.normal(size=(10_000, 16))[:, :8] for _ in range(3)]
    rows = np.empty((10_000, 16))[:, :8]
    assert np.array_equal(kernel(a, b, c, out=out), a * b + c)
    assert np.array_equal(kernel(*wide, out=rows), wide[0] * wide[1] + wide[2])
    timings = interleaved(
        {
            "np.add(a, b, out=out), 10 elements": lambda: np.add(a, b, out=out),
            "a*b + c, 10 elements": lambda: kernel(a, b, c, out=out),
            "a*b + c, 10,000 rows of 8": lambda: kernel(*wide, out=rows),
        },
        rounds=rounds,
    )
    print("Overhead of the block engine")
    print(table(timings, "np.add(a, b, out=out), 10 elements"))
    row = timings["a*b + c, 10,000 rows of 8"].median / 10_000
    print(f"  a row of 8 elements, two operators: {shown(row)}")
    return timings["a*b + c, 10 elements"].median <= 300e-9


_PROCESS = """
import numpy as np
{head}
a = np.linspace(-1, 1, 1_000_000)
b = np.linspace(0, 9, 1_000_000)
r = {call}
"""


def processes(count: int) -> bool:
    """Whole processes, from the start of Python to the end."""
    works = {"a * b + a": "a * b + a", "exp(-a*a) * sin(b)": "np.exp(-a * a) * np.sin(b)"}
    held = True
    with tempfile.TemporaryDirectory() as folder:
        for name, text in works.items():
            head = f"import arrayexpr\nf = arrayexpr.kernel(lambda a, b: {text})"
            ours = _PROCESS.format(head=head, call="f(a, b)")
            cold = {"ARRAYEXPR_CACHE_DIR": os.path.join(folder, "none")}
            warm = {"ARRAYEXPR_CACHE_DIR": os.path.join(folder, "warm")}
            _process(ours, {**warm, "ARRAYEXPR_WAIT": "1"})
            chosen = {
                "NumPy": partial(_process, _PROCESS.format(head="", call=text), {}),
                "no cache": partial(_process, ours, cold),
                "warm cache: compiled code": partial(_process, ours, warm),
            }
            times: dict[str, list[float]] = {key: [] for key in chosen}
            order = list(chosen)
            for _ in range(count):
                random.shuffle(order)
                for key in order:
                    times[key].append(chosen[key]())
            timings = {}
            for key, found in times.items():
                low, median, high = statistics.quantiles(found, n=4)
                timings[key] = Timing(median, low, high)
            print(f"First result of {name}, 1M elements, whole process")
            print(table(timings, "NumPy", {"no cache": 1.2}))
            held &= timings["no cache"].median <= 1.2 * timings["NumPy"].median
    return held


def _process(script: str, more: dict[str, str]) -> float:
    env = {k: v for k, v in os.environ.items() if not k.startswith("ARRAYEXPR_")} | more
    # Users' modules are compiled to bytecode once, and not at each start.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", script], env=env, check=True)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="of calls in turns (30)")
    parser.add_argument("--processes", type=int, default=15, help="of each kind (15)")
    parser.add_argument("--parts", default="throughput,tiles,calls,processes", help="what to measure, of these")
    options = parser.parse_args()
    parts: dict[str, Callable[[], bool]] = {
        "throughput": partial(throughput, options.rounds),
        "tiles": partial(tiles, options.rounds),
        "calls": partial(calls, options.rounds),
        "processes": partial(processes, options.processes),
    }
    held = [parts[name]() for name in options.parts.split(",")]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
