"""Random functions of loops over elements for Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

RANGES = ("0, n", "1, n - 1", "n - 1, -1, -1", "2, n, 2", "0, n - 2", "n - 2, 0, -2")
OPERATORS = ("+", "-", "*")


class Nest:
    """Makes the text of a function of arrays `a`, `b`, `r`, `s` (two axes), `c` (one), scalars `k`, `x` and lengths."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def pick(self, among: Any) -> Any:
        return among[int(self.rng.integers(len(among)))]

    def place(self, shift: bool) -> str:
        """A subscript of two axes: `i` goes along the first."""
        i, j = (f"{name}{self.pick(('', '', '', ' + 1', ' - 1')) if shift else ''}" for name in "ij")
        return f"[{i}, {j}]" if self.rng.random() < 0.85 else f"[{i}][{j}]"

    def leaf(self) -> str:
        choice = self.rng.random()
        if choice < 0.12:
            return str(self.pick(("k", "x", "2", "1.5")))
        if choice < 0.25:
            return str(self.pick(("c[j]", "c[i]", "a[0, j]", "b[i, 0]", "a[j, i]", "c[-1]")))
        if choice < 0.32:
            return str(self.pick(("i", "j", "i * j", "(j - i)", "float(i)")))
        return f"{self.pick('aabrs')}{self.place(self.rng.random() < 0.3)}"

    def value(self, depth: int) -> str:
        if depth == 0:
            return self.leaf()
        choice = self.rng.random()
        if choice < 0.08:
            return f"abs({self.value(depth - 1)})"
        if choice < 0.14:
            return f"max({self.value(depth - 1)}, {self.leaf()})"
        return f"({self.value(depth - 1)} {self.pick(OPERATORS)} {self.leaf()})"

    def statement(self, number: int, pad: str) -> list[str]:
        target = f"{self.pick('rrs')}{self.place(self.rng.random() < 0.1)}"
        value = self.value(int(self.rng.integers(1, 4)))
        choice = self.rng.random()
        if choice < 0.2:
            return [f"{pad}t{number} = {value}", f"{pad}{target} = t{number} {self.pick(OPERATORS)} {self.leaf()}"]
        if choice < 0.35:
            return [f"{pad}{target} {self.pick(OPERATORS)}= {value}"]
        if choice < 0.5:
            test = self.pick(("i > 0", "j < n - 1", "i >= 1 and j > 1", "a[i, j] > x"))
            found = [f"{pad}if {test}:", f"{pad}    {target} = {value}"]
            return found + [f"{pad}else:", f"{pad}    {target} = {self.leaf()}"] if self.rng.random() < 0.7 else found
        return [f"{pad}{target} = {value}"]

    def text(self) -> str:
        outer, inner = ("ij", "ji")[int(self.rng.integers(2))]
        lines = ["def f(a, b, r, s, c, k, x):", "    n, m = a.shape"]
        bounds = {"i": "n", "j": "m"}
        for name, pad in ((outer, "    "), (inner, "        ")):
            lines.append(f"{pad}for {name} in range({self.pick(RANGES).replace('n', bounds[name])}):")
        for number in range(int(self.rng.integers(1, 4))):
            last = len(lines)
            lines += self.statement(number, " " * 12)
        if self.rng.random() < 0.25:
            lines.insert(2, f"    total = {self.pick(('0.0', '1.5', 'x'))}")
            place = last + 1 if self.rng.random() < 0.5 else len(lines)
            lines.insert(place, f"            total {self.pick(('+=', '+=', '*='))} {self.value(1)}")
            return "\n".join(lines) + "\n    return total\n"
        if self.rng.random() < 0.2:
            return "\n".join(lines) + "\n    return i, j\n"
        return "\n".join(lines) + "\n"
