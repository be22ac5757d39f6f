"""Kernels in CUDA: their text compiled by NVRTC with no device, run on the host, and what it asks of memory counted."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_host import HostCuda, bank_conflicts, sectors
from gpu_support import supported
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernels import check, comparable
from layouts import same
from strategies import elementwise_programs, operand_arrays, overlapping_arrays

import arrayexpr
from arrayexpr._core.passes.banks import conflicts

if shutil.which("g++") is None:
    pytest.skip("there is no g++ to run CUDA text on the host", allow_module_level=True)


def aligned(array: Any) -> Any:
    """A copy that begins where a GPU's allocator would have it."""
    room = np.empty(array.nbytes + 256, np.uint8)
    start = -room.ctypes.data % 256
    made = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    made[...] = array
    return made


def softmax(a: Any) -> Any:
    e = np.exp(a - a.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def variance(a: Any) -> Any:
    return ((a - a.mean(0)) ** 2).mean(0)


def uniform(*shape: int, dtype: str = "f4") -> Any:
    return aligned(np.random.default_rng(len(shape)).uniform(1, 9, shape).astype(dtype))


def mixed(x: Any, y: Any, z: Any) -> Any:
    return x + y.transpose(1, 2, 0) * z.transpose(2, 0, 1)


#: Name, function, arrays: what a GPU is to be fast at.
WORKS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "triad": (lambda a, b, c: a * b + c, (uniform(64, 256),) * 3),
    "triad of doubles": (lambda a, b, c: a * b + c, (uniform(64, 256, dtype="f8"),) * 3),
    "bytes": (lambda a, b: a + b, (uniform(128, 256, dtype="u1"),) * 2),
    "transposed": (lambda a, b: a + b.T, (uniform(192, 128), uniform(128, 192))),
    "transposed doubles": (lambda a, b: a + b.T, (uniform(192, 128, dtype="f8"), uniform(128, 192, dtype="f8"))),
    "transposed bytes": (lambda a, b: a + b.T, (uniform(192, 128, dtype="u1"), uniform(128, 192, dtype="u1"))),
    "two transposed": (lambda a, b, c: a * b.T + c.T, (uniform(192, 128), uniform(128, 192), uniform(128, 192))),
    "into Fortran order": (lambda a, b: (a + b.T).T, (uniform(192, 128), uniform(128, 192))),
    "mixed": (mixed, (uniform(16, 32, 48), uniform(48, 16, 32), uniform(32, 48, 16))),
    "mixed doubles": (mixed, tuple(uniform(*s, dtype="f8") for s in ((16, 32, 48), (48, 16, 32), (32, 48, 16)))),
    "sum of all": (lambda a: a.sum(), (uniform(256, 512),)),
    "sum down columns": (lambda a: a.sum(0), (uniform(256, 512),)),
    "sum along rows": (lambda a: a.sum(1), (uniform(24, 4096),)),
    "sum of the middle": (lambda a: a.sum(1), (uniform(16, 24, 256),)),
    "sum of the outer two": (lambda a: a.sum((0, 1)), (uniform(16, 24, 256),)),
    "sum of doubles": (lambda a: a.sum(1), (uniform(24, 4096, dtype="f8"),)),
    "softmax": (softmax, (uniform(16, 4096),)),
    "wide softmax": (softmax, (uniform(3, 16384),)),
    "widest softmax": (softmax, (uniform(2, 32768),)),
    "softmax of doubles": (softmax, (uniform(2, 8192, dtype="f8"),)),
    "variance": (variance, (uniform(256, 128),)),
    "sum of crossing": (lambda a, b: (a * b.T).sum(), (uniform(192, 128), uniform(128, 192))),
    "sum of crossing down": (lambda a, b: (a + b.T).sum(0), (uniform(192, 128), uniform(128, 192))),
    "sum of crossing along": (lambda a, b: (a + b.T).sum(1), (uniform(192, 128), uniform(128, 192))),
    "sum of two crossing": (
        lambda a, b, c: (a * b.T + c.T).sum(0),
        (uniform(192, 128), uniform(128, 192), uniform(128, 192)),
    ),
    "sum of crossing doubles": (
        lambda a, b: (a * b.T).sum(0),
        (uniform(192, 128, dtype="f8"), uniform(128, 192, dtype="f8")),
    ),
    "sum of crossing bytes": (
        lambda a, b: np.maximum(a, b.T).max(0),
        (uniform(256, 256, dtype="u1"), uniform(256, 256, dtype="u1")),
    ),
    "sum of crossing matrices": (
        lambda a, b: (a + b.transpose(0, 2, 1)).sum(1),
        (uniform(4, 96, 128), uniform(4, 128, 96)),
    ),
    "sum between what is kept": (
        lambda a, b: (a + b.transpose(2, 1, 0)).sum(1),
        (uniform(96, 20, 128), uniform(128, 20, 96)),
    ),
    "crossing norm": (
        lambda a, b: (a + b.T) / (a + b.T).sum(1, keepdims=True),
        (uniform(256, 288), uniform(288, 256)),
    ),
}


def run(name: str, traced: bool = False) -> tuple[HostCuda, Any]:
    """What the host makes of a work, once it is sure to be right."""
    function, arrays = WORKS[name]
    device = HostCuda(traced)
    kernel = arrayexpr.kernel(function, device=device)
    got, want = kernel(*arrays), function(*arrays)
    if want.dtype.kind == "f" and re.search("sum|softmax|variance|norm", name):
        exact = function(*(a.astype("f8" if a.itemsize < 8 else "g") for a in arrays))
        np.testing.assert_allclose(got, exact, rtol=2e-6 if want.dtype == np.float32 else 1e-13)
        # No further off than NumPy's own sum, to a few places.
        assert np.abs(got - exact).max() <= 4 * np.abs(want - exact).max() + 4 * np.spacing(np.abs(want)).max()
    else:
        assert same(got, want)
    return device, kernel


@pytest.mark.parametrize("name", WORKS)
def test_transactions(name: str) -> None:
    """Warps ask for no more sectors than their bytes fill, and for no bank of local memory twice at a time."""
    device, _ = run(name, traced=True)
    assert all(len(found) for found in device.accesses) and device.accesses
    assert sectors(device.accesses) <= 1.05
    assert bank_conflicts(device.accesses) == 1


#: Shapes of factors, and which of them are transposed.
PRODUCTS = {
    "whole tiles": ((128, 64), (64, 128), False, False),
    "left transposed": ((128, 64), (64, 128), True, False),
    "right transposed": ((128, 64), (64, 128), False, True),
    "both transposed": ((128, 64), (64, 128), True, True),
}


@pytest.mark.parametrize("t", ["f4", "f8", "u1", "c8"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_transactions_of_products(name: str, t: str) -> None:
    """Factors come into tiles by whole sectors, and no bank of those is asked twice at a time, however factors lie."""
    from arrayexpr._core.record import replace

    (n, k), (_, m), turn_left, turn_right = PRODUCTS[name]
    rng = np.random.default_rng(0)
    a = aligned(rng.integers(0, 5, (k, n) if turn_left else (n, k)).astype(t))
    b = aligned(rng.integers(0, 5, (m, k) if turn_right else (k, m)).astype(t))
    a, b = a.T if turn_left else a, b.T if turn_right else b
    device = HostCuda(traced=True)
    # Tiles as large as those of large matrices.
    device.gpu = replace(device.gpu, multiprocessors=1)
    assert same(arrayexpr.kernel(lambda a, b: a @ b, device=device)(a, b), a @ b)
    assert re.search(r"LOCAL \w+ \w+_t\[", device.sources[0].text)
    assert sectors(device.accesses) <= 1.05
    assert bank_conflicts(device.accesses) == 1


def test_edges_of_products() -> None:
    """Parts of tiles, stacks that broadcast, strides by run time, and a lost barrier's result."""
    rng = np.random.default_rng(1)
    device = HostCuda()
    kernel = arrayexpr.kernel(lambda a, b: a @ b, device=device)
    big = rng.integers(-9, 9, (3, 150, 150)).astype("f4")
    for a, b in (
        (big[0, :70, :45], big[1, :45, :33]),
        (big[:, ::2, 1::3], big[0, 3:103:2, ::-2]),
        (big[:, :20, :17], big[:, :17, :20].transpose(0, 2, 1)[:, :17]),
    ):
        assert same(kernel(a, b), a @ b)
    codes = len(device.sources)
    for n in (40, 61, 90):
        a, b = np.ones((n, n), "f4"), np.ones((n, n), "f4")
        assert same(kernel(a, b), a @ b)
    assert len(device.sources) <= codes + 2
    assert all("BARRIER;" in source.text for source in device.sources[:1])
    lost = Changed(lambda text: text.replace("BARRIER;", ";"))
    a = rng.standard_normal((64, 64)).astype("f4")
    assert not np.allclose(arrayexpr.kernel(lambda a, b: a @ b, device=lost)(a, a), a @ a)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("t", ["f4", "f8", "c16"])
def test_products_keep_registers(architecture: str, t: str) -> None:
    """The sums of the largest tiles stay in registers, floats are loaded 16 bytes at once, products are fused."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="the test extra brings NVRTC", exc_type=ImportError)
    from arrayexpr._core.record import replace
    from arrayexpr.adapters import nvrtc

    device = Emitted()
    device.gpu = replace(device.gpu, multiprocessors=1)
    a = uniform(256, 256, dtype=t)
    arrayexpr.kernel(lambda a, b: a @ b, device=device)(a, a)
    ptx = nvrtc.compiled(device.sources[0].text, architecture, "ptx").decode()
    assert t != "f4" or len(re.findall(r"ld\.global\S*\.(?:v4\.\w32|v2\.\w64)", ptx)) >= 8
    assert "ld.local" not in ptx and "st.local" not in ptx
    assert "fma.rn" in ptx


def test_what_is_counted() -> None:
    """The counts are of what they say: a column of a row-major array takes a sector an element, and one bank."""
    import cuda_host

    device = HostCuda(traced=True)
    a = uniform(128, 8)
    kernel = arrayexpr.kernel(lambda a: a.T + a.T, device=device)
    assert same(kernel(a), a.T + a.T) and sectors(device.accesses) == 1
    dtype = cuda_host._ACCESS
    column = np.zeros(32, dtype)
    column["lane"], column["size"], column["address"] = np.arange(32), 4, np.arange(32) * 128
    assert sectors([column]) == 8
    column["kind"] = 1
    assert bank_conflicts([column]) == 32
    assert conflicts(range(0, 64, 2), 4) == 2 and conflicts([5] * 32, 4) == 1


class Emitted(HostCuda):
    """A device that only keeps the text of what it is to run."""

    def load(self, source: Any) -> list[Any]:
        return [None] * len(source.kernels)

    def launch(self, function: Any, blocks: int, lanes: int, arguments: Any) -> None:
        pass


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_nvrtc(architecture: str, tmp_path: Path) -> None:
    """All compiles with no device and no driver, with loads of 16 bytes, and no register is spilled."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="the test extra brings NVRTC", exc_type=ImportError)
    from arrayexpr.adapters import nvrtc

    tools = list(Path(nvrtc._bindings().__file__).parents[2].glob("nvidia/**/cuobjdump"))
    for name, (function, arrays) in WORKS.items():
        device = Emitted()
        arrayexpr.kernel(function, device=device)(*arrays)
        for source in device.sources:
            ptx = nvrtc.compiled(source.text, architecture, "ptx").decode()
            # Of these the tiles that ask no bank twice have lanes that take fewer elements at once.
            if source is device.sources[0] and name not in ("mixed doubles", "transposed bytes"):
                wide = re.findall(r"ld\.global\S*\.(?:v4\.\w32|v2\.\w64)", ptx)
                assert wide, f"{name} loads no 16 bytes at once"
            assert "ld.local" not in ptx and "st.local" not in ptx, f"{name} has memory of its own beside registers"
            code = nvrtc.compiled(source.text, architecture)
            (tmp_path / "kernel.cubin").write_bytes(code)
            for tool in tools[:1]:
                said = subprocess.run(
                    [tool, "-res-usage", tmp_path / "kernel.cubin"], capture_output=True, text=True, check=True
                ).stdout
                assert re.findall(r"STACK:(\d+)", said) == ["0"] * len(source.kernels), f"{name}: {said}"


def test_every_operator_compiles() -> None:
    """NVRTC takes the text of every operator on every type, and says what host and device spell otherwise."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="the test extra brings NVRTC", exc_type=ImportError)
    from strategies import applicable
    from test_operators import operand_types

    from arrayexpr._core.engine.launches import Choice, scheduled
    from arrayexpr._core.nodes import Apply, Assign, Operand
    from arrayexpr._core.program import Program
    from arrayexpr._core.types import elements
    from arrayexpr.adapters import cuda, nvrtc

    choice = Choice("grid", (("lanes", (256,)), ("unroll", 1), ("vector", 1)), ())
    for t in elements():
        if t.name in ("longdouble", "clongdouble"):
            continue
        statements, operands, results = [], [], []
        for number, op in enumerate(applicable(t)):
            types = operand_types(op, t)
            given = [Operand(f"x{number}_{k}", u.array(1)) for k, u in enumerate(types)]
            result = Operand(f"r{number}", op.result(types).array(1))
            program = Program("one", given, [Assign(result, Apply(op, tuple(given)))], [result])
            cuda.emit(scheduled(program, choice))
            statements.append(Assign(result, Apply(op, tuple(given))))
            operands += given
            results.append(result)
        parts = [scheduled(Program("all", operands, [s], results), choice).statements[0] for s in statements]
        source = cuda.source(Program("all", operands, parts, results))
        assert len(source.kernels) == len(statements)
        assert nvrtc.compiled(source.text, "sm_90")


@settings(max_examples=10)
@given(st.data(), elementwise_programs(max_nodes=8, max_statements=2, calls=True))
def test_random_programs(data: Any, case: Any) -> None:
    assume(supported(case.program) and comparable(case.program))
    kernel = arrayexpr.compile(case.program, device=HostCuda())
    for _ in range(2):
        check(case.program, kernel, data.draw(operand_arrays(case)), give=data.draw(st.booleans()))
    check(case.program, kernel, data.draw(overlapping_arrays(case)))


@pytest.mark.slow
@settings(max_examples=200)
@given(st.data(), elementwise_programs(max_nodes=12, max_statements=3, calls=True))
def test_more_random_programs(data: Any, case: Any) -> None:
    assume(supported(case.program) and comparable(case.program))
    kernel = arrayexpr.compile(case.program, device=HostCuda())
    check(case.program, kernel, data.draw(operand_arrays(case)), give=data.draw(st.booleans()))
    check(case.program, kernel, data.draw(overlapping_arrays(case)))


class Driver:
    """A driver over the host's memory: what a CUDA device is asked for, and on which stream."""

    ordinal = 0

    def __init__(self) -> None:
        self.host = HostCuda()
        self.streams: list[int] = []
        self.waited: list[int] = []

    def gpu(self) -> Any:
        return self.host.gpu

    def load(self, text: str, names: Any, architecture: str) -> Any:
        assert architecture == "sm_90"
        return self.host.load(next(s for s in self.host.sources if s.text == text))

    def allocate(self, size: int, stream: int) -> Any:
        return self.host.allocate(size)

    def launch(self, function: Any, blocks: int, lanes: int, arguments: Any, stream: int) -> None:
        self.streams.append(stream)
        self.host.launch(function, blocks, lanes, arguments)

    def wait(self, stream: int) -> None:
        self.waited.append(stream)

    def put(self, address: int, data: Any, stream: int) -> None:
        self.host.put(address, data)

    def get(self, address: int, data: Any, stream: int) -> None:
        self.host.get(address, data)


class OnDevice:
    """An array that says by the interface of CUDA's libraries where it lies, on a stream."""

    def __init__(self, array: Any, stream: int | None = 7, read_only: bool = False):
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "strides": None if array.flags.c_contiguous else array.strides,
            "typestr": array.dtype.str,
            "data": (array.__array_interface__["data"][0], read_only),
            "version": 3,
            "stream": stream,
        }


@pytest.fixture
def cuda_device(monkeypatch: Any) -> Any:
    """The CUDA runtime with a driver over the host's memory."""
    from arrayexpr.adapters import cuda_device as adapter

    driver = Driver()
    device = adapter.CudaDevice(driver)
    # The text is asked for by the device, and compiled for the host.
    device.source = driver.host.source  # type: ignore[method-assign]
    monkeypatch.setattr(adapter, "device_of", lambda array: device)
    monkeypatch.setattr(adapter, "driver_ordinal", lambda address: 0)
    return device


def seen(made: Any) -> Any:
    """The elements of a result, which lies in the host's memory here."""

    class Same:
        __array_interface__ = {k: v for k, v in made.__cuda_array_interface__.items() if k != "stream"}

    return np.asarray(Same())


def test_arrays_of_other_libraries(cuda_device: Any) -> None:
    """Arrays of any strides, on their library's stream, with results of ours for one that is not known."""
    a, b = uniform(40, 36), uniform(36, 40)
    kernel = arrayexpr.kernel(lambda a, b, s: a + b.T * s)
    made = kernel(OnDevice(a), OnDevice(b), np.float32(2))
    assert same(seen(made), a + b.T * np.float32(2))
    assert cuda_device.driver.streams == [7]
    out = np.zeros((40, 36), "f4")
    target = OnDevice(out, stream=None)
    assert kernel(OnDevice(a[::-1]), OnDevice(b[:, ::-1]), np.float32(1), out=target) is target
    assert same(out, a[::-1] + b[:, ::-1].T)
    # In place, and of parts that overlap: as if the value were computed first.
    shift = arrayexpr.compile(arrayexpr.parse("def f(x: float32[:]):\n    x[1:] = x[:-1] + x[1:]\n"))
    x = uniform(3000)
    want = x.copy()
    want[1:] = want[:-1] + want[1:]
    shift(OnDevice(x))
    assert same(x, want)
    with pytest.raises(ValueError, match="operand x is assigned to and its array is read-only"):
        shift(OnDevice(x, read_only=True))
    with pytest.raises(arrayexpr.TypeMismatch, match="operand b lies in the host's memory"):
        kernel(OnDevice(a), b, np.float32(2))
    with pytest.raises(arrayexpr.TypeMismatch, match="expected whole elements"):
        kernel(OnDevice(np.zeros(4, "i1,f4")["f1"]), OnDevice(np.zeros(4, "f4")), np.float32(2))


class ByDLPack:
    """An array that says by DLPack alone that it lies on a CUDA device, as those of JAX do."""

    def __init__(self, array: Any):
        self.array = array

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, **asked: Any) -> Any:
        return self.array.__dlpack__()


def test_arrays_by_dlpack(cuda_device: Any, monkeypatch: Any) -> None:
    """Arrays of any strides come in by it, and results go out by it, once they are filled."""
    pytest.importorskip("cuda.core.utils", reason="cuda-core reads DLPack", exc_type=ImportError)
    from arrayexpr.adapters.cuda_device import DeviceArray

    a, b = uniform(40, 36), uniform(72, 40)
    kernel = arrayexpr.kernel(lambda a, b: a + b.T)
    made = kernel(ByDLPack(a), ByDLPack(b[::2]))
    assert same(seen(made), a + b[::2].T)
    assert made.__dlpack_device__() == (2, 0) and not cuda_device.driver.waited
    # NumPy takes what lies on the host, as this does.
    monkeypatch.setattr(DeviceArray, "__dlpack_device__", lambda self: (1, 0))
    taken = np.from_dlpack(made)
    assert cuda_device.driver.waited == [0]
    place = seen(made).__array_interface__["data"][0]
    assert taken.__array_interface__["data"][0] == place and taken.strides == made.strides
    want = a + b[::2].T
    del made
    assert same(taken, want)
    for t in ("?", "i2", "u8", "c16"):
        x = aligned(np.arange(6).reshape(2, 3).astype(t))
        whole = DeviceArray(x.ctypes.data, x.shape, x.strides, x.dtype, x)
        assert same(np.from_dlpack(whole), x)
        # A capsule that nobody takes lets go of what it holds.
        whole.__dlpack__()
    from arrayexpr.adapters import dlpack

    del taken, whole
    assert not dlpack._alive


def test_results_for_jax(cuda_device: Any, monkeypatch: Any) -> None:
    """Where arguments are JAX's so are results, on the first call and on those that repeat it."""
    import sys
    from types import SimpleNamespace

    class Array(OnDevice):
        pass

    Array.__module__ = "jaxlib._jax"
    taken: list[Any] = []

    def from_dlpack(made: Any) -> Any:
        made.__dlpack__()
        taken.append(made)
        return "an array of JAX"

    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(dlpack=SimpleNamespace(from_dlpack=from_dlpack)))
    a = uniform(40, 36)
    kernel = arrayexpr.kernel(lambda a: (a + a, a * 2))
    for count in (2, 4):
        assert kernel(Array(a)) == ("an array of JAX",) * 2
        assert len(taken) == len(cuda_device.driver.waited) == count
        assert same(seen(taken[-2]), a + a) and same(seen(taken[-1]), a * 2)


def test_binaries_are_kept_by_content(tmp_path: Path, monkeypatch: Any) -> None:
    """One text for one architecture is compiled once, for other processes too."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="the test extra brings NVRTC", exc_type=ImportError)
    from types import SimpleNamespace

    from arrayexpr.adapters import cuda_device as adapter
    from arrayexpr.adapters import nvrtc

    monkeypatch.setattr(adapter, "cache_dir", lambda: tmp_path)
    compiled: list[str] = []
    given: list[bytes] = []

    def compile_text(text: str, architecture: str) -> bytes:
        compiled.append(architecture)
        return f"{architecture}: {text}".encode()

    class ObjectCode:
        @staticmethod
        def from_cubin(code: bytes) -> Any:
            given.append(code)
            return SimpleNamespace(get_kernel=lambda name: name)

    monkeypatch.setattr(nvrtc, "compiled", compile_text)
    core = object.__new__(adapter.CudaCore)
    core.core = SimpleNamespace(ObjectCode=ObjectCode)
    core.device = SimpleNamespace(set_current=lambda: None)
    for text, architecture in (("a", "sm_90"), ("a", "sm_90"), ("a", "sm_80"), ("b", "sm_90"), ("b", "sm_90")):
        assert core.load(text, ["f"], architecture) == ["f"]
        assert given[-1] == f"{architecture}: {text}".encode()
    assert compiled == ["sm_90", "sm_80", "sm_90"]
    assert len(list(tmp_path.rglob("cuda-*"))) == 3


def test_calls_on_other_lengths_compile_nothing(cuda_device: Any) -> None:
    kernel = arrayexpr.kernel(lambda a: a * a)
    for length in (70000, 70004, 90000, 120000):
        a = uniform(length)
        assert same(seen(kernel(OnDevice(a))), a * a)
    assert len(cuda_device.driver.host.sources) == 1


def test_calls_again(cuda_device: Any, monkeypatch: Any) -> None:
    """A call like one before it repeats its launches: with other arrays and scalars, `out=`, in place, overlapping."""
    from arrayexpr._core.engine.devices import DeviceRuntime

    def f(a: Any, b: Any, s: Any) -> Any:
        return (a + b.T * s).sum(0) * s

    kernel = arrayexpr.kernel(f)
    shift = arrayexpr.compile(arrayexpr.parse("def f(x: float32[:]):\n    x[1:] = x[:-1] + x[1:]\n"))
    add = arrayexpr.kernel(lambda x, y: x * 2 + y)
    room = np.zeros(3000, "f4")
    # Of truth values there are but two: these are not told apart, and so not remembered.
    flags = arrayexpr.kernel(lambda a, p, q: np.where(p, a, 0) + np.where(q, a, 1))
    z = uniform(100)
    for p, q in ((True, True), (True, False), (False, True)):
        made = flags(OnDevice(z), np.bool_(p), np.bool_(q))
        assert same(seen(made), np.where(p, z, np.float32(0)) + np.where(q, z, np.float32(1)))
    for again in (False, True):
        if again:
            monkeypatch.setattr(DeviceRuntime, "run", None)
        a, b, s = uniform(40, 36) + np.float32(again), uniform(36, 40), 2.0 + again
        made = kernel(OnDevice(a), OnDevice(b), s)
        np.testing.assert_allclose(seen(made), f(a, b, np.float32(s)), rtol=1e-5)
        x = uniform(3000)
        want = x.copy()
        want[1:] = want[:-1] + want[1:]
        shift(OnDevice(x))
        assert same(x, want)
        # The result's memory is that of both operands' parts.
        room[:] = np.arange(3000)
        out = OnDevice(room[1:1001])
        assert add(OnDevice(room[:1000]), OnDevice(room[2:1002]), out=out) is out
        whole = np.arange(3000, dtype="f4")
        whole[1:1001] = whole[:1000] * 2 + whole[2:1002]
        assert same(room, whole)
    with pytest.raises(TypeError):
        # Other lengths, and another overlap, are other calls.
        add(OnDevice(room[:999]), OnDevice(room[2:1001]))
    with pytest.raises(TypeError):
        add(OnDevice(room[:1000]), OnDevice(room[2:1002]), out=OnDevice(room[2:1002]))


def test_errors_before_a_launch(cuda_device: Any, monkeypatch: Any) -> None:
    from arrayexpr import devices
    from arrayexpr._core.record import replace

    class Other:
        name = "cuda:1"

    a = OnDevice(uniform(8, 8))
    found = iter([cuda_device, Other()])
    monkeypatch.setattr(devices, "_device_of", lambda value: next(found))
    with pytest.raises(
        arrayexpr.ArrayExprError, match=r"arrays lie on cuda:0 .* and on cuda:1: expected all of them on"
    ):
        devices.device_of([a, a])
    host = HostCuda()
    with pytest.raises(arrayexpr.UnsupportedError, match="longdouble.*lacks arithmetic of longdouble"):
        arrayexpr.kernel(lambda a: a + a, device=host)(np.ones(3, "g"))
    host.gpu = replace(host.gpu, local=512)
    with pytest.raises(arrayexpr.UnsupportedError, match=r"needs \d+ bytes of local memory: the host has 512"):
        arrayexpr.kernel(lambda a: a.sum(1), device=host)(uniform(8, 4096))
    host.gpu = replace(host.gpu, local=48 << 10, block=64)
    with pytest.raises(arrayexpr.UnsupportedError, match="has 256 lanes: the host takes 64"):
        arrayexpr.kernel(lambda a: a.sum(1), device=host)(uniform(8, 4096))


class Changed(HostCuda):
    """A device whose text is changed before it runs."""

    def __init__(self, change: Any):
        super().__init__()
        self.change = change

    def load(self, source: Any) -> list[Any]:
        from arrayexpr._core.record import replace

        text = self.change(source.text)
        assert text != source.text
        return super().load(replace(source, text=text))


def test_shuffles() -> None:
    """The lanes of a warp join what they have by shuffles, which are executed; one that goes astray shows."""
    a = np.random.default_rng(0).integers(-9, 9, (8, 4096)).astype("f4")
    for t in ("f4", "f8", "i8", "u1", "c16"):
        host = HostCuda()
        b = a.astype(t)
        assert same(arrayexpr.kernel(lambda a: a.sum(1), device=host)(b), b.sum(1))
        assert "__shfl_down_sync" in host.sources[0].text
    for fault in (("arrayexpr_down(s0, 1)", "arrayexpr_down(s0, 2)"), ("arrayexpr_down(s0, 16)", "s0")):

        def change(text: str, fault: tuple[str, str] = fault) -> str:
            register = re.search(r"arrayexpr_down\((\w+), 1\)", text)[1]  # type: ignore[index]
            return text.replace(*(each.replace("s0", register) for each in fault))

        wrong = Changed(change)
        assert not same(arrayexpr.kernel(lambda a: a.sum(1), device=wrong)(a), a.sum(1))
    # Half a warp at a shuffle.
    divided = Changed(lambda text: text.replace("BARRIER;", "BARRIER; if (LANE % 32 < 16)", 1))
    with pytest.raises(AssertionError, match="wait at a barrier"):
        arrayexpr.kernel(lambda a: a.sum(1), device=divided)(a)


def test_explain(cuda_device: Any) -> None:
    """Whether it is worth it to bring arrays there is said, from the properties of the inference registry."""
    host = HostCuda()
    said = arrayexpr.explain(arrayexpr.kernel(lambda a: (a + a).sum(1), device=host), uniform(64, 256))
    assert re.search(r"On the host: [\d.]+ us for launches and memory, [\d.]+ us to bring arrays there", said)
    assert "teams, {" in said
    said = arrayexpr.explain(arrayexpr.kernel(lambda a: a + a, device=host), uniform(8, 32))
    assert re.search(r"One core of the host: [\d.]+ us by the model: slower there, not worth bringing them", said)
    # Much work on few bytes: a hundred exponentials of each element.
    few = uniform(1 << 18)
    kernel = arrayexpr.kernel(lambda a: functools.reduce(lambda x, _: np.exp(x), range(100), a), device=host)
    assert "model: worth bringing them" in arrayexpr.explain(kernel, few)


def test_without_a_device() -> None:
    """What is missing is said, with what to install."""
    import importlib.util

    if importlib.util.find_spec("cupy") is not None or shutil.which("nvidia-smi"):
        pytest.skip("there may be a device here")
    with pytest.raises(arrayexpr.ArrayExprError, match=r"(?s)CUDA.*arrayexpr\[cuda\]"):
        arrayexpr.kernel(lambda a: a + a, device="cuda")(np.ones(3))
