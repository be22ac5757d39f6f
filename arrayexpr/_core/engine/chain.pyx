# cython: language_level=3, boundscheck=False, wraparound=False
"""Calls of programs of several regions, of loops around regions, and of what arrays and scalars were tested for.

What a call ran is remembered as a list of regions on places in its operands. The next call runs the list by itself
where the tests would come out as they did: layouts are the same, so are the scalars that were asked for, and arrays
that shared no memory share none, or lie as far from one another as those did.
"""

cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.object cimport PyObject
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy
from numpy cimport npy_intp

from . cimport caching_allocator, pool
from .abi cimport AXES, MAX_AXES
from .arrays cimport (
    PyArray_BYTES,
    PyArray_CheckExact,
    PyArray_DIMS,
    PyArray_FLAGS,
    PyArray_ITEMSIZE,
    PyArray_NDIM,
    PyArray_STRIDES,
    PyList_GET_ITEM,
    PyTuple_GET_ITEM,
    PyTuple_GET_SIZE,
)
from .dispatch cimport Argument, Code, Operands, Problem, Region, Remembered, fits, take
from .iterate cimport Moving, Repeat, Serial
from .wavefront cimport Wavefront, takes

from ..assumption import share_memory

cnp.import_array()

# Slots, streams of one step, and of all of them, that a call has room for.
cdef enum:
    MOST_OPERANDS = 16
    MOST_SLOTS = 32
    MOST_STREAMS = 64
    MOST_STAGES = 16
    SMALL_SCRATCH = 4096
    LINE = 64


cdef class Chain(Remembered):
    """A call as the regions that it ran, each on places in operands and temporaries.

    `arrays` are those of the operands and results, then of temporaries. `steps` has for each region it, its streams,
    the shape that they broadcast to, and per stream the array among `arrays` that it is part of, None for what is the
    same in every call; for a loop a `Repeat`, its iterations, and those arrays of its streams; for one over elements a
    `Serial`, its arrays, which of them are stored to, and those arrays again. `watched` are pairs of
    operands that were tested for memory they share, by their places, and `fixed` the places of scalars that steps were
    chosen by. Regions of one thread that hand on more than a cache holds run by blocks of rows (`wavefront`); `caches`
    are the sizes of the second and the third.
    """

    cdef list steps                 # regions, and repeats
    cdef list codes, problems       # of regions
    cdef list kept                  # arrays that are the same in every call
    cdef npy_intp *counts           # steps: iterations
    cdef int *first                 # steps: where its streams begin
    cdef int *slot                  # per stream: the slot it looks at; -1 where it is always the same
    cdef npy_intp *starts           # per stream: bytes from the slot's first element
    cdef npy_intp *places           # per slot: where it lies in the scratch
    cdef npy_intp *low              # per slot: bytes from its first element to the lowest
    cdef npy_intp *high             # ... and to one past the highest
    cdef readonly npy_intp scratch  # bytes that temporaries take
    cdef bint *written              # per slot
    cdef int *watched               # pairs of operands
    cdef npy_intp *distances        # of a pair that may share memory: from the second to the first
    cdef bint *meets                # whether it may
    cdef int pairs, slots, count
    cdef list fixed                 # places and values of scalars
    cdef list fronts                # per step the wavefront that begins with it, or None
    cdef bint one_thread            # there are some, of regions for the process's setting
    cdef bint usable

    def __init__(self, Operands declared not None, list arrays not None, list steps not None, bint allocates,
                 list watched not None, list fixed not None, tuple caches not None):
        cdef int m = declared.operands, n = 0, s, k, rank, i, j
        cdef npy_intp step
        cdef PyObject *array
        cdef Region region
        cdef Problem problem
        cdef Repeat repeat
        self.allocates, self.usable = allocates, True
        self.count, self.slots, self.pairs = len(steps), len(arrays), len(watched)
        self.steps, self.codes, self.problems, self.kept = [], [], [], []
        for what, *rest in steps:
            if isinstance(what, Serial):
                n += (<Serial>what).streams
            else:
                n += (<Repeat>what).streams if isinstance(what, Repeat) else (<Region>what).count
        self.counts = <npy_intp *>calloc(self.count + 1, sizeof(npy_intp))
        self.first = <int *>calloc(self.count + 1, sizeof(int))
        self.slot = <int *>calloc(n + 1, sizeof(int))
        self.starts = <npy_intp *>calloc(n + 1, sizeof(npy_intp))
        self.places = <npy_intp *>calloc(3 * self.slots + 1, sizeof(npy_intp))
        self.written = <bint *>calloc(self.slots + 1, sizeof(bint))
        self.watched = <int *>calloc(2 * self.pairs + 1, sizeof(int))
        self.distances = <npy_intp *>calloc(self.pairs + 1, sizeof(npy_intp))
        self.meets = <bint *>calloc(self.pairs + 1, sizeof(bint))
        if (self.counts == NULL or self.first == NULL or self.slot == NULL or self.starts == NULL
                or self.places == NULL or self.written == NULL or self.watched == NULL or self.distances == NULL
                or self.meets == NULL):
            raise MemoryError()
        self.low, self.high = self.places + self.slots, self.places + 2 * self.slots
        places = {}
        for k in range(self.slots):
            array = <PyObject *>arrays[k]
            places.setdefault(id(arrays[k]), k)
            rank = PyArray_NDIM(array)
            self.high[k] = PyArray_ITEMSIZE(array)
            for s in range(rank):
                step = (PyArray_DIMS(array)[s] - 1) * PyArray_STRIDES(array)[s]
                if step < 0:
                    self.low[k] += step
                else:
                    self.high[k] += step
            if k < m:
                memcpy(self.layouts + k * 2 * MAX_AXES, PyArray_DIMS(array), rank * sizeof(npy_intp))
                memcpy(self.layouts + (k * 2 + 1) * MAX_AXES, PyArray_STRIDES(array), rank * sizeof(npy_intp))
            else:
                # Of the program's own arrays none begins in another one's line.
                self._lay(k, self.high[k] - self.low[k])
        n = 0
        addresses = []
        for k in range(self.count):
            self.first[k] = n
            if isinstance(steps[k][0], Repeat):
                repeat, self.counts[k], bases = steps[k]
                self.steps.append(repeat)
                self.codes.append(None)
                self.problems.append(None)
                i = 0
                for moving in repeat.regions:
                    region = (<Moving>moving).region
                    for s in range(region.count):
                        addresses.append(<npy_intp>repeat.starts[i])
                        self._add(n, addresses[n], bases[i], places, (<Moving>moving).arrays[s],
                                  s >= region.count - region.outputs)
                        n += 1
                        i += 1
                    # The caller's arrays are not to live as long as this.
                    (<Moving>moving).arrays = None
                continue
            if isinstance(steps[k][0], Serial):
                serial, streams, stored, bases = steps[k]
                self.steps.append(serial)
                self.codes.append(None)
                self.problems.append(None)
                for s in range((<Serial>serial).streams):
                    addresses.append(<npy_intp>PyArray_BYTES(<PyObject *>streams[s]))
                    self._add(n, addresses[n], bases[s], places, streams[s], stored[s])
                    n += 1
                continue
            region, streams, shape, bases = steps[k]
            problem = region.problem(streams, shape)
            code = region.decide_problem(problem)
            self.usable &= code is not None and problem.elements and region.count <= MOST_STREAMS
            self.counts[k] = 1
            self.steps.append(region)
            self.problems.append(problem)
            self.codes.append(code)
            for s in range(region.count):
                addresses.append(problem.offsets[s] + <npy_intp>PyArray_BYTES(<PyObject *>streams[s]))
                self._add(n, addresses[n], bases[s], places, streams[s], s >= region.count - region.outputs)
                n += 1
            self._test_overlap(problem, streams)
        self.first[self.count] = n
        for k in range(self.pairs):
            i, j = watched[k]
            self.watched[2 * k], self.watched[2 * k + 1] = i, j
            self.distances[k] = PyArray_BYTES(<PyObject *>arrays[i]) - PyArray_BYTES(<PyObject *>arrays[j])
            self.meets[k] = self._meet(i, PyArray_BYTES(<PyObject *>arrays[i]), j, PyArray_BYTES(<PyObject *>arrays[j]))
        self.fixed = [(k, arrays[k].tobytes()) for k in fixed]
        self.fronts = [None] * self.count
        if self.runs():
            self._find_fronts(arrays, addresses, caches)

    cdef int _lay(self, int slot, npy_intp size) except -1:
        """Give a temporary so much of the scratch."""
        self.places[slot] = self.scratch - self.low[slot]
        self.scratch += (size + LINE - 1) // LINE * LINE
        return 0

    cdef int _find_fronts(self, list arrays, list addresses, tuple caches) except -1:
        """Find regions in a row that gain by being run by rows, and the room that temporaries then take."""
        cdef int k = 0, slot, m = self.declared.operands
        cdef npy_intp size
        cdef Wavefront front
        windows = {}
        while k < self.count:
            front = self._front(k, arrays, addresses, caches)
            if front is None:
                k += 1
                continue
            self.fronts[k] = front
            windows.update(front.windows)
            k += front.count
        if windows:
            self.scratch = 0
            for slot in range(m, self.slots):
                size = self.high[slot] - self.low[slot]
                self._lay(slot, min(size, windows.get(slot, size)))
        return 0

    cdef Wavefront _front(self, int begin, list arrays, list addresses, tuple caches):
        """The wavefront of as many steps from one on as leave what they hand on in the third cache; None of none."""
        cdef int end = begin, k, s, m = self.declared.operands
        cdef npy_intp near, far
        cdef Region region
        cdef Problem problem
        cdef Wavefront front
        near, far = caches
        slots = set()
        while end < self.count and end - begin < MOST_STAGES:
            if self.codes[end] is None or not takes(<Problem>self.problems[end], <Code>self.codes[end]):
                break
            region = self.steps[end]
            if (region.threads if region.threads else pool.setting()) > 1:
                break
            own = {self.slot[s] for s in range(self.first[end], self.first[end + 1])} - {-1}
            if end > begin and not own & slots:
                break
            slots |= own
            end += 1

        def meet(one, other):
            return one < m and other < m and self._meet(
                one, PyArray_BYTES(<PyObject *>arrays[one]), other, PyArray_BYTES(<PyObject *>arrays[other]))

        bottoms = [self.low[k] for k in range(self.slots)]
        while end > begin + 1:
            inside = [{self.slot[s] for s in range(self.first[k], self.first[k + 1])} for k in range(begin, end)]
            slots = set().union(*inside) - {-1}
            if sum([self.high[k] - self.low[k] for k in slots]) <= 2 * near:
                return None
            outside = {self.slot[s] for s in range(self.first[begin])}
            outside |= {self.slot[s] for s in range(self.first[end], self.first[self.count])}
            temporaries = [k for k in slots - outside if k >= m]
            stages = [
                (self.steps[k], self.codes[k], self.problems[k],
                 [(self.slot[s], self.starts[s], addresses[s]) for s in range(self.first[k], self.first[k + 1])])
                for k in range(begin, end)
            ]
            front = Wavefront(stages, bottoms, meet, temporaries)
            if front.prepare(near // 4, far // 4, temporaries):
                break
            end -= 1
        else:
            return None
        for k in range(begin, end):
            region, problem = self.steps[k], self.problems[k]
            self.one_thread |= region.threads == 0
            others = set().union(*inside[:k - begin], *inside[k - begin + 1:])
            if any([self.slot[s] in others for s in range(self.first[k + 1] - region.outputs, self.first[k + 1])]):
                # What is read soon, or was, is not to be stored past the caches.
                problem.stream_bytes = 1 << 62
                front.codes[k - begin] = region.decide_problem(problem)
                if front.codes[k - begin] is None:
                    return None
        return front

    def __dealloc__(self):
        free(self.counts)
        free(self.first)
        free(self.slot)
        free(self.starts)
        free(self.places)
        free(self.written)
        free(self.watched)
        free(self.distances)
        free(self.meets)

    cdef int _add(self, int n, npy_intp start, object base, dict places, object stream, bint output) except -1:
        """Take down stream n, which begins at an address."""
        if base is None:
            self.kept.append(stream)
            self.slot[n], self.starts[n] = -1, start
            return 0
        self.slot[n] = places[id(base)]
        self.starts[n] = start - <npy_intp>PyArray_BYTES(<PyObject *>base)
        if output:
            self.written[self.slot[n]] = True
        return 0

    cdef int _test_overlap(self, Problem problem, list streams) except -1:
        """A step is kept where it reads the very elements that it writes, or none of them: then its code is right for it."""
        cdef int n = problem.count, s, t
        cdef char *a
        cdef char *b
        for t in range(n - problem.outputs, n):
            b = PyArray_BYTES(<PyObject *>streams[t]) + problem.offsets[t]
            for s in range(t):
                a = PyArray_BYTES(<PyObject *>streams[s]) + problem.offsets[s]
                if a + problem.low[s] >= b + problem.high[t] or b + problem.low[t] >= a + problem.high[s]:
                    continue
                if (a == b and s < n - problem.outputs and streams[s].itemsize == streams[t].itemsize
                        and not memcmp(problem.strides + s * AXES, problem.strides + t * AXES, AXES * sizeof(npy_intp))):
                    continue
                if share_memory(streams[s], streams[t]):
                    self.usable = False
        return 0

    cdef inline bint _meet(self, int j, char *a, int k, char *b) noexcept:
        """Whether the bytes of two operands at these addresses may be the same ones."""
        return a + self.low[j] < b + self.high[k] and b + self.low[k] < a + self.high[j]

    @property
    def wavefronts(self):
        """How many regions each of its wavefronts has."""
        return [(<Wavefront>front).count for front in self.fronts if front is not None]

    def runs(self):
        """Whether calls may run by this: each step has code and elements, and writes where nothing else is read."""
        return (self.usable and self.slots <= MOST_SLOTS and self.declared.operands <= MOST_OPERANDS
                and all([self.first[k + 1] - self.first[k] <= MOST_STREAMS for k in range(self.count)]))

    cdef object call(self, PyObject *const *args, Py_ssize_t given, PyObject *out, bint *found):
        cdef Operands declared = self.declared
        cdef int m = declared.given, results = declared.operands - m, k, s, j
        cdef Argument taken[MOST_OPERANDS]
        cdef char *base[MOST_SLOTS]
        cdef char *data[MOST_STREAMS]
        cdef char small[SMALL_SCRATCH]
        cdef char *scratch = NULL
        cdef PyObject *array
        cdef PyObject *value
        cdef bytes wanted
        cdef list made = None
        if given != m or (results and (out == NULL) != self.allocates):
            return None
        if self.one_thread and pool.setting() > 1:
            return None
        if out != NULL and results != 1 and (
                not isinstance(<object>out, tuple) or PyTuple_GET_SIZE(out) != results):
            return None
        for k in range(m):
            if not take(declared, args[k], k, &taken[k]) or (declared.ranks[k] and not fits(self, args[k], k)):
                return None
            if self.written[k] and not (
                    PyArray_CheckExact(args[k]) and PyArray_FLAGS(args[k]) & cnp.NPY_ARRAY_WRITEABLE):
                return None
            base[k] = taken[k].data
        for value_at in self.fixed:
            k, wanted = value_at
            if memcmp(base[k], PyBytes_AS_STRING(wanted), len(wanted)):
                return None
        if results and not self.allocates:
            for k in range(m, m + results):
                array = PyTuple_GET_ITEM(out, k - m) if results > 1 else out
                if not PyArray_CheckExact(array) or not PyArray_FLAGS(array) & cnp.NPY_ARRAY_WRITEABLE:
                    return None
                if not take(declared, array, k, &taken[k]) or not fits(self, array, k):
                    return None
                base[k] = taken[k].data
        for s in range(self.pairs):
            j, k = self.watched[2 * s], self.watched[2 * s + 1]
            if self.meets[s]:
                if base[j] - base[k] != self.distances[s]:
                    return None
            elif self._meet(j, base[j], k, base[k]):
                return None
        if self.allocates and results:
            made = []
            for k in range(m, m + results):
                made.append(self.new(k))
                base[k] = PyArray_BYTES(PyList_GET_ITEM(made, k - m))
        if self.scratch:
            if self.scratch + LINE <= SMALL_SCRATCH:
                scratch = &small[0]
            else:
                scratch = <char *>caching_allocator.allocate(self.scratch + LINE)
                if scratch == NULL:
                    raise MemoryError()
        try:
            for k in range(m + results, self.slots):
                base[k] = <char *>((<uintptr_t>scratch + LINE - 1) // LINE * LINE) + self.places[k]
            found[0] = True
            k = 0
            while k < self.count:
                front = self.fronts[k]
                if front is not None:
                    (<Wavefront>front).run(base)
                    k += (<Wavefront>front).count
                    continue
                for s in range(self.first[k], self.first[k + 1]):
                    j = self.slot[s]
                    data[s - self.first[k]] = (NULL if j < 0 else base[j]) + self.starts[s]
                code = self.codes[k]
                if isinstance(self.steps[k], Serial):
                    (<Serial>self.steps[k]).run(data)
                elif code is None:
                    (<Repeat>self.steps[k]).run(data, self.counts[k])
                else:
                    (<Region>self.steps[k]).run(<Code>code, <Problem>self.problems[k], data)
                k += 1
        finally:
            if scratch != &small[0]:
                caching_allocator.free(scratch, self.scratch + LINE)
        if made is None:
            return <object>out if results else None
        for k in range(results):
            if declared.ranks[m + k] == 0:
                made[k] = made[k][()]
        return made[0] if results == 1 else tuple(made)
