"""Operands contiguous along different axes, beside NumPy with `out=` and plain loops compiled by the C compiler.

Every result is checked against NumPy's before anything is measured. What is compared runs in turns in one process.
Compiled code is waited for. The plain loops go over the axes in the order of the result, as a C programmer would write
them; memory is NumPy's.

    python benchmarks/packing.py
    python benchmarks/packing.py --side 4000 --types float64 --rounds 31

The bars, on arrays larger than the caches: two axes 3x the best peer, three axes 1.8x.
"""

from __future__ import annotations

import argparse
import ctypes
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from timing import interleaved, table

import arrayexpr
from arrayexpr._core.engine.compiler import FLAGS, compiler

C_TYPES = {"int8": "int8_t", "int16": "int16_t", "float32": "float", "float64": "double"}


def plain_loops(expression: str, dtype: str, rank: int) -> Any:
    """Loops over the elements of r, whose axes are i, j and k, with each operand's byte strides: a C function."""
    c_type = C_TYPES.get(dtype, "double _Complex")
    names = "ijk"[:rank]
    places = {
        name: f"*(T *)({name} + " + " + ".join(f"{x} * {name}s[{k}]" for k, x in enumerate(names)) + ")"
        for name in "abcr"
    }
    for name in "abc":
        expression = expression.replace(name, f"({places[name]})")
    head = ", ".join(f"char *{name}, const ptrdiff_t *{name}s" for name in "abcr")
    loops = "".join(f"for (ptrdiff_t {x} = 0; {x} < n[{k}]; ++{x}) " for k, x in enumerate(names[:-1]))
    # The last axis of the result is contiguous, which a C programmer would say.
    last = names[-1]
    result = places["r"].replace(f"{last} * rs[{rank - 1}]", f"{last} * (ptrdiff_t)sizeof(T)")
    text = (
        "#include <stddef.h>\n#include <stdint.h>\n"
        f"typedef {c_type} T;\n"
        f"void loops({head}, const ptrdiff_t *n) {{\n"
        f"    {loops}\n#pragma GCC ivdep\n"
        f"    for (ptrdiff_t {last} = 0; {last} < n[{rank - 1}]; ++{last})\n"
        f"        {result} = {expression};\n}}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loops.so"
        command = [
            *compiler(),
            *FLAGS,
            "-ffast-math" if "Complex" in c_type else "-O3",
            "-x",
            "c",
            "-",
            "-o",
            str(path),
        ]
        done = subprocess.run(command, input=text, text=True, capture_output=True)
        assert done.returncode == 0, f"{shlex.join(command)}:\n{done.stderr}"
        function = ctypes.CDLL(str(path)).loops
    function.restype = None

    def arguments(arrays: list[np.ndarray]) -> list[Any]:
        made: list[Any] = []
        for array in arrays:
            made += [ctypes.c_void_p(array.ctypes.data), (ctypes.c_ssize_t * rank)(*array.strides)]
        return [*made, (ctypes.c_ssize_t * rank)(*arrays[-1].shape)]

    def bound(*arrays: np.ndarray) -> Callable[[], None]:
        given = arguments(list(arrays))
        return lambda: function(*given)

    return bound


#: Name: the expression, NumPy's two calls, the views of three arrays, and the bar.
WORKS: dict[str, tuple[str, Any, Any, float]] = {
    "a + b.T": ("a + b", lambda a, b, c, r, t: np.add(a, b, out=r), lambda a, b, c: (a, b.T, c), 3.0),
    "a * b.T + c.T": ("a * b + c", None, lambda a, b, c: (a, b.T, c.T), 3.0),
    "a + b.T, b of records": ("a + b", lambda a, b, c, r, t: np.add(a, b, out=r), None, 1.0),
    "a * b(kji) + c(jik)": ("a * b + c", None, lambda a, b, c: (a, b.transpose(2, 1, 0), c.transpose(1, 0, 2)), 1.8),
    "a * b(kji) + c(ikj)": ("a * b + c", None, lambda a, b, c: (a, b.transpose(2, 1, 0), c.transpose(0, 2, 1)), 1.8),
}


def _values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if dtype.startswith("int"):
        return rng.integers(-3, 4, shape).astype(dtype)
    return rng.random(shape).astype(dtype)


def measure(work: str, dtype: str, side: int, rounds: int, threads: int, engine: str) -> tuple[bool, str]:
    """One work on about side * side elements. Returns whether the bar is held, and the table."""
    expression, numpys, views, bar = WORKS[work]
    rng = np.random.default_rng(0)
    rank = 3 if "kji" in work else 2
    shape = (side,) * 2 if rank == 2 else (max(8, round(side ** (2 / 3))),) * 3
    a, b, c = (_values(rng, shape, dtype) for _ in range(3))
    if views is None:
        packed = np.zeros(shape, np.dtype([("x", "u1", 1), ("it", dtype), ("y", "u1", 2)]))
        packed["it"] = b
        x, y, z = a, packed["it"].T, c
    else:
        x, y, z = views(a, b, c)
    out, scratch = np.empty_like(a), np.empty_like(a)
    one, two, three = (arrayexpr.array(name, dtype, rank) for name in "abc")
    symbolic = one + two if numpys else one * two + three
    kernel = arrayexpr.compile(arrayexpr.program(symbolic), threads=threads, engine=engine, wait=True)
    given = (x, y) if numpys else (x, y, z)

    def two_calls() -> None:
        np.multiply(x, y, out=scratch)
        np.add(scratch, z, out=out)

    numpy_call = (lambda: numpys(x, y, z, out, scratch)) if numpys else two_calls
    loops = plain_loops(expression, dtype, rank)(x, y, z, out)
    numpy_call()
    expected = out.copy()
    for call in (lambda: kernel(*given, out=out), loops):
        out[...] = 0
        call()
        assert np.allclose(out, expected, rtol=1e-6) and (call is loops or np.array_equal(out, expected)), work
    calls = {"kernel": lambda: kernel(*given, out=out), "NumPy": numpy_call, "plain loops": loops}
    found = interleaved(calls, rounds=rounds)
    ratio = min(found["NumPy"].median, found["plain loops"].median) / found["kernel"].median
    verdict = f"best peer over kernel {ratio:.2f}x, bar {bar}x: {'held' if ratio >= bar else 'MISSED'}"
    return ratio >= bar, table(found, "kernel") + f"\n  {verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, nargs="+", default=[4000, 4096], help="elements are its square")
    parser.add_argument("--types", nargs="+", default=["float64", "int8", "float32", "complex128"])
    parser.add_argument("--works", nargs="+", default=list(WORKS), help="a part of a work's name")
    parser.add_argument("--rounds", type=int, default=7, help="of calls in turns (7)")
    parser.add_argument("--threads", type=int, default=1, help="that a kernel uses (1)")
    parser.add_argument("--engine", default="auto", help="auto, c or block (auto)")
    options = parser.parse_args()
    held = True
    for side in options.side:
        for work in WORKS:
            if not any(part in work for part in options.works):
                continue
            for dtype in options.types:
                print(f"{work}, {dtype}, about {side} x {side} elements", flush=True)
                fine, text = measure(work, dtype, side, options.rounds, options.threads, options.engine)
                held = held and fine
                print(text, flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
