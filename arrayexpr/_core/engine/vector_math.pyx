"""Functions of C's library over strips, for code that chooses them at run time: the bits of compiled kernels."""

from ..errors import ArrayExprError


def strip(str name, to, *args, bint vector_math=True):
    """Compute a function over one-dimensional arrays of float64 or float32, side by side, into `to`.

    `name` is C's, without a suffix; `vector_math=False` takes the scalar library. `to` may be one of `args`.

    >>> import numpy as np
    >>> a = np.array([0.0, 1.0])
    >>> strip("exp", a, a)
    >>> float(a[0])
    1.0
    """
    cdef arrayexpr_strip_function found
    cdef const unsigned char[:] x, y
    cdef unsigned char[:] target = memoryview(to).cast("B")
    cdef Py_ssize_t n = len(to)
    if to.dtype.name not in ("float64", "float32") or any(arg.dtype != to.dtype or len(arg) != n for arg in args):
        raise ArrayExprError(f"strip of {name}: expected arrays of float64 or of float32, all of one length")
    if not arrayexpr_find_strip(name.encode(), 8 * to.dtype.itemsize, vector_math, &found):
        raise ArrayExprError(f"strip of {name}: expected a function of C's library that has a vector form")
    if found.arguments != len(args):
        raise ArrayExprError(f"strip of {name}: expected {found.arguments} arguments, got {len(args)}")
    if n == 0:
        return
    x = memoryview(args[0]).cast("B")
    y = memoryview(args[found.arguments - 1]).cast("B")
    found.call(&found, &target[0], &x[0], &y[0], n)
