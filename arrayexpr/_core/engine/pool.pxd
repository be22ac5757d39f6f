from numpy cimport npy_intp

ctypedef void (*task)(void *context, npy_intp chunk, int worker) noexcept nogil

# Run task(context, chunk, worker) for every chunk: see pool.h.
cdef void run(task function, void *context, npy_intp chunks, int threads) noexcept nogil
cdef bint available() noexcept nogil
# Scratch of the calling thread, given back in reverse order. NULL where there is no memory.
cdef void *push(size_t size) noexcept nogil
cdef void pop(void *memory) noexcept nogil
# How many threads kernels use that did not fix a number themselves; 0 before anybody has asked.
cdef int setting() noexcept nogil
