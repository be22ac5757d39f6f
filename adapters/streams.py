"""Rows stored past the caches, in C: calls of the copies in `primitives/stream.h`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrayexpr._core.nodes import For, Load, Loop, Store
from arrayexpr._core.passes.nests import enclosed
from arrayexpr._core.primitives import text

from .strips import address

if TYPE_CHECKING:
    from .clike import Writer


def call(writer: Writer, loop: For) -> bool:
    """Write a loop as a call, where it copies elements side by side and its role is `stream`."""
    if not isinstance(loop, Loop) or not _streams(loop) or len(loop.body) != 1:
        return False
    (store,) = loop.body
    if not isinstance(store, Store) or not isinstance(store.value, Load):
        return False
    to, of = address(writer, store, loop), address(writer, store.value, loop)
    if to is None or of is None:
        return False
    writer.helpers.setdefault(text("stream.h"))
    start, stop = writer.bound(loop.start), writer.bound(loop.stop)
    count = stop if start == "0" else f"({stop} - {start})"
    writer.line(f"arrayexpr_stream((void *)({to}), {of}, {count} * {store.operand.type.element.itemsize});")
    return True


def end(writer: Writer, loop: For) -> None:
    """After an outermost loop that stores past the caches, or within one that runs in threads: wait for the stores."""
    if text("stream.h") in writer.helpers and any(_streams(s) for s in enclosed((loop,)) if isinstance(s, For)):
        writer.line("arrayexpr_stream_end();")


def _streams(loop: For) -> bool:
    return isinstance(loop, Loop) and loop.role == "stream"
