"""Dependences and the integer solver, against counting everything out."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrayexpr._core.affine import expression_of, integer, linear, plus, times
from arrayexpr._core.dependence import Body, Dependence, dependences, may_touch
from arrayexpr._core.integers import ONE, feasible
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Cast,
    Extent,
    For,
    Guard,
    Index,
    Load,
    Node,
    Operand,
    Slice,
    Store,
    View,
)
from arrayexpr._core.ops import operator
from arrayexpr._core.parser import parse
from arrayexpr._core.program import Program
from arrayexpr._core.types import FLOAT64, INT64

small = st.integers(-5, 5)


@st.composite
def systems(draw: Any) -> tuple[list[dict[Any, int]], list[dict[Any, int]], int]:
    count = draw(st.integers(1, 4))

    def rows(most: int) -> list[dict[Any, int]]:
        return [
            {**{v: draw(small) for v in range(count)}, ONE: draw(st.integers(-8, 8))}
            for _ in range(draw(st.integers(0, most)))
        ]

    return rows(2), rows(4), count


@given(systems())
@settings(max_examples=300, deadline=None)
def test_solver_agrees_with_counting_a_box(system: tuple[Any, Any, int]) -> None:
    equalities, bounds, count = system
    box = [{v: sign, ONE: 3} for v in range(count) for sign in (1, -1)]

    def at(row: dict[Any, int], point: tuple[int, ...]) -> int:
        return sum(row[v] * x for v, x in enumerate(point)) + row[ONE]

    expected = any(
        all(at(row, point) == 0 for row in equalities) and all(at(row, point) >= 0 for row in bounds)
        for point in itertools.product(range(-3, 4), repeat=count)
    )
    assert feasible(equalities, bounds + box) is expected


def test_solver_tells_what_needs_all_of_its_steps() -> None:
    # Pugh's example: real solutions, and none in the integers that the dark shadow finds.
    x, y = "x", "y"
    assert feasible([], [{x: 11, y: 13, ONE: -27}, {x: -11, y: -13, ONE: 45}, {x: 7, y: -9, ONE: 10},
                         {x: -7, y: 9, ONE: 4}]) is False  # fmt: skip
    # Unbounded variables, large factors.
    assert feasible([{x: 10**9 + 7, y: -(10**9 + 9), ONE: 1}], []) is True
    assert feasible([{x: 6, y: 10, ONE: 15}], []) is False


def test_solver_gives_up_in_time() -> None:
    rng = np.random.default_rng(0)
    names = [f"x{k}" for k in range(14)]
    rows = [
        {name: int(rng.integers(-900, 900)) for name in names} | {ONE: int(rng.integers(-99, 99))} for _ in range(40)
    ]
    assert feasible(rows[:3], rows) in (None, True, False)


# -- Loops: what runs, in order, with the elements that it touches --------------------------------

A = Operand("a", FLOAT64.array(1))
B = Operand("b", FLOAT64.array(2))


@st.composite
def nests(draw: Any) -> list[Node]:
    depth = draw(st.integers(1, 2))
    indices = [Index(f"i{k}") for k in range(depth)]

    def affine(at: int) -> Node:
        total: Node = integer(draw(st.integers(-3, 6)))
        for index in indices[:at]:
            total = plus(total, times(index, integer(draw(st.integers(-2, 2)))))
        return total

    def access(at: int, value: Node | None) -> Node:
        operand = draw(st.sampled_from([A, A, B]))
        subscripts = tuple(affine(at) for _ in range(operand.type.rank))
        return Load(operand, subscripts) if value is None else Store(operand, subscripts, value)

    def statement(at: int) -> Node:
        return access(at, Apply(operator("add"), (access(at, None), access(at, None))))

    def loop(at: int) -> Node:
        body = [statement(at + 1) for _ in range(draw(st.integers(0, 2)))]
        if at + 1 < depth:
            body.insert(draw(st.integers(0, len(body))), loop(at + 1))
        body = body or [statement(at + 1)]
        if draw(st.integers(0, 3)) == 0:
            condition = Apply(
                operator(draw(st.sampled_from(["less", "equal", "not_equal"]))), (affine(at + 1), integer(1))
            )
            body = [Guard(condition, tuple(body), (statement(at + 1),) if draw(st.booleans()) else ())]
        start = integer(draw(st.integers(-1, 3)))
        if at and draw(st.booleans()):
            start = indices[0]
        step = draw(st.sampled_from([1, 1, 2, -1, -2]))
        reach = draw(st.integers(1, 5)) * step
        return For(indices[at], start, plus(start, integer(reach)), integer(step), tuple(body))

    return [loop(0)]


def _traced(body: Body) -> set[tuple[Any, ...]]:
    """Every dependence by running: (source, sink, kind, operand, distances)."""

    def value(node: Node, env: dict[Node, int]) -> int:
        form = linear(node)
        assert form is not None
        return sum(c * (1 if v is None else env[v]) for v, c in form.items())

    def holds(condition: Any, env: dict[Node, int]) -> bool:
        x, y = (value(arg, env) for arg in condition.args)
        return {"less": x < y, "equal": x == y, "not_equal": x != y}[condition.op.name]

    def points(placed: Any) -> list[tuple[dict[Node, int], dict[int, Fraction]]]:
        found: list[Any] = [({}, {})]
        for number in placed.loops:
            loop = body.loops[number]
            found = [
                ({**env, loop.index: x}, {**counts, number: k})
                for env, counts in found
                for x in range(value(loop.start, env), value(loop.stop, env), value(loop.step, env))
                for k in [Fraction(x, value(loop.step, env))]
            ]
        return [p for p in found if all(holds(c, p[0]) == truth for c, truth in placed.conditions)]

    runs = []
    for number, placed in enumerate(body.statements):
        for env, counts in points(placed):
            reads = [
                n for n in itertools.chain([placed.node.args[-1]], placed.node.args[-1].args) if isinstance(n, Load)
            ]
            touched = [(n.operand.name, tuple(value(s, env) for s in n.subscripts), False) for n in reads]
            store: Any = placed.node
            touched.append((store.operand.name, tuple(value(s, env) for s in store.subscripts), True))
            runs.append((number, placed.loops, counts, touched))
    found = set()
    for (p, p_loops, p_counts, p_touched), (q, q_loops, q_counts, q_touched) in itertools.product(runs, runs):
        common = []
        for x, y in zip(p_loops, q_loops, strict=False):
            if x != y:
                break
            common.append(x)
        before = tuple(p_counts[n] for n in common)
        after = tuple(q_counts[n] for n in common)
        same = (p, p_counts) == (q, q_counts)
        if not (before < after or (before == after and (p < q or same))):
            continue
        for name, where, write in p_touched:
            for other, there, other_write in q_touched:
                if name == other and where == there and (write or other_write):
                    if same and (write or not other_write):
                        continue
                    kind = "anti" if not write else "output" if other_write else "flow"
                    found.add((p, q, kind, name, tuple(b - a for a, b in zip(before, after, strict=True))))
    return found


@given(nests())
@settings(max_examples=150, deadline=None)
def test_dependences_are_those_of_a_run(statements: list[Node]) -> None:
    body = Body.of(statements)
    expected = _traced(body)
    found = body.dependences()

    def direction(distance: Fraction) -> str:
        return "<" if distance > 0 else ">" if distance < 0 else "="

    vectors = {(p, q, kind, name, tuple(map(direction, d))) for p, q, kind, name, d in expected}
    told = {(d.source, d.sink, d.kind, d.operand, d.directions) for d in found}
    assert told >= vectors
    # That two numbers differ is two systems: it is left out of the one.
    if not any(c.op.name != "less" for placed in body.statements for c, _ in placed.conditions):
        assert told == vectors
    for each in found:
        met = [d for p, q, kind, name, d in expected if (p, q, kind, name) == _key(each)]
        for k, distance in enumerate(each.distances):
            assert distance is None or direction(Fraction(distance)) == each.directions[k]
            assert distance is None or (told != vectors) or any(d[k] == distance for d in met)


def _key(each: Dependence) -> tuple[int, int, str, str]:
    return each.source, each.sink, each.kind, each.operand


def test_lengths_that_are_not_known_are_unknowns() -> None:
    program = parse("""
def f(a: float64[:], n: int64, m: int64):
    for i in range(0, n, 1):
        a[i] = a[i + n]
    for j in range(0, n, 1):
        a[j] = a[j + m]
""")
    first, second = program.statements
    assert dependences([first]) == []
    assert {(d.kind, d.directions) for d in dependences([second])} == {
        ("flow", ("<",)),
        ("anti", ("<",)),
        ("anti", ("=",)),
    }
    m = program.operand("m")
    assert {(d.kind, d.distances) for d in dependences([second], {m: 2})} == {("anti", (2,))}


def test_scratch_is_each_iterations_own() -> None:
    program = parse("""
def f(a: float64[:]):
    for i in range(0, 10, 1):
        t = scratch(float64)
        t[()] = a[i]
        a[i] = t[()] * 2.0
""")
    assert {d.directions for d in dependences(program.statements) if d.operand == "t"} == {("=",)}


def test_what_is_not_known_is_assumed() -> None:
    program = parse("""
def f(a: float64[:], p: int64[:], k: int64, *, r: float64[:]):
    for i in range(0, 10, 1):
        r[p[i]] = a[i]
    for i in range(0, 10, 1):
        k[()] = k[()] + 1
        r[k[()]] = a[i]
    for i in range(0, 10, 1):
        side_effect(opaque("log", a, type=float64))
""")
    gathered, counted, logged = program.statements
    assert {(d.operand, d.directions) for d in dependences([gathered])} == {("r", ("<",))}
    assert ("r", ("<",)) in {(d.operand, d.directions) for d in dependences([counted])}
    assert {(d.operand, d.directions) for d in dependences([logged])} == {("everything", ("<",))}


# -- Views ----------------------------------------------------------------------------------------

bounds = st.one_of(st.none(), st.integers(-9, 9))


@st.composite
def views(draw: Any) -> Node:
    node: Node = B
    for _ in range(draw(st.integers(0, 2))):
        if draw(st.integers(0, 3)) == 0:
            node = View(node, order=draw(st.permutations(range(node.type.rank))))
        else:
            items: list[Any] = []
            for _ in range(node.type.rank):
                if draw(st.integers(0, 4)) == 0:
                    items.append(None)
                if draw(st.integers(0, 4)) == 0:
                    items.append(draw(st.integers(-2, 1)))
                else:
                    step = draw(st.sampled_from([None, 1, 2, 3, -1, -2]))
                    items.append(Slice(draw(bounds), draw(bounds), step))
            node = View(node, items)
    return node


def _elements(view: Node, places: np.ndarray) -> Any:
    chain = []
    while isinstance(view, View):
        chain.append(view)
        view = view.arg
    value: Any = places
    for link in reversed(chain):
        if link.order is not None:
            value = value.transpose(link.order)
        else:
            value = value[tuple(slice(*x) if isinstance(x, Slice) else x for x in link.subscripts)]
    return value


@given(views(), views(), st.integers(2, 7), st.integers(2, 7))
@settings(max_examples=300, deadline=None)
def test_views_touch_as_numpy_says(x: Node, y: Node, rows: int, columns: int) -> None:
    places = np.arange(rows * columns).reshape(rows, columns)
    try:
        one, other = _elements(x, places), _elements(y, places)
    except IndexError:
        return
    meet = bool(np.intersect1d(one, other).size)
    known = {Extent(B, 0): rows, Extent(B, 1): columns}
    exact = may_touch(x, y, known)
    assert (exact.answer == "never") == (not meet) or (exact.answer == "same" and np.array_equal(one, other))
    touch = may_touch(x, y)
    if touch.answer == "never":
        assert not meet
    if touch.answer == "same":
        assert np.array_equal(one, other)
    if touch.apart is not None and one.size and other.size:
        result = Operand("r", INT64.array(0).element)
        program = Program("f", [B], [Assign(result, Cast(touch.apart, INT64))], [result])
        if int(interpret(program, {"b": places.astype(float)})["r"]):
            assert not meet


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        ("a[::2]", "a[1::2]", "never"),
        ("a[:5]", "a[5:]", "never"),
        ("a[1:-1]", "a[1:-1]", "same"),
        ("a[1:]", "a[:-1]", "may"),
        ("a[:-1][::2]", "a[1:][::2]", "never"),
    ],
)
def test_views_of_any_length(one: str, other: str, answer: str) -> None:
    program = parse(
        f"def f(a: float64[:], *, r: float64[:], s: float64[:]):\n    r[...] = {one}\n    s[...] = {other}\n"
    )
    x, y = (s.args[1] for s in program.statements)
    assert may_touch(x, y).answer == answer


def test_an_affine_form_is_written_as_read() -> None:
    n, i = Operand("n", INT64), Index("i")
    for form in ({n: 1, i: -2, None: 5}, {None: -3}, {n: -1, None: 0}, {n: 3, i: 1, None: -1}):
        assert linear(expression_of(form)) == form
