"""Functions that numexpr has not: NumPy's, by their names, on elements and over axes; subscripts of constants.

Such a node is a `FuncNode` named `numpy`; its first child says which function, and what it is given beside operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from arrayexpr._core.errors import ArrayExprError
from arrayexpr._core.nodes import Cast, Node, Operand
from arrayexpr.functions import function as function_of
from arrayexpr.symbolic import strong

from .expressions import ExpressionNode, FuncNode, RawNode, isConstant, node_of
from .kinds import kind_of, map_type

#: What a node's value is where it is one of these.
NUMPY: Final = "numpy"
_SUBSCRIPT: Final = "[]"
# Of operands of this rank the type of a result is asked for: any axis or subscript that an array has, these have.
_RANK: Final = 16


def function(name: str) -> Callable[..., ExpressionNode] | None:
    """NumPy's function of that name on nodes, or None where there is none that a kernel can compute.

    >>> function("logaddexp")(node_of(1.0), node_of(2.0)).astKind
    'double'
    """
    if _numpys(name) is None:
        return None

    def called(*args: Any, **keywords: Any) -> ExpressionNode:
        for key, value in keywords.items():
            if isinstance(value, ExpressionNode):
                raise TypeError(f"argument {key!r} of {name} is a variable: expected a constant")
        operands = [node_of(arg) for arg in args if isinstance(arg, ExpressionNode) or isConstant(arg)]
        if len(operands) != len(args):
            raise TypeError(f"{name}() takes operands by place: got {[arg for arg in args if not isConstant(arg)]}")
        return _node(name, operands, tuple(keywords.items()))

    return called


def _numpys(name: str) -> Callable[..., Any] | None:
    return _lcm if name == "lcm" else function_of(name)


def _lcm(x: Any, y: Any) -> Any:
    """NumPy's, of what there is an operator for."""
    divisor = np.gcd(x, y)
    return np.where(divisor == 0, divisor, np.abs(x) // np.maximum(divisor, 1) * np.abs(y))


def subscript(node: ExpressionNode, index: Any) -> ExpressionNode:
    """The node of `node[index]`, for an index of ints, slices, None and ..."""
    return _node(_SUBSCRIPT, [node], index)


def _node(name: str, operands: Sequence[ExpressionNode], more: Any) -> ExpressionNode:
    for operand in operands:
        if operand.astKind == "bytes":
            raise TypeError(f"{name} takes numbers: got strings")
    samples: list[Node] = [Operand(f"x{k}", map_type(o.astKind).array(_RANK)) for k, o in enumerate(operands)]
    kind = kind_of(_computed(name, samples, more).type.element.dtype)
    return FuncNode(NUMPY, (RawNode((name, more)), *operands), kind)


def _computed(name: str, nodes: Sequence[Node], more: Any) -> Node:
    arrays = [strong(node) for node in nodes]
    if name == _SUBSCRIPT:
        made: Node = arrays[0][more].node
        return made
    try:
        value = _numpys(name)(*arrays, **dict(more))  # type: ignore[misc]
    except TypeError as error:
        if isinstance(error, ArrayExprError):
            raise
        raise TypeError(f"{name}() does not take these arguments: {error}") from None
    if isinstance(value, tuple):
        raise TypeError(f"{name}() gives {len(value)} arrays: expected a function that gives one")
    made = value.node
    return made


def computed(host: Any, nodes: Sequence[Node]) -> Node:
    """Our tree for such a node of the host on our trees for its operands, of the node's kind."""
    name, more = host.children[0].value
    value = _computed(name, nodes, more)
    to = map_type(host.astKind)
    return value if value.type.element is to else Cast(value, to)
