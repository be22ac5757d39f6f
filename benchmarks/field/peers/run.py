"""What a peer hands back: a call to time, and where its results are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


class Cannot(Exception):
    """The peer has no form for this work; the message says why; none where it was never asked to."""


@dataclass
class Run:
    """`call` does the work once. `results` gives what the last call made, as NumPy arrays."""

    call: Callable[[], Any]
    results: Callable[[], list[np.ndarray]]


def plain(function: Callable[..., Any], arguments: Sequence[Any], **named: Any) -> Callable[[], Any]:
    """The call `function(x0, x1, ..., out=out)` as one writes it.

    `function(*arguments, **named)` makes a tuple and a dict at each call, some 150 ns of it.
    """
    places = [f"x{k}" for k in range(len(arguments))]
    text = ", ".join([*places, *(f"{name}={name}" for name in named)])
    given = {"function": function, **dict(zip(places, arguments, strict=True)), **named}
    made: Callable[[], Any] = eval(f"lambda: function({text})", given)
    return made


def as_arrays(found: Any) -> list[np.ndarray]:
    """The results of a function that returns an array or a tuple of them."""
    return [np.asarray(f) for f in (found if isinstance(found, tuple | list) else (found,))]
