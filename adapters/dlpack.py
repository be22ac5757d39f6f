"""Arrays of ours for other libraries, by DLPack: the capsule that its protocol asks for."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from arrayexpr._core.errors import TypeMismatch

#: DLPack's codes of kinds of elements.
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_NAME = b"dltensor"


class _Tensor(ctypes.Structure):
    """DLPack's DLManagedTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    ]


#: What keeps memory alive, by the place of the tensor that tells of it: until its consumer is done with that.
_alive: dict[int, Any] = {}


def _let_go(place: int) -> None:
    _alive.pop(place, None)


def _unused(capsule: int) -> None:
    # A capsule that was consumed has another name.
    if _is_valid(capsule, _NAME):
        _let_go(_pointer(capsule, _NAME))


_DELETE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_let_go)
_DESTROY = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(_unused)


_make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def capsule(
    address: int, shape: Sequence[int], strides: Sequence[int], dtype: Any, device: tuple[int, int], owner: Any
) -> Any:
    """The capsule of an array at an address of a device, `(type, number)` as DLPack has it; `strides` are of bytes.

    `owner` is kept until the consumer lets go.
    """
    kind = np.dtype(dtype)
    if kind.kind not in _CODES or kind.itemsize > 16:
        raise TypeMismatch(f"an array of {kind} by DLPack: expected bools, integers, reals or complex numbers")
    extents = ctypes.c_int64 * max(1, len(shape))
    lengths, steps = extents(*shape), extents(*(s // kind.itemsize for s in strides))
    tensor = _Tensor(address, *device, len(shape), _CODES[kind.kind], kind.itemsize * 8, 1)
    tensor.shape, tensor.strides = lengths, steps
    tensor.deleter = ctypes.cast(_DELETE, ctypes.c_void_p)
    place = ctypes.addressof(tensor)
    _alive[place] = tensor, lengths, steps, owner
    return _make(place, _NAME, ctypes.cast(_DESTROY, ctypes.c_void_p))
