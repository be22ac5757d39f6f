"""The rows as a picture: for each size, a line a work, a dot a peer at its time over ours, a tick at the bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def plot(path: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write the picture; the end of the path says in which format. Raises ImportError without matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    groups = list(dict.fromkeys((row["size"], row["threads"]) for row in rows))
    works = list(dict.fromkeys(row["work"] for row in rows))
    texts = {row["work"]: row["text"] for row in rows}
    peers = sorted({name for row in rows for name in row["times"]} - {"ours"})
    colours = dict(zip(peers, pyplot.get_cmap("tab20").colors, strict=False))
    figure, axes = pyplot.subplots(
        1, len(groups), sharey=True, squeeze=False, figsize=(4 + 4.5 * len(groups), 1.5 + 0.32 * len(works))
    )
    for axis, (size, threads) in zip(axes[0], groups, strict=True):
        for row in rows:
            if (row["size"], row["threads"]) != (size, threads) or "ours" not in row["times"]:
                continue
            y, ours = works.index(row["work"]), row["times"]["ours"]["median"]
            for name, timing in row["times"].items():
                if name != "ours":
                    axis.plot(timing["median"] / ours, y, "o", color=colours[name], markersize=5, alpha=0.9)
            for bar in row["bars"]:
                if bar["bar"] != "scratch":
                    axis.plot(bar["least"], y, "|", color="black" if bar["held"] else "red", markersize=14)
        axis.axvline(1.0, color="grey", linewidth=0.8)
        axis.set_xscale("log")
        axis.set_title(f"{size}, {threads} thread{'s' * (threads > 1)}")
        axis.set_xlabel("time over ours")
        axis.grid(axis="y", linewidth=0.3)
    axes[0][0].set_yticks(range(len(works)), [texts[work] for work in works])
    axes[0][0].invert_yaxis()
    handles = [pyplot.Line2D([], [], marker="o", linestyle="", color=colours[name], label=name) for name in peers]
    handles.append(pyplot.Line2D([], [], marker="|", linestyle="", color="black", label="bar (red: missed)"))
    figure.legend(handles=handles, loc="lower center", ncols=7, fontsize=8)
    figure.tight_layout(rect=(0, 0.06 + 0.2 / (1.5 + 0.32 * len(works)), 1, 1))
    figure.savefig(path, dpi=130)
