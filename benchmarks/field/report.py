"""The rows as text and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..timing import shown
from .measure import Row


def lines(row: Row) -> str:
    """One work: each peer with its time and the ratio to ours, the fastest first; then the bars."""
    out = [f"{row.text}   [{row.work}, {row.size}, {row.threads} thread{'s' * (row.threads > 1)}]"]
    width = max(map(len, [*row.times, *row.failures]), default=0)
    for name, timing in sorted(row.times.items(), key=lambda item: item[1].median):
        between = f"({shown(timing.low)} to {shown(timing.high)})"
        cores = row.cores.get(name, 0.0)
        more = f"  on {cores:.1f} processors" if cores > row.threads + 0.3 else ""
        out.append(f"  {name:<{width}}  {shown(timing.median):>9}  {between:<22}  {row.ratio(name):6.2f}x{more}")
    out.extend(f"  {name:<{width}}  {why}" for name, why in row.failures.items())
    out.extend(f"  bar: {bar_text(bar)}" for bar in row.bars)
    return "\n".join(out)


def bar_text(bar: dict[str, Any]) -> str:
    verdict = "held" if bar["held"] else "MISSED"
    if bar["bar"] == "scratch":
        return f"scratch {bar['ratio'] / 2**20:.2f} MiB, at most {bar['least'] / 2**20:.2f}: {verdict}"
    against = {"best": f"best peer ({bar['against']})", "hand": "hand-tuned C"}.get(bar["bar"], bar["bar"])
    # On a machine that others load, the low quarters say more than medians; the verdict is the medians'.
    ratio = f"{bar['ratio']:.2f} (of low quarters {bar['low']:.2f})"
    return f"{against} over ours {ratio}, at least {bar['least']:.2f}: {verdict}"


def score(bar: dict[str, Any]) -> float:
    """How far a bar is reached: 1 is just held."""
    return bar["least"] / max(bar["ratio"], 1.0) if bar["bar"] == "scratch" else bar["ratio"] / bar["least"]


def summary(rows: Sequence[Row]) -> str:
    """All bars, the one that is furthest from being held first."""
    found = [(score(bar), row, bar) for row in rows for bar in row.bars]
    failed = [f"  {row.work:<20} {row.size:<5} {row.failures['ours']}" for row in rows if "ours" in row.failures]
    held = sum(bar["held"] for _, _, bar in found)
    out = [f"{held} of {len(found)} bars held; the worst first (score: ratio over bar)"]
    for value, row, bar in sorted(found, key=lambda item: item[0]):
        out.append(f"  {row.work:<20} {row.size:<5} {row.threads}  {value:6.2f}  {bar_text(bar)}")
    return "\n".join([*out, *(["ours has no right result for:", *failed] if failed else [])])


def machine() -> dict[str, Any]:
    """Where and under what load it was measured."""
    try:
        with open("/proc/cpuinfo") as file:
            model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        model = platform.processor()
    return {"processor": model, "cores": os.cpu_count(), "load": os.getloadavg(), "python": platform.python_version()}


def write_json(path: str, peers: dict[str, str], rows: Sequence[dict[str, Any]]) -> None:
    found = {"machine": machine(), "peers": peers, "rows": list(rows)}
    Path(path).write_text(json.dumps(found, indent=1) + "\n")
