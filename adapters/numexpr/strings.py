"""Comparisons of bytes strings: NumPy computes them, and a program reads the results as operands of type bool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .expressions import OpNode, VariableNode
from .kinds import CODES
from .operations import missing
from .translate import nodes_of


def _contains(text: Any, part: Any) -> Any:
    return np.strings.find(text, part) >= 0


_COMPARED: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "eq": np.equal, "ne": np.not_equal, "gt": np.greater, "ge": np.greater_equal, "contains": _contains,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """Operand `name` is what `function` gives of two strings, each a variable's name or a constant."""

    name: str
    function: Callable[[Any, Any], Any]
    sides: tuple[Any, Any]

    def value(self, variables: Mapping[str, Any]) -> Any:
        """An array of bools, of the strings' broadcast shape."""
        x, y = (variables[side] if isinstance(side, str) else side for side in self.sides)
        return np.asarray(self.function(x, y))


def split(tree: Any) -> tuple[Any, list[Comparison]]:
    """The tree with variables of kind bool for comparisons of strings, and those comparisons.

    Raises NotImplementedError for other operations on strings, TypeError for an expression whose value is one.
    """
    new: dict[int, Any] = {}
    found: list[Comparison] = []
    for node in nodes_of(tree):
        children = [new[id(child)] for child in node.children]
        new[id(node)] = node
        kinds = [child.astKind for child in node.children]
        if "bytes" in kinds:
            codes = "".join(CODES[kind] for kind in kinds)
            if node.value not in _COMPARED or codes != "ss":
                raise missing(node.value, CODES[node.astKind] + codes)
            name = f"_strings{len(found)}"
            x, y = (side(child) for child in node.children)
            found.append(Comparison(name, _COMPARED[node.value], (x, y)))
            new[id(node)] = VariableNode(name, "bool")
        elif any(a is not b for a, b in zip(children, node.children, strict=True)):
            new[id(node)] = OpNode(node.value, children, node.astKind)
    return new[id(tree)], found


def side(node: Any) -> Any:
    """What a string is: the name of a variable, or an array of rank 0."""
    if node.astType == "variable":
        return node.value
    if node.astType == "constant":
        return np.asarray(node.value.encode("ascii") if isinstance(node.value, str) else node.value)
    if node.value == "copy":
        return side(node.children[0])
    codes = "".join(CODES[child.astKind] for child in node.children)
    raise missing(node.value, CODES[node.astKind] + codes)
