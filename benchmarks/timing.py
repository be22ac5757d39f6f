"""Timing for the benchmarks: what is compared runs in turns, so that all see the same machine; medians and ratios."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Timing(NamedTuple):
    """Seconds a call: the median over rounds, and the quarter below and above which a quarter of the rounds lie."""

    median: float
    low: float
    high: float


def interleaved(
    calls: Mapping[str, Callable[[], object]], *, rounds: int = 50, at_least: float = 2e-3
) -> dict[str, Timing]:
    """The time of each call. In every round each is called in turn, often enough to take `at_least` seconds.

    Every round has another order: what a call leaves in the caches is not always the same one's to pay for.
    """
    counts = {name: _count(call, at_least) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    order = random.Random(0)
    enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            order.shuffle(names)
            for name in names:
                call, repeat = calls[name], range(counts[name])
                start = time.perf_counter()
                for _ in repeat:
                    call()
                times[name].append((time.perf_counter() - start) / len(repeat))
    finally:
        if enabled:
            gc.enable()
    return {name: _timing(found) for name, found in times.items()}


def _count(call: Callable[[], object], at_least: float) -> int:
    """How many calls take that long; the calls made to find out are warm-up."""
    count = 1
    while True:
        start = time.perf_counter()
        for _ in range(count):
            call()
        taken = time.perf_counter() - start
        if taken >= at_least / 2:
            return max(1, round(count * at_least / taken))
        count *= 4


def _timing(times: Sequence[float]) -> Timing:
    if len(times) < 2:
        return Timing(times[0], times[0], times[0])
    low, median, high = statistics.quantiles(times, n=4)
    return Timing(median, low, high)


def shown(seconds: float) -> str:
    """A time in the unit that fits it.

    >>> shown(0.0123), shown(4.5e-8)
    ('12.3 ms', '45.0 ns')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.1f} ns"


def table(timings: Mapping[str, Timing], base: str, bars: Mapping[str, float] | None = None) -> str:
    """The timings as lines of text, each with its ratio to `base`; `bars` are the ratios that some may not exceed."""
    width = max(map(len, timings))
    lines = []
    for name, timing in timings.items():
        ratio = timing.median / timings[base].median
        between = f"({shown(timing.low)} to {shown(timing.high)})"
        line = f"  {name:<{width}}  {shown(timing.median):>9}  {between:<22}  {ratio:6.2f}x"
        if bars and name in bars:
            line += f"  bar {bars[name]:.2f}x: {'held' if ratio <= bars[name] else 'MISSED'}"
        lines.append(line)
    return "\n".join(lines)
