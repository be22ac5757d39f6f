/* Enough of CUDA for the host to run a kernel's text: blocks one after the other, the lanes of each as fibers that go on
   from barrier to barrier. Accesses of the caller's memory and of local memory may be written down. */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(lanes)
#define __shared__ static
#define __align__(n) __attribute__((aligned(n)))
#define __popcll(x) __builtin_popcountll(x)

static inline unsigned short arrayexpr_half(float x) { return _cvtss_sh(x, 0); }
static inline unsigned short arrayexpr_half(double x) {
    /* Rounded to odd, so that the second rounding is the only one. */
    float y = (float)x;
    uint32_t bits;
    memcpy(&bits, &y, 4);
    if ((double)y != x && x == x && !(bits & 1)) bits += fabs((double)y) > fabs(x) ? -1 : 1;
    memcpy(&y, &bits, 4);
    return arrayexpr_half(y);
}
static inline float arrayexpr_single(unsigned short x) { return _cvtsh_ss(x); }

struct place3 { unsigned x; };
static place3 threadIdx, blockIdx;

struct access_of { int32_t site, kind; uint32_t block, lane; int64_t address; int32_t size, turn; };
static std::vector<access_of> accesses;
static std::vector<std::vector<int>> turns;
static bool tracing = false;

static void written_down(int site, int kind, int64_t address, int size) {
    if (!tracing) return;
    std::vector<int> &mine = turns[threadIdx.x];
    if ((int)mine.size() <= site) mine.resize(site + 1);
    accesses.push_back({site, kind, blockIdx.x, threadIdx.x, address, size, mine[site]++});
}

template <typename T> static inline T &traced(int site, const char *address) {
    written_down(site, 0, (int64_t)address, sizeof(T));
    if ((uintptr_t)address % alignof(T)) { fprintf(stderr, "an access of site %d is not aligned\n", site); abort(); }
    return *(T *)address;
}

template <typename T, int count> struct local_array {
    T data[count];
    int site = 0;
    local_array() { memset((void *)data, 0xA5, sizeof data); }
    local_array &at(int where) { site = where; return *this; }
    T &operator[](int64_t k) {
        if (k < 0 || k >= count) { fprintf(stderr, "place %ld of local memory of %d\n", (long)k, count); abort(); }
        written_down(site, 1, k * (int64_t)sizeof(T), sizeof(T));
        return data[k];
    }
};

static ucontext_t scheduler;
static std::vector<ucontext_t> fibers;
static std::vector<char> stacks;
/* Of each lane: 0 ended, 1 to go on, 2 at a barrier, 3 at a shuffle. */
static std::vector<int> alive;
static void (*body)(void **);
static void **arguments;
static std::vector<int> shuffled[2];
static std::vector<int> shuffles;

static void wait_as(int what) {
    const unsigned lane = threadIdx.x;
    alive[lane] = what;
    swapcontext(&fibers[lane], &scheduler);
    threadIdx.x = lane;
}

static void __syncthreads() { wait_as(2); }

/* All lanes of a warp have to come here. What they give lies in one of two places, for the next shuffle not to
   overwrite what another lane has not read yet. */
static int __shfl_down_sync(unsigned mask, int value, int distance) {
    const unsigned lane = threadIdx.x;
    if (mask != 0xffffffffu) abort();
    std::vector<int> &given = shuffled[shuffles[lane]++ & 1];
    given[lane] = value;
    wait_as(3);
    return given[lane % 32 + distance < 32 ? lane + distance : lane];
}

static void fiber(int lane) {
    body(arguments);
    alive[lane] = 0;
}

/* Runs a kernel; 1 where some lanes of a block wait at a barrier and others have ended. */
static int launched(void (*kernel)(void **), int blocks, int lanes, void **given, int fibered) {
    const size_t size = 64 << 10;
    body = kernel;
    arguments = given;
    turns.assign(lanes, {});
    for (int block = 0; block < blocks; ++block) {
        blockIdx.x = block;
        for (auto &each : turns) each.clear();
        if (!fibered) {
            for (int lane = 0; lane < lanes; ++lane) { threadIdx.x = lane; kernel(given); }
            continue;
        }
        fibers.resize(lanes);
        stacks.resize(size * lanes);
        alive.assign(lanes, 1);
        shuffles.assign(lanes, 0);
        for (auto &each : shuffled) each.assign(lanes, 0);
        for (int lane = 0; lane < lanes; ++lane) {
            getcontext(&fibers[lane]);
            fibers[lane].uc_stack.ss_sp = &stacks[size * lane];
            fibers[lane].uc_stack.ss_size = size;
            fibers[lane].uc_link = &scheduler;
            makecontext(&fibers[lane], (void (*)())fiber, 1, lane);
        }
        for (int left = lanes; left;) {
            left = 0;
            for (int lane = 0; lane < lanes; ++lane) {
                if (alive[lane] == 1) {
                    threadIdx.x = lane;
                    swapcontext(&scheduler, &fibers[lane]);
                }
                left += alive[lane] != 0;
            }
            /* Warps at a shuffle go on; else the block is at a barrier, all of it. */
            int moved = 0;
            for (int warp = 0; warp < lanes; warp += 32) {
                int count = 0;
                for (int lane = warp; lane < warp + 32 && lane < lanes; ++lane) count += alive[lane] == 3;
                if (!count) continue;
                if (count != 32) return 1;
                for (int lane = warp; lane < warp + 32; ++lane) alive[lane] = 1;
                moved = 1;
            }
            if (moved || !left) continue;
            for (int lane = 0; lane < lanes; ++lane) {
                if (alive[lane] != 2) return 1;
                alive[lane] = 1;
            }
        }
    }
    return 0;
}

extern "C" int64_t trace_of(access_of **found) {
    *found = accesses.data();
    return (int64_t)accesses.size();
}
extern "C" void trace(int on) { tracing = on; accesses.clear(); }
