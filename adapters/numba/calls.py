"""NumPy's functions and methods that compute element by element, as expressions over Numba's scalar operations.

What each computes is what Numba's own code for it does to an element: `np.clip` compares as Python's `max` and `min`
do, and brings a bound that is a number to the array's type where the other bound is an array.
"""

from __future__ import annotations

import operator as python
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba.core import ir
from numba.core.typing import signature

from arrayexpr._core.nodes import Apply, Node

from . import operators
from .kinds import host_type, map_type, mapped, types
from .refusal import Refused


@dataclass
class Known:
    """A function that is known: its parameters by name, of which the first `needed` have to be given."""

    name: str
    parameters: tuple[str, ...]
    needed: int = 1


_CLIP: Final = Known("clip", ("a", "a_min", "a_max", "out"))
FUNCTIONS: Final[Mapping[Any, Known]] = {
    np.where: Known("where", ("condition", "x", "y"), 3),
    np.clip: _CLIP,
}
#: What Numba says of shapes that do not fit, of operands and of `out`.
UNEQUAL: Final = "shape mismatch: objects cannot be broadcast to a single shape"
UNEQUAL_OUT: Final = "clip: the shape of the 'out' array does not match the shape of the result"
METHODS: Final[Mapping[str, Known]] = {"clip": _CLIP, "astype": Known("astype", ("a", "dtype"), 2)}


def given(known: Known, args: Sequence[ir.Var], keywords: Sequence[tuple[str, ir.Var]]) -> dict[str, ir.Var]:
    """By parameter, what a call gives; raises Refused for a call that is not of this form."""
    found = dict(zip(known.parameters, args, strict=False))
    named = dict(keywords)
    if len(args) > len(known.parameters) or found.keys() & named.keys() or not named.keys() <= set(known.parameters):
        raise Refused(f"a call of {known.name} with other arguments than {', '.join(known.parameters)}")
    found.update(named)
    if any(name not in found for name in known.parameters[: known.needed]):
        raise Refused(f"a call of {known.name} with fewer arguments than {known.needed}")
    return found


def methods_next_to_calls(
    body: list[Any], typemap: Mapping[str, Any], uses: Mapping[str, int], known: Any
) -> list[Any]:
    """A block's body where looking up a known method of an array stands right before the method's one call.

    Keeps: what it computes, as looking up a method does nothing, of a variable that is not assigned in between.
    """
    calls = {
        inst.value.func.name: place
        for place, inst in enumerate(body)
        if isinstance(inst, ir.Assign) and isinstance(inst.value, ir.Expr) and inst.value.op == "call"
    }
    moved: dict[int, int] = {}
    for place, inst in enumerate(body):
        if not is_method(inst, typemap, known) or uses[inst.target.name] != 1:
            continue
        to = calls.get(inst.target.name, -1)
        between = body[place + 1 : to]
        if to > place and not any(isinstance(x, ir.Assign) and x.target.name == inst.value.value.name for x in between):
            moved[to] = place
    if not moved:
        return body
    gone = set(moved.values())
    result = []
    for place, inst in enumerate(body):
        if place in moved:
            result.append(body[moved[place]])
        if place not in gone:
            result.append(inst)
    return result


def is_method(inst: Any, typemap: Mapping[str, Any], known: Any) -> bool:
    """Whether an instruction looks up a known method of an array."""
    if not (isinstance(inst, ir.Assign) and isinstance(inst.value, ir.Expr) and inst.value.op == "getattr"):
        return False
    bound = typemap.get(inst.target.name)
    return isinstance(bound, types.BoundFunction) and type(bound.this) is types.Array and inst.value.attr in known


class Select(operators.Meaning):
    """One of two values by a third: `key` is the Numba types of all three, and that of the result."""

    arity, cost = 3, operators.CHEAP

    def __init__(self, condition: Any, x: Any, y: Any, wanted: Any):
        self.key = (condition, x, y, wanted)
        self.condition, self.x, self.y, self.wanted = self.key
        self.kind = mapped(wanted)
        self.name = "numba.where"

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        holds = context.is_true(builder, self.condition, values[0])
        x = context.cast(builder, values[1], self.x, self.wanted)
        y = context.cast(builder, values[2], self.y, self.wanted)
        return builder.select(holds, x, y)

    def python(self) -> Any:
        wanted = self.kind.dtype.type
        return lambda condition, x, y: wanted(x) if condition else wanted(y)


class Extreme(operators.Meaning):
    """Python's `max` or `min` of two values: `key` is which, their Numba types, and the one that they are compared in.

    Of equals, and where one is NaN, it is the first.
    """

    arity, cost = 2, operators.CHEAP

    def __init__(self, function: Any, one: Any, two: Any, common: Any):
        self.key = (function, one, two, common)
        self.function, self.one, self.two, self.common = self.key
        self.kind = mapped(common)
        self.name = f"numba.{function.__name__}"

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        one, two = (
            context.cast(builder, value, kind, self.common)
            for value, kind in zip(values, (self.one, self.two), strict=True)
        )
        compare = python.gt if self.function is max else python.lt
        sig = signature(types.boolean, self.common, self.common)
        return builder.select(context.get_function(compare, sig)(builder, (two, one)), two, one)

    def python(self) -> Any:
        function, wanted = self.function, self.kind.dtype.type
        return lambda one, two: function(wanted(one), wanted(two))


class Maker:
    """Builds the nodes of a call; `leaf` gives the operand that a variable is, `typemap` Numba's types."""

    def __init__(self, leaf: Callable[[ir.Var], Node], typemap: Mapping[str, Any], typing: Any):
        self.leaf, self.typemap, self.typing = leaf, typemap, typing

    def make(self, name: str, args: Mapping[str, ir.Var], element: Any) -> Node:
        """The value, of Numba's element type `element`, of a call of a known function."""
        node: Node = getattr(self, name)(args, element)
        return operators.converted(node, element)

    def where(self, args: Mapping[str, ir.Var], element: Any) -> Node:
        nodes = [self.leaf(args[name]) for name in ("condition", "x", "y")]
        kinds = [host_type(node.type.element) for node in nodes]
        return Apply(operators.row(Select, (*kinds, element)), tuple(nodes))

    def astype(self, args: Mapping[str, ir.Var], element: Any) -> Node:
        return self.leaf(args["a"])

    def clip(self, args: Mapping[str, ir.Var], element: Any) -> Node:
        node = self.leaf(args["a"])
        low, high = (self.bound(args.get(name)) for name in ("a_min", "a_max"))
        if low is None and high is None:
            raise Refused("np.clip without bounds")
        if low is not None and high is not None and bool(low.type.rank) != bool(high.type.rank):
            kind = host_type(node.type.element)
            low, high = (each if each.type.rank else operators.converted(each, kind) for each in (low, high))
        if low is not None:
            node = self.of_two(max, node, low)
        return node if high is None else self.of_two(min, node, high)

    def bound(self, var: ir.Var | None) -> Node | None:
        if var is None or isinstance(self.typemap[var.name], (types.NoneType, types.Omitted)):
            return None
        if isinstance(self.typemap[var.name], types.Boolean):
            raise Refused("np.clip with a bound that is a bool")
        return self.leaf(var)

    def of_two(self, function: Any, one: Node, two: Node) -> Node:
        kinds = [host_type(node.type.element) for node in (one, two)]
        common = self.typing.unify_types(*kinds)
        if common is None or map_type(common) is None or isinstance(common, types.Complex):
            raise Refused(f"{function.__name__} of {', '.join(map(str, kinds))}")
        return Apply(operators.row(Extreme, (function, *kinds, common)), (one, two))
