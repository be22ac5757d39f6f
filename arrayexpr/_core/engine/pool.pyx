# cython: language_level=3, boundscheck=False, wraparound=False
"""The process's pool of threads and the scratch of each thread, for the call path; the pool itself is in pool.h.

Workers hold no Python state: they need no GIL, and the interpreter may end while they sleep.
"""

from libc.stdlib cimport calloc, free
from numpy cimport npy_intp

import time

cdef extern from "pool.h" nogil:
    int arrayexpr_pool_init() noexcept
    void arrayexpr_pool_run(task function, void *context, npy_intp chunks, int threads) noexcept
    int arrayexpr_pool_available() noexcept
    int arrayexpr_pool_workers() noexcept
    void arrayexpr_pool_retry() noexcept
    void *arrayexpr_push(size_t size) noexcept
    void arrayexpr_pop(void *memory) noexcept
    size_t arrayexpr_kept() noexcept

if arrayexpr_pool_init():
    raise MemoryError("no room to register what a forked child does with the pool of threads")

cdef int _setting = 0


cdef void run(task function, void *context, npy_intp chunks, int threads) noexcept nogil:
    arrayexpr_pool_run(function, context, chunks, threads)


cdef bint available() noexcept nogil:
    return arrayexpr_pool_available()


cdef void *push(size_t size) noexcept nogil:
    return arrayexpr_push(size)


cdef void pop(void *memory) noexcept nogil:
    arrayexpr_pop(memory)


cdef int setting() noexcept nogil:
    return _setting


def get_setting():
    """How many threads kernels use that did not fix a number themselves; 0 before anybody has asked."""
    return _setting


def set_setting(int threads):
    """Set that number, and ask the system again for threads that it refused."""
    global _setting
    _setting = threads
    arrayexpr_pool_retry()


def workers():
    """How many threads the pool has made in this process."""
    return arrayexpr_pool_workers()


def kept():
    """Bytes of scratch that the calling thread keeps between calls."""
    return arrayexpr_kept()


# -- What tests and benchmarks ask of the pool alone --

cdef struct Trial:
    int *ran                # per chunk: one more than the worker that ran it, negative where it ran twice
    npy_intp nanoseconds
    npy_intp inner          # chunks of a job started within each chunk
    int threads
    int serial              # whether every inner job kept to its thread

cdef extern from "time.h" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int timespec_get(timespec *, int) noexcept
    int TIME_UTC


cdef double _now() noexcept nogil:
    cdef timespec t
    timespec_get(&t, TIME_UTC)
    return t.tv_sec * 1e9 + t.tv_nsec


cdef void _inner(void *context, npy_intp chunk, int worker) noexcept nogil:
    cdef int *count = <int *>context
    # A race where two threads are in here.
    count[0] = count[0] + 1


cdef void _tried(void *context, npy_intp chunk, int worker) noexcept nogil:
    cdef Trial *trial = <Trial *>context
    cdef double start
    cdef int count = 0
    trial.ran[chunk] = worker + 1 if trial.ran[chunk] == 0 else -1
    if trial.inner:
        arrayexpr_pool_run(_inner, &count, trial.inner, trial.threads)
        if count != trial.inner:
            trial.serial = 0
    if trial.nanoseconds:
        start = _now()
        while _now() - start < trial.nanoseconds:
            pass


def trial(npy_intp chunks, int threads, npy_intp nanoseconds=0, bint nested=False):
    """Run chunks that take so long each. Returns the worker that ran each, and whether nested jobs kept to their thread."""
    cdef Trial context
    cdef npy_intp k
    context.ran = <int *>calloc(chunks if chunks else 1, sizeof(int))
    if context.ran == NULL:
        raise MemoryError()
    context.nanoseconds = nanoseconds
    context.inner = 100 if nested else 0
    context.threads = threads
    context.serial = 1
    try:
        with nogil:
            arrayexpr_pool_run(_tried, &context, chunks, threads)
        return [context.ran[k] - 1 for k in range(chunks)], bool(context.serial)
    finally:
        free(context.ran)


cdef void _nothing(void *context, npy_intp chunk, int worker) noexcept nogil:
    pass


def wake_cost(int threads, int repeats, pause=None):
    """Seconds of jobs that have nothing to do, after what `pause` does before each."""
    cdef double start
    result = []
    for _ in range(repeats):
        if pause is not None:
            pause()
        start = time.perf_counter()
        with nogil:
            arrayexpr_pool_run(_nothing, NULL, threads, threads)
        result.append(time.perf_counter() - start)
    return result
