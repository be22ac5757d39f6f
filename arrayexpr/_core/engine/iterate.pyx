# cython: language_level=3, boundscheck=False, wraparound=False
"""The iterations of a loop that stays: calls of regions whose arrays only move from one to the next.

What a call of a region has to find out first, its problem and its code, is found out once. An iteration then is a
call of each region's code, and an addition for each of their arrays.
"""

cimport numpy as cnp
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from numpy cimport npy_intp

from . cimport pool
from .abi cimport AXES, MAX_AXES, SPARE, Array, kernel_function
from .dispatch cimport Code, Problem, Region

from ..assumption import share_memory

cnp.import_array()

cdef extern from *:
    """
    #define ARRAYEXPR_DATA(a) PyArray_DATA((PyArrayObject *)(a))
    #define ARRAYEXPR_DIMS(a) PyArray_DIMS((PyArrayObject *)(a))
    #define ARRAYEXPR_STRIDES(a) PyArray_STRIDES((PyArrayObject *)(a))
    #if defined __GNUC__
    #define ARRAYEXPR_GET(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)
    #else
    #define ARRAYEXPR_GET(place) (place)
    #endif
    """
    void *data_of "ARRAYEXPR_DATA" (object)
    const npy_intp *dims_of "ARRAYEXPR_DIMS" (object)
    const npy_intp *strides_of "ARRAYEXPR_STRIDES" (object)
    kernel_function get_function "ARRAYEXPR_GET" (kernel_function) noexcept nogil

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

cdef extern from *:
    npy_intp NPY_MAX_INTP

# What takes so long that a call of its own costs nothing, and may be worth more than one thread.
cdef double LONG_NS = 20000
cdef npy_intp LONG_ELEMENTS = 32768
# Outer iterations of a loop over elements that the block engine runs at a time.
cdef npy_intp CHUNK = 4096
# Below so many elements in all the GIL is kept.
cdef npy_intp KEEP_GIL = 2048
# Bytes of a cache line, and those of the lines that iterations along neighbouring columns touch at a time.
cdef npy_intp LINE = 64
cdef npy_intp NEAR_BYTES = 24 << 10


cdef bint _same_walk(object a, object b):
    """Whether two arrays are of one shape and strides."""
    cdef int k, rank = cnp.PyArray_NDIM(<cnp.ndarray>a)
    if rank != cnp.PyArray_NDIM(<cnp.ndarray>b):
        return False
    for k in range(rank):
        if dims_of(a)[k] != dims_of(b)[k] or strides_of(a)[k] != strides_of(b)[k]:
            return False
    return True


cdef void _bytes_of(object a, npy_intp *low, npy_intp *high):
    """The first byte of an array, and one past the last."""
    cdef int k
    cdef npy_intp reach
    low[0] = high[0] = <npy_intp>data_of(a)
    for k in range(cnp.PyArray_NDIM(<cnp.ndarray>a)):
        reach = (dims_of(a)[k] - 1) * strides_of(a)[k]
        if reach < 0:
            low[0] += reach
        else:
            high[0] += reach
    high[0] += cnp.PyArray_ITEMSIZE(<cnp.ndarray>a)


cdef bint _apart(object a, object b, object a_last, object b_last):
    """Whether two arrays that move evenly are the same view, or share no bytes, all the way."""
    cdef npy_intp low, high, low_b, high_b, low_last, high_last, low_b_last, high_b_last
    if data_of(a) == data_of(b) and data_of(a_last) == data_of(b_last) and _same_walk(a, b):
        if cnp.PyArray_ITEMSIZE(<cnp.ndarray>a) == cnp.PyArray_ITEMSIZE(<cnp.ndarray>b):
            return True
    if not cnp.PyArray_SIZE(<cnp.ndarray>a):
        return True
    _bytes_of(a, &low, &high)
    _bytes_of(b, &low_b, &high_b)
    _bytes_of(a_last, &low_last, &high_last)
    _bytes_of(b_last, &low_b_last, &high_b_last)
    return (high <= low_b and high_last <= low_b_last) or (high_b <= low and high_b_last <= low_last)


def moves(list first not None, list last not None, int outputs, npy_intp count):
    """The bytes that arrays, the outputs last, move each time of `count` from where they are first to the last place.

    None where they do not only move, or where an array partly overlaps an output on the way.
    """
    cdef int k, j, n = len(first)
    cdef list found = []
    cdef npy_intp distance
    for k in range(n):
        if not _same_walk(first[k], last[k]):
            return None
        distance = <char *>data_of(last[k]) - <char *>data_of(first[k])
        found.append(distance // count if count else 0)
    for k in range(n):
        for j in range(max(n - outputs, k + 1), n):
            if _apart(first[k], first[j], last[k], last[j]):
                continue
            # Columns lie between one another's bytes; those that move alike stay as they lie.
            if found[k] != found[j] or share_memory(first[k], first[j]):
                return None
    return found


cdef class Moving:
    """A region on arrays that move by so many bytes each time it has run.

    The arrays neither change shape or strides, nor does an input partly overlap an output, wherever they move to.
    `usable` is False where no code runs the region.
    """

    def __cinit__(self, Region region not None, list arrays not None, tuple shape not None, list starts, list moves):
        cdef int s, n = region.count
        self.region = region
        self.arrays = arrays
        self.data = <char **>calloc(n, sizeof(char *))
        self.moves = <npy_intp *>calloc(n, sizeof(npy_intp))
        if self.data == NULL or self.moves == NULL:
            raise MemoryError()
        self.problem = region.problem(arrays, shape)
        self.code = region.decide_problem(self.problem) if self.problem.elements else None
        self.usable = self.code is not None
        for s in range(n):
            self.data[s] = <char *>cnp.PyArray_DATA(<cnp.ndarray>arrays[s]) + self.problem.offsets[s]
            self.data[s] += <npy_intp>starts[s]
            self.moves[s] = moves[s]

    def __dealloc__(self):
        free(self.data)
        free(self.moves)

    def run(self):
        """Run once, and move on."""
        cdef int s
        self.region.run(self.code, self.problem, self.data)
        for s in range(self.region.count):
            self.data[s] += self.moves[s]

    def looped(self):
        """What a loop around it needs to know: the code, and which of the arrays move.

        None where an iteration is no single call of it in one thread, or has so much to do that calls cost nothing.
        """
        if self.problem.rank > self.code.rank or self.code.tiled or self.problem.direction:
            return None
        if self.problem.elements * self.region.work > LONG_NS or self.problem.elements > LONG_ELEMENTS:
            return None
        return self.code, tuple([self.moves[s] != 0 for s in range(self.region.count)])


cdef class Repeat:
    """Regions in turn, again and again: `phases` of `Moving` ones, one phase an iteration.

    `code` is that of `looped`, or None: all iterations of all phases by one call, once it is compiled. It takes the
    arrays of the regions in order, with an axis before the others for those that move, and the loop's bounds.
    """

    def __cinit__(self, list phases not None, Code code):
        cdef int k = 0, s, i, first
        cdef Moving moving
        cdef npy_intp *place
        self.phases, self.code = len(phases), code
        self.regions = [moving for phase in phases for moving in phase]
        self.steps = len(self.regions)
        self.first = <int *>calloc(self.steps + 1, sizeof(int))
        if self.first == NULL:
            raise MemoryError()
        for moving in self.regions:
            self.first[k + 1] = self.first[k] + moving.region.count
            self.elements += moving.problem.elements
            k += 1
        self.streams = self.first[self.steps]
        self.starts = <char **>calloc(self.streams + 1, sizeof(char *))
        self.moves = <npy_intp *>calloc(self.streams + 1, sizeof(npy_intp))
        # Of each array the shape and the strides, with room for the axis before.
        self.layouts = <npy_intp *>calloc(2 * (SPARE + 1) * self.streams + 1, sizeof(npy_intp))
        if self.starts == NULL or self.moves == NULL or self.layouts == NULL:
            raise MemoryError()
        k = 0
        for moving in self.regions:
            first = AXES - moving.code.rank
            for s in range(moving.region.count):
                self.starts[k] = moving.data[s]
                self.moves[k] = moving.moves[s]
                place = self.layouts + 2 * (SPARE + 1) * k
                place[0], place[SPARE + 1] = NPY_MAX_INTP, moving.moves[s]
                for i in range(moving.code.rank):
                    place[1 + i] = moving.problem.shape[first + i]
                    place[SPARE + 2 + i] = moving.problem.strides[s * AXES + first + i]
                k += 1

    def __dealloc__(self):
        free(self.first)
        free(self.starts)
        free(self.moves)
        free(self.layouts)

    def iterate(self, npy_intp count):
        """Run so many iterations from where the arrays are."""
        self.run(self.starts, count)

    cdef int run(self, char **starts, npy_intp count) except -1:
        """Run so many iterations on arrays that begin at these places."""
        cdef npy_intp done = 0, rounds = count // self.phases, some
        cdef int k, s
        cdef Moving moving
        cdef kernel_function function
        cdef char **data = <char **>pool.push(self.streams * sizeof(char *))
        if data == NULL:
            raise MemoryError()
        memcpy(data, starts, self.streams * sizeof(char *))
        try:
            if self.code is not None and self.code.request is not None:
                self.code.work(rounds * self.elements)
            while done < count:
                function = get_function(self.code.function) if self.code is not None else NULL
                if function != NULL and done % self.phases == 0 and rounds > done // self.phases:
                    # An interrupt is looked for now and then.
                    some = min(rounds - done // self.phases, 1 + LONG_ELEMENTS * 1000 // self.elements)
                    self._by_rows(function, data, some)
                    for s in range(self.streams):
                        data[s] += some * self.moves[s]
                    done += some * self.phases
                else:
                    for k in range(done % self.phases * (self.steps // self.phases),
                                   (done % self.phases + 1) * (self.steps // self.phases)):
                        moving = <Moving>self.regions[k]
                        moving.region.run(moving.code, moving.problem, data + self.first[k])
                        for s in range(self.first[k], self.first[k + 1]):
                            data[s] += self.moves[s]
                    done += 1
                PyErr_CheckSignals()
        finally:
            pool.pop(data)
        return 0

    cdef npy_intp _block(self, char **data, npy_intp rounds) noexcept:
        """How many rows to run through all iterations before the next ones: where iterations go from column to column,
        so that what one reads lies in the lines that those before it brought, and no row has to do with another one.

        0 where that is not so, or all lines of an iteration stay in the first cache anyway.
        """
        cdef npy_intp length = -1, low, high, low_t, high_t, step
        cdef npy_intp *place
        cdef int k, s, t, first
        cdef bint near = False
        cdef Moving moving
        for k in range(self.steps):
            moving = <Moving>self.regions[k]
            if moving.code.rank == 0 or self.first[k + 1] == self.first[k]:
                return 0
            place = self.layouts + 2 * (SPARE + 1) * self.first[k]
            if length >= 0 and place[1] != length:
                return 0
            length = place[1]
            for first in range(AXES):
                if moving.problem.reduced[first]:
                    return 0
        if rounds < LINE // 8 or length * LINE * self.streams <= 2 * NEAR_BYTES:
            return 0
        for s in range(self.streams):
            step = self.layouts[2 * (SPARE + 1) * s + SPARE + 2]
            near = near or (0 < abs(self.moves[s]) < LINE and abs(step) >= 2 * LINE)
        if not near:
            return 0
        for k in range(self.steps):
            moving = <Moving>self.regions[k]
            for s in range(self.first[k + 1] - moving.region.outputs, self.first[k + 1]):
                step = self.layouts[2 * (SPARE + 1) * s + SPARE + 2]
                self._row(k, s, data, rounds, &low, &high)
                if high - low > abs(step):
                    return 0
                for t in range(self.steps):
                    for first in range(self.first[t], self.first[t + 1]):
                        self._row(t, first, data, rounds, &low_t, &high_t)
                        if not self._rows_apart(low, high, step, low_t, high_t,
                                                self.layouts[2 * (SPARE + 1) * first + SPARE + 2], length):
                            return 0
        return max(NEAR_BYTES // (LINE * self.streams), 16)

    cdef void _row(self, int step, int stream, char **data, npy_intp rounds, npy_intp *low, npy_intp *high) noexcept:
        """The bytes that a stream's first row touches in all iterations."""
        cdef Moving moving = <Moving>self.regions[step]
        cdef Problem problem = moving.problem
        cdef int s = stream - self.first[step], axis = AXES - moving.code.rank
        cdef npy_intp reach = (problem.shape[axis] - 1) * problem.strides[s * AXES + axis]
        cdef npy_intp far = (rounds - 1) * self.moves[stream]
        low[0] = <npy_intp>data[stream] + problem.low[s] - min(reach, 0) + min(far, 0)
        high[0] = <npy_intp>data[stream] + problem.high[s] - max(reach, 0) + max(far, 0)

    cdef bint _rows_apart(self, npy_intp low, npy_intp high, npy_intp step,
                          npy_intp low_t, npy_intp high_t, npy_intp step_t, npy_intp length) noexcept:
        """Whether no row of one stream has bytes in common with another row of another one."""
        cdef npy_intp reach = (length - 1) * step, reach_t = (length - 1) * step_t
        if high + max(reach, 0) <= low_t + min(reach_t, 0) or high_t + max(reach_t, 0) <= low + min(reach, 0):
            return True
        return step == step_t and max(high, high_t) - min(low, low_t) <= abs(step)

    cdef int _by_rows(self, kernel_function function, char **data, npy_intp rounds) except -1:
        """Run so many rounds by compiled code, some rows at a time where that keeps lines in the first cache."""
        cdef npy_intp block = self._block(data, rounds), length, done = 0
        cdef npy_intp *layouts
        cdef char **start
        cdef int s, size = 2 * (SPARE + 1)
        if block == 0 or self.streams == 0:
            return self._compiled(function, data, self.layouts, rounds)
        length = self.layouts[1]
        layouts = <npy_intp *>pool.push((size + 1) * self.streams * sizeof(npy_intp))
        if layouts == NULL:
            raise MemoryError()
        start = <char **>(layouts + size * self.streams)
        try:
            memcpy(layouts, self.layouts, size * self.streams * sizeof(npy_intp))
            while done < length:
                for s in range(self.streams):
                    layouts[size * s + 1] = min(block, length - done)
                    start[s] = data[s] + done * layouts[size * s + SPARE + 2]
                self._compiled(function, start, layouts, rounds)
                done += block
        finally:
            pool.pop(layouts)
        return 0

    cdef int _compiled(self, kernel_function function, char **data, npy_intp *layouts, npy_intp rounds) except -1:
        cdef npy_intp bounds[2]
        cdef npy_intp size
        cdef npy_intp *place
        cdef void *scratch = NULL
        cdef int s, k = 0, status
        cdef Array *given = <Array *>pool.push((self.streams + 2) * sizeof(Array))
        if given == NULL:
            raise MemoryError()
        try:
            for s in range(self.streams):
                place = layouts + 2 * (SPARE + 1) * s
                # An array that stays has no axis for the loop.
                given[s].data, given[s].shape, given[s].strides = data[s], place, place + SPARE + 1
                if not self.moves[s]:
                    given[s].shape += 1
                    given[s].strides += 1
            bounds[0], bounds[1] = 0, rounds
            for k in range(2):
                given[self.streams + k].data = &bounds[k]
                given[self.streams + k].shape = given[self.streams + k].strides = NULL
            size = self.code.scratch(given) if self.code.scratch != NULL else 0
            if size:
                scratch = pool.push(size)
                if scratch == NULL:
                    raise MemoryError()
            if rounds * self.elements < KEEP_GIL:
                status = function(given, scratch, 1)
            else:
                with nogil:
                    status = function(given, scratch, 1)
            if scratch != NULL:
                pool.pop(scratch)
            if status:
                for moving in self.regions:
                    if (<Moving>moving).region.raises:
                        (<Moving>moving).region._fail(status)
                raise ValueError(f"kernel failed with code {status}")
        finally:
            pool.pop(given)
        return 0


cdef class Serial:
    """A loop over elements, by calls of its code: on arrays of the layouts of `arrays`, for the values of a range.

    The code takes the arrays, then the bounds of its outermost loop.
    """

    def __cinit__(self, Code code not None, list arrays not None, values not None):
        cdef int k, i
        cdef npy_intp *place
        self.code, self.arrays, self.streams = code, arrays, len(arrays)
        self.first, self.step, self.count = values.start, values.step, len(values)
        self.layouts = <npy_intp *>calloc(2 * MAX_AXES * self.streams + 1, sizeof(npy_intp))
        if self.layouts == NULL:
            raise MemoryError()
        for k in range(self.streams):
            place = self.layouts + 2 * MAX_AXES * k
            for i in range(cnp.PyArray_NDIM(<cnp.ndarray>arrays[k])):
                place[i], place[MAX_AXES + i] = dims_of(arrays[k])[i], strides_of(arrays[k])[i]

    def __dealloc__(self):
        free(self.layouts)

    def start(self):
        """Run it on the arrays that it was made for, which it then lets go of. Returns them."""
        cdef list arrays = self.arrays
        cdef int k
        cdef char **starts = <char **>pool.push((self.streams + 1) * sizeof(char *))
        if starts == NULL:
            raise MemoryError()
        try:
            for k in range(self.streams):
                starts[k] = <char *>data_of(arrays[k])
            self.run(starts)
        finally:
            pool.pop(starts)
        self.arrays = None
        return arrays

    cdef int run(self, char **starts) except -1:
        """Run it on arrays that begin at these places."""
        cdef npy_intp done = 0, some, size
        cdef npy_intp bounds[2]
        cdef int k, status
        cdef void *scratch = NULL
        cdef kernel_function function
        cdef Array *given = <Array *>pool.push((self.streams + 2) * sizeof(Array))
        if given == NULL:
            raise MemoryError()
        try:
            for k in range(self.streams):
                given[k].data = starts[k]
                given[k].shape = self.layouts + 2 * MAX_AXES * k
                given[k].strides = given[k].shape + MAX_AXES
            for k in range(2):
                given[self.streams + k].data = &bounds[k]
                given[self.streams + k].shape = given[self.streams + k].strides = NULL
            while done < self.count:
                # Compiled code takes over from the block engine between two calls.
                function = get_function(self.code.function)
                some = self.count - done
                if function == NULL:
                    some = min(some, CHUNK)
                    if self.code.request is not None:
                        self.code.work(some)
                bounds[0], bounds[1] = self.first + done * self.step, self.first + (done + some) * self.step
                if function == NULL:
                    with nogil:
                        status = self.code.tape.run(self.code.tape.tape, given, NULL)
                else:
                    size = self.code.scratch(given) if self.code.scratch != NULL else 0
                    if size:
                        scratch = pool.push(size)
                        if scratch == NULL:
                            raise MemoryError()
                    with nogil:
                        status = function(given, scratch, 1)
                    if scratch != NULL:
                        pool.pop(scratch)
                        scratch = NULL
                if status:
                    raise ValueError(f"kernel failed with code {status}")
                done += some
                PyErr_CheckSignals()
        finally:
            pool.pop(given)
        return 0
