"""Repeat calls of programs of several regions: what is remembered of the first call gives what that gave."""

import numpy as np
import pytest

import arrayexpr
from arrayexpr._core.engine import runtime


def normal(x):
    return x / np.sum(x)


def correlation(x, y):
    t, u = x - np.mean(x), y - np.mean(y)
    return np.sum(t * u) / np.sqrt(np.sum(t * t) * np.sum(u * u))


def both(x, y, s):
    return x * s - np.max(x), np.sum(y), y / np.sum(x, axis=0)


@pytest.fixture
def resolved(monkeypatch):
    """Counts the calls that the kernel could not answer by itself."""
    calls = []
    run = runtime.Runtime.run
    monkeypatch.setattr(runtime.Runtime, "run", lambda *args: (calls.append(1), run(*args))[1])
    return calls


def arrays(count, shape, seed):
    return list(np.random.default_rng(seed).uniform(1, 2, (count, *shape)))


def same(got, expected):
    got, expected = (x if isinstance(x, tuple) else (x,) for x in (got, expected))
    assert [type(x) for x in got] == [type(x) for x in expected]
    for x, y in zip(got, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


@pytest.mark.parametrize("shape", [(10,), (1000,), (70, 300)])
@pytest.mark.parametrize(("function", "count"), [(normal, 1), (correlation, 2), (lambda x, y: both(x, y, 3), 2)])
def test_repeat_calls_need_no_resolving(function, count, shape, resolved):
    kernel = arrayexpr.kernel(function)
    for seed in range(4):
        given = arrays(count, shape, seed)
        same(kernel(*given), function(*given))
    assert len(resolved) == 1


def test_other_layouts_are_told_apart(resolved):
    kernel = arrayexpr.kernel(both)
    x, y = arrays(2, (6, 8), 0)
    calls = [(x, y, 2.5), (x.T, y.T, 2.5), (x[::-1], y, 2.5), (x[:, ::2], y[:, ::2], 2.5), (x, y, 3)]
    for _ in range(3):
        for given in calls:
            same(kernel(*given), both(*given))
    # Of a float and of an int there are two programs.
    assert len(resolved) == len(calls)


def test_out_and_what_overlaps_it(resolved):
    kernel = arrayexpr.kernel(normal)
    for seed in range(3):
        (x,) = arrays(1, (50,), seed)
        out = np.empty(50)
        assert kernel(x, out=out) is out
        same(out, normal(x))
    assert len(resolved) == 1
    for start in range(3):
        memory = np.arange(1.0, 53.0)
        x, out = memory[1:51], memory[start : start + 50]
        expected = normal(x)
        kernel(x, out=out)
        same(out, expected)


def test_several_outs(resolved):
    kernel = arrayexpr.kernel(both)
    for seed in range(3):
        x, y = arrays(2, (5, 7), seed)
        outs = np.empty((5, 7)), np.empty(()), np.empty((5, 7))
        assert all(got is out for got, out in zip(kernel(x, y, 2.0, out=outs), outs, strict=True))
        for got, expected in zip(outs, both(x, y, 2.0), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert len(resolved) == 1
    x, y = arrays(2, (5, 7), 9)
    expected = both(x, y, 2.0)
    outs = x, np.empty(()), y
    kernel(x, y, 2.0, out=outs)
    for got, right in zip(outs, expected, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-12)


def test_operands_that_are_assigned():
    def shift(x):
        x[1:] = x[1:] + x[:-1]
        x[...] = x / np.sum(x)

    kernel = arrayexpr.kernel(shift)
    for seed in range(3):
        (x,) = arrays(1, (40,), seed)
        expected = x.copy()
        expected[1:] = expected[1:] + expected[:-1]
        expected /= expected.sum()
        kernel(x)
        np.testing.assert_allclose(x, expected, rtol=1e-12)


def test_results_that_are_shifted_onto_themselves():
    program = arrayexpr.parse(
        "def f(a: float64[:], *, r: float64[:], s: float64):\n"
        "    r[...] = a * 2.0\n    r[1:] = r[:-1]\n    s[...] = reduce(add, r, (0,))\n"
    )
    kernel = arrayexpr.compile(program)
    for seed in range(3):
        (a,) = arrays(1, (30,), seed)
        expected = a * 2
        expected[1:] = expected[:-1].copy()
        r, s = kernel(a)
        np.testing.assert_array_equal(r, expected)
        np.testing.assert_allclose(s, expected.sum(), rtol=1e-12)


def test_no_elements():
    kernel = arrayexpr.kernel(normal)
    for _ in range(3):
        assert kernel(np.empty(0)).shape == (0,)


def test_read_only_out_is_refused():
    kernel = arrayexpr.kernel(normal)
    (x,) = arrays(1, (20,), 0)
    out = np.empty(20)
    kernel(x, out=out)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        kernel(x, out=out)
