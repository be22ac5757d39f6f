"""OpenCL C: a table of differences over the one printer of the C family, and programs' text in it."""

from __future__ import annotations

from collections.abc import Collection

from arrayexpr._core.program import Program

from .grids import GridDialect, Source, emit_grid

_PREAMBLE = """\
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#pragma OPENCL FP_CONTRACT OFF
#define KERNEL(lanes) __kernel __attribute__((reqd_work_group_size(lanes, 1, 1)))
#define HELPER static inline
#define GLOBAL __global
#define LOCAL __local
#define ALIGNED(n) __attribute__((aligned(n)))
#define BLOCK get_group_id(0)
#define LANE get_local_id(0)
#define BARRIER barrier(CLK_LOCAL_MEM_FENCE)
#define POPCOUNT(x) popcount((ulong)(x))
#define int8_t char
#define uint8_t uchar
#define int16_t short
#define uint16_t ushort
#define int32_t int
#define uint32_t uint
#define int64_t long
#define uint64_t ulong
/* Where there are fused multiply-adds, NumPy multiplies complex numbers by them. */
#define __FMA__ 1"""

#: Half precision is a way to store: operations are of float, rounded. Loads and stores of it need no extension.
_HALF = """\
typedef struct { ushort bits; } arrayexpr_float16;
HELPER float arrayexpr_single(const arrayexpr_float16 x) { return vload_half(0, (const __private half *)&x.bits); }
HELPER arrayexpr_float16 arrayexpr_half32(const float x) {
    arrayexpr_float16 y;
    vstore_half_rte(x, 0, (__private half *)&y.bits);
    return y;
}
#ifdef cl_khr_fp64
HELPER arrayexpr_float16 arrayexpr_half64(const double x) {
    arrayexpr_float16 y;
    vstore_half_rte(x, 0, (__private half *)&y.bits);
    return y;
}
#endif"""

OPENCL = GridDialect(
    name="opencl",
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
    index="long",
    literal_int64="{}L",
    literal_uint64="{}UL",
    barrier="BARRIER;",
    global_space="GLOBAL ",
    # Its functions are overloaded.
    suffixes=dict.fromkeys(("float32", "float64", "complex64", "complex128"), ""),
    preamble=_PREAMBLE,
    structures={"float16": _HALF},
    conversions={"float16": ("arrayexpr_half{}({})", "arrayexpr_single({})")},
    pointer="GLOBAL {const}char *{name}_at, const long {name}_from",
    opening="    GLOBAL {const}char *{name} = {name}_at + {name}_from;",
    rewrites=(
        (r"(\d)L\)", r"\1)"),
        (r"(\.\d+)L\b", r"\1"),
        (r"\bhalf\b", "half_"),
        (r"__builtin_popcountll\(", "POPCOUNT("),
    ),
)


def emit(program: Program, *, values: Collection[str] = (), wide: bool = True) -> str:
    """The OpenCL C of a program scheduled for a GPU: see `grids.emit_grid`."""
    return source(program, values=values, wide=wide).text


def source(program: Program, *, values: Collection[str] = (), wide: bool = True) -> Source:
    """The OpenCL C of a program scheduled for a GPU, with its kernels and what they take."""
    return emit_grid(program, OPENCL, values=values, wide=wide)
