"""Compiled expressions, as numexpr's module of this name has them: `NumExpr`, and the codes of its bytecode."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from arrayexpr._core.errors import ShapeMismatch
from arrayexpr.kernel import compile as compile_program

from . import strings, utils
from .assembler import Assembled, assembled
from .bytecode import decoded
from .expressions import ALL_AXES
from .kinds import CODES, KINDS, kind_of_constant, map_type
from .opcodes import funccodes, opcodes
from .translate import check, from_host, names_of
from .utils import MAX_THREADS, _get_num_threads, _set_num_threads, use_vml

__all__ = [
    "MAX_THREADS", "NumExpr", "_get_num_threads", "_set_num_threads", "allaxes", "funccodes", "maxdims", "opcodes",
    "use_vml",
]  # fmt: skip

#: What stands for the axis of a reduction over all.
allaxes: Final = ALL_AXES
#: The most axes of an array: NumPy's.
maxdims: Final = 64
#: Elements that numexpr computes at a time. Blocks here are sized by the caches: this is for who asks.
__BLOCK_SIZE1__: Final = 1024


class NumExpr:
    """An expression for operands of given kinds: called with arrays it gives its value.

    Made of numexpr's bytecode: a letter for the kind of each input and of each temporary, the program, and constants;
    `necompiler.NumExpr` makes one of text. Kernels are compiled for the arrays' own element types and ranks, each on
    first use. It may be called by several threads, copied and pickled.

    Raises RuntimeError for what is no program, naming the place.

    >>> import numpy as np
    >>> double = NumExpr(b"i", b"", bytes([opcodes[b"mul_iii"], 0, 2, 1]), (np.int32(2),), ("a",))
    >>> double(np.arange(3, dtype="int8"))
    array([0, 2, 4], dtype=int32)
    >>> double.fullsig
    b'iii'
    """

    def __init__(
        self, signature: bytes, tempsig: bytes, program: bytes, constants: Sequence[Any] = (),
        input_names: Sequence[str] | None = None,
    ):  # fmt: skip
        for what, given in (("signature", signature), ("tempsig", tempsig), ("program", program)):
            if not isinstance(given, bytes):
                raise TypeError(f"{what} is {type(given).__name__}: expected bytes")
        names = [f"x{k}" for k in range(len(signature))] if input_names is None else list(input_names)
        if len(names) != len(signature):
            raise ValueError(f"{len(names)} input names for a signature of {len(signature)} letters")
        letters = [CODES[kind_of_constant(value)] for value in constants]
        for letter in signature.decode("latin-1"):
            if letter not in "bilfdcs":
                raise TypeError(f"signature {signature!r}: {letter!r} is no kind's letter, which are bilfdcs")
        inputs = list(zip(names, signature.decode(), strict=True))
        tree = decoded(program, inputs, list(zip(constants, letters, strict=True)), opcodes, funccodes)
        self._build(tree, names, [KINDS[letter] for _, letter in inputs])

    @classmethod
    def of(cls, tree: Any, names: Sequence[str], kinds: Sequence[str]) -> NumExpr:
        """The compiled expression of a tree, for variables of these names and kinds, in this order."""
        made = cls.__new__(cls)
        made._build(tree, names, kinds)
        return made

    def _build(self, tree: Any, names: Sequence[str], kinds: Sequence[str]) -> None:
        self.tree = tree
        self.input_names = tuple(names)
        self._kinds = list(kinds)
        self.signature = "".join(CODES[kind] for kind in kinds).encode()
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

    def __reduce__(self) -> tuple[Any, ...]:
        return NumExpr.of, (self.tree, self.input_names, self._kinds)

    # -- As bytecode ----------------------------------------------------------------------------------

    @functools.cached_property
    def _assembled(self) -> Assembled:
        return assembled(self.tree, self.input_names)

    def _part(self, name: str) -> Any:
        try:
            return getattr(self._assembled, name)
        except (NotImplementedError, ValueError) as error:
            raise AttributeError(f"{name}: numexpr has no bytecode for this expression: {error}") from None

    @property
    def program(self) -> bytes:
        """The bytecode, for who reads it: it is not what runs. AttributeError for what numexpr has no code for."""
        code: bytes = self._part("program")
        return code

    @property
    def constants(self) -> tuple[Any, ...]:
        """The constants, each once, in order."""
        found: tuple[Any, ...] = self._part("constants")
        return found

    @property
    def constsig(self) -> bytes:
        letters: bytes = self._part("constsig")
        return letters

    @property
    def tempsig(self) -> bytes:
        letters: bytes = self._part("tempsig")
        return letters

    @property
    def fullsig(self) -> bytes:
        """The letters of the result, the inputs, the constants and the temporaries."""
        return CODES[self.kind].encode() + self.signature + self.constsig + self.tempsig

    # -- Calls ----------------------------------------------------------------------------------------

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
        check_out(out)
        if self._plain:
            return _copied(self._string(arrays), out, casting)
        given = dict(zip(self.input_names, arrays, strict=True))
        for comparison in self._comparisons:
            given[comparison.name] = comparison.value(given)
        operands = [given[name] for name in self._operands]
        return delivered(self.kernel, operands, out, order, casting)

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


def check_out(out: Any) -> None:
    if out is not None and not isinstance(out, np.ndarray):
        raise TypeError(f"out is {type(out).__name__}: expected a NumPy array")


def delivered(
    kernel: Callable[[Sequence[Any], Any], Any], operands: Sequence[Any], out: Any, order: str, casting: str
) -> Any:
    """The value that a kernel has for operands: a new array in memory order `order`, or `out` with it.

    `kernel` gives that of operands like these, whose value is of a dtype where that is not None. Raises ValueError for
    an unknown order, TypeError for a cast to `out` that `casting` does not allow.
    """
    check_out(out)
    if order not in ("K", "C", "F", "A"):
        raise ValueError(f"order {order!r}: expected one of K, C, F, A")
    new = kernel(operands, None)
    if out is None:
        value = np.asarray(new(*operands))
        return value if order == "K" else _ordered(value, order, operands)
    dtype = new.compiled.program.results[0].type.element.dtype
    if not np.can_cast(dtype, out.dtype, casting):  # type: ignore[arg-type]
        raise TypeError(
            f"Iterator requested dtype could not be cast from {dtype!r} to {out.dtype!r}, the operand 0 dtype, "
            f"according to the rule '{casting}'"
        )
    try:
        return kernel(operands, out.dtype)(*operands, out=out)
    except ShapeMismatch:
        # Of the operands, which is raised again, or an `out` that the value is broadcast to.
        return _copied(np.asarray(new(*operands)), out, casting)


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
