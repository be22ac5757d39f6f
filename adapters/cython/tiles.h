/* Arrays that do not lie along the target's rows, copied to where they do: those that lie across them by tiles, others
   row by row. 2500 x 2500 of which one operand of two lies across took 4.2 ms in tiles of 32 x 1024, 4.5 in 64 x 512,
   4.6 in 64 x 256, and 6.1 in 64 x 128. */
enum { ARRAYEXPR_ROWS = 32, ARRAYEXPR_COLUMNS = 1024, ARRAYEXPR_GAP = 64 };

/* What a kernel of `count` arrays, targets first, and some numbers has for its tiles. */
typedef struct {
    int count, targets, numbers;
    const int *sizes;
    void (*const *packs)(char *, const ptrdiff_t *, const char *, const ptrdiff_t *, const ptrdiff_t *, int);
    void (*run)(int, const arrayexpr_array *, void *);
    ptrdiff_t (*needs)(int, const arrayexpr_array *);
    /* Room for its own view of the arrays. */
    arrayexpr_array *arrays;
    ptrdiff_t *steps, *places;
} arrayexpr_tiling;

/* Runs a version for contiguous rows on arrays of two axes; `ways` says how the operands lie. */
static ARRAYEXPR_UNUSED int arrayexpr_tiles(const arrayexpr_tiling *t, int version, const arrayexpr_array *given,
                                            const int *ways) {
    const ptrdiff_t *const shape = given[0].shape;
    const ptrdiff_t rows = shape[0] < ARRAYEXPR_ROWS ? shape[0] : ARRAYEXPR_ROWS;
    const ptrdiff_t columns = shape[1] < ARRAYEXPR_COLUMNS ? shape[1] : ARRAYEXPR_COLUMNS;
    ptrdiff_t extents[2] = {rows, columns}, held = 0;
    int by_row = 0;
    void *scratch, *aligned;
    for (int k = 0; k < t->count + t->numbers; ++k) {
        t->arrays[k] = given[k];
        t->arrays[k].shape = extents;
        if (k < t->targets || k >= t->count || ways[k - t->targets] == ARRAYEXPR_ALONG) continue;
        const ptrdiff_t line = (columns * t->sizes[k] + ARRAYEXPR_GAP + 63) & ~(ptrdiff_t)63;
        const int across = arrayexpr_magnitude(given[k].strides[0]) < arrayexpr_magnitude(given[k].strides[1]);
        by_row = by_row || !across;
        t->steps[2 * k] = across ? line : 0;
        t->steps[2 * k + 1] = t->sizes[k];
        t->arrays[k].strides = t->steps + 2 * k;
        t->places[k] = held;
        held += across ? rows * line : line;
    }
    if (arrayexpr_scratch(held + t->needs(version, t->arrays), &scratch, &aligned) < 0) return ARRAYEXPR_ERROR;
    for (ptrdiff_t first = 0; first < shape[0]; first += rows) {
        const ptrdiff_t end = shape[0] - first < rows ? shape[0] : first + rows;
        for (ptrdiff_t column = 0; column < shape[1]; column += columns) {
            extents[1] = shape[1] - column < columns ? shape[1] - column : columns;
            for (ptrdiff_t row = first; row < end; row += extents[0]) {
                for (int k = 0; k < t->count; ++k) {
                    const ptrdiff_t *const own = given[k].strides;
                    char *const from = (char *)given[k].data + row * own[0] + column * own[1];
                    if (k < t->targets || ways[k - t->targets] == ARRAYEXPR_ALONG) {
                        t->arrays[k].data = from;
                        continue;
                    }
                    const ptrdiff_t line = t->steps[2 * k];
                    t->arrays[k].data = (char *)aligned + t->places[k] + (row - first) * line;
                    if (line != 0 && row > first) continue;
                    extents[0] = line != 0 ? end - first : 1;
                    /* Rows that are read backwards: 2500 x 2500 of three operands took 7.1 ms without, 6.6 with. */
                    if (line == 0 && own[1] == -t->sizes[k])
                        arrayexpr_fetch(from + 4 * own[0] + (extents[1] - 1) * own[1], extents[1] * t->sizes[k]);
                    t->packs[k - t->targets]((char *)t->arrays[k].data, t->arrays[k].strides, from, own, extents, 2);
                }
                extents[0] = by_row ? 1 : end - first;
                t->run(version, t->arrays, (char *)aligned + held);
            }
        }
    }
    free(scratch);
    return 0;
}
