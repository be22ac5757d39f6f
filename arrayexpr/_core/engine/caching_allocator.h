/* Large blocks of the system's memory, in pages of 2 MB as far as they fill those. No Python in here. */
#ifndef ARRAYEXPR_CACHING_ALLOCATOR_H
#define ARRAYEXPR_CACHING_ALLOCATOR_H

#include <stddef.h>
#include <stdint.h>

#if defined(__linux__)
#include <sys/mman.h>

enum { ARRAYEXPR_MAPS = 1 };
#define ARRAYEXPR_PAGE ((size_t)2 << 20)

/* NULL where the system has no more. */
static void *arrayexpr_map(size_t size) {
    const size_t all = (size + 4095) & ~(size_t)4095;
    char *const found = all < size || all + ARRAYEXPR_PAGE < all ? MAP_FAILED
        : mmap(NULL, all + ARRAYEXPR_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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

static void arrayexpr_unmap(void *start, size_t size) { munmap(start, (size + 4095) & ~(size_t)4095); }

/* The system may take back pages that nobody writes to from now on. */
static void arrayexpr_lend(void *start, size_t size) {
#ifdef MADV_FREE
    madvise(start, (size + 4095) & ~(size_t)4095, MADV_FREE);
#else
    (void)start, (void)size;
#endif
}

#else

enum { ARRAYEXPR_MAPS = 0 };
static void *arrayexpr_map(size_t size) { (void)size; return NULL; }
static void arrayexpr_unmap(void *start, size_t size) { (void)start, (void)size; }
static void arrayexpr_lend(void *start, size_t size) { (void)start, (void)size; }

#endif
#endif
