"""CUDA devices, by cuda.core or else CuPy: arrays of any library that says where they lie, streams, launches."""

from __future__ import annotations

import functools
import hashlib
import importlib
import math
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from arrayexpr._core.engine.compiler import cache_dir
from arrayexpr._core.engine.devices import shadow, strides_in
from arrayexpr._core.errors import ArrayExprError, TypeMismatch
from arrayexpr._core.program import Program
from arrayexpr._core.record import replace
from arrayexpr._core.types import ElementType
from arrayexpr.target import Gpu, known_gpu

from . import cuda, nvrtc
from .dlpack import capsule
from .grids import Source
from .opencl_device import keep

#: DLPack's number of CUDA's memory.
_CUDA = 2
_INSTALL = "CUDA needs cuda-core, or CuPy: pip install 'arrayexpr[cuda]'"


class CudaCore:
    """The driver through NVIDIA's own packages."""

    def __init__(self, ordinal: int):
        from cuda import core
        from cuda.bindings import driver

        self.core, self.driver = core, driver
        self.device = core.Device(ordinal)
        self.device.set_current()
        self.ordinal = ordinal

    def gpu(self) -> Gpu:
        p = self.device.properties
        major, minor = self.device.compute_capability
        _, memory = self._done(self.driver.cuMemGetInfo())
        return replace(
            known_gpu(self.device.name),
            name=self.device.name,
            multiprocessors=p.multiprocessor_count,
            local=p.max_shared_memory_per_block,
            block=p.max_threads_per_block,
            resident=p.max_threads_per_multiprocessor,
            memory=memory,
            architecture=f"sm_{major}{minor}",
        )

    def load(self, text: str, names: Sequence[str], architecture: str) -> list[Any]:
        what = "\0".join([text, architecture, nvrtc.version(), *nvrtc.OPTIONS])
        path = os.path.join(str(cache_dir()), "cuda-" + hashlib.sha256(what.encode()).hexdigest()[:32])
        try:
            with open(path, "rb") as file:
                code = file.read()
        except OSError:
            code = nvrtc.compiled(text, architecture)
            keep(path, code)
        self.device.set_current()
        module = self.core.ObjectCode.from_cubin(code)
        return [module.get_kernel(name) for name in names]

    def allocate(self, size: int, stream: int) -> tuple[int, Any]:
        self.device.set_current()
        try:
            buffer = self.device.memory_resource.allocate(size, stream=self._stream(stream))
        except Exception as error:
            raise MemoryError(f"{self.device.name} has no {size} bytes of memory left: {error}") from None
        return int(buffer.handle), buffer

    def launch(self, function: Any, blocks: int, lanes: int, arguments: Sequence[Any], stream: int) -> None:
        self.device.set_current()
        config = self.core.LaunchConfig(grid=blocks, block=lanes)
        self.core.launch(self._stream(stream), config, function, *arguments)

    def put(self, address: int, data: Any, stream: int) -> None:
        self._done(self.driver.cuMemcpyHtoDAsync(address, data.ctypes.data, data.nbytes, stream))
        self.wait(stream)

    def get(self, address: int, data: Any, stream: int) -> None:
        self._done(self.driver.cuMemcpyDtoHAsync(data.ctypes.data, address, data.nbytes, stream))
        self.wait(stream)

    def wait(self, stream: int) -> None:
        self._done(self.driver.cuStreamSynchronize(stream))

    def _stream(self, handle: int) -> Any:
        if handle in (0, 1):
            return self.device.default_stream
        return self.core.Stream.from_handle(handle)

    def _done(self, result: Any) -> Any:
        error, *values = result
        if error != self.driver.CUresult.CUDA_SUCCESS:
            raise ArrayExprError(f"{self.device.name}: the CUDA driver says {error.name}")
        return values[0] if len(values) == 1 else tuple(values)

    @staticmethod
    def ordinal_of(address: int) -> int:
        from cuda.bindings import driver

        attribute = driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        error, ordinal = driver.cuPointerGetAttribute(attribute, address)
        if error != driver.CUresult.CUDA_SUCCESS:
            raise ArrayExprError(f"an array at {address:#x} lies on no CUDA device: the driver says {error.name}")
        return int(ordinal)


class Cupy:
    """The driver through CuPy, where cuda.core is not installed."""

    def __init__(self, ordinal: int):
        import cupy

        self.cupy = cupy
        self.ordinal = ordinal
        self.device = cupy.cuda.Device(ordinal)

    def gpu(self) -> Gpu:
        p = self.cupy.cuda.runtime.getDeviceProperties(self.ordinal)
        name = p["name"].decode()
        return replace(
            known_gpu(name),
            name=name,
            multiprocessors=p["multiProcessorCount"],
            local=p["sharedMemPerBlock"],
            block=p["maxThreadsPerBlock"],
            resident=p["maxThreadsPerMultiProcessor"],
            memory=p["totalGlobalMem"],
            architecture=f"sm_{p['major']}{p['minor']}",
        )

    def load(self, text: str, names: Sequence[str], architecture: str) -> list[Any]:
        with self.device:
            # CuPy chooses the architecture, and keeps what it compiled on disk itself.
            module = self.cupy.RawModule(code=text, options=nvrtc.OPTIONS)
            return [module.get_function(name) for name in names]

    def allocate(self, size: int, stream: int) -> tuple[int, Any]:
        with self.device, self.cupy.cuda.ExternalStream(stream):
            try:
                memory = self.cupy.cuda.alloc(size)
            except self.cupy.cuda.memory.OutOfMemoryError as error:
                raise MemoryError(f"device {self.ordinal} has no {size} bytes of memory left: {error}") from None
        return int(memory.ptr), memory

    def launch(self, function: Any, blocks: int, lanes: int, arguments: Sequence[Any], stream: int) -> None:
        given = tuple(np.uint64(a) if isinstance(a, int) else a for a in arguments)
        with self.device, self.cupy.cuda.ExternalStream(stream):
            function((blocks,), (lanes,), given)

    def put(self, address: int, data: Any, stream: int) -> None:
        self._copied(address, data.ctypes.data, data.nbytes, 1, stream)

    def get(self, address: int, data: Any, stream: int) -> None:
        self._copied(data.ctypes.data, address, data.nbytes, 2, stream)

    def _copied(self, to: int, of: int, size: int, kind: int, stream: int) -> None:
        with self.device:
            self.cupy.cuda.runtime.memcpyAsync(to, of, size, kind, stream)
        self.wait(stream)

    def wait(self, stream: int) -> None:
        with self.device:
            self.cupy.cuda.runtime.streamSynchronize(stream)

    @staticmethod
    def ordinal_of(address: int) -> int:
        import cupy

        return int(cupy.cuda.runtime.pointerGetAttributes(address).device)


@functools.cache
def _driver() -> Any:
    """The class of the driver that is installed."""
    for name, package in (("CudaCore", "cuda.core"), ("Cupy", "cupy")):
        try:
            importlib.import_module(package)
        except ImportError:
            continue
        return globals()[name]
    raise ArrayExprError(_INSTALL)


@functools.cache
def _device(ordinal: int) -> CudaDevice:
    driver = _driver()
    try:
        return CudaDevice(driver(ordinal))
    except ArrayExprError:
        raise
    except Exception as error:
        raise ArrayExprError(f"no CUDA device {ordinal}: {error}. {_INSTALL}, and NVIDIA's driver") from None


def device(name: str = "") -> CudaDevice:
    """The device of a number; the first one without."""
    if name and not name.isdecimal():
        raise ArrayExprError(f"device 'cuda:{name}' is unknown: expected a number, as in cuda:0")
    return _device(int(name or 0))


def device_of(array: Any) -> CudaDevice:
    """The device that an array lies on."""
    library = type(array).__module__.partition(".")[0]
    if library == "cupy":
        return _device(array.device.id)
    if library == "torch":
        return _device(array.device.index)
    address = _interface(array)[0]
    if not address:
        # An array of no elements lies anywhere.
        return _device(0)
    return _device(_driver().ordinal_of(address))


def _interface(array: Any) -> tuple[int, tuple[int, ...], tuple[int, ...], Any, bool]:
    """Address, shape, byte strides, element type of an array of a CUDA device, and whether it may not be written."""
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is not None:
        dtype = np.dtype(interface["typestr"])
        shape = tuple(interface["shape"])
        strides = interface.get("strides") or strides_in(shape, dtype.itemsize, range(len(shape)))
        address, read_only = interface["data"]
        return int(address or 0), shape, tuple(strides), dtype, bool(read_only)
    try:
        from cuda.core.utils import StridedMemoryView
    except ImportError as error:
        raise ArrayExprError(f"an array by DLPack needs cuda-core: pip install 'arrayexpr[cuda]' ({error})") from None
    view = StridedMemoryView.from_dlpack(array, stream_ptr=_stream_of(array))
    dtype = np.dtype(view.dtype)
    shape = tuple(view.shape)
    counts = view.strides or strides_in(shape, 1, range(len(shape)))
    return int(view.ptr), shape, tuple(n * dtype.itemsize for n in counts), dtype, bool(view.readonly)


def _stream_of(array: Any) -> int:
    """The stream that an array's library works on now: what we launch follows what it did, and it what we do."""
    library = type(array).__module__.partition(".")[0]
    if library == "cupy":
        return int(importlib.import_module("cupy").cuda.get_current_stream().ptr)
    if library == "torch":
        return int(importlib.import_module("torch").cuda.current_stream(array.device).cuda_stream)
    stream = (getattr(array, "__cuda_array_interface__", None) or {}).get("stream")
    return int(stream or 0)


class DeviceArray:
    """A result for a caller whose library has no arrays that we know to make: it says where it lies.

    By the interface of CUDA's libraries, and by DLPack once `wait` has returned, which is when what fills it is done.
    """

    def __init__(
        self,
        address: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        dtype: Any,
        owner: Any,
        ordinal: int = 0,
        wait: Callable[[], None] | None = None,
    ):
        self.shape, self.strides, self.dtype = shape, strides, np.dtype(dtype)
        self._address, self._owner, self._ordinal, self._wait = address, owner, ordinal, wait

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "strides": self.strides,
            "typestr": self.dtype.str,
            "data": (self._address, False),
            "version": 3,
            "stream": 1,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CUDA, self._ordinal

    def __dlpack__(self, **asked: Any) -> Any:
        """The array for another library, with no copy; whatever stream that works on, it is filled by then."""
        if self._wait is not None:
            self._wait()
        return capsule(self._address, self.shape, self.strides, self.dtype, self.__dlpack_device__(), self)

    def __repr__(self) -> str:
        return f"<DeviceArray {self.dtype}{list(self.shape)}>"


class CudaDevice:
    """One device through one of the drivers."""

    def __init__(self, driver: Any):
        self.driver = driver
        self.gpu = driver.gpu()
        self.name = f"cuda:{driver.ordinal} ({self.gpu.name})"
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"<CUDA device {self.name}>"

    @property
    def _stream(self) -> int:
        return getattr(self._local, "stream", 0)

    def lacks(self, element: ElementType) -> str:
        """What of an element type the device has not; empty where it has all."""
        return f"arithmetic of {element}" if element.name in ("longdouble", "clongdouble") else ""

    def source(self, program: Program, values: Sequence[str], wide: bool) -> Source:
        return cuda.source(program, values=values, wide=wide)

    def load(self, source: Source) -> list[Any]:
        names = [kernel.name for kernel in source.kernels]
        return list(self.driver.load(source.text, names, self.gpu.architecture))

    def allocate(self, size: int) -> tuple[int, Any]:
        address, owner = self.driver.allocate(max(1, size), self._stream)
        return address, owner

    def launch(self, function: Any, blocks: int, lanes: int, arguments: Sequence[Any]) -> None:
        self.driver.launch(function, blocks, lanes, arguments, self._stream)

    def put(self, address: int, data: Any) -> None:
        self.driver.put(address, data, self._stream)

    def get(self, address: int, data: Any) -> None:
        self.driver.get(address, data, self._stream)

    def array(self, value: Any) -> Any | None:
        """An array of this device as a shadow; None for one of the host's. Launches follow its stream from here on."""
        if not hasattr(value, "__cuda_array_interface__") and not _by_dlpack(value):
            return None
        address, shape, strides, dtype, read_only = _interface(value)
        if any(s % dtype.itemsize for s in strides) or address % dtype.itemsize:
            raise TypeMismatch(f"an array of {dtype} with strides {strides} bytes: expected whole elements")
        self._local.stream = _stream_of(value)
        found = shadow(address, shape, strides, dtype, value)
        if read_only:
            found.flags.writeable = False
        return found

    def new(self, shape: tuple[int, ...], dtype: Any, order: Sequence[int], like: Any) -> tuple[Any, Any]:
        """A new array of the library of another one, its axes in memory in an order; and its shadow."""
        made, address = self.fresh(shape, dtype, order, like)
        return made, shadow(address, shape, strides_in(shape, np.dtype(dtype).itemsize, order), dtype, made)

    def fresh(self, shape: tuple[int, ...], dtype: Any, order: Sequence[int], like: Any) -> tuple[Any, int]:
        """A new array of the library of another one, its axes in memory in an order; and where it lies."""
        library = type(like).__module__.partition(".")[0]
        made: Any
        if library == "cupy":
            cupy = sys.modules["cupy"]
            with cupy.cuda.Device(self.driver.ordinal):
                if list(order) == sorted(order):
                    made = cupy.empty(shape, dtype)
                else:
                    made = cupy.empty([shape[k] for k in order], dtype).transpose(np.argsort(order).tolist())
            return made, int(made.data.ptr)
        if library == "torch":
            torch = sys.modules["torch"]
            # Strides of elements.
            strides = strides_in(shape, 1, order)
            made = torch.empty_strided(shape, strides, dtype=_torch_type(np.dtype(dtype)), device=like.device)
            return made, int(made.data_ptr())
        size = np.dtype(dtype).itemsize
        address, owner = self.allocate(math.prod(shape) * size)
        strides = strides_in(shape, size, order)
        wait = functools.partial(self.driver.wait, self._stream)
        return DeviceArray(address, shape, strides, dtype, owner, self.driver.ordinal, wait), address

    def handed(self, made: Any, like: Any) -> Any:
        """A result that was filled, or will be in its stream's order, as the caller gets it: JAX's arrays take it by
        DLPack, once it is filled."""
        if type(made) is DeviceArray and type(like).__module__.partition(".")[0] == "jaxlib":
            return importlib.import_module("jax").dlpack.from_dlpack(made)
        return made

    def follow(self, stream: int) -> None:
        """Have launches go to a stream from here on."""
        self._local.stream = stream

    def product(self, left: Any, right: Any, out: Any) -> bool:
        """A matrix product of shadows into one, by the library that the caller uses; False where there is none."""
        if out.dtype.kind not in "fc" or not left.dtype == right.dtype == out.dtype:
            return False
        for name in ("cupy", "torch"):
            library = sys.modules.get(name)
            if library is None:
                continue
            take = getattr(library, "asarray" if name == "cupy" else "as_tensor", None)
            if take is None:
                continue
            arrays = [DeviceArray(_place_of(a), a.shape, a.strides, a.dtype, a) for a in (left, right, out)]
            if name == "cupy":
                with library.cuda.Device(self.driver.ordinal), library.cuda.ExternalStream(self._stream):
                    x, y, into = (take(a) for a in arrays)
                    into[...] = library.matmul(x, y)
                return True
            if any(s < 0 for a in arrays for s in a.strides):
                continue
            device = f"cuda:{self.driver.ordinal}"
            with library.cuda.stream(library.cuda.ExternalStream(self._stream, device=device)):
                x, y, into = (take(a, device=device) for a in arrays)
                into.copy_(library.matmul(x, y))
            return True
        return False


def _place_of(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


@functools.cache
def _torch_type(dtype: Any) -> Any:
    return sys.modules["torch"].from_numpy(np.empty(0, dtype)).dtype


def look(value: Any) -> tuple[int, Any, int]:
    """Where an array of a CUDA device lies; all else that decides what is done with it; and its library's stream."""
    library = type(value).__module__.partition(".")[0]
    if library == "cupy":
        stream = sys.modules["cupy"].cuda.get_current_stream().ptr
        return value.data.ptr, (value.shape, value.strides, value.dtype, value.device.id), stream
    if library == "torch":
        torch = sys.modules["torch"]
        device = value.device
        if not value.is_cuda:
            raise AttributeError(f"a tensor on {device} lies on no CUDA device")
        stream = torch.cuda.current_stream(device).cuda_stream
        # What is not read as it lies (a conjugate, a negative) is refused when it is first seen.
        seen: Any = (
            tuple(value.shape),
            value.stride(),
            value.dtype,
            device.index,
            value.requires_grad,
            value.is_conj(),
            value.is_neg(),
        )
        return value.data_ptr(), seen, stream
    interface = value.__cuda_array_interface__
    address, read_only = interface["data"]
    seen = interface["shape"], interface.get("strides"), interface["typestr"], read_only
    return address, (*seen, driver_ordinal(address)), interface.get("stream") or 0


def driver_ordinal(address: int) -> int:
    """The number of the device that an address lies on."""
    return int(_driver().ordinal_of(address)) if address else 0


def _by_dlpack(value: Any) -> bool:
    asked = getattr(value, "__dlpack_device__", None)
    return asked is not None and hasattr(value, "__dlpack__") and asked()[0] in (2, 13)
