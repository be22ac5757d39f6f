"""Runs tests of Numba's own suite with the pass in every compile and without it, and compares them test by test.

    python tests/tools/numba_suite.py
    python tests/tools/numba_suite.py test_parfors.TestPrangeBasic test_indexing --log /tmp/suite.txt

Prints a line for each test that ended otherwise with the pass, with the reason where it asks what the IR looks like
rather than what is computed, and how many ended alike; the exit status is 1 where there is another difference.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

MODULES: Final = ("test_array_exprs", "test_dyn_array", "test_array_methods", "test_indexing", "test_parfors")

#: Tests of what the IR looks like, not of what is computed, and why they end otherwise.
SHAPE_OF_IR: Final = {
    "test_annotations": "asks for a named temporary in the annotated IR, which is part of what the pass fuses",
    "test_common_subexpressions": "counts array expressions: named temporaries are expressions of their own in Numba's",
    "test_complex_subexpression": "counts array expressions, as the one before",
    "test_explicit_output": "asks that a ufunc with an out is no array expression: the pass makes it one",
}

_STARTED = re.compile(r"^(test\w*) \(([\w.]+)\)")
_ENDED = re.compile(r"(?:\.\.\. |^)(ok|FAIL|ERROR|skipped\b.*|expected failure|unexpected success)$")


def outcomes(name: str, installed: bool, folder: Path, log: Path | None = None) -> dict[str, str]:
    """By test, how it ended: ok, FAIL, ERROR, skipped and its like. `name` is a module of Numba's tests, or a class of
    one; what the run said is appended to `log`."""
    code = "import sys, arrayexpr.adapters.numba as ours\n" + "ours.install()\n" * installed
    # Classes of test_parfors skip what they have, and run it in a child, unless they are told that they are the child.
    done = subprocess.run(
        [sys.executable, "-c", code + "from numba.testing import run_tests\nrun_tests(sys.argv)", "-v",
         f"numba.tests.{name}"],
        capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, "SUBPROC_TEST": "1"},
    )  # fmt: skip
    if log is not None:
        with log.open("a") as file:
            file.write(f"== {name} {'with the pass' if installed else 'stock'}\n{done.stdout}{done.stderr}\n")
    found: dict[str, str] = {}
    started = None
    for line in done.stderr.splitlines():
        if match := _STARTED.match(line):
            place, method = match[2], match[1]
            # From Python 3.11 on the class is followed by the method.
            started = place if place.endswith(f".{method}") else f"{place}.{method}"
        if started is not None and (match := _ENDED.search(line)):
            found[started.removeprefix("numba.tests.")] = match[1].partition(" ")[0].strip("'")
            started = None
    if f"Ran {len(found)} test" not in done.stderr:
        last = "\n".join(done.stderr.splitlines()[-5:])
        raise RuntimeError(f"{name}: read the end of {len(found)} tests, but it says:\n{last}")
    return found


def differences(stock: dict[str, str], ours: dict[str, str]) -> dict[str, tuple[str, str]]:
    """By test, how it ended without the pass and with it, where that differs."""
    return {
        test: (stock.get(test, "missing"), ours.get(test, "missing"))
        for test in sorted({*stock, *ours})
        if stock.get(test) != ours.get(test)
    }


def reason(test: str) -> str | None:
    """Why a test may end otherwise, or None."""
    return SHAPE_OF_IR.get(test.rpartition(".")[2])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=MODULES, help="modules of numba.tests, or classes in them")
    parser.add_argument("--log", type=Path, help="a file that what the runs say is appended to")
    given = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names:
            stock, ours = (outcomes(name, installed, Path(folder), given.log) for installed in (False, True))
            found = differences(stock, ours)
            for test, (before, after) in found.items():
                print(f"{test}: {before} without, {after} with the pass: {reason(test) or 'NOT KNOWN WHY'}")
                wrong += reason(test) is None
            ended = ", ".join(f"{count} {how}" for how, count in Counter(stock.values()).items())
            print(f"{name}: {len(stock)} tests ({ended}), {len(found)} ended otherwise", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
