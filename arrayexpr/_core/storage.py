"""How long the arrays that a program makes for itself are needed, and how much memory they take at the most.

>>> from arrayexpr._core.parser import parse
>>> program = parse(
...     "def f(a: float64[:], *, r: float64[:]):\\n    t = local(float64[:])\\n    u = local(float64[:])\\n"
...     "    t[...] = sqrt(a)\\n    u[...] = t[::-1] + t\\n    t[...] = u[::-1]\\n    r[...] = t[::-1] * a\\n"
... )
>>> needed(program)
{'t': (0, 3), 'u': (1, 2)}
>>> peak_scratch(program, {"a": Layout((1000,), (8,))})
16000
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .infer import operands, shape
from .layout import Layout
from .nodes import Assign
from .program import Program


def needed(program: Program) -> dict[str, tuple[int, int]]:
    """Of each local, the first statement that mentions it and the last, which are when its memory is taken and free."""
    local = {operand.name for operand in program.locals}
    found: dict[str, tuple[int, int]] = {}
    for k, statement in enumerate(program.statements):
        for name in operands(statement) & local:
            found[name] = found.get(name, (k, k))[0], k
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def peak_scratch(program: Program, layouts: Mapping[str, Any] | None = None) -> int | None:
    """The most bytes that a program's locals take at a time; None where the layouts do not tell their shapes.

    `layouts` gives the layouts of operands (a `Layout`, or an array that has it), beside those that the program has.
    """
    known = {**program.layouts, **{name: Layout.of(like) for name, like in (layouts or {}).items()}}
    shapes: dict[str, tuple[int, ...]] = {}
    local = {operand.name: operand for operand in program.locals}
    for statement in program.statements:
        if isinstance(statement, Assign) and statement.target in (*program.locals, *program.results):
            name = statement.target.key
            found = shape(statement.value, known)
            if found is not None and name not in known:
                shapes[name] = found
                # Of a local nothing but its shape matters.
                known[name] = Layout(found, (0,) * len(found))
    spans = needed(program)
    if any(name not in shapes for name in spans):
        return None
    size = {name: math.prod(shapes[name]) * local[name].type.element.itemsize for name in spans}
    starts = sorted({first for first, _ in spans.values()})
    return max((sum(size[n] for n, (a, z) in spans.items() if a <= k <= z) for k in starts), default=0)
