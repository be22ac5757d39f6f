"""Hypothesis strategies: random well-typed programs, and arrays for them in every layout.

    @given(st.data(), elementwise_programs())
    def test(data, case):
        arrays = data.draw(operand_arrays(case))
        interpret(case.program, arrays)

A `Case` is a program and shapes for its operands and results that fit it: the programs slice and
transpose, so not every shape does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from layouts import LAYOUTS, WRITABLE, lay_out_as, values

from arrayexpr._core.nodes import (
    ROLES,
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Contract,
    Extent,
    For,
    Function,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Pack,
    Reduce,
    Scratch,
    Slice,
    Store,
    Stride,
    View,
)
from arrayexpr._core.ops import Operator, operator, operators
from arrayexpr._core.program import Program
from arrayexpr._core.types import BOOL, INT64, ElementType, elements, real_of

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A program, and a shape for each of its operands and results."""

    program: Program
    shapes: dict[str, Shape]


def element_types(kinds: str = "biufc") -> st.SearchStrategy[ElementType]:
    """Element types of these kinds."""
    return st.sampled_from([t for t in elements() if t.kind in kinds])


def shapes(max_rank: int = 6, max_size: int = 120) -> st.SearchStrategy[Shape]:
    """Shapes of up to `max_size` elements; extents of 0 and 1 are among them."""

    @st.composite
    def shape(draw: Any) -> Shape:
        found: list[int] = []
        for _ in range(draw(st.integers(0, max_rank))):
            size = int(np.prod(found, dtype=int))
            found.append(draw(st.sampled_from([n for n in (2, 3, 1, 5, 0) if n * size <= max_size])))
        return tuple(found)

    return shape()


def applicable(t: ElementType) -> list[Operator]:
    """The operators of the table that take operands of type t, with any values."""
    found = []
    for op in operators():
        if t.kind not in op.kinds or (op.arity == 1 and op.reduction is not None):
            continue
        # An integer to a negative power is an error in NumPy; fma is the C library's own, of doubles.
        if (op.name == "power" and t.kind == "i") or (op.only and t.name not in op.only):
            continue
        found.append(op)
    return found


class Builder:
    """Grows expressions whose shapes all broadcast to `full`, so that any two go together."""

    def __init__(self, draw: Any, full: Shape, kinds: str = "biufc"):
        self.draw = draw
        self.full = full
        self.kinds = kinds
        self.operands: list[Operand] = []
        self.shapes: dict[str, Shape] = {}
        self.pool: list[tuple[Node, Shape]] = []
        self.functions = 0

    def choose(self, options: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def shape(self) -> Shape:
        """A shape that broadcasts to the full one."""
        rank = self.draw(st.integers(0, len(self.full)))
        part = self.full[len(self.full) - rank :]
        if not self.draw(st.booleans()):
            return part
        return tuple(1 if self.draw(st.booleans()) else n for n in part)

    def operand(self, t: ElementType, shape: Shape) -> Operand:
        made = Operand(f"{'abcdefgh'[len(self.operands) % 8]}{len(self.operands)}", t.array(len(shape)))
        self.operands.append(made)
        self.shapes[made.name] = shape
        return made

    def add(self, node: Node, shape: Shape) -> tuple[Node, Shape]:
        self.pool.append((node, shape))
        return node, shape

    def constant(self, t: ElementType) -> Constant:
        rng = np.random.default_rng(self.draw(st.integers(0, 2**16)))
        return Constant(values(t, (), rng)[()], t)

    def leaf(self, t: ElementType, views: bool) -> tuple[Node, Shape]:
        kind = self.choose(["operand", "operand", "view", "constant"] if views else ["operand", "operand", "constant"])
        if kind == "constant":
            return self.constant(t), ()
        shape = self.shape()
        if kind == "operand":
            return self.add(self.operand(t, shape), shape)
        return self.add(*self.view(t, shape))

    def view(self, t: ElementType, shape: Shape) -> tuple[Node, Shape]:
        """A new operand seen through slices, and perhaps a transposition, so that it has this shape."""
        subscripts: list[Any] = []
        base: list[int] = []
        for n in shape:
            while len(base) < 8 and self.draw(st.integers(0, 5)) == 0:
                extent = self.choose([1, 2, 3])
                base.append(extent)
                subscripts.append(self.draw(st.integers(-extent, extent - 1)))
            kind = self.choose(["all", "tail", "front", "back", "step"] + ["new"] * (n == 1))
            if kind == "new":
                subscripts.append(None)
                continue
            extent, item = {
                "all": (n, Slice()),
                "tail": (n + 1, Slice(1)),
                "front": (n + 2, Slice(None, -2)),
                "back": (n, Slice(None, None, -1)),
                "step": (2 * n, Slice(None, None, 2)),
            }[kind]
            base.append(extent)
            subscripts.append(item)
        order = self.draw(st.permutations(range(len(base))))
        node: Node = self.operand(t, tuple(base[order.index(k)] for k in range(len(base))))
        if list(order) != list(range(len(base))):
            node = View(node, order=order)
        return View(node, subscripts=tuple(subscripts)), shape

    def of(self, t: ElementType, views: bool) -> tuple[Node, Shape]:
        """A node of type t: one there is, a new leaf, or a cast of another."""
        known = [x for x in self.pool if x[0].type.element is t]
        kinds = ["leaf"] + ["known"] * (3 if known else 0) + ["cast"] * bool(self.pool)
        kind = self.choose(kinds)
        if kind == "known":
            return self.choose(known)
        if kind == "leaf":
            return self.leaf(t, views)
        node, shape = self.choose(self.pool)
        return self.add(self.cast(node, t), shape)

    @staticmethod
    def cast(node: Node, t: ElementType) -> Node:
        source = node.type.element
        if source.kind in "fc" and t.kind in "iu":
            # A real that does not fit an integer is whatever the processor makes of it: keep it in range.
            real = real_of(source)
            if source.kind == "c":
                node = Apply(operator("real"), (node,))
            node = Apply(operator("fmax"), (node, Constant(0, real)))
            node = Apply(operator("fmin"), (node, Constant(100, real)))
        return Cast(node, t)

    def apply(self, t: ElementType, views: bool) -> tuple[Node, Shape]:
        """A random operator on operands of type t."""
        op: Operator = self.choose(applicable(t))
        args = []
        shape: Shape = ()
        places = {"B": BOOL, "I": INT64, "T": t}
        for place in op.signature.split(">")[0]:
            wanted = places[place] if place in places else next(x for x in elements() if x.name == "int32")
            node, its = self.of(wanted, views)
            args.append(node)
            shape = np.broadcast_shapes(shape, its)
        return self.add(Apply(op, tuple(args)), shape)

    def rearranged(self) -> tuple[Node, Shape]:
        """A view of an expression that keeps broadcasting to the full shape."""
        node, shape = self.choose(self.pool)
        kind = self.choose(["back", "first", "new", "order"])
        if kind == "first" and shape and shape[0]:
            return self.add(View(node, subscripts=(0,)), shape[1:])
        if kind == "new" and len(shape) < len(self.full):
            return self.add(View(node, subscripts=(None,)), (1, *shape))
        if kind == "order":
            order = self.draw(st.permutations(range(len(shape))))
            turned = tuple(shape[k] for k in order)
            fits = all(n in (1, m) for n, m in zip(reversed(turned), reversed(self.full), strict=False))
            if fits:
                return self.add(View(node, order=order), turned)
        flips = tuple(Slice(None, None, -1) if self.draw(st.booleans()) else Slice() for _ in shape)
        return self.add(View(node, subscripts=flips), shape)

    def reduced(self) -> tuple[Node, Shape]:
        """A reduction that keeps broadcasting to the full shape, or a product of matrices."""
        node, shape = self.choose(self.pool)
        t = node.type.element
        if len(shape) >= 2 and t.kind != "b" and self.draw(st.integers(0, 3)) == 0:
            right = self.operand(t, (shape[-1], shape[-1]))
            return self.add(Contract(node, right), shape)
        usable = [op for op in operators() if op.reduction is not None and t.kind in op.kinds]
        count = self.draw(st.integers(0, len(shape)))
        axes = tuple(range(count))
        keepdims = self.draw(st.booleans())
        if keepdims:
            axes = tuple(sorted(self.draw(st.sets(st.sampled_from(range(len(shape)))))) if shape else ())
        empty = any(shape[k] == 0 for k in axes)
        usable = [
            op
            for op in usable
            if (op.arity == 2 or len(axes) in (1, len(shape)) and shape)
            and not (empty and (op.arity == 1 or op.name in ("minimum", "maximum", "fmin", "fmax")))
            and not (op.arity == 1 and 0 in shape)
        ]
        if not usable:
            return node, shape
        made = Reduce(self.choose(usable), node, axes, keepdims)
        left = tuple(1 if k in axes else n for k, n in enumerate(shape)) if keepdims else shape[len(axes) :]
        if not keepdims and axes != tuple(range(len(axes))):
            return node, shape
        return self.add(made, left)

    def called(self, t: ElementType) -> tuple[Node, Shape]:
        """A call, element by element, of a function of one or two parameters."""
        inside = Builder(self.draw, ())
        params = [Operand(name, t.array(0)) for name in ("x", "y")[: self.choose([1, 2])]]
        inside.pool = [(p, ()) for p in params]
        for _ in range(self.draw(st.integers(1, 3))):
            op = self.choose([op for op in applicable(t) if set(op.signature.split(">")[0]) == {"T"}])
            known = [x for x in inside.pool if x[0].type.element is t]
            inside.add(Apply(op, tuple(self.choose(known)[0] for _ in range(op.arity))), ())
        self.functions += 1
        function = Function(f"f{self.functions}", tuple(params), inside.pool[-1][0])
        args = [self.of(t, False) for _ in params]
        shape = np.broadcast_shapes(*(s for _, s in args))
        return self.add(Call(function, tuple(node for node, _ in args)), shape)


@st.composite
def elementwise_programs(
    draw: Any,
    element: ElementType | None = None,
    max_rank: int = 6,
    max_nodes: int = 12,
    views: bool = True,
    casts: bool = True,
    reductions: bool = False,
    calls: bool = False,
    max_statements: int = 3,
    kinds: str = "biufc",
) -> Case:
    """Programs of assignments of random expressions over every operator that takes `element`.

    `element`: the main element type (random if None; others come in by casts and comparisons). `views`:
    slices, transpositions and new axes, of operands and of expressions. `reductions`: also Reduce and
    Contract. `calls`: also Functions. Values are used again, so that there is something to share.
    """
    main = draw(element_types(kinds)) if element is None else element
    full = draw(shapes(max_rank))
    builder = Builder(draw, full)
    builder.leaf(main, views)
    if not builder.pool:
        builder.add(builder.operand(main, full), full)
    moves = ["apply"] * 5 + ["view"] * views + ["cast"] * casts + ["reduce"] * (2 * reductions) + ["call"] * calls
    for _ in range(draw(st.integers(1, max_nodes))):
        move = builder.choose(moves)
        if move == "apply":
            builder.apply(main, views)
        elif move == "view":
            builder.rearranged()
        elif move == "reduce":
            builder.reduced()
        elif move == "call":
            if not any(set(op.signature.split(">")[0]) == {"T"} for op in applicable(main)):
                continue
            builder.called(main)
        else:
            node, shape = builder.choose(builder.pool)
            builder.add(builder.cast(node, draw(element_types(kinds))), shape)
    statements = []
    results = []
    found = dict(builder.shapes)
    for k in range(draw(st.integers(1, max_statements))):
        node, shape = builder.pool[-1] if k == 0 else builder.choose(builder.pool)
        result = Operand(f"r{k}", node.type.plain)
        results.append(result)
        found[result.name] = shape
        statements.append(Assign(result, node))
        if draw(st.integers(0, 3)) == 0 and shape:
            # What was assigned is read again, and assigned through a view of itself.
            flipped = View(result, subscripts=(Slice(None, None, -1),))
            statements.append(Assign(flipped, result))
    return Case(Program("program", builder.operands, statements, results), found)


@st.composite
def programs(draw: Any, **options: Any) -> Case:
    """As `elementwise_programs`, with reductions and calls too."""
    return draw(elementwise_programs(**({"reductions": True, "calls": True} | options)))


@st.composite
def loop_programs(draw: Any, element: ElementType | None = None, max_rank: int = 3) -> Case:
    """Programs of loops over elements: every node of a schedule but Barrier, with shapes that they fit.

    The results' storage must be given: `operand_arrays` does.
    """
    t = draw(element_types("iuf")) if element is None else element
    full = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=max_rank)))
    rank = len(full)
    sources = [Operand(name, t.array(rank)) for name in ("a", "b")]
    result = Operand("r", t.array(rank))
    tile = Operand("tile", t.array(rank))
    indices = [Index(f"i{k}") for k in range(rank)]
    one, zero = Constant(1, INT64), Constant(0, INT64)

    def extent(k: int) -> Node:
        return Extent(draw(st.sampled_from([*sources, result])), k)

    # Half of the programs read a packed copy of b, half read b.
    packed = draw(st.booleans())
    readable = [sources[0], tile if packed else sources[1]]
    places = tuple(indices)
    if draw(st.booleans()):
        # The other way round: operand.shape[k] - 1 - i.
        last = [Apply(operator("subtract"), (Extent(result, k), one)) for k in range(rank)]
        places = tuple(Apply(operator("subtract"), pair) for pair in zip(last, indices, strict=True))
    pool: list[Node] = [Load(x, draw(st.sampled_from([places, tuple(indices)]))) for x in readable]
    usable = [op for op in applicable(t) if set(op.signature.split(">")[0]) == {"T"} and op.signature[-1] == "T"]
    for _ in range(draw(st.integers(1, 6))):
        op = draw(st.sampled_from(usable))
        pool.append(Apply(op, tuple(draw(st.sampled_from(pool)) for _ in range(op.arity))))
    body: Node = Store(result, tuple(indices), pool[-1])
    if draw(st.booleans()):
        condition = Apply(operator("less"), (indices[0], draw(st.sampled_from([one, Extent(result, 0)]))))
        other: tuple[Node, ...] = (Store(result, tuple(indices), draw(st.sampled_from(pool))),)
        body = Guard(condition, (body,), other if draw(st.booleans()) else ())
    if draw(st.booleans()):
        positive = Apply(operator("not_equal"), (Stride(sources[0], 0), zero))
        body = Guard(positive, (body,), (body,))
    for k in reversed(range(rank)):
        role = draw(st.sampled_from([None, *sorted(ROLES)]))
        if role is None:
            body = For(indices[k], zero, extent(k), one, (body,))
        else:
            body = Loop(indices[k], zero, extent(k), one, role, (body,))
    statements: list[Node] = [body]
    if packed:
        statements.insert(0, Scratch(tile, tuple(Extent(result, k) for k in range(rank))))
        starts = (zero,) * rank
        statements.insert(1, Pack(tile, sources[1], starts, tuple(Extent(sources[1], k) for k in range(rank))))
    found = {x.name: full for x in (*sources, result)}
    return Case(Program("loops", sources, statements, [result]), found)


@st.composite
def operand_arrays(draw: Any, case: Case, results: bool = True, layout: str | None = None) -> dict[str, np.ndarray]:
    """Arrays for a case: random values, special ones among them, each in a random layout or in `layout`.

    With storage for its results, in a writable layout, unless `results` is False.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found = {}
    given = case.program.declared if results else case.program.operands
    for operand in given:
        allowed = LAYOUTS if operand in case.program.operands else WRITABLE
        kind = layout if layout in allowed else draw(st.sampled_from(allowed))
        filled = values(operand.type.element, case.shapes[operand.name], rng)
        found[operand.name] = lay_out_as(filled, operand.type, kind, rng)
    return found


@st.composite
def overlapping_arrays(draw: Any, case: Case) -> dict[str, np.ndarray]:
    """Arrays for a case where those of one element type are windows on one buffer, results too.

    Each begins where another does or a few elements on, in C order or reversed. Results of a program are
    windows of their own: that two results overlap has no meaning.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    buffers: dict[ElementType, np.ndarray] = {}
    found = {}
    sizes = [int(np.prod(case.shapes[x.name], dtype=int)) for x in case.program.declared]
    taken: set[ElementType] = set()
    for operand in case.program.declared:
        t, shape = operand.type.element, case.shapes[operand.name]
        if t not in buffers:
            buffers[t] = values(t, (max(sizes, default=0) + 8,), rng)
        size = int(np.prod(shape, dtype=int))
        if operand in case.program.results and t in taken:
            found[operand.name] = values(t, shape, rng)
            continue
        if operand in case.program.results:
            taken.add(t)
        start = draw(st.sampled_from([0, 0, 1, 2, 7]))
        window = buffers[t][start : start + size]
        if draw(st.booleans()):
            window = window[::-1]
        found[operand.name] = window.reshape(shape)
    return found
