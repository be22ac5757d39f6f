"""Raising loops: random nests mean the same before and after, and what is refused says why."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import clone, lay_out, same, values

from arrayexpr import compile, emit
from arrayexpr._core.affine import integer, minus, plus, times
from arrayexpr._core.driver import ARRAY_PASSES, run
from arrayexpr._core.errors import ArrayExprError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Cast,
    Contract,
    Extent,
    For,
    Guard,
    Index,
    Load,
    Node,
    Operand,
    Reduce,
    Scratch,
    Store,
    postorder,
)
from arrayexpr._core.ops import operator
from arrayexpr._core.parser import parse
from arrayexpr._core.passes.raise_loops import raise_loops
from arrayexpr._core.program import Program
from arrayexpr._core.types import INT64
from arrayexpr._core.types import element as element_of
from arrayexpr._core.verify import verify

LAYOUTS = ("C", "F", "permuted", "reversed", "stepped", "record")


class _Maker:
    """Draws a program of one nest of loops."""

    def __init__(self, draw: Any):
        self.draw = draw
        self.element = element_of(draw(st.sampled_from(["int64", "int64", "int32", "float64"])))
        self.operands = [
            Operand(name, self.element.array(rank)) for name, rank in (("a", 1), ("b", 2), ("c", 1), ("d", 2))
        ]
        self.scalar = Operand("s", self.element)
        self.n = Operand("n", INT64)
        self.indices: list[Index] = []
        self.scratch: list[Operand] = []

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def length(self) -> Node:
        kind = self.one_of("extent", "extent", "n", "number")
        if kind == "number":
            return integer(self.draw(st.integers(2, 5)))
        if kind == "n":
            return self.n
        operand = self.one_of(*self.operands)
        return Extent(operand, self.draw(st.integers(0, operand.type.rank - 1)))

    def bounds(self) -> tuple[Node, Node, Node]:
        n = self.length()
        match self.one_of("whole", "whole", "inner", "from", "to", "steps", "back", "back_steps", "triangle"):
            case "whole":
                return integer(0), n, integer(1)
            case "inner":
                return integer(1), minus(n, integer(1)), integer(1)
            case "from":
                return integer(self.draw(st.integers(1, 2))), n, integer(1)
            case "to":
                return integer(0), minus(n, integer(self.draw(st.integers(1, 2)))), integer(1)
            case "steps":
                return integer(self.draw(st.integers(0, 1))), n, integer(2)
            case "back":
                return minus(n, integer(1)), integer(self.draw(st.integers(-1, 0))), integer(-1)
            case "back_steps":
                return minus(n, integer(1)), integer(-1), integer(-2)
        if self.indices:
            return integer(0), plus(self.indices[0], integer(self.draw(st.integers(0, 1)))), integer(1)
        return integer(0), n, integer(1)

    def subscript(self, index: Index | None) -> Node:
        if index is None:
            return integer(self.draw(st.integers(0, 2)))
        match self.one_of("same", "same", "same", "same", "shift", "shift", "mirror", "double", "fixed"):
            case "same":
                return index
            case "shift":
                return plus(index, integer(self.draw(st.integers(-1, 1))))
            case "mirror":
                return minus(minus(self.length(), integer(1)), index)
            case "double":
                return times(index, integer(2))
        return integer(self.draw(st.integers(0, 2)))

    def place(self, operand: Operand) -> tuple[Node, ...]:
        order = self.draw(st.permutations(self.indices)) if self.draw(st.integers(0, 2)) == 0 else list(self.indices)
        wanted = order[: operand.type.rank] if self.draw(st.booleans()) else order[::-1][: operand.type.rank][::-1]
        wanted = [*wanted, *[None] * (operand.type.rank - len(wanted))]
        return tuple(self.subscript(index) for index in wanted)

    def load(self) -> Node:
        kind = self.one_of("array", "array", "array", "array", "scalar", "temporary")
        if kind == "temporary" and self.scratch:
            return Load(self.one_of(*self.scratch), ())
        if kind == "scalar":
            return self.scalar
        operand = self.one_of(*self.operands)
        return Load(operand, self.place(operand))

    def value(self) -> Node:
        node = self.load()
        for _ in range(self.draw(st.integers(0, 2))):
            node = Apply(operator(self.one_of("add", "multiply", "subtract", "maximum")), (node, self.load()))
        return node

    def condition(self) -> Node:
        if self.draw(st.booleans()) and self.indices:
            left: Node = self.one_of(*self.indices)
            right = self.one_of(integer(1), integer(3), minus(self.length(), integer(1)), *self.indices[:1])
        else:
            left, right = self.load(), self.load()
        condition = Apply(operator(self.one_of("less", "greater_equal", "equal", "not_equal")), (left, right))
        return Apply(operator("logical_not"), (condition,)) if self.draw(st.integers(0, 4)) == 0 else condition

    def statement(self) -> Node:
        kind = self.one_of("store", "store", "store", "sum", "sum", "total", "temporary")
        if kind == "temporary" and self.scratch:
            return Store(self.one_of(*self.scratch), (), self.value())
        if kind == "total":
            current: Node = Load(self.scalar, ())
            return Store(self.scalar, (), Apply(operator(self.one_of("add", "maximum")), (current, self.value())))
        operand = self.one_of(*self.operands)
        place = self.place(operand)
        value = self.value()
        if kind == "sum":
            value = Apply(operator(self.one_of("add", "add", "multiply", "minimum")), (Load(operand, place), value))
        return Store(operand, place, value)

    def body(self, depth: int) -> list[Node]:
        found: list[Node] = []
        made = 0
        if self.draw(st.integers(0, 3)) == 0:
            made = 1
            temporary = Operand(f"t{len(self.indices)}{len(self.scratch)}", self.element)
            found += [Scratch(temporary, ()), Store(temporary, (), self.value())]
            self.scratch.append(temporary)
        count = self.draw(st.integers(1, 3))
        nested = self.draw(st.integers(0, count - 1)) if depth else -1
        for k in range(count):
            if k == nested:
                found.append(self.loop(depth - 1))
            elif self.draw(st.integers(0, 4)) == 0:
                otherwise = (self.statement(),) if self.draw(st.booleans()) else ()
                found.append(Guard(self.condition(), (self.statement(),), otherwise))
            else:
                found.append(self.statement())
        del self.scratch[len(self.scratch) - made :]
        return found

    def loop(self, depth: int) -> Node:
        start, stop, step = self.bounds()
        index = Index(f"i{len(self.indices)}")
        self.indices.append(index)
        body = self.body(depth)
        self.indices.pop()
        return For(index, start, stop, step, tuple(body))

    def program(self) -> Program:
        depth = self.draw(st.integers(0, 2))
        nest = self.loop(depth)
        return Program("f", [*self.operands, self.scalar, self.n], [nest])


@st.composite
def nests(draw: Any) -> tuple[Program, dict[str, np.ndarray]]:
    """A program of one nest of loops, and arrays for it: mostly of the lengths that it takes for granted."""
    maker = _Maker(draw)
    program = maker.program()
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    usual = draw(st.integers(3, 6))
    odd = draw(st.integers(0, 5)) == 0
    arrays: dict[str, np.ndarray] = {}
    for operand in maker.operands:
        shape = tuple(
            int(rng.integers(0, 8)) if odd and rng.random() < 0.4 else usual for _ in range(operand.type.rank)
        )
        filled = values(operand.type.element, shape, rng)
        arrays[operand.name] = lay_out(filled, LAYOUTS[rng.integers(len(LAYOUTS))], rng)
    if draw(st.integers(0, 5)) == 0:
        # Names for the same memory, whole or in part.
        one, other = draw(st.sampled_from([("a", "c"), ("b", "d")]))
        arrays[other] = arrays[one] if draw(st.booleans()) else arrays[one][::-1]
    arrays["s"] = np.array(rng.integers(-3, 4), maker.element.dtype)
    arrays["n"] = np.array(usual if rng.random() < 0.8 else int(rng.integers(0, 8)))
    return program, arrays


def outcome(program: Program, arrays: dict[str, np.ndarray]) -> tuple[str, dict[str, np.ndarray]]:
    """What running a program raises, and its arrays after that."""
    copies = clone(arrays)
    raised = ""
    try:
        interpret(program, copies)
    except ArrayExprError as error:
        raised = type(error).__name__
    return raised, copies


def takes(program: Program, arrays: dict[str, np.ndarray]) -> bool:
    """Whether the first version of what was raised is the one that runs."""
    first = program.statements[0]
    if not isinstance(first, Guard):
        return True
    flag = Operand("flag", INT64)
    asked = Program("asked", program.operands, [Assign(flag, Cast(first.condition, INT64))], [flag])
    return bool(interpret(asked, clone(arrays))["flag"])


seen: Counter[str] = Counter()


def check(case: tuple[Program, dict[str, np.ndarray]]) -> None:
    program, arrays = case
    verify(program)
    after = raise_loops(program)
    seen["all"] += 1
    if after is program or after.statements == program.statements:
        assert after.remarks
        return
    verify(after)
    assert parse(str(after)) == after
    assigns = [n for n in postorder(after.statements) if isinstance(n, Assign)]
    assert assigns
    seen["raised"] += 1
    seen["run"] += takes(after, arrays)
    seen["reduced"] += any(isinstance(n, Reduce | Contract) for n in postorder(after.statements))
    seen["partly"] += any(isinstance(n, For) and any(isinstance(s, Assign) for s in n.body) for n in after.nodes())
    expected, got = outcome(program, arrays), outcome(after, arrays)
    assert expected[0] == got[0], f"{expected[0]} became {got[0]} of\n{program}\nbecame\n{after}"
    for name in arrays:
        assert same(expected[1][name], got[1][name]), f"{name} differs: of\n{program}\nbecame\n{after}"


@given(nests())
@settings(max_examples=100, deadline=None)
def test_a_nest_means_the_same_after(case: tuple[Program, dict[str, np.ndarray]]) -> None:
    check(case)


def test_a_good_share_was_raised() -> None:
    assert seen["all"] >= 100
    assert seen["raised"] > seen["all"] / 4
    assert seen["run"] > seen["all"] / 10
    assert seen["reduced"] > 0
    assert seen["partly"] > 0


@given(nests())
@settings(max_examples=25, deadline=None)
def test_the_block_engine_runs_what_was_raised(case: tuple[Program, dict[str, np.ndarray]]) -> None:
    program, arrays = case
    for name, array in arrays.items():
        # Unaligned memory and another order of bytes are copied, which is tested elsewhere.
        arrays[name] = array if array.flags.aligned and array.dtype.isnative else array.copy()
    expected, got = outcome(program, arrays), clone(arrays)
    raised = ""
    try:
        compile(program, engine="block")(*(got[operand.name] for operand in program.operands))
    except ArrayExprError as error:
        raised = type(error).__name__
    assert bool(raised) == bool(expected[0])
    for name in arrays:
        assert raised or same(expected[1][name], got[name]), f"{name} differs: of\n{program}\n{raise_loops(program)}"


@pytest.mark.slow
@given(nests())
@settings(max_examples=5000, deadline=None)
def test_thousands_of_nests_mean_the_same_after(case: tuple[Program, dict[str, np.ndarray]]) -> None:
    check(case)


SHIFT = """
def shift(a: float64[:], r: float64[:]):
    for i in range(1, r.shape[0], 1):
        r[i] = a[i - 1] * 2.0
"""


@pytest.mark.parametrize("engine", ["block", "auto"])
def test_memory_that_is_shared_keeps_the_order_of_the_loop(engine: str) -> None:
    kernel = compile(parse(SHIFT), engine=engine)
    a = np.arange(1.0, 7.0)
    r = np.zeros(6)
    kernel(a, r)
    assert r.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    # One array under two names: each element is read after the one before it was stored.
    kernel(a, a)
    assert a.tolist() == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    b = np.arange(1.0, 8.0)
    kernel(b[:-1], b[1:])
    assert b.tolist() == [1.0, 2.0, 2.0, 4.0, 4.0, 8.0, 8.0]
    # Interleaved memory is no shared memory.
    c = np.arange(8.0)
    kernel(c[::2], c[1::2])
    assert c.tolist() == [0.0, 1.0, 2.0, 0.0, 4.0, 4.0, 6.0, 8.0]


def test_lengths_that_do_not_fit_take_the_loop() -> None:
    kernel = compile(parse(SHIFT), engine="block")
    r = np.zeros(4)
    # Longer than what is stored.
    kernel(np.arange(9.0), r)
    assert r.tolist() == [0.0, 0.0, 2.0, 4.0]
    with pytest.raises(ArrayExprError, match="outside of a"):
        kernel(np.arange(2.0), r)


def test_a_result_needs_storage() -> None:
    program = parse(SHIFT.replace("a: float64[:], r:", "a: float64[:], *, r:"))
    kernel = compile(program, engine="block")
    r = np.zeros(3)
    kernel(np.arange(3.0), out=r)
    assert r.tolist() == [0.0, 0.0, 2.0]
    with pytest.raises(ArrayExprError, match="result r is read or viewed before its shape is known: give its storage"):
        kernel(np.arange(3.0))


def test_a_subscript_that_is_always_outside_is_refused() -> None:
    program = parse("""
@layouts(a=((6,), (8,)), r=((6,), (8,)))
def f(a: float64[:], r: float64[:]):
    for i in range(0, 6, 1):
        r[i] = a[i + 1]
""")
    assert raise_loops(program).remarks == ("loop i stays: a subscript lies outside of its axis",)


def test_what_has_no_loops_ahead_of_time_stays() -> None:
    program = parse("""
def f(a: float64[:], n: int64, m: int64, r: float64[:]):
    for i in range(0, n, 1):
        r[i] = a[i]
    m[()] = n - 1
    for i in range(0, m, 1):
        r[i] = a[i]
""")
    raised = raise_loops(program, lowered=True)
    assert [type(statement) for statement in raised.statements] == [Guard, Store, For]
    (guard, *_) = raised.statements
    assert isinstance(guard, Guard)
    # Of all elements, or of the first ones, or else the loop.
    assert [type(statement) for statement in (*guard.then, *guard.otherwise)] == [Assign, Guard]
    (part,) = guard.otherwise
    assert isinstance(part, Guard)
    assert list(map(str, part.then)) == ["r[:n] = a[:n]"] and [type(s) for s in part.otherwise] == [For]
    assert raised.remarks[0] == "loop i stays: a.shape[0] == m has no loops ahead of time"
    assert len(raise_loops(program).remarks) == 0
    assert "a_n0" in emit(program)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("a", "c", (True, True)), ("a", "a", (False, True)), ("even", "odd", (True, True)), ("a", "even", (False, False))],
)
def test_disjoint(one: str, other: str, expected: tuple[bool, bool]) -> None:
    base = np.arange(10.0)
    arrays = {"a": base, "c": np.zeros(10), "even": base[::2], "odd": base[1::2]}
    text = "def f(x: float64[:], y: float64[:], *, r: bool, s: bool):\n"
    text += "    r[...] = disjoint(x, y)\n    s[...] = disjoint(x, y, same=True)\n"
    program = parse(text)
    assert str(program) == text
    verify(program)
    found = interpret(program, {"x": arrays[one], "y": arrays[other]})
    assert (bool(found["r"]), bool(found["s"])) == expected


def test_a_condition_on_memory_is_simplified_away_by_no_law() -> None:
    text = "def f(x: float64[:], y: float64[:], *, r: bool):\n    r[...] = x.shape[0] == 1 and disjoint(x, y)\n"
    assert str(run(parse(text), ARRAY_PASSES)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("disjoint(x)", "expected disjoint\\(a, b\\), of two operands"),
        ("disjoint(x, x)", "expected two operands"),
        ("disjoint(x, x + y)", "expected the name of an operand"),
        ("disjoint(x, y, same=1)", "same: expected True or False"),
    ],
)
def test_disjoint_refuses(text: str, message: str) -> None:
    with pytest.raises(ArrayExprError, match=message):
        parse(f"def f(x: float64[:], y: float64[:], *, r: bool):\n    r[...] = {text}\n")


def test_no_version_for_lengths_that_may_be_equal() -> None:
    program = parse("""
def f(a: float64[:], n: int64, r: float64[:]):
    for i in range(0, n, 1):
        r[i] = a[i]
""")
    (guard,) = raise_loops(program, guess=False).statements
    assert isinstance(guard, Guard)
    assert list(map(str, guard.then)) == ["r[:n] = a[:n]"] and [type(s) for s in guard.otherwise] == [For]
