"""The types of the tree: elements, and arrays of them with what is known of their layout.

Every type is interned: equal types are the same object, so they compare by identity.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from .errors import TypeMismatch

STRIDED: Final = "strided"
UNIT: Final = "unit"
BROADCAST: Final = "broadcast"
#: Contiguous, and walked from its end.
FALLING: Final = "falling"
#: Neighbours are so many elements apart, with others between them.
TWO: Final = "two"
THREE: Final = "three"
FOUR: Final = "four"
#: How many elements apart neighbours along an axis are, where that is known.
APART: Final = {UNIT: 1, BROADCAST: 0, FALLING: -1, TWO: 2, THREE: 3, FOUR: 4}

#: NumPy's limit on the number of axes.
MAX_RANK: Final = 32

_elements: dict[str, ElementType] = {}


class ElementType:
    """The type of one element. Make one with `Bool`, `Int`, `Real`, `Complex`, `Foreign` or `element`.

    `kind` is one of `b i u f c V` as in NumPy, `bits` the width of the value, `dtype` NumPy's
    type (None for a foreign one).
    """

    __slots__ = ("name", "kind", "bits", "dtype", "itemsize", "_arrays", "__weakref__")

    name: str
    kind: str
    bits: int
    dtype: Any
    itemsize: int
    _arrays: dict[Any, ArrayType]

    def __new__(cls, name: str, kind: str, bits: int, dtype: Any) -> ElementType:
        known = _elements.get(name)
        if known is not None:
            return known
        self = super().__new__(cls)
        self.name = name
        self.kind = kind
        self.bits = bits
        self.dtype = None if dtype is None else np.dtype(dtype)
        self.itemsize = 0 if dtype is None else self.dtype.itemsize
        self._arrays = {}
        _elements[name] = self
        return self

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return (Foreign if self.kind == "V" else element, (self.name,))

    def array(self, rank: int, layout: tuple[str, ...] | None = None, order: str | None = None) -> ArrayType:
        """The type of arrays of `rank` axes of this element."""
        key = rank if layout is None and order is None else (rank, layout, order)
        known = self._arrays.get(key)
        return ArrayType(self, rank, layout, order) if known is None else known


def Bool() -> ElementType:
    return element("bool")


def Int(bits: int, signed: bool = True) -> ElementType:
    """An integer of 8, 16, 32 or 64 bits.

    >>> Int(16), Int(8, signed=False)
    (int16, uint8)
    """
    return element(f"{'' if signed else 'u'}int{bits}")


def Real(bits: int) -> ElementType:
    """A real of 16, 32 or 64 bits, or of 80 for C's `long double` where that is wider than 64."""
    return element("longdouble" if bits == 80 else f"float{bits}")


def Complex(bits: int) -> ElementType:
    """A complex of 64 or 128 bits in all, or of 160 for a pair of `long double`."""
    return element("clongdouble" if bits == 160 else f"complex{bits}")


def Foreign(name: str) -> ElementType:
    """A type of the host's own that arrays and operators of ours do not look into."""
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise TypeMismatch(f"foreign type name {name!r} is not an identifier")
    known = _elements.get(name)
    if known is not None and known.kind != "V":
        raise TypeMismatch(f"foreign type name {name!r} is the name of an element type")
    return ElementType(name, "V", 0, None)


def element(like: Any) -> ElementType:
    """The element type that is named, or that a NumPy dtype or scalar type means.

    >>> element("float32"), element(float), element(np.dtype(">i2"))
    (float32, float64, int16)
    >>> element("object")
    Traceback (most recent call last):
    arrayexpr._core.errors.TypeMismatch: element type object is not supported: expected one of bool, int8, ...
    """
    if isinstance(like, ElementType):
        return like
    if isinstance(like, str) and like in _elements:
        return _elements[like]
    try:
        dtype = np.dtype(like)
    except (TypeError, ValueError):
        raise TypeMismatch(_unsupported(like)) from None
    if dtype.kind in "biufc":
        if dtype.char in "gG" and dtype.itemsize > (8 if dtype.char == "g" else 16):
            return _elements["longdouble" if dtype.char == "g" else "clongdouble"]
        return _elements[dtype.newbyteorder("=").name]
    raise TypeMismatch(_unsupported(dtype))


def _unsupported(like: Any) -> str:
    return f"element type {like} is not supported: expected one of bool, int8, ..., float64, complex128"


for _name in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
    ElementType(_name, np.dtype(_name).kind, 8 * np.dtype(_name).itemsize, _name)
for _name, _bits in (("float16", 16), ("float32", 32), ("float64", 64), ("complex64", 64), ("complex128", 128)):
    ElementType(_name, np.dtype(_name).kind, _bits, _name)
# Where long double is no wider than double (MSVC, some ARM) NumPy's longdouble is float64.
if np.finfo(np.longdouble).nmant > 52:
    ElementType("longdouble", "f", 80, np.longdouble)
    ElementType("clongdouble", "c", 160, np.clongdouble)

BOOL: Final = _elements["bool"]
INT64: Final = _elements["int64"]
FLOAT64: Final = _elements["float64"]


def elements() -> tuple[ElementType, ...]:
    """Every element type that is not foreign."""
    return tuple(t for t in _elements.values() if t.kind != "V")


def real_of(t: ElementType) -> ElementType:
    """The type of the parts of a complex type; any other type is its own."""
    if t.kind != "c":
        return t
    return Real(80 if t.bits == 160 else t.bits // 2)


def complex_of(t: ElementType) -> ElementType:
    """The complex type whose parts are of a real type.

    >>> complex_of(element("float32"))
    complex64
    """
    return Complex(160 if t.bits == 80 else 2 * t.bits)


class ArrayType:
    """An array of `rank` axes (0 for a scalar) of `element`, with what is known of its layout.

    `layout` gives each axis `unit`, `broadcast`, `falling` (minus `unit`), `two`, `three` or `four` (elements apart) or
    `strided` (nothing known), and `order` is `"C"` or `"F"` for a whole contiguous array. Less is known as one goes up:
    `join` is the most that holds for both of two types.

    >>> FLOAT64.array(2, order="C")
    float64['C', :, :]
    >>> FLOAT64.array(2, order="C").join(FLOAT64.array(2, layout=("broadcast", "unit")))
    float64[:, ::1]
    """

    __slots__ = ("element", "rank", "layout", "order", "__weakref__")

    element: ElementType
    rank: int
    layout: tuple[str, ...]
    order: str | None

    def __new__(
        cls, element: ElementType, rank: int, layout: tuple[str, ...] | None = None, order: str | None = None
    ) -> ArrayType:
        if not 0 <= rank <= MAX_RANK:
            raise TypeMismatch(f"rank {rank} is not supported: expected 0 to {MAX_RANK} axes")
        if layout is not None and len(layout) != rank:
            raise TypeMismatch(f"layout {layout} names {len(layout)} axes: expected {rank}")
        if order not in (None, "C", "F"):
            raise TypeMismatch(f"order {order!r} is unknown: expected 'C', 'F' or None")
        if rank == 0:
            order = None
        plain: tuple[str, ...] = (STRIDED,) * rank
        if order is not None:
            layout = plain[1:] + (UNIT,) if order == "C" else (UNIT,) + plain[1:]
            if rank == 1:
                order = "C"
        elif layout is None:
            layout = plain
        elif not set(layout) <= {STRIDED, *APART}:
            raise TypeMismatch(
                f"layout {layout} is unknown: expected 'unit', 'broadcast', 'falling', 'two', 'three', 'four' or "
                "'strided' per axis"
            )
        key: Any = rank if layout == plain and order is None else (rank, layout, order)
        known = element._arrays.get(key)
        if known is not None:
            return known
        self = super().__new__(cls)
        self.element = element
        self.rank = rank
        self.layout = layout
        self.order = order
        element._arrays[key] = self
        if order is not None:
            element._arrays[(rank, None, order)] = self
        return self

    def __repr__(self) -> str:
        if self.rank == 0:
            return self.element.name
        marks = {STRIDED: ":", **{fact: f"::{step}" for fact, step in APART.items()}}
        if self.order is not None and self.rank > 1:
            return f"{self.element}[{self.order!r}, {', '.join([':'] * self.rank)}]"
        if self.order is not None:
            return f"{self.element}['C', :]"
        return f"{self.element}[{', '.join(marks[a] for a in self.layout)}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrayType, (self.element, self.rank, self.layout if self.order is None else None, self.order)

    @property
    def plain(self) -> ArrayType:
        """The same element and rank with nothing known of the layout: the type of a value."""
        return self.element.array(self.rank)

    def join(self, other: ArrayType) -> ArrayType:
        """What is known of both: the least upper bound in the lattice of layouts."""
        if self.element is not other.element or self.rank != other.rank:
            raise TypeMismatch(f"{self} and {other} have no join: expected the same element type and rank")
        if self is other:
            return self
        layout = tuple(a if a == b else STRIDED for a, b in zip(self.layout, other.layout, strict=True))
        return self.element.array(self.rank, layout)
