"""The versions of Numba that the pass is known to fit: it leans on parts of Numba that are not public."""

from __future__ import annotations

from typing import Final

import numba

from arrayexpr._core.errors import UnsupportedError

#: The last three minor versions. Each was tested; a later one may change what the pass leans on without a word.
KNOWN: Final = ("0.66", "0.67", "0.68")

#: Whether a sum over all of an array typed Fortran has the first axis innermost, as products and means have: in 0.67 it
#: goes through any array in the order of its indices.
FORTRAN_SUMS: Final = numba.version_info.short != (0, 67)


def check(version: str = numba.__version__) -> None:
    """Raise UnsupportedError, naming what was found and what fits, for a version of Numba that nobody has tested.

    >>> check("0.68.1")
    >>> check("0.12.0")
    Traceback (most recent call last):
    arrayexpr._core.errors.UnsupportedError: Numba 0.12.0: the pass is known to fit 0.66, 0.67, 0.68 only
    """
    if ".".join(version.split(".")[:2]) not in KNOWN:
        raise UnsupportedError(f"Numba {version}: the pass is known to fit {', '.join(KNOWN)} only")
