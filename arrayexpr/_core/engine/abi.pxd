from numpy cimport npy_intp

# The C interface of emitted kernels: see adapters/c.py.
cdef struct Array:
    void *data
    const npy_intp *shape
    const npy_intp *strides

ctypedef int (*kernel_function)(const Array *arrays, void *scratch, int threads) noexcept nogil
# Bytes of scratch that the kernel wants for these arrays.
ctypedef npy_intp (*scratch_function)(const Array *arrays) noexcept nogil

cdef enum:
    MAX_AXES = 32
    SPARE = 3                       # axes of length 1 before the first, for kernels of a higher rank
    AXES = MAX_AXES + SPARE
