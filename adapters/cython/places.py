"""What Cython has in C for memoryviews, buffers and numbers that a nest of loops reads and stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from Cython.Compiler import ExprNodes

from arrayexpr._core.types import ElementType

from .elements import element_of
from .vector import why_no_operand


@dataclass(frozen=True, slots=True)
class Memory:
    """A memoryview or buffer: C for its first element, for a length and a step in bytes, and for whether it is there.

    `text` is what tells it from others.
    """

    text: str
    name: str
    element: ElementType
    rank: int
    data: str
    lengths: tuple[str, ...]
    steps: tuple[str, ...]
    present: str


def memory_of(node: Any) -> Memory | str | None:
    """What an element is one of; a reason where kernels do not take it, and None where it is no such element."""
    if not isinstance(node, ExprNodes.BufferIndexNode) or node.type is None or element_of(node.type) is None:
        return None
    base = node.base
    if base.type.is_memoryviewslice:
        refused = why_no_operand(base.type)
        if refused is not None:
            return refused
        plain = base.is_name and readable(base.entry) or base.is_attribute and plain_attribute(base)
        if base.is_temp or not plain or len(node.indices) != base.type.ndim:
            return "a memoryview that is no variable"
        text = str(base.result())
        axes = range(base.type.ndim)
        return Memory(
            text,
            getattr(base, "name", None) or base.attribute,
            _element(base.type.dtype),
            base.type.ndim,
            f"{text}.data",
            tuple(f"{text}.shape[{axis}]" for axis in axes),
            tuple(f"{text}.strides[{axis}]" for axis in axes),
            f"{text}.memview && (PyObject *){text}.memview != Py_None",
        )
    if base.type.is_buffer and base.is_name and readable(base.entry, objects=True):
        return _buffer(base, node)
    return "elements of what is no memoryview"


def _buffer(base: Any, node: Any) -> Memory | str:
    """The buffer of an array that a local variable holds."""
    aux = base.entry.buffer_aux
    kind = base.type
    if aux is None or kind.mode not in ("full", "strided", "c", "fortran") or len(node.indices) != kind.ndim:
        return "a buffer that is no local variable"
    if kind.mode == "full" or kind.cast or element_of(kind.dtype) is None:
        return "a buffer with pointers along an axis"
    text = str(aux.buflocal_nd_var.cname)
    axes = range(kind.ndim)
    return Memory(
        text,
        base.name,
        _element(kind.dtype),
        kind.ndim,
        f"{text}.rcbuffer->pybuffer.buf",
        tuple(f"{text}.diminfo[{axis}].shape" for axis in axes),
        tuple(f"{text}.diminfo[{axis}].strides" for axis in axes),
        f"{text}.rcbuffer->pybuffer.buf",
    )


def _element(c_type: Any) -> ElementType:
    found = element_of(c_type)
    assert found is not None
    return found


def loop_text(node: Any) -> str | None:
    """C for a length of a memoryview or array that a variable holds, or a C field; None for any other integer."""
    if isinstance(node, ExprNodes.IndexNode) and isinstance(node.index.constant_result, int):
        axis = node.index.constant_result
        shape = node.base
        if isinstance(shape, ExprNodes.AttributeNode) and shape.attribute == "shape":
            own = shape.obj
            if own.type.is_memoryviewslice:
                plain = own.is_name and readable(own.entry) or own.is_attribute and plain_attribute(own)
                if plain and not own.is_temp and 0 <= axis < own.type.ndim:
                    return f"{own.result()}.shape[{axis}]"
        if isinstance(shape, ExprNodes.SimpleCallNode) and len(shape.args) == 1:
            # NumPy's declarations make it a property.
            own, entry = shape.args[0], getattr(shape.function, "entry", None)
            named = getattr(shape.function, "name", None) == "shape" and entry is not None and entry.name == "__get__"
            local = own.is_name and own.type.is_buffer and readable(own.entry, objects=True)
            if named and local and own.entry.buffer_aux is not None and 0 <= axis < own.type.ndim:
                return f"{own.entry.buffer_aux.buflocal_nd_var.cname}.diminfo[{axis}].shape"
    if isinstance(node, ExprNodes.AttributeNode) and not node.is_temp and plain_attribute(node):
        return str(node.result())
    return None


def readable(entry: Any, objects: bool = False) -> bool:
    """Whether reading a variable is reading a C variable, and has no effect."""
    if entry is None or (entry.type.is_pyobject and not objects):
        return False
    own = (entry.is_local or entry.is_arg) and not entry.in_closure and not entry.from_closure
    return bool(own or (entry.is_cglobal and not objects))


def plain_attribute(node: Any) -> bool:
    """Whether an attribute is a C field of an extension type's instance that a local variable holds."""
    entry = node.entry
    return bool(
        not node.is_temp
        and entry is not None
        and not node.is_py_attr
        and node.obj.is_name
        and node.obj.type.is_extension_type
        and (node.obj.entry.is_local or node.obj.entry.is_arg)
        and not node.obj.entry.in_closure
        and not node.obj.entry.from_closure
        and (node.obj.entry.is_self_arg or not node.obj.may_be_none())
    )
