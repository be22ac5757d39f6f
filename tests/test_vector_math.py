"""The vector library's functions: how far from exact, their special values, and one result per value."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kernels import alone
from layouts import same

import arrayexpr
from arrayexpr._core import vector_math
from arrayexpr._core.engine.vector_math import strip
from arrayexpr._core.errors import ArrayExprError
from arrayexpr._core.ops import operators
from arrayexpr._core.types import element
from arrayexpr.target import Target
from arrayexpr.target import vector_math as setting

HARNESS = Path(__file__).with_name("vector_math.c")
WIDTHS = {
    "avx512f": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mavx2", "-mfma"],
    "avx2": ["-mavx2", "-mfma"],
    "sse2": [],
    "scalar": ["-DARRAYEXPR_VECTOR_MATH=0"],
}


def _supported(width: str) -> bool:
    if width == "scalar":
        return True
    if platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
        return False
    try:
        return width in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


@pytest.fixture(scope="module", params=WIDTHS)
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that measures, for one instruction set."""
    if not _supported(request.param):
        pytest.skip(f"no {request.param} here")
    compiler = next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("vector_math")
    for name in ("vector_math.h", "vector_math_avx512.h"):
        (folder / name).write_text(vector_math.header(name))
    binary = folder / request.param
    flags = ["-std=gnu99", "-O2", "-fno-math-errno", "-fwrapv", "-w", *WIDTHS[request.param], f"-I{folder}"]
    subprocess.run([compiler, *flags, str(HARNESS), "-o", str(binary), "-lm"], check=True)
    return binary


def _check(binary: Path, what: str) -> set[str]:
    shown = subprocess.run([str(binary), what], capture_output=True, text=True, check=True).stdout
    found = set()
    for line in shown.splitlines():
        name, t, ulp, x, y, special, lanes = line.split()
        found.add(name)
        most = 4.0 if binary.name == "scalar" else vector_math.MEASURED_ULP[name][t == "float32"]
        assert float(ulp) <= most <= 4.0, f"{name} of {t} is {ulp} ulp off at {x}, {y}: the table says {most}"
        assert int(special) == 0, f"{name} of {t}: {special} special values are not the scalar library's"
        assert int(lanes) == 0, f"{name} of {t}: {lanes} elements depend on their neighbours"
    return found


def test_error_and_special_values(harness: Path) -> None:
    assert _check(harness, "20") == set(vector_math.MEASURED_ULP)


@pytest.mark.slow
def test_many_values(harness: Path) -> None:
    _check(harness, "2000")


@pytest.mark.slow
def test_every_float32(harness: Path) -> None:
    """All 2**32, of functions of one argument."""
    assert len(_check(harness, "all")) == 20


# -- One source of bits -------------------------------------------------------------------------

FUNCTIONS = [
    (op, t, name)
    for op in operators()
    for t in ("float64", "float32")
    if (name := vector_math.function_of(op, element(t))) is not None and name not in vector_math.EXACT
]


@functools.cache
def _inputs(t: str, count: int, length: int = 1013) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(7)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2, 0.5, 1e300, 1e-310, 700, -745, 88, 1e38, 1e-40])
    made = []
    for _ in range(count):
        x = np.concatenate([rng.normal(size=length - 100), rng.uniform(-800, 800, 50), rng.choice(special, 50)])
        with np.errstate(all="ignore"):
            made.append(rng.permutation(x).astype(t))
    return tuple(made)


@pytest.mark.parametrize("op, t, name", FUNCTIONS, ids=lambda x: str(getattr(x, "name", x)))
def test_the_strips_found_at_run_time_are_those_of_compiled_kernels(op, t, name) -> None:  # type: ignore[no-untyped-def]
    args = _inputs(t, op.arity)
    whole = np.empty_like(args[0])
    strip(name, whole, *args)
    assert same(alone(op, tuple(element(t) for _ in args))(*args), whole)
    for n in (0, 1, 3, 7, 8, 15, 16, 17, 100):
        for start in (0, 1, 2, 5):
            part = np.empty(n, t)
            strip(name, part, *(a[start : start + n] for a in args))
            assert same(part, whole[start : start + n]), (n, start)
    own = args[0].copy()
    strip(name, own, own, *args[1:])
    assert same(own, whole), "to may be from"


@pytest.mark.parametrize("op, t, name", FUNCTIONS, ids=lambda x: str(getattr(x, "name", x)))
def test_the_switch_gives_the_bits_of_the_scalar_library(op, t, name) -> None:  # type: ignore[no-untyped-def]
    library = ctypes.CDLL(ctypes.util.find_library("m") or None)
    c_type = ctypes.c_double if t == "float64" else ctypes.c_float
    function = getattr(library, name + ("f" if t == "float32" else ""))
    function.restype, function.argtypes = c_type, [c_type] * op.arity
    args = _inputs(t, op.arity)
    expected = np.array([function(*map(float, values)) for values in zip(*args, strict=True)], t)
    found = np.empty_like(args[0])
    strip(name, found, *args, vector_math=False)
    assert same(found, expected)
    program = alone(op, tuple(element(t) for _ in args)).compiled.source
    assert same(arrayexpr.compile(program, vector_math=False)(*args), expected)


@pytest.mark.parametrize("name", ["exp", "power", *sorted(vector_math.EXACT)])
@pytest.mark.parametrize("t", ["float64", "float32"])
def test_numbers_are_computed_as_the_elements_of_arrays(name: str, t: str) -> None:
    op = next(op for op in operators() if op.name == name)
    names = ("x", "y")[: op.arity]
    program = arrayexpr.parse(
        f"def f({', '.join(f'{n}: {t}' for n in names)}, *, r: {t}):\n    r[...] = {name}({', '.join(names)})\n"
    )
    kernel = arrayexpr.compile(program, engine="c", wait=True)
    args = _inputs(t, op.arity)
    expected = alone(op, tuple(element(t) for _ in args))(*args)
    with np.errstate(all="ignore"):
        assert same(np.array([kernel(*values) for values in zip(*args, strict=True)], t), expected)


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, value in (("", True), ("1", True), ("0", False)):
        monkeypatch.setenv("ARRAYEXPR_VECTOR_MATH", text)
        assert setting() is value
    monkeypatch.setenv("ARRAYEXPR_VECTOR_MATH", "yes")
    with pytest.raises(ArrayExprError, match="ARRAYEXPR_VECTOR_MATH is 'yes': expected 0 or 1"):
        setting()
    assert Target().vector_math

    @arrayexpr.kernel(vector_math=False)
    def scalar(x):  # type: ignore[no-untyped-def]
        return np.exp(x)

    x = np.linspace(-3, 3, 100)
    assert same(scalar(x), [ctypes_exp(v) for v in x])


def ctypes_exp(x: float) -> float:
    import math

    return math.exp(x)


def test_refusals() -> None:
    x = np.zeros(3)
    for arguments, message in (
        (("floor", x, x), "strip of floor: expected a function"),
        (("exp", x, x, x), "strip of exp: expected 1 arguments, got 2"),
        (("exp", x, x[:2]), "strip of exp: expected arrays"),
        (("exp", x, x.astype("f4")), "strip of exp: expected arrays"),
    ):
        with pytest.raises(ArrayExprError, match=message):
            strip(*arguments)
