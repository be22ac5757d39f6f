"""Hoisting keeps every bit of a program's meaning, and what is hoisted is computed no more often than it has to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from layouts import clone, lay_out, same
from strategies import elementwise_programs, loop_programs, operand_arrays

import arrayexpr
from arrayexpr._core.errors import ShapeMismatch, UnsupportedError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Apply, For, Node, Store, postorder
from arrayexpr._core.parser import parse
from arrayexpr._core.passes.hoist import hoist
from arrayexpr._core.passes.lower import lower
from arrayexpr._core.passes.sweep import sweep
from arrayexpr._core.verify import verify

# -- The pass --


@settings(max_examples=300)
@given(st.data(), elementwise_programs(max_rank=4, max_nodes=16), st.booleans(), st.sampled_from([1, 3, 1024]))
def test_hoisting_keeps_the_meaning(data: Any, case: Any, strips: bool, length: int) -> None:
    arrays = data.draw(operand_arrays(case))
    lowered = lower(case.program)
    hoisted = hoist(lowered, strips=strips, length=length)
    verify(hoisted)
    assert parse(str(hoisted)) == hoisted
    try:
        expected = interpret(lowered, clone(arrays))
    except (ShapeMismatch, UnsupportedError, ValueError):
        assume(False)
    for name, value in interpret(hoisted, clone(arrays)).items():
        assert same(value, expected[name]), f"{name}: expected\n{expected[name]}\ngot\n{value}\nof\n{hoisted}"


@given(st.data(), loop_programs(), st.booleans(), st.sampled_from([1, 3, 1024]))
def test_loops_of_a_host_keep_their_meaning(data: Any, case: Any, strips: bool, length: int) -> None:
    arrays = data.draw(operand_arrays(case))
    hoisted = hoist(case.program, strips=strips, length=length)
    verify(hoisted)
    one, two = clone(arrays), clone(arrays)
    try:
        expected = interpret(case.program, one)
    except (ShapeMismatch, UnsupportedError):
        assume(False)
    got = interpret(hoisted, two)
    for name in expected:
        assert same(got[name], expected[name]), name
    for name in one:
        assert same(one[name], two[name]), name


AXES = ("::0", ":")


@settings(max_examples=300)
@given(
    st.lists(st.tuples(*[st.sampled_from(AXES)] * 3), min_size=2, max_size=4),
    st.tuples(*[st.integers(1, 5)] * 3),
    st.sampled_from(["exp(-{0}) + sqrt({1} * {0})", "sin({0}) * {1} + cos({0} / {1})", "exp(sqrt({0}) * {1}) + {0}"]),
    st.booleans(),
    st.sampled_from([1, 2, 1024]),
)
def test_operands_that_are_broadcast(axes: Any, shape: Any, form: str, strips: bool, length: int) -> None:
    """Every pattern of broadcasting over three axes: the same bits, and no function more often than without."""
    text = "x0"
    for k in range(1, len(axes)):
        text = form.format(f"x{k}", f"({text})")
    types = ", ".join(f"x{k}: float64[{', '.join(marks)}]" for k, marks in enumerate(axes))
    lowered = lower(parse(f"def f({types}, *, r: float64[:, :, ::1]):\n    r[...] = {text}\n"))
    hoisted = hoist(lowered, strips=strips, length=length)
    verify(hoisted)
    rng = np.random.default_rng(0)
    arrays = {
        f"x{k}": rng.uniform(0.1, 1, [1 if mark == "::0" else n for mark, n in zip(marks, shape, strict=True)])
        for k, marks in enumerate(axes)
    }
    arrays["r"] = np.empty(shape)
    expected = interpret(lowered, clone(arrays))["r"]
    assert same(interpret(hoisted, clone(arrays))["r"], expected), hoisted


def depths(program: Any, name: str) -> list[list[str]]:
    """The loops, by their indices, around each use of an operator; blocks and strips are none."""
    found = []

    def visit(statement: Node, around: list[str]) -> None:
        if isinstance(statement, For):
            inner = around if statement.role == "block" else [*around, statement.index.name]
            for each in statement.body:
                visit(each, inner)
        elif isinstance(statement, Store):
            found.extend(around for n in postorder((statement.value,)) if isinstance(n, Apply) and n.op.name == name)

    for statement in program.statements:
        visit(statement, [])
    return found


def lowered(text: str) -> Any:
    return lower(sweep(parse(text)))


@pytest.mark.parametrize("strips", [False, True])
def test_functions_stand_in_the_loops_that_they_vary_along(strips: bool) -> None:
    program = lowered(
        "def f(x: float64[::0, ::1], y: float64[:, ::0], a: float64, *, r: float64[:, ::1]):\n"
        "    r[...] = sin(x) + cos(y) * exp(a) + tanh(x + y)\n"
    )
    hoisted = hoist(program, strips=strips)
    assert depths(program, "sin") == depths(program, "exp") == [["i0", "i1"]]
    assert depths(hoisted, "sin") == [["i1"]]
    assert depths(hoisted, "cos") == [["i0"]]
    assert depths(hoisted, "exp") == [[]]
    assert depths(hoisted, "tanh") == [["i0", "i1"]]
    assert len(hoisted.remarks) == 3
    assert any("sin" in remark and "once for each i1" in remark for remark in hoisted.remarks)


def test_a_row_is_hoisted_out_of_a_reduction() -> None:
    program = lowered(
        "def f(a: float64[:, ::1], row: float64[::1], *, r: float64[::1]):\n"
        "    r[...] = reduce(add, a * exp(row), (1,))\n"
    )
    assert depths(program, "exp") == [["i0", "i1"]]
    assert depths(hoist(program, strips=True), "exp") == [["i1"]]


def test_an_axis_of_length_one_is_no_reason() -> None:
    from arrayexpr._core.layout import Layout

    program = lower(
        parse("def f(a: float64[:, :], row: float64[:], *, r: float64[:, :]):\n    r[...] = a * exp(row)\n")
    )
    for rows, wanted in ((1, [["i0", "i1"]]), (2, [["i1"]])):
        layout = Layout((rows, 5), (40, 8))
        known = program.replace(layouts={"a": layout, "r": layout})
        assert depths(hoist(known), "exp") == wanted


def test_what_has_effects_stays() -> None:
    program = lower(parse("def f(a: int64[:, :], row: int64[:], *, r: int64[:, :]):\n    r[...] = a + row ** row\n"))
    assert hoist(program, strips=True) is program


# -- Kernels --

SHAPES = ((5, 1200), (1200, 5), (37, 41), (2, 3))
EXPRESSIONS = {
    "row and column": lambda a, x, y: np.sin(x**2) + np.cos(y**2),
    "with a whole one": lambda a, x, y: np.exp(y) * a + np.sqrt(x),
    "both in one": lambda a, x, y: a * np.exp(x) / np.cos(y) + np.log(x + y),
    "sum over rows": lambda a, x, y: np.sum(a * np.exp(x) + np.sin(y), axis=1),
    "sum over columns": lambda a, x, y: np.sum(a * np.exp(x) + np.sin(y), axis=0),
    "mean and difference": lambda a, x, y: np.sqrt(x) * (a - np.mean(a * np.exp(x), axis=1, keepdims=True)),
}


def test_both_engines_give_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    a, x, y = (arrayexpr.array(name, "float64", 2) for name in "axy")
    s = arrayexpr.array("s", "float64", 0)
    program = arrayexpr.program(a * np.exp(x) / np.cos(y) * np.sin(s), np.sum(a * np.exp(x) + np.sin(y), axis=1))
    for m, n in SHAPES:
        arrays = [rng.uniform(0.1, 2, shape) for shape in ((m, n), (1, n), (m, 1), ())]
        found = [arrayexpr.compile(program, engine=engine)(*arrays) for engine in ("block", "c")]
        assert same(found[0][0], found[1][0]) and same(found[0][1], found[1][1])


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_kernels(name: str) -> None:
    function = EXPRESSIONS[name]
    rng = np.random.default_rng(0)
    kernel = arrayexpr.kernel(lambda a, x, y: function(a, x, y))
    for m, n in SHAPES:
        for layout in ("C", "F"):
            whole = [rng.uniform(0.1, 2, (m, n)) for _ in range(3)]
            for x, y in ((whole[1][:1], whole[2][:, :1]), (whole[1], whole[2]), (whole[1][:, :1], whole[2][:1])):
                arrays = [lay_out(v, layout, rng) for v in (whole[0], x, y)]
                np.testing.assert_allclose(kernel(*arrays), function(*arrays), rtol=1e-12, atol=1e-13)


def test_tiles() -> None:
    """A row and a column stand before the nest, which is cut into tiles."""
    rng = np.random.default_rng(0)
    kernel = arrayexpr.kernel(lambda x, y, a, b: np.exp(x) * a + np.sqrt(y) * b)
    x, y, a, b = (rng.uniform(0.1, 2, shape) for shape in ((1, 1210), (1200, 1), (1200, 1210), (1210, 1200)))
    np.testing.assert_allclose(kernel(x, y, a, b.T), np.exp(x) * a + np.sqrt(y) * b.T, rtol=1e-12)
    said = arrayexpr.explain(kernel, x, y, a, b.T)
    assert "tiled" in said and "once for each i0" in said and "once for each i1" in said


@pytest.mark.parametrize("seed", range(6))
def test_axes_that_are_broadcast(seed: int) -> None:
    """Operands of three and four axes, broadcast at random, in any order in memory."""
    rng = np.random.default_rng(seed)
    rank = 3 + seed % 2
    a, x, y, z = (arrayexpr.array(name, "float64", rank) for name in "axyz")
    kernel = arrayexpr.compile(arrayexpr.program(a * np.exp(x) + np.sqrt(y) * np.cos(np.log(x) * z)))
    for _ in range(12):
        shape = rng.integers(1, 9, rank)
        arrays = [rng.uniform(0.1, 2, np.where(rng.random(rank) < 0.4, 1, shape)) for _ in range(4)]
        orders = [rng.permutation(rank) for _ in arrays]
        arrays = [
            np.ascontiguousarray(v.transpose(o)).transpose(np.argsort(o)) for v, o in zip(arrays, orders, strict=True)
        ]
        a, x, y, z = arrays
        expected = a * np.exp(x) + np.sqrt(y) * np.cos(np.log(x) * z)
        np.testing.assert_allclose(kernel(*arrays), expected, rtol=1e-12, atol=1e-13)
    assert len(codes(kernel)) <= 8


def test_threads_and_serial_give_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    a, x, y = rng.uniform(0.1, 2, (700, 900)), rng.uniform(0.1, 2, (1, 900)), rng.uniform(0.1, 2, (700, 1))
    found = []
    for threads in (1, 2):
        kernel = arrayexpr.kernel(lambda a, x, y: np.exp(y) * a + np.sin(x), threads=threads)
        found.append(kernel(a, x, y))
    assert same(*found)


def test_an_operand_may_be_the_result() -> None:
    rng = np.random.default_rng(0)
    kernel = arrayexpr.kernel(lambda a, x: np.exp(x) * a)
    for view in (np.s_[:1], np.s_[:, :1], np.s_[-1:], np.s_[:, -1:]):
        a = rng.uniform(0.1, 2, (300, 400))
        expected = np.exp(a[view]) * a
        kernel(a, a[view], out=a)
        np.testing.assert_allclose(a, expected, rtol=1e-12)


def test_what_is_hoisted_is_no_work_for_threads() -> None:
    x, y = arrayexpr.array("x", "float64", 2), arrayexpr.array("y", "float64", 2)
    kernel = arrayexpr.compile(arrayexpr.program(np.sin(x) + np.cos(y)))
    kernel(np.ones((1, 50)), np.ones((40, 1)))
    (broadcast,) = codes(kernel)
    kernel(np.ones((40, 50)), np.ones((40, 50)))
    (whole,) = (code for code in codes(kernel) if code is not broadcast)
    assert whole.element_ns > 10 * broadcast.element_ns > 0


def codes(kernel: Any) -> list[Any]:
    (step,) = kernel.compiled.plan.steps
    return list({id(code): code for code in step.region.codes.values()}.values())


def test_only_what_can_be_hoisted_has_more_signatures() -> None:
    a, b, c = (arrayexpr.array(name, "float64", 2) for name in "abc")
    plain = arrayexpr.compile(arrayexpr.program(a * b + c))
    costly = arrayexpr.compile(arrayexpr.program(a * np.exp(b) + c))
    rng = np.random.default_rng(0)
    for shape in ((4, 5), (1, 5)):
        arrays = [rng.normal(size=(4, 5)), rng.normal(size=shape), rng.normal(size=(4, 5))]
        np.testing.assert_allclose(plain(*arrays), arrays[0] * arrays[1] + arrays[2])
        np.testing.assert_allclose(costly(*arrays), arrays[0] * np.exp(arrays[1]) + arrays[2])
    # Whole arrays are joined to one axis; a row has two.
    assert len(codes(plain)) == len(codes(costly)) == 2
    arrays[2] = arrays[2][:1]
    plain(*arrays)
    costly(*arrays)
    assert len(codes(plain)) == len(codes(costly)) == 2, "c stands under nothing costly"
    strided = [rng.normal(size=(4, 10))[:, :5] for _ in range(3)]
    np.testing.assert_allclose(plain(*strided), strided[0] * strided[1] + strided[2])
    np.testing.assert_allclose(costly(*strided), strided[0] * np.exp(strided[1]) + strided[2])
    assert (len(codes(plain)), len(codes(costly))) == (2, 3)


def test_explain_says_what_is_hoisted() -> None:
    x, y = arrayexpr.array("x", "float64", 2), arrayexpr.array("y", "float64", 2)
    kernel = arrayexpr.compile(arrayexpr.program(np.sin(x) + np.cos(y)))
    said = arrayexpr.explain(kernel, np.ones((1, 5)), np.ones((4, 1)))
    assert "with sin, is computed once for each i1" in said
