"""arrayexpr and its peers on the same works: checked against NumPy, timed in turns, medians and ratios.

    python -m benchmarks.field
    python -m benchmarks.field --works a_b_c,abT_cT --sizes 1000,l2,dram --threads 1,2 --json out.json --plot out.png
    python -m benchmarks.field --works all --seconds 2

Peers that are not installed are left out and said to be; NumPy is enough to run. A ratio is the time of a peer over
ours: above 1 ours is faster. Compilation and first calls are not timed. Each number of threads is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.field", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--works", default="quick", help="names, comma between, or quick, or all (quick)")
    parser.add_argument("--sizes", default="1000,l2,dram", help="of 1000, l2, dram (all three)")
    parser.add_argument("--threads", default="1", help="numbers, comma between (1)")
    parser.add_argument("--peers", default="", help="names, comma between (all that are installed)")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each peer, work and size (0.5)")
    parser.add_argument("--json", default="", help="file for the figures")
    parser.add_argument("--plot", default="", help="file for the picture, .png or .svg")
    parser.add_argument("--list", action="store_true", help="name works and peers, and stop")
    return parser.parse_args()


def limit(threads: int) -> None:
    """Before any of them is imported: the threads that libraries may use, where an environment variable says so."""
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    # Threads that spin after a call, waiting for the next one, would take the cores of the peer whose turn it is.
    os.environ["OMP_WAIT_POLICY"] = "passive"
    flags = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'} intra_op_parallelism_threads={threads}"
    os.environ["XLA_FLAGS"] = flags
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


def listing() -> None:
    from .peers import PEERS
    from .works import WORKS

    for name, work in WORKS.items():
        print(f"{name:<20}  {work.text}")
    for name, peer in PEERS.items():
        print(f"{name:<20}  {peer.NOTE}")


def known(text: str, what: str, names: Any) -> list[str]:
    found = text.split(",")
    for name in found:
        if name not in names:
            raise SystemExit(f"{what} {name!r} is unknown: expected some of {', '.join(names)}")
    return found


def one(given: argparse.Namespace, threads: int) -> dict[str, Any]:
    """All works in this process."""
    limit(threads)
    from . import report
    from .measure import measure
    from .peers import PEERS
    from .work import SIZES
    from .works import QUICK, WORKS

    works = {"quick": list(QUICK), "all": list(WORKS)}.get(given.works) or known(given.works, "work", WORKS)
    sizes = known(given.sizes, "size", SIZES)
    names = known(given.peers, "peer", PEERS) if given.peers else list(PEERS)
    if "ours" not in names:
        names.insert(0, "ours")
    present: dict[str, str] = {}
    for name in names:
        try:
            present[name] = PEERS[name].version()
            print(f"{name:<16}{present[name]:<10}{PEERS[name].NOTE}")
        except Exception as reason:
            print(f"{name:<16}absent: {reason}")
    print(flush=True)
    rows = []
    for size in sizes:
        for name in works:
            row = measure(WORKS[name], SIZES[size], threads, list(present), given.seconds, bool(given.peers))
            rows.append(row)
            print(report.lines(row) + "\n", flush=True)
    print(report.summary(rows))
    return {"peers": present, "rows": [row.asdict() for row in rows]}


def several(counts: list[int]) -> dict[str, Any]:
    """A process for each number of threads, with the other arguments as they are."""
    peers: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            path = Path(folder, f"{count}.json")
            command = [sys.executable, "-m", "benchmarks.field", *sys.argv[1:], f"--threads={count}", f"--json={path}"]
            subprocess.run([*command, "--plot="], check=True)
            found = json.loads(path.read_text())
            peers.update(found["peers"])
            rows.extend(found["rows"])
    return {"peers": peers, "rows": rows}


def main() -> int:
    given = options()
    if given.list:
        listing()
        return 0
    counts = [int(count) for count in given.threads.split(",")]
    found = one(given, counts[0]) if len(counts) == 1 else several(counts)
    from . import plot, report

    if given.json:
        report.write_json(given.json, found["peers"], found["rows"])
    if given.plot:
        try:
            plot.plot(given.plot, found["rows"])
        except ImportError as reason:
            print(f"no picture: {reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
