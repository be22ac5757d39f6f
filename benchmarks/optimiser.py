"""How many nodes a second go from construction through all passes, on chains and trees; PyTensor's rewriter beside it.

A chain is one expression, each node the operand of the next; a tree is balanced, over as many operands as
it has leaves. Sizes count the nodes that are built. Every pass that there is takes part, each program is
verified between passes, and the clock starts before the first node is made. Before anything is measured,
small programs are checked: the optimised one must give what the one as written gives, bit for bit.

A last table counts what k calls of a composite function of m nodes cost: time and nodes visited by all passes, which
are to grow with k + m, where expanded they would with k times m.

    python benchmarks/optimiser.py
    python benchmarks/optimiser.py --sizes 1000 10000 --pytensor-python path/to/python-with-pytensor

Beside expressions there are programs of statements: `stages`, each reading two of the thirty before it, of which every
tenth is a result, `mixed`, the same of three types, `updates`, each assigning one of forty operands from two others, a
`chain` of locals, `siblings` that read the same arrays, `stencils` by turns of two arrays, and `reductions` over rows.
Their size is the count of statements. Measured are the passes on arrays, all passes, as for C ahead of time, and the
text of the schedule, which may be much longer than the program.

The bars: at least 100,000 nodes/s at 10,000 nodes, and t(100,000) / t(10,000) at most 12; 10,000 statements in one
second.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

SHAPES = ("chain", "tree", "constants")
#: Programs of statements.
PROGRAMS = ("stages", "mixed", "updates", "chain", "siblings", "stencils", "reductions")


# -- The expressions, for any library that makes one from its operands ----------------------------


class Library(NamedTuple):
    """How a library spells what the expressions are made of."""

    operand: Callable[[int], Any]
    constant: Callable[[int], Any]
    add: Callable[[Any, Any], Any]
    multiply: Callable[[Any, Any], Any]
    negative: Callable[[Any], Any]
    sqrt: Callable[[Any], Any]


def chain(n: int, make: Library) -> Any:
    """x = sqrt(x) or x + b or x * a, n times."""
    a, b = make.operand(0), make.operand(1)
    x = a
    for k in range(n):
        x = make.sqrt(x) if k % 7 == 6 else make.add(x, b) if k % 2 else make.multiply(x, a)
    return x


def tree(n: int, make: Library) -> Any:
    """A balanced tree of sums and products over n / 2 operands."""
    level = [make.operand(k) for k in range(max(2, n // 2))]
    depth = 0
    while len(level) > 1:
        join = make.multiply if depth % 2 else make.add
        rest = [level[-1]] if len(level) % 2 else []
        level = [join(x, y) for x, y in zip(level[::2], level[1::2], strict=False)] + rest
        depth += 1
    return level[0]


def constants(n: int, make: Library) -> Any:
    """A chain in which every fourth node gives the simplifier something to do."""
    a = make.operand(0)
    x = a
    for k in range(n // 4):
        x = make.add(make.negative(make.negative(make.multiply(x, a))), make.constant(k % 50 + 2))
    return x


BUILDERS = {"chain": chain, "tree": tree, "constants": constants}


def calls(count: int, size: int) -> Any:
    """A program that calls one composite function of `size` nodes so many times, each call on the one before."""
    from arrayexpr._core.nodes import Apply, Assign, Call, Function, Operand
    from arrayexpr._core.ops import operator
    from arrayexpr._core.program import Program
    from arrayexpr._core.types import FLOAT64

    add, multiply = operator("add"), operator("multiply")
    x, y = Operand("x", FLOAT64), Operand("y", FLOAT64)
    body = x
    for k in range(size):
        body = Apply(add if k % 2 else multiply, (body, y if k % 3 else x))
    function = Function("composite", (x, y), body)
    a, b, result = (Operand(name, FLOAT64.array(1)) for name in ("a", "b", "result"))
    value = a
    for _ in range(count):
        value = Call(function, (value, b))
    return Program("calls", (a, b), (Assign(result, value),), (result,))


def measure_calls(count: int, size: int, contract: str, repeat: int, verify: bool) -> tuple[float, int]:
    """The best time of `repeat` runs, in seconds, from construction through all passes, and the nodes visited."""
    from arrayexpr._core.driver import run
    from arrayexpr._core.nodes import visited

    best = float("inf")
    for _ in range(repeat):
        gc.collect()
        before, start = visited(), time.perf_counter()
        run(calls(count, size), contract=contract, check=verify)
        best = min(best, time.perf_counter() - start)
    return best, visited() - before


def once(make: Callable[[int], Any]) -> tuple[Callable[[int], Any], dict[int, Any]]:
    """A function that makes each number's operand once, and what it has made."""
    made: dict[int, Any] = {}

    def known(k: int) -> Any:
        if k not in made:
            made[k] = make(k)
        return made[k]

    return known, made


# -- Ours ---------------------------------------------------------------------------------------


def build(shape: str, n: int) -> Any:
    """The program of one benchmark, made as a compiler makes it: by calling the classes of the nodes."""
    from arrayexpr._core.nodes import Apply, Assign, Constant, Operand
    from arrayexpr._core.ops import operator
    from arrayexpr._core.program import Program
    from arrayexpr._core.types import FLOAT64

    vector = FLOAT64.array(1)
    add, multiply, negative, sqrt = (operator(name) for name in ("add", "multiply", "negative", "sqrt"))
    operand, operands = once(lambda k: Operand(f"x{k}", vector))
    make = Library(
        operand,
        lambda k: Constant(float(k), FLOAT64),
        lambda x, y: Apply(add, (x, y)),
        lambda x, y: Apply(multiply, (x, y)),
        lambda x: Apply(negative, (x,)),
        lambda x: Apply(sqrt, (x,)),
    )
    value = BUILDERS[shape](n, make)
    result = Operand("result", vector)
    return Program(shape, operands.values(), (Assign(result, value),), (result,))


def statements(shape: str, n: int) -> Any:
    """A program of n statements, of one of PROGRAMS."""
    import random

    from arrayexpr._core.nodes import Apply, Assign, Cast, Constant, Operand, Reduce, Slice, View
    from arrayexpr._core.ops import operator
    from arrayexpr._core.program import Program
    from arrayexpr._core.types import FLOAT64, INT64, Real

    choice, vector, matrix = random.Random(0), FLOAT64.array(1), FLOAT64.array(2)
    add, multiply, subtract = binary = [operator(name) for name in ("add", "multiply", "subtract")]
    given = [Operand(f"a{k}", vector) for k in range(40)]
    made: list[Any] = []
    if shape in ("stages", "updates"):
        known, results, locals_ = list(given), [], []
        for k in range(n):
            target = choice.choice(given) if shape == "updates" else Operand(f"t{k}", vector)
            value = Apply(choice.choice(binary), (choice.choice(known[-30:]), choice.choice(known[-30:])))
            made.append(Assign(target, value))
            if shape == "stages":
                known.append(target)
                (results if k % 10 == 9 or k == n - 1 else locals_).append(target)
        return Program(shape, given, made, results, locals=locals_)
    if shape == "chain":
        locals_ = [Operand(f"t{k}", vector) for k in range(n)]
        for k, target in enumerate(locals_):
            before = locals_[k - 1] if k else given[0]
            made.append(Assign(target, Apply(binary[k % 3], (before, given[k // 3 % 4]))))
        return Program(shape, given[:4], made, locals_[-1:], locals=locals_[:-1])
    if shape == "siblings":
        results = [Operand(f"r{k}", vector) for k in range(n)]
        for k, target in enumerate(results):
            scaled = Apply(multiply, (given[k % 4], Constant(float(k), FLOAT64)))
            made.append(Assign(target, Apply(binary[k % 3], (scaled, given[k // 4 % 4]))))
        return Program(shape, given[:4], made, results)
    if shape == "mixed":
        types = (FLOAT64, Real(32), INT64)
        known_of = {t: [Operand(f"a{t.name}{k}", t.array(1)) for k in range(10)] for t in types}
        given, results, locals_ = [o for known in known_of.values() for o in known], [], []
        for k in range(n):
            t = choice.choice(types)
            target = Operand(f"t{k}", t.array(1))
            pair = [choice.choice(known_of[choice.choice(types)][-30:]) for _ in range(2)]
            value = Apply(choice.choice(binary), tuple(x if x.type.element is t else Cast(x, t) for x in pair))
            made.append(Assign(target, value))
            known_of[t].append(target)
            (results if k % 10 == 9 or k == n - 1 else locals_).append(target)
        return Program(shape, given, made, results, locals=locals_)
    if shape == "stencils":
        u, v = Operand("u", matrix), Operand("v", matrix)

        def window(of: Any, rows: tuple[int | None, int | None], columns: tuple[int | None, int | None]) -> Any:
            return View(of, (Slice(*rows), Slice(*columns)))

        for k in range(n):
            one, other = (u, v) if k % 2 == 0 else (v, u)
            rows = Apply(add, (window(one, (0, -2), (1, -1)), window(one, (2, None), (1, -1))))
            columns = Apply(add, (window(one, (1, -1), (0, -2)), window(one, (1, -1), (2, None))))
            value = Apply(multiply, (Constant(0.25, FLOAT64), Apply(add, (rows, columns))))
            made.append(Assign(window(other, (1, -1), (1, -1)), value))
        return Program(shape, (u, v), made, ())
    assert shape == "reductions", shape
    matrices = [Operand(f"m{k}", matrix) for k in range(8)]
    results = [Operand(f"r{k}", vector) for k in range(n)]
    for k, target in enumerate(results):
        scaled = Apply(add, (matrices[k // 8 % 8], Constant(float(k), FLOAT64)))
        made.append(Assign(target, Reduce(add, Apply(multiply, (matrices[k % 8], scaled)), (1,))))
    return Program(shape, matrices, made, results)


def measure_statements(shape: str, n: int, repeat: int) -> tuple[dict[str, float], int, float]:
    """The best seconds of the passes on arrays, of all passes, verified between, and of printing; how many statements
    of a schedule there are; and the MiB that the process took at the most. Meant for a process of its own."""
    import resource

    from arrayexpr._core.driver import ARRAY_PASSES, run

    best: dict[str, float] = {}
    for _ in range(repeat):
        program = statements(shape, n)
        times: dict[str, float] = {}
        gc.collect()
        start = time.perf_counter()
        run(program, ARRAY_PASSES, guarded=True)
        times["arrays"] = time.perf_counter() - start
        gc.collect()
        start = time.perf_counter()
        after = run(program)
        times["all"] = time.perf_counter() - start
        best = {key: min(value, best.get(key, value)) for key, value in times.items()}
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    str(after)
    best["print"] = time.perf_counter() - start
    return best, len(after.statements), taken


def check(contract: str) -> None:
    """Optimised programs compute what those as written do, or nothing is measured."""
    import numpy as np

    from arrayexpr._core.driver import run
    from arrayexpr._core.interpret import interpret

    rng = np.random.default_rng(0)
    for shape in SHAPES:
        program = build(shape, 60)
        arrays = {operand.name: rng.uniform(0.5, 1.5, 9) for operand in program.operands}
        storage = np.full(9, np.nan), np.full(9, np.nan)
        before = interpret(program, arrays | {"result": storage[0]})
        after = interpret(run(program, contract=contract), arrays | {"result": storage[1]})
        if contract == "exact":
            np.testing.assert_array_equal(after["result"], before["result"])
        else:
            np.testing.assert_allclose(after["result"], before["result"], rtol=1e-12)


def measure(shape: str, n: int, contract: str, repeat: int, verify: bool) -> dict[str, float]:
    """The best times of `repeat` runs, in seconds: of construction, of each pass, and of it all."""
    from arrayexpr._core.driver import passes, run

    best: dict[str, float] = {}
    for _ in range(repeat):
        gc.collect()
        times: dict[str, float] = {}
        start = time.perf_counter()
        program = build(shape, n)
        times["construction"] = time.perf_counter() - start
        run(program, contract=contract, check=verify)
        times["all"] = time.perf_counter() - start
        for name in passes():
            start = time.perf_counter()
            program = run(program, (name,), contract=contract, check=False)
            times[name] = time.perf_counter() - start
        best = {key: min(value, best.get(key, value)) for key, value in times.items()}
    return best


# -- PyTensor's ---------------------------------------------------------------------------------


def measure_pytensor(shape: str, n: int) -> float:
    """Seconds from construction through PyTensor's canonicalising and specialising rewrites, merging included."""
    import pytensor
    import pytensor.tensor as pt
    from pytensor.graph.fg import FunctionGraph

    sys.setrecursionlimit(max(sys.getrecursionlimit(), 20 * n + 1000))
    start = time.perf_counter()
    operand, operands = once(lambda k: pt.vector(f"x{k}", dtype="float64"))
    make = Library(operand, lambda k: pt.constant(float(k)), pt.add, pt.mul, pt.neg, pt.sqrt)
    value = BUILDERS[shape](n, make)
    graph = FunctionGraph(list(operands.values()), [value], clone=False)
    pytensor.compile.mode.optdb.query("+fast_run", "-inplace", "-fusion", "-cxx_only", "-BlasOpt").rewrite(graph)
    return time.perf_counter() - start


def pytensor_times(python: str, sizes: Iterable[int], limit: float) -> dict[tuple[str, int], float | str] | None:
    """PyTensor's times by shape and size, each in a process of its own; None where it is not installed."""
    probe = subprocess.run([python, "-c", "import pytensor"], capture_output=True, check=False)
    if probe.returncode:
        return None
    found: dict[tuple[str, int], float | str] = {}
    for shape in SHAPES:
        for n in sizes:
            command = [python, __file__, "--pytensor-one", shape, str(n)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
            except subprocess.TimeoutExpired:
                # Larger ones take longer still.
                found[shape, n] = f"> {limit:g} s"
                break
            if done.returncode:
                lines = [line for line in done.stderr.splitlines() if "Error" in line]
                found[shape, n] = lines[-1].split(":")[0].split(".")[-1] if lines else f"exit {done.returncode}"
            else:
                found[shape, n] = float(json.loads(done.stdout.splitlines()[-1]))
    return found


# -- The table ----------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000], metavar="N")
    parser.add_argument("--contract", choices=("exact", "fast"), default="exact")
    parser.add_argument("--repeat", type=int, default=5, help="runs, of which the best counts (default 5)")
    parser.add_argument("--no-verify", action="store_true", help="do not verify programs between passes")
    parser.add_argument("--pytensor-python", default=sys.executable, help="a Python that has PyTensor")
    parser.add_argument("--pytensor-limit", type=float, default=60.0, help="seconds for each size (default 60)")
    parser.add_argument("--pytensor-one", nargs=2, metavar=("SHAPE", "N"), help=argparse.SUPPRESS)
    parser.add_argument("--statements-one", nargs=2, metavar=("SHAPE", "N"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.statements_one:
        print(json.dumps(measure_statements(options.statements_one[0], int(options.statements_one[1]), options.repeat)))
        return
    if options.pytensor_one:
        print(json.dumps(measure_pytensor(options.pytensor_one[0], int(options.pytensor_one[1]))))
        return
    if importlib.util.find_spec("arrayexpr") is None:
        parser.error("arrayexpr is not installed")
    check(options.contract)
    from arrayexpr._core.driver import passes

    small = [n for n in options.sizes if n <= 10_000]
    theirs = pytensor_times(options.pytensor_python, small, options.pytensor_limit)
    found = "not installed" if theirs is None else "measured"
    print(f"contract {options.contract}; PyTensor: {found}; times in microseconds a node, the best of {options.repeat}")
    columns = ["construction", *passes()]
    print(f"{'shape':<10}{'nodes':>8}{'nodes/s':>12}  " + "".join(f"{name:>14}" for name in columns), end="")
    print(f"{'all':>8}{'PyTensor nodes/s':>18}{'ours':>8}")
    totals: dict[tuple[str, int], float] = {}
    for shape in SHAPES:
        for n in options.sizes:
            times = measure(shape, n, options.contract, options.repeat, not options.no_verify)
            totals[shape, n] = times["all"]
            row = f"{shape:<10}{n:>8}{n / times['all']:>12,.0f}  "
            row += "".join(f"{times[name] / n * 1e6:>14.2f}" for name in columns)
            row += f"{times['all'] / n * 1e6:>8.2f}"
            other = None if theirs is None else theirs.get((shape, n))
            if isinstance(other, float):
                row += f"{n / other:>18,.0f}{other / times['all']:>7.0f}x"
            else:
                row += f"{other or '-':>18}"
            print(row)
    print(f"{'calls':>8}{'nodes each':>12}{'ms':>10}{'visits':>12}{'visits a call or node':>24}")
    for count, size in ((1000, 10), (10, 1000), (1000, 1000), (10_000, 1000), (1000, 10_000)):
        seconds, visits = measure_calls(count, size, options.contract, options.repeat, not options.no_verify)
        print(f"{count:>8}{size:>12}{seconds * 1e3:>10.1f}{visits:>12,}{visits / (count + size):>24.1f}")
    header = f"\n{'statements':<12}{'count':>8}{'left':>8}{'arrays, ms':>12}{'all, ms':>10}{'text, ms':>10}{'MiB':>8}"
    print(header)
    for shape in PROGRAMS:
        for n in (1_000, 10_000):
            command = [sys.executable, __file__, "--statements-one", shape, str(n), "--repeat", str(options.repeat)]
            best, left, taken = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            times = f"{best['arrays'] * 1e3:>12.0f}{best['all'] * 1e3:>10.0f}{best['print'] * 1e3:>10.0f}"
            print(f"{shape:<12}{n:>8}{left:>8}{times}{taken:>8.0f}", flush=True)
    for shape in SHAPES:
        if (shape, 10_000) in totals and (shape, 100_000) in totals:
            print(f"{shape}: t(100,000) / t(10,000) = {totals[shape, 100_000] / totals[shape, 10_000]:.1f}")


if __name__ == "__main__":
    main()
