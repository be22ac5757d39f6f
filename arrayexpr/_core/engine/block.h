/* The machine of the block engine: runs a tape, in one thread, without Python.

   A tape works on registers of pointer size, which hold lengths, byte strides, addresses and loop coordinates. Values
   of elements never pass through registers: an element-wise instruction calls a loop over a strip, in the form of
   NumPy's inner loops, on addresses and strides that registers hold. A tape is not written to while it runs: threads
   share it. */

#ifndef ARRAYEXPR_BLOCK_H
#define ARRAYEXPR_BLOCK_H

#include <complex.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void (*loop_function)(char **, const intptr_t *, const intptr_t *, void *);
typedef struct { const char *name; size_t bytes; void *start, *add, *end; } FoldRow;

#if defined __GNUC__
#include "loops.h"
enum { LOOPS = sizeof(loops) / sizeof(loops[0]) };
#include "vector_math_table.h"

/* The function of C's library of that name over strips, kept for good; NULL where it has none. */
static const arrayexpr_strip_function *strip_function(const char *name, int bits) {
    enum { ROWS = sizeof(arrayexpr_strip_rows) / sizeof(arrayexpr_strip_rows[0]) };
    static arrayexpr_strip_function kept[2 * ROWS];
    for (int k = 0; k < ROWS - 1; ++k) {
        arrayexpr_strip_function *function = &kept[2 * k + (bits == 32)];
        if (strcmp(arrayexpr_strip_rows[k].name, name) != 0) continue;
        return function->call != NULL || arrayexpr_find_strip(name, bits, 1, function) ? function : NULL;
    }
    return NULL;
}

static int fuses(void) {
#ifdef __x86_64__
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 0;
#endif
}

/* The folds of primitives/fold.h, as functions of one type each. */
#include "fold.h"
#include "pack.h"
#include "stream.h"
#define ARRAYEXPR_FOLD_OF(OP, ELEMENT, T, V, IDENTITY, COMBINE)                                                        \
    ARRAYEXPR_FOLD(OP##_##ELEMENT, T, V, IDENTITY, COMBINE)                                                            \
    static void start_##OP##_##ELEMENT(void *f) { arrayexpr_fold_##OP##_##ELEMENT##_start(f); }                        \
    static void add_##OP##_##ELEMENT(void *f, const char *from, ptrdiff_t stride, ptrdiff_t n) {                       \
        arrayexpr_fold_##OP##_##ELEMENT##_add(f, from, stride, n);                                                     \
    }                                                                                                                  \
    static void end_##OP##_##ELEMENT(void *f, void *to) {                                                              \
        *(T *)to = arrayexpr_fold_##OP##_##ELEMENT##_end(f, *(T *)to);                                                 \
    }
#include "fold_list.h"
#undef ARRAYEXPR_FOLD_OF
#define ARRAYEXPR_FOLD_OF(OP, ELEMENT, T, V, IDENTITY, COMBINE)                                                        \
    {#OP "_" #ELEMENT, sizeof(arrayexpr_fold_##OP##_##ELEMENT), (void *)start_##OP##_##ELEMENT,                        \
     (void *)add_##OP##_##ELEMENT, (void *)end_##OP##_##ELEMENT},
static const FoldRow folds[] = {
#include "fold_list.h"
};
enum { FOLDS = sizeof(folds) / sizeof(folds[0]) };
#else
static const struct { const char *name; loop_function function; } loops[1];
typedef struct arrayexpr_strip_function { void (*call)(const struct arrayexpr_strip_function *, void *, const void *, const void *, ptrdiff_t); } arrayexpr_strip_function;
static const FoldRow folds[1];
static const arrayexpr_strip_function *strip_function(const char *name, int bits) { return NULL; }
static int fuses(void) { return 0; }
enum { LOOPS = 0, FOLDS = 0 };
#endif

/* Operands are registers; `to` is relative to the instruction itself. */
typedef enum {
    /* a = b (op) c */
    OP_MOVE, OP_ADD, OP_SUB, OP_MUL, OP_MULADD /* a = b + c * d */, OP_MIN, OP_MAX, OP_DIV, OP_MOD,
    OP_LT, OP_LE, OP_EQ, OP_NE, OP_AND, OP_OR, OP_SELECT /* a = b ? c : d */,
    OP_LOAD,   /* a = the integer at b; c says of which type: see load_integer */
    OP_STORE,  /* the int64 at a = b */
    OP_JUMP, OP_UNLESS /* a is 0: jump */,
    OP_FOR,    /* a = b; where it is not before c, by step d, jump */
    OP_NEXT,   /* a += d; where it is before c, jump back */
    OP_ONE,    /* a strip is one element */
    OP_BEGIN,  /* where a is not above 0, jump; a strip is one element until OP_ENTER */
    OP_ENTER,  /* a strip is the least of a and b elements (b: a number) */
    OP_CHECK,  /* a -= strip; where nothing is left, jump */
    OP_STEP,   /* a += strip * b */
    OP_LOOP1, OP_LOOP2, OP_LOOP3, /* function over (address, stride) pairs a b, c d, ... the result last */
    OP_MATH1, /* a strip function(to c d, from a b); e f: strips to go through where a stride is not i; i: the item's size */
    OP_MATH2, /* function(to e f, from a b, c d); g h j: strips to go through */
    OP_IOTA,   /* int64 at a: b, b + c, ... */
    OP_FOLD_START, /* the fold at a */
    OP_FOLD_ADD,   /* to the fold at a the strip at b of stride c; of the length d, where that is not 0 */
    OP_FOLD_END,   /* the fold at a into the element at b */
    OP_PACK, OP_SCRATCH /* a = scratch of b bytes */,
    OP_LINES,  /* OP_ENTER, but that the strip ends where a line does at c, of elements of d bytes */
    OP_STREAM, /* the strip at a, of elements of c bytes, past the caches to b */
    OP_STOP
} Opcode;

typedef struct {
    int32_t op, to, a, b, c, d, e, f, g, h, i, j;
    void *function, *data;
} Instruction;

/* A copy of a window: registers of the extents, and of the strides of target and source. */
typedef struct {
    int rank, size;
    int target, source;
    int extents[32], targets[32], sources[32];
} PackPlan;

/* A register that a call sets: the data (0), a length (1) or a stride (2) of an array. */
typedef struct { int reg, array, kind, axis; } Fetch;

typedef struct {
    int instructions, registers, fetches, relocations;
    Instruction *code;
    intptr_t *start;       /* what registers hold at first */
    Fetch *fetch;
    int *relocate;         /* registers that hold a place in the arena */
    intptr_t arena;        /* bytes */
} TapeData;

typedef struct { void *data; const intptr_t *shape; const intptr_t *strides; } BlockArray;

enum { TAPE_RAISED = 1, TAPE_NO_MEMORY = 4, ARENA_ON_STACK = 40 << 10 };

static inline intptr_t floor_div(intptr_t a, intptr_t b) {
    if (b == 0) return 0;
    if (b == -1) return (intptr_t)(0 - (uintptr_t)a);
    return a / b - ((a % b != 0) & ((a < 0) != (b < 0)));
}

static inline intptr_t floor_mod(intptr_t a, intptr_t b) {
    if (b == 0 || b == -1) return 0;
    intptr_t m = a % b;
    return m != 0 && (a < 0) != (b < 0) ? m + b : m;
}

static inline intptr_t load_integer(const void *at, int type) {
    switch (type) {
        case 0: return *(const uint8_t *)at != 0;
        case 1: return *(const int8_t *)at;
        case 2: return *(const int16_t *)at;
        case 3: return *(const int32_t *)at;
        case 4: return (intptr_t)*(const int64_t *)at;
        case 5: return *(const uint8_t *)at;
        case 6: return *(const uint16_t *)at;
        default: return *(const uint32_t *)at;
    }
}

/* Elements of `size` bytes with strides into a strip, or out of one. */
static void copy_strip(char *to, intptr_t to_stride, const char *from, intptr_t from_stride, intptr_t n, int size) {
    if (size == 8) {
        for (intptr_t k = 0; k < n; ++k) memcpy(to + k * to_stride, from + k * from_stride, 8);
    } else if (size == 4) {
        for (intptr_t k = 0; k < n; ++k) memcpy(to + k * to_stride, from + k * from_stride, 4);
    } else {
        for (intptr_t k = 0; k < n; ++k) memcpy(to + k * to_stride, from + k * from_stride, size);
    }
}

ARRAYEXPR_PACK(1)
ARRAYEXPR_PACK(2)
ARRAYEXPR_PACK(4)
ARRAYEXPR_PACK(8)
ARRAYEXPR_PACK(16)

static void pack_window(const PackPlan *plan, const intptr_t *r) {
    ptrdiff_t extents[32], targets[32], sources[32];
    char *to = (char *)r[plan->target];
    const char *from = (const char *)r[plan->source];
    for (int k = 0; k < plan->rank; ++k) {
        extents[k] = r[plan->extents[k]];
        targets[k] = r[plan->targets[k]];
        sources[k] = r[plan->sources[k]];
    }
    switch (plan->size) {
#define ARRAYEXPR_SIZE(S) case S: arrayexpr_pack##S(to, targets, from, sources, extents, plan->rank); return;
        ARRAYEXPR_SIZE(1) ARRAYEXPR_SIZE(2) ARRAYEXPR_SIZE(4) ARRAYEXPR_SIZE(8) ARRAYEXPR_SIZE(16)
    }
}

/* Scratch whose size is known when the loops are reached, where the caller gave none. */
typedef struct Held { struct Held *next; } Held;

static int tape_loop(const TapeData *tape, intptr_t *r, char *scratch, Held **held) {
    const Instruction *i = tape->code;
    intptr_t n = 1, steps[4];
    char *args[4];
    int raised = 0, streams = 0;
    for (;;) {
        switch ((Opcode)i->op) {
        case OP_MOVE: r[i->a] = r[i->b]; break;
        case OP_ADD: r[i->a] = r[i->b] + r[i->c]; break;
        case OP_SUB: r[i->a] = r[i->b] - r[i->c]; break;
        case OP_MUL: r[i->a] = r[i->b] * r[i->c]; break;
        case OP_MULADD: r[i->a] = r[i->b] + r[i->c] * r[i->d]; break;
        case OP_MIN: r[i->a] = r[i->b] < r[i->c] ? r[i->b] : r[i->c]; break;
        case OP_MAX: r[i->a] = r[i->b] > r[i->c] ? r[i->b] : r[i->c]; break;
        case OP_DIV: r[i->a] = floor_div(r[i->b], r[i->c]); break;
        case OP_MOD: r[i->a] = floor_mod(r[i->b], r[i->c]); break;
        case OP_LT: r[i->a] = r[i->b] < r[i->c]; break;
        case OP_LE: r[i->a] = r[i->b] <= r[i->c]; break;
        case OP_EQ: r[i->a] = r[i->b] == r[i->c]; break;
        case OP_NE: r[i->a] = r[i->b] != r[i->c]; break;
        case OP_AND: r[i->a] = r[i->b] && r[i->c]; break;
        case OP_OR: r[i->a] = r[i->b] || r[i->c]; break;
        case OP_SELECT: r[i->a] = r[i->b] ? r[i->c] : r[i->d]; break;
        case OP_LOAD: r[i->a] = load_integer((const void *)r[i->b], i->c); break;
        case OP_STORE: *(int64_t *)r[i->a] = r[i->b]; break;
        case OP_JUMP: i += i->to; continue;
        case OP_UNLESS: if (!r[i->a]) { i += i->to; continue; } break;
        case OP_FOR:
            r[i->a] = r[i->b];
            if (r[i->d] > 0 ? r[i->a] >= r[i->c] : r[i->a] <= r[i->c]) { i += i->to; continue; }
            break;
        case OP_NEXT:
            r[i->a] += r[i->d];
            if (r[i->d] > 0 ? r[i->a] < r[i->c] : r[i->a] > r[i->c]) { i += i->to; continue; }
            break;
        case OP_ONE: n = 1; break;
        case OP_BEGIN: n = 1; if (r[i->a] <= 0) { i += i->to; continue; } break;
        case OP_ENTER: n = r[i->a] < i->b ? r[i->a] : i->b; break;
        case OP_LINES: {
            const intptr_t over = (r[i->c] & 63) / i->d;
            n = r[i->a] < i->b - over ? r[i->a] : i->b - over;
            break;
        }
        case OP_STREAM: arrayexpr_stream((void *)r[i->b], (const void *)r[i->a], n * i->c); streams = 1; break;
        case OP_CHECK: r[i->a] -= n; if (r[i->a] <= 0) { i += i->to; continue; } break;
        case OP_STEP: r[i->a] += n * r[i->b]; break;
        case OP_LOOP1:
            args[0] = (char *)r[i->a]; steps[0] = r[i->b];
            args[1] = (char *)r[i->c]; steps[1] = r[i->d];
            ((loop_function)i->function)(args, &n, steps, i->data ? i->data : &raised);
            break;
        case OP_LOOP2:
            args[0] = (char *)r[i->a]; steps[0] = r[i->b];
            args[1] = (char *)r[i->c]; steps[1] = r[i->d];
            args[2] = (char *)r[i->e]; steps[2] = r[i->f];
            ((loop_function)i->function)(args, &n, steps, i->data ? i->data : &raised);
            break;
        case OP_LOOP3:
            args[0] = (char *)r[i->a]; steps[0] = r[i->b];
            args[1] = (char *)r[i->c]; steps[1] = r[i->d];
            args[2] = (char *)r[i->e]; steps[2] = r[i->f];
            args[3] = (char *)r[i->g]; steps[3] = r[i->h];
            ((loop_function)i->function)(args, &n, steps, i->data ? i->data : &raised);
            break;
        case OP_MATH1: {
            const char *from = (const char *)r[i->a];
            char *to = (char *)r[i->c];
            if (r[i->b] != i->i && n > 1) {
                copy_strip((char *)r[i->e], i->i, from, r[i->b], n, i->i);
                from = (const char *)r[i->e];
            }
            if (r[i->d] != i->i && n > 1) to = (char *)r[i->f];
            ((const arrayexpr_strip_function *)i->function)->call(i->function, to, from, NULL, n);
            if (to != (char *)r[i->c]) copy_strip((char *)r[i->c], r[i->d], to, i->i, n, i->i);
            break;
        }
        case OP_MATH2: {
            const char *x = (const char *)r[i->a], *y = (const char *)r[i->c];
            char *to = (char *)r[i->e];
            if (r[i->b] != i->i && n > 1) {
                copy_strip((char *)r[i->g], i->i, x, r[i->b], n, i->i);
                x = (const char *)r[i->g];
            }
            if (r[i->d] != i->i && n > 1) {
                copy_strip((char *)r[i->h], i->i, y, r[i->d], n, i->i);
                y = (const char *)r[i->h];
            }
            if (r[i->f] != i->i && n > 1) to = (char *)r[i->j];
            ((const arrayexpr_strip_function *)i->function)->call(i->function, to, x, y, n);
            if (to != (char *)r[i->e]) copy_strip((char *)r[i->e], r[i->f], to, i->i, n, i->i);
            break;
        }
        case OP_IOTA: {
            int64_t *to = (int64_t *)r[i->a];
            const intptr_t first = r[i->b], by = r[i->c];
            for (intptr_t k = 0; k < n; ++k) to[k] = first + k * by;
            break;
        }
        case OP_FOLD_START: ((void (*)(void *))i->function)((void *)r[i->a]); break;
        case OP_FOLD_ADD:
            ((void (*)(void *, const char *, ptrdiff_t, ptrdiff_t))i->function)(
                (void *)r[i->a], (const char *)r[i->b], r[i->c], i->d ? r[i->d] : n);
            break;
        case OP_FOLD_END: ((void (*)(void *, void *))i->function)((void *)r[i->a], (void *)r[i->b]); break;
        case OP_PACK: {
            const PackPlan *plan = (const PackPlan *)i->data;
            if (plan->rank == 0)
                memcpy((char *)r[plan->target], (const char *)r[plan->source], plan->size);
            else
                pack_window(plan, r);
            break;
        }
        case OP_SCRATCH: {
            const size_t bytes = ((size_t)r[i->b] + 63) / 64 * 64;
            if (scratch != NULL) {
                r[i->a] = (intptr_t)scratch;
                scratch += bytes;
                break;
            }
            Held *block = (Held *)malloc(bytes + 128);
            if (block == NULL) return TAPE_NO_MEMORY;
            block->next = *held;
            *held = block;
            r[i->a] = ((intptr_t)block + (intptr_t)sizeof(Held) + 63) / 64 * 64;
            break;
        }
        case OP_STOP:
            if (streams) arrayexpr_stream_end();
            return raised ? TAPE_RAISED : 0;
        }
        ++i;
    }
}

static int tape_run(const void *self, const void *given, void *scratch) {
    const TapeData *tape = (const TapeData *)self;
    const BlockArray *arrays = (const BlockArray *)given;
    const size_t bytes = tape->registers * sizeof(intptr_t);
    const size_t all = bytes + (size_t)tape->arena + 64;
    Held *held = NULL;
    char *memory = (char *)(all <= ARENA_ON_STACK ? __builtin_alloca(all) : malloc(all));
    if (memory == NULL) return TAPE_NO_MEMORY;
    char *arena = (char *)(((intptr_t)memory + 63) / 64 * 64);
    intptr_t *r = (intptr_t *)(arena + tape->arena);
    memcpy(r, tape->start, bytes);
    for (int k = 0; k < tape->relocations; ++k) r[tape->relocate[k]] += (intptr_t)arena;
    for (int k = 0; k < tape->fetches; ++k) {
        const Fetch f = tape->fetch[k];
        const BlockArray *array = &arrays[f.array];
        r[f.reg] = f.kind == 0 ? (intptr_t)array->data : f.kind == 1 ? array->shape[f.axis] : array->strides[f.axis];
    }
    const int status = tape_loop(tape, r, (char *)scratch, &held);
    while (held != NULL) {
        Held *next = held->next;
        free(held);
        held = next;
    }
    if (all > ARENA_ON_STACK) free(memory);
    return status;
}

#endif
