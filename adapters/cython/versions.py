"""The versions of Cython whose internals the adapter knows."""

from __future__ import annotations

import re

OLDEST, NEWEST = (3, 0), (3, 3)


class UnsupportedCython(ImportError):
    """The Cython that is installed is one whose internals the adapter does not know."""


def check(version: str) -> tuple[int, int]:
    """The version as two numbers.

    Raises UnsupportedCython where it is not known: nothing has been changed in Cython then.

    >>> check("3.1.8")
    (3, 1)
    >>> check("4.0")
    Traceback (most recent call last):
    arrayexpr.adapters.cython.versions.UnsupportedCython: Cython 4.0 is not supported: expected 3.0 to 3.3
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    number = (int(found[1]), int(found[2])) if found else (0, 0)
    if not OLDEST <= number <= NEWEST:
        wanted = " to ".join(".".join(map(str, v)) for v in (OLDEST, NEWEST))
        raise UnsupportedCython(f"Cython {version} is not supported: expected {wanted}")
    return number


def check_installed() -> None:
    """Raise UnsupportedCython where the Cython that is installed is none that is known."""
    import Cython

    check(Cython.__version__)
