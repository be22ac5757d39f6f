"""How values read arrays: the streams of a region, and what has to be computed before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ShapeMismatch
from ..nodes import (
    Apply,
    Call,
    Cast,
    Constant,
    Extent,
    Function,
    Node,
    Operand,
    Reduce,
    Slice,
    View,
    postorder,
    rebuild,
    transform,
)
from ..primitives import reduces
from ..record import record


@record
class Source:
    """An array to read: a slot, and the views on it, innermost last; or the length of one of the slot's axes."""

    slot: str
    views: tuple[View, ...] = ()
    length: int | None = None

    def array(self, slots: dict[str, Any]) -> Any:
        """The array that the views give of the slot's."""
        array = slots[self.slot]
        if self.length is not None:
            return np.asarray(array.shape[self.length], np.int64)
        for view in self.views:
            if view.order is not None:
                array = array.transpose(view.order)
            else:
                items = tuple(x if x is None or isinstance(x, int) else slice(*x) for x in view.subscripts)
                try:
                    array = array[(*items, ...)]
                except IndexError as error:
                    raise ShapeMismatch(f"view of {self.slot}, of shape {slots[self.slot].shape}: {error}") from None
        return array


def source_or_none(node: Node) -> Source | None:
    """The array that a chain of views of an operand is."""
    views = []
    while isinstance(node, View):
        views.append(node)
        node = node.arg
    return Source(node.name, tuple(reversed(views))) if isinstance(node, Operand) else None


def source_of(node: Node) -> Source:
    """The array that a chain of views of an operand is, of a node that is one."""
    source = source_or_none(node)
    assert source is not None, node
    return source


def placed(node: Node, at: tuple[int, ...], rank: int) -> Node:
    """The view of an array that has its axes at the places `at` of `rank`, as far as broadcasting needs it."""
    order = sorted(range(len(at)), key=lambda k: at[k])
    if order != list(range(len(at))):
        node = View(node, None, tuple(order))
    first = min(at, default=rank)
    if rank - first != len(at):
        node = View(node, tuple(Slice() if axis in at else None for axis in range(first, rank)))
    return node


class Cut(Exception):
    """Nodes that no region computes in the midst of others: they are to be computed before it."""

    def __init__(self, nodes: Sequence[Node]):
        self.nodes = nodes


class Reading:
    """Values over one shape as scalar expressions over streams, which are made by `stream(node, at)`.

    `node` is a view of an array with its axes in place, or a length, and `at` the axes of the shape that it has.
    `rank` is that of the shape, `reduced` the axes over which its reductions go.
    """

    def __init__(self, rank: int, reduced: tuple[int, ...], stream: Callable[[Node, tuple[int, ...]], Operand]):
        self.rank = rank
        self.reduced = reduced
        self.kept = tuple(k for k in range(rank) if k not in reduced)
        self.stream = stream

    def scalar(self, value: Node, target_rank: int) -> Node:
        """The scalar expression for a value; of a rank below the shape's it has only the kept axes.

        A reduction in it is one over no axes. Raises Cut.
        """
        if target_rank == self.rank and _plain(value):
            return transform((value,), self._leaf)[value]
        full = tuple(range(self.rank))
        at = full if target_rank == self.rank else self.kept
        return self._walk(value, at[len(at) - value.type.rank :])

    def _leaf(self, node: Node) -> Node | None:
        return None if source_or_none(node) is None else self.stream(node, self._last(node.type.rank))

    def _last(self, count: int) -> tuple[int, ...]:
        return tuple(range(self.rank - count, self.rank))

    def _walk(self, root: Node, at: tuple[int, ...]) -> Node:
        done: dict[tuple[Node, tuple[int, ...]], Node] = {}
        cuts: dict[Node, None] = {}
        stack = [(root, at)]
        while stack:
            node, places = stack[-1]
            wanted = self._children(node, places, cuts)
            missing = [child for child in wanted if child not in done]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            done[node, places] = self._built(node, places, [done[child] for child in wanted])
        if cuts:
            raise Cut(list(cuts))
        return done[root, at]

    def _children(self, node: Node, at: tuple[int, ...], cuts: dict[Node, None]) -> list[tuple[Node, tuple[int, ...]]]:
        """What a node at some axes of the shape is computed from, and at which axes; `cuts` gets what cannot be."""
        if isinstance(node, Constant | Extent) or source_or_none(node) is not None:
            return []
        if isinstance(node, View):
            if node.order is not None:
                inner = [0] * len(node.order)
                for place, axis in zip(at, node.order, strict=True):
                    inner[axis] = place
                return [(node.arg, tuple(inner))]
            if all(item is None or item == Slice() for item in node.subscripts):
                return [(node.arg, tuple(p for p, item in zip(at, node.subscripts, strict=True) if item is not None))]
            cuts[node.arg] = None
            return []
        if isinstance(node, Apply | Cast):
            return [(child, at[len(at) - child.type.rank :]) for child in node.args]
        if isinstance(node, Call):
            return [(child, at[len(at) - child.type.rank :]) for child in node.arguments]
        if isinstance(node, Reduce) and tuple(sorted(node.axes)) == self.reduced and node.arg.type.rank == self.rank:
            kept = tuple(at[k] for k in self.kept) if node.keepdims else at
            if kept == self.kept:
                return [(node.arg, tuple(range(self.rank)))]
        cuts[node] = None
        return []

    def _built(self, node: Node, at: tuple[int, ...], args: list[Node]) -> Node:
        if isinstance(node, Constant):
            return node
        if isinstance(node, Extent):
            return self.stream(node, ())
        if source_or_none(node) is not None:
            return self.stream(placed(node, at, self.rank), at)
        if not args:
            # To be cut: nothing is made of the whole.
            return node
        if isinstance(node, View):
            return args[0]
        if isinstance(node, Reduce):
            return Reduce(node.op, args[0], (), True)
        if isinstance(node, Call):
            return Call(node.function, tuple(args))
        return rebuild(node, tuple(args))

    def spans(self, value: Node, target_rank: int) -> bool:
        """Whether a value varies along the reduced axes: whether it is more than what the reductions give."""
        full = tuple(range(self.rank))
        at = full if target_rank == self.rank else self.kept
        stack = [(value, at[len(at) - value.type.rank :])]
        seen = set(stack)
        while stack:
            node, at = stack.pop()
            if source_or_none(node) is not None:
                if any(place in self.reduced for place in at):
                    return True
                continue
            if isinstance(node, Reduce):
                continue
            for child in self._children(node, at, {}):
                if child not in seen:
                    seen.add(child)
                    stack.append(child)
        return False


def _plain(value: Node) -> bool:
    """Whether a value is element-wise over arrays and views of arrays."""
    nodes = postorder((value,))
    return all(
        isinstance(n, Constant | Operand | Apply | Cast | Call | Function)
        or (isinstance(n, View) and source_or_none(n) is not None)
        for n in nodes
    )


def reductions(value: Node) -> list[Reduce]:
    """The reductions of a value, each after those within it."""
    return [node for node in postorder((value,)) if isinstance(node, Reduce)]


def has_fold(node: Reduce) -> bool:
    """Whether a region computes a reduction."""
    return reduces(node.op, node.arg.type.element, node.type.element, len(node.axes))


def innermost(value: Node) -> list[Reduce]:
    """The reductions of a value that have none within."""
    over: set[Node] = set()
    found = []
    for node in postorder((value,)):
        within = any(child in over for child in node.args)
        if isinstance(node, Reduce) and not within:
            found.append(node)
        if within or isinstance(node, Reduce):
            over.add(node)
    return found
