"""What the adapter did with each statement and loop, or why it left it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One statement or loop: `done` says whether a kernel computes it, `text` what it became or why it was left.

    Of the kind "module" it is what all kernels of a module take. `file` is what Cython calls the file, `path` where
    it is.
    """

    file: str
    line: int
    column: int
    kind: str
    done: bool
    text: str
    path: str = ""

    def __str__(self) -> str:
        became = "" if self.kind == "module" else " raised" if self.done else " left"
        return f"{self.file}:{self.line}:{self.column}: {self.kind}{became}: {self.text}"


_listeners: list[list[Entry]] = []


@contextmanager
def collected() -> Iterator[list[Entry]]:
    """The entries of all modules that are compiled in this process while this is entered, in order."""
    entries: list[Entry] = []
    _listeners.append(entries)
    try:
        yield entries
    finally:
        _listeners.remove(entries)


def raised(pos: Any, kind: str, text: str) -> None:
    _add(pos, kind, True, text)


def left(pos: Any, kind: str, text: str) -> None:
    _add(pos, kind, False, text)


def module(pos: Any, text: str) -> None:
    _add(pos, "module", True, text)


def _add(pos: Any, kind: str, done: bool, text: str) -> None:
    if _listeners:
        source, line, column = pos
        path = str(getattr(source, "filename", None) or "")
        entry = Entry(source.get_description(), line, column, kind, done, text, path)
        for entries in _listeners:
            # A function with fused types is compiled once for each of them.
            if entry not in entries:
                entries.append(entry)
