/* One pool of threads for the process, and scratch of each thread. No Python in here.

   A caller opens a job, wakes sleepers, and works along; threads that wake in time join, threads that wake
   late find the job closed and sleep again. So a caller never waits for a thread to wake: a job that was
   too small for threads costs the wake-up call and no more.

   The chunks of a job are dealt out in contiguous ranges, one for each thread: the same thread gets the
   same chunks the next time, whose data its caches may still hold. One that is done takes chunks off the end
   of another's range, so that nobody waits for a slow one. */

#ifndef ARRAYEXPR_POOL_H
#define ARRAYEXPR_POOL_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef void (*arrayexpr_task)(void *context, ptrdiff_t chunk, int worker);

/* -- Scratch: a stack of memory for each thread, kept from call to call -- */

#if defined(_MSC_VER)
#define ARRAYEXPR_THREAD_LOCAL __declspec(thread)
#else
#define ARRAYEXPR_THREAD_LOCAL __thread
#endif

enum { ARRAYEXPR_ALIGNMENT = 64 };
/* Blocks beyond this go back to the system as soon as they are free: they hold whole operands. */
#define ARRAYEXPR_KEPT ((size_t)16 << 20)

typedef struct arrayexpr_block {
    struct arrayexpr_block *below;
    size_t size, used;              /* bytes after the header */
} arrayexpr_block;

#define ARRAYEXPR_HEADER ((sizeof(arrayexpr_block) + ARRAYEXPR_ALIGNMENT - 1) / ARRAYEXPR_ALIGNMENT * ARRAYEXPR_ALIGNMENT)

static ARRAYEXPR_THREAD_LOCAL arrayexpr_block *arrayexpr_top;

static void arrayexpr_watch_thread(void);

static void *arrayexpr_aligned(size_t bytes) {
#if defined(_MSC_VER)
    return _aligned_malloc(bytes, ARRAYEXPR_ALIGNMENT);
#else
    void *memory;
    return posix_memalign(&memory, ARRAYEXPR_ALIGNMENT, bytes) == 0 ? memory : NULL;
#endif
}

static void arrayexpr_free_aligned(void *memory) {
#if defined(_MSC_VER)
    _aligned_free(memory);
#else
    free(memory);
#endif
}

/* Scratch of the calling thread, aligned to 64; NULL where there is no memory. Given back in reverse order. */
static void *arrayexpr_push(size_t bytes) {
    arrayexpr_block *top = arrayexpr_top;
    if (bytes > SIZE_MAX / 4) return NULL;
    size_t needed = (bytes + ARRAYEXPR_ALIGNMENT - 1) / ARRAYEXPR_ALIGNMENT * ARRAYEXPR_ALIGNMENT;
    if (needed == 0) needed = ARRAYEXPR_ALIGNMENT;
    if (top == NULL || top->size - top->used < needed) {
        size_t size = top == NULL ? (size_t)64 << 10 : 2 * top->size;
        if (size > ARRAYEXPR_KEPT) size = ARRAYEXPR_KEPT;
        if (size < needed) size = needed;
        if (top != NULL && top->used == 0) {
            /* Too small, and nothing in it. */
            arrayexpr_top = top->below;
            arrayexpr_free_aligned(top);
        }
        arrayexpr_block *block = (arrayexpr_block *)arrayexpr_aligned(ARRAYEXPR_HEADER + size);
        if (block == NULL) return NULL;
        if (arrayexpr_top == NULL) arrayexpr_watch_thread();
        block->below = arrayexpr_top;
        block->size = size;
        block->used = 0;
        arrayexpr_top = top = block;
    }
    void *memory = (char *)top + ARRAYEXPR_HEADER + top->used;
    top->used += needed;
    return memory;
}

/* Give back what `arrayexpr_push` gave, and all that was given since. The largest block that is free is kept. */
static void arrayexpr_pop(void *memory) {
    arrayexpr_block *top = arrayexpr_top, *spare = NULL;
    while ((char *)memory < (char *)top || (char *)memory >= (char *)top + ARRAYEXPR_HEADER + top->size) {
        arrayexpr_block *block = top;
        top = top->below;
        if (block->size <= ARRAYEXPR_KEPT && (spare == NULL || block->size > spare->size)) {
            arrayexpr_block *smaller = spare;
            spare = block;
            block = smaller;
        }
        arrayexpr_free_aligned(block);
    }
    top->used = (size_t)((char *)memory - (char *)top - ARRAYEXPR_HEADER);
    if (top->used == 0 && (top->size > ARRAYEXPR_KEPT || (spare != NULL && spare->size >= top->size))) {
        arrayexpr_block *below = top->below;
        arrayexpr_free_aligned(top);
        top = below;
    } else if (top->used == 0 && spare != NULL) {
        arrayexpr_free_aligned(spare);
        spare = NULL;
    }
    if (spare != NULL) {
        spare->used = 0;
        spare->below = top;
        top = spare;
    }
    arrayexpr_top = top;
}

/* Bytes of scratch that the calling thread keeps. */
static size_t arrayexpr_kept(void) {
    size_t total = 0;
    for (arrayexpr_block *block = arrayexpr_top; block != NULL; block = block->below) total += block->size;
    return total;
}

static void arrayexpr_release_thread(void *unused) {
    arrayexpr_block *block = arrayexpr_top;
    (void)unused;
    arrayexpr_top = NULL;
    while (block != NULL) {
        arrayexpr_block *below = block->below;
        arrayexpr_free_aligned(block);
        block = below;
    }
}

/* -- Threads -- */

#if defined(_WIN32) || defined(__STDC_NO_ATOMICS__)

/* No threads of ours: every job runs in its caller. */
static void arrayexpr_watch_thread(void) {}
static int arrayexpr_pool_init(void) { return 0; }
static int arrayexpr_pool_workers(void) { return 0; }
static void arrayexpr_pool_retry(void) {}
static int arrayexpr_pool_available(void) { return 0; }

static void arrayexpr_pool_run(arrayexpr_task task, void *context, ptrdiff_t chunks, int threads) {
    (void)threads;
    for (ptrdiff_t chunk = 0; chunk < chunks; ++chunk) task(context, chunk, 0);
}

#else

#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#define ARRAYEXPR_PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define ARRAYEXPR_PAUSE() __asm__ volatile("yield")
#else
#define ARRAYEXPR_PAUSE() ((void)0)
#endif

enum {
    ARRAYEXPR_MAX_WORKERS = 1023,
    /* A worker that has nothing to do looks for so many nanoseconds before it sleeps: see `wake cost` in
       benchmarks/threads.py. Longer would keep cores from other programs, which may be waiting for them. */
    ARRAYEXPR_SPIN_NS = 20000,
    /* Kernels keep tiles and strips on the stack. */
    ARRAYEXPR_STACK = 4 << 20,
};

/* A range of chunks: the first in the low half, one past the last in the high one. On a line of its own. */
typedef struct {
    _Alignas(64) atomic_uint_fast64_t range;
    atomic_int core;                    /* that its thread runs on */
} arrayexpr_share;

#define ARRAYEXPR_OPEN ((uint_fast64_t)1 << 31)
#define ARRAYEXPR_ACTIVE (ARRAYEXPR_OPEN - 1)

static struct {
    /* Which job (high half), whether it is open for joining, and how many workers are in it. */
    _Alignas(64) atomic_uint_fast64_t state;
    _Alignas(64) atomic_int busy;       /* a caller has the pool */
    atomic_int sleepers;                /* workers that wait on `work` */
    atomic_int waiting;                 /* the caller waits on `done` */
    int workers;                        /* threads there are; the caller who has the pool adds to them */
    int refused;                        /* the system made no thread when asked for more than there are */
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    pthread_key_t key;
    int keyed;
    /* The job. */
    arrayexpr_task task;
    void *context;
    ptrdiff_t scale;                    /* chunks to one number of a range, where there are too many for 32 bits */
    ptrdiff_t chunks;
    int threads;
    atomic_int joined;
    fenv_t environment;
    arrayexpr_share shares[ARRAYEXPR_MAX_WORKERS + 1];
} arrayexpr_pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

/* Whether the calling thread is in a job: what it starts there runs in it alone. */
static ARRAYEXPR_THREAD_LOCAL int arrayexpr_inside;

static void arrayexpr_watch_thread(void) {
    if (arrayexpr_pool.keyed) pthread_setspecific(arrayexpr_pool.key, &arrayexpr_pool);
}

static int64_t arrayexpr_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void arrayexpr_do(uint_fast64_t number) {
    ptrdiff_t scale = arrayexpr_pool.scale, first = (ptrdiff_t)number * scale, last = first + scale;
    if (last > arrayexpr_pool.chunks) last = arrayexpr_pool.chunks;
    for (ptrdiff_t chunk = first; chunk < last; ++chunk)
        arrayexpr_pool.task(arrayexpr_pool.context, chunk, arrayexpr_inside - 1);
}

/* Work off a share from its front, then others' from their ends. */
static void arrayexpr_take(int own) {
    int threads = arrayexpr_pool.threads;
    arrayexpr_inside = own + 1;
    for (int k = 0; k < threads; ++k) {
        atomic_uint_fast64_t *share = &arrayexpr_pool.shares[(own + k) % threads].range;
        uint_fast64_t range = atomic_load_explicit(share, memory_order_relaxed);
        for (;;) {
            uint_fast64_t first = range & 0xffffffff, end = range >> 32;
            if (first >= end) break;
            uint_fast64_t rest = k == 0 ? end << 32 | (first + 1) : (end - 1) << 32 | first;
            if (!atomic_compare_exchange_weak_explicit(share, &range, rest, memory_order_relaxed, memory_order_relaxed))
                continue;
            arrayexpr_do(k == 0 ? first : end - 1);
            range = atomic_load_explicit(share, memory_order_relaxed);
        }
    }
    arrayexpr_inside = 0;
}

/* Move to a core that no thread of the job before us runs on. A scheduler that saves power wakes a thread on its
   waker's core, where the two then take turns: left alone on such a machine (a virtual one, Linux 6.18), jobs of 20 ms
   took as long in two threads as in one. */
static void arrayexpr_spread(int own) {
#if defined(__linux__) && defined(CPU_SET)
    int core = sched_getcpu(), shared = 0;
    for (int k = 0; k < own; ++k) shared |= atomic_load(&arrayexpr_pool.shares[k].core) == core;
    cpu_set_t allowed, rest;
    if (shared && sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        rest = allowed;
        for (int k = 0; k < own; ++k) {
            int other = atomic_load(&arrayexpr_pool.shares[k].core);
            if (other >= 0 && other < CPU_SETSIZE) CPU_CLR(other, &rest);
        }
        if (CPU_COUNT(&rest) > 0 && sched_setaffinity(0, sizeof rest, &rest) == 0) {
            sched_setaffinity(0, sizeof allowed, &allowed);
            core = sched_getcpu();
        }
    }
    atomic_store(&arrayexpr_pool.shares[own].core, core);
#else
    (void)own;
#endif
}

/* Enter the job that is open, if it is not the one seen last; returns whether that was so. */
static int arrayexpr_join(uint_fast64_t *seen) {
    uint_fast64_t state = atomic_load(&arrayexpr_pool.state);
    for (;;) {
        if (!(state & ARRAYEXPR_OPEN) || state >> 32 == *seen) return 0;
        if (atomic_compare_exchange_weak(&arrayexpr_pool.state, &state, state + 1)) break;
    }
    *seen = state >> 32;
    int own = atomic_fetch_add(&arrayexpr_pool.joined, 1) + 1;
    if (own < arrayexpr_pool.threads) {
        /* Rounding and the treatment of subnormals are the caller's: threads do not show in the bits. */
        fesetenv(&arrayexpr_pool.environment);
        arrayexpr_spread(own);
        arrayexpr_take(own);
    }
    state = atomic_fetch_sub(&arrayexpr_pool.state, 1) - 1;
    if (!(state & ARRAYEXPR_ACTIVE) && atomic_load(&arrayexpr_pool.waiting)) {
        pthread_mutex_lock(&arrayexpr_pool.lock);
        pthread_cond_signal(&arrayexpr_pool.done);
        pthread_mutex_unlock(&arrayexpr_pool.lock);
    }
    return 1;
}

static void *arrayexpr_worker(void *unused) {
    uint_fast64_t seen = 0;
    (void)unused;
    for (;;) {
        if (arrayexpr_join(&seen)) continue;
        int64_t until = arrayexpr_now() + ARRAYEXPR_SPIN_NS;
        int joined = 0;
        do {
            for (int k = 0; k < 32; ++k) ARRAYEXPR_PAUSE();
            /* The caller may be on this very core. */
            sched_yield();
            joined = arrayexpr_join(&seen);
        } while (!joined && arrayexpr_now() < until);
        if (joined) continue;
        pthread_mutex_lock(&arrayexpr_pool.lock);
        atomic_fetch_add(&arrayexpr_pool.sleepers, 1);
        for (;;) {
            uint_fast64_t state = atomic_load(&arrayexpr_pool.state);
            if ((state & ARRAYEXPR_OPEN) && state >> 32 != seen) break;
            pthread_cond_wait(&arrayexpr_pool.work, &arrayexpr_pool.lock);
        }
        atomic_fetch_sub(&arrayexpr_pool.sleepers, 1);
        pthread_mutex_unlock(&arrayexpr_pool.lock);
    }
    return NULL;
}

/* Have at least so many workers, as far as the system lets us. The caller has the pool. */
static void arrayexpr_grow(int workers) {
    if (workers > ARRAYEXPR_MAX_WORKERS) workers = ARRAYEXPR_MAX_WORKERS;
    if (arrayexpr_pool.workers >= workers || arrayexpr_pool.refused) return;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, ARRAYEXPR_STACK);
    /* Signals are for threads that know Python. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (arrayexpr_pool.workers < workers) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, arrayexpr_worker, NULL) != 0) {
            arrayexpr_pool.refused = 1;
            break;
        }
        ++arrayexpr_pool.workers;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

/* Run task(context, chunk, worker) for every chunk, in up to `threads` threads, the caller's included.

   Runs them one after another, in order, where the pool has another caller, within a job, and where there are no
   threads to be had. `worker` is below `threads`, and no two threads have the same one at a time. */
static void arrayexpr_pool_run(arrayexpr_task task, void *context, ptrdiff_t chunks, int threads) {
    int idle = 0;
    if (threads > chunks) threads = (int)chunks;
    if (threads > 1 && !arrayexpr_inside && atomic_compare_exchange_strong(&arrayexpr_pool.busy, &idle, 1)) {
        int made = arrayexpr_pool.workers < threads - 1;
        arrayexpr_grow(threads - 1);
        if (threads > arrayexpr_pool.workers + 1) threads = arrayexpr_pool.workers + 1;
        if (threads > 1) {
            uint_fast64_t numbers = (uint_fast64_t)chunks;
            arrayexpr_pool.scale = 1;
            while (numbers > 0x7fffffff) {
                arrayexpr_pool.scale *= 2;
                numbers = ((uint_fast64_t)chunks + arrayexpr_pool.scale - 1) / arrayexpr_pool.scale;
            }
            arrayexpr_pool.task = task;
            arrayexpr_pool.context = context;
            arrayexpr_pool.chunks = chunks;
            arrayexpr_pool.threads = threads;
            fegetenv(&arrayexpr_pool.environment);
            atomic_store_explicit(&arrayexpr_pool.joined, 0, memory_order_relaxed);
            for (int k = 0; k < threads; ++k) {
                uint_fast64_t first = numbers * k / threads, end = numbers * (k + 1) / threads;
                atomic_store_explicit(&arrayexpr_pool.shares[k].range, end << 32 | first, memory_order_relaxed);
                atomic_store_explicit(&arrayexpr_pool.shares[k].core, -1, memory_order_relaxed);
            }
            arrayexpr_spread(0);
            /* The number of a job is never 0, which a new worker has seen. */
            uint_fast64_t number = ((atomic_load(&arrayexpr_pool.state) >> 32) + 1) & 0xffffffff;
            atomic_store(&arrayexpr_pool.state, (number ? number : 1) << 32 | ARRAYEXPR_OPEN);
            int sleepers = atomic_load(&arrayexpr_pool.sleepers);
            if (sleepers > 0) {
                pthread_mutex_lock(&arrayexpr_pool.lock);
                for (int k = 0; k < threads - 1 && k < sleepers; ++k) pthread_cond_signal(&arrayexpr_pool.work);
                pthread_mutex_unlock(&arrayexpr_pool.lock);
            }
            /* A new thread moves off this core at once. For one that wakes it does not pay: the median of a job of
               nothing goes from 2 to 20 us, one of 200 us from 120 to 112. */
            if (made) sched_yield();
            arrayexpr_take(0);
            /* No chunk is left: closed for those who did not come, and the others are in their last one. */
            uint_fast64_t state = atomic_fetch_and(&arrayexpr_pool.state, ~ARRAYEXPR_OPEN);
            if (state & ARRAYEXPR_ACTIVE) {
                int64_t until = arrayexpr_now() + ARRAYEXPR_SPIN_NS;
                do {
                    for (int k = 0; k < 32; ++k) ARRAYEXPR_PAUSE();
                    sched_yield();
                    state = atomic_load(&arrayexpr_pool.state);
                } while ((state & ARRAYEXPR_ACTIVE) && arrayexpr_now() < until);
                if (state & ARRAYEXPR_ACTIVE) {
                    pthread_mutex_lock(&arrayexpr_pool.lock);
                    atomic_store(&arrayexpr_pool.waiting, 1);
                    while (atomic_load(&arrayexpr_pool.state) & ARRAYEXPR_ACTIVE)
                        pthread_cond_wait(&arrayexpr_pool.done, &arrayexpr_pool.lock);
                    atomic_store(&arrayexpr_pool.waiting, 0);
                    pthread_mutex_unlock(&arrayexpr_pool.lock);
                }
            }
            atomic_store(&arrayexpr_pool.busy, 0);
            return;
        }
        atomic_store(&arrayexpr_pool.busy, 0);
    }
    int outside = arrayexpr_inside;
    if (!outside) arrayexpr_inside = 1;
    for (ptrdiff_t chunk = 0; chunk < chunks; ++chunk) task(context, chunk, 0);
    arrayexpr_inside = outside;
}

/* Whether a job started now would find the pool free; another caller may be quicker. */
static int arrayexpr_pool_available(void) {
    return !arrayexpr_inside && !atomic_load_explicit(&arrayexpr_pool.busy, memory_order_relaxed);
}

static int arrayexpr_pool_workers(void) {
    return arrayexpr_pool.workers;
}

/* Ask the system again for threads that it refused. */
static void arrayexpr_pool_retry(void) {
    arrayexpr_pool.refused = 0;
}

/* A forked child has the memory of its parent's pool and none of its threads: it starts anew. */
static void arrayexpr_pool_forked(void) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    arrayexpr_pool.lock = lock;
    arrayexpr_pool.work = condition;
    arrayexpr_pool.done = condition;
    arrayexpr_pool.workers = arrayexpr_pool.refused = arrayexpr_inside = 0;
    atomic_store(&arrayexpr_pool.state, 0);
    atomic_store(&arrayexpr_pool.sleepers, 0);
    atomic_store(&arrayexpr_pool.waiting, 0);
    atomic_store(&arrayexpr_pool.busy, 0);
}

/* Once for the process; returns 0, or an error's number. */
static int arrayexpr_pool_init(void) {
    int error = pthread_atfork(NULL, NULL, arrayexpr_pool_forked);
    arrayexpr_pool.keyed = pthread_key_create(&arrayexpr_pool.key, arrayexpr_release_thread) == 0;
    return error;
}

#endif
#endif
