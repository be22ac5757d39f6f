"""The C that is emitted: compiled as strict C99, linked with a C main and no Python, run, and compared."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kernels import comparable
from layouts import LAYOUTS, WRITABLE, clone, lay_out, same, values
from strategies import elementwise_programs

import arrayexpr
from arrayexpr._core.driver import SCHEDULE_PASSES, run
from arrayexpr._core.errors import ArrayExprError, UnsupportedError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Apply, Assign, Cast, Node, Operand
from arrayexpr._core.ops import operator, operators
from arrayexpr._core.parser import parse
from arrayexpr._core.program import Program
from arrayexpr._core.types import BOOL, FLOAT64, Int, elements
from arrayexpr.target import Target

CC = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(CC is None, reason="needs a C compiler")

OK, RAISED, SHAPE, OVERLAP = range(4)
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2", "-fwrapv", "-ffp-contract=off"]

# Reads: the count of arrays; of each the buffer, offset, rank, shape, strides; the count of buffers; of each the
# size and the bytes. Calls the kernel, and writes what it returned, the scratch it asked for, and the buffers.
_MAIN = r"""
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
typedef struct { void *data; const ptrdiff_t *shape; const ptrdiff_t *strides; } arrayexpr_array;
int NAME(const arrayexpr_array *arrays, void *scratch, int threads);
ptrdiff_t NAME_scratch(const arrayexpr_array *arrays);
static long long number(void) { long long x; if (scanf("%lld", &x) != 1) exit(9); return x; }
int main(void) {
    static arrayexpr_array arrays[80];
    static ptrdiff_t shape[80][32], strides[80][32];
    static long long buffer[80], offset[80], size[80];
    static unsigned char *bytes[80];
    int n = (int)number(), k, m;
    for (k = 0; k < n; ++k) {
        buffer[k] = number(); offset[k] = number();
        int rank = (int)number(), axis;
        for (axis = 0; axis < rank; ++axis) shape[k][axis] = (ptrdiff_t)number();
        for (axis = 0; axis < rank; ++axis) strides[k][axis] = (ptrdiff_t)number();
    }
    m = (int)number();
    for (k = 0; k < m; ++k) size[k] = number();
    getchar();
    for (k = 0; k < m; ++k) {
        bytes[k] = malloc((size_t)size[k] + 1);
        if (fread(bytes[k], 1, (size_t)size[k], stdin) != (size_t)size[k]) exit(8);
    }
    for (k = 0; k < n; ++k) {
        arrays[k].data = bytes[buffer[k]] + offset[k];
        arrays[k].shape = shape[k];
        arrays[k].strides = strides[k];
    }
    ptrdiff_t need = NAME_scratch(arrays);
    unsigned char *room = malloc((size_t)need + 64 + 16), *scratch = room;
    while ((uintptr_t)scratch % 64) ++scratch;
    memset(scratch + need, 0xEE, 16);
    int code = NAME(arrays, need ? scratch : NULL, THREADS);
    for (k = 0; k < 16; ++k) if (scratch[need + k] != 0xEE) exit(7);
    printf("%d %lld\n", code, (long long)need);
    for (k = 0; k < m; ++k) fwrite(bytes[k], 1, (size_t)size[k], stdout);
    return 0;
}
"""


def run_cc(*arguments: str | Path) -> None:
    assert CC is not None
    done = subprocess.run([CC, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def build(program: Program, folder: Path, *, flags: list[str] | None = None, threads: int = 1) -> Path:
    """The emitted source and the main, compiled apart and linked with libm alone."""
    source = arrayexpr.emit(program)
    assert "Python" not in source
    kernel, binary = folder / "kernel.c", folder / "main"
    kernel.write_text(source)
    flags = STRICT if flags is None else flags
    run_cc(*flags, "-c", kernel, "-o", folder / "kernel.o")
    extra = ["-fopenmp"] if "-fopenmp" in flags else []
    run_cc(*extra, main_object(program.name, threads), folder / "kernel.o", "-o", binary, "-lm")
    return binary


_objects = tempfile.TemporaryDirectory(prefix="arrayexpr-")


@functools.cache
def main_object(name: str, threads: int) -> Path:
    """The main for kernels of a name, compiled once: it took as long as most kernels."""
    path = Path(_objects.name) / f"{name}_{threads}.c"
    path.write_text(_MAIN.replace("NAME", name).replace("THREADS", str(threads)))
    run_cc("-std=c99", "-w", "-c", path, "-o", path.with_suffix(".o"))
    return path.with_suffix(".o")


def call(binary: Path, program: Program, arrays: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Run the program of C on arrays, which it changes. Returns its code, and the bytes of scratch."""
    roots: list[np.ndarray] = []
    head: list[Any] = [len(program.declared)]
    for operand in program.declared:
        array = arrays[operand.name]
        root = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        place = next((k for k, known in enumerate(roots) if known is root), None)
        if place is None:
            place = len(roots)
            roots.append(root)
        low = np.lib.array_utils.byte_bounds(root)[0]
        head += [place, array.__array_interface__["data"][0] - low, array.ndim, *array.shape, *array.strides]
    spans = [np.lib.array_utils.byte_bounds(root) for root in roots]
    head += [len(roots), *(high - low for low, high in spans)]
    raws = [_bytes(root, low, high) for root, (low, high) in zip(roots, spans, strict=True)]
    given_in = " ".join(map(str, head)).encode() + b"\n" + b"".join(raw.tobytes() for raw in raws)
    done = subprocess.run([binary], input=given_in, capture_output=True)
    assert done.returncode == 0, f"main ended with {done.returncode}: {done.stderr!r}"
    line, _, rest = done.stdout.partition(b"\n")
    for raw in raws:
        raw[...] = np.frombuffer(rest[: len(raw)], np.uint8)
        rest = rest[len(raw) :]
    code, scratch = map(int, line.split())
    return code, scratch


def _bytes(root: np.ndarray, low: int, high: int) -> np.ndarray:
    import ctypes

    return np.frombuffer((ctypes.c_uint8 * (high - low)).from_address(low), np.uint8)


def both(program: Program, arrays: Mapping[str, np.ndarray], folder: Path, **options: Any) -> tuple[int, int]:
    """Compare C with the interpreter on the same arrays; returns C's code and scratch."""
    binary = build(program, folder, **options)
    return compare(binary, program, arrays)


def compare(binary: Path, program: Program, arrays: Mapping[str, np.ndarray]) -> tuple[int, int]:
    expected = clone(arrays)
    interpret(program, expected)
    answer = call(binary, program, arrays)
    for operand in program.declared:
        assert same(arrays[operand.name], expected[operand.name]), f"{operand.name} of\n{program}"
    return answer


# -- Whole programs -----------------------------------------------------------------------------


def test_an_expression_in_every_layout(tmp_path: Path) -> None:
    program = parse(
        "def axpy(a: float64, x: float64[:, :], y: float64[:, :], *, r: float64[:, :]):\n    r[...] = a * x + y\n"
    )
    binary = build(program, tmp_path)
    rng = np.random.default_rng(0)
    # The caller of C has native, aligned arrays.
    kinds = [kind for kind in LAYOUTS if kind not in ("swapped", "record")]
    for attempt in range(40):
        shape = tuple(rng.integers(0, 6, 2))
        arrays = {"a": np.array(rng.normal())}
        for name in "xy":
            its = tuple(1 if rng.random() < 0.2 else int(n) for n in shape)
            arrays[name] = lay_out(rng.normal(size=its), kinds[rng.integers(len(kinds))], rng)
        arrays["r"] = lay_out(np.zeros(shape), kinds[attempt % (len(kinds) - 1)], rng)
        assert compare(binary, program, arrays) == (OK, 0)


PROGRAMS = {
    "transposed": "def f(a: float64[:, :], b: float64[:, :], *, r: float64[:, :]):\n"
    "    r[...] = a + b.transpose(1, 0)\n",
    "views": "def f(a: int32[:, :], *, r: int32[:]):\n    r[...] = a[1, ::-2] + a[::2, 3] - a[-1, 1:-1]\n",
    "in place": "def f(a: float32[:], b: float32[:]):\n    a[1:] = a[:-1] + b[1:]\n    b[...] = a[::-1] * b\n",
    "several": "def f(a: int64[:], *, r: int64[:], q: bool[:]):\n    r[...] = a * 3\n    q[...] = r > a[::-1]\n",
    "scalars": "def f(s: float64, n: uint8, *, r: float64):\n    r[...] = s * cast(n, float64)\n",
    "shared": "def f(a: float64[:], *, r: float64[:]):\n    _0 = a * a\n    _1 = _0 + _0\n    r[...] = _1 * _1 - _0\n",
    "function": "def f(a: float64[:], *, r: float64[:]):\n"
    "    def g(x: float64): return x * x + x\n    r[...] = g(g(a))\n",
    "choice": "def f(a: float64[:], b: bool[:], *, r: float64[:]):\n    r[...] = where(b and (a > 0.0), a, -a)\n",
}
SHAPES = {
    "transposed": {"a": (40, 50), "b": (50, 40), "r": (40, 50)},
    "views": {"a": (6, 7), "r": (3,)},
    "scalars": {"s": (), "n": (), "r": ()},
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str, tmp_path: Path) -> None:
    program = parse(PROGRAMS[name])
    if name == "views":
        shapes = {"a": (4, 5), "r": (2,)}
        program = parse(PROGRAMS[name].replace("::-2", "3::-2").replace("a[-1, 1:-1]", "a[-1, 1:3]"))
    else:
        shapes = SHAPES.get(name, {operand.name: (17,) for operand in program.declared})
    binary = build(program, tmp_path)
    rng = np.random.default_rng(0)
    for kind in [k for k in WRITABLE if k not in ("swapped", "record")]:
        arrays = {o.name: lay_out(values(o.type.element, shapes[o.name], rng), kind, rng) for o in program.declared}
        code, scratch = compare(binary, program, arrays)
        assert code == OK
        assert (scratch > 0) == (name == "in place")


def test_locals_lie_in_scratch(tmp_path: Path) -> None:
    program = parse(
        "def f(a: float64[:], *, r: float64[:]):\n"
        "    t = local(float64[:])\n    u = local(float64[:])\n    v = local(float64[:])\n"
        "    t[...] = a * a\n    u[...] = t[::-1] + t\n    v[...] = u[::-1] * u\n    r[...] = v[::-1] * t[:1] + v\n"
    )
    shorter = parse(str(program).replace("v[::-1] * t[:1] + v", "v[::-1] + v"))
    for each, count in ((program, 3), (shorter, 2)):
        arrays = {"a": np.random.default_rng(0).normal(size=17), "r": np.zeros(17)}
        expected = interpret(each, {"a": arrays["a"]})["r"]
        code, scratch = both(run(each, SCHEDULE_PASSES), arrays, tmp_path)
        assert code == OK and scratch == count * ((17 * 8 + 63) // 64 * 64)
        assert same(arrays["r"], expected)


def test_scratch_is_what_the_interface_says(tmp_path: Path) -> None:
    program = parse("def f(a: float64[:, :]):\n    a[...] = a.transpose(1, 0)\n    a[1:, :] = a[:-1, :] + 1.0\n")
    a = np.random.default_rng(0).normal(size=(5, 5))
    code, scratch = both(program, {"a": a}, tmp_path)
    assert code == OK and scratch == (5 * 5 * 8 + 63) // 64 * 64 + (4 * 5 * 8 + 63) // 64 * 64


@pytest.mark.parametrize("t", elements(), ids=str)
def test_every_element_type_compiles_as_strict_c99(t: Any, tmp_path: Path) -> None:
    """All operators of a type in one program: not a warning, and the right values."""
    x, y, n, b = (Operand(name, e.array(1)) for name, e in zip("xynb", (t, t, Int(32), BOOL), strict=True))
    places = {"T": [x, y, x], "B": [b], "N": [n]}
    value: Node = b
    for op in operators():
        skipped = op.signature.endswith("I") or (op.only and t.name not in op.only) or op.name.endswith("_doc")
        if skipped or t.kind not in op.kinds:
            continue
        args = tuple(places[place][k % len(places[place])] for k, place in enumerate(op.signature.split(">")[0]))
        value = Apply(operator("logical_xor"), (value, Cast(Apply(op, args), BOOL)))
    for other in elements():
        value = Apply(operator("logical_xor"), (value, Cast(Cast(Cast(x, other), t), BOOL)))
    r = Operand("r", BOOL.array(1))
    program = Program("kernel", [x, y, n, b], [Assign(r, value)], [r])
    rng = np.random.default_rng(0)
    arrays = {
        "x": rng.integers(1, 5, 30).astype(t.dtype),
        "y": rng.integers(1, 5, 30).astype(t.dtype),
        "n": rng.integers(1, 5, 30).astype("i4"),
        "b": np.ones(30, bool),
        "r": np.zeros(30, bool),
    }
    # _Float16 is no type of ISO C: every program here casts through it. gcc 12 warns of `(uint8_t)~x != 0`.
    flags = [flag for flag in STRICT if flag != "-pedantic"] + ["-Wno-sign-compare"]
    assert both(program, arrays, tmp_path, flags=flags)[0] == OK


def test_only_libm_is_asked_for(tmp_path: Path) -> None:
    program = parse("def f(a: float64[:], *, r: float64[:]):\n    r[...] = exp(a) + floor(a) // 3.0\n")
    binary = build(program, tmp_path)
    for tool, arguments in (("nm", ["-u", tmp_path / "kernel.o"]), ("ldd", [binary])):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
        shown = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=True).stdout
        assert "Py" not in shown and "python" not in shown, shown
    symbols = subprocess.run(["nm", "-u", str(tmp_path / "kernel.o")], capture_output=True, text=True, check=True)
    asked = set(re.findall(r"\bU (\w+)", symbols.stdout))
    # With glibc `exp` is its vector library's, which -lm links too; compilers ask for memcpy by themselves.
    asked = {re.sub(r"^_ZGV[bde]N\d+v_", "", name) for name in asked}
    assert asked <= {"exp", "fmod", "floor", "copysign", "memcpy", "_GLOBAL_OFFSET_TABLE_"}, asked
    defined = subprocess.run(["nm", "-g", str(tmp_path / "kernel.o")], capture_output=True, text=True, check=True)
    assert set(re.findall(r"\b[TDBR] (\w+)", defined.stdout)) == {"f", "f_scratch"}


def test_every_level_of_optimisation(tmp_path: Path) -> None:
    program = parse("def f(a: float32[:, :], *, r: float32[:, :]):\n    r[...] = a * float32(2.0) + a\n")
    for level in ("-O0", "-Os", "-O3"):
        folder = tmp_path / level[1:]
        folder.mkdir()
        arrays = {"a": np.ones((3, 4), "f4"), "r": np.zeros((3, 4), "f4")}
        assert both(program, arrays, folder, flags=[*STRICT, level])[0] == OK


def test_parallel_loops(tmp_path: Path) -> None:
    program = parse("def f(a: float64[:, :], b: float64[:, :], *, r: float64[:, :]):\n    r[...] = a * b + a\n")
    program = arrayexpr.optimize(program, target=Target(cores=4))
    source = arrayexpr.emit(program)
    assert "#pragma omp parallel for" in source and "#pragma GCC ivdep" in source
    rng = np.random.default_rng(0)
    arrays = {"a": rng.normal(size=(64, 65)), "b": rng.normal(size=(64, 65)), "r": np.zeros((64, 65))}
    folder = tmp_path / "omp"
    folder.mkdir()
    for flags in (STRICT, [*STRICT, "-fopenmp"]):
        assert both(program, arrays, folder, flags=[f for f in flags], threads=4)[0] == OK


# -- What a kernel answers ----------------------------------------------------------------------


@functools.cache
def _sum_program() -> Program:
    return parse("def f(a: float64[:, :], b: float64[:, :], *, r: float64[:, :]):\n    r[...] = a + b\n")


@pytest.fixture(scope="module")
def sum_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(_sum_program(), tmp_path_factory.mktemp("sum"))


@pytest.mark.parametrize(
    "a, b, r, code",
    [
        ((3, 4), (3, 4), (3, 4), OK),
        ((1, 4), (3, 1), (3, 4), OK),
        ((3, 4), (3, 5), (3, 4), SHAPE),
        ((3, 4), (2, 4), (3, 4), SHAPE),
        ((3, 4), (3, 4), (1, 4), SHAPE),
        ((3, 4), (3, 4), (3, 3), SHAPE),
        ((0, 4), (0, 4), (0, 4), OK),
        ((1, 4), (1, 1), (0, 4), OK),
        ((0, 4), (3, 4), (3, 4), SHAPE),
    ],
)
def test_shapes_that_do_not_fit_are_refused(sum_binary: Path, a: Any, b: Any, r: Any, code: int) -> None:
    out = np.full(r, 7.0)
    got, _ = call(sum_binary, _sum_program(), {"a": np.ones(a), "b": np.ones(b), "r": out})
    assert got == code
    assert (out == (2 if code == OK else 7)).all()


def test_outputs_that_partly_overlap_are_refused(sum_binary: Path) -> None:
    base = np.arange(100.0)
    before = base.copy()
    windows = {
        "shifted": (base[:12], base[1:13]),
        "reversed": (base[:12], base[11::-1]),
        "stepped": (base[:12], base[:24:2]),
        "one element": (base[:12], base[11:23]),
    }
    for name, (first, out) in windows.items():
        for arrays in ({"a": first, "b": base[50:62]}, {"b": first, "a": base[50:62]}):
            arrays = {x: a.reshape(3, 4) for x, a in arrays.items()}
            got, _ = call(sum_binary, _sum_program(), {**arrays, "r": out.reshape(3, 4)})
            assert got == OVERLAP and same(base, before), name
    square = np.arange(9.0).reshape(3, 3)
    assert call(sum_binary, _sum_program(), {"a": square, "b": square, "r": square.T})[0] == OVERLAP
    assert same(square, np.arange(9.0).reshape(3, 3))
    for arrays in ({"a": square, "b": square, "r": square}, {"a": base[:9].reshape(3, 3), "b": square, "r": square}):
        expected = arrays["a"] + arrays["b"]
        assert call(sum_binary, _sum_program(), arrays)[0] == OK
        assert same(square, expected)
    apart = {"a": base[:12].reshape(3, 4), "b": base[12:24].reshape(3, 4), "r": base[24:36].reshape(3, 4)}
    assert call(sum_binary, _sum_program(), apart)[0] == OK


def test_negative_powers_raise(tmp_path: Path) -> None:
    program = parse("def f(a: int32[:], b: int32[:], *, r: int32[:]):\n    r[...] = a ** b\n")
    binary = build(program, tmp_path)
    x = np.arange(6, dtype="i4")
    for y, code in ((x, OK), (-x, RAISED), (x[::-1].copy() - 1, RAISED), (x * 0, OK)):
        r = np.zeros(6, "i4")
        assert call(binary, program, {"a": x, "b": y, "r": r})[0] == code
        if code == OK:
            assert same(r, x**y)
    constant = parse("def f(a: int32[:], *, r: int32[:]):\n    r[...] = a ** int32(2)\n")
    assert "raised" not in arrayexpr.emit(constant)


# -- Names --------------------------------------------------------------------------------------

NAMES = [
    ("double", "n0", "n1"),
    ("scratch", "arrays", "threads"),
    ("a", "a_", "a_n0"),
    ("x_0", "x", "x_n0"),
    ("i0", "i1", "i2"),
    ("int", "ptrdiff_t", "NULL"),
    ("π", "ä", "数"),
    ("__x", "_y", "_Z"),
    ("exp", "sin", "y0"),
    ("p1", "t1", "v1"),
    ("INT64_C", "NAN", "INFINITY"),
    ("ARRAYEXPR_OK", "arrayexpr_array", "arrayexpr_overlap"),
    ("ARRAYEXPR_ABI", "main", "f_scratch"),
    ("raised", "I", "complex"),
    ("multiply_complex128", "cast_float64_int32", "linux"),
    ("exp_", "exp__", "exp"),
    ("a" * 300, "a" * 300 + "b", "a" * 299),
    ("assert_", "errno", "uint8_t"),
    ("P_tmpdir", "_Bool", "M_PI"),
    ("u3c0", "π", "xu3c0"),
]


@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0][:12])
def test_names(names: tuple[str, str, str], tmp_path: Path) -> None:
    x, y, s = (Operand(name, FLOAT64.array(rank)) for name, rank in zip(names, (2, 2, 0), strict=True))
    r = Operand("r" if "r" not in names else "q", FLOAT64.array(2))
    value = Apply(operator("add"), (Apply(operator("exp"), (x,)), Apply(operator("multiply"), (y, s))))
    power = Apply(operator("floor_divide"), (value, y))
    program = Program("f", [x, y, s], [Assign(r, power), Assign(x, Apply(operator("subtract"), (r, x)))], [r])
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(3, 4)[: o.type.rank]) for name, o in zip(names, (x, y, s), strict=True)}
    assert both(program, {**arrays, r.name: np.zeros((3, 4))}, tmp_path, flags=[*STRICT, "-O0"])[0] == OK


@pytest.mark.parametrize(
    "name",
    ["double", "main", "exp", "size_t", "π", "_x", "arrayexpr_array", "NULL", "printf", "sinf", "hypot", "f_", "row"],
)
def test_names_of_programs(name: str, tmp_path: Path) -> None:
    """A kernel's name is its symbol: it is as the caller wrote it, or refused."""
    program = parse(f"def {name}(a: float64[:], *, r: float64[:]):\n    r[...] = a + 1.0\n")
    try:
        source = arrayexpr.emit(program)
    except UnsupportedError as error:
        assert repr(name) in str(error) and name not in ("f_", "π", "row")
        return
    assert name in ("f_", "π", "row")
    (tmp_path / "kernel.c").write_text(source)
    run_cc(*STRICT, "-c", tmp_path / "kernel.c", "-o", tmp_path / "kernel.o")
    assert f"int {name}(" in source


def test_names_of_indices_and_scratch(tmp_path: Path) -> None:
    program = parse(
        "def f(a: float64[:, :], *, r: float64[:, :]):\n"
        "    double = scratch(float64[:, :], a.shape[0], a.shape[1])\n"
        "    pack(double, a, starts=(0, 0), extents=(a.shape[0], a.shape[1]))\n"
        "    for a_n0 in serial(0, r.shape[0], 1):\n"
        "        for r_ in vector(0, r.shape[1], 1):\n"
        "            r[a_n0, r_] = double[a_n0, r_] * 2.0\n"
    )
    a = np.random.default_rng(0).normal(size=(4, 5))
    code, scratch = both(program, {"a": a, "r": np.zeros((4, 5))}, tmp_path)
    assert (code, scratch) == (OK, 192)


# -- Schedules as text --------------------------------------------------------------------------

SCHEDULES = {
    "guards": "def f(a: float64[:], n: int64, *, r: float64[:]):\n"
    "    for i in range(0, r.shape[0], 1):\n"
    "        if i < n:\n            r[i] = a[i]\n        else:\n            r[i] = -a[i]\n",
    "falling": "def f(a: float64[:], n: int64, *, r: float64[:]):\n"
    "    for i in range(r.shape[0] - 1, -1, -1):\n        r[i] = a[i] + cast(i, float64)\n",
    "carried": "def f(a: float64[:], n: int64, *, r: float64[:]):\n"
    "    r[0] = a[0]\n    for i in range(1, r.shape[0], 1):\n        r[i] = r[i - 1] + a[i]\n",
    "stepped": "def f(a: float64[:], n: int64, *, r: float64[:]):\n"
    "    r[...] = a\n    for i in range(0, r.shape[0], 2):\n        r[i] = a[i] * 2.0\n        r[i] = r[i] + 1.0\n",
    "blocks": "def f(a: float64[:], n: int64, *, r: float64[:]):\n"
    "    for i0 in block(0, r.shape[0], 4):\n"
    "        for i in vector(i0, minimum(i0 + 4, r.shape[0]), 1):\n            r[i] = a[r.shape[0] - 1 - i]\n",
    "tiles": "def f(a: float64[:], n: int64, *, r: float64[:]):\n"
    "    t = scratch(float64[:], 4)\n"
    "    for i0 in block(0, r.shape[0], 4):\n"
    "        pack(t, a, starts=(i0,), extents=(minimum(4, r.shape[0] - i0),))\n"
    "        for i in vector(i0, minimum(i0 + 4, r.shape[0]), 1):\n            r[i] = t[i - i0] * 3.0\n",
    "strides": "def f(a: float64[:], n: int64, *, r: float64[:]):\n"
    "    if a.strides[0] == 8 and r.strides[0] == 8:\n"
    "        for i in vector(0, r.shape[0], 1):\n            r[i] = a[i] + 1.0\n"
    "    else:\n        for i in vector(0, r.shape[0], 1):\n            r[i] = a[i] + 1.0\n",
    "zero": "def f(a: float64[:], n: int64, *, r: float64[:]):\n"
    "    for i in range(0, r.shape[0], 1):\n        r[i] = a[0]\n    r[0] = cast(a.shape[0] + n, float64)\n",
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str, tmp_path: Path) -> None:
    program = parse(SCHEDULES[name])
    binary = build(program, tmp_path)
    rng = np.random.default_rng(0)
    for kind in ("C", "reversed", "stepped"):
        for size in (1, 4, 11):
            arrays = {
                "a": lay_out(rng.normal(size=size), kind, rng),
                "n": np.array(3),
                "r": lay_out(np.zeros(size), kind, rng),
            }
            assert compare(binary, program, arrays)[0] == OK


# -- Random programs ----------------------------------------------------------------------------


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data(), elementwise_programs(max_nodes=10, max_statements=3, calls=True, max_rank=4))
def test_random_programs(tmp_path_factory: pytest.TempPathFactory, data: Any, case: Any) -> None:
    """Programs of several statements as one C file: statements read what those before them stored."""
    program = case.program
    assume(comparable(program))
    vector = [n for n in program.nodes() if isinstance(n, Apply) and n.args[0].type.element.kind in n.op.vector_math]
    extremes = [
        n for n in program.nodes() if isinstance(n, Apply) and n.op.name in ("minimum", "maximum", "fmin", "fmax")
    ]
    assume(not vector and not extremes)
    try:
        binary = build(
            program, tmp_path_factory.mktemp("random"), flags=["-std=gnu99", "-w", "-march=native", *STRICT[5:]]
        )
    except UnsupportedError as error:
        # A slice of a computed value that no rewrite brings to its operands.
        assume("Assign has no c form" not in str(error))
        raise
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    for _ in range(3):
        arrays = {}
        for operand in program.declared:
            kinds = [
                k for k in (LAYOUTS if operand in program.operands else WRITABLE) if k not in ("swapped", "record")
            ]
            filled = values(operand.type.element, case.shapes[operand.name], rng)
            arrays[operand.name] = lay_out(filled, kinds[rng.integers(len(kinds))], rng)
        try:
            assert compare(binary, program, arrays)[0] == OK
        except AssertionError:
            # A slice that turns out to have one element does not broadcast in C: that is refused.
            if call(binary, program, arrays)[0] != SHAPE:
                raise


def test_slices_that_turn_out_to_broadcast_are_refused(tmp_path: Path) -> None:
    program = parse("def f(a: float64[:], b: float64[:], *, r: float64[:]):\n    r[...] = a[:-1] + b[2:3] - b[-1:]\n")
    binary = build(program, tmp_path)
    b = np.arange(5.0)
    for n, code in ((5, OK), (2, SHAPE), (4, SHAPE), (6, SHAPE)):
        r = np.full(4, 7.0)
        assert call(binary, program, {"a": np.arange(n * 1.0), "b": b, "r": r})[0] == code
        assert same(r, np.arange(4.0) + 2 - 4 if code == OK else np.full(4, 7.0))
    fixed = parse("def f(a: float64[:, :], *, r: float64[:]):\n    r[...] = a[2, :] + a[-3, ::-1]\n")
    folder = tmp_path / "fixed"
    folder.mkdir()
    binary = build(fixed, folder)
    for shape, code in (((3, 4), OK), ((2, 4), SHAPE), ((9, 4), OK), ((3, 5), SHAPE), ((0, 4), SHAPE)):
        assert call(binary, fixed, {"a": np.ones(shape), "r": np.zeros(4)})[0] == code


def test_what_c_has_no_form_for() -> None:
    with pytest.raises(UnsupportedError, match="argmax"):
        arrayexpr.emit(parse("def f(a: float64[:, :], *, r: int64):\n    r[...] = reduce(argmax, a, (0, 1))\n"))
    with pytest.raises(ArrayExprError, match="language 'cobol' is unknown: expected one of c"):
        arrayexpr.emit(_sum_program(), "cobol")
    with pytest.raises(UnsupportedError, match="[Oo]paque"):
        arrayexpr.emit(parse('def f(a: float64[:], *, r: float64[:]):\n    r[...] = opaque("g", a, type=float64[:])\n'))


def test_layouts_are_used_when_known(tmp_path: Path) -> None:
    """With layouts the loops join and flip, and the code still answers for them."""
    a = np.asfortranarray(np.random.default_rng(0).normal(size=(5, 6)))
    program = arrayexpr.optimize(_sum_program(), layouts={"a": a, "b": a, "r": a})
    assert str(program).count("for ") == 1
    assert both(program, {"a": a, "b": a.copy(order="F"), "r": np.zeros_like(a)}, tmp_path)[0] == OK
    assert json.dumps(arrayexpr.emit(program))
