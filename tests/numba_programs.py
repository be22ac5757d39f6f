"""Random functions of array statements for Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

UNARY = ("np.sqrt", "np.exp", "-", "np.abs", "np.sin")
BINARY = ("+", "-", "*", "/", "np.add", "np.multiply", "np.maximum", "//", "%", "<", "np.subtract", "+", "*", "**")
WHOLE = ("+", "-", "*", "np.add", "np.multiply", "np.maximum", "&", "|", "^", "//", "<", "np.subtract", "+", "*", ">>")
#: What is continuous: a rounding more or less makes no other result of it.
SMOOTH_UNARY, SMOOTH = ("-", "np.abs", "np.sin"), ("+", "-", "*", "np.add", "np.multiply", "np.maximum", "np.subtract")
CALLS = ("where", "where", "clip", "method", "astype", "user")
DTYPES = ("f8", "f8", "f4", "i8", "i4", "u1", "i2", "c16", "c8", "?")


class Source:
    """Makes the text of a function of `arrays` (name to dtype) of `rank` axes and scalars `k` and `x`."""

    def __init__(
        self, rng: np.random.Generator, arrays: dict[str, str], in_place: bool, rank: int = 1, calls: bool = False,
        smooth: bool = False,
    ):  # fmt: skip
        self.rng, self.arrays, self.in_place, self.rank = rng, arrays, in_place, rank
        self.locals: list[str] = []
        #: Whether all that it computes is continuous, and of floating-point numbers.
        self.smooth = smooth
        #: Whether it calls functions that are no ufuncs, and reduces; what the results of reductions are called.
        self.calls = calls and not any(kind[0] in "c?b" for kind in arrays.values())
        self.ends: list[str] = []

    def pick(self, among: Any) -> Any:
        return among[int(self.rng.integers(len(among)))]

    def leaf(self) -> str:
        if self.rng.random() < 0.12:
            return self.pick(("k", "x", "2", "1.5", "3"))
        return self.array()

    def array(self) -> str:
        return str(self.pick([*self.arrays, *self.locals]))

    def expression(self, depth: int) -> str:
        if depth == 0:
            return self.leaf()
        choice = self.rng.random()
        plain = all(kind[0] == "f" for kind in self.arrays.values())
        if choice < 0.15:
            unary = self.pick(SMOOTH_UNARY if self.smooth else UNARY if plain else ("-",))
            return f"{unary}({self.expression(depth - 1)})"
        if choice < 0.3 and self.calls:
            return self.call(depth)
        op = self.pick(SMOOTH if self.smooth else BINARY if plain else WHOLE)
        one, two = self.expression(depth - 1), self.array() if depth == 1 else self.expression(depth - 1)
        if op == ">>":
            # By a negative number it is what the machine's instruction makes of it.
            two = "k"
        return f"{op}({one}, {two})" if op.startswith("np.") else f"({one} {op} {two})"

    def call(self, depth: int) -> str:
        """A function that is no ufunc; bounds of a shape of their own are plain Numba's memory errors."""
        one, two = self.expression(depth - 1), self.array() if depth == 1 else self.expression(depth - 1)
        choice = self.pick(("clip", "method") if self.smooth else CALLS)
        if choice == "where":
            return f"np.where({self.array()} {self.pick('<>')} {two}, {one}, {two})"
        if choice == "clip":
            return f"np.clip({self.array()} + {two}, {self.pick(('k', 'x', '-1', 'None'))}, {self.pick('xk3')})"
        if choice == "method":
            return f"({two} * {self.array()}).clip({self.pick('1k')}, {self.pick(('3', 'x'))})"
        if choice == "astype":
            return f"({two} + {self.array()}).astype(np.{self.pick(('float32', 'float64', 'complex64'))})"
        return f"user({two}, {self.array()})"

    def reduction(self, count: int) -> str:
        """A reduction, or two of one array."""
        name, two = self.pick(("sum", "sum", "mean", "prod", "min", "max", "any", "all")), self.expression(2)
        if name in ("prod", "mean", "min", "max") and self.rng.random() < 0.4:
            name = {"prod": "var", "mean": "std", "min": "argmin", "max": "argmax"}[name]
        if self.smooth and name in ("prod", "any", "all", "argmin", "argmax"):
            name = "sum"
        value = f"({two} + {self.array()})"
        if name == "sum" and self.rng.random() < 0.6:
            axis = int(self.rng.integers(-self.rank, self.rank))
            value = f"np.sum({value}, axis={axis})" if self.rng.random() < 0.5 else f"{value}.sum({axis})"
            if self.rank > 1:
                # It has fewer axes: arrays of as many are few.
                self.ends.append(f"r{count}")
                return f"r{count} = {value}"
        elif name in ("any", "all"):
            value = f"np.{name}({value} > {self.array()})"
        else:
            value = f"np.{name}({value})" if self.rng.random() < 0.5 else f"{value}.{name}()"
        self.ends.append(f"r{count}")
        return f"r{count} = {value}"

    def statement(self, count: int) -> str:
        if self.calls and self.rng.random() < 0.25:
            return self.reduction(count)
        choice = self.rng.random()
        value = self.expression(int(self.rng.integers(1, 4)))
        if choice < 0.45:
            name = f"t{count}"
            text = f"{name} = {value} + {self.array()}"
            self.locals.append(name)
            return text
        target = self.pick(("out", "out", "a"))
        if choice < 0.7 or not self.in_place:
            return f"{target}[{self.pick((':', ':', '...', ':', '1:'))}] = {value}"
        if choice < 0.85:
            return f"{target} {self.pick(('+=', '-=', '*='))} {self.leaf()}"
        ufunc = self.pick(("np.add", "np.multiply", "np.maximum"))
        return f"{ufunc}({self.array()}, {self.leaf()}, {target})"

    def text(self, statements: int) -> str:
        lines = [f"    {self.statement(count)}" for count in range(statements)]
        results = [name for name in self.locals if self.rng.random() < 0.4] + self.ends
        if self.rng.random() < 0.2:
            # A new array between statements, and what is computed for a later one: neither ends what is fused.
            place = int(self.rng.integers(len(lines) + 1))
            lines.insert(int(self.rng.integers(place, len(lines) + 1)), f"    w[:] = a * {self.pick(('k', '2'))}")
            lines.insert(place, f"    w = np.{self.pick(('empty_like', 'zeros_like'))}(a)")
            results.append("w")
        if self.rng.random() < 0.2:
            lines.insert(int(self.rng.integers(len(lines) + 1)), "    x = min(x, 3.0) + np.sqrt(len(a) * 0.5)")
        lines.append(f"    return ({''.join(f'{name}, ' for name in results)})" if results else "    return None")
        return f"def f({', '.join(self.arrays)}, k, x):\n" + "\n".join(lines) + "\n"
