"""From a cold process to the first result of a new expression, beside NumPy's own process; then with a warm cache.

Each figure is that of a whole process: start, imports, arrays, the first result. Every cold process of ours has an
expression that no process before had, and an empty cache of kernels; after the clock it waits for compiled code, and
another process then computes the same with the cache as that one left it. Processes of all kinds run in turns. Each
checks its result against NumPy's, after the clock.

    python benchmarks/first_result.py
    python benchmarks/first_result.py --elements 1000000 --rounds 15

The bars: a cold process takes at most 1.2 of NumPy's; a process with a warm cache compiles nothing, and its first call
is shown beside its next ones: it has page faults and the tracing of the function to pay, but runs compiled code.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# `factor` makes each round's expression another one.
_HEAD = """
import sys, time, json
import numpy as np
a, b = np.arange({n}.0) / {n}, np.arange({n}.0)[::-1] / {n}
"""
_NUMPY = """
start = time.perf_counter()
r = np.sqrt(a * a + {factor} * b) / (1.0 + a) - b
first = time.perf_counter() - start
"""
_OURS = """
import arrayexpr
@arrayexpr.kernel
def work(a, b):
    return np.sqrt(a * a + {factor} * b) / (1.0 + a) - b
start = time.perf_counter()
r = work(a, b)
first = time.perf_counter() - start
"""
_END = """
# What is written is complete before the checks, which are no part of it.
print(json.dumps({{"first": first}}), flush=True)
sys.stdin.readline()
assert np.array_equal(r, np.sqrt(a * a + {factor} * b) / (1.0 + a) - b)
{after}
"""
_AGAIN = """
times = []
for _ in range(20):
    start = time.perf_counter()
    work(a, b)
    times.append(time.perf_counter() - start)
print(json.dumps({"next": sorted(times)[len(times) // 2]}), flush=True)
"""
# One call does not pay for a compiler, so none has been asked for yet.
_KEEP = "assert work.wait()"


def process(body: str, cache: str, elements: int, factor: float, after: str = "") -> dict[str, float]:
    """One process; `whole` is the time from its start to its first result. What it prints `after` that is added."""
    text = (_HEAD + body + _END).format(n=elements, factor=factor, after=after)
    environment = {**os.environ, "ARRAYEXPR_CACHE_DIR": cache, "OMP_NUM_THREADS": "1"}
    # An installed package has its bytecode, as NumPy has; a checkout is to have it too.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert child.stdin is not None and child.stdout is not None
    line = child.stdout.readline()
    whole = time.perf_counter() - start
    rest, _ = child.communicate("\n")
    if child.returncode or not line:
        raise SystemExit(f"a process failed:\n{text}")
    found: dict[str, float] = {**json.loads(line), "whole": whole}
    return {**found, **json.loads(rest)} if rest else found


def entries(cache: str) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(Path(cache).rglob("*.so"))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elements", type=int, default=1_000_000, help="of each operand (1000000)")
    parser.add_argument("--rounds", type=int, default=9, help="of processes in turns (9)")
    parser.add_argument("--json", default="", help="file for the figures")
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {"NumPy": [], "ours, cold": [], "ours, warm cache": []}
    written = 0
    for number in range(options.rounds + 1):
        # The process's id too: no run before has had this expression.
        factor = 2.0 + number + (os.getpid() % 9973) / 10000
        with tempfile.TemporaryDirectory() as cache:
            given: dict[str, Any] = {"cache": cache, "elements": options.elements, "factor": factor}
            numpys = process(_NUMPY, **given)
            cold = process(_OURS, after=_KEEP, **given)
            before = entries(cache)
            warm = process(_OURS, after=_AGAIN, **given)
            written += entries(cache) != before or not before
        # The first round fills the system's own cache of files.
        if number:
            for name, figures in zip(found, (numpys, cold, warm), strict=True):
                found[name].append(figures)
    medians = {
        name: {key: statistics.median(f[key] for f in figures) for key in figures[0]} for name, figures in found.items()
    }
    base = medians["NumPy"]["whole"]
    print(f"a new expression, {options.elements} elements: from the start of the process, medians of {options.rounds}")
    for name, figures in medians.items():
        parts = f"first call {figures['first'] * 1e3:8.2f} ms"
        if "next" in figures:
            parts += f", next calls {figures['next'] * 1e3:.2f} ms"
        print(f"  {name:<18}{figures['whole'] * 1e3:8.1f} ms {figures['whole'] / base:6.2f}x   {parts}")
    held = {
        "a cold process at most 1.2 of NumPy's": medians["ours, cold"]["whole"] <= 1.2 * base,
        f"a warm cache is not written ({written} of {options.rounds + 1} processes wrote it)": not written,
    }
    for bar, fine in held.items():
        print(f"  bar: {bar}: {'held' if fine else 'MISSED'}")
    if options.json:
        Path(options.json).write_text(json.dumps({"medians": medians, "bars": held}, indent=1) + "\n")
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
