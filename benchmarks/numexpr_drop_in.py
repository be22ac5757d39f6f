"""The drop-in beside numexpr and NumPy: the same text over the same arrays, and what a call costs.

Every result is checked against NumPy's before anything is timed. What is compared runs in turns in one process, each
number of threads in a process of its own; results are new arrays for all three.

    python benchmarks/numexpr_drop_in.py
    python benchmarks/numexpr_drop_in.py --sizes 10,1e4,1e6,1e8 --threads 1,2 --works exp_sin,a_bT

The bars: numexpr's time over ours at least 1 everywhere, at least 3 on functions and on transposed operands where there
is something to compute (1e6 elements and more), and 2.5 in the geometric mean; a cached `evaluate` costs at most a
third of numexpr's, and `re_evaluate` no more than numexpr's.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from timing import interleaved, shown

#: The cumulative normal distribution, as a logistic function: numexpr has no erf.
CDF = "1/(1 + exp(-1.5976*{0} - 0.070565992*{0}**3))"
D1 = "((log(a/b) + 0.06)/0.2)"
D2 = "((log(a/b) + 0.02)/0.2)"


def _cdf(x: Any) -> Any:
    return 1 / (1 + np.exp(-1.5976 * x - 0.070565992 * x**3))


def _black_scholes(a: Any, b: Any) -> Any:
    d1, d2 = (np.log(a / b) + 0.06) / 0.2, (np.log(a / b) + 0.02) / 0.2
    return a * _cdf(d1) - b * 0.96 * _cdf(d2)


class Work(NamedTuple):
    text: str
    numpy: Callable[..., Any]
    #: what numexpr's time over ours is to be at least, from 1e6 elements on
    bar: float = 1.0


WORKS = {
    # numexpr's README and user guide
    "sum_of_two": Work("a + 1", lambda a: a + 1),
    "linear": Work("2*a + 3*b", lambda a, b: 2 * a + 3 * b),
    "binomial": Work("a**2 + b**2 + 2*a*b", lambda a, b: a**2 + b**2 + 2 * a * b),
    "sin_sinh": Work("sin(a) + arcsinh(a/b)", lambda a, b: np.sin(a) + np.arcsinh(a / b), 3),
    "hypot": Work("sqrt(a**2 + b**2)", lambda a, b: np.sqrt(a**2 + b**2)),
    "where": Work("where(a > b, a*2, b + 1)", lambda a, b: np.where(a > b, a * 2, b + 1)),
    # its benchmarks
    "polynomial": Work("((.25*a + .75)*a - 1.5)*a - 2", lambda a: ((0.25 * a + 0.75) * a - 1.5) * a - 2),
    "powers": Work(".25*a**3 + .75*a**2 - 1.5*a - 2", lambda a: 0.25 * a**3 + 0.75 * a**2 - 1.5 * a - 2),
    "sin_cos": Work("sin(a)**2 + cos(a)**2", lambda a: np.sin(a) ** 2 + np.cos(a) ** 2, 3),
    "exp_sin": Work("exp(-a*a)*sin(b)", lambda a, b: np.exp(-a * a) * np.sin(b), 3),
    "tanh": Work("tanh(a)", lambda a: np.tanh(a), 3),
    "log1p": Work("log1p(a) - expm1(b)", lambda a, b: np.log1p(a) - np.expm1(b), 3),
    "arctan2": Work("arctan2(a, b)", lambda a, b: np.arctan2(a, b), 3),
    "black_scholes": Work(f"a*{CDF.format(D1)} - b*0.96*{CDF.format(D2)}", _black_scholes, 3),
    # layouts
    "strided": Work("s + t", lambda s, t: s + t),
    "reversed": Work("r + a", lambda r, a: r + a),
    "a_bT": Work("m + n", lambda m, n: m + n, 3),
    "abT_cT": Work("m * n + o", lambda m, n, o: m * n + o, 3),
    "rows_columns": Work("m + row + column", lambda m, row, column: m + row + column),
    "wide_broadcast": Work("sin(row) + cos(column)", lambda row, column: np.sin(row) + np.cos(column), 3),
    # reductions
    "sum": Work("sum(a*b)", lambda a, b: np.sum(a * b)),
    "sum_axis0": Work("sum(m*m, axis=0)", lambda m: np.sum(m * m, axis=0)),
    "sum_axis1": Work("sum(m*m, axis=1)", lambda m: np.sum(m * m, axis=1)),
    "max": Work("max(a)", lambda a: np.max(a)),
    "prod": Work("prod(a)", lambda a: np.prod(a)),
    # kinds
    "complex": Work("z*z + 1", lambda z: z * z + 1),
    "complex_abs": Work("abs(z).real", lambda z: np.abs(z)),
    "int": Work("i*2 + j", lambda i, j: i * 2 + j),
    "int_divisions": Work("i//j + i%j", lambda i, j: i // j + i % j),
    "long": Work("l*3 - l", lambda l: l * 3 - l),  # noqa: E741
    "float": Work("f*2 + f", lambda f: f * 2 + f),
    "float_exp": Work("exp(f)", lambda f: np.exp(f), 3),
    "remainder": Work("a % b", lambda a, b: a % b),
    "bool": Work("(p & q) | ~p", lambda p, q: (p & q) | ~p),
    "compare": Work("(a > 0.3) & (b < 0.9)", lambda a, b: (a > 0.3) & (b < 0.9)),
    "cast": Work("u + 1.5", lambda u: u + 1.5),
}


class Operands(dict[str, Any]):
    """The arrays of a size, each made when it is first asked for."""

    def __init__(self, n: int):
        super().__init__()
        self.n = n
        self.side = max(1, math.isqrt(n))
        self.rng = np.random.default_rng(0)

    def __missing__(self, name: str) -> Any:
        n, side, rng = self.n, self.side, self.rng
        match name:
            case "m":
                made = rng.random((side, side))
            case "n" | "o":
                made = rng.random((side, side)).T
            case "s" | "t":
                made = rng.random((2 * side, 2 * side))[::2, ::2]
            case "row" | "column":
                made = rng.random((1, side)) if name == "row" else rng.random((side, 1))
            case "r":
                made = rng.random(n)[::-1]
            case "i" | "j":
                made = rng.integers(1, 1000, n, dtype=np.int32)
            case "l":
                made = rng.integers(0, 1000, n)
            case "u":
                made = rng.integers(0, 100, n, dtype=np.uint8)
            case "p" | "q":
                made = rng.random(n) > 0.5
            case "f":
                made = rng.random(n, dtype=np.float32)
            case "z":
                made = rng.random(n) + 1j * rng.random(n)
            case _:
                made = rng.random(n) + 0.1
        self[name] = made
        return made


def parameters(work: Work) -> list[str]:
    code = work.numpy.__code__
    return list(code.co_varnames[: code.co_argcount])


def check(name: str, got: Any, want: Any) -> None:
    """Stop unless a result is NumPy's, up to what functions may differ by, and to float32 in sums."""
    tolerance = 1e-5 if got.dtype in (np.float32, np.complex64) else 1e-10
    assert got.shape == np.shape(want), (name, got.shape, np.shape(want))
    assert np.allclose(got, want, rtol=tolerance, atol=tolerance), name


def measure(names: list[str], sizes: list[int], rounds: int) -> bool:
    import numexpr

    import arrayexpr.adapters.numexpr as ne

    held = True
    for n in sizes:
        ratios = []
        print(f"\n{n:,} elements, {ne.get_num_threads()} thread{'s'[: ne.get_num_threads() > 1]}: numexpr, NumPy, ours")
        for name in names:
            work, operands = WORKS[name], Operands(n)
            arrays = {each: operands[each] for each in parameters(work)}
            with np.errstate(all="ignore"):
                want = work.numpy(**arrays)
                for module in (numexpr, ne):
                    check(name, module.evaluate(work.text, local_dict=arrays), want)
                del want
                timings = interleaved(
                    {
                        "numexpr": lambda: numexpr.evaluate(work.text, local_dict=arrays),  # noqa: B023
                        "numpy": lambda: work.numpy(**arrays),  # noqa: B023
                        "ours": lambda: ne.evaluate(work.text, local_dict=arrays),  # noqa: B023
                    },
                    rounds=max(3, rounds // (1 + n // 10**7)),
                )
            ours = timings["ours"].median
            ratio = timings["numexpr"].median / ours
            bar = work.bar if n >= 10**6 else 1.0
            ratios.append(ratio)
            held &= ratio >= bar
            times = "  ".join(f"{shown(timings[each].median):>9}" for each in ("numexpr", "numpy", "ours"))
            line = f"  {name:<15} {times}   {ratio:6.2f}x numexpr  {timings['numpy'].median / ours:6.2f}x NumPy"
            print(line + ("" if ratio >= bar else f"   bar {bar:g}: MISSED"), flush=True)
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        held &= mean >= 2.5
        print(f"  geometric mean {mean:.2f}, least {min(ratios):.2f}: bars 2.5 and 1")
    return held


def calls(rounds: int) -> bool:
    """A cached `evaluate` and a `re_evaluate` of ten elements, variables taken from the caller's frame."""
    import numexpr

    import arrayexpr.adapters.numexpr as ne

    a, b = np.arange(10.0), np.ones(10)
    assert np.array_equal(numexpr.evaluate("2*a + 3*b"), ne.evaluate("2*a + 3*b"))

    def evaluated(module: Any) -> Any:
        evaluate = module.evaluate
        x, y = a, b  # noqa: F841

        def call() -> Any:
            a, b = x, y  # noqa: F841
            return evaluate("2*a + 3*b")

        return call

    def re_evaluated(module: Any) -> Any:
        re_evaluate = module.re_evaluate
        x, y = a, b

        def call() -> Any:
            a, b = x, y  # noqa: F841
            return re_evaluate()

        return call

    timings = interleaved(
        {
            "numexpr.evaluate": evaluated(numexpr),
            "ours.evaluate": evaluated(ne),
            "numexpr.re_evaluate": re_evaluated(numexpr),
            "ours.re_evaluate": re_evaluated(ne),
        },
        rounds=rounds,
    )
    held = True
    for what, bar in (("evaluate", 3.0), ("re_evaluate", 1.0)):
        theirs, ours = timings[f"numexpr.{what}"].median, timings[f"ours.{what}"].median
        held &= theirs / ours >= bar
        verdict = "held" if theirs / ours >= bar else "MISSED"
        print(f"  {what:<12} numexpr {shown(theirs)}, ours {shown(ours)}: {theirs / ours:.2f}x, bar {bar:g}: {verdict}")
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,1e4,1e6", help="numbers of elements, comma between (10,1e4,1e6)")
    parser.add_argument("--threads", default="1", help="numbers, comma between (1)")
    parser.add_argument("--works", default="", help="names, comma between (all)")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    names = options.works.split(",") if options.works else list(WORKS)
    unknown = [name for name in names if name not in WORKS]
    if unknown:
        parser.error(f"no work is named {unknown[0]!r}: there are {', '.join(WORKS)}")
    numbers = options.threads.split(",")
    if len(numbers) > 1:
        failed = 0
        for number in numbers:
            failed |= subprocess.run([sys.executable, *_with(sys.argv, number)], check=False).returncode
        sys.exit(failed)
    # What is timed is compiled code: it would take over in the middle.
    os.environ["ARRAYEXPR_WAIT"] = "1"
    os.environ["NUMEXPR_NUM_THREADS"] = numbers[0]
    held = calls(options.rounds)
    held &= measure(names, [int(float(size)) for size in options.sizes.split(",")], options.rounds)
    print("\nall bars held" if held else "\nbars MISSED")
    sys.exit(0 if held else 1)


def _with(arguments: list[str], threads: str) -> list[str]:
    """The command's arguments, for one number of threads."""
    kept = list(arguments)
    for k, argument in enumerate(kept):
        if argument == "--threads":
            kept[k + 1] = threads
        elif argument.startswith("--threads="):
            kept[k] = f"--threads={threads}"
    return kept


if __name__ == "__main__":
    main()
