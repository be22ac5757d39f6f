"""What does not vary along an axis, beside NumPy, naive loops and loops that are hoisted by hand.

gcc gets `-O3 -ffast-math -march=native`, which lets it take a vector library. NumPy works on the small operands before
it broadcasts them, and writes its last step into the given result. Every result is checked against NumPy's before
anything is measured. What is compared runs in turns in one process, in one thread.

    python benchmarks/hoist.py
    python benchmarks/hoist.py --shapes 1000x1000 2x2000000 --only "exp(col)*a+sqrt(row)"

The bar: no work takes more than 1.3 times as long as hoisted by hand.
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

BAR = 1.3


class Work(NamedTuple):
    """One expression over operands, in the order of their use, of these axes of (k, m, n), and its loops in C: naive,
    and hoisted by hand."""

    function: Callable[..., Any]
    operands: dict[str, str]
    naive: str
    hoisted: str
    result: str = "mn"


_EACH = "for (ptrdiff_t i = 0; i < m; ++i) for (ptrdiff_t j = 0; j < n; ++j)"
_CUBE = f"for (ptrdiff_t l = 0; l < k; ++l) {_EACH}"

WORKS = {
    "sin(x**2)+cos(y**2)": Work(
        lambda x, y, out=None: np.add(np.sin(x**2), np.cos(y**2), out=out),
        {"x": "1n", "y": "m1"},
        f"{_EACH} r[i*n + j] = sin(x[j]*x[j]) + cos(y[i]*y[i]);",
        f"""for (ptrdiff_t j = 0; j < n; ++j) t[j] = sin(x[j]*x[j]);
            for (ptrdiff_t i = 0; i < m; ++i) u[i] = cos(y[i]*y[i]);
            {_EACH} r[i*n + j] = t[j] + u[i];""",
    ),
    "a+row+col": Work(
        lambda a, row, col, out=None: np.add(np.add(a, row, out=out), col, out=out),
        {"a": "mn", "row": "1n", "col": "m1"},
        f"{_EACH} r[i*n + j] = a[i*n + j] + row[j] + col[i];",
        f"{_EACH} r[i*n + j] = a[i*n + j] + row[j] + col[i];",
    ),
    "exp(col)*a+sqrt(row)": Work(
        lambda col, a, row, out=None: np.add(np.multiply(np.exp(col), a, out=out), np.sqrt(row), out=out),
        {"col": "m1", "a": "mn", "row": "1n"},
        f"{_EACH} r[i*n + j] = exp(col[i])*a[i*n + j] + sqrt(row[j]);",
        f"""for (ptrdiff_t j = 0; j < n; ++j) t[j] = sqrt(row[j]);
            for (ptrdiff_t i = 0; i < m; ++i) u[i] = exp(col[i]);
            {_EACH} r[i*n + j] = u[i]*a[i*n + j] + t[j];""",
    ),
    "exp(plane)*a": Work(
        lambda plane, a, out=None: np.multiply(np.exp(plane), a, out=out),
        {"plane": "1mn", "a": "kmn"},
        f"{_CUBE} r[(l*m + i)*n + j] = exp(plane[i*n + j])*a[(l*m + i)*n + j];",
        """for (ptrdiff_t i = 0; i < m; ++i) {
               for (ptrdiff_t j = 0; j < n; ++j) t[j] = exp(plane[i*n + j]);
               for (ptrdiff_t l = 0; l < k; ++l)
                   for (ptrdiff_t j = 0; j < n; ++j) r[(l*m + i)*n + j] = t[j]*a[(l*m + i)*n + j];
           }""",
        "kmn",
    ),
    "exp(alpha)*x": Work(
        lambda alpha, x, out=None: np.multiply(np.exp(alpha), x, out=out),
        {"alpha": "", "x": "mn"},
        f"{_EACH} r[i*n + j] = exp(*alpha)*x[i*n + j];",
        f"""double once = exp(*alpha);
            {_EACH} r[i*n + j] = once*x[i*n + j];""",
    ),
    "sum(a*exp(row),axis=1)": Work(
        lambda a, row, out=None: np.sum(a * np.exp(row), axis=1, out=out),
        {"a": "mn", "row": "1n"},
        """for (ptrdiff_t i = 0; i < m; ++i) {
               double s = 0;
               for (ptrdiff_t j = 0; j < n; ++j) s += a[i*n + j]*exp(row[j]);
               r[i] = s;
           }""",
        """for (ptrdiff_t j = 0; j < n; ++j) t[j] = exp(row[j]);
           for (ptrdiff_t i = 0; i < m; ++i) {
               double s = 0;
               for (ptrdiff_t j = 0; j < n; ++j) s += a[i*n + j]*t[j];
               r[i] = s;
           }""",
        "m",
    ),
}


def loops(folder: Path) -> dict[str, tuple[Any, Any]]:
    """The two loops of each work, by gcc; empty where there is none."""
    lines = ["#include <math.h>", "#include <stddef.h>"]
    for number, work in enumerate(WORKS.values()):
        for kind, text in (("naive", work.naive), ("hoisted", work.hoisted)):
            given = "".join(f"const double *restrict {name}, " for name in work.operands)
            lines.append(f"void {kind}{number}({given}double *restrict r, double *restrict t, double *restrict u,")
            lines.append(f"                    ptrdiff_t k, ptrdiff_t m, ptrdiff_t n) {{\n    {text}\n}}")
    library = folder / "loops.so"
    flags = ["-O3", "-ffast-math", "-march=native", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-lm"]
    try:
        subprocess.run(["gcc", *flags], input="\n".join(lines), text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    loaded = ctypes.CDLL(str(library))
    return {w: (getattr(loaded, f"naive{n}"), getattr(loaded, f"hoisted{n}")) for n, w in enumerate(WORKS)}


def measure(
    name: str, shape: tuple[int, int], rounds: int, found: dict[str, tuple[Any, Any]]
) -> tuple[float, float, str]:
    """The time beside the loops hoisted by hand, or NumPy's where there are none, by medians and by lower quarters;
    and a table."""
    work = WORKS[name]
    m, n = shape
    # Of three axes there are as many elements as of two.
    k = 1
    if "k" in work.result:
        k = min(10, m)
        m //= k
    lengths = {"k": k, "m": m, "n": n, "1": 1}
    rng = np.random.default_rng(0)
    arrays = [np.asarray(rng.uniform(0.1, 3, tuple(lengths[a] for a in axes))) for axes in work.operands.values()]
    out = np.empty(tuple(lengths[a] for a in work.result))
    expected = work.function(*arrays)
    symbols = [arrayexpr.array(operand, "float64", len(axes)) for operand, axes in work.operands.items()]
    kernel = arrayexpr.compile(arrayexpr.program(work.function(*symbols)), wait=True)
    calls: dict[str, Callable[[], object]] = {
        "arrayexpr": lambda: kernel(*arrays, out=out),
        "NumPy": lambda: work.function(*arrays, out=out),
    }
    if found:
        t, u = np.empty(n), np.empty(m)
        given = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out, t, u)]
        given += [ctypes.c_ssize_t(length) for length in (k, m, n)]
        for kind, loop in zip(("gcc, naive", "gcc, hoisted by hand"), found[name], strict=True):
            calls[kind] = lambda loop=loop: loop(*given)
    for peer, call in calls.items():
        out[...] = np.nan
        call()
        np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12, err_msg=f"{name}, {peer}")
    timings = interleaved(calls, rounds=rounds)
    against = "gcc, hoisted by hand" if found else "NumPy"
    ratio = timings["arrayexpr"].median / timings[against].median
    text = " x ".join(map(str, (k, m, n) if "k" in work.result else (m, n)))
    low = timings["arrayexpr"].low / timings[against].low
    verdict = (
        f"{ratio:.2f} ({low:.2f} by lower quarters) of {against}, bar {BAR}: {'held' if ratio <= BAR else 'MISSED'}"
    )
    return ratio, low, f"{name}, {text}\n{table(timings, 'arrayexpr')}\n  {verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["30x30", "1000x1000", "4000x4000", "2x2000000", "2000000x2"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=WORKS, nargs="+", default=list(WORKS))
    options = parser.parse_args()
    arrayexpr.set_num_threads(1)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        found = loops(Path(folder))
        for text in options.shapes:
            m, n = map(int, text.split("x"))
            for name in options.only:
                ratio, low, said = measure(name, (m, n), options.rounds, found)
                print(said, end="\n\n", flush=True)
                results.append((ratio, low, name, text))
    print("worst first, by medians and by lower quarters:")
    for ratio, low, name, text in sorted(results, reverse=True):
        print(f"  {ratio:5.2f}  {low:5.2f}  {name}, {text}")
    return 0 if all(ratio <= BAR for ratio, *_ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
