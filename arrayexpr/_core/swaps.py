"""Which operands of a loop may change places, rather than one be copied to the other.

>>> from arrayexpr._core.parser import parse
>>> loop = parse(
...     "def f(a: float64[:], b: float64[:], n: int64):\\n    for k in range(0, n, 1):\\n"
...     "        b[1:-1] = a[:-2] + a[2:]\\n        a[...] = b\\n"
... ).statements[0]
>>> [operand.name for operand in swapped(loop.body)]
['a', 'b']
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .nodes import Assign, Node, Operand, View, postorder
from .program import assigned_operand


def swapped(body: Sequence[Node]) -> tuple[Operand, Operand] | None:
    """The operands `old` and `new` of a body that ends with `old[...] = new`, where they may change places instead.

        new[1:-1] = f(old)                     f: old to new, then new to old, and so on;
        old[...] = new                   →     a copy at the end

    After the first iteration the two are equal but for what is assigned to `new`, which is all of it anew in every
    iteration, before any of it is read; and nothing else is assigned to `old`.
    """
    last = body[-1] if body else None
    if not isinstance(last, Assign) or not isinstance(last.target, Operand) or not isinstance(last.value, Operand):
        return None
    old, new = last.target, last.value
    if old is new or old.type.rank != new.type.rank or old.type.rank == 0:
        return None
    filled = False
    for statement in body[:-1]:
        if not isinstance(statement, Assign):
            return None
        base = assigned_operand(statement.target)
        reads = new in postorder((statement.value,))
        if base is old or (base is new and filled) or (reads and not filled) or (base is new and reads):
            return None
        if base is new:
            filled = not any(isinstance(n, View) and len(n.args) > 1 for n in postorder((statement.target,)))
            if not filled:
                return None
        elif any(n in (old, new) for view in _chain(statement.target) for n in postorder(view.args[1:])):
            return None
    return (old, new) if filled else None


def _chain(target: Node) -> Iterator[View]:
    while isinstance(target, View):
        yield target
        target = target.arg
