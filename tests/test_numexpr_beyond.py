"""What the drop-in does that numexpr does not: each thing that the guide promises beyond it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import arrayexpr.adapters.numexpr as ne
from arrayexpr._core.types import elements

RNG = np.random.default_rng(5)
M = RNG.normal(size=(3, 4, 5))


def test_hundreds_of_inputs_and_of_temporaries() -> None:
    names = [f"x{k}" for k in range(300)]
    arrays = {name: np.full(3, k, "f8") for k, name in enumerate(names)}
    want = sum(range(300))
    assert ne.evaluate(" + ".join(names), local_dict=arrays).tolist() == [want] * 3
    # Products of pairs, all of which live until the last: more registers than numexpr's 255.
    wide = " + ".join(f"x{k} * x{299 - k}" for k in range(300))
    assert ne.evaluate(f"({wide}) * ({wide.replace('*', '-')})", local_dict=arrays).shape == (3,)
    deep = "v = x0" + "".join(f"; v = v * 1.5 + x{k}" for k in range(1, 300)) + "; v"
    value = np.zeros(3)
    for k in range(300):
        value = value * 1.5 + arrays[f"x{k}"] if k else arrays["x0"]
    np.testing.assert_allclose(ne.evaluate(deep, local_dict=arrays), value, rtol=1e-12)


def test_statements() -> None:
    a = np.linspace(0, 1, 7)
    got = ne.evaluate("s = sin(a); c = cos(a)\nn = s*s + c*c; n - 1 + s")
    np.testing.assert_allclose(got, np.sin(a), atol=1e-15)
    # A name may be assigned anew; a variable of that name is read before.
    assert np.array_equal(ne.evaluate("a = a + 1; a = a * 2; a"), (a + 1) * 2)


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 1), (0, 2), (1, 2), (0, 1, 2), (2, 0), ()])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "prod", "min", "max", "mean", "var", "std", "any", "all"])
def test_reductions(name: str, axis: Any, keepdims: bool) -> None:
    if axis == () and name in ("var", "std"):
        pytest.skip("of one element each: NumPy's is 0 with a warning")
    want = getattr(np, name)(M, axis=axis, keepdims=keepdims)
    got = ne.evaluate(f"{name}(m, axis={axis}, keepdims={keepdims})", {"m": M})
    np.testing.assert_allclose(got, want, rtol=1e-12)
    assert got.shape == np.shape(want)


def test_reductions_anywhere() -> None:
    m = M
    for text, want in (
        ("m - mean(m, axis=2, keepdims=True)", m - m.mean(2, keepdims=True)),
        ("exp(m - max(m)) / sum(exp(m - max(m)))", np.exp(m - m.max()) / np.exp(m - m.max()).sum()),
        ("sum(sum(m, axis=0) ** 2, axis=1)", (m.sum(0) ** 2).sum(1)),
        ("where(m > mean(m), sum(m, axis=0), min(m))", np.where(m > m.mean(), m.sum(0), m.min())),
        ("sum(where(m > 0, sin(m), m + m), axis=2)", np.where(m > 0, np.sin(m), m + m).sum(2)),
        ("max(where(m > 0, log1p(abs(m)), -1))", np.where(m > 0, np.log1p(np.abs(m)), -1).max()),
    ):
        np.testing.assert_allclose(ne.evaluate(text), want, rtol=1e-12)


def test_subscripts() -> None:
    m = M
    for index in (
        "0",
        "-1",
        "1:",
        ":-1",
        "::2",
        "::-1",
        "..., 0",
        "0, ..., ::2",
        ":, None",
        "None, :, 1, ::-2",
        "5:",
        "1, 2, 3",
    ):
        want = eval(f"m[{index}]", {"m": m})
        assert np.array_equal(ne.evaluate(f"m[{index}] * 2"), want * 2), index
    got = ne.evaluate("(m[1:] - m[:-1])[:, 0] + sum(m)[None]")
    np.testing.assert_allclose(got, (m[1:] - m[:-1])[:, 0] + m.sum()[None], rtol=1e-14)
    with pytest.raises((IndexError, ValueError), match="out of bounds"):
        ne.evaluate("m[7]")
    with pytest.raises(IndexError, match="has 3 axes: got 4"):
        ne.evaluate("m[0, 0, 0, 0]")


#: NumPy's functions on elements that are none here, each with the reason.
NOT_HERE = {
    **dict.fromkeys(("divmod", "frexp", "modf"), "two results: an expression has one"),
    "isnat": "of dates, which are no elements here",
    **dict.fromkeys(("matvec", "vecdot", "vecmat"), "of vectors and matrices, not of elements: `dot` is here"),
}
SAMPLES = (
    (np.array([0.5, 0.25, 0.75]), np.array([1.5, 2.5, 0.5])),
    (np.array([5, 2, 7]), np.array([2, 1, 3])),
    (np.array([True, False, True]), np.array([True, True, False])),
    (np.array([0.5 + 1j, -2j]), np.array([1 - 1j, 3 + 0j])),
    (np.array([0.5, 3.0], "f4"), np.array([2.0, 1.5], "f4")),
)
#: Functions of numexpr's own, and the kinds of values that it has them for in its own way, or not at all.
NUMEXPRS = {"fmod": "b", "nextafter": "b", "maximum": "c", "minimum": "c"}
UFUNCS = sorted(name for name in dir(np) if isinstance(getattr(np, name), np.ufunc))


@pytest.mark.parametrize("types", ["numexpr", "numpy"])
@pytest.mark.parametrize("name", [name for name in UFUNCS if name not in NOT_HERE])
def test_numpys_functions_by_name(name: str, types: str) -> None:
    ufunc, tried = getattr(np, name), 0
    for a, b in SAMPLES:
        operands = (a, b)[: ufunc.nin]
        with np.errstate(all="ignore"):
            try:
                want = ufunc(*operands)
            except (TypeError, ValueError):
                continue
        if (name, types) == ("lcm", "numpy") or types == "numexpr" and a.dtype.kind in NUMEXPRS.get(name, ""):
            continue
        text = f"{name}({', '.join('ab'[: ufunc.nin])})"
        got = ne.evaluate(text, {"a": a, "b": b}, {}, types=types)
        np.testing.assert_allclose(got, want, rtol=1e-3 if want.dtype == np.float16 else 1e-6)
        if types == "numpy":
            assert got.dtype == want.dtype
        tried += 1
    assert tried or name == "lcm"


def test_names_that_are_none() -> None:
    for name in NOT_HERE:
        with pytest.raises((TypeError, SyntaxError, NotImplementedError, ValueError)):
            ne.evaluate(f"{name}(a, a)", {"a": M})


@pytest.mark.parametrize("t", [t for t in elements()], ids=str)
def test_every_element_type(t: Any) -> None:
    a = np.array([1, 0, 3, 1]).astype(t.dtype)
    texts = [
        "a + a",
        "a * 2",
        "a * a >= a",
        "sum(a)",
        "where(a != 0, a, 1)",
        "a / 3",
        "abs(a)",
        "a[1:] & a[1:]",
        "a ** 2",
    ]
    names = {"sum": np.sum, "where": np.where, "abs": np.abs, "a": a}
    for text in texts:
        try:
            want = np.asarray(eval(text, names))
        except TypeError as error:
            with pytest.raises(TypeError):
                ne.evaluate(text, types="numpy")
            assert "supported" in str(error)
            continue
        got = ne.evaluate(text, types="numpy")
        assert got.dtype == want.dtype, text
        np.testing.assert_allclose(got, want, rtol=1e-3 if t.bits <= 16 else 1e-6)


def test_types_of_numpy_with_the_other_options() -> None:
    a = np.arange(6, dtype="c8").reshape(2, 3)
    out = np.zeros((2, 3), "c16")
    assert ne.evaluate("a * 2j", types="numpy", out=out) is out and np.array_equal(out, a * 2j)
    assert ne.re_evaluate() is out
    assert ne.evaluate("a + 1", types="numpy", order="F").flags.f_contiguous
    assert ne.evaluate("a.real.astype(uint8)", types="numpy").dtype == np.uint8
    with pytest.raises(TypeError, match="same_kind"):
        ne.evaluate("a * 2", types="numpy", out=np.zeros((2, 3), "f8"))
    with pytest.raises(ValueError, match="'types' must be one of"):
        ne.evaluate("a", types="c")
    with pytest.raises(ValueError, match="is an option of `evaluate`"):
        ne.NumExpr("a", types="numpy")
    for text in ("a; a", "a.__class__", "(lambda: a)()", "f'{a}'", "a = 1; a"):
        assert isinstance(ne.validate(text, types="numpy"), (SyntaxError, ValueError, TypeError))


def test_a_branch_that_a_block_does_not_take() -> None:
    # NaN and 1e300 are where the branch is not taken: what it computes there shows nowhere.
    x = np.concatenate([np.full(5000, 1e300), np.linspace(0, 1, 5000), np.full(5000, np.nan)])
    got = ne.evaluate("where(x < 2, exp(x) * sin(x), 0.5)")
    with np.errstate(all="ignore"):
        want = np.where(x < 2, np.exp(x) * np.sin(x), 0.5)
    np.testing.assert_allclose(got, want, rtol=1e-14)


def test_evaluate_by_many_threads() -> None:
    """Texts, kinds and sizes of each thread's own, and `re_evaluate` after: none sees another's."""
    wrong: list[Any] = []
    barrier = threading.Barrier(8)

    def work(k: int) -> None:
        barrier.wait()
        for n in range(1, 60):
            a = np.arange(n, dtype=("f8", "f4", "i4", "i8")[n % 4]) + k
            if not np.array_equal(ne.evaluate(f"a * {1 + (k + n) % 5} + {k}"), a * (1 + (k + n) % 5) + k):
                wrong.append(("evaluate", k, n))
            if not np.array_equal(ne.re_evaluate(), a * (1 + (k + n) % 5) + k):
                wrong.append(("re_evaluate", k, n))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
