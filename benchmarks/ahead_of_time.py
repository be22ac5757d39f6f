"""C emitted ahead of time, for whatever layouts, beside the kernels that are specialised when they are called.

Both are compiled with the same flags, called with `out=` through as thin a wrapper each as there is, and checked
against NumPy first. What is compared runs in turns in one process: medians, and ratios to the specialised kernel.

    python benchmarks/ahead_of_time.py
    python benchmarks/ahead_of_time.py --side 100 1000 4000

Of small arrays the ratios tell of the calls: ctypes against the call path of kernels.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from timing import interleaved, shown

import arrayexpr
from arrayexpr._core.engine.compiler import FLAGS, compiler

Array = np.ndarray


class _Array(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p)]


class Linked:
    """The emitted C of a program as a shared library."""

    def __init__(self, program: Any, directory: Path):
        source = arrayexpr.emit(arrayexpr.optimize(program, target=arrayexpr.Target()))
        path = directory / f"{program.name}.so"
        command = [*compiler(), *FLAGS, "-shared", "-fPIC", "-x", "c", "-", "-o", str(path), "-lm"]
        subprocess.run(command, input=source, text=True, check=True)
        library = ctypes.CDLL(str(path))
        self.lines = source.count("\n")
        self.function = getattr(library, program.name)
        self.scratch = getattr(library, f"{program.name}_scratch")
        self.scratch.restype = ctypes.c_ssize_t

    def on(self, arrays: Sequence[Array]) -> Callable[[], object]:
        """A call on arrays, prepared."""
        made = (_Array * len(arrays))()
        keep = []
        for k, array in enumerate(arrays):
            shape, strides = (np.array(x, np.intp) for x in (array.shape, array.strides))
            keep += [shape, strides]
            made[k] = _Array(array.ctypes.data, shape.ctypes.data, strides.ctypes.data)
        room = np.zeros(int(self.scratch(made)) + 64, np.uint8)
        start = ctypes.c_void_p(room.ctypes.data + -room.ctypes.data % 64)
        function = self.function

        def call(keep: object = (keep, room)) -> None:
            assert function(made, start, 1) == 0

        return call


def layouts(shape: tuple[int, ...], count: int) -> dict[str, list[Array]]:
    """Arrays of a shape in the orders that people have."""
    rng = np.random.default_rng(0)
    doubled = tuple(2 * n for n in shape)

    def made(order: str) -> Array:
        match order:
            case "Fortran":
                return np.asfortranarray(rng.normal(size=shape))
            case "every second column":
                return rng.normal(size=(*shape[:-1], doubled[-1]))[..., ::2]
            case "part of longer rows":
                return rng.normal(size=(*shape[:-1], shape[-1] + 5))[..., :-5]
            case "Fortran, every second row":
                return np.asfortranarray(rng.normal(size=(doubled[0], *shape[1:])))[::2]
            case "reversed":
                return rng.normal(size=shape)[(slice(None, None, -1),) * len(shape)]
        return rng.normal(size=shape)

    alike = ("C", "Fortran", "part of longer rows", "every second column", "Fortran, every second row", "reversed")
    found = {f"all {order}": [made(order) for _ in range(count)] for order in alike}
    if count > 1:
        found["C, one Fortran"] = [made("C"), made("Fortran"), *(made("C") for _ in range(count - 2))]
        found["C, one every second column"] = [made("every second column"), *(made("C") for _ in range(count - 1))]
    return found


CASES: dict[str, tuple[int, Callable[..., Any], Callable[[Array], Array], float]] = {
    "a * b + c": (3, lambda a, b, c: a * b + c, np.empty_like, 0.0),
    "a + b.T": (2, lambda a, b: a + b.T, np.empty_like, 0.0),
    "exp(a) * b": (2, lambda a, b: np.exp(a) * b, np.empty_like, 1e-14),
    "sum(a * b, axis=1)": (2, lambda a, b: np.sum(a * b, axis=1), lambda a: np.empty(a.shape[0]), 1e-9),
    "sum(a, axis=0)": (1, lambda a: np.sum(a, axis=0), lambda a: np.empty(a.shape[1]), 1e-9),
    "sum(a * b)": (2, lambda a, b: np.sum(a * b), lambda a: np.empty(()), 1e-9),
    "softmax of rows": (
        1,
        lambda a: (
            np.exp(a - np.max(a, axis=1, keepdims=True))
            / np.sum(np.exp(a - np.max(a, axis=1, keepdims=True)), axis=1, keepdims=True)
        ),
        np.empty_like,
        1e-13,
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, nargs="+", default=[1000, 4000], help="arrays are side by side + 8 (side)")
    parser.add_argument("--rounds", type=int, default=15, help="of calls in turns (15)")
    options = parser.parse_args()
    rows: list[tuple[float, str]] = []
    with tempfile.TemporaryDirectory() as directory:
        for number, (text, (count, function, out, bound)) in enumerate(CASES.items()):
            operands = [arrayexpr.array(name, "float64", 2) for name in "abc"[:count]]
            program = arrayexpr.program(function(*operands), name=f"aot{number}")
            linked = Linked(program, Path(directory))
            # Compiled code, not the block engine that answers until there is some.
            kernel = arrayexpr.compile(program, threads=1, wait=True)
            for side in options.side:
                shape = (side, side) if ".T" in text else (side, side + 8)
                for name, arrays in layouts(shape, count).items():
                    expected = function(*arrays)
                    first, second = out(arrays[0]), out(arrays[0])
                    call = linked.on([*arrays, first])

                    def theirs(arrays: Any = arrays, kernel: Any = kernel, second: Array = second) -> None:
                        kernel(*arrays, out=second)

                    call()
                    for _ in range(2):
                        theirs()
                    for result in (first, second):
                        np.testing.assert_allclose(result, expected, rtol=bound, atol=bound)
                    timings = interleaved({"ahead": call, "specialised": theirs}, rounds=options.rounds)
                    ahead, specialised = (timings[key].median for key in ("ahead", "specialised"))
                    line = f"{text:<20} {side:>5}  {name:<31} {shown(ahead):>8} {shown(specialised):>11}"
                    rows.append((ahead / specialised, line))
                    del arrays, expected, first, second
            print(f"{text}: {linked.lines} lines of C", flush=True)
    print(f"\n{'':<20} {'side':>5}  {'layout':<31} {'ahead':>8} {'specialised':>11}  ratio, worst first")
    for ratio, line in sorted(rows, reverse=True):
        print(f"{line}  {ratio:5.2f}")
    ratios = [ratio for ratio, _ in rows]
    print(f"median {np.median(ratios):.2f}, geometric mean {np.exp(np.mean(np.log(ratios))):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
