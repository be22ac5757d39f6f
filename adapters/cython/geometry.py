"""Affine integers as C."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arrayexpr._core.affine import Linear, linear
from arrayexpr._core.nodes import Node


def text_of(value: Node, names: Mapping[Any, str]) -> str:
    """C for an affine expression, with the names of its symbols."""
    form = linear(value)
    assert form is not None, value
    return form_text(form, names)


def form_text(form: Linear, names: Mapping[Any, str]) -> str:
    """C for a sum of multiples.

    >>> form_text({"n": 2, "i": -1, None: 3}, {"n": "n0", "i": "i0"})
    '(2 * n0 - i0 + 3)'
    """
    text = ""
    for symbol, count in form.items():
        if symbol is None or not count:
            continue
        one = names[symbol] if abs(count) == 1 else f"{abs(count)} * {names[symbol]}"
        text += f" {'+' if count > 0 else '-'} {one}" if text else f"{'-' if count < 0 else ''}{one}"
    last = form.get(None, 0)
    if not text:
        return str(last) if last >= 0 else f"({last})"
    if last:
        text += f" {'+' if last > 0 else '-'} {abs(last)}"
    return text if text.isidentifier() else f"({text})"
