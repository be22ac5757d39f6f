# cython: language_level=3
"""Expressions on memoryviews as values that tests/test_cython_values.py compares with NumPy."""
cimport cython
from libc.math cimport exp
import numpy as np

ctypedef fused real:
    float
    double


def product(double[:, :] a, double[:, :] b):
    t = a * b
    return t


def chained(double[:, :] a, double[:] b):
    t = a * b + 1
    u = t - a
    return np.asarray(u), np.asarray(t), u.shape[0]


def declared(int[:] a, int[:] b):
    cdef double[:] t = a * b
    cdef float[::1] u = t / 2
    return t, u


def fortran(double[:, :] a):
    cdef double[::1, :] t = a + 1
    return t


cdef double total(double[:] x) except? -1:
    cdef double s = 0
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        s += x[i]
    return s


def argument(double[:] a):
    return total(a * 2) + total(-a)


cdef double[:] given(double[:] a) nogil:
    return a * 3


def without_gil(double[:] a):
    with nogil:
        t = given(a) + 1
    return t


def masks(double[:] a, double[:] b):
    m = a < b
    n = a == 0
    both = (a < b) & (a > 0)
    cdef bint[:] w = a == b
    return np.asarray(m), np.asarray(n), np.asarray(both), np.asarray(w), m[0]


def masked(double[:] a, double[:] b, unsigned char[:] m, bint[:] q):
    m[...] = a < b
    q[...] = a == b
    return a if m else b


def against_none(double[:] a):
    return a is None, a is not None


def narrow(float[:] a, short[:] b):
    return a * a, b * b, a + b, a * 2.0, b << 1


def temporaries(double[:] a):
    (a * a)
    x = y = a * 2
    return (a * a)[1], (a + 1).shape[0], np.asarray((a * a)[1:]), x, y


def fused_value(real[:] a, real[:] b):
    return a * b + 1


def closure(double[:] a):
    def scaled(double s):
        return a * s
    return scaled


def generated(double[:] a, int n):
    cdef int k
    for k in range(n):
        yield a * k


class Holder:
    def __init__(self, a):
        self.a = a

    def doubled(self):
        cdef double[:] a = self.a
        self.b = a * 2
        return [a + 1, {"x": a - 1}, (a * 3,)]


cdef class Field:
    cdef public double[:, :] data

    def __init__(self, double[:, :] data):
        self.data = data * 1

    def __mul__(self, double s):
        return Field(self.data * s)


def chooses(double[:] a, double[:] b, bint which):
    return a * 2 if which else b * 3


def quotient(double[:] a, double[:] b):
    return 1 + \
        a / b


def shapes(double[:, :] a, double[:, :] b):
    return a + b


@cython.boundscheck(False)
cdef double limited(double x) except -1:
    if x > 5:
        raise KeyError(x)
    return x * 2


cdef int three(int x) except *:
    if x == 3:
        raise ValueError("three")
    return x + 1


cdef double added(double x, double y) noexcept nogil:
    return x + y


cdef double careful(double x) except? -1 nogil:
    if x < 0:
        with gil:
            raise ArithmeticError("negative")
    return x


def calls(double[:] a, double[:] out):
    out[...] = limited(a) \
        + added(a, 1)


def calls_value(double[:] a):
    return limited(a)


def calls_int(int[:, :] a, int[:, ::1] out):
    out[...] = three(a)


def calls_shifted(double[:] a):
    a[1:] = added(a[:-1], 0)


def calls_without_gil(double[:] a, double[:] out):
    with nogil:
        out[...] = careful(a)


cdef double[:] watched


cdef double peek(double x) noexcept:
    return x + watched[0]


def reads_target(double[:] a):
    global watched
    watched = a
    a[...] = peek(a)


order = []


cdef double noted(double x) except *:
    order.append(x)
    return x


def in_order(double[:, :] a, double[:, :] out):
    order.clear()
    out[...] = noted(a)
    return list(order)


def through_pointer(double[:] a):
    cdef double (*f)(double, double) noexcept nogil
    f = added
    return f(a, 2)


@cython.overflowcheck(True)
def checked(int[:] a, int[:] b, int[:] out):
    out[...] = a * b + 1


@cython.overflowcheck(True)
def checked_value(long[:] a):
    return a + 1


def complex_quotient(double complex[:] a, double complex[:] b):
    return a / b


@cython.cdivision(True)
def complex_quotient_of_c(double complex[:] a, double complex[:] b, double complex[:] out):
    out[...] = a / b


def modulo(double[:] a, double b):
    return a % b


def nothing(double[:] a, out):
    out.append(exp(a) * 2)


def truth(double[:, :] a):
    return [x for x in range(3) if np.asarray(a > x).all()]


def lambdas(double[:] a):
    f = lambda double[:] x: x * a
    return f(a + 1)


def roots(double[:] a, double[:] out):
    out[...] = a ** 0.5


@cython.cpow(True)
def roots_of_c(double[:] a):
    return a ** 0.5


def of_bytes(unsigned char[:] a, char[:] b):
    return a + b


def constant(const double[:] a, const float[:, ::1] b):
    return a * 2, b + a


cdef class Watch:
    cdef int seen
    cdef double[:] x

    cdef double note(self, double x) except *:
        self.seen += 1
        return x + self.seen

    def all(self, double[:] a):
        self.x = a * 2
        return self.x, self.seen


async def later(double[:] a):
    t = a * 2
    return t + 1


def in_try(double[:] a, double[:] b):
    try:
        return a / b
    except ZeroDivisionError:
        return a * 0
    finally:
        b[...] = a + 1


def comprehended(double[:, :] a):
    return [np.asarray(a[k] * k) for k in range(a.shape[0])]


def with_defaults(double[:] a, *args, double s=2, **kwargs):
    return a * s
