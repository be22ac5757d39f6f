"""Cython's C types as element types, and C's rules for what an operation on two of them is computed in."""

from __future__ import annotations

import ctypes
from typing import Any

from arrayexpr._core.types import ElementType, complex_of, element

_INT = element("int32")

#: Names that Cython's own declarations give to types that are what the name says.
_NAMED = {
    **{f"{sign}int{bits}_t": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"npy_{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"npy_float{bits}": f"float{bits}" for bits in (32, 64)},
    **{f"float{bits}_t": f"float{bits}" for bits in (32, 64)},
    "npy_bool": "uint8",
    **{
        f"{name}_t": f"{'u' if 'u' in name else ''}int{8 * ctypes.sizeof(ctypes.c_void_p)}"
        for name in ("intp", "uintp")
    },
}
_SIZES = {
    "char": ctypes.sizeof(ctypes.c_char),
    "short": ctypes.sizeof(ctypes.c_short),
    "int": ctypes.sizeof(ctypes.c_int),
    "long": ctypes.sizeof(ctypes.c_long),
    "PY_LONG_LONG": ctypes.sizeof(ctypes.c_longlong),
    "Py_ssize_t": ctypes.sizeof(ctypes.c_ssize_t),
    "size_t": ctypes.sizeof(ctypes.c_size_t),
    "ptrdiff_t": ctypes.sizeof(ctypes.c_ssize_t),
    "ssize_t": ctypes.sizeof(ctypes.c_ssize_t),
}
_REALS = {"float": "float32", "double": "float64", "long double": "longdouble"}


def plain(c_type: Any) -> Any:
    """A C type without const and volatile."""
    return c_type.cv_base_type if getattr(c_type, "is_cv_qualified", False) else c_type


def element_of(c_type: Any) -> ElementType | None:
    """The element type that a C number has; None for what is no number, or of a size that only a C compiler knows."""
    c_type = plain(c_type)
    if c_type.is_typedef:
        named = _NAMED.get(c_type.typedef_name) or _NAMED.get(str(c_type.typedef_cname))
        if named is not None:
            return element(named)
        return None if c_type.typedef_is_external else element_of(c_type.typedef_base_type)
    if c_type.is_complex:
        part = element_of(c_type.real_type)
        return complex_of(part) if part is not None and part.kind == "f" else None
    if c_type.is_float:
        return _real(c_type.empty_declaration_code())
    if c_type.is_int and not c_type.is_enum:
        return _integer(c_type)
    return None


def _real(name: str) -> ElementType | None:
    known = _REALS.get(name)
    if known == "longdouble" and ctypes.sizeof(ctypes.c_longdouble) == ctypes.sizeof(ctypes.c_double):
        known = "float64"
    return element(known) if known else None


def _integer(c_type: Any) -> ElementType | None:
    name = c_type.empty_declaration_code()
    unsigned = name.startswith("unsigned ") or name == "size_t"
    size = _SIZES.get(name.removeprefix("unsigned ").removeprefix("signed "))
    if size is None or (name == "char" and (ctypes.c_char(b"\xff").value or b"")[0] != 255):
        return None
    return element(f"{'u' if unsigned else ''}int{8 * size}")


def promoted(t: ElementType) -> ElementType:
    """What C computes a number of a type in: at least int."""
    return _INT if t.kind == "b" or (t.kind in "iu" and t.bits < 32) else t


def common(a: ElementType, b: ElementType) -> ElementType:
    """C's usual arithmetic conversions.

    >>> common(element("int8"), element("uint16")), common(element("int32"), element("uint32"))
    (int32, uint32)
    >>> common(element("float32"), element("int64")), common(element("uint32"), element("int64"))
    (float32, int64)
    """
    a, b = promoted(a), promoted(b)
    if "c" in (a.kind, b.kind):
        part = _wider_real([t for t in (_part(a), _part(b)) if t is not None])
        return complex_of(part)
    if "f" in (a.kind, b.kind):
        return _wider_real([t for t in (a, b) if t.kind == "f"])
    if a.kind == b.kind:
        return a if a.bits >= b.bits else b
    unsigned, signed = (a, b) if a.kind == "u" else (b, a)
    return unsigned if unsigned.bits >= signed.bits else signed


def _part(t: ElementType) -> ElementType | None:
    if t.kind == "c":
        return element("longdouble") if t.bits == 160 else element(f"float{t.bits // 2}")
    return t if t.kind == "f" else None


def _wider_real(reals: list[ElementType]) -> ElementType:
    return max(reals, key=lambda t: t.bits)
