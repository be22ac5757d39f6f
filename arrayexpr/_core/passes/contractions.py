"""The pass `contractions`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

from ..affine import integer, times
from ..assumption import Assumption
from ..infer import effects
from ..nodes import Apply, Assign, Contract, Node, Operand, Reduce, Slice, View, postorder, substitute
from ..ops import operator
from ..program import Program
from ..regions import beneath
from .elements import extents_along, longest

_ADD, _MULTIPLY, _AT_LEAST = operator("add"), operator("multiply"), operator("greater_equal")
#: What a matrix product is computed in by BLAS; of other types NumPy's is slower than a sweep.
_BLAS: Final = ("float32", "float64", "complex64", "complex128")

#: Products of elements from which a call of BLAS is worth the tests that go with it. Measured on two matrices of n x n
#: doubles, in microseconds, as a product and as a sum: n = 100 60 and 47, n = 300 766 and 1258 (or 1466, where both are
#: read along their rows), n = 1000 29,300 and 72,600.
_LARGE: Final = 1 << 22

#: A factor, and the axes of the product that its own are.
_Factor = tuple[Node, tuple[int, ...]]


def contractions(program: Program, *, contract: str = "exact") -> Program:
    """Make sums of products over rows and columns the matrix products that they are, under `fast`.

        r[...] = sum(a[:, :, None] * b[None, :, :], axis=1)   ->   r[...] = a @ b

    What each side has several factors of is multiplied before, and what does not vary along the summed axis after.
    Sums whose factors leave no rows or no columns stay: they are bound by memory, and a sweep is as fast.

    Keeps: every value in the real numbers, where the summed axis is as long in both factors. `Program.assumption` says
    so, and that the product is large. BLAS adds from the first term to the last, with an error above that of a pairwise
    sum: not for `exact`.
    Requires: who runs the program asks `Program.assumption`.
    """
    if contract != "fast" or not any(isinstance(node, Reduce) for node in program.nodes()):
        return program
    given = set(program.operands)
    alike: list[tuple[Node, Node]] = []
    large: dict[Node, None] = {}
    new: dict[Node, Node] = {}
    statements: list[Node] = []
    for statement in program.statements:
        if isinstance(statement, Assign) and not effects(statement):
            made: dict[Node, Node] = {}
            for node in postorder((statement.value,)):
                product = _product(node, given, alike, large) if isinstance(node, Reduce) else None
                if product is not None:
                    made[node] = product
            if made:
                new[statement] = Assign(statement.target, substitute((statement.value,), made.get)[0])
        statements.append(new.get(statement, statement))
    if not new:
        return program
    before = program.assumption
    known = before.alike if before is not None else ()
    assumption = Assumption(
        before.apart if before is not None else (),
        (*known, *dict.fromkeys(alike)),
        program if before is None else before.otherwise,
        (*(before.lengths if before is not None else ()), *large),
    )
    return program.rewritten(statements, new).replace(assumption=assumption)


def _product(node: Reduce, given: set[Operand], alike: list[tuple[Node, Node]], large: dict[Node, None]) -> Node | None:
    """The matrix product that a sum is, with what is multiplied after it; None where it is none."""
    element = node.type.element
    if node.op is not _ADD or len(node.axes) != 1 or element.name not in _BLAS or node.arg.type.element is not element:
        return None
    (summed,) = node.axes
    rank = node.arg.type.rank
    factors = _factors(node.arg)
    after = [factor for factor in factors if summed not in factor[1]]
    sides = _sides([factor for factor in factors if summed in factor[1]], summed)
    if sides is None:
        return None
    left, right = sides
    if len(_axes(right)) > 2:
        left, right = right, left
    rows = [axis for axis in _axes(left) if axis != summed]
    columns = [axis for axis in _axes(right) if axis != summed]
    if len(columns) > 1:
        return None
    one, other = _joined(left, (*rows, summed)), _joined(right, (summed, *columns))
    if not all(n in given for n in postorder((one, other)) if isinstance(n, Operand)):
        return None
    first = (*(Slice(None, 1) for _ in rows), Slice())
    alike.append((View(one, first), View(View(other, None, (1, 0)), first[-2:])))
    lengths = [*(longest(extents_along(one, axis)) for axis in range(len(rows) + 1)), longest(extents_along(other, 1))]
    large[Apply(_AT_LEAST, (functools.reduce(times, lengths), integer(_LARGE)))] = None
    made: Node = Contract(one, other)
    axes = (*rows, *columns)
    kept = tuple(axis for axis in range(rank) if axis != summed)
    for value, at in [(made, axes), *after]:
        placed = _placed(value, at, kept)
        made = placed if value is made else Apply(_MULTIPLY, (made, placed))
    if node.keepdims:
        made = View(made, tuple(None if axis == summed else Slice() for axis in range(rank)))
    return made


def _factors(value: Node) -> list[_Factor]:
    """The factors of a product, each with its own axes alone."""
    found: list[_Factor] = []
    rank = value.type.rank
    stack = [(value, tuple(range(rank)))]
    while stack:
        node, at = stack.pop()
        if isinstance(node, Apply) and node.op is _MULTIPLY:
            stack.extend((child, at[len(at) - child.type.rank :]) for child in reversed(node.args))
            continue
        moved = beneath(node, at) if isinstance(node, View) and len(node.args) == 1 else None
        if moved is not None and isinstance(node, View):
            stack.append((node.arg, moved))
        else:
            found.append((node, at))
    return found


def _sides(factors: Sequence[_Factor], summed: int) -> tuple[list[_Factor], list[_Factor]] | None:
    """The factors over rows, and those over columns; None where these have axes in common, or there are none."""
    groups: list[tuple[set[int], list[_Factor]]] = []
    weights: list[_Factor] = []
    for factor in factors:
        own = set(factor[1]) - {summed}
        if not own:
            weights.append(factor)
            continue
        joined = own, [factor]
        for group in [group for group in groups if group[0] & own]:
            groups.remove(group)
            joined = joined[0] | group[0], [*group[1], *joined[1]]
        groups.append(joined)
    if len(groups) != 2:
        return None
    # What is over the summed axis alone goes to the side with fewer elements to multiply.
    groups.sort(key=lambda group: len(group[0]))
    return [*groups[0][1], *weights], groups[1][1]


def _axes(factors: Sequence[_Factor]) -> list[int]:
    return sorted({axis for _, at in factors for axis in at})


def _joined(factors: Sequence[_Factor], axes: tuple[int, ...]) -> Node:
    """The product of factors, over axes."""
    made: Node | None = None
    for value, at in factors:
        placed = _placed(value, at, axes)
        made = placed if made is None else Apply(_MULTIPLY, (made, placed))
    assert made is not None
    return made


def _placed(value: Node, at: tuple[int, ...], axes: tuple[int, ...]) -> Node:
    """A value with its axes in the order of others, and of length 1 those that it lacks, as broadcasting needs."""
    order = tuple(sorted(range(len(at)), key=lambda k: axes.index(at[k])))
    if order != tuple(range(len(at))):
        value = View(value, None, order)
    places = [axes.index(at[k]) for k in order]
    first = min(places, default=len(axes))
    if len(axes) - first != len(at):
        value = View(value, tuple(Slice() if k in places else None for k in range(first, len(axes))))
    return value
