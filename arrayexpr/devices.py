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


def _is_cuda_dlpack(value: Any) -> bool:
    """Whether an array says by DLPack that it lies in a CUDA device's memory."""
    asked = getattr(value, "__dlpack_device__", None)
    if asked is None or not hasattr(value, "__dlpack__"):
        return False
    # 2: CUDA's own memory; 13: memory that it manages.
    return asked()[0] in (2, 13)
