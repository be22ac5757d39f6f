"""Windows on computed values become values computed from windows, where computing again costs less than memory."""

from __future__ import annotations

from typing import Final

from ..infer import PURE, cost, effects, lengths
from ..nodes import (
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Extent,
    Function,
    Node,
    Operand,
    Slice,
    View,
    postorder,
    rebuild,
)
from ..program import Program
from ..windows import composed, is_full

#: Operations an element that computing one operator again may cost in all, beside the first time. A value that is kept
#: is stored and loaded, from memory where it is large: some 0.5 ns an element, ten operations of a vector loop.
#: Measured on horizontal diffusion (256 x 256 x 80) and Harris' corners (2048 x 2048): see benchmarks/literature.py.
AGAIN: Final = 12.0
#: Windows of one value beyond which it is kept: each is a stream of the loops that read it.
WINDOWS: Final = 12

#: In operations, what a load of a window takes, a store and a load of a value that is kept, and what keeping values has
#: to save at the least. In ms, computed again and kept, of 1000 x 1000 and of 4000 x 4000: a Laplacian of a Laplacian,
#: where 21 are saved, 0.62 and 0.33, 9.3 and 8.3; smoothing along both axes, 11, 0.29 and 0.26, 6.7 and 6.9; limited
#: fluxes of a Laplacian, 8, 0.45 and 0.53, 7.2 and 9.1.
LOAD, STORE, SAVED = 1.0, 2.0, 12.0
#: The axes of a value that is kept to save work: its rows stay in the second cache until they are read, as regions in
#: a row run by blocks of rows. Planes do not stay there: horizontal diffusion 3.9 and 7.0 ms.
RANK: Final = 2
#: Nodes that are visited to choose, at the most.
VISITS: Final = 20_000

#: A slice for each axis.
_Window = tuple[Slice, ...]


def sink_views(program: Program) -> Program:
    """Move views of computed values to the operands that they are computed from.

        flux = b[1:] - b[:-1]                r[...] = (b[2:] - b[1:-1]) - (b[1:-1] - b[:-2])
        r[...] = flux[1:] - flux[:-1]   →

    A region is then one sweep that stores nothing between. A value that costs too much to compute once more for each
    of its windows keeps its views: it is stored first. So do values of two axes where that saves work in all, such as
    the sums of columns in a sum over 3 x 3. So does one that broadcasts along an axis that is sliced, as far as
    lengths are known.

    Keeps: op(x, y)[i + s] == op(x[i + s], y[i + s]).
    Requires: nothing.
    """
    values = [s.value for s in program.statements if isinstance(s, Assign)]
    order = postorder(values)
    if not any(_is_window(node) and not _is_source(node.arg) for node in order):  # type: ignore[attr-defined]
        return program
    sunk = _chosen(values, order)
    if not sunk:
        return program
    new: dict[Node, Node] = {}
    made: dict[tuple[Node, _Window], Node] = {}
    statements: list[Node] = []
    for statement in program.statements:
        if isinstance(statement, Assign):
            value = _made(statement.value, sunk, made)
            changed: Node = Assign(statement.target, value) if value is not statement.value else statement
            new[statement] = changed
            statements.append(changed)
        else:
            statements.append(statement)
    for (node, window), value in made.items():
        if window == _whole(node):
            new[node] = value
    return program.rewritten(statements, new)


def _is_window(node: Node) -> bool:
    """Whether a node is a part of each axis of what it looks at, and which one is known."""
    if not isinstance(node, View) or node.subscripts is None or len(node.args) > 1:
        return False
    return all(isinstance(item, Slice) for item in node.subscripts)


def _is_source(node: Node) -> bool:
    """Whether a node is an operand, or views of one."""
    while isinstance(node, View):
        node = node.arg
    return isinstance(node, Operand)


def _whole(node: Node) -> _Window:
    return tuple(Slice() for _ in range(node.type.rank))


def _over(window: _Window, view: View) -> _Window | None:
    """The window of what a view looks at that a window of the view is; None where lengths would have to be known."""
    items = [composed(item, over) for item, over in zip(view.subscripts, window, strict=True)]
    return tuple(_plain(x) for x in items if isinstance(x, Slice)) if all(isinstance(x, Slice) for x in items) else None


def _plain(item: Slice) -> Slice:
    """The slice as all slices that take the same are written."""
    return Slice(item.start or None, item.stop, None if item.step == 1 else item.step)


def _below(window: _Window, node: Node, part: Node) -> _Window | None:
    """The window of a part that a window of a value is computed from; None where the part may broadcast there."""
    rank = part.type.rank
    found = []
    for item, own, whole in zip(
        window[len(window) - rank :], lengths(part), lengths(node)[len(window) - rank :], strict=True
    ):
        if is_full(item) or own == whole:
            found.append(item)
        elif own == frozenset():
            found.append(Slice())
        else:
            return None
    return tuple(found)


def _parts(node: Node) -> tuple[Node, ...]:
    return node.arguments if isinstance(node, Call) else node.args


def _chosen(values: list[Node], order: list[Node]) -> set[Node]:
    """The values to be computed from windows of their parts, without those that it is less work in all to keep."""
    sunk, least = _wanted(values, order, frozenset())
    seen: dict[Node, set[_Window]] = {}
    for node in reversed(order):
        if isinstance(node, View) and _is_window(node) and node.arg in sunk and node.type.rank == RANK:
            seen.setdefault(node.arg, set()).add(node.subscripts)
    # Those that are seen alike are kept together: what they are computed from is then read at fewer places.
    alike: dict[frozenset[_Window], list[Node]] = {}
    for node, through in seen.items():
        alike.setdefault(frozenset(through), []).append(node)
    kept: frozenset[Node] = frozenset()
    for group in list(alike.values())[: max(1, VISITS // len(order))]:
        other, work = _wanted(values, order, kept.union(group))
        if work + SAVED > least:
            continue
        kept, sunk, least = kept.union(group), other, work
        for node in group if len(group) > 1 else ():
            other, work = _wanted(values, order, kept - {node})
            if work <= least + STORE + LOAD:
                kept, sunk, least = kept - {node}, other, work
    return sunk


def _wanted(values: list[Node], order: list[Node], kept: frozenset[Node]) -> tuple[set[Node], float]:
    """The values to be computed from windows of their parts, for each window of theirs that is wanted; and what an
    element takes in operations. Those that are `kept` are not among them."""
    windows: dict[Node, dict[_Window, None]] = {value: {_whole(value): None} for value in values}
    sunk: set[Node] = set()
    work = 0.0
    for node in reversed(order):
        mine = windows.get(node, {})
        if not mine or isinstance(node, Function):
            continue
        if _is_window(node):
            assert isinstance(node, View)
            below = [_over(window, node) for window in mine]
            if None not in below:
                windows.setdefault(node.arg, {}).update({w: None for w in below if w is not None})
                continue
        if isinstance(node, Operand):
            work += LOAD * len(mine)
            continue
        if isinstance(node, (Apply, Cast, Call)) and any(not all(map(is_full, w)) for w in mine):
            each = cost(node)
            parts = _parts(node)
            wanted = {(part, w): _below(w, node, part) for part in parts for w in mine}
            cheap = (len(mine) - 1) * each <= AGAIN and len(mine) <= WINDOWS and effects(node) == PURE
            if (
                cheap
                and node not in kept
                and None not in wanted.values()
                and not (isinstance(node, Call) and any(p.type.rank for p in node.function.params))
            ):
                sunk.add(node)
                work += each * len(mine)
                for (part, _), w in wanted.items():
                    assert w is not None
                    windows.setdefault(part, {})[w] = None
                continue
            work += STORE + LOAD * len(mine)
        if isinstance(node, (Apply, Cast, Call)):
            work += cost(node)
        for part in _parts(node):
            if part.type is not None:
                windows.setdefault(part, {})[_whole(part)] = None
    return sunk, work


def _made(root: Node, sunk: set[Node], made: dict[tuple[Node, _Window], Node]) -> Node:
    """The value with its windows sunk, by a worklist."""
    start = root, _whole(root)
    stack = [start]
    while stack:
        node, window = key = stack[-1]
        if key in made:
            stack.pop()
            continue
        whole = all(map(is_full, window))
        if isinstance(node, (Constant, Extent, Function, Operand)):
            made[key] = node if whole else View(node, window)
            continue
        if _is_window(node):
            assert isinstance(node, View)
            below = _over(window, node)
            if below is not None:
                inner = node.arg, below
                if inner in made:
                    made[key] = made[inner]
                else:
                    stack.append(inner)
                continue
        deep = node in sunk and not whole
        wanted: list[tuple[Node, _Window]] = []
        for part in node.args:
            if isinstance(part, Function):
                wanted.append((part, ()))
                continue
            own = _below(window, node, part) if deep else _whole(part)
            assert own is not None
            wanted.append((part, own))
        missing = [each for each in wanted if each not in made]
        if missing:
            stack.extend(missing)
            continue
        built = rebuild(node, tuple(made[each] for each in wanted))
        made[key] = built if whole or deep else View(built, window)
    return made[start]
