# cython: language_level=3
"""Statements on memoryviews that tests/test_cython_adapter.py compares with NumPy."""
cimport cython
from libc.math cimport exp, sin, fabs, pow, atan2, sqrtf

ctypedef fused number:
    signed char
    unsigned char
    short
    unsigned short
    int
    unsigned int
    long
    unsigned long
    float
    double
    long double


def fused_axpy(number[:, :] a, number[:, :] b, number[:, :] out):
    out[...] = a * b + a


def complex_axpy(double complex[:] a, double complex[:] b, double complex s, double complex[:] out):
    out[...] = a * b - s


def axpy(double[:, :] a, double[:, :] b, double s, double[:, :] out):
    out[...] = a * b + s


def five(double[:, :, :, :, :] a, double[:, :, :, :, :] b, double[:, :, :, :, :] out):
    out[...] = a - 2 * b


def lower_rank(double[:, :, :] a, float[:] b, int[:, ::1] c, double[:, :, :] out):
    out[...] = sin(a) * b + (c / 2) - a ** 2


def views(double[:, :] a, double[:] x, double[:, :] out):
    out[:, :] = a.T + x[:, None] * x[None, ::-1]
    out[0] = x * 2
    out[:, 0] = out[:, 1] - x
    out[::2, 1:] += 1


def outer(double[:, :] x, double[:, :] y, double[:, :] out):
    out[...] = x * y


def shift_up(double[:] a):
    a[1:] = a[:-1] * 2


def shift_down(double[:] a):
    a[:-1] = a[1:] * 2


def mirror(double[:] a):
    a[...] = a[::-1] + a


def transpose_into_itself(double[:, :] a):
    a[...] = a.T - a


def interleaved(double[:] a):
    a[::2] = a[1::2] * 3


def in_place(double[:, :] a, double[:] b, int n):
    a[...] += b
    a[1:, :] *= n
    a[...] -= a[:1]
    a[...] /= 4


def in_place_int(long[:] a, long[:] b):
    a[...] &= b
    a[...] |= 64
    a[...] ^= b
    a[...] <<= 2
    a[...] >>= 1


def divide(double[:] a, double[:] b, double[:] out):
    out[:] = a / b


def divide_where(double[:] a, double[:] b, double[:] out):
    out[:] = a / b if b != 0 else -1.0


def divide_by_number(double[:, :] a, int n, double[:, :] out):
    out[...] = a / n


def two_divisions(double[:] a, double[:] b, double[:] out):
    out[...] = (a + 1) / 2 \
        + a / b


def floor_divide(long[:] a, long[:] b, long[:] out):
    out[:] = a // b


def remainder(long[:] a, long[:] b, long[:] out):
    out[:] = a % b


@cython.cdivision(True)
def c_divide(int[:] a, int[:] b, int[:] q, int[:] r):
    q[:] = a // b
    r[:] = a % b


def narrow(signed char[:] a, signed char[:] b, int[:] wide, signed char[:] out):
    wide[...] = a * b
    out[...] = a + b


def mixed_sign(int[:] a, unsigned int[:] b, long[:] out):
    out[...] = a + b


def literal(unsigned int[:] a, long[:] out):
    out[...] = a * 2


def unary(double[:] a, int[:] b, double[:] out):
    out[...] = -a + ~b + +b


def functions(double[:] a, double[:] b, float[:] c, double[:] out):
    out[...] = exp(-fabs(a)) + atan2(a, b) + sqrtf(c) + pow(b, 1.5)


def choose(double[:] a, double[:] b, double[:] out):
    out[...] = a if a > b else -b


def casts(double[:] a, int[:] b, long[:] out):
    out[...] = <int> a + <long> b


def without_gil(double[:, :] a, double[:, :] b, double[:, :] out):
    with nogil:
        out[...] = a / b


cdef int inner(double[:] a, double[:] b, double[:] out) except -1 nogil:
    out[...] = a / b
    return 0


def through_cdef(double[:] a, double[:] b, double[:] out):
    with nogil:
        inner(a, b, out)


cdef int calls = 0


cdef double counted(double x) noexcept nogil:
    global calls
    calls += 1
    return x


def numbers_once(double[:] a, double x, double[:] out):
    global calls
    calls = 0
    out[...] = a * counted(x) + counted(x)
    return calls


cdef double[:] of_module


def module_variable(double[:] a, double[:] out):
    global of_module
    of_module = a
    out[...] = of_module * 3


cdef class Holder:
    cdef double[:, :] data

    def __init__(self, data):
        self.data = data

    def scale(self, double factor):
        self.data[...] *= factor

    def column(self, int k, double[:] out):
        out[...] = self.data[:, k] + 1


def closure(double[:] a, double s):
    def apply(double[:] out):
        out[...] = a * s
    return apply


def of_objects(a, b, out):
    cdef double[:] x = a, y = b, z = out
    z[...] = x * y


def read_only(const double[:] a, double[:] out):
    out[...] = a + a * 2


def deep(double[:] a, double[:] out):
    cdef int k
    for k in range(3):
        if k == 1:
            out[...] = a * k
        else:
            out[...] += k


@cython.arrayexpr(False)
def untouched(double[:] a, double[:] out):
    out[...] = a
    out[:2] = 7


def plain_python(a, b):
    x = a * b
    x += 1
    return x, -a, a < b, (a if a < b else b)
