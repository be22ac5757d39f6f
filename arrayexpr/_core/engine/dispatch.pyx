# cython: language_level=3, boundscheck=False, wraparound=False
"""The call path: from arrays to the compiled kernel for their layouts.

A call first looks among the layouts seen last (`Entry`, compared number by number). Else the layouts
are canonicalised (`Problem`): axes of length 1 dropped, falling axes flipped, axes ordered by the bytes
they move, joined where memory goes on. What is left makes the signature: the rank, and per stream
whether the inner axis is contiguous, broadcast or strided. Not the lengths and strides themselves: a
new shape never compiles.
"""

cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy
from numpy cimport npy_intp

cnp.import_array()

# NumPy's accessors on borrowed pointers, without a reference count for each.
cdef extern from *:
    """
    #define ARRAYEXPR_NDIM(a) PyArray_NDIM((PyArrayObject *)(a))
    #define ARRAYEXPR_DIMS(a) PyArray_DIMS((PyArrayObject *)(a))
    #define ARRAYEXPR_STRIDES(a) PyArray_STRIDES((PyArrayObject *)(a))
    #define ARRAYEXPR_BYTES(a) PyArray_BYTES((PyArrayObject *)(a))
    #define ARRAYEXPR_FLAGS(a) PyArray_FLAGS((PyArrayObject *)(a))
    #define ARRAYEXPR_DESCR(a) ((PyObject *)PyArray_DESCR((PyArrayObject *)(a)))
    #define ARRAYEXPR_NEW(d, n, s, t) PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr *)(d), n, s, t, NULL, 0, NULL)
    #define ARRAYEXPR_RETURN(a) PyArray_Return((PyArrayObject *)(a))
    """
    bint PyArray_CheckExact(PyObject *)
    int PyArray_NDIM "ARRAYEXPR_NDIM" (PyObject *) noexcept
    npy_intp *PyArray_DIMS "ARRAYEXPR_DIMS" (PyObject *) noexcept
    npy_intp *PyArray_STRIDES "ARRAYEXPR_STRIDES" (PyObject *) noexcept
    char *PyArray_BYTES "ARRAYEXPR_BYTES" (PyObject *) noexcept
    int PyArray_FLAGS "ARRAYEXPR_FLAGS" (PyObject *) noexcept
    PyObject *PyArray_DESCR "ARRAYEXPR_DESCR" (PyObject *) noexcept
    object PyArray_New "ARRAYEXPR_NEW" (PyObject *, int, const npy_intp *, const npy_intp *)
    object PyArray_Return "ARRAYEXPR_RETURN" (PyObject *)

cdef extern from "Python.h":
    Py_ssize_t PyVectorcall_NARGS(size_t)
    Py_ssize_t PyTuple_GET_SIZE(PyObject *)
    PyObject *PyTuple_GET_ITEM(PyObject *, Py_ssize_t)

#: Specialisations of one region: seven for exact signatures, the eighth for all layouts beyond them.
MAX_CODES = 8
cdef int EXACT_CODES = MAX_CODES - 2
#: The rank of the nest that a kernel walks; axes beyond are walked around it.
cdef int NEST = SPARE

# Below this many elements a call keeps the GIL: letting it go and taking it back costs some 50 ns.
cdef npy_intp KEEP_GIL = 2048
# Below this many bytes threads cost more than they gain: waking a team takes some 5 us.
cdef npy_intp PARALLEL_BYTES = 1 << 20

UNIT, BROADCAST, STRIDED = range(3)

# Layouts remembered number by number, for repeat calls.
cdef int MAX_ENTRIES = 8


cdef class Code:
    """One compiled specialisation."""

    def __init__(self, address, int rank, bint tiled, library, program, str source):
        self.function = <kernel_function><uintptr_t>address
        self.rank = rank
        self.tiled = tiled
        self.library = library
        self.program = program
        self.source = source

    def __repr__(self):
        return f"<Code of rank {self.rank}{', tiled' if self.tiled else ''}>"


cdef inline npy_intp _abs(npy_intp x) noexcept nogil:
    return -x if x < 0 else x


cdef class Problem:
    """Streams over one shape, brought to canonical form."""

    def __cinit__(self, int count):
        self.count = count
        cdef npy_intp *memory = <npy_intp *>calloc(AXES + count * (AXES + 3), sizeof(npy_intp))
        if memory == NULL:
            raise MemoryError()
        self.shape = memory
        self.strides = memory + AXES
        self.offsets = self.strides + count * AXES
        self.low = self.offsets + count
        self.high = self.low + count

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
        cdef bint rises, falls, joined
        self.elements = 1
        for s in range(n):
            self.offsets[s] = 0
        # Drop axes of length 1; flip the axes that no stream walks up and one walks down.
        for k in range(rank):
            length = shape[k]
            self.elements *= length
            if length == 1:
                continue
            rises = falls = False
            w = 0
            for s in range(n):
                step = strides[s * AXES + k]
                rises |= step > 0
                falls |= step < 0
                # A store reads and writes its line, so it counts twice.
                w += _abs(step) * (2 if s == n - 1 else 1)
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
        for s in range(n):
            for k in range(left):
                row[k] = strides[s * AXES + order[k]]
            for k in range(left):
                strides[s * AXES + AXES - left + k] = row[k]
        for k in range(left):
            shape[AXES - left + k] = lengths[k]
        cdef int first = AXES - left, place = AXES - 1
        for k in range(AXES - 2, first - 1, -1):
            joined = True
            for s in range(n):
                if strides[s * AXES + k] != strides[s * AXES + place] * shape[place]:
                    joined = False
                    break
            if joined:
                shape[place] *= shape[k]
            else:
                place -= 1
                shape[place] = shape[k]
                for s in range(n):
                    strides[s * AXES + place] = strides[s * AXES + k]
        self.rank = AXES - place if left else 0
        for k in range(AXES - self.rank):
            shape[k] = 1
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
        self._find_tile(itemsize, tile_bytes)
        return 0

    cdef int _find_tile(self, const int *itemsize, npy_intp tile_bytes) except -1:
        """Bring the axis that conflicts most next to the inner one, where the data leave the first cache."""
        cdef int n = self.count, s, k, best = -1
        cdef npy_intp votes, most = 0, step
        self.tile = False
        if self.rank < 2 or self.elements * itemsize[n - 1] < tile_bytes:
            return 0
        for k in range(AXES - self.rank, AXES - 1):
            votes = 0
            for s in range(n):
                step = _abs(self.strides[s * AXES + AXES - 1])
                if _abs(self.strides[s * AXES + k]) == itemsize[s] and step > itemsize[s]:
                    votes += itemsize[s]
            # A tile of a few rows is no tile.
            if votes > most and self.shape[k] >= 8 and self.shape[AXES - 1] >= 8:
                most = votes
                best = k
        if best < 0:
            return 0
        self.tile = True
        for k in range(best, AXES - 2):
            self.shape[k], self.shape[k + 1] = self.shape[k + 1], self.shape[k]
            for s in range(n):
                step = self.strides[s * AXES + k]
                self.strides[s * AXES + k] = self.strides[s * AXES + k + 1]
                self.strides[s * AXES + k + 1] = step
        return 0

    cdef bytes key(self, const int *itemsize):
        """The signature: rank of the nest, whether it is tiled, and the class of each stream."""
        cdef int s, axis
        cdef bytes result = PyBytes_FromStringAndSize(NULL, 2 + self.count)
        cdef char *text = PyBytes_AS_STRING(result)
        cdef npy_intp step
        cdef char code
        text[0] = max(1, min(self.rank, NEST))
        text[1] = self.tile
        for s in range(self.count):
            code = 0
            for axis in range(AXES - 2 if self.tile else AXES - 1, AXES):
                step = self.strides[s * AXES + axis]
                code = <char>(code * 4 + (0 if step == itemsize[s] else 1 if step == 0 else 2))
            text[2 + s] = code
        return result


cdef class Region:
    """One element-wise expression over streams, and the code for the signatures met so far.

    `build(key)` makes the code for a signature, or None where nothing can be compiled.
    """

    def __init__(self, expression, itemsizes, build, *, npy_intp tile_bytes, int threads, str raises=""):
        self.count = len(itemsizes)
        self.expression = expression
        self.codes = {}
        self.build = build
        self.tile_bytes = tile_bytes
        self.threads = threads
        self.raises = raises
        self.itemsize = <int *>malloc(self.count * sizeof(int))
        if self.itemsize == NULL:
            raise MemoryError()
        for k in range(self.count):
            self.itemsize[k] = itemsizes[k]

    def __dealloc__(self):
        free(self.itemsize)

    cdef Problem problem(self, list streams):
        """The problem of arrays that broadcast to the last one, the output."""
        cdef Problem problem = Problem(self.count)
        cdef PyObject *out = <PyObject *>streams[self.count - 1]
        cdef PyObject *array
        cdef int rank = PyArray_NDIM(out), s, k, own
        memcpy(problem.shape, PyArray_DIMS(out), rank * sizeof(npy_intp))
        for s in range(self.count):
            array = <PyObject *>streams[s]
            own = PyArray_NDIM(array)
            for k in range(own):
                if PyArray_DIMS(array)[k] != 1:
                    problem.strides[s * AXES + rank - own + k] = PyArray_STRIDES(array)[k]
        problem.canonicalise(rank, self.itemsize, self.tile_bytes)
        return problem

    cdef Code decide_problem(self, Problem problem):
        cdef bytes key = problem.key(self.itemsize)
        code = self.codes.get(key)
        if code is not None:
            return <Code>code
        return self._make(key)

    def _make(self, bytes key):
        # Beyond the budget every layout shares the generic kernels: one by rows, one by tiles.
        generic = bytes([NEST, key[1]]) + bytes([10 if key[1] else 2] * self.count)
        if len({id(code) for code in self.codes.values()}) >= EXACT_CODES and key != generic:
            if generic not in self.codes:
                self.codes[generic] = self.build(generic)
            code = self.codes[generic]
        else:
            code = self.build(key)
        self.codes[key] = code
        return code

    def decide(self, list streams not None):
        """The code for arrays that broadcast to the last one; None where nothing can be compiled."""
        return self.decide_problem(self.problem(streams))

    def execute(self, list streams not None):
        """Run on arrays that broadcast to the last one, the output. Returns whether there was code for it.

        The arrays are aligned, native, of the region's element types, and do not partly overlap the output.
        """
        cdef int s
        cdef Problem problem = self.problem(streams)
        if problem.elements == 0:
            return True
        cdef Code code = self.decide_problem(problem)
        if code is None:
            return False
        cdef char **data = <char **>malloc(self.count * sizeof(char *))
        if data == NULL:
            raise MemoryError()
        try:
            for s in range(self.count):
                data[s] = PyArray_BYTES(<PyObject *>streams[s]) + problem.offsets[s]
            self.run(code, problem, data)
        finally:
            free(data)
        return True

    cdef int run(self, Code code, Problem problem, char **data) except -1:
        """Call the code on every block of its rank; `data` is consumed."""
        cdef int n = self.count, s, status = 0
        cdef Array few[16]
        cdef Array *arrays = &few[0]
        if n > 16:
            arrays = <Array *>malloc(n * sizeof(Array))
        if arrays == NULL:
            raise MemoryError()
        cdef int first = AXES - code.rank
        for s in range(n):
            arrays[s].data = data[s]
            arrays[s].shape = problem.shape + first
            arrays[s].strides = problem.strides + s * AXES + first
        cdef int threads = self.threads
        if threads > 1 and problem.elements * self.itemsize[n - 1] < PARALLEL_BYTES:
            threads = 1
        if problem.elements < KEEP_GIL:
            status = _walk(code, problem, arrays, threads)
        else:
            with nogil:
                status = _walk(code, problem, arrays, threads)
        if arrays != &few[0]:
            free(arrays)
        if status != 0:
            raise ValueError(self.raises if status == 1 else f"kernel failed with code {status}")
        return 0


cdef int _walk(Code code, Problem problem, Array *arrays, int threads) noexcept nogil:
    """The axes beyond the nest's rank, as an odometer around the kernel."""
    cdef int rank = problem.rank, s, k, status = 0
    cdef int last = AXES - code.rank - 1, first = AXES - rank
    cdef kernel_function function = code.function
    if first > last:
        return function(arrays, NULL, threads)
    cdef npy_intp counter[MAX_AXES]
    for k in range(first, last + 1):
        counter[k - first] = 0
    while True:
        status |= function(arrays, NULL, threads)
        k = last
        while k >= first:
            counter[k - first] += 1
            if counter[k - first] < problem.shape[k]:
                for s in range(problem.count):
                    arrays[s].data = <char *>arrays[s].data + problem.strides[s * AXES + k]
                break
            counter[k - first] = 0
            for s in range(problem.count):
                arrays[s].data = <char *>arrays[s].data - (problem.shape[k] - 1) * problem.strides[s * AXES + k]
            k -= 1
        if k < first:
            return status


def allocate_like(list inputs not None, tuple shape, dtype):
    """A new array in NumPy's 'K' order: its axes lie in memory as the inputs' do, in C order where they disagree.

    >>> import numpy as np
    >>> allocate_like([np.zeros((3, 4)).T], (4, 3), np.dtype(float)).strides
    (8, 32)
    """
    cdef int rank = len(shape), k, i, j, place
    cdef int order[MAX_AXES]
    cdef npy_intp dims[MAX_AXES]
    cdef npy_intp strides[MAX_AXES]
    cdef npy_intp x, y, step
    cdef bint unclear, swap
    cdef cnp.dtype descr = dtype
    cdef PyObject *array
    for k in range(rank):
        dims[k] = shape[k]
        order[k] = rank - 1 - k
    # From the fastest axis out: an axis moves before the ones that every input agrees are slower.
    for i in range(1, rank):
        place = i
        for j in range(i - 1, -1, -1):
            unclear, swap = True, False
            for item in inputs:
                array = <PyObject *>item
                x = _stride_of(array, order[i], rank)
                y = _stride_of(array, order[j], rank)
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
    step = descr.itemsize
    for i in range(rank):
        strides[order[i]] = step
        step *= dims[order[i]] if dims[order[i]] > 0 else 1
    Py_INCREF(descr)
    return PyArray_New(<PyObject *>descr, rank, dims, strides if rank > 1 else NULL)


cdef inline npy_intp _stride_of(PyObject *array, int axis, int rank) noexcept:
    cdef int own = axis - (rank - PyArray_NDIM(array))
    if own < 0 or PyArray_DIMS(array)[own] == 1:
        return 0
    return _abs(PyArray_STRIDES(array)[own])


cdef class Entry:
    """The layouts of one call that needed no conversion, and all that was decided for them."""

    def __init__(self, Region region not None, list arrays not None, list streams not None, list sources not None,
                 int given, bint allocates, bint alone):
        """`arrays` are the `given` operands, then the output if any; `sources` is each stream's place among them."""
        cdef int s, k, n = region.count, m = len(arrays)
        cdef PyObject *array
        self.region = region
        self.problem = region.problem(streams)
        self.code = region.decide_problem(self.problem)
        self.operands = m
        self.given = given
        self.target = sources[n - 1]
        self.allocates = allocates
        self.alone = alone
        self.descrs = [a.dtype for a in arrays]
        self.ranks = <int *>calloc(m, sizeof(int))
        self.layouts = <npy_intp *>calloc(m * 2 * MAX_AXES, sizeof(npy_intp))
        self.source = <int *>calloc(n, sizeof(int))
        self.starts = <npy_intp *>calloc(n, sizeof(npy_intp))
        self.same = <bint *>calloc(n, sizeof(bint))
        if NULL in (<void *>self.ranks, <void *>self.layouts, <void *>self.source, <void *>self.starts, <void *>self.same):
            raise MemoryError()
        for k in range(m):
            array = <PyObject *>arrays[k]
            self.ranks[k] = PyArray_NDIM(array)
            memcpy(self.layouts + k * 2 * MAX_AXES, PyArray_DIMS(array), self.ranks[k] * sizeof(npy_intp))
            memcpy(self.layouts + (k * 2 + 1) * MAX_AXES, PyArray_STRIDES(array), self.ranks[k] * sizeof(npy_intp))
        for s in range(n):
            self.source[s] = sources[s]
            self.starts[s] = (
                PyArray_BYTES(<PyObject *>streams[s]) - PyArray_BYTES(<PyObject *>arrays[sources[s]])
                + self.problem.offsets[s]
            )
            self.same[s] = region.itemsize[s] == region.itemsize[n - 1]
            for k in range(AXES):
                if self.problem.strides[s * AXES + k] != self.problem.strides[(n - 1) * AXES + k]:
                    self.same[s] = False

    def __dealloc__(self):
        free(self.ranks)
        free(self.layouts)
        free(self.source)
        free(self.starts)
        free(self.same)

    cdef bint fits(self, PyObject *array, int k) noexcept:
        """Whether an argument is an array just like operand k of the call that was remembered."""
        cdef int rank = self.ranks[k]
        cdef npy_intp *layout = self.layouts + k * 2 * MAX_AXES
        if not PyArray_CheckExact(array) or PyArray_NDIM(array) != rank:
            return False
        if PyArray_DESCR(array) != <PyObject *>self.descrs[k] or not PyArray_FLAGS(array) & cnp.NPY_ARRAY_ALIGNED:
            return False
        cdef npy_intp *dims = PyArray_DIMS(array)
        cdef npy_intp *strides = PyArray_STRIDES(array)
        cdef int i
        for i in range(rank):
            if dims[i] != layout[i] or strides[i] != layout[MAX_AXES + i]:
                return False
        return True

    cdef object call(self, PyObject *const *args, Py_ssize_t given, PyObject *out, bint *found):
        """Run where the arguments fit and no input partly overlaps the output; else leave `found` unset."""
        cdef int m = self.given, n = self.region.count, k, s
        cdef char *few[16]
        cdef char *low
        cdef char *high
        cdef PyObject *target
        if given != m or n > 16 or (out == NULL) != (self.allocates or self.operands == m):
            return None
        for k in range(m):
            if not self.fits(args[k], k):
                return None
        cdef object result = None
        if self.allocates:
            result = self.allocate()
            out = <PyObject *>result
        elif out != NULL:
            if not self.fits(out, m):
                return None
            result = <object>out
        target = out if self.target == m else args[self.target]
        if not PyArray_FLAGS(target) & cnp.NPY_ARRAY_WRITEABLE:
            return None
        cdef char **data = &few[0]
        for s in range(n):
            k = self.source[s]
            data[s] = PyArray_BYTES(out if k == m else args[k]) + self.starts[s]
        if not self.allocates:
            low = data[n - 1] + self.problem.low[n - 1]
            high = data[n - 1] + self.problem.high[n - 1]
            for s in range(n - 1):
                if (data[s] + self.problem.low[s] < high and low < data[s] + self.problem.high[s]
                        and not (self.same[s] and data[s] == data[n - 1])):
                    return None
        found[0] = True
        if self.problem.elements:
            self.region.run(self.code, self.problem, data)
        if self.alone:
            Py_INCREF(result)
            return PyArray_Return(<PyObject *>result)
        return result

    cdef object allocate(self):
        cdef int k = self.operands - 1, rank = self.ranks[k]
        cdef npy_intp *layout = self.layouts + k * 2 * MAX_AXES
        cdef cnp.dtype descr = <cnp.dtype>self.descrs[k]
        Py_INCREF(descr)
        return PyArray_New(<PyObject *>descr, rank, layout, layout + MAX_AXES if rank > 1 else NULL)


cdef class Kernel:
    """What the user calls: `kernel(*arrays, out=None)`.

    `resolve(args, out)` answers a call whose layouts are not remembered. Calls on layouts seen lately
    go straight to the compiled code.
    """

    def __cinit__(self, *args, **kwargs):
        self.vectorcall = <void *>_vectorcall

    def __init__(self, resolve, str name):
        self.resolve = resolve
        self.entries = []
        self.__name__ = name

    def remember(self, Entry entry not None):
        """Keep an entry for repeat calls; the one unused longest goes."""
        if entry.code is not None:
            self.entries = [entry, *self.entries[:MAX_ENTRIES - 1]]

    def forget(self):
        """Drop what is remembered, as after a change of settings."""
        self.entries = []

    def __repr__(self):
        return f"<arrayexpr kernel {self.__name__}>"


cdef object _call(Kernel self, PyObject *const *args, size_t flags, PyObject *names):
    cdef Py_ssize_t given = PyVectorcall_NARGS(flags), k
    cdef PyObject *out = NULL
    cdef bint found = False
    cdef Entry entry
    cdef list entries = self.entries
    cdef bint plain = names == NULL or PyTuple_GET_SIZE(names) == 0
    if not plain and PyTuple_GET_SIZE(names) == 1 and <object>PyTuple_GET_ITEM(names, 0) == "out":
        plain = True
        out = args[given]
        if out == <PyObject *>None:
            out = NULL
    if plain:
        for k in range(len(entries)):
            entry = <Entry>entries[k]
            result = entry.call(args, given, out, &found)
            if found:
                if k:
                    self.entries = [entry] + [e for e in entries if e is not entry]
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
