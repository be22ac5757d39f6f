"""Contractions: NumPy's functions for them, the products that run them, and their C, with BLAS and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_emit_c import CC, OK, SHAPE, STRICT, build, call

import arrayexpr
from arrayexpr._core.driver import run
from arrayexpr._core.engine.plan import ArrayStep, RegionStep
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Contract
from arrayexpr._core.parser import parse
from arrayexpr._core.passes.contractions import contractions
from arrayexpr._core.passes.products import is_product, products
from arrayexpr.tracing import trace

LENGTHS = {"i": 3, "j": 4, "k": 5, "l": 6, "b": 2}


def filled(labels: str, dtype: Any = np.float64) -> Any:
    rng = np.random.default_rng(sum(map(ord, labels)))
    return rng.integers(-5, 6, [LENGTHS[label] for label in labels]).astype(dtype)


# -- NumPy's functions ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "int16", "complex128", "bool"])
@pytest.mark.parametrize(
    "text",
    "ij,jk->ik ij,jk ij,kj->ik ji,jk->ki bij,bjk->bik bij,jk->bik ij,j->i i,i-> i,j->ij ij,ij-> ij,ij->i ij->ji ij->i "
    "ij-> ijk,jkl->il ijk,kl->ijl bijk,bkl->bijl ijk,ijk->k ij,jk,kl->il ijk,l->kl ib,jb->bij ij,kl->ilkj ij,ik-> "
    "i,ij,j-> bi,bj->bij ijk,ik->".split(),
)
def test_einsum(text: str, dtype: str) -> None:
    operands = [filled(labels, dtype) for labels in text.split("->")[0].split(",")]
    names = "abc"[: len(operands)]
    functions: dict[int, Any] = {
        1: lambda a: np.einsum(text, a),
        2: lambda a, b: np.einsum(text, a, b),
        3: lambda a, b, c: np.einsum(text, a, b, c),
    }
    got, want = arrayexpr.kernel(functions[len(names)])(*operands), np.einsum(text, *operands)
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-13)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: np.einsum("...ij,...jk->...ik", a, b),
        lambda a, b: np.einsum("...ij,jk", a, b),
        lambda a, b: np.einsum(" bij , j k -> b k ", a, b),
        lambda a, b: np.tensordot(a, b, 1),
        lambda a, b: np.tensordot(a, a, ([0, 2], [0, 2])),
        lambda a, b: np.tensordot(b, b, 2),
        lambda a, b: np.tensordot(a[0], b, 0),
        lambda a, b: np.dot(a, b),
        lambda a, b: np.dot(b[:, :3], a),
        lambda a, b: np.dot(a, b[:, 0]),
        lambda a, b: np.dot(a, 2.0),
        lambda a, b: np.inner(a, b.T),
        lambda a, b: np.inner(b, 3),
        lambda a, b: np.vdot(a * 1j, a),
        lambda a, b: np.vdot(b, b),
        lambda a, b: np.outer(a[0, 0], b[0]) + np.outer(b[:, 0], 2),
        lambda a, b: np.linalg.vecdot(a * 1j, b[:, 0]),
        lambda a, b: np.linalg.vecdot(a, b[:1, :3], axis=1),
        lambda a, b: np.linalg.matmul(a, b) + np.linalg.tensordot(a, b, axes=1),
        lambda a, b: (a - 1) @ (b * 2) @ b.T,
    ],
)
def test_functions(function: Any) -> None:
    a, b = filled("bij"), filled("jk")
    got, want = arrayexpr.kernel(function)(a, b), function(a, b)
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=1e-13)


def test_out_and_dtype_of_einsum() -> None:
    def function(a: Any, b: Any, out: Any) -> None:
        np.einsum("ij,jk->ik", a, b, out=out, dtype="float64")

    a, b, out = filled("ij", "float32"), filled("jk", "float32"), np.zeros((3, 5))
    arrayexpr.kernel(function)(a, b, out)
    assert np.array_equal(out, a @ b)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a: np.einsum("ij,jk->iz", a, a), "einsum 'ij,jk->iz': label 'z' of the result is in no operand"),
        (lambda a: np.einsum("ij,jk", a), "einsum 'ij,jk': subscripts of 2 operands: got 1"),
        (lambda a: np.einsum("ijk", a), "einsum 'ijk': 'ijk' names 3 axes of operand 0, which has 2"),
        (lambda a: np.einsum("i-j", a), "einsum 'i-j': '-' in the subscripts of operand 0: expected letters"),
        (lambda a: np.einsum("ii->i", a), "einsum 'ii->i': label 'i' stands twice in operand 0, its diagonal"),
        (lambda a: np.einsum("ij->ii", a), "einsum 'ij->ii': label 'i' stands twice in the result"),
        (lambda a: np.einsum("...j->j", a), "einsum '...j->j': the axes of '...' are not in the result"),
        (lambda a: np.einsum(a, [0, 1]), "einsum with lists of axes cannot be traced"),
        (lambda a: np.tensordot(a, a, 3), "tensordot over 3 axes of float64"),
        (lambda a: np.tensordot(a, a, ([0, 1], [0])), "tensordot over 2 axes of a and 1 of b"),
        (lambda a: np.outer(a, a), "np.outer of float64"),
    ],
)
def test_errors_name_the_culprit(function: Any, message: str) -> None:
    with pytest.raises(arrayexpr.ArrayExprError) as error:
        trace(function, ("float64", 2))
    assert str(error.value).startswith(message)


# -- How they run -------------------------------------------------------------------------------


def plan_of(kernel: Any) -> list[Any]:
    return list(next(iter(kernel.traced.compiled.values())).plan.steps)


def test_what_follows_a_product_is_one_region_in_its_memory() -> None:
    @arrayexpr.kernel
    def layer(x: Any, w: Any, b: Any) -> Any:
        return np.maximum((x - 1) @ w + b, 0)

    x, w, b = filled("ij"), filled("jk"), filled("k")
    want = np.maximum((x - 1) @ w + b, 0)
    assert np.array_equal(layer(x, w, b), want)
    steps = plan_of(layer)
    assert [type(step) for step in steps] == [RegionStep, ArrayStep, RegionStep]
    assert steps[2].reuses == steps[1].slot
    # Not where the result has other elements, more of them, or an array of its own.
    out = np.zeros((3, 5))
    assert layer(x, w, b, out=out) is out and np.array_equal(out, want)
    assert np.array_equal(
        layer(x[:1], w, np.tile(b, (4, 1))[:, None]), np.maximum((x[:1] - 1) @ w + b, 0)[None].repeat(4, 0)
    )
    assert arrayexpr.kernel(lambda x, w: (x @ w) > 0)(x, w).dtype == bool


def test_a_product_that_is_read_again_is_left() -> None:
    kernel = arrayexpr.kernel(lambda x, w: ((x @ w) * 2, (x @ w).sum(1), x @ w))
    x, w = filled("ij"), filled("jk")
    for _ in range(2):
        twice, total, product = kernel(x, w)
        assert np.array_equal(product, x @ w) and np.array_equal(twice, 2 * (x @ w))
        assert np.array_equal(total, (x @ w).sum(1))
    assert sum(isinstance(step, ArrayStep) for step in plan_of(kernel)) == 1


@pytest.mark.parametrize("shapes", [((2, 2, 0), (0, 0)), ((2, 2, 0), (0, 3)), ((0, 2, 3), (3, 2)), ((2, 0, 3), (3, 0))])
def test_products_of_no_elements(shapes: Any) -> None:
    a, b = map(np.ones, shapes)
    np.testing.assert_array_equal(arrayexpr.kernel(lambda a, b: a @ b + 1)(a, b), a @ b + 1)


def test_a_sum_of_products_is_one_product() -> None:
    kernel = arrayexpr.kernel(lambda a, b: np.einsum("ijk,jkl->il", a, b) + 1)
    a, b = filled("ijk"), filled("jkl")
    assert np.array_equal(kernel(a, b), np.tensordot(a, b, 2) + 1)
    assert [type(step) for step in plan_of(kernel)] == [ArrayStep, RegionStep]
    # Where an axis broadcasts it is the sum that was written.
    assert np.array_equal(kernel(a, b[:1]), (a.transpose(1, 0, 2) @ b[:1]).sum(0) + 1)
    with pytest.raises(arrayexpr.ShapeMismatch, match="do not contract"):
        kernel(a, b[:, :3])


# -- In C ---------------------------------------------------------------------------------------

TEXTS = {
    "plain": "def f(a: float64[:, :], b: float64[:, :], *, r: float64[:, :]):\n    r[...] = a @ b\n",
    "layer": (
        "def f(a: float64[:, :], b: float64[:, :], c: float64[:], *, r: float64[:, :]):\n"
        "    r[...] = maximum((a - 1.0) @ b + c, 0.0)\n"
    ),
    "turned": "def f(a: float64[:, :], b: float64[:, :], *, r: float64[:, :]):\n"
    "    r[...] = a.transpose(1, 0) @ b.transpose(1, 0)\n",
    "vectors": "def f(a: float64[:, :], b: float64[:], *, r: float64[:]):\n    r[...] = a @ b\n",
    "left": "def f(a: float64[:], b: float64[:, :], *, r: float64[:]):\n    r[...] = a @ b * 2.0\n",
    "scalar": "def f(a: float64[:], b: float64[:], *, r: float64):\n    r[...] = a @ b\n",
    "batch": "def f(a: float32[:, :, :], b: float32[:, :], *, r: float32[:, :, :]):\n"
    "    r[...] = a @ b + a[0, :1, :1]\n",
    "views": "def f(a: float64[:, :], b: float64[:, :], *, r: float64[:, :]):\n"
    "    r[...] = a[1:, ::2] @ b[::-1, :-1] @ (b[:, 1:] * 2.0).transpose(1, 0)\n",
    "integers": "def f(a: int16[:, :], b: int16[:, :], *, r: int16[:, :]):\n    r[...] = a @ b\n",
    "bools": "def f(a: bool[:, :], b: bool[:, :], *, r: bool[:, :]):\n    r[...] = a @ b\n",
    "complex": "def f(a: complex128[:, :], b: complex128[:, :], *, r: complex128[:, :]):\n    r[...] = a @ b\n",
    "in place": "def f(a: float64[:, :], b: float64[:, :]):\n    a[...] = a @ b\n",
}
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "plain": {"a": (7, 5), "b": (5, 9)},
    "layer": {"a": (7, 5), "b": (5, 9), "c": (9,)},
    "turned": {"a": (5, 7), "b": (9, 5)},
    "vectors": {"a": (7, 5), "b": (5,)},
    "left": {"a": (7,), "b": (7, 5)},
    "scalar": {"a": (7,), "b": (7,)},
    "batch": {"a": (3, 7, 5), "b": (5, 9)},
    "views": {"a": (8, 9), "b": (5, 6)},
    "integers": {"a": (7, 5), "b": (5, 9)},
    "bools": {"a": (7, 5), "b": (5, 9)},
    "complex": {"a": (1, 5), "b": (5, 1)},
    "in place": {"a": (7, 5), "b": (5, 5)},
}

#: A BLAS of one function, which keeps to the interface.
_CBLAS = """
#include <stdio.h>
#include <stdlib.h>
enum { CblasRowMajor = 101, CblasNoTrans = 111, CblasTrans = 112 };
#define GEMM(NAME, T) static void NAME(int order, int ta, int tb, int m, int n, int k, T alpha, const T *a, int la, \\
        const T *b, int lb, T beta, T *c, int lc) { \\
    if (order != CblasRowMajor || alpha != 1 || beta != 0 || lc < n) abort(); \\
    if (la < (ta == CblasTrans ? m : k) || lb < (tb == CblasTrans ? k : n)) abort(); \\
    fprintf(stderr, "blas\\n"); \\
    for (int i = 0; i < m; ++i) for (int j = 0; j < n; ++j) { \\
        T sum = 0; \\
        for (int l = 0; l < k; ++l) \\
            sum += a[ta == CblasTrans ? l * la + i : i * la + l] * b[tb == CblasTrans ? j * lb + l : l * lb + j]; \\
        c[i * lc + j] = sum; \\
    } \\
}
#pragma GCC diagnostic ignored "-Wunused-function"
GEMM(cblas_dgemm, double)
GEMM(cblas_sgemm, float)
"""


def arrays_of(name: str, order: str) -> dict[str, Any]:
    program = parse(TEXTS[name])
    rng = np.random.default_rng(0)
    found = {}
    for operand in program.operands:
        t = operand.type.element.dtype
        array = np.asarray(
            rng.integers(0, 2 if t.kind == "b" else 7, SHAPES[name][operand.name]).astype(t), order=order
        )
        found[operand.name] = array[..., ::-1][..., ::-1] if order == "K" else array
    return found


@pytest.mark.skipif(CC is None, reason="needs a C compiler")
@pytest.mark.parametrize("blas", [False, True])
@pytest.mark.parametrize("name", list(TEXTS))
def test_c(name: str, blas: bool, tmp_path: Path) -> None:
    program = parse(TEXTS[name])
    flags = None
    if blas:
        (tmp_path / "cblas.h").write_text(_CBLAS)
        flags = [*STRICT, "-DARRAYEXPR_CBLAS", f"-I{tmp_path}"]
    binary = build(program, tmp_path, flags=flags)
    for order in ("C", "F"):
        arrays = arrays_of(name, order)
        expected = interpret(program, {k: a.copy(order="K") for k, a in arrays.items()})
        if not program.results:
            expected = {"a": arrays["a"] @ arrays["b"]}
        given = dict(arrays)
        for result in program.results:
            given[result.name] = np.zeros_like(expected[result.name], order=order)
        assert call(binary, program, given)[0] == OK
        for key, value in expected.items():
            # Small whole numbers: their sums are exact in every order.
            assert np.array_equal(given[key], value), (order, given[key], value)


@pytest.mark.skipif(CC is None, reason="needs a C compiler")
def test_c_refuses_shapes_that_do_not_contract(tmp_path: Path) -> None:
    program = parse(TEXTS["layer"])
    binary = build(program, tmp_path)
    shapes = {"a": (7, 5), "b": (5, 9), "c": (9,), "r": (7, 9)}
    for name, shape in (("a", (7, 4)), ("b", (6, 9)), ("c", (8,)), ("r", (7, 8)), ("r", (6, 9))):
        arrays = {key: np.zeros(shape if key == name else own) for key, own in shapes.items()}
        assert call(binary, program, arrays)[0] == SHAPE


def test_scheduled_programs_mean_the_same() -> None:
    for name, text in TEXTS.items():
        program = parse(text)
        arrays = arrays_of(name, "C")
        expected = interpret(program, {k: a.copy() for k, a in arrays.items()})
        scheduled = run(program)
        assert all(is_product(s) for s in scheduled.statements if any(isinstance(n, Contract) for n in s.args))
        got = interpret(
            scheduled, {k: a.copy() for k, a in arrays.items()} | {k: np.zeros_like(v) for k, v in expected.items()}
        )
        for key, value in expected.items():
            assert np.array_equal(got[key], value), name
    plain = parse(TEXTS["plain"])
    assert products(plain).statements == plain.statements


# -- Sums of products that are written as such ------------------------------------------------------

SUMS = {
    "plain": lambda a, b, w, c: np.sum(a[:, :, None] * b[None, :, :], axis=1),
    "turned": lambda a, b, w, c: np.sum(a[:, None, :] * b.T[None, :, :], axis=2),
    "kept": lambda a, b, w, c: np.sum(b[None] * a[:, :, None], axis=1, keepdims=True),
    "weighted": lambda a, b, w, c: np.sum(a[:, :, None] * (w[:, None] * b)[None] * 2.0, axis=1) + c,
    "outside": lambda a, b, w, c: np.sum(c[:, None, :] * a[:, :, None] * b, axis=1),
    "computed": lambda a, b, w, c: np.sum((a + 1.0)[:, :, None] * np.sqrt(np.abs(b))[None], axis=1),
    "columns": lambda a, b, w, c: np.sum(b[:, None, :, None] * a.T[:, :, None, None] * c.T[None, None], axis=0),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_over_rows_and_columns_are_products_under_fast(name: str) -> None:
    function = SUMS[name]
    rng = np.random.default_rng(0)
    kernel, exact = arrayexpr.kernel(contract="fast")(function), arrayexpr.kernel(function)
    for rows, summed, columns in ((150, 200, 180), (6, 4, 5)):
        a, b = rng.normal(size=(rows, summed)), rng.normal(size=(summed, columns))
        w, c = rng.normal(size=summed), rng.normal(size=(rows, columns))
        if name == "columns" and rows > 6:
            continue
        np.testing.assert_allclose(kernel(a, b, w, c), function(a, b, w, c), rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(exact(a, b, w, c), function(a, b, w, c), rtol=1e-9, atol=1e-11)
    # An axis that broadcasts is summed as it is written.
    a = rng.normal(size=(6, 1))
    np.testing.assert_allclose(kernel(a, b, w, c), function(a, b, w, c), rtol=1e-9, atol=1e-11)
    for each, products_wanted in ((kernel, True), (exact, False)):
        (compiled,) = each.traced.compiled.values()
        assert any(isinstance(node, Contract) for node in compiled.program.nodes()) == products_wanted


@pytest.mark.parametrize("text", ["a * w", "a * a", "a * b.T", "exp(a * w)"])
def test_sums_that_memory_bounds_stay_sums(text: str) -> None:
    program = parse(
        "def f(a: float64[:, :], b: float64[:, :], w: float64[:], *, r: float64[:]):\n"
        f"    r[...] = reduce(add, {text.replace('.T', '.transpose(1, 0)')}, (1,))\n"
    )
    assert contractions(program, contract="fast") is program


def test_integers_and_exact_sums_stay_sums() -> None:
    text = (
        "def f(a: T[:, :], b: T[:, :], *, r: T[:, :]):\n    r[...] = reduce(add, a[:, :, None] * b[None, :, :], (1,))\n"
    )
    for element, contract, product in (
        ("float64", "exact", False),
        ("int64", "fast", False),
        ("float32", "fast", True),
    ):
        program = parse(text.replace("T[", f"{element}["))
        made = contractions(program, contract=contract)
        assert (made is not program) == product
        if product:
            assert made.assumption is not None and made.assumption.otherwise is program
            for n, holds in ((10, False), (200, True)):
                a = np.zeros((n, n), np.float32)
                assert made.assumption.holds({"a": a, "b": a}) == holds
            assert not made.assumption.holds({"a": np.zeros((2000, 1), np.float32), "b": np.zeros((2000, 2000))})


def test_a_product_of_given_lengths_is_emitted_both_ways(tmp_path: Path) -> None:
    text = "def f(a: float64[:, :], b: float64[:, :], *, r: float64[:, :]):\n"
    program = parse(text + "    r[...] = reduce(add, a[:, :, None] * b[None, :, :], (1,)) + 1.0\n")
    binary = build(run(program, contract="fast"), tmp_path, flags=["-w", *STRICT[5:]])
    rng = np.random.default_rng(0)
    for rows, summed, columns in ((5, 6, 7), (170, 170, 170), (0, 3, 4), (3, 0, 4)):
        a, b = rng.integers(-9, 9, (rows, summed)) * 1.0, rng.integers(-9, 9, (summed, columns)) * 1.0
        arrays = {"a": a, "b": b, "r": np.zeros((rows, columns))}
        assert call(binary, program, arrays)[0] == OK
        np.testing.assert_array_equal(arrays["r"], a @ b + 1.0)
    arrays = {"a": np.ones((5, 2)), "b": np.ones((3, 4)), "r": np.zeros((5, 4))}
    assert call(binary, program, arrays)[0] == SHAPE
