"""numexpr's kinds of values, and the element types that they are here.

| kind | letter | element type | what it takes |
|---|---|---|---|
| bool | b | bool | bool |
| int | i | int32 | integers of up to 32 bits, but uint32 |
| long | l | int64 | the other integers |
| float | f | float32 | reals of up to 32 bits |
| double | d | float64 | the other reals |
| complex | c | complex128 | complex numbers |
| bytes | s | none | bytes strings, which NumPy compares |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from arrayexpr._core.types import ElementType, element

#: Kinds of numbers, each of which the later ones hold; `none` is the kind of what is no value.
RANK: Final = ("bool", "int", "long", "float", "double", "complex", "none")
CODES: Final = {
    "bool": "b", "int": "i", "long": "l", "float": "f", "double": "d", "complex": "c", "none": "n", "bytes": "s",
    "str": "s",
}  # fmt: skip
KINDS: Final = {code: kind for kind, code in CODES.items() if kind != "str"}
INTEGERS: Final = ("int", "long")

#: What numexpr calls the kinds in signatures. Its `double` is NumPy's, its `float` Python's, and stands for float32.
TYPES: Final[dict[str, Any]] = {
    "bool": bool, "int": np.int32, "long": np.int64, "float": float, "double": np.double, "complex": complex,
    "bytes": bytes, "str": str,
}  # fmt: skip
KIND_OF_TYPE: Final = {type_: kind for kind, type_ in TYPES.items()}

_ELEMENTS: Final = {
    "bool": element("bool"), "int": element("int32"), "long": element("int64"), "float": element("float32"),
    "double": element("float64"), "complex": element("complex128"),
}  # fmt: skip


def map_type(kind: str) -> ElementType:
    """The element type of values of a kind.

    >>> map_type("int"), map_type("double")
    (int32, float64)
    """
    return _ELEMENTS[kind]


def kind_of(dtype: Any) -> str:
    """The kind that arrays of a dtype are taken as. ValueError, with numexpr's words, for what it does not take.

    >>> kind_of("uint32"), kind_of("float16"), kind_of("S3")
    ('long', 'float', 'bytes')
    """
    dtype = np.dtype(dtype)
    match dtype.kind:
        case "b":
            return "bool"
        case "i" | "u":
            return "long" if dtype.itemsize > 4 or dtype == np.uint32 else "int"
        case "f":
            return "double" if dtype.itemsize > 4 else "float"
        case "c":
            return "complex"
        case "S":
            return "bytes"
        case "U":
            raise ValueError("NumExpr 2 does not support Unicode as a dtype.")
    raise ValueError(f"unknown type {dtype.name}")


def common_kind(kinds: Iterable[str]) -> str:
    """The kind that values of several kinds are brought to. TypeError where strings meet numbers."""
    kinds = list(kinds)
    strings = sum(kind in ("bytes", "str") for kind in kinds)
    if 0 < strings < len(kinds):
        raise TypeError("strings can only be operated with strings")
    if strings:
        return "bytes"
    return max(kinds, key=RANK.index)


def kind_of_constant(value: Any) -> str:
    """The kind of a constant: a Python number is of the least kind that keeps its value, a NumPy one of its own.

    >>> kind_of_constant(1), kind_of_constant(2**31), kind_of_constant(1.0), kind_of_constant(np.float32(1))
    ('int', 'long', 'double', 'float')
    """
    if isinstance(value, (bytes, str)):
        return "bytes"
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, (int, np.integer)) and not isinstance(value, np.int64):
        return "int" if -(2**31) <= value < 2**31 else "long"
    if isinstance(value, float):
        return "double"
    if isinstance(value, complex):
        return "complex"
    dtype = getattr(value, "dtype", None)
    if dtype is not None and value.ndim == 0 and dtype.kind in "biufcS":
        return kind_of(dtype)
    raise TypeError(f"unsupported object type: {type(value)}")
