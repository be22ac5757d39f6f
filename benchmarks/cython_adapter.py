"""The adapter for Cython beside loops written by hand, NumPy and Numba.

One module is compiled twice: with the adapter (statements on memoryviews, and loops that become kernels), and by Cython
alone (the same loops, over `[:, :]` and over `[:, ::1]`). Every result is checked against NumPy's before anything is
timed; calls repeat inside the compiled function, so that what is timed at 8 x 8 is the statement and not the call.

    python benchmarks/cython_adapter.py
    python benchmarks/cython_adapter.py --sizes 8,512,2500 --works axpy,sum3 --flags "-O3 -march=native"

The bars, of the time of the loop over `[:, :]` to ours: at least 1 above 16 x 16 elements, 8 where all arrays are in
Fortran order, 1.5 where layouts are mixed; and 1 of the loop over `[:, ::1]` where all are contiguous.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from setuptools import Distribution, Extension
from timing import interleaved, shown

from arrayexpr.adapters.cython import cythonize

DIRECTIVES = "# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False"

#: By work: the statement, the body of the loop, and what NumPy computes.
WORKS: dict[str, tuple[str, str, Callable[..., Any]]] = {
    "axpy": ("out[...] = a * b + 2", "out[i, j] = a[i, j] * b[i, j] + 2", lambda a, b, c: a * b + 2),
    "sum3": ("out[...] = a + b + c", "out[i, j] = a[i, j] + b[i, j] + c[i, j]", lambda a, b, c: a + b + c),
    "stencil": (
        "out[1:-1, 1:-1] = 0.25 * (a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:])",
        "out[i, j] = 0.25 * (a[i - 1, j] + a[i + 1, j] + a[i, j - 1] + a[i, j + 1])",
        lambda a, b, c: 0.25 * (a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:]),
    ),
    "black_scholes": (
        "out[...] = a / (1 + exp(-1.6 * (log(a / b) + 0.06) / 0.2))"
        " - 0.95 * b / (1 + exp(-1.6 * (log(a / b) + 0.02) / 0.2))",
        "out[i, j] = a[i, j] / (1 + exp(-1.6 * (log(a[i, j] / b[i, j]) + 0.06) / 0.2))"
        " - 0.95 * b[i, j] / (1 + exp(-1.6 * (log(a[i, j] / b[i, j]) + 0.02) / 0.2))",
        lambda a, b, c: (
            a / (1 + np.exp(-1.6 * (np.log(a / b) + 0.06) / 0.2))
            - 0.95 * b / (1 + np.exp(-1.6 * (np.log(a / b) + 0.02) / 0.2))
        ),
    ),
    "in_a_row": (
        "t = a * b\n        u = t + c\n        out[...] = u * a - t",
        "out[i, j] = (a[i, j] * b[i, j] + c[i, j]) * a[i, j] - a[i, j] * b[i, j]",
        lambda a, b, c: (a * b + c) * a - a * b,
    ),
    "columns": (
        "out[0] = arrayexpr.sum(a * b, axis=0)",
        "out[0, j] = a[i, j] * b[i, j] + (out[0, j] if i else 0)",
        lambda a, b, c: (a * b).sum(0)[None],
    ),
}  # fmt: skip
#: The same with functions of C's library in vectors, within 4 ulp.
WORKS["black_scholes_fast"] = WORKS["black_scholes"]
#: NumPy without new arrays, where a work has one operation after another.
IN_PLACE: dict[str, Callable[..., Any]] = {
    "axpy": lambda a, b, c, out: np.add(np.multiply(a, b, out=out), 2, out=out),
    "sum3": lambda a, b, c, out: np.add(np.add(a, b, out=out), c, out=out),
}
#: By layout: the letter of each of a, b, c and out.
LAYOUTS = {"C": "CCCC", "F": "FFFF", "mixed": "CFCC", "mixed3": "CFRC", "reversed": "RRRR", "stepped": "SSSS"}

LOOP = """
def {name}({kind} a, {kind} b, {kind} c, {kind} out, int repeat):
    cdef int turn
    cdef Py_ssize_t i, j
    for turn in range(repeat):
        for i in range({first}, out.shape[0]{last}):
            for j in range({first}, out.shape[1]{last}):
                {body}
"""
STATEMENT = """
@cython.arrayexpr_fast({fast})
def {name}(double[:, :] a, double[:, :] b, double[:, :] c, double[:, :] out, int repeat):
    cdef int turn
    for turn in range(repeat):
        {statement}
"""


def source(names: list[str], statements: bool) -> str:
    parts = [DIRECTIVES, "from libc.math cimport exp, log", *(["cimport arrayexpr, cython"] if statements else [])]
    for name in names:
        statement, body, _ = WORKS[name]
        first, last = (1, " - 1") if name == "stencil" else (0, "")
        if statements:
            parts.append(STATEMENT.format(name=f"{name}_statement", statement=statement, fast=name.endswith("_fast")))
        for form, kind in (("loop", "double[:, :]"), ("contiguous", "double[:, ::1]")):
            parts.append(LOOP.format(name=f"{name}_{form}", kind=kind, body=body, first=first, last=last))
    return "\n".join(parts)


def compiled(folder: Path, name: str, text: str, flags: list[str], adapter: bool) -> ModuleType:
    path = folder / f"{name}.pyx"
    if not path.exists():
        path.write_text(text)
        built(folder, name, path, flags, adapter)
    (file,) = folder.glob(f"{name}.*.so")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built(folder: Path, name: str, path: Path, flags: list[str], adapter: bool) -> None:
    made = [Extension(name, [str(path)], extra_compile_args=[*flags, "-g0"])]
    options = {} if adapter else {"compiler_directives": {"arrayexpr": False}}
    extensions = cythonize(made, quiet=True, **options)
    command = Distribution({"name": name, "ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder), str(folder / "temp")
    command.ensure_finalized()
    command.run()


def array(letter: str, n: int, rng: np.random.Generator) -> np.ndarray:
    made = rng.random((n, n)) + 0.5
    if letter == "F":
        return np.asfortranarray(made)
    if letter == "R":
        return made[::-1, ::-1]
    if letter == "S":
        return np.repeat(np.repeat(made, 2, 0), 2, 1)[::2, ::2]
    return made


def numba_loop(name: str) -> Callable[..., None] | None:
    """The loop as Numba compiles it; None where Numba is not installed."""
    try:
        import numba
    except ImportError:
        return None
    first, last = (1, " - 1") if name == "stencil" else (0, "")
    text = LOOP.format(name=name, kind="", body=WORKS[name][1], first=first, last=last)
    text = "\n".join(line for line in text.replace("( a,", "(a,").splitlines() if "cdef" not in line)
    text = text.replace("int repeat", "repeat")
    names = {"exp": np.exp, "log": np.log}
    exec(text, names)
    made: Callable[..., None] = numba.njit(names[name], error_model="numpy")
    return made


def repeated(call: Callable[[], object], repeat: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(repeat):
            call()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="8,512,2500")
    parser.add_argument("--works", default=",".join(WORKS))
    parser.add_argument("--layouts", default=",".join(LAYOUTS))
    parser.add_argument("--flags", default="-O3", help="for all of the modules")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--into", type=Path, help="a folder that keeps the modules: what is there is timed at once")
    given = parser.parse_args()
    names = given.works.split(",")
    with tempfile.TemporaryDirectory() as place:
        folder = given.into or Path(place)
        folder.mkdir(exist_ok=True)
        with_it = compiled(folder, "with_adapter", source(names, True), given.flags.split(), True)
        without = compiled(folder, "without_adapter", source(names, False), given.flags.split(), False)
        print("Time of each over the time of our statement; ours in seconds.")
        for name in names:
            numba = numba_loop(name)
            for n in map(int, given.sizes.split(",")):
                for layout in given.layouts.split(","):
                    measure(name, n, layout, with_it, without, numba, given.rounds)


def measure(name: str, n: int, layout: str, with_it: Any, without: Any, numba: Any, rounds: int) -> None:
    rng = np.random.default_rng(0)
    a, b, c, out = (array(letter, n, rng) for letter in LAYOUTS[layout])
    formula = WORKS[name][2]
    inside = out[1:-1, 1:-1] if name == "stencil" else out[:1] if name == "columns" else out
    repeat = max(1, min(20_000, 2_000_000 // (n * n)))
    calls: dict[str, Any] = {
        "ours": getattr(with_it, f"{name}_statement"),
        "our loop": getattr(with_it, f"{name}_loop"),
        "loop": getattr(without, f"{name}_loop"),
    }
    if layout == "C":
        calls["[:, ::1]"] = getattr(without, f"{name}_contiguous")
    if numba is not None:
        calls["numba"] = numba
    expected = formula(a, b, c)
    runs = {}
    for form, function in calls.items():
        out[...] = 0
        function(a, b, c, out, 1)
        np.testing.assert_allclose(inside, expected, rtol=1e-13, atol=1e-13)
        runs[form] = lambda function=function: function(a, b, c, out, repeat)
    if n > 8:
        runs["numpy"] = repeated(lambda: formula(a, b, c), repeat)
        if name in IN_PLACE:
            runs["numpy out"] = repeated(lambda: IN_PLACE[name](a, b, c, out), repeat)
    times = interleaved(runs, rounds=rounds, at_least=1e-3)
    ours = times["ours"].median
    ratios = "  ".join(f"{form} {timing.median / ours:.2f}" for form, timing in times.items() if form != "ours")
    print(f"{name:14} {n:5} {layout:9} {shown(ours / repeat):>9}  {ratios}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
