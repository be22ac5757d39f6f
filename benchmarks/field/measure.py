"""One work at one size: every peer checked against NumPy, then all timed in turns."""

from __future__ import annotations

import math
import os
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..timing import Timing, interleaved
from .peers import PEERS, SPECIAL
from .peers.run import Cannot, Run
from .work import Problem, Size, Work, error, problem

# Of the arrays that a result is compared on; none of it is left from the peer before.
_FILL = {"f": np.nan, "c": np.nan, "i": 99, "b": True}
_NOT_PEERS = ("ours", "ours, contiguous")


@dataclass
class Row:
    """What was found: seconds by peer, why others have none, and each bar with its ratio."""

    work: str
    text: str
    size: str
    threads: int
    times: dict[str, Timing] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    # Processor seconds in a second of a call: whether a peer kept to its threads.
    cores: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    bars: list[dict[str, Any]] = field(default_factory=list)

    def best(self) -> str | None:
        """The fastest peer; hand-tuned C is none."""
        peers = [name for name in self.times if name not in _NOT_PEERS and not name.startswith("hand")]
        return min(peers, key=lambda name: self.times[name].median, default=None)

    def ratio(self, name: str | None) -> float:
        """The time of a peer over ours; nan where one is missing."""
        if name not in self.times or "ours" not in self.times:
            return math.nan
        return self.times[name].median / self.times["ours"].median

    def asdict(self) -> dict[str, Any]:
        found = asdict(self)
        found["times"] = {name: timing._asdict() for name, timing in self.times.items()}
        return {**found, "best": self.best(), "best_ratio": self.ratio(self.best())}


def measure(work: Work, size: Size, threads: int, names: Sequence[str], seconds: float, every: bool = False) -> Row:
    """Check and time one work; `every` has special peers run where the work does not name them too."""
    row = Row(work.name, work.text, size.name, threads)
    made = problem(work, size)
    before = [operand.base.copy() for operand in made.operands.values()] if work.in_place else []
    runs: dict[str, Run] = {}
    for name in names:
        if name in SPECIAL and not (every or name in work.also):
            continue
        # Of two forms of the loops one is enough where there is one thread.
        if name == "numba-parallel" and threads == 1 and not every:
            continue
        _add(row, runs, name, name, made, threads, before)
    if "ours" in names and any(bar.against == "contiguous" for bar in work.bars):
        _add(row, runs, "ours, contiguous", "ours", made.contiguous(), threads, [])
    if "ours" in runs and any(bar.against == "scratch" for bar in work.bars):
        scratch = _scratch(runs["ours"])
    if work.in_place:
        # Values would grow from call to call; what they are takes no time.
        for operand in made.operands.values():
            operand.base[...] = 0
    if runs:
        calls = {name: run.call for name, run in runs.items()}
        rounds, at_least = _rounds(calls, seconds)
        for name, call in calls.items():
            row.cores[name] = _cores(call)
        row.times = interleaved(calls, rounds=rounds, at_least=at_least)
    for bar in work.bars:
        if size.name in bar.sizes and "ours" in runs:
            found = {"bar": bar.against, "least": bar.least}
            if bar.against == "scratch":
                row.bars.append({**found, "against": "bytes", "ratio": scratch, "held": scratch <= bar.least})
                continue
            against = row.best() if bar.against == "best" else _named(row, bar.against)
            ratio = row.ratio(against)
            if not math.isnan(ratio):
                low = row.times[against].low / row.times["ours"].low
                row.bars.append({**found, "against": against, "ratio": ratio, "low": low, "held": ratio >= bar.least})
    return row


def _named(row: Row, against: str) -> str | None:
    if against == "contiguous":
        return "ours, contiguous"
    if against == "hand":
        hands = [name for name in row.times if name.startswith("hand")]
        return min(hands, key=lambda name: row.times[name].median, default=None)
    return against


def _add(
    row: Row, runs: dict[str, Run], label: str, name: str, made: Problem, threads: int, before: list[np.ndarray]
) -> None:
    """Prepare a peer, and keep it if what it gives is right."""
    peer = PEERS[name]
    try:
        for operand, base in zip(made.operands.values(), before, strict=bool(before)):
            operand.base[...] = base
        run = peer.prepare(made, threads)
        # Twice: what the first call compiles or traces may differ from what others run.
        for _ in range(2):
            for operand, base in zip(made.operands.values(), before, strict=bool(before)):
                operand.base[...] = base
            if not before:
                for result in made.results:
                    result.base[...] = _FILL[result.base.dtype.kind]
            run.call()
            row.errors[label] = max(row.errors.get(label, 0.0), error(run.results(), made))
    except Cannot as reason:
        if str(reason):
            row.failures[label] = str(reason)
    except Exception as reason:
        # A peer that fails must not take the others with it.
        row.failures[label] = f"{type(reason).__name__}: {str(reason).strip().splitlines()[0] if str(reason) else ''}"
    else:
        if row.errors[label] <= made.work.tolerance:
            runs[label] = run
        else:
            row.failures[label] = f"WRONG: error of {row.errors[label]:.3g} units, {made.work.tolerance:g} are allowed"


def _rounds(calls: Mapping[str, Any], seconds: float) -> tuple[int, float]:
    """How many rounds fill the time for each call, and how long a turn is."""
    longest = 0.0
    for call in calls.values():
        start = time.perf_counter()
        call()
        longest += time.perf_counter() - start
    at_least = 1e-3
    each = max(longest, at_least * len(calls))
    return max(5, min(51, round(seconds * len(calls) / each))), at_least


def _cores(call: Any) -> float:
    """Processor time over time, of calls that take long enough for the clock of processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    while True:
        call()
        if time.perf_counter() - wall > 0.02:
            return (time.process_time() - cpu) / (time.perf_counter() - wall)


def _scratch(run: Run) -> float:
    """The bytes that a call takes beside its arrays: what NumPy allocates, or memory that becomes resident.

    Resident memory is Linux's to tell; elsewhere what NumPy allocates is all.
    """
    run.call()
    tracemalloc.start()
    run.call()
    traced = float(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    try:
        before = _status("VmRSS")
        with open("/proc/self/clear_refs", "w") as file:
            # The highest resident size so far starts anew.
            file.write("5")
        run.call()
        return max(traced, float(_status("VmHWM") - before))
    except OSError:
        return traced


def _status(key: str) -> int:
    with open(f"/proc/{os.getpid()}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))
