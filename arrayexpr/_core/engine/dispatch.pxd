cimport cython
from cpython.object cimport PyObject
from numpy cimport NPY_ARRAY_ALIGNED, npy_intp

from .abi cimport AXES, MAX_AXES, SPARE, Array, kernel_function, scratch_function
from .arrays cimport (
    PyArray_BYTES,
    PyArray_CheckExact,
    PyArray_DESCR,
    PyArray_DIMS,
    PyArray_FLAGS,
    PyArray_NDIM,
    PyArray_STRIDES,
    PyList_GET_ITEM,
)
from .block cimport Tape
from .sweep cimport Nest

@cython.final
cdef class Code:
    cdef kernel_function function   # of compiled C, set once; until then the tape runs
    cdef scratch_function scratch   # of compiled C; NULL where it wants none
    cdef readonly Tape tape         # None where there is none
    cdef readonly int tile          # the side of its tiles, 0 where it has none
    cdef readonly int rank          # of the loop nest
    cdef readonly int tiled         # axes of a tile, or 0
    cdef public double element_ns   # of arithmetic for an element, at the most
    cdef readonly object library    # keeps the code loaded
    cdef readonly object program    # scheduled
    cdef public object request      # asks for compiled code, once the tape has worked for it; None: there is none to ask
    cdef readonly double worked     # ns, roughly, that the tape has run for
    cdef double pace                # of them an element takes
    cdef object emit
    cdef int work(self, npy_intp elements) except -1

cdef class Division

@cython.final
cdef class Problem:
    cdef Division division          # of a reduction that is computed in parts; else None
    cdef int count                  # streams: the inputs, then the outputs
    cdef int outputs
    cdef int rank                   # axes left after canonicalising
    cdef int tile                   # how many of the last axes make a tile: streams are contiguous along different ones
    cdef npy_intp elements
    cdef npy_intp stream_bytes
    cdef int direction              # 0 where elements may come in any order, 1 along the output's memory, -1 against it
    cdef unsigned long long whole   # bit k: axis k of the right-aligned ones is reduced, and not to be cut
    cdef npy_intp *shape            # AXES, right-aligned
    cdef npy_intp *strides          # count * AXES, right-aligned
    cdef npy_intp *offsets          # count: bytes from a stream's given start to its first element here
    cdef npy_intp *low              # count: bytes from there to the lowest byte touched
    cdef npy_intp *high             # count: ... and to one past the highest
    cdef npy_intp *reduced          # AXES: whether an axis is reduced, right-aligned
    cdef bint reduces
    cdef bint ordered               # reduced axes are walked from their start
    cdef bint crossed               # what is contiguous along the axis before the inner one is read by blocks
    cdef bint mixed                 # it keeps the inner axis, and packs what is contiguous along the reduced one
    cdef int canonicalise(self, int rank, const int *itemsize, npy_intp tile_bytes) except -1
    cdef int _find_tile(self, const int *itemsize, npy_intp tile_bytes) except -1
    cdef bint _all_reduced(self) noexcept
    cdef int _find_mixed(self, const int *itemsize, npy_intp tile_bytes) noexcept
    cdef bint _fit(self) noexcept
    cdef bint _has_blocks(self, int across, int along, int size) noexcept
    cdef int _reduced_within(self) except -1
    cdef bint fits_nest(self) noexcept
    cdef int _near_axis(self, int s) noexcept
    cdef int _move_axis(self, int start, int stop, npy_intp *values) noexcept
    cdef bint _packed(self, int s) noexcept
    cdef bint _streams(self, const int *itemsize) noexcept
    cdef bytes key(self, const int *itemsize, const char *hoisted)

@cython.final
cdef class Region:
    cdef readonly int count
    cdef readonly int outputs
    cdef readonly tuple reduced     # axes of the shape that its streams broadcast to
    cdef readonly dict codes
    cdef readonly object expression
    cdef int *itemsize
    cdef bytes hoisted              # per input: whether something costly is computed from it and not from all of them
    cdef npy_intp tile_bytes        # of output from which on tiles gain
    cdef npy_intp stream_bytes      # ... and from which on it is stored past the caches
    cdef int threads                # 0 for the process's setting
    cdef double work                # nanoseconds of arithmetic for an element
    cdef readonly object build
    cdef object divide              # makes the regions of a reduction in parts, and says what they read; None: there are none
    cdef bytes places               # per output: whether it is made of places along the reduced axis
    cdef readonly tuple divided     # those regions, once they are made
    cdef Problem last               # decided, for `explain`
    cdef str raises
    cdef Problem problem(self, list streams, tuple shape)
    cdef Code decide_problem(self, Problem problem)
    cdef Code code_of(self, Problem problem)
    cdef int run(self, Code code, Problem problem, char **data) except -1
    cdef int run_rows(self, Code code, Problem problem, char **data, npy_intp rows) except -1
    cdef Nest _nest(self, Code code, Problem problem) noexcept
    cdef int _threads(self, Code code, Problem problem) noexcept
    cdef double _work(self, Problem problem, double operations) noexcept

# A reduction in parts: `first` reduces each part to numbers in scratch, `last` reduces those.
cdef class Division:
    cdef Region first, last
    cdef Problem parts, rest
    cdef Code first_code, last_code
    cdef int *first_reads           # per input of `first`: the stream of the undivided problem
    cdef int *last_reads            # per input of `last` after the numbers; then its outputs
    cdef int axis                   # that is cut
    cdef npy_intp pieces, grain     # into so many, at multiples of this
    cdef npy_intp kept              # places on the axes that are kept
    cdef npy_intp count             # of parts: the pieces for each place on reduced axes outside of the nest
    cdef npy_intp *steps            # per stream of `first`: bytes from a part's number to the next one's
    cdef npy_intp *places           # per output of `first`: where its numbers begin in the scratch
    cdef npy_intp room              # bytes of scratch
    cdef int _cut(self, npy_intp wanted) noexcept
    cdef bint _fits(self) noexcept
    cdef int _count_on(self, char *numbers) noexcept
    cdef int run(self, Problem whole, char **data) except -1

# One argument: where its data are, and room for them where it is a Python number.
cdef struct Argument:
    char *data
    double number[2]

cdef class Kernel

cdef class Operands:
    cdef readonly int given         # operands given by place
    cdef readonly int operands      # those, and the results
    cdef list descrs                # the dtype of each operand
    cdef int *ranks                 # operands
    cdef long long *lowest          # operands: the least Python int that is taken
    cdef long long *highest
    cdef bint take_number(self, PyObject *arg, int k, Argument *argument) noexcept

# Whether an argument is what operand k wants as it stands; sets where its data are. A call is some 40 ns, and these two
# were a quarter of it as methods.
cdef inline bint take(Operands self, PyObject *arg, int k, Argument *argument) noexcept:
    if PyArray_CheckExact(arg):
        argument.data = PyArray_BYTES(arg)
        return (
            PyArray_NDIM(arg) == self.ranks[k]
            and PyArray_DESCR(arg) == <PyObject *>PyList_GET_ITEM(self.descrs, k)
            and PyArray_FLAGS(arg) & NPY_ARRAY_ALIGNED
        )
    return not self.ranks[k] and self.take_number(arg, k, argument)

@cython.final
cdef class Recipe(Operands):
    cdef readonly Region region
    cdef int target                 # the place of what is written
    cdef int *source                # per stream: the operand it looks at; -1 for a length
    cdef object call(self, Kernel kernel, PyObject *const *args, Py_ssize_t given, PyObject *out, bint *found)

cdef class Remembered:
    cdef Operands declared
    cdef bint allocates             # the output is made here
    cdef npy_intp *layouts          # operands * 2 * MAX_AXES: shape, then strides
    cdef object new(self, int k)
    cdef object call(self, PyObject *const *args, Py_ssize_t given, PyObject *out, bint *found)

# Whether an array that `take` took has the shape and strides of operand k.
cdef inline bint fits(Remembered self, PyObject *array, int k) noexcept:
    cdef npy_intp *layout = self.layouts + k * 2 * MAX_AXES
    cdef npy_intp *dims = PyArray_DIMS(array)
    cdef npy_intp *strides = PyArray_STRIDES(array)
    cdef int i
    for i in range(self.declared.ranks[k]):
        if dims[i] != layout[i] or strides[i] != layout[MAX_AXES + i]:
            return False
    return True

@cython.final
cdef class Entry(Remembered):
    cdef Recipe recipe
    cdef Code code
    cdef Problem problem
    cdef npy_intp *starts           # per stream: bytes from the operand's first element
    cdef list fixed                 # arrays of lengths, kept for the streams that read them
    cdef bint *same                 # per stream: walks as the output does, so that it may be the output
    cdef int finish(self) except -1
    cdef object call_several(self, PyObject *const *args, Py_ssize_t given, PyObject *out, bint *found)
    cdef object run(self, PyObject *const *args, Argument *taken, PyObject *out, object result, bint *found)

cdef class Kernel:
    cdef void *vectorcall
    cdef readonly object resolve
    cdef readonly object __name__
    cdef public object __doc__
    cdef public object __wrapped__
    cdef list entries
    cdef list recipes
    cdef dict __dict__
