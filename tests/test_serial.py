"""Loops over single elements: recurrences and the like, as serial code of both engines."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passes_support import assert_same, copies

import arrayexpr
from arrayexpr._core.affine import integer, minus, plus
from arrayexpr._core.engine import serial
from arrayexpr._core.engine.loopstep import LoopStep
from arrayexpr._core.engine.runtime import Runtime
from arrayexpr._core.engine.serial import SerialStep
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Apply, Assign, Cast, Constant, For, Index, Node, Operand, View
from arrayexpr._core.ops import operator
from arrayexpr._core.parser import parse
from arrayexpr._core.program import Program
from arrayexpr._core.types import FLOAT64, INT64, ElementType, element
from arrayexpr._core.verify import verify

OPERANDS = {
    "a": Operand("a", INT64.array(1)),
    "b": Operand("b", FLOAT64.array(1)),
    "c": Operand("c", element("int32").array(1)),
    "m": Operand("m", INT64.array(2)),
    "s": Operand("s", INT64.array(0)),
    "n": Operand("n", INT64.array(0)),
}
OPERATORS = ("add", "subtract", "multiply", "maximum", "floor_divide", "less")


class Maker:
    """Grows a nest of loops over elements."""

    def __init__(self, draw: Any):
        self.draw = draw
        self.indices: list[Index] = []
        self.locals = [Operand("p", INT64.array(0)), Operand("q", FLOAT64.array(0))]
        self.usable = list(self.locals)
        self.count = 0

    def choose(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def subscript(self) -> Any:
        k = self.choose(self.indices)
        near = [k, plus(k, integer(1)), minus(k, integer(1)), minus(integer(7), k), minus(OPERANDS["n"], k)]
        return self.choose([*near, 0, -1])

    def place(self) -> Node:
        operand = OPERANDS[self.choose("abcm")]
        if operand.type.rank == 1:
            return View(operand, (self.subscript(),))
        turned = View(operand, order=(1, 0)) if self.draw(st.booleans()) else operand
        return View(turned, (self.subscript(), self.subscript()))

    def value(self, t: ElementType, depth: int = 2) -> Node:
        if depth and self.draw(st.booleans()):
            op = operator(self.choose(OPERATORS))
            made: Node = Apply(op, (self.value(t, depth - 1), self.value(t, depth - 1)))
        else:
            kind = self.choose(["place", "place", "local", "scalar", "index", "constant"])
            made = {
                "place": self.place,
                "local": lambda: self.choose(self.usable),
                "scalar": lambda: OPERANDS["s"],
                "index": lambda: self.choose(self.indices),
                "constant": lambda: Constant(3, t),
            }[kind]()
        if made.type.element.kind == "f" and t.kind == "i":
            # What a real out of range becomes is open.
            low, high = (Constant(x, FLOAT64) for x in (-100.0, 100.0))
            made = Apply(operator("fmin"), (Apply(operator("fmax"), (made, low)), high))
        return made if made.type.element is t else Cast(made, t)

    def loop(self, depth: int) -> For:
        self.count += 1
        index = Index(f"k{self.count}")
        known = [(1, 6, 1), (6, 0, -1), (0, 3, 1)]
        bounds: Any = self.choose(
            [*known, (0, OPERANDS["n"], 2), *([(0, self.indices[-1], 1)] if self.indices else [])]
        )
        self.indices.append(index)
        usable = list(self.usable)
        body: list[Node] = []
        for _ in range(self.draw(st.integers(1, 3))):
            kind = self.choose(["place"] * 3 + ["kept", "local"] + ["loop"] * depth)
            if kind == "loop":
                body.append(self.loop(depth - 1))
            elif kind == "local":
                local = Operand(f"l{len(self.locals)}", self.choose([INT64, FLOAT64]).array(0))
                body.append(Assign(local, self.value(local.type.element)))
                self.locals.append(local)
                self.usable.append(local)
            else:
                target = self.place() if kind == "place" else self.choose(self.locals[:2])
                body.append(Assign(target, self.value(target.type.element)))
        self.indices.pop()
        self.usable = usable
        return For(index, *[x if isinstance(x, Node) else integer(x) for x in bounds], tuple(body))


@st.composite
def nests(draw: Any) -> Program:
    """Nests of loops over elements of a few arrays, with scalars that go from one iteration to the next."""
    maker = Maker(draw)
    loop = maker.loop(2)
    first = [Assign(maker.locals[0], Constant(1, INT64)), Assign(maker.locals[1], Constant(0.5, FLOAT64))]
    results = [Operand("r0", INT64.array(0)), Operand("r1", FLOAT64.array(0))]
    last = [Assign(r, local) for r, local in zip(results, maker.locals[:2], strict=True)]
    return Program("nest", OPERANDS.values(), [*first, loop, *last], results, locals=maker.locals)


def arrays(seed: int) -> dict[str, Any]:
    return {
        "a": np.arange(9) * 3 - 7,
        "b": np.linspace(-2, 2, 18)[::2] if seed % 2 else np.linspace(-2, 2, 9),
        "c": np.arange(9, dtype=np.int32)[::-1].copy(),
        "m": np.arange(81).reshape(9, 9).T - 30,
        "s": np.asarray(5),
        "n": np.asarray(6 + seed % 3),
    }


def check(program: Program, seed: int, engine: str) -> None:
    verify(program)
    one, two = copies(arrays(seed)), copies(arrays(seed))
    with np.errstate(all="ignore"):
        expected = interpret(program, one)
        found = arrayexpr.compile(program, engine=engine)(*two.values())
    for name in one:
        assert_same(one[name], two[name])
    assert_same(expected["r0"], np.asarray(found[0]))
    assert_same(expected["r1"], np.asarray(found[1]))


@settings(max_examples=200)
@given(nests(), st.integers(0, 5))
def test_the_block_engine_runs_nests_over_elements(program: Program, seed: int) -> None:
    check(program, seed, "block")


@settings(max_examples=25)
@given(nests(), st.integers(0, 5))
def test_compiled_code_runs_nests_over_elements(program: Program, seed: int) -> None:
    check(program, seed, "c")


@pytest.mark.slow
@settings(max_examples=3000)
@given(nests(), st.integers(0, 5), st.sampled_from(["block", "block", "block", "c"]))
def test_engines_run_many_nests_over_elements(program: Program, seed: int, engine: str) -> None:
    check(program, seed, engine)


def step_of(text: str, **options: Any) -> Any:
    program = parse(f"def f(a: float64[:], b: float64[:], n: int64):\n    for k in range(1, n, 1):\n        {text}\n")
    (step,) = arrayexpr.compile(program, **options).compiled.plan.steps
    return step


def test_what_is_serial_code() -> None:
    step = step_of("a[k, ...] = a[k - 1, ...] * b[k, ...]", engine="block")
    assert isinstance(step, SerialStep)
    assert isinstance(step_of("a[1:] = a[:-1] * b[k, ...]", engine="block"), LoopStep)
    assert isinstance(step_of("a[k, ...] = exp(a[k - 1, ...])", engine="block"), SerialStep)
    # Integers to negative powers raise.
    assert isinstance(step_of("a[k, ...] = cast(n ** k, float64) + a[k - 1, ...]", engine="block"), LoopStep)


@pytest.mark.parametrize("engine", ["block", "c"])
@pytest.mark.parametrize("name", ["exp", "sin", "log1p", "tanh"])
def test_functions_have_the_bits_that_they_have_of_arrays(name: str, engine: str) -> None:
    loop = f"    for i in range(1, 40, 1):\n        r[i] = {name}(a[i]) - r[i - 1]\n"
    text = f"def f(a: float64[:], r: float64[:]):\n{loop}"
    a, r = np.linspace(0.1, 9, 40), np.zeros(40)
    kernel = arrayexpr.compile(parse(text), engine=engine)
    kernel(a, r)
    assert isinstance(kernel.compiled.plan.steps[0], SerialStep)
    values = arrayexpr.compile(parse(f"def f(a: float64[:], *, r: float64[:]):\n    r[...] = {name}(a)\n"))(a)
    expected = np.zeros(40)
    for i in range(1, 40):
        expected[i] = values[i] - expected[i - 1]
    assert_same(expected, r)


@pytest.mark.parametrize("engine", ["block", "c"])
def test_places_that_count_from_the_end_and_shared_memory(engine: str) -> None:
    def before(a: Any, b: Any, n: Any) -> None:
        for k in range(n):
            a[k] = a[k - 1] + b[k - 2]

    kernel = arrayexpr.kernel(before, engine=engine)
    for share in (False, True):
        results = []
        for function in (before, kernel):
            memory = np.arange(20.0)
            function(memory[:9], memory[1:10] if share else memory[10:19], 9)
            results.append(memory)
        assert_same(*results)


def test_a_long_recurrence_in_pieces() -> None:
    def scan(a: Any, b: Any) -> Any:
        s = 0.0
        for k in range(1, len(a)):
            a[k] = a[k - 1] * 0.5 + b[k]
            s = s + a[k]
        return s

    a, b = np.ones(10_001), np.linspace(0, 1, 10_001)
    mine = a.copy()
    expected = scan(a, b)
    assert arrayexpr.kernel(scan)(mine, b) == expected
    assert_same(a, mine)


def test_calls_like_the_last_one_do_not_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def decay(a: Any, b: Any, n: Any, m: Any) -> None:
        for i in range(1, n):
            a[i] = a[i - 1] * 0.5 + b[i]
        for i in range(1, m.shape[0]):
            for j in range(1, m.shape[1]):
                m[i, j] = m[i - 1, j] + m[i, j - 1] * 0.25

    asked = []
    run = Runtime.run

    def counted(self: Runtime, *args: Any) -> Any:
        asked.append(self)
        return run(self, *args)

    monkeypatch.setattr(Runtime, "run", counted)
    kernel = arrayexpr.kernel(decay)
    rng = np.random.default_rng(0)
    memory = np.zeros(40)

    def call(a: Any, b: Any, n: int, m: Any) -> int:
        """Call the kernel and compare. Returns how often the runtime was asked."""
        given = [a.copy(), b.copy(), n, m.copy()]
        if a is b:
            given[1] = given[0]
        decay(*given)
        before = len(asked)
        kernel(a, b, n, m)
        for expected, value in zip(given, (a, b, n, m), strict=True):
            np.testing.assert_array_equal(value, expected)
        return len(asked) - before

    def fresh(n: int = 40) -> Any:
        return rng.random(n)

    assert call(fresh(), fresh(), 40, rng.random((5, 7))) == 1
    assert call(fresh(), fresh(), 40, rng.random((5, 7))) == 0
    assert call(fresh(), fresh(), 30, rng.random((5, 7))) == 1
    assert call(fresh(), fresh(), 30, rng.random((5, 7))) == 0
    assert call(fresh(), fresh(), 30, rng.random((5, 14))[:, ::2]) == 1
    # One array by two names.
    assert call(memory, memory, 30, rng.random((5, 7))) >= 1
    assert call(fresh(), fresh(), 40, rng.random((5, 7))) == 0


def test_arrays_between_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def scan(a: Any, b: Any) -> None:
        for k in range(1, len(a)):
            a[k] = a[k - 1] * 0.5 + b[k]

    ran = []
    loop = serial.run_loop
    monkeypatch.setattr(serial, "run_loop", lambda *args: ran.append(args) or loop(*args))
    kernel = arrayexpr.kernel(scan)
    # Even and odd places have no element in common; of the others one is read that was stored, in later calls too.
    for first, second, shared in ((0, 1, False), (0, 1, False), (0, 2, True), (1, 0, False), (2, 0, True)):
        one, two = np.arange(24.0), np.arange(24.0)
        scan(one[first : first + 20 : 2], one[second : second + 20 : 2])
        ran.clear()
        kernel(two[first : first + 20 : 2], two[second : second + 20 : 2])
        assert_same(one, two)
        assert bool(ran) == shared


@pytest.mark.parametrize("first", [0, 1])
def test_calls_like_the_last_one_of_a_loop_with_guards(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(a: Any, b: Any, first: Any) -> None:
        for k in range(first, len(a)):
            if a[k - 1] > b[k] or k < 3:
                a[k] = a[k - 1] * 0.5 + b[k]
            elif b[0] > 0:
                a[k] = b[k] - a[k - 1]

    asked = []
    run = Runtime.run
    monkeypatch.setattr(Runtime, "run", lambda self, *args: asked.append(self) or run(self, *args))
    kernel = arrayexpr.kernel(limited)
    rng = np.random.default_rng(0)
    for call in range(30):
        # Other numbers each time, so that each guard holds in some calls and not in others.
        a, b = rng.normal(size=12), rng.normal(size=12)
        expected = a.copy()
        limited(expected, b, first)
        before = len(asked)
        kernel(a, b, first)
        assert_same(expected, a)
        # From 0 on the first iteration reads the last element, and is run step by step.
        assert (len(asked) == before) == (first == 1 and call > 0)


def test_calls_like_the_last_one_have_the_indices_of_loops_around() -> None:
    def function(a: Any, b: Any, n: Any) -> None:
        for t in range(n):
            a[1:] = a[1:] * 2.0
            for k in range(1, b.shape[0]):
                b[k] = b[k - 1] * 0.5 + t

    kernel = arrayexpr.kernel(function)
    for n in (3, 3, 3, 9, 9):
        one, two = [np.ones(5), np.arange(6.0)], [np.ones(5), np.arange(6.0)]
        function(*one, n)
        kernel(*two, n)
        for expected, found in zip(one, two, strict=True):
            assert_same(expected, found)


# -- Stores to single elements, as hosts hand them over -------------------------------------------


class ElementMaker:
    """Grows the text of a nest of stores to elements: with tests, scratch, and subscripts that are elements."""

    def __init__(self, draw: Any):
        self.draw = draw
        self.indices: list[str] = []
        self.scratch: list[str] = []
        self.count = 0

    def choose(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def subscript(self) -> str:
        i = self.choose(self.indices)
        return str(self.choose([i, i, f"{i} + 1", f"{i} - 1", f"n - {i}", f"{i} * {i}", f"k[{i}]", "n - 1", "2"]))

    def place(self) -> str:
        name = self.choose("aabm")
        return f"m[{self.subscript()}, {self.subscript()}]" if name == "m" else f"{name}[{self.subscript()}]"

    def value(self, depth: int = 2) -> str:
        if depth and self.draw(st.booleans()):
            one, other = self.value(depth - 1), self.value(depth - 1)
            form = self.choose(
                ["{} + {}", "{} - {}", "maximum({}, {})", "minimum({}, {}) * 0.5", "where({} < {}, 1.0, 2.0)"]
            )
            return str(form.format(f"({one})" if form[0] == "{" else one, f"({other})" if form[0] == "{" else other))
        kinds = [self.place(), self.place(), "s[()]", "2.5", f"cast({self.choose(self.indices)}, float64)"]
        return str(self.choose([*kinds, *(f"{t}[()]" for t in self.scratch)]))

    def test(self) -> str:
        i = self.choose(self.indices)
        kinds = [f"{i} > 0", f"{i} < n - 1", f"{i} >= 1 and {i} < 4", f"not {i} == 0", f"{self.place()} > 0.5"]
        return str(self.choose(kinds))

    def block(self, depth: int, indent: int) -> list[str]:
        lines: list[str] = []
        scratch = list(self.scratch)
        for _ in range(self.draw(st.integers(1, 3))):
            kind = self.choose(["store"] * 3 + ["scalar", "scratch"] + ["loop", "test"] * depth)
            pad = "    " * indent
            if kind == "store":
                lines.append(f"{pad}{self.place()} = {self.value()}")
            elif kind == "scalar":
                lines.append(f"{pad}s[()] = {self.value()}")
            elif kind == "scratch":
                self.count += 1
                name = f"t{self.count}"
                lines += [f"{pad}{name} = scratch(float64)", f"{pad}{name}[()] = {self.value()}"]
                self.scratch.append(name)
            elif kind == "test":
                lines += [f"{pad}if {self.test()}:", *self.block(depth - 1, indent + 1)]
                if self.draw(st.booleans()):
                    lines += [f"{pad}else:", *self.block(depth - 1, indent + 1)]
            else:
                lines += self.loop(depth - 1, indent)
        self.scratch = scratch
        return lines

    def loop(self, depth: int, indent: int) -> list[str]:
        self.count += 1
        index = f"i{self.count}"
        bounds = ["0, n, 1", "1, n, 1", "n - 1, -1, -1", "1, 5, 2", "0, a.shape[0], 1"]
        if self.indices:
            bounds += [f"0, {self.indices[-1]}, 1", f"k[{self.indices[-1]}], n, 1"]
        head = f"{'    ' * indent}for {index} in range({self.choose(bounds)}):"
        self.indices.append(index)
        lines = [head, *self.block(depth, indent + 1)]
        self.indices.pop()
        return lines

    def text(self) -> str:
        head = "def f(a: float64[:], b: float64[:], m: float64[:, :], k: int64[:], s: float64, n: int64):"
        return "\n".join([head, *self.loop(2, 1)]) + "\n"


ran: Counter[str] = Counter()


def check_elements(text: str, seed: int, engine: str) -> None:
    """Whether a nest leaves the arrays that the interpreter does, where that takes it."""
    program = parse(text)
    verify(program)
    rng = np.random.default_rng(seed)
    a = rng.random(9)
    given = {
        "a": a,
        "b": a[::-1] if seed % 7 == 6 else rng.random(18)[::2],
        "m": rng.random((9, 9)).T if seed % 2 else rng.random((9, 9)),
        "k": rng.integers(0, 7, 9),
        "s": np.asarray(0.75),
        "n": np.asarray(5 + seed % 3),
    }
    one, two = copies(given), copies(given)
    try:
        interpret(program, one)
    except arrayexpr.ArrayExprError as error:
        # What is in scratch that nothing reads need not be looked for.
        with suppress(type(error)) if "scratch" in text else pytest.raises(type(error)):
            arrayexpr.compile(program, engine=engine)(*two.values())
        return
    ran["taken"] += 1
    kernel = arrayexpr.compile(program, engine=engine)
    ran["code"] += any(isinstance(step, SerialStep) for step in kernel.compiled.plan.every_step())
    kernel(*two.values())
    for name in one:
        assert_same(one[name], two[name])
    three = copies(given)
    kernel(*three.values())
    for name in one:
        assert_same(one[name], three[name])


@st.composite
def element_nests(draw: Any) -> str:
    """The text of a nest of stores to single elements."""
    return ElementMaker(draw).text()


@settings(max_examples=150)
@given(element_nests(), st.integers(0, 13))
def test_the_block_engine_runs_stores_to_elements(text: str, seed: int) -> None:
    check_elements(text, seed, "block")


@settings(max_examples=25)
@given(element_nests(), st.integers(0, 13))
def test_compiled_code_runs_stores_to_elements(text: str, seed: int) -> None:
    check_elements(text, seed, "c")


def test_most_stores_to_elements_are_run_by_code() -> None:
    assert ran["taken"] >= 40
    assert ran["code"] > ran["taken"] / 2


@pytest.mark.slow
@settings(max_examples=3000)
@given(element_nests(), st.integers(0, 13), st.sampled_from(["block", "block", "block", "c"]))
def test_engines_run_many_stores_to_elements(text: str, seed: int, engine: str) -> None:
    check_elements(text, seed, engine)


def interpreted(program: Program, monkeypatch: pytest.MonkeyPatch, *arrays: Any) -> bool:
    """Whether the interpreter ran a part of a program."""
    from arrayexpr._core.engine import runtime

    found = []
    before = runtime._interpreted
    monkeypatch.setattr(runtime, "_interpreted", lambda *args: found.append(args) or before(*args))
    arrayexpr.compile(program)(*arrays)
    return bool(found)


def test_elements_that_are_subscripts_and_bounds_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    program = parse("""
def product(first: int64[:], column: int64[:], value: float64[:], x: float64[:], r: float64[:]):
    for i in range(0, r.shape[0], 1):
        s = scratch(float64)
        s[()] = 0.0
        for k in range(first[i], first[i + 1], 1):
            s[()] = s[()] + value[k] * x[column[k]]
        r[i] = s[()]
""")
    first, column, value = np.array([0, 2, 2, 3]), np.array([1, 3, 0]), np.array([2.0, 3.0, 4.0])
    x, r = np.array([1.0, 10.0, 100.0, 1000.0]), np.zeros(3)
    assert not interpreted(program, monkeypatch, first, column, value, x, r)
    assert r.tolist() == [3020.0, 0.0, 4.0]
    kernel = arrayexpr.compile(program)
    kernel(first, column, value, x, r)
    # Of the same layouts, and with a column that there is not.
    with pytest.raises(arrayexpr.ShapeMismatch):
        kernel(first, np.array([1, 4, 0]), value, x, r)
