"""Numba's types and ours, one to one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types as _types
from numba.np import numpy_support

from arrayexpr._core.types import ElementType, element

#: Numba gives this module most of its names at run time.
types: Any = _types

#: What an element of an array, or a scalar, may be.
ELEMENTS = {
    str(dtype): element(dtype)
    for dtype in map(np.dtype, ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16"))
}


def map_type(host: Any) -> ElementType | None:
    """The element type of a Numba scalar type, literals included; None where we have none for it.

    >>> from numba import types
    >>> map_type(types.float32), map_type(types.unicode_type)
    (float32, None)
    """
    host = types.unliteral(host)
    if not isinstance(host, (types.Integer, types.Float, types.Complex, types.Boolean)):
        return None
    try:
        return ELEMENTS.get(str(numpy_support.as_dtype(host)))
    except NotImplementedError:
        return None


def mapped(host: Any) -> ElementType:
    """The element type of a Numba scalar type that has one.

    >>> from numba import types
    >>> mapped(types.float32)
    float32
    """
    found = map_type(host)
    assert found is not None, host
    return found


def host_type(kind: ElementType) -> Any:
    """The Numba type of our element type.

    >>> host_type(element("uint8"))
    uint8
    """
    return numpy_support.from_dtype(kind.dtype)


def is_array(host: Any) -> bool:
    """Whether a Numba type is of arrays that the pass takes: plain, aligned, of one axis or more."""
    return type(host) is types.Array and host.ndim > 0 and host.aligned and map_type(host.dtype) is not None
