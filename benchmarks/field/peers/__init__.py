"""The peers: each makes a call that does a work on given arrays.

A peer is a module with `NAME`, `NOTE` (how it is used, a line), `version() -> str`, which raises ImportError where it
is not installed, and `prepare(problem, threads) -> Run`, which raises `Cannot` where it has no form for the work.
A module with several peers lists them in `PEERS` instead.
"""

from __future__ import annotations

from typing import Any

from . import by_c, by_fortran, by_hand, by_jax, by_numba, by_numexpr, by_numpy, by_pythran, by_torch, ours

_MODULES = (ours, by_numpy, by_numexpr, by_numba, by_pythran, by_c, by_fortran, by_jax, by_torch, by_hand)

PEERS: dict[str, Any] = {peer.NAME: peer for module in _MODULES for peer in getattr(module, "PEERS", (module,))}

#: Measured where a work names them, or the command line does.
SPECIAL = ("gcc-fast", "gfortran-fast")
