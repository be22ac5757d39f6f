# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What an input that overlaps the output asks of the order of elements, in numbers: strides and addresses.

An input element must be read before it is written. Where the output's memory is walked in one direction, an
input whose element lies ahead of the output's at every step, or at it, is never written too early: whatever is
read at a step is written then or later. The vectors and strips of a kernel keep that: they read elements of
later steps too, before they write, and reading early is always right.

Everything here is over axes in order, outermost first, and in bytes; `start` is the input's first element less
the output's.
"""

from libc.string cimport memcpy
from numpy cimport npy_intp

from .abi cimport MAX_AXES


cdef inline npy_intp _abs(npy_intp x) noexcept nogil:
    return -x if x < 0 else x


cdef npy_intp _common(npy_intp x, npy_intp y) noexcept nogil:
    """The greatest common divisor."""
    while x:
        x, y = y % x, x
    return y


cdef npy_intp _floor_divide(npy_intp a, npy_intp b) noexcept nogil:
    cdef npy_intp quotient = a // b
    return quotient - 1 if quotient * b > a else quotient


cdef bint conflict(int rank, const npy_intp *shape, const npy_intp *input, const npy_intp *output, npy_intp start,
                   npy_intp input_size, npy_intp output_size) noexcept nogil:
    """Whether some byte of the input may be one that the output writes, other than as the very same element.

    Exact where both walk by the same strides, as rows of one array do; else by bounds and by what strides have in
    common, which tells the even from the odd elements.
    """
    cdef npy_intp low = start, high = start + input_size, out_low = 0, out_high = output_size, common = 0, step
    cdef int k
    cdef bint same = True
    for k in range(rank):
        if shape[k] == 1:
            continue
        step = (shape[k] - 1) * input[k]
        low += min(step, 0)
        high += max(step, 0)
        step = (shape[k] - 1) * output[k]
        out_low += min(step, 0)
        out_high += max(step, 0)
        same &= input[k] == output[k]
        common = _common(_common(common, _abs(input[k])), _abs(output[k]))
    if low >= out_high or out_low >= high:
        return False
    if same and start == 0 and input_size == output_size:
        return False
    if common:
        step = start - _floor_divide(start, common) * common
        if step >= output_size and step + input_size <= common:
            return False
    if same and nested(rank, shape, output, max(input_size, output_size)):
        return _meets(rank, shape, output, start, input_size, output_size)
    return True


cdef bint _meets(int rank, const npy_intp *shape, const npy_intp *strides, npy_intp start, npy_intp input_size,
                 npy_intp output_size) noexcept nogil:
    """Whether some number of steps along nested axes makes up for `start`, but for a part of an element."""
    cdef npy_intp steps
    cdef int k
    if rank == 0:
        return -input_size < start and start < output_size
    if shape[0] == 1:
        return _meets(rank - 1, shape + 1, strides + 1, start, input_size, output_size)
    steps = _floor_divide(start, _abs(strides[0]))
    for k in range(2):
        if _abs(steps + k) < shape[0] and _meets(
            rank - 1, shape + 1, strides + 1, start - (steps + k) * _abs(strides[0]), input_size, output_size
        ):
            return True
    return False


cdef void displacement(int rank, const npy_intp *shape, const npy_intp *input, const npy_intp *output, npy_intp start,
                       npy_intp *least, npy_intp *most) noexcept nogil:
    """The least and the most that an input's element lies beyond the output's of the same step."""
    cdef npy_intp step
    cdef int k
    least[0] = most[0] = start
    for k in range(rank):
        step = (shape[k] - 1) * (input[k] - output[k])
        least[0] += min(step, 0)
        most[0] += max(step, 0)


cdef bint nested(int rank, const npy_intp *shape, const npy_intp *strides, npy_intp size) noexcept nogil:
    """Whether memory is walked in one direction without coming back: each axis steps over all inside of it."""
    cdef npy_intp reach = size
    cdef int k
    for k in range(rank - 1, -1, -1):
        if shape[k] == 1:
            continue
        if _abs(strides[k]) < reach:
            return False
        reach += (shape[k] - 1) * _abs(strides[k])
    return True


cdef bint mirrored(int rank, const npy_intp *shape, const npy_intp *input, const npy_intp *output, npy_intp start,
                   int *axes, bint *flips) noexcept nogil:
    """Whether the input is the output with axes permuted and flipped: axis k goes along the output's axes[k]."""
    cdef npy_intp low = start
    cdef unsigned long long taken = 0
    cdef int k, j
    for k in range(rank):
        axes[k] = -1
        for j in range(rank):
            if _abs(input[k]) == _abs(output[j]) and shape[k] == shape[j] and not taken >> j & 1:
                axes[k] = j
                taken |= 1ULL << j
                break
        if axes[k] < 0:
            return False
        flips[k] = (input[k] < 0) != (output[axes[k]] < 0)
        if flips[k]:
            low += (shape[k] - 1) * input[k]
    # All flips undone, both start at one element. The strides of nested axes differ: there is no other way to pair.
    return low == 0


cdef npy_intp bound(npy_intp length, npy_intp pieces, npy_intp k) noexcept nogil:
    """Where piece k begins. The pieces are the same from either end, if all are equal or their number is odd."""
    return k * length // pieces if 2 * k < pieces else length - (pieces - k) * length // pieces


cdef npy_intp pack_strides(int rank, const npy_intp *shape, const npy_intp *source, npy_intp size,
                           npy_intp *strides) noexcept nogil:
    """Strides of a contiguous copy, axes in order, broadcast ones left so. Returns its bytes."""
    cdef int k
    for k in range(rank - 1, -1, -1):
        if source[k] == 0 or shape[k] == 1:
            strides[k] = 0
        else:
            strides[k] = size
            size *= shape[k]
    return size


cdef void copy(int rank, const npy_intp *shape, char *target, const npy_intp *to, const char *source,
               const npy_intp *of, npy_intp size) noexcept nogil:
    """Copy elements; axes along which the target does not move are broadcast ones, and taken once."""
    cdef npy_intp counter[MAX_AXES]
    cdef npy_intp lengths[MAX_AXES]
    cdef npy_intp t[MAX_AXES]
    cdef npy_intp f[MAX_AXES]
    cdef npy_intp rows = 1, i, block
    cdef int k, n = 0
    for k in range(rank):
        if to[k] == 0:
            continue
        lengths[n] = shape[k]
        t[n] = to[k]
        f[n] = of[k]
        counter[n] = 0
        n += 1
    if n == 0:
        memcpy(target, source, size)
        return
    # The axis that is inner in the source, where it is another one than in the target: bands of it, a line wide.
    cdef int inner = n - 1
    for k in range(n - 1):
        if _abs(f[k]) < _abs(f[inner]):
            inner = k
    block = lengths[n - 1]
    if inner != n - 1:
        block = max(64 // size, 1)
        counter[0] = lengths[inner]
        lengths[inner] = lengths[n - 2]
        lengths[n - 2] = counter[0]
        t[inner], t[n - 2] = t[n - 2], t[inner]
        f[inner], f[n - 2] = f[n - 2], f[inner]
        counter[0] = 0
    for k in range(n - 1):
        if k < n - 2 or inner == n - 1:
            rows *= lengths[k]
    while rows:
        if inner == n - 1:
            _row(lengths[n - 1], target, t[n - 1], source, f[n - 1], size)
            k = n - 2
        else:
            i = 0
            while i < lengths[n - 1]:
                _band(lengths[n - 2], min(block, lengths[n - 1] - i), target + i * t[n - 1], t[n - 2], t[n - 1],
                      source + i * f[n - 1], f[n - 2], f[n - 1], size)
                i += block
            k = n - 3
        rows -= 1
        while k >= 0:
            counter[k] += 1
            target += t[k]
            source += f[k]
            if counter[k] < lengths[k]:
                break
            target -= lengths[k] * t[k]
            source -= lengths[k] * f[k]
            counter[k] = 0
            k -= 1


cdef void _band(npy_intp rows, npy_intp columns, char *target, npy_intp t0, npy_intp t1, const char *source,
                npy_intp f0, npy_intp f1, npy_intp size) noexcept nogil:
    cdef npy_intp i, j
    if size == 8 and t1 == 8 and columns == 8:
        for i in range(rows):
            for j in range(8):
                (<long long *>target)[j] = (<const long long *>(source + j * f1))[0]
            target += t0
            source += f0
        return
    for i in range(rows):
        _row(columns, target + i * t0, t1, source + i * f0, f1, size)


cdef void _row(npy_intp n, char *target, npy_intp t, const char *source, npy_intp f, npy_intp size) noexcept nogil:
    cdef npy_intp i
    if t == size and f == size:
        memcpy(target, source, n * size)
    elif size == 8:
        for i in range(n):
            (<long long *>(target + i * t))[0] = (<const long long *>(source + i * f))[0]
    elif size == 4:
        for i in range(n):
            (<int *>(target + i * t))[0] = (<const int *>(source + i * f))[0]
    elif size == 1:
        for i in range(n):
            target[i * t] = source[i * f]
    elif size == 2:
        for i in range(n):
            (<short *>(target + i * t))[0] = (<const short *>(source + i * f))[0]
    elif size == 16:
        for i in range(n):
            memcpy(target + i * t, source + i * f, 16)
    else:
        for i in range(n):
            memcpy(target + i * t, source + i * f, size)
