"""Our optimiser inside Numba: `from arrayexpr.adapters.numba import njit`.

>>> import numpy as np
>>> from arrayexpr.adapters.numba import njit
>>> @njit
... def update(a, b, out):
...     t = a * b
...     out[:] = t + a
>>> out = np.empty((2, 2), order="F")
>>> update(np.ones((2, 2)), np.full((2, 2), 3.0).T, out)
>>> out
array([[4., 4.],
       [4., 4.]])

`install()` does so for every function that is compiled from then on. `explain(f)` says what was done.
"""

from .explaining import explain
from .installing import install, jit, njit, uninstall
from .kinds import map_type
from .pipeline import Compiler, to_host
from .reader import from_host, origin_of
from .ufuncs import guvectorize, vectorize

__all__ = [
    "Compiler", "explain", "from_host", "guvectorize", "install", "jit", "map_type", "njit", "origin_of", "to_host",
    "uninstall", "vectorize",
]  # fmt: skip
