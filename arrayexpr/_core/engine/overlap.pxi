# Part of dispatch.pyx: runs problems whose inputs may overlap the output, at the least cost that the overlap allows.
#
# In this order: as it is, where they do not overlap after all; along the output's memory or against it, where every
# input then lies ahead; by tiles that exchange their data, where inputs are the output with axes permuted or flipped;
# slab by slab, where what a slab overwrites is read one slab ahead; and else on a copy of the operands in question.

# Elements of a slab, for calls of the kernel to cost nothing beside its work.
cdef npy_intp SLAB = 2048
# Bytes of a row of a tile whose pair is its transpose.
cdef npy_intp PAIRED = 512
# The images of a tile under flips and permutations of three axes.
cdef enum:
    ORBIT = 48

# How the last overlap was solved, and the bytes of scratch that it took: for tests and benchmarks.
cdef str _way = "none"
cdef npy_intp _took = 0


def last_overlap():
    """How the last overlap was solved, and the bytes of scratch that it took.

    The ways: "disjoint", "forward", "backward", "tiles", "slabs", each with " and copies" where operands were copied.
    """
    return _way, _took


cdef Problem _again(Problem of, Region region, int direction):
    """The same problem brought to canonical form anew: after a change of strides, or in a direction."""
    cdef int k, s, n = of.count, rank = of.rank, first = AXES - of.rank
    cdef Problem made = Problem(n)
    made.direction = direction
    made.whole = of.whole
    made.stream_bytes = of.stream_bytes
    for k in range(rank):
        made.shape[k] = of.shape[first + k]
        for s in range(n):
            made.strides[s * AXES + k] = of.strides[s * AXES + first + k]
    made.canonicalise(rank, region.itemsize, region.tile_bytes)
    return made


cdef Problem _same_walk(Problem of):
    """A copy of a problem, for other strides."""
    cdef Problem made = Problem(of.count)
    made.rank = of.rank
    made.tile = of.tile
    made.elements = of.elements
    made.direction = of.direction
    made.crossed = of.crossed
    made.whole = of.whole
    made.stream_bytes = of.stream_bytes
    memcpy(made.shape, of.shape, (AXES + of.count * (AXES + 3)) * sizeof(npy_intp))
    return made


cdef int run_overlapping(Region region, Problem problem, char **given, list streams, exact) except -1:
    """Run where inputs may overlap the output. Returns 1; 2 where an operand was copied; 0 where nothing was run.

    Nothing is run where there is no code, and where operands would have to be copied and `exact` is None: it says
    of two arrays, such as `streams` holds, whether they do overlap.
    """
    global _way, _took
    cdef int n = region.count, s, k, status, result = 1, first, rank, forward, backward
    cdef npy_intp start, least, most, ahead, behind
    cdef bint aligned, fits, tested = False, copied
    cdef Problem ordered
    cdef Code code
    cdef npy_intp took = 0
    cdef str way
    cdef bytearray flags = bytearray(3 * n)
    cdef char *clash = flags
    cdef char *late = clash + n             # may not be read in place on the way forward
    cdef char *early = late + n             # ... on the way back
    cdef char **data = <char **>pool.push(n * sizeof(char *))
    if data == NULL:
        raise MemoryError("no memory for an overlap")
    memcpy(data, given, n * sizeof(char *))
    try:
        first, rank = AXES - problem.rank, problem.rank
        for s in range(n - 1):
            clash[s] = overlap.conflict(
                rank, problem.shape + first, problem.strides + s * AXES + first,
                problem.strides + (n - 1) * AXES + first, data[s] - data[n - 1],
                region.itemsize[s], region.itemsize[n - 1],
            )
        while True:
            copied = False
            for s in range(n - 1):
                if clash[s] and _is_small(problem, s):
                    if not copied:
                        # The one that was given may be remembered.
                        problem = _same_walk(problem)
                    took += _copy_operand(region, problem, data, s)
                    clash[s] = 0
                    copied = True
            if copied:
                problem = _moved(region, problem, data)
            if not flags.count(1, 0, n):
                way = "disjoint"
                code = region.decide_problem(problem)
                if code is None:
                    return 0
                region.run(code, problem, data)
                break
            # Directions are those of the output's memory.
            ordered = _moved(region, problem, data, 1) if not problem.whole else problem
            first, rank = AXES - ordered.rank, ordered.rank
            fits = not problem.whole and overlap.nested(
                rank, ordered.shape + first, ordered.strides + (n - 1) * AXES + first, region.itemsize[n - 1]
            )
            forward = backward = 0
            ahead = behind = 0
            for s in range(n - 1):
                late[s] = early[s] = 0
                if not clash[s]:
                    continue
                start = data[s] - data[n - 1]
                overlap.displacement(
                    rank, ordered.shape + first, ordered.strides + s * AXES + first,
                    ordered.strides + (n - 1) * AXES + first, start, &least, &most,
                )
                aligned = region.itemsize[s] == region.itemsize[n - 1] and start % region.itemsize[s] == 0
                for k in range(first, AXES):
                    aligned &= (
                        ordered.strides[s * AXES + k] - ordered.strides[(n - 1) * AXES + k]
                    ) % region.itemsize[s] == 0
                if not aligned or least < 0:
                    late[s] = 1
                    forward += 1
                    behind = max(behind, -least)
                if not aligned or most > 0:
                    early[s] = 1
                    backward += 1
                    ahead = max(ahead, most)
            if fits and forward and not backward:
                # Against memory: the same steps from the last one.
                ordered = _moved(region, ordered, data, -1)
                forward, way = 0, "backward"
            else:
                way = "forward"
            if fits and not forward:
                code = region.decide_problem(ordered)
                if code is None:
                    return 0
                region.run(code, ordered, data)
                break
            if fits:
                way = "tiles"
                status = _by_pairs(region, ordered, data, clash, &took)
                if status < 0:
                    status = _by_tiles(region, ordered, data, clash, &took)
                if status >= 0:
                    if not status:
                        return 0
                    break
                way = "slabs"
                if backward < forward or (backward == forward and ahead < behind):
                    ordered = _moved(region, ordered, data, -1)
                    memcpy(late, early, n)
                    behind = ahead
                status = _by_slabs(region, ordered, data, late, behind, &took)
                if status >= 0:
                    if not status:
                        return 0
                    break
            problem = _moved(region, ordered, data)
            if exact is None:
                return 0
            if not tested:
                tested = True
                for s in range(n - 1):
                    if clash[s] and not exact(streams[s], streams[n - 1]):
                        clash[s] = 0
                continue
            for s in range(n - 1):
                if late[s] or (clash[s] and not fits):
                    took += _copy_operand(region, problem, data, s)
                    clash[s] = 0
            problem = _moved(region, problem, data)
            result = 2
        _way = way if result == 1 else f"{way} and copies"
        _took = took
        return result
    finally:
        pool.pop(data)


cdef Problem _moved(Region region, Problem problem, char **data, int direction=0):
    """The problem in canonical form anew, and the data where it begins."""
    cdef int s
    cdef Problem made = _again(problem, region, direction)
    for s in range(made.count):
        data[s] += made.offsets[s]
    return made


cdef bint _is_small(Problem problem, int s):
    """Whether a copy of a stream is much smaller than the result: a row, or a number."""
    cdef npy_intp own = 1
    cdef int k
    for k in range(AXES - problem.rank, AXES):
        if problem.strides[s * AXES + k]:
            own *= problem.shape[k]
    return 8 * own <= problem.elements


cdef npy_intp _copy_operand(Region region, Problem problem, char **data, int s) except -1:
    """Put a copy in a stream's place, its axes in the same order in memory. Returns its bytes."""
    cdef int rank = problem.rank, first = AXES - problem.rank, k, j
    cdef npy_intp *strides = problem.strides + s * AXES + first
    cdef npy_intp lengths[MAX_AXES]
    cdef npy_intp of[MAX_AXES]
    cdef npy_intp to[MAX_AXES]
    cdef int order[MAX_AXES]
    cdef npy_intp size
    for k in range(rank):
        j = k
        while j > 0 and _abs(strides[order[j - 1]]) < _abs(strides[k]):
            order[j] = order[j - 1]
            j -= 1
        order[j] = k
    for k in range(rank):
        lengths[k] = problem.shape[first + order[k]]
        of[k] = strides[order[k]]
    size = overlap.pack_strides(rank, lengths, of, region.itemsize[s], to)
    cdef char *target = <char *>pool.push(size)
    if target == NULL:
        raise MemoryError(f"no memory for a copy of {size} bytes of an operand that overlaps the result")
    with nogil:
        overlap.copy(rank, lengths, target, to, data[s], of, region.itemsize[s])
    data[s] = target
    for k in range(rank):
        strides[order[k]] = to[k]
    return size


cdef int _by_slabs(Region region, Problem problem, char **data, char *late, npy_intp lag, npy_intp *took) except -2:
    """Run slab by slab, late streams read one slab ahead. Returns 1, 0 where there is no code, -1 where none fits.

    A slab is of one axis, whole along the axes inside of it. It moves along the output's memory by more than a late
    stream lies behind: what a slab reads, the slabs before the last one did not write.
    """
    cdef int n = region.count, rank = problem.rank, first = AXES - rank, s, j, k
    cdef npy_intp *out = problem.strides + (n - 1) * AXES
    cdef npy_intp inner = 1, length = 0, pieces = 0, step, last, advance, wider = 0
    cdef bint found = False
    lag = max(lag, 0)
    for s in range(n - 1):
        if late[s]:
            wider = max(wider, region.itemsize[s] - region.itemsize[n - 1])
    lag += wider
    for j in range(AXES - 1, first - 1, -1):
        length = problem.shape[j]
        step = max((lag + _abs(out[j]) - 1) // _abs(out[j]), (SLAB + inner - 1) // inner, 1)
        pieces = length // step
        if pieces >= (2 if j == first else 1):
            # From the last slab of a row to the first one of the next the way may be shorter.
            last = (pieces - 1) * length // pieces
            advance = _abs(out[j]) * (length // pieces)
            for k in range(first, j):
                step = _abs(out[k]) - last * _abs(out[j])
                for s in range(k + 1, j):
                    step -= (problem.shape[s] - 1) * _abs(out[s])
                advance = min(advance, step)
            if advance >= lag:
                found = True
                break
        inner *= length
    if not found:
        return -1
    cdef Problem staged = _same_walk(problem)
    cdef npy_intp longest = (length + pieces - 1) // pieces
    cdef npy_intp sizes = 0, size
    staged.shape[j] = longest
    for s in range(n - 1):
        if late[s]:
            for k in range(first, j):
                staged.strides[s * AXES + k] = 0
            size = overlap.pack_strides(AXES - j, staged.shape + j, problem.strides + s * AXES + j,
                                        region.itemsize[s], staged.strides + s * AXES + j)
            sizes += (size + 63) // 64 * 64
    staged.shape[j] = length
    code = region.decide_problem(staged)
    if code is None:
        return 0
    cdef char *buffers = <char *>pool.push(2 * sizes + 2 * n * sizeof(char *))
    if buffers == NULL:
        raise MemoryError(f"no memory for slabs of {2 * sizes} bytes of operands that overlap the result")
    cdef int status
    cdef Slabs slabs
    slabs.problem_shape = problem.shape
    slabs.strides = problem.strides
    slabs.staged = staged.strides
    slabs.data = data
    slabs.late = late
    slabs.itemsize = region.itemsize
    slabs.buffers = buffers
    slabs.sizes = sizes
    slabs.axis = j
    slabs.first = first
    slabs.pieces = pieces
    slabs.nest = region._nest(<Code>code, staged)
    slabs.nest.data = <char **>(buffers + 2 * sizes)
    with nogil:
        status = _run_slabs(&slabs)
    pool.pop(buffers)
    took[0] += 2 * sizes
    if status:
        region._fail(status)
    return 1


cdef struct Slabs:
    const npy_intp *problem_shape
    const npy_intp *strides
    const npy_intp *staged
    char **data
    const char *late
    const int *itemsize
    char *buffers               # twice `sizes` bytes
    npy_intp sizes
    npy_intp pieces             # of the axis that is cut
    int axis
    int first
    Nest nest


cdef int _run_slabs(Slabs *slabs) noexcept nogil:
    cdef int n = slabs.nest.count, j = slabs.axis, first = slabs.first, s, k, turn, status = 0
    cdef npy_intp total = slabs.pieces, t, outer, place, size
    cdef npy_intp shape[AXES]
    cdef npy_intp start[AXES]
    cdef char *buffer
    cdef char *source
    memcpy(shape, slabs.problem_shape, AXES * sizeof(npy_intp))
    for k in range(first, j):
        total *= shape[k]
        shape[k] = 1
    slabs.nest.shape = shape
    # Turn t stages slab t, and runs the one before.
    for t in range(total + 1):
        for turn in range(2):
            if (turn == 0 and t == total) or (turn == 1 and t == 0):
                continue
            outer = t - turn
            place = outer % slabs.pieces
            outer //= slabs.pieces
            start[j] = place * slabs.problem_shape[j] // slabs.pieces
            shape[j] = (place + 1) * slabs.problem_shape[j] // slabs.pieces - start[j]
            for k in range(j - 1, first - 1, -1):
                start[k] = outer % slabs.problem_shape[k]
                outer //= slabs.problem_shape[k]
            buffer = slabs.buffers + ((t - turn) & 1) * slabs.sizes
            for s in range(n):
                if turn == 0 and not (s < n - 1 and slabs.late[s]):
                    continue
                source = slabs.data[s]
                for k in range(first, j + 1):
                    source += start[k] * slabs.strides[s * AXES + k]
                if s == n - 1 or not slabs.late[s]:
                    slabs.nest.data[s] = source
                    continue
                if turn == 0:
                    overlap.copy(AXES - j, shape + j, buffer, slabs.staged + s * AXES + j, source,
                                 slabs.strides + s * AXES + j, slabs.itemsize[s])
                slabs.nest.data[s] = buffer
                size = slabs.itemsize[s]
                shape[j], place = (slabs.problem_shape[j] + slabs.pieces - 1) // slabs.pieces, shape[j]
                for k in range(j, AXES):
                    if slabs.staged[s * AXES + k]:
                        size *= shape[k]
                shape[j] = place
                buffer += (size + 63) // 64 * 64
            if turn == 1:
                status |= sweep(&slabs.nest, 1)
    return status


cdef int _by_pairs(Region region, Problem problem, char **data, char *clash, npy_intp *took) except -2:
    """Run by pairs of tiles where one input overlaps the output, of two axes, and is its transpose.

    What a tile reads is copied, row by row; the tile that is written there then reads the first one where it lies, and the
    first the copy. Returns 1, 0 where there is no code, -1 where overlaps are of another kind.
    """
    cdef int n = region.count, rank = problem.rank, first = AXES - rank, s, only = -1, status
    cdef npy_intp *out = problem.strides + (n - 1) * AXES + first
    cdef npy_intp *into
    cdef npy_intp *shape = problem.shape + first
    cdef npy_intp size
    cdef int axes[2]
    cdef bint flips[2]
    cdef Pairs pairs
    if rank != 2:
        return -1
    for s in range(n - 1):
        if clash[s]:
            if only >= 0:
                return -1
            only = s
    size = region.itemsize[only]
    into = problem.strides + only * AXES + first
    if size != region.itemsize[n - 1] or into[0] != size or into[1] < LINE or not overlap.mirrored(
        rank, shape, into, out, data[only] - data[n - 1], axes, flips
    ) or axes[0] != 1 or flips[0] or flips[1]:
        return -1
    pairs.side = min(shape[0], max(8, PAIRED // size))
    # Rows a line longer than the tile do not all fall into the same sets of the first cache.
    pairs.pitch = (pairs.side * size + LINE - 1) // LINE * LINE + LINE
    cdef Problem staged = _same_walk(problem)
    staged.strides[only * AXES + first + 1] = pairs.pitch
    staged.crossed = True
    code = region.decide_problem(staged)
    if code is None:
        return 0
    cdef npy_intp room = pairs.side * pairs.pitch
    pairs.buffer = <char *>pool.push(room + n * sizeof(char *))
    if pairs.buffer == NULL:
        raise MemoryError(f"no memory for a tile of {room} bytes of an operand that overlaps the result")
    pairs.strides = problem.strides
    pairs.staged = staged.strides
    pairs.data = data
    pairs.length = shape[0]
    pairs.size = size
    pairs.only = only
    pairs.nest = region._nest(<Code>code, staged)
    pairs.nest.data = <char **>(pairs.buffer + room)
    with nogil:
        status = _run_pairs(&pairs)
    pool.pop(pairs.buffer)
    took[0] += room
    if status:
        region._fail(status)
    return 1


cdef struct Pairs:
    const npy_intp *strides             # AXES for each stream, right-aligned
    const npy_intp *staged              # the same, but for the input that is copied
    char **data
    char *buffer                        # `side` rows of `pitch` bytes
    npy_intp length                     # of either axis
    npy_intp side
    npy_intp pitch
    npy_intp size
    int only                            # the input that overlaps
    Nest nest


cdef int _run_pairs(Pairs *pairs) noexcept nogil:
    cdef npy_intp i, j, k, rows, columns
    cdef npy_intp far = pairs.strides[pairs.only * AXES + AXES - 1]
    cdef npy_intp shape[AXES]
    cdef const char *source
    cdef int status = 0
    for k in range(AXES):
        shape[k] = 1
    pairs.nest.shape = shape
    i = 0
    while i < pairs.length:
        rows = min(pairs.side, pairs.length - i)
        j = 0
        while j <= i:
            columns = min(pairs.side, pairs.length - j)
            source = pairs.data[pairs.only] + i * pairs.size + j * far
            for k in range(columns):
                memcpy(pairs.buffer + k * pairs.pitch, source + k * far, rows * pairs.size)
            if i != j:
                status |= _run_one(pairs, shape, j, i, columns, rows, False)
            status |= _run_one(pairs, shape, i, j, rows, columns, True)
            j += pairs.side
        i += pairs.side
    return status


cdef int _run_one(
    Pairs *pairs, npy_intp *shape, npy_intp i, npy_intp j, npy_intp rows, npy_intp columns, bint copied
) noexcept nogil:
    """The tile at (i, j), of what its input holds or of the copy."""
    cdef const npy_intp *strides = pairs.staged if copied else pairs.strides
    cdef int s
    shape[AXES - 2] = rows
    shape[AXES - 1] = columns
    for s in range(pairs.nest.count):
        pairs.nest.data[s] = pairs.data[s] + i * strides[s * AXES + AXES - 2] + j * strides[s * AXES + AXES - 1]
    if copied:
        pairs.nest.data[pairs.only] = pairs.buffer
    pairs.nest.strides = strides
    return sweep(&pairs.nest, 1)


cdef int _by_tiles(Region region, Problem problem, char **data, char *clash, npy_intp *took) except -2:
    """Run by tiles where every input that overlaps is the output with axes permuted or flipped.

    A tile reads where another one writes, that one where a third does, and so on back to the first: all of them are
    read before any is written. Returns 1, 0 where there is no code, -1 where some input is none of that kind.
    """
    cdef int n = region.count, rank = problem.rank, first = AXES - rank, s, k, moving = 0, inside = 1, clashing = 0, only = 0
    cdef npy_intp *out = problem.strides + (n - 1) * AXES + first
    cdef npy_intp *shape = problem.shape + first
    cdef npy_intp side, size, sizes = 0, p
    cdef Tiles tiles
    if rank == 0:
        return -1
    cdef bytearray room = bytearray(n * MAX_AXES * (sizeof(int) + sizeof(bint)))
    tiles.axes = <int *><char *>room
    tiles.flips = <bint *>(tiles.axes + n * MAX_AXES)
    cdef bint moves[MAX_AXES]
    for k in range(rank):
        moves[k] = False
    for s in range(n - 1):
        if not clash[s]:
            continue
        clashing += 1
        only = s
        if region.itemsize[s] != region.itemsize[n - 1] or not overlap.mirrored(
            rank, shape, problem.strides + s * AXES + first, out, data[s] - data[n - 1],
            tiles.axes + s * MAX_AXES, tiles.flips + s * MAX_AXES,
        ):
            return -1
        for k in range(rank):
            moves[k] |= tiles.axes[s * MAX_AXES + k] != k or tiles.flips[s * MAX_AXES + k]
    for k in range(rank):
        moving += moves[k]
    if moving > 3:
        return -1
    if not moves[rank - 1]:
        inside = <int>min(shape[rank - 1], 64)
    cdef Problem staged = _same_walk(problem)
    for k in range(rank):
        if moves[k]:
            side = 4096 // inside if moving == 1 else (64 if inside <= 4 else 8) if moving == 2 else 8
        else:
            side = inside if k == rank - 1 else 1
        p = (shape[k] + side - 1) // side
        # Of equal pieces, or an odd number: see `bound`.
        tiles.pieces[k] = p if p % 2 or shape[k] % p == 0 or not moves[k] else p + 1
        tiles.longest[k] = 0
        for p in range(tiles.pieces[k]):
            tiles.longest[k] = max(
                tiles.longest[k],
                overlap.bound(shape[k], tiles.pieces[k], p + 1) - overlap.bound(shape[k], tiles.pieces[k], p),
            )
    for s in range(n - 1):
        if clash[s]:
            size = overlap.pack_strides(rank, tiles.longest, problem.strides + s * AXES + first,
                                        region.itemsize[s], staged.strides + s * AXES + first)
            sizes += (size + 63) // 64 * 64
    code = region.decide_problem(staged)
    if code is None:
        return 0
    cdef int images = 2 if moving == 1 else 8 if moving == 2 else ORBIT
    if clashing == 1:
        images = _order(rank, tiles.axes + only * MAX_AXES, tiles.flips + only * MAX_AXES)
    cdef char *buffers = <char *>pool.push(images * sizes + n * sizeof(char *))
    if buffers == NULL:
        raise MemoryError(f"no memory for tiles of {images * sizes} bytes of operands that overlap the result")
    tiles.shape = shape
    tiles.strides = problem.strides
    tiles.staged = staged.strides
    tiles.data = data
    tiles.clash = clash
    tiles.itemsize = region.itemsize
    tiles.buffers = buffers
    tiles.sizes = sizes
    tiles.rank = rank
    tiles.nest = region._nest(<Code>code, staged)
    tiles.nest.data = <char **>(buffers + images * sizes)
    cdef int status
    with nogil:
        status = _run_tiles(&tiles)
    pool.pop(buffers)
    took[0] += images * sizes
    if status:
        region._fail(status)
    return 1


cdef int _order(int rank, const int *axes, const bint *flips) noexcept:
    """After how many times a permutation with flips of axes has put everything in its place."""
    cdef int at[MAX_AXES]
    cdef bint flipped[MAX_AXES]
    cdef int k, times = 0
    cdef bint home = False
    for k in range(rank):
        at[k] = k
        flipped[k] = False
    while not home:
        times += 1
        home = True
        for k in range(rank):
            flipped[k] ^= flips[at[k]]
            at[k] = axes[at[k]]
            home &= at[k] == k and not flipped[k]
    return times


cdef struct Tiles:
    const npy_intp *shape               # `rank` axes
    const npy_intp *strides             # AXES for each stream, right-aligned
    const npy_intp *staged
    npy_intp pieces[MAX_AXES]
    npy_intp longest[MAX_AXES]          # piece
    char **data
    const char *clash
    const int *itemsize
    int *axes                           # MAX_AXES for each stream: see `mirrored`
    bint *flips
    char *buffers                       # `sizes` bytes for each image of a tile
    npy_intp sizes
    int rank
    Nest nest


cdef int _run_tiles(Tiles *tiles) noexcept nogil:
    cdef int n = tiles.nest.count, rank = tiles.rank, first = AXES - tiles.rank, s, k, j, i, status = 0
    cdef npy_intp total = 1, number, other, rest, offset
    cdef npy_intp orbit[ORBIT]
    cdef npy_intp place[MAX_AXES]
    cdef npy_intp image[MAX_AXES]
    cdef npy_intp start[MAX_AXES]
    cdef npy_intp shape[AXES]
    cdef int count, turn
    cdef bint leads, known, empty
    cdef char *buffer
    cdef char *source
    for k in range(AXES):
        shape[k] = 1
    tiles.nest.shape = shape
    for k in range(rank):
        total *= tiles.pieces[k]
    for number in range(total):
        orbit[0] = number
        count = 1
        leads = True
        i = 0
        while i < count and leads:
            rest = orbit[i]
            for k in range(rank - 1, -1, -1):
                place[k] = rest % tiles.pieces[k]
                rest //= tiles.pieces[k]
            for s in range(n - 1):
                if not tiles.clash[s]:
                    continue
                for k in range(rank):
                    image[tiles.axes[s * MAX_AXES + k]] = (
                        tiles.pieces[k] - 1 - place[k] if tiles.flips[s * MAX_AXES + k] else place[k]
                    )
                other = 0
                for k in range(rank):
                    other = other * tiles.pieces[k] + image[k]
                # Each set of tiles is run from its first.
                leads &= other >= number
                known = False
                for j in range(count):
                    known |= orbit[j] == other
                if not known and leads:
                    orbit[count] = other
                    count += 1
            i += 1
        if not leads:
            continue
        for turn in range(2):
            for i in range(count):
                rest = orbit[i]
                empty = False
                for k in range(rank - 1, -1, -1):
                    j = <int>(rest % tiles.pieces[k])
                    rest //= tiles.pieces[k]
                    start[k] = overlap.bound(tiles.shape[k], tiles.pieces[k], j)
                    shape[first + k] = overlap.bound(tiles.shape[k], tiles.pieces[k], j + 1) - start[k]
                    empty |= shape[first + k] == 0
                if empty:
                    continue
                buffer = tiles.buffers + i * tiles.sizes
                for s in range(n):
                    source = tiles.data[s]
                    for k in range(rank):
                        source += start[k] * tiles.strides[s * AXES + first + k]
                    if s < n - 1 and tiles.clash[s]:
                        if turn == 0:
                            overlap.copy(rank, shape + first, buffer, tiles.staged + s * AXES + first, source,
                                         tiles.strides + s * AXES + first, tiles.itemsize[s])
                        source = buffer
                        offset = tiles.itemsize[s]
                        for k in range(rank):
                            if tiles.staged[s * AXES + first + k]:
                                offset *= tiles.longest[k]
                        buffer += (offset + 63) // 64 * 64
                    tiles.nest.data[s] = source
                if turn == 1:
                    status |= sweep(&tiles.nest, 1)
    return status
