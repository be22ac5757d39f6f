"""Random expressions of numexpr's language, with operands of random kinds and layouts, and what may differ."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

KINDS = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", ">f8", "<i4")
ONE = (
    "sqrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh log log1p log10 log2 exp expm1 abs "
    "conj real imag ceil floor round trunc sign isnan isinf isfinite signbit copy ones_like"
).split()
TWO = "arctan2 fmod hypot nextafter copysign maximum minimum complex".split()
BINARY = "+ - * / % // ** << >> & | ^ < <= == != > >=".split()
LEAVES = ("a", "b", "c", "a", "b", "c", "2", "3.5", "1", "-1", "True", "2.5j")


class Expressions:
    """Draws expressions and their operands from one seed."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def one_of(self, names: Any) -> Any:
        return names[int(self.rng.integers(len(names)))]

    def text(self, depth: int) -> str:
        chance = self.rng.random()
        if depth == 0 or chance < 0.1:
            return str(self.one_of(LEAVES))
        if chance < 0.6:
            return f"({self.text(depth - 1)} {self.one_of(BINARY)} {self.text(depth - 1)})"
        if chance < 0.75:
            return f"{self.one_of(ONE)}({self.varying(depth - 1)})"
        if chance < 0.85:
            return f"{self.one_of(TWO)}({self.varying(depth - 1)}, {self.text(depth - 1)})"
        if chance < 0.92:
            condition = f"{self.varying(depth - 1)} > {self.text(depth - 1)}"
            return f"where({condition}, {self.text(depth - 1)}, {self.text(depth - 1)})"
        return f"{self.one_of('-~')}{self.text(depth - 1)}"

    def varying(self, depth: int) -> str:
        """An expression with an operand in it: numexpr gives functions of constants odd kinds."""
        return next(text for text in iter(lambda: self.text(depth), None) if re.search(r"\b[abc]\b", text))

    def expression(self) -> str:
        text = self.varying(int(self.rng.integers(1, 4)))
        if self.rng.random() < 0.12:
            axis = self.one_of(("", ", axis=0", ", axis=1"))
            return f"{self.one_of(('sum', 'prod', 'min', 'max'))}({text}{axis})"
        return text

    def values(self, kind: str, shape: tuple[int, ...]) -> Any:
        dtype = np.dtype(kind)
        if dtype.kind == "b":
            return self.rng.random(shape) > 0.5
        if dtype.kind in "iu":
            return self.rng.integers(-9 if dtype.kind == "i" else 0, 10, shape).astype(dtype)
        parts = np.round(self.rng.normal(size=(2, *shape)) * 3, 2)
        return (parts[0] + 1j * parts[1] if dtype.kind == "c" else parts[0]).astype(dtype)

    def operand(self) -> Any:
        """An array that broadcasts to (4, 5), laid out in one of the ways that arrays are."""
        kind = self.one_of(KINDS)
        match self.one_of(("C", "F", "reversed", "stepped", "row", "column", "scalar", "packed", "unaligned")):
            case "C":
                return self.values(kind, (4, 5))
            case "F":
                return np.asfortranarray(self.values(kind, (4, 5)))
            case "reversed":
                return self.values(kind, (4, 5))[::-1, ::-1]
            case "stepped":
                return self.values(kind, (8, 15))[::2, ::3]
            case "row":
                return self.values(kind, (5,))
            case "column":
                return self.values(kind, (4, 1))
            case "scalar":
                return self.values(kind, ())
            case "packed":
                record = np.zeros((4, 5), [("x", "i1"), ("y", kind)])
                record["y"] = self.values(kind, (4, 5))
                return record["y"]
        values = self.values(kind, (4, 5))
        memory = np.zeros(values.nbytes + 1, "u1")[1:].view(values.dtype).reshape(4, 5)
        memory[...] = values
        return memory

    def operands(self) -> dict[str, Any]:
        return {name: self.operand() for name in "abc"}
