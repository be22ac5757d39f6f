# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Calls a serial kernel on all of a problem: the axes beyond its own walked around it, chunks of them in threads.

A chunk is a slice of one axis, for fixed coordinates, or one row of tiles, of the axes outside of it. The kernel does not know:
it gets a shorter shape and data that start further on. An axis that is marked as whole, such as a reduced one,
goes through every chunk from end to end, so that what is combined, and in which order, is the same in any number
of threads. Where there is nothing else to cut, a reduction is computed in parts (`parts.pxi`), which lengths decide:
`sweep_parts` calls the kernel on each.
"""

from libc.string cimport memcpy
from numpy cimport npy_intp

from . cimport pool
from .abi cimport AXES, MAX_AXES, Array

cdef extern from *:
    """
    #if defined(_MSC_VER)
    #include <intrin.h>
    #define ARRAYEXPR_OR(to, bits) _InterlockedOr((volatile long *)(to), (bits))
    #else
    #define ARRAYEXPR_OR(to, bits) __atomic_fetch_or((to), (bits), __ATOMIC_RELAXED)
    #endif
    """
    void add_bits "ARRAYEXPR_OR" (int *to, int bits) noexcept nogil

# Chunks for each thread: so many that a slow thread leaves some to the others.
cdef int CHUNKS = 8
# Elements of the inner axis that stay together: a strip of the block engine, and whole lines of every element type.
cdef npy_intp STRIP = 512
# Bytes of a line of memory.
cdef npy_intp LINE = 64

# How a nest is cut into pieces: chunks of independent iterations, or parts of a reduction.
cdef struct Cut:
    const Nest *nest
    int axis                # that is cut
    npy_intp grain          # at multiples of this
    npy_intp pieces         # into so many
    const npy_intp *steps   # of parts: what stream s begins further on from one to the next; NULL: these are chunks
    int status


cdef int sweep(const Nest *nest, int threads) noexcept nogil:
    cdef Array few[16]
    cdef Array *arrays = &few[0]
    cdef int s, status, first = AXES - nest.inner
    cdef npy_intp chunks
    cdef Cut cut
    if threads > 1:
        chunks = _cut(nest, threads, &cut)
        if chunks > 1:
            cut.status = 0
            pool.run(_piece, &cut, chunks, threads)
            return cut.status
    if nest.count > 16:
        arrays = <Array *>pool.push(nest.count * sizeof(Array))
        if arrays == NULL:
            return NO_MEMORY
    for s in range(nest.count):
        arrays[s].data = nest.data[s]
        arrays[s].shape = nest.shape + first
        arrays[s].strides = nest.strides + s * AXES + first
    status = _walk(nest, nest.shape, arrays)
    if nest.count > 16:
        pool.pop(arrays)
    return status


cdef npy_intp _cut(const Nest *nest, int threads, Cut *cut) noexcept nogil:
    """Choose the axis to cut: the outermost with which there are chunks enough. Returns how many there are."""
    cdef npy_intp wanted = <npy_intp>threads * CHUNKS, around = 1, grain, grains, best = 1
    cdef int k
    cut.nest = nest
    cut.axis = AXES - 1
    cut.grain = 1
    cut.pieces = 1
    cut.steps = NULL
    for k in range(AXES - nest.rank, AXES):
        if nest.whole >> k & 1:
            continue
        grain = 1
        if nest.tile and k >= AXES - nest.tiled:
            grain = nest.tile
        elif k == AXES - 1:
            grain = STRIP
        grains = (nest.shape[k] + grain - 1) // grain
        if around * min(grains, wanted) > best:
            cut.axis = k
            cut.grain = grain
            cut.pieces = min(grains, (wanted + around - 1) // around)
            best = around * cut.pieces
        if best >= wanted:
            break
        around *= grains
    return best


cdef int sweep_parts(
    const Nest *nest, int axis, npy_intp pieces, npy_intp grain, npy_intp count, const npy_intp *steps, int threads
) noexcept nogil:
    cdef Cut cut
    cut.nest, cut.axis, cut.grain, cut.pieces, cut.steps, cut.status = nest, axis, grain, pieces, steps, 0
    pool.run(_piece, &cut, count, threads)
    return cut.status


cdef inline npy_intp _step(const Cut *cut, int k) noexcept nogil:
    """How much of an axis other than the one that is cut goes into one piece; 0 for all of it."""
    cdef const Nest *nest = cut.nest
    cdef bint whole = nest.whole >> k & 1
    if cut.steps != NULL:
        return 1 if whole and k != cut.axis and k < AXES - nest.inner else 0
    if whole or k >= cut.axis:
        return 0
    return nest.tile if nest.tile and k >= AXES - nest.tiled else 1


cdef void _piece(void *context, npy_intp number, int worker) noexcept nogil:
    cdef Cut *cut = <Cut *>context
    cdef const Nest *nest = cut.nest
    cdef Array few[16]
    cdef Array *arrays = &few[0]
    cdef npy_intp shape[AXES]
    cdef npy_intp start[AXES]
    cdef npy_intp grains, step, outer = number // cut.pieces, piece = number % cut.pieces
    cdef int k, s, status, first = AXES - nest.inner, axis = cut.axis
    cdef char *data
    if nest.count > 16:
        arrays = <Array *>pool.push(nest.count * sizeof(Array))
        if arrays == NULL:
            add_bits(&cut.status, NO_MEMORY)
            return
    memcpy(shape, nest.shape, AXES * sizeof(npy_intp))
    grains = (shape[axis] + cut.grain - 1) // cut.grain
    for k in range(AXES - 1, AXES - nest.rank - 1, -1):
        start[k] = 0
        step = _step(cut, k)
        if k == axis:
            start[k] = piece * grains // cut.pieces * cut.grain
            shape[k] = min((piece + 1) * grains // cut.pieces * cut.grain, shape[k]) - start[k]
        elif step:
            start[k] = outer % ((shape[k] + step - 1) // step) * step
            outer //= (shape[k] + step - 1) // step
            shape[k] = min(step, shape[k] - start[k])
    for s in range(nest.count):
        data = nest.data[s]
        if cut.steps != NULL:
            data += number * cut.steps[s]
        for k in range(AXES - nest.rank, AXES):
            data += start[k] * nest.strides[s * AXES + k]
        arrays[s].data = data
        arrays[s].shape = shape + first
        arrays[s].strides = nest.strides + s * AXES + first
    status = _walk(nest, shape, arrays)
    if status:
        add_bits(&cut.status, status)
    if nest.count > 16:
        pool.pop(arrays)


cdef inline int _call(const Nest *nest, Array *arrays, void *scratch) noexcept nogil:
    # A kernel that reduces sets its accumulators once.
    if nest.tiled and not nest.whole:
        return _from_lines(nest, arrays, scratch, nest.inner - nest.tiled)
    return _run(nest, arrays, scratch)


cdef int _from_lines(const Nest *nest, Array *arrays, void *scratch, int axis) noexcept nogil:
    """Call a kernel of tiles so that all but the first begin where lines of memory do.

    A tile that shares its lines with the next one moves them twice: a + b.T on 3200 x 5000 doubles, which NumPy aligns
    to 16 bytes, takes 9.5 ms without and 7.3 ms with this.
    """
    if axis == nest.inner:
        return _run(nest, arrays, scratch)
    cdef npy_intp lead = _lead(nest, arrays, axis), length = arrays[0].shape[axis]
    if lead == 0 or lead >= length:
        return _from_lines(nest, arrays, scratch, axis + 1)
    cdef npy_intp shape[AXES]
    cdef const npy_intp *before = arrays[0].shape
    cdef int s, status
    memcpy(shape, before, nest.inner * sizeof(npy_intp))
    shape[axis] = lead
    for s in range(nest.count):
        arrays[s].shape = shape
    status = _from_lines(nest, arrays, scratch, axis + 1)
    shape[axis] = length - lead
    for s in range(nest.count):
        arrays[s].data = <char *>arrays[s].data + lead * arrays[s].strides[axis]
    status |= _from_lines(nest, arrays, scratch, axis + 1)
    for s in range(nest.count):
        arrays[s].data = <char *>arrays[s].data - lead * arrays[s].strides[axis]
        arrays[s].shape = before
    return status


cdef npy_intp _lead(const Nest *nest, const Array *arrays, int axis) noexcept nogil:
    """The length of a first tile, after which the stream that is contiguous along an axis, outputs first, begins a line.

    0 where it does from the start, or its rows begin at any place in a line.
    """
    cdef int s, k
    cdef npy_intp size, start
    for s in range(nest.count - 1, -1, -1):
        size = nest.itemsize[s]
        if arrays[s].strides[axis] != size:
            continue
        start = <npy_intp>(<size_t>arrays[s].data % LINE)
        if start == 0 or start % size or LINE % size:
            return 0
        for k in range(nest.inner):
            # Where every other row does, that is worth it too: 4.1 ms without, 3.8 with, of 3200 x 5000 floats.
            if k != axis and arrays[s].strides[k] % (LINE // 2):
                return 0
        return max(nest.tile - nest.tile % LINE, LINE) - start // size
    return 0


cdef inline int _run(const Nest *nest, const Array *arrays, void *scratch) noexcept nogil:
    if nest.function != NULL:
        return nest.function(arrays, scratch, 1)
    return nest.run(nest.tape, arrays, scratch)


cdef int _walk(const Nest *nest, const npy_intp *shape, Array *arrays) noexcept nogil:
    """Call the function for each step of the axes beyond its own, as an odometer, with scratch of this thread."""
    cdef int s, k, status = 0, last = AXES - nest.inner - 1, first = AXES - nest.rank
    cdef npy_intp size = 0
    cdef void *scratch = NULL
    cdef npy_intp counter[MAX_AXES]
    if nest.scratch != NULL:
        size = nest.scratch(arrays)
        if size:
            scratch = pool.push(size)
            if scratch == NULL:
                return NO_MEMORY
    if first > last:
        status = _call(nest, arrays, scratch)
    else:
        for k in range(first, last + 1):
            counter[k - first] = 0
        k = last
        while k >= first:
            status |= _call(nest, arrays, scratch)
            k = last
            while k >= first:
                counter[k - first] += 1
                if counter[k - first] < shape[k]:
                    for s in range(nest.count):
                        arrays[s].data = <char *>arrays[s].data + nest.strides[s * AXES + k]
                    break
                counter[k - first] = 0
                for s in range(nest.count):
                    arrays[s].data = <char *>arrays[s].data - (shape[k] - 1) * nest.strides[s * AXES + k]
                k -= 1
    if scratch != NULL:
        pool.pop(scratch)
    return status


def pieces(list shape not None, int threads, int tile=0, list whole=[]):
    """How a nest of this shape is cut: the axis, how many chunks, and the lengths of the first row of them."""
    cdef Nest nest
    cdef Cut cut
    cdef npy_intp lengths[AXES]
    cdef npy_intp chunks, grains, p
    cdef int k, rank = len(shape)
    for k in range(AXES):
        lengths[k] = 1
    for k in range(rank):
        lengths[AXES - rank + k] = shape[k]
    nest.rank = rank
    nest.tile = tile
    nest.tiled = 2
    nest.shape = lengths
    nest.whole = 0
    for k in whole:
        nest.whole |= 1ULL << (AXES - rank + k)
    chunks = _cut(&nest, threads, &cut)
    grains = (lengths[cut.axis] + cut.grain - 1) // cut.grain
    bounds = [min(p * grains // cut.pieces * cut.grain, lengths[cut.axis]) for p in range(cut.pieces + 1)]
    return cut.axis - (AXES - rank), chunks, [bounds[p + 1] - bounds[p] for p in range(cut.pieces)]
