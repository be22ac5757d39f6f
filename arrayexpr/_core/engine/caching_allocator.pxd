from cpython.object cimport PyObject
from numpy cimport npy_intp

# A new array of a descriptor, whose reference it takes over, with the strides; NULL for those of C's order.
cdef object new_array(PyObject *descr, int rank, const npy_intp *shape, const npy_intp *strides)
# Memory that begins a cache line, for `free`: of the allocator where it is large. NULL where there is none.
cdef void *allocate(size_t size) noexcept
cdef void free(void *data, size_t size) noexcept
