# Reductions in parts, of which threads take some each, where the axes that are kept leave too little to share.
# Part of dispatch.pyx.
#
# Lengths and strides alone say what the parts are, so that the bits are those of any number of threads. A part's sum is
# one of pairs of strips (`primitives/fold.h`), and so is that of up to 64 parts: the error stays that of pairwise sums.

# Parts at the most, and nanoseconds that one takes at the least.
cdef npy_intp PARTS = 64
cdef double PART_NS = SERIAL_NS / 4
# Numbers that the parts of a reduction have together at the most: they stay in the first cache.
cdef npy_intp NUMBERS = 4096
# Elements of a part of which places are sought.
cdef npy_intp PLACED = 1 << 15
# Rows that stay together where the innermost axis is kept: as many as are packed at a time.
cdef npy_intp ROWS = 128


cdef object divided(Region region, Problem problem):
    """Have a problem be computed in parts where that pays, or where the nest has too few axes for it.

    Returns the code of a part; None where it is to be computed as one.
    """
    cdef bint fits = problem.fits_nest()
    cdef double work = region._work(problem, region.work)
    if not problem.reduces or problem.elements == 0 or (fits and work < SERIAL_NS):
        return None
    cdef npy_intp kept = 1, share = 1
    cdef int k
    for k in range(AXES - problem.rank, AXES):
        if not problem.reduced[k]:
            kept *= problem.shape[k]
            share *= (problem.shape[k] + 511) // 512 if k == AXES - 1 else problem.shape[k]
    cdef npy_intp most = PARTS
    if any(region.places):
        # A part is swept twice, once for the extreme and once for its place: it stays in the second cache.
        most = max(most, problem.elements // PLACED)
    cdef npy_intp wanted = min(most, min(<npy_intp>(work / PART_NS), NUMBERS // kept))
    if fits and (wanted < 2 or wanted <= share):
        return None
    if not region.divided:
        region.divided = region.divide()
    cdef Division made = Division(region, problem, kept, max(wanted, 1))
    if made.count < 2 or made.last_code is None:
        return None
    problem.division = made
    return made.first_code


cdef class Division:
    """How one problem is divided. `region.divided` has the regions, and for each the places of what it reads."""

    def __init__(self, Region region not None, Problem whole not None, npy_intp kept, npy_intp wanted):
        cdef int s, k, n, inputs = region.count - region.outputs, rank = whole.rank, numbers, place
        cdef npy_intp step
        cdef Problem parts, rest
        self.first, self.last, first_reads, last_reads = region.divided
        n, numbers, self.kept = self.first.count, self.first.outputs, kept
        self.first_reads = <int *>calloc(n + self.last.count, sizeof(int))
        self.steps = <npy_intp *>calloc(n + numbers, sizeof(npy_intp))
        if self.first_reads == NULL or self.steps == NULL:
            raise MemoryError()
        self.last_reads = self.first_reads + n
        self.places = self.steps + n
        for s in range(n - numbers):
            self.first_reads[s] = first_reads[s]
        for s in range(self.last.count - numbers - region.outputs):
            self.last_reads[s] = last_reads[s]
        for s in range(region.outputs):
            self.last_reads[self.last.count - numbers - region.outputs + s] = inputs + s
        # What the parts read; their numbers lie one after the other, as the kept axes do.
        self.parts = parts = Problem(n, numbers)
        for k in range(rank):
            place = AXES - rank + k
            parts.shape[k] = whole.shape[place]
            parts.reduced[k] = whole.reduced[place]
            for s in range(n - numbers):
                parts.strides[s * AXES + k] = whole.strides[self.first_reads[s] * AXES + place]
        step = 1
        for k in range(rank - 1, -1, -1):
            if not parts.reduced[k]:
                for s in range(n - numbers, n):
                    parts.strides[s * AXES + k] = step * self.first.itemsize[s]
                step *= parts.shape[k]
        parts.ordered = any(self.first.places)
        parts.stream_bytes = whole.stream_bytes
        parts.canonicalise(rank, self.first.itemsize, self.first.tile_bytes)
        self._cut(wanted)
        # All parts' numbers of one place lie together, so that they are added as a strip is.
        for s in range(n - numbers, n):
            self.steps[s] = self.first.itemsize[s]
            self.places[s - (n - numbers)] = self.room
            self.room += (self.count * kept * self.steps[s] + LINE - 1) // LINE * LINE
            for k in range(AXES - parts.rank, AXES):
                parts.strides[s * AXES + k] *= self.count
            parts.high[s] = self.count * kept * self.steps[s]
        self.rest = rest = Problem(self.last.count, region.outputs)
        place, step = 0, self.count
        for k in range(AXES - 1, AXES - rank - 1, -1):
            if whole.reduced[k]:
                continue
            rest.shape[place] = whole.shape[k]
            for s in range(numbers):
                rest.strides[s * AXES + place] = step * self.last.itemsize[s]
            for s in range(numbers, self.last.count):
                rest.strides[s * AXES + place] = whole.strides[self.last_reads[s - numbers] * AXES + k]
            step *= whole.shape[k]
            place += 1
        rest.shape[place] = self.count
        rest.reduced[place] = True
        for s in range(numbers):
            rest.strides[s * AXES + place] = self.last.itemsize[s]
        rest.stream_bytes = whole.stream_bytes
        rest.canonicalise(place + 1, self.last.itemsize, self.last.tile_bytes)
        if self.count > 1 and self._fits():
            self.first_code = self.first.code_of(parts)
            self.last_code = self.last.decide_problem(rest) if self.first_code is not None else None

    def __dealloc__(self):
        free(self.first_reads)
        free(self.steps)

    cdef int _cut(self, npy_intp wanted) noexcept:
        """Choose the reduced axis of the nest to cut, the outermost that has pieces enough; and count the parts."""
        cdef Problem parts = self.parts
        cdef npy_intp grain, grains
        cdef int k, first = AXES - parts.rank
        self.axis, self.pieces, self.grain, self.count = AXES - 1, 0, 1, 1
        for k in range(max(first, AXES - NEST), AXES):
            if not parts.reduced[k]:
                continue
            grain = 512 if k == AXES - 1 or parts.tile else 1 if parts.reduced[AXES - 1] else ROWS
            grains = (parts.shape[k] + grain - 1) // grain
            if min(grains, wanted) > self.pieces:
                self.axis, self.grain, self.pieces = k, grain, min(grains, wanted)
        self.count = self.pieces
        for k in range(first, AXES - NEST):
            if parts.reduced[k]:
                self.count *= parts.shape[k]
        return 0

    cdef bint _fits(self) noexcept:
        """Whether the reduced axes outside of the nest are not so long that their parts are most of the memory."""
        return self.room <= 8 * NUMBERS or self.room * 16 <= self.parts.elements

    cdef int _count_on(self, char *numbers) noexcept:
        """Have places within parts be places along the whole axis."""
        cdef npy_intp grains = (self.parts.shape[self.axis] + self.grain - 1) // self.grain, p, n
        cdef npy_intp *found
        cdef int s
        for s in range(self.first.outputs):
            if self.first.places[s]:
                found = <npy_intp *>(numbers + self.places[s])
                for n in range(self.kept):
                    for p in range(self.pieces):
                        found[n * self.pieces + p] += p * grains // self.pieces * self.grain
        return 0

    cdef int run(self, Problem whole, char **data) except -1:
        cdef Region first = self.first
        cdef char *few[32]
        cdef char **streams = &few[0]
        cdef char *scratch = <char *>malloc(self.room + LINE)
        cdef char *numbers = <char *>((<uintptr_t>scratch + LINE - 1) // LINE * LINE)
        cdef int s, status = 0, threads, inputs = first.count - first.outputs, most = max(first.count, self.last.count)
        cdef Nest nest
        if most > 32:
            streams = <char **>malloc(most * sizeof(char *))
        try:
            if scratch == NULL or streams == NULL:
                raise MemoryError()
            for s in range(inputs):
                streams[s] = data[self.first_reads[s]] + self.parts.offsets[s]
            for s in range(first.outputs):
                streams[inputs + s] = numbers + self.places[s] + self.parts.offsets[inputs + s]
            if self.first_code.request is not None:
                self.first_code.work(self.parts.elements)
            nest = first._nest(self.first_code, self.parts)
            nest.data = streams
            threads = first._threads(self.first_code, self.parts)
            with nogil:
                status = sweep_parts(&nest, self.axis, self.pieces, self.grain, self.count, self.steps, threads)
            if status:
                first._fail(status)
            self._count_on(numbers)
            for s in range(first.outputs):
                streams[s] = numbers + self.places[s] + self.rest.offsets[s]
            for s in range(first.outputs, self.last.count):
                streams[s] = data[self.last_reads[s - first.outputs]] + self.rest.offsets[s]
            self.last.run(self.last_code, self.rest, streams)
        finally:
            free(scratch)
            if streams != &few[0]:
                free(streams)
        return 0
