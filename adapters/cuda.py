"""CUDA C++: a table of differences over the one printer of the C family, and programs' text in it."""

from __future__ import annotations

from collections.abc import Collection

from arrayexpr._core.program import Program

from .grids import GridDialect, Source, emit_grid

_PREAMBLE = """\
#ifdef __CUDACC_RTC__
#define int8_t signed char
#define uint8_t unsigned char
#define int16_t short
#define uint16_t unsigned short
#define int32_t int
#define uint32_t unsigned int
#define int64_t long long
#define uint64_t unsigned long long
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#else
#include <math.h>
#include <stdint.h>
#endif
#define KERNEL(lanes) extern "C" __global__ __launch_bounds__(lanes)
#define HELPER static __device__ inline
#define GLOBAL
#define LOCAL __shared__
#define ALIGNED(n) __align__(n)
#define BLOCK blockIdx.x
#define LANE threadIdx.x
#define BARRIER __syncthreads()
#define POPCOUNT(x) __popcll((unsigned long long)(x))
/* Where there are fused multiply-adds, NumPy multiplies complex numbers by them. */
#ifndef __FMA__
#define __FMA__ 1
#endif"""

#: Half precision is a way to store: operations are of float, rounded. The header that has a type for it is not NVRTC's.
_HALF = """\
#ifdef __CUDACC_RTC__
static __device__ inline unsigned short arrayexpr_half(float x) {
    unsigned short y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}
static __device__ inline unsigned short arrayexpr_half(double x) {
    unsigned short y;
    asm("cvt.rn.f16.f64 %0, %1;" : "=h"(y) : "d"(x));
    return y;
}
static __device__ inline float arrayexpr_single(unsigned short x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
}
#endif
struct arrayexpr_float16 {
    unsigned short bits;
    arrayexpr_float16() = default;
    __device__ arrayexpr_float16(float x) : bits(arrayexpr_half(x)) {}
    __device__ arrayexpr_float16(double x) : bits(arrayexpr_half(x)) {}
    __device__ arrayexpr_float16(int x) : bits(arrayexpr_half((double)x)) {}
    __device__ arrayexpr_float16(unsigned x) : bits(arrayexpr_half((double)x)) {}
    __device__ arrayexpr_float16(int64_t x) : bits(arrayexpr_half((double)x)) {}
    __device__ arrayexpr_float16(uint64_t x) : bits(arrayexpr_half((double)x)) {}
    __device__ operator float() const { return arrayexpr_single(bits); }
};"""

CUDA = GridDialect(
    name="cuda",
    types={
        "bool": "uint8_t",
        **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
        "float16": "arrayexpr_float16",
        "float32": "float",
        "float64": "double",
        "complex64": "arrayexpr_complex64",
        "complex128": "arrayexpr_complex128",
    },
    pragmas={},
    index="long long",
    literal_int64="{}LL",
    literal_uint64="{}ULL",
    barrier="BARRIER;",
    global_space="GLOBAL ",
    preamble=_PREAMBLE,
    structures={"float16": _HALF},
    shuffles=True,
    rewrites=(
        (r"(\d)L\)", r"\1)"),
        (r"(\.\d+)L\b", r"\1"),
        # C++ has no literals of structures: these are its own.
        (r"\((arrayexpr_complex\d+)\)\{", r"\1{"),
        (r"__builtin_popcountll\(", "POPCOUNT("),
    ),
)


def emit(program: Program, *, values: Collection[str] = (), wide: bool = True) -> str:
    """The CUDA C++ of a program scheduled for a GPU: see `grids.emit_grid`."""
    return source(program, values=values, wide=wide).text


def source(program: Program, *, values: Collection[str] = (), wide: bool = True) -> Source:
    """The CUDA C++ of a program scheduled for a GPU, with its kernels and what they take."""
    return emit_grid(program, CUDA, values=values, wide=wide)
