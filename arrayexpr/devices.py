"""The GPUs and other devices that kernels run on, and whose arrays they take."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from ._core.errors import ArrayExprError

#: The runtimes, each by the module of its adapter.
RUNTIMES = {"cuda": "cuda_device", "opencl": "opencl_device"}


def _runtime(name: str) -> Any:
    return importlib.import_module(f"{__package__}.adapters.{RUNTIMES[name]}")


def device(name: Any) -> Any:
    """The device that a name means: "cuda", "cuda:1", "opencl", "opencl:" and a part of a device's name.

    A device itself is its own. Raises ArrayExprError where there is none such, saying what to install.

    >>> device("vulkan")
    Traceback (most recent call last):
    arrayexpr._core.errors.ArrayExprError: device 'vulkan' is unknown: expected cuda, opencl, or one of them with a name
    """
    if not isinstance(name, str):
        return name
    kind, _, rest = name.partition(":")
    if kind not in RUNTIMES:
        raise ArrayExprError(f"device {name!r} is unknown: expected {', '.join(RUNTIMES)}, or one of them with a name")
    return _runtime(kind).device(rest)


def device_of(values: Iterable[Any]) -> Any | None:
    """The device that the arrays among values live on; None where all are the host's.

    Raises ArrayExprError where they live on several.
    """
    found: Any = None
    for value in values:
        # The commonest first: this stands on the way of every call that nothing is remembered of.
        if value is None or isinstance(value, np.ndarray | np.generic | int | float | complex | str):
            continue
        one = _device_of(value)
        if one is None:
            continue
        if found is not None and one is not found:
            raise ArrayExprError(f"arrays lie on {found.name} and on {one.name}: expected all of them on one device")
        found = one
    return found


def _device_of(value: Any) -> Any | None:
    if type(value).__module__.partition(".")[0] == "pyopencl" and hasattr(value, "base_data"):
        return _runtime("opencl").device_of(value)
    if hasattr(value, "__cuda_array_interface__") or _is_cuda_dlpack(value):
        return _runtime("cuda").device_of(value)
    return None


def remembered(values: tuple[Any, ...]) -> tuple[Any, list[int], Any] | None:
    """What decides all that a call on a device does, but for where its arrays lie; those places; and the stream.

    None where values are of the host, or of a kind whose calls are not remembered.
    """
    key: list[Any] = []
    places: list[int] = []
    spans: list[tuple[int, int, int]] = []
    stream: Any = None
    for value in values:
        t = type(value)
        look = _LOOKS.get(t, _look_of)
        if look is _look_of:
            look = _LOOKS[t] = _look_of(value)
        if look is None:
            return None
        if look is _SCALAR:
            key.append(t)
            places.append(0)
            continue
        try:
            place, seen, stream = look(value)
        except AttributeError:
            # One of the host's, of a library that has both.
            return None
        layout = t, place & 15, seen
        known = _SPANS.get(layout)
        if known is None:
            if len(_SPANS) >= _SPANS_MAX:
                _SPANS.clear()
            known = _SPANS[layout] = _span(value)
        low, high = place + known[0], place + known[1]
        for number, (other, first, last) in enumerate(spans):
            # How two that may share memory lie to each other decides what is done.
            if low < last and first < high:
                key.append((number, place - other))
        spans.append((place, low, high))
        key.append(layout)
        places.append(place)
    return tuple(key), places, stream


def _span(value: Any) -> tuple[int, int]:
    """How far an array of a device reaches from its first element, in bytes."""
    found = device_of((value,))
    assert found is not None
    low, high = np.lib.array_utils.byte_bounds(array := found.array(value))
    place = array.__array_interface__["data"][0]
    return low - place, high - place


#: What `_span` gives, by layout.
_SPANS: dict[Any, tuple[int, int]] = {}
_SPANS_MAX = 1024
#: Stands for what looks at a number, which is given by value.
_SCALAR: Any = object()
#: What looks at a value, by its class: a function of an adapter, or `_SCALAR`, or None.
_LOOKS: dict[type, Any] = {}


def _look_of(value: Any) -> Any:
    t = type(value)
    if t in (bool, int, float, complex) or isinstance(value, np.generic):
        return _SCALAR
    if t.__module__.partition(".")[0] == "pyopencl" and hasattr(value, "base_data"):
        return _runtime("opencl").look
    # Of a NumPy array, or one by DLPack alone, too much has to be asked each time.
    by_class = hasattr(t, "__cuda_array_interface__") or hasattr(value, "__cuda_array_interface__")
    return _runtime("cuda").look if by_class else None


def _is_cuda_dlpack(value: Any) -> bool:
    """Whether an array says by DLPack that it lies in a CUDA device's memory."""
    asked = getattr(value, "__dlpack_device__", None)
    if asked is None or not hasattr(value, "__dlpack__"):
        return False
    # 2: CUDA's own memory; 13: memory that it manages.
    return asked()[0] in (2, 13)
