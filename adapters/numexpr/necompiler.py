"""Expressions compiled for kinds of operands: `NumExpr`, and what numexpr's module of this name offers beside it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from arrayexpr.kernel import compile as compile_program

from . import strings, utils
from .expressions import node_of
from .kinds import CODES, KIND_OF_TYPE, TYPES, kind_of, map_type
from .reader import read
from .translate import check, from_host, nodes_of
from .utils import use_vml

__all__ = ["NumExpr", "disassemble", "evaluate", "getExprNames", "getType", "re_evaluate", "validate"]

_OPTIONS: Final = {"optimization": ("none", "moderate", "aggressive"), "truediv": (False, True, "auto")}


def getContext(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an expression, all of them. ValueError for an unknown one or an unknown value."""
    for name in options:
        if name not in _OPTIONS:
            raise ValueError(f"Unknown keyword argument '{name}'")
    context = {"optimization": options.get("optimization", "aggressive"), "truediv": options.get("truediv", "auto")}
    for name, value in context.items():
        if value not in _OPTIONS[name]:
            raise ValueError(f"'{name}' must be one of {_OPTIONS[name]}")
    return context


def sanitizes(sanitize: bool | None) -> bool:
    """Whether text is checked: what is asked, else NUMEXPR_SANITIZE. Only the type of the error differs here."""
    return bool(int(os.environ.get("NUMEXPR_SANITIZE", "1"))) if sanitize is None else sanitize


def getType(array: Any) -> Any:
    """The type that a signature gives to an array."""
    return TYPES[kind_of(array.dtype)]


def stringToExpression(text: str, types: Mapping[str, Any], context: Mapping[str, Any], sanitize: bool = True) -> Any:
    return read(text, types, context, sanitize)


def names_of(tree: Any) -> list[str]:
    """The variables of a tree, sorted."""
    return sorted({node.value for node in nodes_of(tree) if node.astType == "variable"})


def getExprNames(text: str, context: Mapping[str, Any], sanitize: bool | None = True) -> tuple[list[str], bool]:
    """The variables of an expression, and whether it uses VML, which it does not."""
    return names_of(read(text, {}, context, sanitizes(sanitize))), use_vml


def getInputOrder(tree: Any, order: Sequence[str] | None = None) -> list[str]:
    names = names_of(tree)
    if order and set(order) != set(names):
        raise ValueError(f"input names ({list(order)}) don't match those found in expression ({set(names)})")
    return list(order) if order else names


class NumExpr:
    """An expression for operands of given kinds: called with arrays it gives its value.

    `ex` is text or a tree, `signature` pairs of a name and a type, in the order of the operands; variables that it
    does not name are doubles. Kernels are compiled for the arrays' own element types and ranks, each on first use.

    >>> import numpy as np
    >>> double = NumExpr("2*a", [("a", np.int32)])
    >>> double(np.arange(3, dtype="int8"))
    array([0, 2, 4], dtype=int32)
    """

    def __init__(
        self, ex: Any, signature: Sequence[tuple[str, Any]] = (), sanitize: bool | None = True, **options: Any
    ):
        context = getContext(options)
        if isinstance(ex, str):
            ex = read(ex, dict(signature), context, sanitizes(sanitize))
        self.tree = node_of(ex)
        self.input_names = tuple(getInputOrder(self.tree, [name for name, _ in signature]))
        types = dict(signature)
        kinds = [KIND_OF_TYPE[types.get(name, np.double)] for name in self.input_names]
        self.signature = "".join(CODES[kind] for kind in kinds).encode()
        self._kinds = kinds
        self._plain = self.tree.astKind == "bytes"
        self._numbers: Any = self.tree
        self._comparisons: list[strings.Comparison] = []
        if not self._plain:
            self._numbers, self._comparisons = strings.split(self.tree)
            # What numexpr has no opcode for is refused before there are arrays.
            check(self._numbers)
        self.kind = self.tree.astKind
        self._operands = names_of(self._numbers)
        self._kernels: dict[Any, Any] = {}
        self._lock = threading.Lock()

    @property
    def constants(self) -> tuple[Any, ...]:
        """The constants, each once, in order."""
        found = {(node.astKind, repr(node.value)): node for node in nodes_of(self.tree) if node.astType == "constant"}
        nodes = sorted(found.values(), key=lambda node: (node.astKind, np.asarray(node.value)))
        return tuple(_python_value(node) for node in nodes)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.run(*args, **options)

    def run(
        self, *args: Any, out: Any = None, order: str = "K", casting: str = "safe", ex_uses_vml: bool = False
    ) -> Any:
        """The value for arguments, in `input_names`' order: an array, even where it is of rank 0; `out` where given.

        Raises ValueError for a wrong number of arguments and for shapes that do not fit, TypeError for a cast, of an
        argument to its kind or of the value to `out`, that `casting` does not allow.
        """
        if len(args) != len(self.input_names):
            raise ValueError(
                f"{len(self.input_names)} inputs ({', '.join(self.input_names)}) expected: got {len(args)}"
            )
        arrays = [np.asarray(arg) for arg in args]
        return self.on(arrays, out, order, casting)

    def on(self, arrays: Sequence[Any], out: Any, order: str, casting: str) -> Any:
        for name, kind, array in zip(self.input_names, self._kinds, arrays, strict=True):
            _check_cast(array.dtype, kind, casting, f"input {name}")
        if out is not None and not isinstance(out, np.ndarray):
            raise TypeError(f"out is {type(out).__name__}: expected a NumPy array")
        if self._plain:
            return _copied(self._string(arrays), out, casting)
        given = dict(zip(self.input_names, arrays, strict=True))
        for comparison in self._comparisons:
            given[comparison.name] = comparison.value(given)
        operands = [given[name] for name in self._operands]
        if order not in ("K", "C", "F", "A"):
            raise ValueError(f"order {order!r}: expected one of K, C, F, A")
        value_dtype = map_type(self.kind).dtype
        if out is None:
            value = np.asarray(self.kernel(operands, None)(*operands))
            return value if order == "K" else _ordered(value, order, operands)
        direct = not _broadcasts(operands, out)
        if not np.can_cast(value_dtype, out.dtype, casting):  # type: ignore[arg-type]
            raise TypeError(
                f"Iterator requested dtype could not be cast from {value_dtype!r} to {out.dtype!r}, the operand 0 "
                f"dtype, according to the rule '{casting}'"
            )
        if direct:
            return self.kernel(operands, out.dtype)(*operands, out=out)
        return _copied(np.asarray(self.kernel(operands, None)(*operands)), out, casting)

    def kernel(self, operands: Sequence[Any], out: Any) -> Any:
        """The kernel for operands of these element types and ranks."""
        threads = utils.num_threads
        key = (out, threads, *[(array.dtype, array.ndim) for array in operands])
        made = self._kernels.get(key)
        if made is None:
            with self._lock:
                made = self._kernels.get(key)
                if made is None:
                    types = {
                        name: (array.dtype, array.ndim) for name, array in zip(self._operands, operands, strict=True)
                    }
                    program = from_host(self._numbers, types, self._operands, out=out)
                    made = compile_program(program, threads=threads)
                    self._kernels[key] = made
        return made

    @property
    def simple(self) -> bool:
        """Whether the operands of its kernels are its inputs, in their order."""
        return not self._plain and not self._comparisons and list(self.input_names) == self._operands

    def _string(self, arrays: Sequence[Any]) -> Any:
        """The value of an expression that is a string: a variable or a constant."""
        side = strings.side(self.tree)
        return dict(zip(self.input_names, arrays, strict=True))[side] if isinstance(side, str) else side


def _python_value(node: Any) -> Any:
    if node.astKind == "float":
        return np.float32(node.value)
    if node.astKind == "bytes":
        return node.value
    return map_type(node.astKind).dtype.type(node.value).item()


def _check_cast(dtype: Any, kind: str, casting: str, what: str) -> None:
    if kind == "bytes":
        if dtype.kind != "S":
            raise TypeError(f"{what} is of dtype {dtype}: expected a bytes string")
        return
    to = map_type(kind).dtype
    if not np.can_cast(dtype, to, casting):  # type: ignore[arg-type]
        raise TypeError(
            f"Iterator operand dtype could not be cast from {dtype!r} to {to!r}, {what}, according to the rule "
            f"'{casting}'"
        )


def _broadcasts(operands: Sequence[Any], out: Any) -> bool:
    """Whether `out` has another shape than the operands' common one."""
    return bool(np.broadcast_shapes(*[array.shape for array in operands]) != out.shape)


def _copied(value: Any, out: Any, casting: str) -> Any:
    if out is None:
        return value.copy()
    if np.broadcast_shapes(value.shape, out.shape) != out.shape:
        raise ValueError(
            f"non-broadcastable output operand with shape {out.shape} doesn't match the broadcast shape {value.shape}"
        )
    np.copyto(out, value, casting=casting)  # type: ignore[arg-type]
    return out


def _ordered(value: Any, order: str, operands: Sequence[Any]) -> Any:
    if order == "A":
        order = "F" if operands and all(a.flags.f_contiguous and not a.flags.c_contiguous for a in operands) else "C"
    return np.asarray(value, order=order)  # type: ignore[call-overload]


def disassemble(nex: NumExpr) -> list[list[Any]]:
    """The operations of an expression, a list each: name with kinds, register of the result, those of the arguments.

    Registers are `r0` for the result, then inputs, constants and temporaries, by number, as numexpr writes them. There
    is no bytecode here: this is the tree in that form, and every operation has a temporary of its own.
    """
    registers = {name: f"r{k + 1}[{name}]" for k, name in enumerate(nex.input_names)}
    constants = list(nex.constants)
    text: dict[int, Any] = {}
    lines: list[list[Any]] = []
    temporaries = 1 + len(registers) + len(constants)
    for node in nodes_of(nex.tree):
        if node.astType == "variable":
            text[id(node)] = registers[node.value].encode()
        elif node.astType == "constant":
            value = _python_value(node)
            place = next(k for k, each in enumerate(constants) if repr(each) == repr(value))
            text[id(node)] = f"c{1 + len(registers) + place}[{value}]".encode()
        elif node.astType == "raw":
            text[id(node)] = node.value
        else:
            last = node is nex.tree
            text[id(node)] = b"r0" if last else f"t{temporaries}".encode()
            temporaries += 0 if last else 1
            codes = CODES[node.astKind] + "".join(CODES[child.astKind] for child in node.children)
            lines.append([f"{node.value}_{codes}".encode(), text[id(node)], *(text[id(c)] for c in node.children)])
    if not lines:
        code = CODES[nex.tree.astKind]
        lines.append([f"copy_{code}{code}".encode(), b"r0", text[id(nex.tree)]])
    return [line + [None] * (4 - len(line)) for line in lines]


from .calls import evaluate, re_evaluate, validate  # noqa: E402  (it needs what is above)
