"""The directive `arrayexpr`, by which a module or a function says whether the adapter looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from Cython.Compiler import Options

NAME = "arrayexpr"


@contextmanager
def declared(default: bool) -> Iterator[None]:
    """Cython knows the directive, in comments, as decorator and in `with`, for as long as this is entered."""
    defaults = Options.get_directive_defaults()
    before = defaults.get(NAME), NAME in Options._directive_defaults, NAME in Options.directive_types
    Options._directive_defaults[NAME] = default
    Options.directive_types[NAME] = bool
    try:
        yield
    finally:
        value, known, typed = before
        if known:
            Options._directive_defaults[NAME] = value
        else:
            del Options._directive_defaults[NAME]
        if not typed:
            del Options.directive_types[NAME]


def is_on(env: Any) -> bool:
    """Whether the directive is on where a scope's code is analysed."""
    return bool(env.directives.get(NAME, False))
