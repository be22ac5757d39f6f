# cython: language_level=3, boundscheck=False, wraparound=False
"""The call path: from arrays to the code for their layouts.

A call first looks among the layouts seen last (`Entry`, compared number by number). Else the layouts
are canonicalised (`Problem`): axes of length 1 dropped, falling axes flipped, axes ordered by the bytes
they move, joined where memory goes on. What is left makes the signature: the rank, and per stream
whether the inner axis is contiguous, from its start or its end, broadcast or strided. Not the lengths and
strides themselves: a new shape never compiles.
"""

cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from libc.math cimport INFINITY
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy
from numpy cimport npy_intp

from . cimport caching_allocator, overlap, pool
from .arrays cimport (
    PyArray_BYTES,
    PyArray_CheckExact,
    PyArray_DESCR,
    PyArray_DIMS,
    PyArray_FLAGS,
    PyArray_ITEMSIZE,
    PyArray_NDIM,
    PyArray_Return,
    PyArray_STRIDES,
    PyArray_TYPE_OF,
    PyList_GET_ITEM,
    PyTuple_GET_ITEM,
    PyTuple_GET_SIZE,
)
from .sweep cimport NO_MEMORY, Nest, sweep, sweep_parts

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t PyVectorcall_NARGS(size_t)
    bint PyFloat_CheckExact(object)
    double PyFloat_AS_DOUBLE(object)
    bint PyLong_CheckExact(object)
    long long PyLong_AsLongLongAndOverflow(object, int *) except? -1

#: Specialisations of one region: five for exact signatures, and three, by rows and by tiles of two or three axes,
#: for all beyond them.
MAX_CODES = 8
cdef int EXACT_CODES = MAX_CODES - 3
#: What a key's count of tiled axes has added where results are larger than the caches, and are stored past them.
LARGE = 8
#: The bits of a key that count tiled axes.
MAX_TILE = 7
#: The rank of the nest that a kernel walks; axes beyond are walked around it.
cdef int NEST = SPARE
# A stride within a line is near.
cdef npy_intp LINE = 64

# Below this many elements, or nanoseconds of estimated work, a call keeps the GIL: letting it go and taking it back costs
# some 50 ns, of the 1,700 that a polynomial over 25,000 doubles takes, and 5 us or more where another thread wants it.
cdef npy_intp KEEP_GIL = 2048
cdef double KEEP_GIL_NS = 10000
# Below so many nanoseconds of estimated work a call stays in its thread: see `_threads`.
cdef double SERIAL_NS = 50000

# What is broadcast along an axis is hoisted where the axis has so many elements, of a problem of so many: over memory
# of 2 rows of 2,000,000, a * exp(row) took 1.33 times as long hoisted, 0.93 of 8 rows; of 3 of 200, 0.72.
cdef npy_intp REPEATS = 8, FEW_REPEATS = 3, SMALL = 4096

# Layouts remembered number by number, for repeat calls.
cdef int MAX_ENTRIES = 8


cdef extern from *:
    """
    #if defined __GNUC__
    #define ARRAYEXPR_GET(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)
    #define ARRAYEXPR_SET(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELEASE)
    #else
    #define ARRAYEXPR_GET(place) (place)
    #define ARRAYEXPR_SET(place, value) ((place) = (value))
    #endif
    """
    kernel_function get_function "ARRAYEXPR_GET" (kernel_function) noexcept nogil
    void set_function "ARRAYEXPR_SET" (kernel_function, kernel_function) noexcept nogil

# What the block engine works before compiled code is asked for. A compiler takes some 100 ms of a core: a kernel that
# is called once, or a few times on little, does not pay for it.
cdef double PATIENCE_NS = 2e6
CALL_NS = 300


cdef class Code:
    """One specialisation: a tape that runs at once, compiled code, or both, and then it is the compiled code that runs.

    `emit(program)` gives the source; `cost` is what an element takes, in operations.
    """

    def __init__(self, int rank, int tiled, program, emit, Tape tape=None, double cost=1, *, int tile=64):
        self.function = NULL
        self.scratch = NULL
        self.tape = tape
        self.tile = tile if tiled else 0
        self.rank = rank
        self.tiled = tiled
        self.element_ns = INFINITY
        self.program = program
        self.emit = emit
        # An addition takes some 0.3 ns of data in the first cache, and no less than that is the memory's.
        self.pace = 0.3 * cost + 0.5

    def adopt(self, address, library, scratch=0):
        """Have every call from now on run compiled code; those that run go on with what they began with."""
        self.library = library
        self.request = None
        self.scratch = <scratch_function><uintptr_t>scratch
        # Last: who sees it has the rest.
        set_function(self.function, <kernel_function><uintptr_t>address)

    @property
    def compiled(self):
        """Whether calls run compiled code."""
        return get_function(self.function) != NULL

    @property
    def source(self):
        """The C of it."""
        return self.emit(self.program)

    def __repr__(self):
        return f"<Code of rank {self.rank}{f', tiled along {self.tiled} axes' if self.tiled else ''}>"

    cdef int work(self, npy_intp elements) except -1:
        """Take down a call of the tape, before it; asks for compiled code where there have been enough."""
        # The thread that compiles may take it away meanwhile.
        request = self.request
        if self.worked >= PATIENCE_NS and request is not None:
            request()
        self.worked += CALL_NS + elements * self.pace
        return 0


cdef inline npy_intp _abs(npy_intp x) noexcept nogil:
    return -x if x < 0 else x


cdef npy_intp _sets(npy_intp stride) noexcept nogil:
    """How many sets of a first cache, of ways of 4 KiB, the lines at multiples of a stride fall into."""
    cdef npy_intp span = 4096
    while span > LINE and stride % span:
        span //= 2
    return 4096 // span


cdef class Problem:
    """Streams over one shape, brought to canonical form."""

    def __cinit__(self, int count, int outputs=1):
        self.count = count
        self.stream_bytes = 1 << 62
        self.outputs = outputs
        cdef npy_intp *memory = <npy_intp *>calloc(2 * AXES + count * (AXES + 3), sizeof(npy_intp))
        if memory == NULL:
            raise MemoryError()
        self.shape = memory
        self.strides = memory + AXES
        self.offsets = self.strides + count * AXES
        self.low = self.offsets + count
        self.high = self.low + count
        self.reduced = self.high + count

    def __dealloc__(self):
        free(self.shape)

    cdef int canonicalise(self, int rank, const int *itemsize, npy_intp tile_bytes) except -1:
        """Take the first `rank` axes of shape and strides as given, and leave the canonical ones right-aligned."""
        cdef int n = self.count, s, k, j, left = 0
        cdef npy_intp *shape = self.shape
        cdef npy_intp *strides = self.strides
        cdef npy_intp weight[MAX_AXES]
        cdef int order[MAX_AXES]
        cdef npy_intp length, w, step
        cdef bint rises, falls, joined, reduces = False
        self.elements = 1
        for s in range(n):
            self.offsets[s] = 0
        # Drop axes of length 1; flip the axes that no stream walks up and one walks down.
        for k in range(rank):
            length = shape[k]
            self.elements *= length
            reduces |= self.reduced[k] and length != 1
            if length == 1:
                continue
            rises = falls = False
            w = 0
            for s in range(n):
                step = strides[s * AXES + k]
                rises |= step > 0
                falls |= step < 0
                # A store reads and writes its line, so it counts twice.
                w += _abs(step) * (2 if s >= n - self.outputs else 1)
            if self.direction:
                step = strides[(n - 1) * AXES + k]
                w = _abs(step)
                falls = step * self.direction < 0
                rises = not falls
            if self.ordered and self.reduced[k]:
                # Places along it are counted from its start.
                falls = False
            if falls and not rises:
                for s in range(n):
                    self.offsets[s] += (length - 1) * strides[s * AXES + k]
                    strides[s * AXES + k] = -strides[s * AXES + k]
            # Insertion into the axes so far, heaviest first; equal axes keep their order.
            j = left
            while j > 0 and weight[j - 1] < w:
                weight[j] = weight[j - 1]
                order[j] = order[j - 1]
                j -= 1
            weight[j] = w
            order[j] = k
            left += 1
        cdef npy_intp lengths[MAX_AXES]
        cdef npy_intp row[MAX_AXES]
        # Apply the order, right-aligned, and join axes where every stream goes on in memory.
        for k in range(left):
            lengths[k] = shape[order[k]]
            row[k] = self.reduced[order[k]]
        for k in range(left):
            self.reduced[AXES - left + k] = row[k]
        for s in range(n):
            for k in range(left):
                row[k] = strides[s * AXES + order[k]]
            for k in range(left):
                strides[s * AXES + AXES - left + k] = row[k]
        for k in range(left):
            shape[AXES - left + k] = lengths[k]
        cdef int first = AXES - left, place = AXES - 1
        for k in range(AXES - 2, first - 1, -1):
            joined = self.reduced[k] == self.reduced[place]
            for s in range(n):
                if strides[s * AXES + k] != strides[s * AXES + place] * shape[place]:
                    joined = False
                    break
            if joined:
                shape[place] *= shape[k]
            else:
                place -= 1
                shape[place] = shape[k]
                self.reduced[place] = self.reduced[k]
                for s in range(n):
                    strides[s * AXES + place] = strides[s * AXES + k]
        self.rank = AXES - place if left else 0
        self.reduces = reduces
        for k in range(AXES - self.rank):
            shape[k] = 1
            self.reduced[k] = False
            for s in range(n):
                strides[s * AXES + k] = 0
        for s in range(n):
            self.low[s] = 0
            self.high[s] = itemsize[s]
            for k in range(AXES - self.rank, AXES):
                step = (shape[k] - 1) * strides[s * AXES + k]
                if step < 0:
                    self.low[s] += step
                else:
                    self.high[s] += step
        self.tile = False
        self.mixed = False
        self.crossed = False
        if reduces and not self._all_reduced():
            self._reduced_within()
            self._find_mixed(itemsize, tile_bytes)
        else:
            self._find_tile(itemsize, tile_bytes)
        self.whole = 0
        for k in range(AXES - self.rank, AXES):
            if self.reduced[k]:
                self.whole |= 1ULL << k
        return 0

    cdef bint _all_reduced(self) noexcept:
        cdef int k
        for k in range(AXES - self.rank, AXES):
            if not self.reduced[k]:
                return False
        return True

    cdef int _find_mixed(self, const int *itemsize, npy_intp tile_bytes) noexcept:
        """Put the kept axis inside where some streams are contiguous along it, and others along the reduced one.

        Those others are then read by blocks, where they fit the caches, or packed, some rows of a strip at a time.
        """
        cdef int s, near, reduced, kept, along = 0, across = 0, size = 0
        cdef npy_intp length
        cdef bint crosses = self._fit()
        if self.rank != 2:
            return 0
        reduced = AXES - 2 if self.reduced[AXES - 2] else AXES - 1
        kept = 2 * AXES - 3 - reduced
        for s in range(self.count - self.outputs):
            near = self._near_axis(s)
            if near == reduced and _abs(self.strides[s * AXES + kept]) >= LINE:
                across += 1
                # Of single bytes more rows are wanted than are taken in at once.
                crosses &= self.strides[s * AXES + reduced] == itemsize[s] and size in (0, itemsize[s])
                crosses &= itemsize[s] > 1 and self._has_blocks(reduced, kept, itemsize[s])
                size = itemsize[s]
            elif near == kept and _abs(self.strides[s * AXES + reduced]) >= LINE:
                along += 1
        if not along or not across:
            return 0
        if crosses:
            self.crossed = True
        elif self.elements * itemsize[0] < tile_bytes or self.shape[kept] < 32 or self.shape[reduced] < 32:
            return 0
        else:
            self.mixed = True
        if kept != AXES - 1:
            length = self.shape[kept]
            self.shape[kept] = self.shape[reduced]
            self.shape[reduced] = length
            self.reduced[kept] = True
            self.reduced[reduced] = False
            for s in range(self.count):
                length = self.strides[s * AXES + kept]
                self.strides[s * AXES + kept] = self.strides[s * AXES + reduced]
                self.strides[s * AXES + reduced] = length
        return 0

    cdef bint _fit(self) noexcept:
        """Whether all that is walked fits the last cache."""
        cdef int s
        cdef npy_intp bytes = 0
        for s in range(self.count):
            bytes += self.high[s] - self.low[s]
        return bytes < self.stream_bytes

    cdef bint _has_blocks(self, int across, int along, int size) noexcept:
        """Whether there is a block in registers, and more, of elements that are contiguous across rows: see `cross`."""
        return self.shape[along] * size >= LINE and self.shape[across] >= max(8, 16 // size)

    cdef int _reduced_within(self) except -1:
        """Bring the reduced axes into the nest, which the axes around it are walked for."""
        cdef int first = AXES - self.rank, k, j, s
        cdef npy_intp step
        if self.rank <= NEST:
            return 0
        for k in range(AXES - 2, first - 1, -1):
            # An axis that is reduced sinks past the kept ones after it.
            j = k
            while self.reduced[j] and j + 1 < AXES and not self.reduced[j + 1]:
                self.shape[j], self.shape[j + 1] = self.shape[j + 1], self.shape[j]
                self.reduced[j], self.reduced[j + 1] = self.reduced[j + 1], self.reduced[j]
                for s in range(self.count):
                    step = self.strides[s * AXES + j]
                    self.strides[s * AXES + j] = self.strides[s * AXES + j + 1]
                    self.strides[s * AXES + j + 1] = step
                j += 1
        return 0

    cdef bint fits_nest(self) noexcept:
        """Whether every reduced axis is one of the nest's."""
        cdef int k
        for k in range(AXES - self.rank, AXES - NEST):
            if self.reduced[k]:
                return False
        return True

    cdef int _find_tile(self, const int *itemsize, npy_intp tile_bytes) except -1:
        """Choose the axes of a tile, where the data leave the first cache, and bring them inwards.

        A stream conflicts if it is nearly contiguous along another axis than the inner one, which is the one that the
        output is nearest to contiguous along; see `passes/block.py`. Where the lines that one row of the inner axis
        touches stay in the first cache until the next row reads on in them, loops in the right order are enough. Where
        all that is walked fits the last cache, blocks in registers do better than either, if they serve all that conflict.
        """
        cdef int n = self.count, s, k, near, chosen = 0, best, inner = AXES - 1, last, first = AXES - self.rank
        cdef npy_intp most, lines = 0
        cdef npy_intp votes[AXES]
        cdef bint stays = True, small = self.elements * itemsize[n - 1] < tile_bytes
        cdef bint crosses = not self.reduces and self._fit()
        cdef int across = -1, size = 0
        if self.direction or self.rank < 2 or (small and not crosses):
            return 0
        for k in range(first, AXES):
            votes[k] = 0
        last = self._near_axis(n - 1)
        if last < 0:
            last = inner
        for s in range(n):
            near = self._near_axis(s)
            # A tile of a few rows is no tile.
            if near < 0 or near == last or self.shape[near] < 8 or self.shape[last] < 8:
                crosses &= _abs(self.strides[s * AXES + last]) < LINE
                continue
            if _abs(self.strides[s * AXES + last]) >= LINE:
                # One block serves all that conflict: of elements of one size along one axis.
                crosses &= self.strides[s * AXES + near] == itemsize[s] and self._has_blocks(near, last, itemsize[s])
                crosses &= s < n - self.outputs and across in (-1, near) and size in (0, itemsize[s])
                across, size = near, itemsize[s]
                votes[near] += itemsize[s]
                lines += self.shape[last]
                stays &= self.shape[last] <= 8 * _sets(self.strides[s * AXES + last])
        # Elements of 16 bytes are not shuffled: blocks of complex numbers in the second cache took a tenth longer than loops.
        crosses &= size != 16 or not stays
        if small and not (crosses and size):
            return 0
        while chosen < NEST - 1:
            best = -1
            most = 0
            # Those chosen stand before the inner one, and have no votes left.
            for k in range(first, AXES):
                if votes[k] > most:
                    most = votes[k]
                    best = k
            if best < 0:
                break
            votes[best] = 0
            if not chosen and last != inner:
                if best > last:
                    best -= 1
                self._move_axis(last, inner, votes)
            chosen += 1
            self._move_axis(best, inner - 1, votes)
        if crosses and size:
            self.crossed = True
            return 0
        if chosen == 1 and stays and 2 * lines * LINE <= tile_bytes:
            return 0
        self.tile = chosen + 1 if chosen else 0
        return 0

    cdef int _near_axis(self, int s) noexcept:
        """The axis along which a stream moves least, if within a line; -1 where it does not."""
        cdef int k, near = -1
        cdef npy_intp step, least = LINE
        for k in range(AXES - 1, AXES - self.rank - 1, -1):
            step = _abs(self.strides[s * AXES + k])
            if 0 < step < least:
                near = k
                least = step
        return near

    cdef int _move_axis(self, int start, int stop, npy_intp *values) noexcept:
        """Move an axis inwards; the ones between move outwards by one, and so do their values."""
        cdef int k, s
        for k in range(start, stop):
            self.shape[k], self.shape[k + 1] = self.shape[k + 1], self.shape[k]
            values[k], values[k + 1] = values[k + 1], values[k]
            for s in range(self.count):
                self.strides[s * AXES + k], self.strides[s * AXES + k + 1] = (
                    self.strides[s * AXES + k + 1], self.strides[s * AXES + k])
        return 0

    cdef bytes key(self, const int *itemsize, const char *hoisted):
        """The signature: rank of the nest, how many axes are tiled, a code for each stream; last, a bit per reduced axis.

        A code tells of the innermost axis: 0 contiguous, 1 broadcast, 2 strided, 3 contiguous backwards; 4 is for a
        stream that is packed tile by tile, whatever its strides; 5 to 7 are for an input of elements two to four apart, and
        8 for one that is contiguous along the axis before, and read by blocks; 9 is 4 and 8. Of a stream with something to hoist, and where
        elements may come in any order, it has a bit beyond those for each axis of the nest that the stream is
        broadcast along, unless the axis is short.
        """
        cdef int s, axis
        cdef bytes result = PyBytes_FromStringAndSize(NULL, 2 + self.count + self.reduces)
        cdef char *text = PyBytes_AS_STRING(result)
        cdef npy_intp step, least = FEW_REPEATS if self.elements <= SMALL else REPEATS
        cdef char code
        text[0] = max(1, min(self.rank, NEST))
        text[1] = self.tile
        if self._streams(itemsize):
            text[1] |= LARGE
        for s in range(self.count):
            step = self.strides[s * AXES + AXES - 1]
            code = 0 if step == itemsize[s] else 1 if step == 0 else 3 if step == -itemsize[s] else 2
            if code == 2 and s < self.count - self.outputs:
                if self.crossed and _abs(step) >= LINE and self.strides[s * AXES + AXES - 2] == itemsize[s]:
                    code = 8
                elif step == 2 * itemsize[s] or step == 3 * itemsize[s] or step == 4 * itemsize[s]:
                    code = <char>(3 + step // itemsize[s])
            if self.tile and s < self.count - self.outputs and self._packed(s):
                code = 4
            if self.mixed and s < self.count - self.outputs and self._near_axis(s) == AXES - 2 and _abs(step) >= LINE:
                code = 4
            if code == 4 and self.tile < 3 and self.strides[s * AXES + AXES - 2] == itemsize[s] > 1:
                code = 9
            if not self.direction and s < self.count - self.outputs and hoisted[s]:
                for axis in range(AXES - text[0], AXES):
                    if self.strides[s * AXES + axis] == 0 and self.shape[axis] >= least:
                        code |= <char>(1 << (4 + AXES - 1 - axis))
            text[2 + s] = code
        if self.reduces:
            code = 0
            for axis in range(AXES - NEST, AXES):
                code = <char>(code * 2 + (self.reduced[axis] != 0))
            text[2 + self.count] = code
        return result

    cdef bint _streams(self, const int *itemsize) noexcept:
        """Whether results are larger than the caches, contiguous, and of elements that may come in any order.

        Or half as large again with the longest of what is read: that puts a result out of the caches as well.
        """
        cdef int s, k
        cdef npy_intp read = 0, size = 0
        if self.direction or (self.reduces and (self.tile or self.outputs > 1)):
            return False
        for s in range(self.count - self.outputs):
            read = max(read, self.high[s] - self.low[s])
            # What a tile is made of goes through the caches as well, and comes back to none of it.
            size += itemsize[s] if self.tile else 0
        for s in range(self.count - self.outputs, self.count):
            # Of what is reduced there is an element for many.
            for k in range(AXES - self.rank, AXES if self.reduces else 0):
                if self.strides[s * AXES + k] == 0:
                    return False
            if self.strides[s * AXES + AXES - 1] != itemsize[s]:
                return False
            if self.elements * (itemsize[s] + size) < self.stream_bytes:
                if self.tile or self.elements * itemsize[s] + read < self.stream_bytes + self.stream_bytes // 2:
                    return False
            # Short rows that begin or end within a line store it by halves, and so do those of tiles of three axes.
            if self.tile > 2 or self.shape[AXES - 1] * itemsize[s] < 16 * LINE:
                for k in range(AXES - self.rank, AXES - 1):
                    if self.strides[s * AXES + k] % LINE:
                        return False
        return True

    cdef bint _packed(self, int s) noexcept:
        """Whether a tile of a stream is copied: it is nearly contiguous along another axis of the tile than the inner."""
        return _abs(self.strides[s * AXES + AXES - 1]) >= LINE and self._near_axis(s) >= AXES - self.tile


cdef class Region:
    """One element-wise expression over streams, and the code for the signatures met so far.

    `build(key)` makes the code for a signature, or None where nothing can be compiled.
    """

    def __init__(self, expression, itemsizes, build, *, npy_intp tile_bytes, npy_intp stream_bytes=1 << 62, int threads,
                 double work=0, str raises="", int outputs=1, tuple reduced=(), bytes hoisted=b"", divide=None,
                 bytes places=b""):
        self.count = len(itemsizes)
        self.outputs = outputs
        self.reduced = reduced
        self.hoisted = hoisted or bytes(self.count)
        self.expression = expression
        self.codes = {}
        self.build = build
        self.tile_bytes = tile_bytes
        self.stream_bytes = stream_bytes
        self.threads = threads
        self.work = work
        self.raises = raises
        self.divide = divide
        self.places = places or bytes(outputs)
        self.divided = ()
        self.itemsize = <int *>malloc(self.count * sizeof(int))
        if self.itemsize == NULL:
            raise MemoryError()
        for k in range(self.count):
            self.itemsize[k] = itemsizes[k]

    def __dealloc__(self):
        free(self.itemsize)

    cdef Problem problem(self, list streams, tuple shape):
        """The problem of arrays that broadcast to a shape."""
        cdef PyObject *few[16]
        cdef PyObject **arrays = &few[0]
        cdef npy_intp dims[MAX_AXES]
        cdef int s
        for s in range(len(shape)):
            dims[s] = shape[s]
        if self.count > 16:
            arrays = <PyObject **>malloc(self.count * sizeof(PyObject *))
            if arrays == NULL:
                raise MemoryError()
        for s in range(self.count):
            arrays[s] = <PyObject *>streams[s]
        try:
            return _problem(self, arrays, len(shape), dims)
        finally:
            if self.count > 16:
                free(arrays)

    cdef Code decide_problem(self, Problem problem):
        if (problem.rank == 0 or problem.elements == 0) and not self.reduced:
            # Of one element no stride matters, and of none nothing does: whatever there is will do.
            for code in self.codes.values():
                if code is not None:
                    return <Code>code
            if problem.elements == 0:
                return None
        if self.divide is not None:
            code = divided(self, problem)
            if code is not None:
                return <Code>code
        return self.code_of(problem) if problem.fits_nest() else None

    cdef Code code_of(self, Problem problem):
        """The code for a problem whose reduced axes outside of the nest, if there are any, are cut to one place each."""
        cdef bytes key = problem.key(self.itemsize, self.hoisted)
        self.last = problem
        code = self.codes.get(key)
        if code is not None:
            return <Code>code
        return self._make(key)

    def decided(self):
        """Of the layouts that were decided on last, the key, the lengths of the axes, and each stream's byte strides."""
        cdef Problem problem = self.last
        cdef int s, k
        if problem is None:
            return None
        first = AXES - problem.rank
        return (
            problem.key(self.itemsize, self.hoisted),
            [problem.shape[k] for k in range(first, AXES)],
            [[problem.strides[s * AXES + k] for k in range(first, AXES)] for s in range(self.count)],
        )

    def _make(self, bytes key):
        # Beyond the budget every layout shares the generic kernels: one by rows, and by tiles ones that pack all.
        inputs = self.count - self.outputs
        classes = bytes([4 if key[1] & MAX_TILE else 2] * inputs + [2] * self.outputs)
        generic = bytes([NEST, key[1] & MAX_TILE]) + classes + key[2 + self.count:]
        if key != generic and self._full():
            code = self._generic(generic)
        else:
            code = self.build(key)
            # A compiler takes its time: another thread may have been quicker.
            if self.codes.get(key) is not None:
                return self.codes[key]
            if key != generic and self._full():
                code = self._generic(generic)
        self.codes[key] = code
        return code

    def _full(self):
        return len({id(code) for code in self.codes.values()}) >= EXACT_CODES

    def _generic(self, bytes key):
        if key not in self.codes:
            code = self.build(key)
            self.codes.setdefault(key, code)
        return self.codes[key]

    def decide(self, list streams not None, tuple shape=None):
        """The code for arrays that broadcast to a shape, the last one's; None where nothing can be compiled."""
        return self.decide_problem(self.problem(streams, streams[self.count - 1].shape if shape is None else shape))

    def execute(self, list streams not None, overlaps not None, tuple shape=None):
        """Run on arrays that broadcast to a shape, the last one's.

        The arrays are aligned, native, and of the region's element types. An output has length 1 along the axes
        that are reduced. `overlaps` says of two arrays, exactly, whether one partly overlaps the other; where the
        region reduces, or has several outputs, none does. Returns 1, 2 where an operand had to be copied, and 0
        where nothing was run, since there is no code.
        """
        cdef int s
        cdef Code code
        cdef Problem problem = self.problem(streams, streams[self.count - 1].shape if shape is None else shape)
        if problem.elements == 0:
            return 0 if self.reduced else 1
        cdef char **data = <char **>malloc(self.count * sizeof(char *))
        if data == NULL:
            raise MemoryError()
        try:
            for s in range(self.count):
                data[s] = PyArray_BYTES(<PyObject *>streams[s]) + problem.offsets[s]
            if not self.reduced and self.outputs == 1:
                return run_overlapping(self, problem, data, streams, overlaps)
            code = self.decide_problem(problem)
            if code is None:
                return 0
            self.run(code, problem, data)
            return 1
        finally:
            free(data)

    cdef Nest _nest(self, Code code, Problem problem) noexcept:
        """What the walk needs to know; the streams' data are left to set."""
        cdef Nest nest
        nest.function = get_function(code.function)
        nest.scratch = NULL
        nest.tape = NULL
        if nest.function != NULL:
            nest.scratch = code.scratch
        else:
            nest.tape, nest.run = code.tape.tape, code.tape.run
        nest.inner = code.rank
        nest.tile = code.tile
        nest.tiled = code.tiled
        nest.itemsize = self.itemsize
        nest.rank = problem.rank
        nest.count = self.count
        nest.whole = problem.whole
        nest.shape = problem.shape
        nest.strides = problem.strides
        nest.data = NULL
        return nest

    cdef int run(self, Code code, Problem problem, char **data) except -1:
        """Call the code on all of the problem, in threads where that pays."""
        cdef int status, s, first = AXES - code.rank
        cdef Array arrays[16]
        cdef kernel_function function
        if problem.division is not None:
            return problem.division.run(problem, data)
        if code.request is not None:
            code.work(problem.elements)
        cdef bint brief = (problem.elements < KEEP_GIL
                           or self._work(problem, min(self.work, code.element_ns)) < KEEP_GIL_NS)
        if brief and problem.rank <= code.rank and not code.tiled and self.count <= 16:
            # Little work for one call of compiled code: `sweep` would take 8 ns of 45.
            function = get_function(code.function)
            if function != NULL:
                for s in range(self.count):
                    arrays[s].data = data[s]
                    arrays[s].shape = problem.shape + first
                    arrays[s].strides = problem.strides + s * AXES + first
                if code.scratch == NULL or code.scratch(arrays) == 0:
                    status = function(arrays, NULL, 1)
                    if status:
                        self._fail(status)
                    return 0
        cdef Nest nest = self._nest(code, problem)
        nest.data = data
        cdef int threads = 1
        if brief:
            status = sweep(&nest, 1)
        else:
            if not problem.direction:
                threads = self._threads(code, problem)
            with nogil:
                status = sweep(&nest, threads)
        if status:
            self._fail(status)
        return 0

    cdef int run_rows(self, Code code, Problem problem, char **data, npy_intp rows) except -1:
        """Call the code on so many places of the outermost axis, in this thread."""
        cdef npy_intp shape[AXES]
        cdef npy_intp elements = problem.elements // problem.shape[AXES - problem.rank] * rows
        cdef int status
        cdef Nest nest
        if code.request is not None:
            code.work(elements)
        memcpy(shape, problem.shape, AXES * sizeof(npy_intp))
        shape[AXES - problem.rank] = rows
        nest = self._nest(code, problem)
        nest.shape, nest.data = shape, data
        if elements < KEEP_GIL:
            status = sweep(&nest, 1)
        else:
            with nogil:
                status = sweep(&nest, 1)
        if status:
            self._fail(status)
        return 0

    cdef int _threads(self, Code code, Problem problem) noexcept:
        """How many threads a call is worth.

        Waking one costs 2 us and at times 25, so that half of 50 us is the least that pays. Arithmetic and
        memory take their time at once, so that the longer counts: 0.008 ns a byte in the second cache.
        """
        cdef int threads = self.threads if self.threads else pool.setting()
        # What is hoisted is no work of an element.
        if threads < 2 or self._work(problem, min(self.work, code.element_ns)) < SERIAL_NS:
            return 1
        return threads

    cdef double _work(self, Problem problem, double operations) noexcept:
        """Nanoseconds that a problem takes, at the least; so many an element of arithmetic."""
        cdef npy_intp bytes = 0
        cdef int s
        for s in range(self.count):
            if problem.high[s] - problem.low[s] > self.itemsize[s]:
                bytes += self.itemsize[s]
        return problem.elements * max(operations, 0.008 * bytes)

    def _fail(self, int status):
        if status & NO_MEMORY:
            raise MemoryError("no memory for the scratch of a kernel")
        raise ValueError(self.raises if status == 1 else f"kernel failed with code {status}")


include "overlap.pxi"
include "parts.pxi"


def allocate_like(list inputs not None, tuple shape, dtype):
    """A new array in NumPy's 'K' order: its axes lie in memory as the inputs' do, in C order where they disagree.

    >>> import numpy as np
    >>> allocate_like([np.zeros((3, 4)).T], (4, 3), np.dtype(float)).strides
    (8, 32)
    """
    cdef int rank = len(shape), k, n = len(inputs)
    cdef npy_intp dims[MAX_AXES]
    cdef PyObject *few[16]
    cdef PyObject **arrays = &few[0]
    for k in range(rank):
        dims[k] = shape[k]
    if n > 16:
        arrays = <PyObject **>malloc(n * sizeof(PyObject *))
        if arrays == NULL:
            raise MemoryError()
    for k in range(n):
        arrays[k] = <PyObject *>inputs[k]
    try:
        return _allocate(arrays, n, rank, dims, dtype)
    finally:
        if n > 16:
            free(arrays)


cdef object _allocate(PyObject **inputs, int count, int rank, npy_intp *dims, object descr):
    cdef int i, j, k, s, place
    cdef int order[MAX_AXES]
    cdef npy_intp strides[MAX_AXES]
    cdef npy_intp x, y, step = descr.itemsize
    cdef bint unclear, swap
    for k in range(rank):
        order[k] = rank - 1 - k
    # From the fastest axis out: an axis moves before the ones that every input agrees are slower.
    for i in range(1, rank):
        place = i
        for j in range(i - 1, -1, -1):
            unclear, swap = True, False
            for s in range(count):
                x = _stride_of(inputs[s], order[i], rank)
                y = _stride_of(inputs[s], order[j], rank)
                if x != 0 and y != 0:
                    if y <= x:
                        swap = False
                    elif unclear:
                        swap = True
                    unclear = False
            if not unclear:
                if not swap:
                    break
                place = j
        k = order[i]
        for j in range(i, place, -1):
            order[j] = order[j - 1]
        order[place] = k
    for i in range(rank):
        strides[order[i]] = step
        step *= dims[order[i]] if dims[order[i]] > 0 else 1
    Py_INCREF(descr)
    return caching_allocator.new_array(<PyObject *>descr, rank, dims, strides if rank > 1 else NULL)


cdef inline npy_intp _stride_of(PyObject *array, int axis, int rank) noexcept:
    cdef int own
    if array == NULL:
        return 0
    own = axis - (rank - PyArray_NDIM(array))
    if own < 0 or PyArray_DIMS(array)[own] == 1:
        return 0
    return _abs(PyArray_STRIDES(array)[own])


cdef bint _walks_itself(PyObject *array) noexcept:
    """Whether two elements of an array may share memory."""
    cdef int rank = PyArray_NDIM(array), i, j
    cdef npy_intp reach = PyArray_ITEMSIZE(array), step, length
    cdef npy_intp steps[MAX_AXES]
    cdef npy_intp lengths[MAX_AXES]
    if PyArray_FLAGS(array) & (cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_F_CONTIGUOUS):
        return False
    cdef int n = 0
    for i in range(rank):
        length = PyArray_DIMS(array)[i]
        if length == 0:
            return False
        if length == 1:
            continue
        step = _abs(PyArray_STRIDES(array)[i])
        j = n
        while j > 0 and steps[j - 1] > step:
            steps[j] = steps[j - 1]
            lengths[j] = lengths[j - 1]
            j -= 1
        steps[j] = step
        lengths[j] = length
        n += 1
    for i in range(n):
        if steps[i] < reach:
            return True
        reach += steps[i] * (lengths[i] - 1)
    return False


def walks_itself(array not None):
    """Whether two elements of an array may share memory.

    >>> import numpy as np
    >>> walks_itself(np.zeros((3, 4)).T), walks_itself(np.broadcast_to(np.zeros(4), (3, 4)))
    (False, True)
    """
    return _walks_itself(<PyObject *>array)


cdef class Operands:
    """What a program's operands must be: element types, ranks, and by `limits` the Python ints that each takes."""

    def __init__(self, list descrs not None, list ranks not None, list limits not None, int given):
        cdef int k, m = len(descrs)
        self.descrs = descrs
        self.given = given
        self.operands = m
        self.ranks = <int *>calloc(m, sizeof(int))
        self.lowest = <long long *>calloc(m, sizeof(long long))
        self.highest = <long long *>calloc(m, sizeof(long long))
        if self.ranks == NULL or self.lowest == NULL or self.highest == NULL:
            raise MemoryError()
        for k in range(m):
            self.ranks[k] = ranks[k]
            self.lowest[k], self.highest[k] = limits[k]

    def __dealloc__(self):
        free(self.ranks)
        free(self.lowest)
        free(self.highest)

    cdef bint take_number(self, PyObject *arg, int k, Argument *argument) noexcept:
        """Whether a Python number is what operand k, a scalar, wants."""
        cdef int kind, overflow = 0
        cdef long long whole
        argument.data = <char *>argument.number
        kind = PyArray_TYPE_OF(<PyObject *>PyList_GET_ITEM(self.descrs, k))
        if PyFloat_CheckExact(<object>arg):
            argument.number[0] = PyFloat_AS_DOUBLE(<object>arg)
            return kind == cnp.NPY_DOUBLE
        if PyLong_CheckExact(<object>arg):
            whole = PyLong_AsLongLongAndOverflow(<object>arg, &overflow)
            (<long long *>argument.data)[0] = whole
            return kind == cnp.NPY_INT64 and not overflow and self.lowest[k] <= whole <= self.highest[k]
        return False


cdef class Recipe(Operands):
    """How to run a program that is one region over whole operands, with what its operands must be.

    `sources` gives each stream's place among the operands, the target's last; None for a stream that is
    a view: such calls go through `resolve` the first time. `limits` are the Python ints each operand takes.
    """

    def __init__(self, Region region not None, list descrs not None, list ranks not None, list sources not None,
                 list limits not None, int given):
        cdef int k
        Operands.__init__(self, descrs, ranks, limits, given)
        self.region = region
        self.source = <int *>calloc(region.count, sizeof(int))
        if self.source == NULL:
            raise MemoryError()
        for k in range(region.count):
            self.source[k] = sources[k]
        self.target = self.source[region.count - 1]

    def __dealloc__(self):
        free(self.source)

    cdef object call(self, Kernel kernel, PyObject *const *args, Py_ssize_t given, PyObject *out, bint *found):
        """Run on new layouts, and have the kernel remember them; leaves `found` unset for what needs `resolve`."""
        cdef int m = self.given, n = self.region.count, k, s, i, own, rank = 0
        cdef Argument taken[16]
        cdef PyObject *arrays[16]
        cdef npy_intp dims[MAX_AXES]
        cdef npy_intp length
        cdef PyObject *target
        cdef object result = None
        if given != m or n > 16 or m >= 16 or (out != NULL and self.operands == m) or self.operands > m + 1:
            return None
        for k in range(m):
            if not take(self, args[k], k, &taken[k]):
                return None
        # Broadcast what is read; a mismatch is left to `resolve`, which says whose.
        for s in range(n - 1):
            k = self.source[s]
            arrays[s] = args[k] if PyArray_CheckExact(args[k]) else NULL
            rank = max(rank, self.ranks[k])
        for i in range(rank):
            dims[i] = 1
        for s in range(n - 1):
            if arrays[s] == NULL:
                continue
            own = PyArray_NDIM(arrays[s])
            for i in range(own):
                length = PyArray_DIMS(arrays[s])[i]
                if length != 1:
                    if dims[rank - own + i] != 1 and dims[rank - own + i] != length:
                        return None
                    dims[rank - own + i] = length
        cdef bint allocates = self.target == m and out == NULL
        if allocates:
            if rank != self.ranks[m]:
                return None
            result = _allocate(arrays, n - 1, rank, dims, <object>PyList_GET_ITEM(self.descrs, m))
            out = <PyObject *>result
        elif out != NULL:
            if not PyArray_CheckExact(out) or not take(self, out, m, &taken[m]):
                return None
            result = <object>out
        target = out if self.target == m else args[self.target]
        if not allocates:
            if not PyArray_CheckExact(target) or not PyArray_FLAGS(target) & cnp.NPY_ARRAY_WRITEABLE:
                return None
            own = PyArray_NDIM(target)
            if own < rank or _walks_itself(target):
                return None
            for i in range(rank):
                if dims[i] != 1 and dims[i] != PyArray_DIMS(target)[own - rank + i]:
                    return None
        arrays[n - 1] = target
        cdef Entry entry = Entry.__new__(Entry, self)
        entry.allocates = allocates
        for k in range(self.operands):
            target = args[k] if k < m else out
            if PyArray_CheckExact(target):
                memcpy(entry.layouts + k * 2 * MAX_AXES, PyArray_DIMS(target), self.ranks[k] * sizeof(npy_intp))
                memcpy(entry.layouts + (k * 2 + 1) * MAX_AXES, PyArray_STRIDES(target), self.ranks[k] * sizeof(npy_intp))
        entry.problem = _problem(self.region, arrays, PyArray_NDIM(arrays[n - 1]), PyArray_DIMS(arrays[n - 1]))
        entry.finish()
        if entry.code is None:
            return None
        kernel.remember(entry)
        return entry.run(args, taken, out, result, found)


cdef Problem _problem(Region region, PyObject **arrays, int rank, npy_intp *dims):
    """The problem of arrays that broadcast to a shape; NULL stands for a number."""
    cdef int n = region.count, s, k, own
    cdef Problem problem = Problem(n, region.outputs)
    problem.stream_bytes = region.stream_bytes
    problem.ordered = any(region.places)
    memcpy(problem.shape, dims, rank * sizeof(npy_intp))
    for axis in region.reduced:
        problem.reduced[<int>axis] = True
    for s in range(n):
        if arrays[s] == NULL:
            continue
        own = PyArray_NDIM(arrays[s])
        for k in range(own):
            if PyArray_DIMS(arrays[s])[k] != 1:
                problem.strides[s * AXES + rank - own + k] = PyArray_STRIDES(arrays[s])[k]
    problem.canonicalise(rank, region.itemsize, region.tile_bytes)
    return problem


cdef class Remembered:
    """The layouts of one call that needed no conversion, and how to make the next one on them."""

    def __cinit__(self, Operands declared not None, *rest):
        self.declared = declared
        self.layouts = <npy_intp *>calloc(declared.operands * 2 * MAX_AXES + 1, sizeof(npy_intp))
        if self.layouts == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.layouts)

    cdef object new(self, int k):
        """A new array for result k, which counts after the operands that are given."""
        cdef npy_intp *layout = self.layouts + k * 2 * MAX_AXES
        cdef int rank = self.declared.ranks[k]
        cdef PyObject *descr = <PyObject *>PyList_GET_ITEM(self.declared.descrs, k)
        Py_INCREF(<object>descr)
        return caching_allocator.new_array(descr, rank, layout, layout + MAX_AXES if rank > 1 else NULL)

    cdef object call(self, PyObject *const *args, Py_ssize_t given, PyObject *out, bint *found):
        """Run where the arguments fit; else leave `found` unset."""
        return None


cdef class Entry(Remembered):
    """A call of a program that is one region, and all that was decided for it."""

    def __cinit__(self, Recipe recipe not None, *rest):
        cdef int n = recipe.region.count
        self.recipe = recipe
        self.starts = <npy_intp *>calloc(n, sizeof(npy_intp))
        self.same = <bint *>calloc(n, sizeof(bint))
        if self.starts == NULL or self.same == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.starts)
        free(self.same)

    @staticmethod
    def of(Recipe recipe not None, list arrays not None, list streams not None, tuple shape, bint allocates):
        """The entry of a call of `resolve`: its operands, the result where there is one, and the streams on them."""
        cdef Entry self = Entry.__new__(Entry, recipe)
        cdef int s, k, n = recipe.region.count
        cdef PyObject *array
        self.allocates = allocates
        for k in range(recipe.operands):
            array = <PyObject *>arrays[k]
            memcpy(self.layouts + k * 2 * MAX_AXES, PyArray_DIMS(array), recipe.ranks[k] * sizeof(npy_intp))
            memcpy(self.layouts + (k * 2 + 1) * MAX_AXES, PyArray_STRIDES(array), recipe.ranks[k] * sizeof(npy_intp))
        self.problem = recipe.region.problem(streams, shape)
        self.fixed = []
        for s in range(n):
            if recipe.source[s] < 0:
                # A length: the same in every call of these layouts.
                self.fixed.append(streams[s])
                self.starts[s] = <npy_intp>PyArray_BYTES(<PyObject *>streams[s])
            else:
                self.starts[s] = (PyArray_BYTES(<PyObject *>streams[s])
                                  - PyArray_BYTES(<PyObject *>arrays[recipe.source[s]]))
        self.finish()
        return self

    def runs(self):
        """Whether there is code for it."""
        return self.code is not None

    cdef int finish(self) except -1:
        """Choose the code, and what every call needs to know of the streams."""
        cdef Region region = self.recipe.region
        cdef int s, k, n = region.count
        cdef npy_intp *strides = self.problem.strides
        self.code = region.decide_problem(self.problem)
        for s in range(n):
            self.starts[s] += self.problem.offsets[s]
            self.same[s] = region.itemsize[s] == region.itemsize[n - 1] and not memcmp(
                strides + s * AXES, strides + (n - 1) * AXES, AXES * sizeof(npy_intp)
            )
        return 0

    cdef object call(self, PyObject *const *args, Py_ssize_t given, PyObject *out, bint *found):
        """Run where the arguments fit; else leave `found` unset."""
        cdef Recipe recipe = self.recipe
        cdef int m = recipe.given, k
        cdef Argument taken[16]
        cdef PyObject *target
        cdef object result = None
        if recipe.operands > m + 1:
            return self.call_several(args, given, out, found)
        if given != m or m >= 16 or recipe.region.count > 16 or (out == NULL) != (self.allocates or recipe.operands == m):
            return None
        for k in range(m):
            if not take(recipe, args[k], k, &taken[k]) or (recipe.ranks[k] and not fits(self, args[k], k)):
                return None
        if self.allocates:
            result = self.new(m)
            out = <PyObject *>result
        else:
            if out != NULL:
                if not PyArray_CheckExact(out) or not take(recipe, out, m, &taken[m]) or not fits(self, out, m):
                    return None
                result = <object>out
            target = out if recipe.target == m else args[recipe.target]
            if not PyArray_CheckExact(target) or not PyArray_FLAGS(target) & cnp.NPY_ARRAY_WRITEABLE:
                return None
        return self.run(args, taken, out, result, found)

    cdef object call_several(self, PyObject *const *args, Py_ssize_t given, PyObject *out, bint *found):
        """`call` of a program with several results."""
        cdef Recipe recipe = self.recipe
        cdef Problem problem = self.problem
        cdef int m = recipe.given, results = recipe.operands - m, n = recipe.region.count, k, s, t
        cdef Argument taken[16]
        cdef char *data[16]
        cdef PyObject *array
        if given != m or m + results > 16 or n > 16 or (out == NULL) != self.allocates:
            return None
        if out != NULL and (not isinstance(<object>out, tuple) or PyTuple_GET_SIZE(out) != results):
            return None
        for k in range(m):
            if not take(recipe, args[k], k, &taken[k]) or (recipe.ranks[k] and not fits(self, args[k], k)):
                return None
        cdef list made = [] if self.allocates else None
        for k in range(m, m + results):
            if self.allocates:
                made.append(self.new(k))
                array = <PyObject *>PyList_GET_ITEM(made, k - m)
            else:
                array = PyTuple_GET_ITEM(out, k - m)
                if not PyArray_CheckExact(array) or not PyArray_FLAGS(array) & cnp.NPY_ARRAY_WRITEABLE:
                    return None
                if not take(recipe, array, k, &taken[k]) or not fits(self, array, k):
                    return None
            taken[k].data = PyArray_BYTES(array)
        for s in range(n):
            k = recipe.source[s]
            data[s] = (NULL if k < 0 else taken[k].data) + self.starts[s]
        if not self.allocates:
            for t in range(n - recipe.region.outputs, n):
                for s in range(t):
                    if (data[s] + problem.low[s] < data[t] + problem.high[t]
                            and data[t] + problem.low[t] < data[s] + problem.high[s]):
                        return None
        found[0] = True
        if problem.elements:
            recipe.region.run(self.code, problem, &data[0])
        if not self.allocates:
            return <object>out
        for k in range(results):
            if recipe.ranks[m + k] == 0:
                made[k] = made[k][()]
        return tuple(made)

    cdef object run(self, PyObject *const *args, Argument *taken, PyObject *out, object result, bint *found):
        """Run, unless an input overlaps the output so that a whole operand has to be copied."""
        cdef Recipe recipe = self.recipe
        cdef Problem problem = self.problem
        cdef int n = recipe.region.count, m = recipe.given, s, k
        cdef char *data[16]
        cdef char *low
        cdef char *high
        cdef bint overlaps = False
        for s in range(n):
            k = recipe.source[s]
            data[s] = (NULL if k < 0 else PyArray_BYTES(out) if k == m else taken[k].data) + self.starts[s]
        if not self.allocates:
            low = data[n - 1] + problem.low[n - 1]
            high = data[n - 1] + problem.high[n - 1]
            for s in range(n - 1):
                if (data[s] + problem.low[s] < high and low < data[s] + problem.high[s]
                        and not (self.same[s] and data[s] == data[n - 1])):
                    overlaps = problem.elements > 0
        if overlaps and (problem.reduces or not run_overlapping(recipe.region, problem, &data[0], None, None)):
            return None
        found[0] = True
        if problem.elements and not overlaps:
            recipe.region.run(self.code, problem, &data[0])
        if self.allocates and recipe.ranks[m] == 0:
            Py_INCREF(result)
            return PyArray_Return(<PyObject *>result)
        return result


cdef class Kernel:
    """What the user calls: `kernel(*arrays, out=None)`.

    Calls on layouts seen lately go straight to the compiled code (`Entry`), new layouts of a program that
    is one region through its `Recipe`, and everything else to `resolve(args, out)`.
    """

    def __cinit__(self, *args, **kwargs):
        self.vectorcall = <void *>_vectorcall

    def __init__(self, resolve, str name):
        self.resolve = resolve
        self.entries = []
        self.recipes = []
        self.__name__ = name

    def add(self, Recipe recipe not None):
        """Answer calls by a recipe, for the types of operands that it takes."""
        if recipe not in self.recipes:
            self.recipes = [*self.recipes, recipe]

    def remember(self, Remembered entry not None):
        """Keep an entry for repeat calls; the one unused longest goes."""
        if entry.runs():
            self.entries = [entry, *self.entries[:MAX_ENTRIES - 1]]

    def wait(self):
        """Have compiled code for all that the kernel has been called with so far, before this returns.

        Returns whether there is: not so without a compiler, or where it failed.
        """
        from .handover import wait

        found = [self.compiled] if hasattr(self, "compiled") else list(self.traced.compiled.values())
        return wait([code for compiled in found for code in compiled.codes()])

    def __repr__(self):
        return f"<arrayexpr kernel {self.__name__}>"


cdef object _call(Kernel self, PyObject *const *args, size_t flags, PyObject *names):
    cdef Py_ssize_t given = PyVectorcall_NARGS(flags), k
    cdef PyObject *out = NULL
    cdef bint found = False
    cdef Remembered entry
    cdef Recipe recipe
    cdef list entries = self.entries, recipes = self.recipes
    cdef bint plain = names == NULL or PyTuple_GET_SIZE(names) == 0
    if not plain and PyTuple_GET_SIZE(names) == 1 and <object>PyTuple_GET_ITEM(names, 0) == "out":
        plain = True
        out = args[given]
        if out == <PyObject *>None:
            out = NULL
    if plain:
        for k in range(len(entries)):
            entry = <Remembered>entries[k]
            result = entry.call(args, given, out, &found)
            if found:
                if k:
                    self.entries = [entry] + [e for e in entries if e is not entry]
                return result
        for k in range(len(recipes)):
            recipe = <Recipe>recipes[k]
            result = recipe.call(self, args, given, out, &found)
            if found:
                return result
    keywords = {}
    if names != NULL:
        for k in range(PyTuple_GET_SIZE(names)):
            keywords[<object>PyTuple_GET_ITEM(names, k)] = <object>args[given + k]
    return self.resolve(tuple([<object>args[k] for k in range(given)]), **keywords)


cdef PyObject *_vectorcall(PyObject *self, PyObject *const *args, size_t flags, PyObject *names) except NULL:
    result = _call(<Kernel>self, args, flags, names)
    Py_INCREF(result)
    return <PyObject *>result


# Cython gives classes no vectorcall of their own: a call through a tuple and a dict costs some 60 ns more.
cdef extern from *:
    """
    static void arrayexpr_enable_vectorcall(PyTypeObject *cls, Py_ssize_t offset) {
        cls->tp_vectorcall_offset = offset;
        cls->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
        cls->tp_call = PyVectorcall_Call;
        PyType_Modified(cls);
    }
    """
    void arrayexpr_enable_vectorcall(PyTypeObject *, Py_ssize_t)

cdef Kernel _probe = Kernel.__new__(Kernel)
arrayexpr_enable_vectorcall(<PyTypeObject *>Kernel, <char *>&_probe.vectorcall - <char *><PyObject *>_probe)
