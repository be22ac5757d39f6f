"""Whole programs: time loops of stencils, recurrences, and work around effects, beside NumPy and numba.

A function is written as a NumPy user writes it, and runs as it is, by `@arrayexpr.kernel`, and by numba where that is
installed: there as loops over elements, where those suit it better. Every result is checked against NumPy's before
anything is measured. What is compared runs in turns in one process, in one thread.

    python benchmarks/programs.py
    python benchmarks/programs.py --only "jacobi 100 x 100" recurrence
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from timing import interleaved, table

import arrayexpr
from arrayexpr._core.parser import parse

try:
    from numba import njit
except ImportError:
    njit = None


def jacobi(u: Any, v: Any, n: Any) -> None:
    for _ in range(n):
        v[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
        u[...] = v


def jacobi_loops(u: Any, v: Any, n: Any) -> None:
    for _ in range(n):
        for i in range(1, u.shape[0] - 1):
            for j in range(1, u.shape[1] - 1):
                v[i, j] = 0.25 * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
        u[...] = v


def wave(u: Any, before: Any, n: Any) -> None:
    for _ in range(n):
        before[1:-1] = 2 * u[1:-1] - before[1:-1] + 0.25 * (u[2:] - 2 * u[1:-1] + u[:-2])
        t = u * 1
        u[...] = before
        before[...] = t


def decay(u: Any, a: Any) -> None:
    for k in range(1, u.shape[0]):
        u[k] = u[k - 1] * np.exp(-a) + a


def decay_loops(u: Any, a: Any) -> None:
    e = np.exp(-a)
    for k in range(1, u.shape[0]):
        for j in range(u.shape[1]):
            u[k, j] = u[k - 1, j] * e[j] + a[j]


def recurrence(a: Any, b: Any) -> None:
    for i in range(1, a.shape[0]):
        a[i] = a[i - 1] * b[i]


def smooth(a: Any, b: Any) -> None:
    for i in range(1, a.shape[0]):
        a[i] = 0.5 * a[i - 1] + 0.5 * b[i]


def gauss_seidel(u: Any, n: Any) -> None:
    for _ in range(n):
        for i in range(1, u.shape[0] - 1):
            for j in range(1, u.shape[1] - 1):
                u[i, j] = 0.25 * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])


class Work(NamedTuple):
    """A function, what it is given, and the loops that suit numba where they are others. `slow` is what NumPy's
    interpreter takes too long for."""

    function: Callable[..., Any]
    given: Callable[[], tuple[Any, ...]]
    loops: Callable[..., Any] | None = None
    slow: bool = False


def _square(n: int, steps: int) -> Callable[[], tuple[Any, ...]]:
    def given() -> tuple[Any, ...]:
        u = np.random.default_rng(0).random((n, n))
        return u, u.copy(), steps

    return given


def _vectors() -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    return rng.random(1_000_000), rng.uniform(0.999, 1.001, 1_000_000)


WORKS = {
    **{
        f"jacobi {n} x {n}": Work(jacobi, _square(n, steps), jacobi_loops)
        for n, steps in ((10, 1000), (100, 300), (1000, 20), (3000, 10))
    },
    "wave": Work(wave, lambda: (*(np.random.default_rng(k).random(10_000) for k in (0, 1)), 100)),
    "decay": Work(decay, lambda: (np.ones((1000, 300)), np.random.default_rng(0).random(300)), decay_loops),
    "recurrence": Work(recurrence, _vectors, slow=True),
    "smooth": Work(smooth, _vectors, slow=True),
    "gauss-seidel": Work(gauss_seidel, lambda: (np.random.default_rng(0).random((500, 500)), 4), slow=True),
}


def measure(name: str, rounds: int) -> tuple[float, str]:
    """The time beside the fastest other, and a table."""
    work = WORKS[name]
    kernel = arrayexpr.kernel(work.function, wait=True)
    calls: dict[str, Callable[..., Any]] = {"arrayexpr": kernel}
    if not work.slow:
        calls["NumPy"] = work.function
    if njit is not None:
        calls["numba"] = njit(work.loops or work.function)
    expected = work.given()
    # Element by element NumPy takes seconds: numba's result is the check then.
    (work.function if not work.slow or njit is None else njit(work.function))(*expected)
    for peer, call in calls.items():
        given = work.given()
        call(*given)
        for one, two in zip(expected, given, strict=True):
            np.testing.assert_allclose(two, one, rtol=1e-10, atol=1e-300, err_msg=f"{name}, {peer}")
    arrays = {peer: work.given() for peer in calls}
    timings = interleaved({p: lambda p=p, c=c: c(*arrays[p]) for p, c in calls.items()}, rounds=rounds)
    others = {peer: timing.median for peer, timing in timings.items() if peer != "arrayexpr"}
    if not others:
        return 1.0, f"{name}\n{table(timings, 'arrayexpr')}"
    best = min(others, key=lambda peer: others[peer])
    ratio = timings["arrayexpr"].median / others[best]
    return ratio, f"{name}\n{table(timings, 'arrayexpr')}\n  {ratio:.2f} of {best}"


def effects(rounds: int) -> str:
    """What an effect between two regions costs: one that calls a function of the host which does nothing."""
    head = "def f(a: float64[:], b: float64[:], c: float64[:], *, r: float64[:]):\n"
    first, last = "    b[...] = a * 2.0 + c\n", "    r[...] = b + a\n"
    call = '    side_effect(opaque("tick", {0}, type=float64), reads=("{0}",), writes=())\n'
    made = {
        "no effect": head + first + last,
        "an effect that both pass": head + first + call.format("c") + last,
        "an effect between them": head + first + call.format("b") + last,
        "one that is interpreted": head + first + call.format("b").replace("opaque(", "-opaque(") + last,
    }
    said = (f"effects, {length} elements\n{_effects(made, length, rounds)}" for length in (100, 100_000))
    return "\n\n".join(said)


def _effects(made: dict[str, str], length: int, rounds: int) -> str:
    a, b, c = (np.ones(length) for _ in range(3))
    r = np.empty(length)

    def tick(x: Any) -> float:
        return 0.0

    def numpy() -> None:
        np.add(a * 2.0, c, out=b)
        tick(b)
        np.add(b, a, out=r)

    def caller(text: str) -> Callable[[], object]:
        kernel = arrayexpr.compile(parse(text).replace(hosts={"tick": tick}), wait=True)
        return lambda: kernel(a, b, c, out=r)

    calls = {name: caller(text) for name, text in made.items()} | {"NumPy": numpy}
    return table(interleaved(calls, rounds=rounds), "no effect")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=[*WORKS, "effects"], nargs="+", default=[*WORKS, "effects"])
    options = parser.parse_args()
    arrayexpr.set_num_threads(1)
    results = []
    for name in options.only:
        if name == "effects":
            print(effects(options.rounds), end="\n\n", flush=True)
            continue
        ratio, said = measure(name, options.rounds)
        print(said, end="\n\n", flush=True)
        results.append((ratio, name))
    print("worst first, beside the fastest other:")
    for ratio, name in sorted(results, reverse=True):
        print(f"  {ratio:5.2f}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
