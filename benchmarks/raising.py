"""Loops over elements, raised to arrays and scheduled, beside the same loops compiled in each of their orders.

A compiler hands over a nest as its user wrote it. Peers are the C compiler on that nest with its loops in every order
(`-O3 -march=native`, and with `-ffast-math` where we add up in another order too), and Numba, where it is installed, on
the best of the orders. Results are checked before anything is measured; what is compared runs in turns in one process,
in one thread.

    python benchmarks/raising.py
    python benchmarks/raising.py --works dot,stencil --rounds 11

The bar: no slower than the best of the orders.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import itertools
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from timing import interleaved, shown

import arrayexpr
from arrayexpr._core.engine.compiler import compiler


@dataclass(frozen=True)
class Work:
    """A nest in the text form, and what its peers are made of: loops in order, C and Python of the innermost body."""

    text: str
    loops: Mapping[str, tuple[str, str]]
    c: str
    arrays: Callable[[np.random.Generator], dict[str, np.ndarray]]
    contract: str = "exact"
    tolerance: float = 0.0


def _fortran(rng: np.random.Generator) -> dict[str, np.ndarray]:
    n = 3000
    return {name: np.asfortranarray(rng.standard_normal((n, n))) for name in "abr"}


def _stencil(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal((3000, 3000)) for name in "ar"}


def _matmul(rng: np.random.Generator) -> dict[str, np.ndarray]:
    n = 600
    return {"a": rng.standard_normal((n, n)), "b": rng.standard_normal((n, n)), "c": np.zeros((n, n))}


def _dot(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"a": rng.standard_normal(8_000_000), "b": rng.standard_normal(8_000_000), "s": np.zeros(())}


WORKS = {
    "fortran": Work(
        """
def fortran(a: float64[:, :], b: float64[:, :], r: float64[:, :]):
    for i in range(0, r.shape[0], 1):
        for j in range(0, r.shape[1], 1):
            r[i, j] = a[i, j] * 2.0 + b[i, j]
""",
        {"i": ("0", "r_n0"), "j": ("0", "r_n1")},
        "R(i, j) = A(i, j) * 2.0 + B(i, j);",
        _fortran,
    ),
    "stencil": Work(
        """
def stencil(a: float64[:, :], r: float64[:, :]):
    for j in range(1, a.shape[1] - 1, 1):
        for i in range(1, a.shape[0] - 1, 1):
            r[i, j] = (a[i - 1, j] + a[i + 1, j] + a[i, j - 1] + a[i, j + 1]) * 0.25
""",
        {"i": ("1", "a_n0 - 1"), "j": ("1", "a_n1 - 1")},
        "R(i, j) = (A(i - 1, j) + A(i + 1, j) + A(i, j - 1) + A(i, j + 1)) * 0.25;",
        _stencil,
    ),
    "matmul": Work(
        """
def matmul(a: float64[:, :], b: float64[:, :], c: float64[:, :]):
    for i in range(0, c.shape[0], 1):
        for j in range(0, c.shape[1], 1):
            for k in range(0, a.shape[1], 1):
                c[i, j] = c[i, j] + a[i, k] * b[k, j]
""",
        {"i": ("0", "c_n0"), "j": ("0", "c_n1"), "k": ("0", "a_n1")},
        "C(i, j) += A(i, k) * B(k, j);",
        _matmul,
        "fast",
        1e-9,
    ),
    "dot": Work(
        """
def dot(a: float64[:], b: float64[:], s: float64):
    for i in range(0, a.shape[0], 1):
        s[()] = s[()] + a[i] * b[i]
""",
        {"i": ("0", "a_n0")},
        "S() += A(i) * B(i);",
        _dot,
        "fast",
        1e-9,
    ),
}


def c_loops(work: Work, order: Sequence[str], arrays: Mapping[str, np.ndarray], flags: Sequence[str]) -> Any:
    """The nest in one order of its loops, for arrays with these strides: a C function, called without arguments."""
    lines = ["#include <stddef.h>"]
    for name, array in arrays.items():
        # The strides are numbers: a compiler that has the loops in a program of its own knows as much or less.
        subscripts = [f"i{k}" for k in range(array.ndim)]
        strides = [stride // array.itemsize for stride in array.strides]
        place = " + ".join(f"({x}) * (ptrdiff_t){s}" for x, s in zip(subscripts, strides, strict=True)) or "0"
        lines.append(f"#define {name.upper()}({', '.join(subscripts)}) {name}[{place}]")
        lines += [f"#define {name}_n{k} ((ptrdiff_t){n})" for k, n in enumerate(array.shape)]
    lines.append(f"void loops({', '.join(f'double *restrict {name}' for name in arrays)}) {{")
    lines += [f"for (ptrdiff_t {x} = {work.loops[x][0]}; {x} < {work.loops[x][1]}; ++{x})" for x in order]
    lines += [work.c, "}"]
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "loops.c", Path(folder) / "loops.so"
        source.write_text("\n".join(lines))
        command = [*compiler(), "-std=c99", "-O3", "-march=native", *flags, "-fPIC", "-shared", "-o"]
        subprocess.run([*command, str(library), str(source)], check=True)
        function = ctypes.CDLL(str(library)).loops
    function.restype = None
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays.values()]

    def call() -> object:
        function(*pointers)
        # What the pointers point to lives as long as the function.
        return arrays

    return call


def numba_loops(work: Work, order: Sequence[str], arrays: Mapping[str, np.ndarray]) -> Callable[[], object]:
    """The nest in one order of its loops, compiled by Numba."""
    import numba

    text = [f"def loops({', '.join(arrays)}):"]
    for depth, x in enumerate(order, 1):
        start, stop = work.loops[x]
        for name in arrays:
            for k in (0, 1):
                stop = stop.replace(f"{name}_n{k}", f"{name}.shape[{k}]")
        text.append(f"{'    ' * depth}for {x} in range({start}, {stop}):")
    body = work.c.rstrip(";")
    for name in arrays:
        body = body.replace(f"{name.upper()}()", f"{name}[()]").replace(f"{name.upper()}(", f"{name}[")
    text.append(f"{'    ' * (len(order) + 1)}{_closed(body)}")
    names: dict[str, Any] = {}
    exec("\n".join(text), names)
    function = numba.njit(names["loops"], fastmath=work.contract == "fast")
    return lambda: function(*arrays.values())


def _closed(body: str) -> str:
    """The text with each bracket that was opened by a name closed as such."""
    found, open_ = [], []
    for character in body:
        if character in "([":
            open_.append(character)
        elif character == ")" and open_.pop() == "[":
            character = "]"
        elif character == "]":
            open_.pop()
        found.append(character)
    return "".join(found)


def compare(name: str, work: Work, rounds: int) -> None:
    # All work on the same memory: copies of one array took up to twice as long as others, by the pages that they got.
    arrays = work.arrays(np.random.default_rng(0))
    before = {key: array.copy(order="K") for key, array in arrays.items()}
    kernel = arrayexpr.compile(arrayexpr.parse(work.text), contract=work.contract, threads=1)
    kernel(*arrays.values())
    kernel.wait()
    expected: dict[str, np.ndarray] = {}

    def checked(call: Callable[[], object]) -> Callable[[], object]:
        for key, array in arrays.items():
            array[...] = before[key]
        call()
        for key, array in arrays.items():
            found = expected.setdefault(key, array.copy(order="K"))
            atol = work.tolerance * np.abs(array).max(initial=1.0)
            assert np.allclose(array, found, rtol=0, atol=atol), f"{name}: {key} differs"
        return call

    calls = {"ours": checked(lambda: kernel(*arrays.values()))}
    fast = [["-ffast-math"]] if work.contract == "fast" else []
    for order in itertools.permutations(work.loops):
        for flags in ([], *fast):
            calls[f"gcc {''.join(order)}{' fast' if flags else ''}"] = checked(c_loops(work, order, arrays, flags))
        if importlib.util.find_spec("numba"):
            calls[f"numba {''.join(order)}"] = checked(numba_loops(work, order, arrays))
    times = interleaved(calls, rounds=rounds)
    best = min((t.median, key) for key, t in times.items() if key != "ours")
    ours_median = times["ours"].median
    print(f"{name}: ours {shown(ours_median)}, best {best[1]} {shown(best[0])}: {best[0] / ours_median:.2f}x")
    for key, timing in sorted(times.items(), key=lambda item: item[1].median):
        print(f"    {key:16s} {shown(timing.median):>10s}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--works", default=",".join(WORKS), help="some of " + ", ".join(WORKS))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(f"compiler: {shlex.join(compiler())}")
    for name in options.works.split(","):
        compare(name, WORKS[name], options.rounds)


if __name__ == "__main__":
    main()
