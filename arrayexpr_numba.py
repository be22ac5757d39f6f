"""Numba's entry point of the group `numba_extensions`: runs before the first compile of a process.

A module beside the package: to import one inside would import the package, which takes 50 to 90 ms of every process
that uses Numba where both are installed, whether it wants the pass or not.
"""

import os


def init() -> None:
    """Install our pass for all that Numba compiles if the environment has ARRAYEXPR_NUMBA=1; else import nothing.

    Raises UnsupportedError for a version of Numba that is not known, which Numba makes a warning, and ValueError for
    another value than 0 and 1.
    """
    given = os.environ.get("ARRAYEXPR_NUMBA", "0")
    if given not in ("", "0", "1"):
        raise ValueError(f"ARRAYEXPR_NUMBA is {given!r}: expected 0 or 1")
    if given == "1":
        from arrayexpr.adapters.numba import install

        install()
