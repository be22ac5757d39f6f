from cpython.object cimport PyObject
from numpy cimport npy_intp

# A new array of a descriptor, whose reference it takes over, with the strides; NULL for those of C's order.
cdef object new_array(PyObject *descr, int rank, const npy_intp *shape, const npy_intp *strides)
# Memory that begins a cache line, for `free`: of the allocator where it is large. NULL where there is none.
cdef void *allocate(size_t size) noexcept
cdef void free(void *data, size_t size) noexcept

# The blocks themselves, for any thread: whatever the size; NULL where there is none, or none is kept.
cdef void *take(size_t size) noexcept nogil
cdef void give(void *data) noexcept nogil
# From how many bytes on they are meant to be used; 0 where none is kept.
cdef size_t LARGE
# Take the limit that the environment sets, before blocks are used. ArrayExprError where it is none.
cdef int configure() except -1
