/* Enough of CUDA for the host to run a kernel's text: blocks one after the other, the lanes of each as fibers that go on
   from barrier to barrier. Accesses of the caller's memory and of local memory may be written down. */
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
    int site;
    local_array(int site) : site(site) { memset((void *)data, 0xA5, sizeof data); }
    T &operator[](int64_t k) {
        if (k < 0 || k >= count) { fprintf(stderr, "place %ld of local memory of %d\n", (long)k, count); abort(); }
        written_down(site, 1, k * (int64_t)sizeof(T), sizeof(T));
        return data[k];
    }
};

static ucontext_t scheduler;
static std::vector<ucontext_t> fibers;
static std::vector<char> stacks;
static std::vector<int> alive;
static void (*body)(void **);
static void **arguments;
static int at_barrier;

static void __syncthreads() {
    ++at_barrier;
    const unsigned lane = threadIdx.x;
    swapcontext(&fibers[lane], &scheduler);
    threadIdx.x = lane;
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
        for (int lane = 0; lane < lanes; ++lane) {
            getcontext(&fibers[lane]);
            fibers[lane].uc_stack.ss_sp = &stacks[size * lane];
            fibers[lane].uc_stack.ss_size = size;
            fibers[lane].uc_link = &scheduler;
            makecontext(&fibers[lane], (void (*)())fiber, 1, lane);
        }
        for (int left = lanes; left;) {
            at_barrier = left = 0;
            for (int lane = 0; lane < lanes; ++lane)
                if (alive[lane]) {
                    threadIdx.x = lane;
                    swapcontext(&scheduler, &fibers[lane]);
                    left += alive[lane];
                }
            if (left && at_barrier != lanes) return 1;
        }
    }
    return 0;
}

extern "C" int64_t trace_of(access_of **found) {
    *found = accesses.data();
    return (int64_t)accesses.size();
}
extern "C" void trace(int on) { tracing = on; accesses.clear(); }
