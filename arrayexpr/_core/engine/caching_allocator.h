/* Large blocks of memory, kept when they are freed, for the next that asks for as much. No Python in here.

   The system gives large blocks page by page, each cleared, which takes longer than to compute what they are for. Blocks
   are in pages of 2 MB as far as they fill those; what is kept of them the system may have back when it runs short
   (MADV_FREE). Any thread may come: one that finds another one here goes to the system instead, so that nobody waits,
   and so that a child that was forked meanwhile does not either. */

#ifndef ARRAYEXPR_CACHING_ALLOCATOR_H
#define ARRAYEXPR_CACHING_ALLOCATOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes from which memory is kept. Of less, the C library keeps enough: a*b + c of 1024 x 1024 doubles, by Numba, took
   0.30 to 0.38 ms in its memory and 0.35 to 0.45 in ours. */
#define ARRAYEXPR_LARGE ((size_t)16 << 20)

#if defined(__linux__)
#include <sys/mman.h>

/* What lies before the bytes that are asked for. Other large arrays begin just above the start of a page, these just below
   one: so an element is loaded before that one is stored which a processor takes to be at the same place by the last
   twelve bits of its address. */
enum { ARRAYEXPR_CACHES = 1, ARRAYEXPR_BLOCKS = 16, ARRAYEXPR_HEAD = 4096 - 64 };
#define ARRAYEXPR_PAGE ((size_t)2 << 20)

typedef struct { char *start; size_t size; } arrayexpr_kept_block;

/* What is kept, the last one freed at the end; its bytes, and how many those may be. */
static arrayexpr_kept_block arrayexpr_blocks[ARRAYEXPR_BLOCKS];
static int arrayexpr_count;
static size_t arrayexpr_total, arrayexpr_limit = (size_t)256 << 20;
static char arrayexpr_taken;

static int arrayexpr_enter(void) { return !__atomic_test_and_set(&arrayexpr_taken, __ATOMIC_ACQUIRE); }
static void arrayexpr_leave(void) { __atomic_clear(&arrayexpr_taken, __ATOMIC_RELEASE); }

static size_t arrayexpr_pages(size_t size) { return (size + 4095) & ~(size_t)4095; }

/* A block of the system's, at the start of a page of 2 MB; NULL where it has no more. */
static char *arrayexpr_map(size_t size) {
    const size_t all = arrayexpr_pages(size);
    if (all < size || all + ARRAYEXPR_PAGE < all) return NULL;
    char *const found = mmap(NULL, all + ARRAYEXPR_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) return NULL;
    char *const start = (char *)(((uintptr_t)found + ARRAYEXPR_PAGE - 1) & ~(uintptr_t)(ARRAYEXPR_PAGE - 1));
    if (start > found) munmap(found, start - found);
    if (start < found + ARRAYEXPR_PAGE) munmap(start + all, found + ARRAYEXPR_PAGE - start);
#ifdef MADV_HUGEPAGE
    /* Not the last one, of which little may be used: all of it would be cleared. */
    madvise(start, all & ~(ARRAYEXPR_PAGE - 1), MADV_HUGEPAGE);
#endif
    return start;
}

/* Give the system the blocks that lie here longest, until there are so many bytes and there is room for one more. */
static void arrayexpr_evict(size_t limit) {
    int first = 0;
    for (; first < arrayexpr_count && (arrayexpr_total > limit || arrayexpr_count - first == ARRAYEXPR_BLOCKS); ++first) {
        arrayexpr_total -= arrayexpr_blocks[first].size;
        munmap(arrayexpr_blocks[first].start, arrayexpr_pages(arrayexpr_blocks[first].size));
    }
    arrayexpr_count -= first;
    memmove(arrayexpr_blocks, arrayexpr_blocks + first, arrayexpr_count * sizeof *arrayexpr_blocks);
}

/* The smallest block that is kept, and not much too large, taken out; its size is put where `size` is. */
static char *arrayexpr_find(size_t *size) {
    int best = -1;
    for (int k = 0; k < arrayexpr_count; ++k) {
        const size_t held = arrayexpr_blocks[k].size;
        if (held >= *size && held - *size <= *size / 4 && (best < 0 || held < arrayexpr_blocks[best].size)) best = k;
    }
    if (best < 0) return NULL;
    char *const start = arrayexpr_blocks[best].start;
    *size = arrayexpr_blocks[best].size;
    arrayexpr_total -= *size;
    --arrayexpr_count;
    memmove(arrayexpr_blocks + best, arrayexpr_blocks + best + 1, (arrayexpr_count - best) * sizeof *arrayexpr_blocks);
    return start;
}

/* So many bytes, whatever they are, from the start of a cache line on; at the block's start lies its size. */
static void *arrayexpr_take(size_t size) {
    char *start = NULL;
    if (size > SIZE_MAX - ARRAYEXPR_HEAD) return NULL;
    size += ARRAYEXPR_HEAD;
    if (arrayexpr_enter()) {
        start = arrayexpr_find(&size);
        if (start == NULL && (start = arrayexpr_map(size)) == NULL) {
            /* What lies here may be what is missing. */
            arrayexpr_evict(0);
            start = arrayexpr_map(size);
        }
        arrayexpr_leave();
    } else {
        start = arrayexpr_map(size);
    }
    if (start == NULL) return NULL;
    memcpy(start, &size, sizeof size);
    return start + ARRAYEXPR_HEAD;
}

static size_t arrayexpr_size_of(const void *data) {
    size_t size;
    memcpy(&size, (const char *)data - ARRAYEXPR_HEAD, sizeof size);
    return size - ARRAYEXPR_HEAD;
}

static void arrayexpr_give(void *data) {
    if (data == NULL) return;
    char *const start = (char *)data - ARRAYEXPR_HEAD;
    const size_t size = arrayexpr_size_of(data) + ARRAYEXPR_HEAD;
    if (size > arrayexpr_limit || !arrayexpr_enter()) {
        munmap(start, arrayexpr_pages(size));
        return;
    }
    arrayexpr_evict(arrayexpr_limit - size);
#ifdef MADV_FREE
    madvise(start, arrayexpr_pages(size), MADV_FREE);
#endif
    arrayexpr_blocks[arrayexpr_count++] = (arrayexpr_kept_block){start, size};
    arrayexpr_total += size;
    arrayexpr_leave();
}

#else

enum { ARRAYEXPR_CACHES = 0 };
static size_t arrayexpr_total, arrayexpr_limit;
static void *arrayexpr_take(size_t size) { (void)size; return NULL; }
static size_t arrayexpr_size_of(const void *data) { (void)data; return 0; }
static void arrayexpr_give(void *data) { (void)data; }

#endif
#endif
