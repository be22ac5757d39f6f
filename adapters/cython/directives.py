"""The directives by which a module or a function says whether the adapter looks at it, and how far it goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from Cython.Compiler import Options

NAME = "arrayexpr"
#: Whether loops may add up reals in another order than they say.
FAST = "arrayexpr_fast"
#: How many bytes of C the kernels of a module may have before loops are left. gcc 12 took some 10 s for a megabyte.
LIMIT = "arrayexpr_limit"
_TYPES = {NAME: bool, FAST: bool, LIMIT: int}
_DEFAULTS = {FAST: False, LIMIT: 1_500_000}


@contextmanager
def declared(default: bool) -> Iterator[None]:
    """Cython knows the directives, in comments, as decorators and in `with`, for as long as this is entered."""
    defaults = Options.get_directive_defaults()
    before = {
        name: (defaults.get(name), name in Options._directive_defaults, name in Options.directive_types)
        for name in _TYPES
    }
    for name, kind in _TYPES.items():
        if name is NAME or not before[name][1]:
            Options._directive_defaults[name] = {**_DEFAULTS, NAME: default}[name]
        Options.directive_types[name] = kind
    try:
        yield
    finally:
        for name, (value, known, typed) in before.items():
            if known:
                Options._directive_defaults[name] = value
            else:
                del Options._directive_defaults[name]
            if not typed:
                del Options.directive_types[name]


def is_on(env: Any) -> bool:
    """Whether the directive is on where a scope's code is analysed."""
    return bool(env.directives.get(NAME, False))
