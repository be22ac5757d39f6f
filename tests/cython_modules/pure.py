# cython: language_level=3
"""Pure-Python mode, for tests/test_cython_values.py."""

import cython
import numpy as np
from cython.cimports import arrayexpr
from cython.cimports.libc.math import sin


@cython.cfunc
@cython.exceptval(-1, check=True)
def twice(x: cython.double) -> cython.double:
    return 2 * x


def statement(a: cython.double[:, :], b: cython.double[:], out: cython.double[:, :]):
    out[...] = a * b + sin(b)


def value(a: cython.double[:], s: cython.double):
    t = twice(a) * s
    return np.asarray(t)


@cython.locals(a="double[:]")
def reduced(a):
    return arrayexpr.sum(a * a), np.asarray(a > 1)
