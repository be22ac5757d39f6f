"""Which variables a loop sets, and whether what it sets is read where another iteration, or what follows, runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from Cython.Compiler import ExprNodes, Nodes


class Flow:
    """What Cython's analysis of the flow of control knows about the variables that a loop sets.

    Nodes are known by their place in the source: later stages of Cython's copy them.
    """

    def __init__(self, loop: Any):
        self.places: dict[Any, set[Any]] = {}
        #: Every variable that the loop sets, in order.
        self.assigned: dict[Any, None] = {}
        for node, target in _names(loop, False):
            self.places.setdefault(node.entry, set()).add(node.pos)
            if target:
                self.assigned[node.entry] = None

    def handed_in(self, entry: Any) -> bool:
        """Whether the loop may read what was set before it."""
        places = self.places.get(entry, set())
        return any(
            getattr(assignment, "pos", None) not in places
            for reference in entry.cf_references
            if reference.pos in places
            for assignment in reference.node.cf_state or (None,)
            if isinstance(assignment, type) is False
        )

    def handed_on(self, entry: Any) -> bool:
        """Whether what the loop sets may be read after it."""
        places = self.places.get(entry, set())
        return any(
            getattr(assignment, "pos", None) in places
            for reference in entry.cf_references
            if reference.pos not in places
            for assignment in reference.node.cf_state or ()
        )


def _names(node: Any, target: bool) -> Iterator[tuple[Any, bool]]:
    """The names in a tree, and whether each is one that is assigned."""
    if isinstance(node, ExprNodes.NameNode):
        yield node, target
    for attribute in node.child_attrs or ():
        child = getattr(node, attribute, None)
        assigns = attribute in ("lhs", "target") and isinstance(
            node, Nodes.AssignmentNode | Nodes.ForFromStatNode | Nodes.ParallelRangeNode | Nodes.ForInStatNode
        )
        for each in child if isinstance(child, list) else [child]:
            if isinstance(each, Nodes.Node):
                yield from _names(each, assigns and isinstance(each, ExprNodes.NameNode))
