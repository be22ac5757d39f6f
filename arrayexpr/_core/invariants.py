"""What a loop computes anew in each iteration though it is always the same."""

from __future__ import annotations

from collections.abc import Sequence

from .infer import PURE, effects, operations
from .nodes import EFFECTS, Assign, Constant, Contract, Extent, Index, Node, Opaque, Operand, Reduce, View, postorder
from .touches import touches

#: Operations for each element that are worth an array to keep their result in: below, reading that costs as much.
_WORTH = 4


def invariant_values(body: Sequence[Node], index: Operand | Index) -> list[Node]:
    """The largest values in the statements of a loop that are the same in every iteration, and worth keeping.

        for k: u[k] = u[k - 1] * exp(a)     →     exp(a)

    They have no effect, and read nothing that the body assigns or lets a function of the host write.
    """
    written: set[str] = {index.name}
    for statement in body:
        touched = touches(statement)
        if touched.writes is None:
            return []
        written |= touched.writes
    found: dict[Node, None] = {}
    varies: dict[Node, bool] = {}
    for statement in body:
        if not isinstance(statement, Assign):
            continue
        for node in postorder((statement.value,)):
            varies[node] = (
                isinstance(node, Index)
                or (isinstance(node, Operand) and node.name in written)
                or effects(node) != PURE
                or any(varies[child] for child in node.args)
            )
        stack = [statement.value]
        seen = set(stack)
        while stack:
            node = stack.pop()
            if not varies[node] and _is_worth(node):
                found[node] = None
                continue
            if isinstance(node, EFFECTS):
                # What stands in an effect runs as often as that.
                continue
            fresh = [child for child in node.args if child not in seen]
            seen.update(fresh)
            stack.extend(fresh)
    return list(found)


def _is_worth(node: Node) -> bool:
    if isinstance(node, (Constant, Operand, Extent, View)):
        return False
    nodes = postorder((node,))
    if any(isinstance(n, (Reduce, Contract, Opaque)) for n in nodes):
        return True
    return bool(node.type.rank and operations(node) >= _WORTH)
