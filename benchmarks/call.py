"""What a call costs: kernels on few elements beside NumPy's ufuncs, the choice of a specialisation, and how many.

Every result is checked against NumPy's before anything is measured. What is compared runs in turns in one process.

    python benchmarks/call.py
    python benchmarks/call.py --elements 10 --rounds 200

The bars: a repeat call of a fused kernel of three operands with `out=` takes no longer than one ufunc with `out=`;
one of n regions takes at most 1 us and half a one for each of them;
deciding on a specialisation whose signature is known takes at most 1 us; a thousand random layouts of an expression
of three axes compile at most eight kernels.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
from timing import interleaved, shown, table

import arrayexpr


def kernels() -> tuple[Any, Any]:
    """`a * b + c` as a program, and as a function that is traced."""
    a, b, c = (arrayexpr.array(name, "float64", 1) for name in "abc")
    return arrayexpr.compile(arrayexpr.program(a * b + c)), arrayexpr.kernel(lambda a, b, c: a * b + c)


def calls(n: int, rounds: int) -> bool:
    """Repeat calls on n elements. Returns whether the bar is held."""
    program, traced = kernels()
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, n))
    out, scratch = np.empty(n), np.empty(n)
    expected = a * b + c
    for kernel in (program, traced):
        for _ in range(3):
            assert np.array_equal(kernel(a, b, c, out=out), expected)
            assert np.array_equal(kernel(a, b, c), expected)
    wide = rng.normal(size=(3, 2, n))[:, :, ::1]
    x, y, z = wide
    strided = [np.asfortranarray(v) for v in (x, y, z)]
    two = arrayexpr.kernel(lambda a, b, c: a * b + c)
    assert np.array_equal(two(*strided), x * y + z)

    def numpy_fused() -> None:
        np.multiply(a, b, out=scratch)
        np.add(scratch, c, out=out)

    timings = interleaved(
        {
            "np.add(a, b, out=out)": lambda: np.add(a, b, out=out),
            "kernel(a, b, c, out=out), of a program": lambda: program(a, b, c, out=out),
            "kernel(a, b, c, out=out), of a function": lambda: traced(a, b, c, out=out),
            "np.multiply and np.add, out=": numpy_fused,
            "np.add(a, b)": lambda: np.add(a, b),
            "kernel(a, b, c)": lambda: program(a, b, c),
            "kernel(2.0, b, c)": lambda: traced(2.0, b, c),
            "2.0 * b + c": lambda: 2.0 * b + c,
            "kernel(a, b, c), two axes, Fortran order": lambda: two(*strided),
        },
        rounds=rounds,
    )
    base = "np.add(a, b, out=out)"
    bars = {name: 1.0 for name in timings if name.startswith("kernel(a, b, c, out=out)")}
    print(f"a * b + c on {n} elements, beside one ufunc")
    print(table(timings, base, bars))
    return all(timings[name].median <= timings[base].median for name in bars)


def steps(n: int, rounds: int) -> bool:
    """Repeat calls of programs of several regions. Returns whether the bar is held."""

    def normal(x: Any) -> Any:
        return x / np.sum(x)

    def correlation(x: Any, y: Any) -> Any:
        t, u = x - np.mean(x), y - np.mean(y)
        return np.sum(t * u) / np.sqrt(np.sum(t * t) * np.sum(u * u))

    x, y = np.random.default_rng(2).uniform(1, 2, (2, n))
    works: dict[str, Any] = {}
    bars = {}
    for name, function, given in (("x / sum(x)", normal, (x,)), ("correlation(x, y)", correlation, (x, y))):
        kernel = arrayexpr.kernel(function)
        for _ in range(3):
            assert np.allclose(kernel(*given), function(*given), rtol=1e-12)
        (compiled,) = kernel.traced.compiled.values()
        regions = len(compiled.plan.steps)
        called = f"{name}, {regions} regions"
        bars[called] = 1e-6 + 0.5e-6 * regions
        works[called] = lambda kernel=kernel, given=given: kernel(*given)
        works[f"{name}, NumPy"] = lambda function=function, given=given: function(*given)
    timings = interleaved(works, rounds=rounds)
    held = all(timings[name].median <= bar for name, bar in bars.items())
    print(
        f"\nPrograms of several regions on {n} elements  (bar 1 us + 0.5 us a region: {'held' if held else 'MISSED'})"
    )
    print(table(timings, next(iter(works))))
    return held


def decisions(rounds: int) -> bool:
    """From arrays to the code for them, the signature being known. Returns whether the bar is held."""
    a, b, c = (arrayexpr.array(name, "float64", 3) for name in "abc")
    kernel = arrayexpr.compile(arrayexpr.program(a * b + c))
    x = np.random.default_rng(0).normal(size=(6, 7, 8))
    cases = {
        "C order": [x, x, x],
        "permuted, two alike": [x.transpose(1, 0, 2), x.transpose(1, 0, 2), np.ascontiguousarray(x.transpose(1, 0, 2))],
        "broadcast and reversed": [x[::-1], x[:1], x[:, :, ::-1]],
    }
    timings = {}
    for name, arrays in cases.items():
        assert np.array_equal(kernel(*arrays), arrays[0] * arrays[1] + arrays[2])
        (step,) = kernel.compiled.plan.steps
        streams = [*arrays, np.empty(np.broadcast_shapes(*(v.shape for v in arrays)))]
        step.region.decide(streams)
        timings[name] = lambda streams=streams, decide=step.region.decide: decide(streams)
    found = interleaved(timings, rounds=rounds)
    worst = max(timing.median for timing in found.values())
    verdict = "held" if worst <= 1e-6 else "MISSED"
    print(f"\nDeciding on a specialisation, three operands of three axes  (bar 1 us: {verdict})")
    print(table(found, "C order"))
    return worst <= 1e-6


def layouts(count: int) -> bool:
    """Random layouts of one expression of three axes. Returns whether the bar is held."""
    a, b, c = (arrayexpr.array(name, "float64", 3) for name in "abc")
    kernel = arrayexpr.compile(arrayexpr.program(a * b + c))
    rng = np.random.default_rng(1)
    start = time.perf_counter()
    for _ in range(count):
        shape = tuple(int(n) for n in rng.integers(1, 30, 3))
        arrays = []
        for _ in range(3):
            order = rng.permutation(3)
            steps = rng.integers(1, 3, 3)
            flips = np.where(rng.random(3) < 0.3, -1, 1)
            its = tuple(1 if rng.random() < 0.15 else n for n in shape)
            base = rng.normal(size=[its[k] * steps[k] for k in order]).transpose(np.argsort(order))
            arrays.append(base[tuple(slice(None, None, int(s * f)) for s, f in zip(steps, flips, strict=True))])
        x, y, z = arrays
        assert np.array_equal(kernel(x, y, z), x * y + z)
    (step,) = kernel.compiled.plan.steps
    compiled = len(set(step.region.codes.values()))
    taken = time.perf_counter() - start
    verdict = "held" if compiled <= 8 else "MISSED"
    print(
        f"\n{count} random layouts of a * b + c: {compiled} kernels compiled, {shown(taken)} in all  (bar 8: {verdict})"
    )
    return compiled <= 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elements", type=int, default=10, help="of each operand (10)")
    parser.add_argument("--rounds", type=int, default=100, help="of calls in turns (100)")
    parser.add_argument("--layouts", type=int, default=1000, help="random ones, to count kernels (1000)")
    options = parser.parse_args()
    held = [
        calls(options.elements, options.rounds),
        steps(options.elements, options.rounds),
        decisions(options.rounds),
        layouts(options.layouts),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
