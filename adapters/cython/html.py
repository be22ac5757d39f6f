"""The report as a page, in the manner of `cython -a`: the source, with what became of each statement and loop."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from .report import Entry

_STYLE = """
body { font-family: sans-serif; margin: 2em; color: #111; background: #fff }
pre { font-family: monospace; margin: 0; white-space: pre-wrap }
.line { display: flex } .number { color: #888; width: 4em; flex: none; text-align: right; padding-right: 1em }
.done > pre { background: #cfc } .left > pre { background: #fe9 }
.note { margin: 0 0 0 5em; padding: 0 .5em; font-size: 85%; border-left: 3px solid }
.note.done { border-color: #393 } .note.left { border-color: #c90 }
"""


def page(name: str, source: str, entries: Sequence[Entry]) -> str:
    """A self-contained HTML page of a file's source, and below each line its entries.

    >>> "&lt;b&gt;" in page("<b>.pyx", "x = 1", [Entry("<b>.pyx", 1, 0, "loop", False, "a < b")])
    True
    """
    remarks = [entry.text for entry in entries if entry.kind == "module"]
    entries = [entry for entry in entries if entry.kind != "module"]
    by_line: dict[int, list[Entry]] = {}
    for entry in entries:
        by_line.setdefault(entry.line, []).append(entry)
    done = sum(entry.done for entry in entries)
    lines = [
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(name)}</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(name)}</h1>",
        f"<p>{done} of {len(entries)} statements and loops run as kernels.</p>",
        *(f"<p>{escape(text)}</p>" for text in remarks),
    ]
    for number, text in enumerate(source.splitlines(), 1):
        own = by_line.get(number, [])
        kind = "" if not own else " done" if all(entry.done for entry in own) else " left"
        lines.append(
            f'<div class="line{kind}"><span class="number">{number}</span><pre>{escape(text) or " "}</pre></div>'
        )
        for entry in own:
            what = "raised" if entry.done else "left"
            lines.append(f'<p class="note {"done" if entry.done else "left"}">{what}: {escape(entry.text)}</p>')
    return "\n".join([*lines, "</body></html>", ""])


def write(entries: Sequence[Entry]) -> list[Path]:
    """Write a page beside each file that has entries, `smooth.arrayexpr.html` for `smooth.pyx`; gives their paths."""
    written = []
    for name in dict.fromkeys(entry.path or entry.file for entry in entries):
        source = Path(name)
        text = source.read_text(encoding="utf-8", errors="replace")
        path = source.with_suffix(".arrayexpr.html")
        path.write_text(page(source.name, text, [e for e in entries if name in (e.path, e.file)]), encoding="utf-8")
        written.append(path)
    return written
