"""What a call on a device costs the host: our part of it, with a driver that does nothing and arrays of no memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import arrayexpr
from arrayexpr.adapters import cuda_device
from arrayexpr.target import gpu


class NoDriver:
    """A driver of an H200 that compiles and launches nothing, and gives memory that is none."""

    ordinal = 0

    def __init__(self) -> None:
        self._next = 1 << 40

    def gpu(self) -> Any:
        return gpu("h200")

    def load(self, text: str, names: Any, architecture: str) -> list[Any]:
        return [None] * len(names)

    def allocate(self, size: int, stream: int) -> tuple[int, Any]:
        place = self._next
        self._next += (size + 511) // 512 * 512
        return place, None

    def launch(self, function: Any, blocks: int, lanes: int, arguments: Any, stream: int) -> None:
        pass

    def put(self, address: int, data: Any, stream: int) -> None:
        pass

    def get(self, address: int, data: Any, stream: int) -> None:
        pass

    def wait(self, stream: int) -> None:
        pass

    @staticmethod
    def ordinal_of(address: int) -> int:
        return 0


class Array:
    """An array at an address that nobody reads."""

    def __init__(self, shape: tuple[int, ...], place: int):
        self._interface = {
            "shape": shape,
            "strides": None,
            "typestr": "<f4",
            "data": ((1 << 36) + (place << 32), False),
            "version": 3,
            "stream": None,
        }

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self._interface


def seconds(call: Callable[[], Any], count: int) -> float:
    for _ in range(5):
        call()
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def measured() -> dict[str, float]:
    """Seconds of a call of the host, by what is called."""
    device = cuda_device.CudaDevice(NoDriver())
    saved = cuda_device.device_of, cuda_device.driver_ordinal
    cuda_device.device_of = lambda array: device  # type: ignore[assignment]
    cuda_device.driver_ordinal = lambda address: 0  # type: ignore[assignment]
    try:
        a, b, c = (Array((1000, 1000), place) for place in range(3))
        triad = arrayexpr.kernel(lambda a, b, c: a * b + c)
        scaled = arrayexpr.kernel(lambda a, s: a * s)
        softmax = arrayexpr.kernel(_softmax)
        found = {
            "a * b + c, as called before": seconds(lambda: triad(a, b, c), 2000),
            "a * s, s a number": seconds(lambda: scaled(a, np.float32(2)), 2000),
            "softmax": seconds(lambda: softmax(a), 2000),
            "a * b + c, with out=": seconds(lambda: triad(a, b, c, out=c), 200),
        }
    finally:
        cuda_device.device_of, cuda_device.driver_ordinal = saved
    return found


def _softmax(a: Any) -> Any:
    e = np.exp(a - a.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def show() -> None:
    for what, each in measured().items():
        print(f"{what:32} {each * 1e6:8.1f} us of the host")
