"""Random functions that Numba compiles with our pass and without, under random flags, compared for as long as wanted.

    python tests/tools/numba_fuzz.py --minutes 20 --seed 1
    python tests/tools/numba_fuzz.py --only nests --flags fastmath,parallel

Array statements, calls and reductions, and nests of loops, each with flags of its own (fastmath, boundscheck,
error_model, nogil, cache, parallel). Prints each function of which results differ, with its seed and its flags, and at
the end how many functions, statements and nests were taken; the exit status is 1 where one differed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
from numba.core.errors import NumbaPerformanceWarning

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from numba_differential import Taken, differential, nest_differential  # noqa: E402

FLAGS: Final[dict[str, Any]] = {
    "fastmath": True, "boundscheck": True, "error_model": "numpy", "nogil": True, "parallel": True, "cache": True,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds that are gone through")
    parser.add_argument("--only", choices=("statements", "calls", "nests"))
    parser.add_argument("--flags", default=",".join(FLAGS), help="those that may be set")
    given = parser.parse_args()
    allowed = [name for name in given.flags.split(",") if name]
    # Of functions that have nothing to run in parallel.
    warnings.simplefilter("ignore", NumbaPerformanceWarning)
    end = time.monotonic() + 60 * given.minutes
    seed, wrong, nests = given.seed, 0, 0
    used: dict[str, int] = dict.fromkeys([*allowed, "statements", "calls", "nests"], 0)
    with tempfile.TemporaryDirectory() as folder, Taken() as taken:
        numba.config.CACHE_DIR = str(Path(folder) / "cache")
        while time.monotonic() < end:
            rng = np.random.default_rng(seed)
            flags = {name: FLAGS[name] for name in allowed if rng.random() < 0.25}
            kind = given.only or ("statements", "calls", "nests")[seed % 3]
            for name in (*flags, kind):
                used[name] += 1
            into = Path(folder) if flags.pop("cache", False) else None
            try:
                if kind == "nests":
                    nests += nest_differential(seed, into, **flags)
                else:
                    differential(seed, kind == "calls", into, **flags)
            except Exception:
                wrong += 1
                print(f"seed {seed} {kind} {flags} {'cache' if into else ''}\n{traceback.format_exc()}", flush=True)
            seed += 1
    print(
        f"{seed - given.seed} functions ({', '.join(f'{count} {name}' for name, count in used.items())}): "
        f"{taken.statements} statements taken, {taken.fused} of them fused, {taken.reductions} reductions, "
        f"{nests} functions with nests; {wrong} differed"
    )
    return 1 if wrong or not taken.statements + nests else 0


if __name__ == "__main__":
    sys.exit(main())
