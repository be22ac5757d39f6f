"""Expressions over functions such as `exp`, beside NumPy, numexpr and gcc's own vectoriser on a naive loop.

gcc gets `-O3 -ffast-math -march=native`, which lets it take the same vector library; NumPy writes into given arrays.
Every result is checked against NumPy's before anything is measured. What is compared runs in turns in one process.

    python benchmarks/vector_math.py
    python benchmarks/vector_math.py --sizes 40000 --only softplus

The bars: `exp(-x*x)*sin(y)` takes 1/1.7 of the time of the best of the others, `where` 1/5 of NumPy's, the rest no more
than the best.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from timing import interleaved, table

import arrayexpr

try:
    import numexpr
except ImportError:
    numexpr = None


def normal(d: Any) -> Any:
    """The normal distribution's integral, by the polynomial that is usual in this benchmark."""
    k = 1.0 / (1.0 + 0.2316419 * np.abs(d))
    poly = k * (0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))))
    tail = 0.39894228040143267794 * np.exp(-0.5 * d * d) * poly
    return np.where(d > 0, 1.0 - tail, tail)


def black_scholes(s: Any, k: Any, t: Any) -> Any:
    v = 0.3 * np.sqrt(t)
    d1 = (np.log(s / k) + 0.145 * t) / v
    return s * normal(d1) - k * np.exp(-0.1 * t) * normal(d1 - v)


class Work(NamedTuple):
    """One expression: over arrays of these ranges, in NumPy's words, C's and numexpr's; the bar, and against whom."""

    function: Callable[..., Any]
    ranges: dict[str, tuple[float, float]]
    c: str
    numexpr: str | None
    bar: float
    against: str = ""


_NORMAL = """
static inline double normal(double d) {
    double k = 1.0 / (1.0 + 0.2316419 * fabs(d));
    double p = k * (0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))));
    double tail = 0.39894228040143267794 * exp(-0.5 * d * d) * p;
    return d > 0 ? 1.0 - tail : tail;
}
static inline double price(double s, double k, double t) {
    double v = 0.3 * sqrt(t), d1 = (log(s / k) + 0.145 * t) / v;
    return s * normal(d1) - k * exp(-0.1 * t) * normal(d1 - v);
}
"""

WORKS = {
    "exp(-x*x)*sin(y)": Work(
        lambda x, y: np.exp(-x * x) * np.sin(y),
        {"x": (-3, 3), "y": (-3, 3)}, "exp(-x[i]*x[i])*sin(y[i])", "exp(-x*x)*sin(y)", 1.7,
    ),
    "softplus": Work(lambda x: np.log1p(np.exp(x)), {"x": (-3, 3)}, "log1p(exp(x[i]))", "log1p(exp(x))", 1.0),
    "Black-Scholes": Work(
        black_scholes, {"s": (50, 150), "k": (50, 150), "t": (0.1, 2)}, "price(s[i], k[i], t[i])", None, 1.0
    ),
    "polynomial": Work(
        lambda x: 0.25 * x**3 + 0.75 * x**2 - 1.5 * x - 2,
        {"x": (-3, 3)}, ".25*x[i]*x[i]*x[i] + .75*x[i]*x[i] - 1.5*x[i] - 2", ".25*x**3 + .75*x**2 - 1.5*x - 2", 1.0,
    ),
    "sin(x**2)+cos(y**2)": Work(
        lambda x, y: np.sin(x**2) + np.cos(y**2),
        {"x": (-3, 3), "y": (-3, 3)}, "sin(x[i]*x[i]) + cos(y[i]*y[i])", "sin(x**2)+cos(y**2)", 1.0,
    ),
    "where, 1%": Work(
        lambda m, x, y: np.where(m > 0, np.exp(-x * x) * np.sin(y), x + y),
        {"m": (-1, 1), "x": (-3, 3), "y": (-3, 3)}, "m[i] > 0 ? exp(-x[i]*x[i])*sin(y[i]) : x[i] + y[i]",
        "where(m > 0, exp(-x*x)*sin(y), x + y)", 5.0, "NumPy",
    ),
}  # fmt: skip


def naive(folder: Path) -> dict[str, Any]:
    """A loop for each expression, by the system's compiler; empty where it has none."""
    lines = ["#include <math.h>", "#include <stddef.h>", _NORMAL]
    for number, work in enumerate(WORKS.values()):
        given = "".join(f"const double *restrict {name}, " for name in work.ranges)
        lines.append(f"void f{number}({given}double *restrict r, ptrdiff_t n) {{")
        lines.append(f"    for (ptrdiff_t i = 0; i < n; ++i) r[i] = {work.c};\n}}")
    library = folder / "naive.so"
    flags = ["-O3", "-ffast-math", "-march=native", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-lm"]
    try:
        subprocess.run(["gcc", *flags], input="\n".join(lines), text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    loaded = ctypes.CDLL(str(library))
    return {name: getattr(loaded, f"f{number}") for number, name in enumerate(WORKS)}


class _Out:
    """Evaluates a function written for NumPy with every intermediate in an array that is kept: NumPy at its best."""

    def __init__(self, function: Callable[..., Any], arrays: list[Any], out: Any):
        self.steps: list[Callable[[], object]] = []
        self.kept: list[Any] = []
        last = function(*(_Recorded(self, a) for a in arrays))
        self.steps.append(lambda: np.copyto(out, last.array))

    def __call__(self) -> None:
        # The last copy stands for the `out=` of the last step, which it is not slower than by much: it is left out.
        for step in self.steps[:-1]:
            step()


class _Recorded:
    __array_priority__ = 1000

    def __init__(self, steps: _Out, array: Any):
        self.steps, self.array = steps, array

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **named: Any) -> _Recorded:
        return self._do(ufunc, args)

    def __array_function__(self, function: Any, types: Any, args: Any, named: Any) -> _Recorded:
        values = [a.array if isinstance(a, _Recorded) else a for a in args]
        made = function(*values)
        self.steps.steps.append(lambda: np.copyto(made, function(*values)))
        return _Recorded(self.steps, made)

    def _do(self, ufunc: Any, args: Any) -> _Recorded:
        values = [a.array if isinstance(a, _Recorded) else a for a in args]
        made = ufunc(*values)
        self.steps.steps.append(lambda: ufunc(*values, out=made))
        return _Recorded(self.steps, made)


def _binary(ufunc: Any, swapped: bool = False) -> Any:
    return lambda a, b: a._do(ufunc, (b, a) if swapped else (a, b))


_UFUNCS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power}
for _name, _ufunc in _UFUNCS.items():
    setattr(_Recorded, f"__{_name}__", _binary(_ufunc))
    setattr(_Recorded, f"__r{_name}__", _binary(_ufunc, True))
_Recorded.__gt__ = _binary(np.greater)  # type: ignore[method-assign]
_Recorded.__neg__ = lambda a: a._do(np.negative, (a,))  # type: ignore[attr-defined]


def measure(name: str, size: int, rounds: int, loops: dict[str, Any], kernel: Any) -> tuple[bool, str]:
    work = WORKS[name]
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(low, high, size) for low, high in work.ranges.values()]
    if "m" in work.ranges:
        arrays[0][:] = -1
        arrays[0][size // 3 : size // 3 + max(1, size // 100)] = 1
    expected, out = work.function(*arrays), np.empty(size)
    calls: dict[str, Callable[[], object]] = {"arrayexpr": lambda: kernel(*arrays, out=out)}
    if size <= 2_000_000 or "Black" not in name:
        calls["NumPy"] = _Out(work.function, arrays, out)
    else:
        calls["NumPy"] = lambda: work.function(*arrays)
    if loops:
        loop = loops[name]
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out)]
        calls["gcc -ffast-math"] = lambda: loop(*pointers, ctypes.c_ssize_t(size))
    if numexpr is not None and work.numexpr is not None:
        numexpr.set_num_threads(1)
        given = dict(zip(work.ranges, arrays, strict=True))
        calls["numexpr"] = lambda: numexpr.evaluate(work.numexpr, given, out=out)
    for peer, call in calls.items():
        out[:] = np.nan
        call()
        if peer != "NumPy":
            np.testing.assert_allclose(out, expected, rtol=2e-13, atol=2e-13, err_msg=f"{name}, {peer}")
    timings = interleaved(calls, rounds=rounds)
    others = [peer for peer in calls if peer != "arrayexpr" and work.against in ("", peer)]
    best = min(others, key=lambda peer: timings[peer].median)
    ratio = timings[best].median / timings["arrayexpr"].median
    held = ratio >= work.bar
    verdict = f"{ratio:.2f}x {best}, bar {work.bar}: {'held' if held else 'MISSED'}"
    return held, f"{name}, {size} elements\n{table(timings, 'arrayexpr')}\n  {verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 40_000, 16_000_000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", help="expressions whose name has this in it")
    options = parser.parse_args()
    held = True
    with tempfile.TemporaryDirectory() as folder:
        loops = naive(Path(folder))
        for name, work in WORKS.items():
            if options.only and options.only not in name:
                continue
            kernel = arrayexpr.kernel(work.function)
            for size in options.sizes:
                good, text = measure(name, size, options.rounds, loops, kernel)
                held &= good
                print(text, flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
