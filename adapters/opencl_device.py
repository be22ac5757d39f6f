"""OpenCL devices, by pyopencl: memory, compiled programs with a cache on disk, launches."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from arrayexpr._core.engine.compiler import cache_dir
from arrayexpr._core.engine.devices import shadow, strides_in
from arrayexpr._core.errors import ArrayExprError, UnsupportedError
from arrayexpr._core.program import Program
from arrayexpr._core.types import ElementType
from arrayexpr.target import Gpu

from . import opencl
from .grids import Source

#: An address of ours has the number of a buffer above these bits, and the place in it below.
_BITS = 44
_INSTALL = "OpenCL needs pyopencl: pip install 'arrayexpr[opencl]', which brings PoCL for the CPU"


def _pyopencl() -> Any:
    try:
        import pyopencl
    except ImportError as error:
        raise ArrayExprError(f"{_INSTALL} ({error})") from None
    return pyopencl


def devices() -> list[OpenCLDevice]:
    """Every OpenCL device there is, GPUs first. Raises ArrayExprError where pyopencl or a driver is missing."""
    cl = _pyopencl()
    try:
        found = [d for platform in cl.get_platforms() for d in platform.get_devices()]
    except cl.Error as error:
        raise ArrayExprError(f"no OpenCL device: {error}. {_INSTALL}") from None
    if not found:
        raise ArrayExprError(f"no OpenCL device was found. {_INSTALL}")
    found.sort(key=lambda d: not d.type & cl.device_type.GPU)
    return [_device(cl.Context([d])) for d in found]


def device(name: str = "") -> OpenCLDevice:
    """The first device whose name, or whose platform's name, holds a text; the first GPU, or else any, without one."""
    found = devices()
    for each in found:
        if name.lower() in each.name.lower():
            return each
    raise ArrayExprError(f"no OpenCL device is named {name!r}: there are {', '.join(d.name for d in found)}")


@functools.cache
def _device(context: Any) -> OpenCLDevice:
    return OpenCLDevice(context)


def device_of(array: Any) -> OpenCLDevice:
    """The device of a `pyopencl.array.Array`."""
    found = _device(array.context)
    # Launches follow what was put into the array's own queue.
    if array.queue is not None:
        found.queue = array.queue
    return found


class _Held:
    """A buffer, and the number that addresses of ours give it."""

    def __init__(self, buffer: Any, number: int, free: list[int]):
        self.buffer = buffer
        self.number = number
        self.free = free

    def __del__(self) -> None:
        self.free.append(self.number)


class OpenCLDevice:
    """One device under one context. Launches go to a queue of its own, or to that of the arrays they are given."""

    def __init__(self, context: Any, queue: Any = None):
        cl = self.cl = _pyopencl()
        self.context = context
        (d,) = context.devices
        self.device = d
        self.queue = queue or cl.CommandQueue(context)
        self.name = f"{d.name.strip()} ({d.platform.name.strip()})"
        self.double = bool(d.double_fp_config)
        self.gpu = Gpu(
            self.name,
            multiprocessors=d.max_compute_units,
            local=d.local_mem_size,
            line=max(64, d.global_mem_cacheline_size),
            block=d.max_work_group_size,
            memory=d.global_mem_size,
            double=self.double,
        )
        self._held: weakref.WeakValueDictionary[int, _Held] = weakref.WeakValueDictionary()
        self._by_handle: weakref.WeakValueDictionary[int, _Held] = weakref.WeakValueDictionary()
        self._free: list[int] = []
        self._count = itertools.count(1)

    def __repr__(self) -> str:
        return f"<OpenCL device {self.name}>"

    def lacks(self, element: ElementType) -> str:
        """What of an element type the device has not; empty where it has all."""
        if element.name in ("longdouble", "clongdouble"):
            return f"arithmetic of {element}"
        if element.name in ("float64", "complex128") and not self.double:
            return "double precision (cl_khr_fp64)"
        return ""

    # -- programs --

    def source(self, program: Program, values: Sequence[str], wide: bool) -> Source:
        return opencl.source(program, values=values, wide=wide)

    def load(self, source: Source) -> list[Any]:
        """The kernels of a text, compiled, or out of the cache."""
        cl = self.cl
        options = ["-cl-std=CL1.2"]
        if self.device.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT:
            options.append("-cl-fp32-correctly-rounded-divide-sqrt")
        if self.device.platform.name == "Oclgrind":
            # It knows not all that its compiler makes of optimised code, such as an integer's absolute value.
            options.append("-cl-opt-disable")
        what = "\0".join([source.text, self.name, self.device.version, self.device.driver_version, *options])
        path = os.path.join(str(cache_dir()), "opencl-" + hashlib.sha256(what.encode()).hexdigest()[:32])
        program = None
        try:
            with open(path, "rb") as file:
                program = cl.Program(self.context, [self.device], [file.read()]).build(options)
        except (OSError, cl.Error):
            # What cannot be read is made anew.
            program = None
        if program is None:
            try:
                program = cl.Program(self.context, source.text).build(options)
            except cl.Error as error:
                raise UnsupportedError(f"{self.name} does not compile a kernel of ours: {error}") from None
            keep(path, program.get_info(cl.program_info.BINARIES)[0])
        return [getattr(program, kernel.name) for kernel in source.kernels]

    # -- memory --

    def _hold(self, buffer: Any) -> _Held:
        """What has a number for a buffer, as long as it lives."""
        known = self._by_handle.get(buffer.int_ptr)
        if known is None:
            number = self._free.pop() if self._free else next(self._count)
            known = self._by_handle[buffer.int_ptr] = self._held[number] = _Held(buffer, number, self._free)
        return known

    def allocate(self, size: int) -> tuple[int, Any]:
        try:
            buffer = self.cl.Buffer(self.context, self.cl.mem_flags.READ_WRITE, max(1, size))
        except self.cl.Error as error:
            raise MemoryError(f"{self.name} has no {size} bytes of memory left: {error}") from None
        held = self._hold(buffer)
        return held.number << _BITS, held

    def _place(self, address: int) -> tuple[Any, int]:
        return self._held[address >> _BITS].buffer, address & ((1 << _BITS) - 1)

    def put(self, address: int, data: Any) -> None:
        buffer, offset = self._place(address)
        self.cl.enqueue_copy(self.queue, buffer, data, dst_offset=offset)

    def get(self, address: int, data: Any) -> None:
        buffer, offset = self._place(address)
        self.cl.enqueue_copy(self.queue, data, buffer, src_offset=offset)

    def launch(self, function: Any, blocks: int, lanes: int, arguments: Sequence[Any]) -> None:
        given: list[Any] = []
        for value in arguments:
            if isinstance(value, int):
                buffer, offset = self._place(value)
                given += (buffer, np.int64(offset))
            else:
                given.append(value)
        try:
            function(self.queue, (blocks * lanes,), (lanes,), *given)
        except self.cl.Error as error:
            raise ArrayExprError(f"{self.name} does not run {blocks} blocks of {lanes} lanes: {error}") from None

    # -- arrays --

    def array(self, value: Any) -> Any | None:
        """A `pyopencl.array.Array` as a shadow; None for what is no device array."""
        if type(value).__module__.partition(".")[0] != "pyopencl" or not hasattr(value, "base_data"):
            return None
        if value.context != self.context:
            raise ArrayExprError(f"an array lies in another context than {self.name}: expected one device")
        held = self._hold(value.base_data)
        return shadow((held.number << _BITS) + value.offset, value.shape, value.strides, value.dtype, (value, held))

    def new(self, shape: tuple[int, ...], dtype: Any, order: Sequence[int], like: Any) -> tuple[Any, Any]:
        made, _ = self.fresh(shape, dtype, order, like)
        return made, self.array(made)

    def fresh(self, shape: tuple[int, ...], dtype: Any, order: Sequence[int], like: Any) -> tuple[Any, int]:
        """A new array, its axes in memory in an order; and where it lies."""
        from pyopencl.array import Array

        strides = strides_in(shape, np.dtype(dtype).itemsize, order)
        made = Array(self.queue, shape, dtype, strides=strides)
        if not made.size:
            return made, 0
        held = self._hold(made.base_data)
        # The number is the buffer's for as long as the array is.
        made.arrayexpr_held = held
        return made, held.number << _BITS

    def handed(self, made: Any, like: Any) -> Any:
        """A result that is filled, or will be in its queue's order, as the caller gets it."""
        return made

    def follow(self, stream: Any) -> None:
        """Have launches go to a queue from here on."""
        if stream is not None:
            self.queue = stream


def look(value: Any) -> tuple[int, Any, Any]:
    """Where an array lies; all else that decides what is done with it; and its queue."""
    found = _device(value.context)
    held = found._hold(value.base_data)
    value.arrayexpr_held = held
    return (held.number << _BITS) + value.offset, (value.shape, value.strides, value.dtype, value.context), value.queue


def keep(path: str, data: bytes) -> None:
    """Write a file of the cache as a whole or not at all."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        part = f"{path}.{os.getpid()}"
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, path)
    except OSError:
        pass
