"""Hand-tuned C, for the bars stated against it: a streaming triad, and two works with what is invariant hoisted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from ..work import Problem
from . import native
from .run import Cannot, Run, plain

_FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-fopenmp")
_HEAD = """
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef double vec __attribute__((vector_size(64)));
typedef double loose __attribute__((vector_size(64), aligned(8)));
"""

# A core's slice is walked in vectors whose stores are whole cache lines, 16 lines of each operand ahead prefetched.
_TRIAD = """
#if defined(__AVX512F__)
#include <immintrin.h>
#endif
static void slice(const double *a, const double *b, const double *c, double *r, ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i < n && (uintptr_t)(r + i) %% 64; ++i) r[i] = a[i] * b[i] + c[i];
    for (; i + 16 <= n; i += 16) {
        for (int k = 0; k < 16; k += 8) {
            __builtin_prefetch(a + i + k + %(ahead)d);
            __builtin_prefetch(b + i + k + %(ahead)d);
            __builtin_prefetch(c + i + k + %(ahead)d);
            %(prefetch)s
            const vec value = *(const loose *)(a + i + k) * *(const loose *)(b + i + k) + *(const loose *)(c + i + k);
            %(store)s
        }
    }
    for (; i < n; ++i) r[i] = a[i] * b[i] + c[i];
    %(fence)s
}
void work(const double *a, const ptrdiff_t *na, const ptrdiff_t *sa, const double *b, const ptrdiff_t *nb,
          const ptrdiff_t *sb, const double *c, const ptrdiff_t *nc, const ptrdiff_t *sc, double *r,
          const ptrdiff_t *nr, const ptrdiff_t *sr) {
    const ptrdiff_t n = nr[0];
    const int threads = n < 100000 ? 1 : THREADS;
    if (threads == 1) { slice(a, b, c, r, n); return; }
    #pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; ++t) {
        const ptrdiff_t from = n * t / threads, to = n * (t + 1) / threads;
        slice(a + from, b + from, c + from, r + from, to - from);
    }
}
"""
_ORDINARY = {
    "ahead": 128,
    "prefetch": "__builtin_prefetch(r + i + k + 128, 1);",
    "store": "*(vec *)(r + i + k) = value;",
    "fence": "",
}
_STREAMING = {
    "ahead": 128,
    "prefetch": "",
    "store": "_mm512_stream_pd(r + i + k, (__m512d)value);",
    "fence": "_mm_sfence();",
}

_SINE_COSINE = """
void work(const double *x, const ptrdiff_t *nx, const ptrdiff_t *sx, const double *y, const ptrdiff_t *ny,
          const ptrdiff_t *sy, double *restrict r, const ptrdiff_t *nr, const ptrdiff_t *sr) {
    const ptrdiff_t m = nr[0], n = nr[1];
    double *restrict row = malloc(n * sizeof(double));
    for (ptrdiff_t j = 0; j < n; ++j) row[j] = sin(x[j] * x[j]);
    #pragma omp parallel for num_threads(THREADS) if (THREADS > 1 && m * n > 100000)
    for (ptrdiff_t i = 0; i < m; ++i) {
        const double column = cos(y[i] * y[i]);
        for (ptrdiff_t j = 0; j < n; ++j) r[i * n + j] = row[j] + column;
    }
    free(row);
}
"""
_ROW_COLUMN = """
void work(const double *a, const ptrdiff_t *na, const ptrdiff_t *sa, const double *row, const ptrdiff_t *nw,
          const ptrdiff_t *sw, const double *col, const ptrdiff_t *nc, const ptrdiff_t *sc, double *restrict r,
          const ptrdiff_t *nr, const ptrdiff_t *sr) {
    const ptrdiff_t m = nr[0], n = nr[1];
    #pragma omp parallel for num_threads(THREADS) if (THREADS > 1 && m * n > 100000)
    for (ptrdiff_t i = 0; i < m; ++i) {
        const double column = col[i];
        for (ptrdiff_t j = 0; j < n; ++j) r[i * n + j] = a[i * n + j] + row[j] + column;
    }
}
"""
# Vector functions of glibc's: within 4 ulp, as ours may be.
_VECTOR_MATH = ("-ffast-math",)

_SOURCES: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("hand", "triad"): (_TRIAD % _ORDINARY, ()),
    ("hand-streaming", "triad"): (_TRIAD % _STREAMING, ()),
    ("hand", "sine_cosine"): (_SINE_COSINE, _VECTOR_MATH),
    ("hand", "row_column"): (_ROW_COLUMN, ()),
}


@dataclass(frozen=True)
class Hand:
    NAME: str
    NOTE: str

    def version(self) -> str:
        return native.version("gcc")

    def prepare(self, problem: Problem, threads: int) -> Run:
        found = _SOURCES.get((self.NAME, problem.work.hand))
        if found is None:
            raise Cannot
        if "_mm512" in found[0] and not _has_avx512():
            raise Cannot("this processor has no AVX-512")
        source, flags = found
        run = _compiled(f"#define THREADS {threads}\n{_HEAD}{source}", len(problem.operands) + 1, flags)
        given = [*problem.inputs, *problem.outputs]
        return Run(plain(run, given), lambda: problem.outputs)


@functools.cache
def _has_avx512() -> bool:
    try:
        with open("/proc/cpuinfo") as file:
            return " avx512f " in file.read()
    except OSError:
        return False


def _compiled(source: str, arrays: int, flags: tuple[str, ...]) -> Callable[..., object]:
    return native.extension("c", source, arrays, (*_FLAGS, *flags))


PEERS = (
    Hand("hand", "hand-tuned C: prefetch, aligned stores, invariants hoisted"),
    Hand("hand-streaming", "the triad with non-temporal stores"),
)
