# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Regions in a row, run by blocks of rows: each one as far as those before it have come.

    t = a[1:] - a[:-1]          rows 0 to 15 of t, 0 to 14 of u, 0 to 13 of r,
    u = t[1:] - t[:-1]    ->    rows 16 to 31 of t, 15 to 30 of u, 14 to 29 of r,
    r = u[1:] - u[:-1]          and so on

What one region leaves is in a cache when the next one reads it. How far a region may go is a comparison of addresses:
rows that it touches end before those begin that an earlier one has still to do, for each two streams that may have
memory in common and of which one is written. So it is right for shifts, for steps, and for arrays that are written
again and again, as in the time steps of a stencil, whatever their names. A temporary that no one else reads needs a
window of rows only, which goes along: what is still to be read of it is moved to the window's beginning when it is full.

Rows are cut as chunks for threads are, so that the bits are those of regions that run one after the other.
"""

from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memmove
from numpy cimport npy_intp

from .abi cimport AXES
from .dispatch cimport Code, Problem, Region

cdef enum:
    MOST_STAGES = 16
    MOST_STREAMS = 256
    MOST_SLOTS = 32
    LINE = 64
    REFUSED = -2

# Elements that stay together where rows are single elements: as of chunks.
cdef npy_intp STRIP = 512
cdef npy_intp MOST_TURNS = 1 << 16


cdef inline npy_intp _floor(npy_intp x, npy_intp by) noexcept nogil:
    """Division by a positive number, rounded down."""
    return x // by if x >= 0 else -((by - 1 - x) // by)


cdef bint takes(Problem problem, Code code):
    """Whether a region may be run by rows."""
    cdef int first = AXES - problem.rank
    if code is None or not problem.elements or problem.division is not None or problem.direction:
        return False
    if code.tiled or problem.mixed or problem.rank == 0:
        return False
    return not problem.reduced[first]


cdef class Wavefront:
    """The stages `first` to `last` of steps, by rows.

    Each of `stages` is a region, its code, its problem, and per stream the slot that it is part of, where in it it begins
    and at which address it lay; a slot below 0 is none, and its stream begins at that address in every call. `bottoms`
    are per slot the bytes from its first element to its lowest. `meets` says of two slots whether they may have memory
    in common, as far from one another as they lay; `temporaries` are the slots that no one else reads.
    """

    def __cinit__(self, list stages not None, list bottoms not None, meets, list temporaries not None):
        cdef int k, s, n = 0, first
        cdef Problem problem
        cdef npy_intp length
        self.count, self.slots = len(stages), len(bottoms)
        self.regions = [region for region, *_ in stages]
        self.codes = [code for _, code, *_ in stages]
        self.problems = [problem for _, _, problem, _ in stages]
        self.windows = {}
        for region in self.regions:
            n += (<Region>region).count
        self.streams = n
        if self.count > MOST_STAGES or n > MOST_STREAMS or self.slots > MOST_SLOTS:
            raise ValueError("more than a wavefront has room for")
        self.stages = <Stage *>calloc(self.count + 1, sizeof(Stage))
        self.slot = <int *>calloc(n + 1, sizeof(int))
        self.starts = <npy_intp *>calloc(4 * n + self.slots + 1, sizeof(npy_intp))
        if self.stages == NULL or self.slot == NULL or self.starts == NULL:
            raise MemoryError()
        self.strides, self.low, self.high = self.starts + n, self.starts + 2 * n, self.starts + 3 * n
        self.bottom = self.starts + 4 * n
        for k in range(self.slots):
            self.bottom[k] = bottoms[k]
        addresses = []
        n = 0
        for k in range(self.count):
            problem = self.problems[k]
            first = AXES - problem.rank
            length = problem.shape[first]
            self.stages[k].length = length
            self.stages[k].grain = STRIP if problem.rank == 1 else 1
            self.stages[k].first = n
            for s in range(problem.count):
                self.slot[n], self.starts[n], address = stages[k][3][s]
                addresses.append(address)
                self.strides[n] = problem.strides[s * AXES + first]
                self.low[n], self.high[n] = problem.low[s], problem.high[s]
                if self.strides[n] > 0:
                    self.high[n] -= (length - 1) * self.strides[n]
                else:
                    self.low[n] -= (length - 1) * self.strides[n]
                n += 1
            self.stages[k].last = n
        self._tie((meets, addresses))

    def __dealloc__(self):
        free(self.stages)
        free(self.slot)
        free(self.starts)
        free(self.ties)
        free(self.turns)

    cdef int _tie(self, object meets) except -1:
        """Find what stages have in common."""
        cdef int j, k, s, t, outputs
        cdef npy_intp distance, from_s, from_t, whole_s, whole_t
        ask, addresses = meets
        found = {}
        for k in range(self.count):
            for j in range(k):
                for s in range(self.stages[j].first, self.stages[j].last):
                    for t in range(self.stages[k].first, self.stages[k].last):
                        if self.slot[s] < 0 or self.slot[t] < 0:
                            continue
                        if not (self._writes(j, s) or self._writes(k, t)):
                            continue
                        if self.slot[s] != self.slot[t] and not ask(self.slot[s], self.slot[t]):
                            continue
                        from_s, from_t = addresses[s], addresses[t]
                        if self.slot[s] == self.slot[t]:
                            from_s, from_t = self.starts[s], self.starts[t]
                        whole_s = (self.stages[j].length - 1) * self.strides[s]
                        whole_t = (self.stages[k].length - 1) * self.strides[t]
                        if (from_s + self.high[s] + max(whole_s, 0) <= from_t + self.low[t] + min(whole_t, 0)
                                or from_t + self.high[t] + max(whole_t, 0) <= from_s + self.low[s] + min(whole_s, 0)):
                            continue
                        distance = from_s + self.low[s] - (from_t + self.high[t])
                        key = j, k, self.strides[s], self.strides[t]
                        if self.strides[s] <= 0 or self.strides[t] <= 0:
                            key = j, k, 0, 0
                        found[key] = min(distance, found.get(key, distance))
        self.ties = <Tie *>calloc(len(found) + 1, sizeof(Tie))
        if self.ties == NULL:
            raise MemoryError()
        for key, distance in found.items():
            self.ties[self.tied].before, self.ties[self.tied].after = key[0], key[1]
            self.ties[self.tied].step, self.ties[self.tied].pace = key[2], key[3]
            self.ties[self.tied].distance = distance
            self.tied += 1
        return 0

    def _writes(self, int stage, int stream):
        return stream >= self.stages[stage].last - (<Region>self.regions[stage]).outputs

    cdef npy_intp _allowed(self, int stage, npy_intp *done) noexcept:
        """The row up to which a stage may run, when each of the others has done so many."""
        cdef npy_intp most = self.stages[stage].length, rows
        cdef int k, before
        if stage and done[0] < self.stages[0].length:
            # What waits for nothing goes along with the first.
            most = <npy_intp>(<double>most * done[0] / self.stages[0].length)
        for k in range(self.tied):
            before = self.ties[k].before
            if self.ties[k].after != stage or done[before] == self.stages[before].length:
                continue
            if self.ties[k].pace == 0:
                return done[stage]
            rows = _floor(self.ties[k].distance + done[before] * self.ties[k].step, self.ties[k].pace) + 1
            most = min(most, rows)
        if most < self.stages[stage].length:
            most -= most % self.stages[stage].grain
        return max(most, done[stage])

    cdef npy_intp _needed(self, int slot, npy_intp *done) noexcept:
        """The lowest byte of a slot, from its first element, that a stage has still to touch."""
        cdef npy_intp least = (<npy_intp>1) << 62, row
        cdef int k, s
        for k in range(self.count):
            if done[k] == self.stages[k].length:
                continue
            for s in range(self.stages[k].first, self.stages[k].last):
                if self.slot[s] == slot:
                    row = done[k] if self.strides[s] > 0 else self.stages[k].length - 1
                    least = min(least, self.starts[s] + self.low[s] + row * self.strides[s])
        return least

    cdef int _turn(self, int stage, npy_intp row, npy_intp rows) except -1:
        cdef Turn *more
        if self.turned == self.room:
            self.room = 2 * self.room + 64
            more = <Turn *>realloc(self.turns, self.room * sizeof(Turn))
            if more == NULL:
                raise MemoryError()
            self.turns = more
        self.turns[self.turned].stage, self.turns[self.turned].row, self.turns[self.turned].rows = stage, row, rows
        self.turned += 1
        return 0

    def prepare(self, npy_intp block, npy_intp most, list temporaries not None):
        """Plan the turns by blocks of about so many bytes of rows. Returns whether all that lies between the first and
        the last stage is at most so much."""
        cdef npy_intp found
        self.windows = {}
        found = self._plan(block, True, temporaries)
        self.held = found
        if found == REFUSED or found > most:
            return False
        self._plan(block, False, temporaries)
        return True

    cdef npy_intp _plan(self, npy_intp block, bint count_only, list temporaries) except -1:
        """Take down the turns, or only count what they keep in a cache, and how much of each temporary.

        Returns the bytes between the last row of the first stage and the first row that a later one needs, of all
        slots, at the most; REFUSED where there are too many turns, or a stage waits for all of another one.
        """
        cdef npy_intp done[MOST_STAGES]
        cdef npy_intp top[MOST_SLOTS]
        cdef npy_intp shift[MOST_SLOTS]
        cdef npy_intp kept[MOST_SLOTS]
        cdef npy_intp carried[MOST_SLOTS]
        cdef npy_intp rows, allowed, each, held, most = 0, width = 0, low, end, turns = 0
        cdef int k, s, slot
        cdef bint moved = True
        self.turned = 0
        seen = set()
        for k in range(self.count):
            done[k] = 0
        for s in range(self.streams):
            if self.slot[s] >= 0 and self.slot[s] not in seen:
                seen.add(self.slot[s])
        for slot in range(self.slots):
            top[slot] = self.bottom[slot]
            shift[slot] = kept[slot] = carried[slot] = 0
        for s in range(self.stages[0].last):
            if self.slot[s] >= 0:
                width = max(width, self.strides[s])
        if width <= 0:
            return REFUSED
        # As many rows as fill a block with all that the stages touch.
        each = max(block // (width * max(len(seen), 1)), 1)
        each = (each + self.stages[0].grain - 1) // self.stages[0].grain * self.stages[0].grain
        while moved:
            moved = False
            for k in range(self.count):
                allowed = self._allowed(k, done)
                if k == 0:
                    allowed = min(allowed, done[0] + each)
                rows = allowed - done[k]
                if rows <= 0:
                    continue
                if k and done[k] == 0 and done[0] == self.stages[0].length and self.stages[0].length > 2 * each:
                    # It has waited for all.
                    return REFUSED
                moved = True
                turns += 1
                if turns > MOST_TURNS:
                    return REFUSED
                for s in range(self.stages[k].first, self.stages[k].last):
                    slot = self.slot[s]
                    if slot < 0:
                        continue
                    end = self.starts[s] + self.high[s] + max((allowed - 1) * self.strides[s], 0)
                    if end <= top[slot]:
                        continue
                    held = top[slot]
                    top[slot] = end
                    if slot in temporaries:
                        low = self._needed(slot, done)
                        kept[slot] = max(kept[slot], end - low)
                        carried[slot] = max(carried[slot], held - low)
                        if not count_only and end - self.bottom[slot] - shift[slot] > self.windows[slot]:
                            low = (low - self.bottom[slot]) // LINE * LINE
                            self._turn(-1 - slot, low - shift[slot], max(held - self.bottom[slot] - low, 0))
                            shift[slot] = low
                if not count_only:
                    self._turn(k, done[k], rows)
                done[k] = allowed
            held = 0
            for slot in seen:
                low = self._needed(slot, done)
                if low < top[slot]:
                    held += top[slot] - low
            most = max(most, held)
        if count_only:
            for slot in temporaries:
                # What is needed at a time, and four times what is moved: a quarter of what is written. Where all has
                # been read when the next rows come, nothing is moved.
                self.windows[slot] = kept[slot] + 4 * carried[slot] + LINE
        return most

    cdef int run(self, char **base) except -1:
        """Run all turns on slots that begin at these places."""
        cdef char *data[MOST_STREAMS]
        cdef npy_intp shift[MOST_SLOTS]
        cdef char *window
        cdef npy_intp turn
        cdef Turn *now
        cdef int s, k, slot, first
        for slot in range(self.slots):
            shift[slot] = 0
        for turn in range(self.turned):
            now = &self.turns[turn]
            if now.stage < 0:
                slot = -1 - now.stage
                window = base[slot] + self.bottom[slot]
                shift[slot] += now.row
                memmove(window, window + now.row, now.rows)
                continue
            k = now.stage
            first = self.stages[k].first
            for s in range(first, self.stages[k].last):
                slot = self.slot[s]
                data[s - first] = <char *>self.starts[s] if slot < 0 else base[slot] + self.starts[s] - shift[slot]
                data[s - first] += now.row * self.strides[s]
            (<Region>self.regions[k]).run_rows(<Code>self.codes[k], <Problem>self.problems[k], data, now.rows)
        return 0
