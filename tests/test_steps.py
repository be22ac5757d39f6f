"""Repeat calls of programs of several regions: what is remembered of the first call gives what that gave."""

import gc
import weakref

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


# -- Tests, windows and loops -------------------------------------------------------------------

STENCIL = """
def stencil(a: float64[:], r: float64[:], n: int64):
    for i in range(1, n, 1):
        r[i] = (a[i - 1] + a[i]) * 0.5
"""

DOT = """
def dot(a: float64[:], b: float64[:], s: float64):
    for i in range(0, a.shape[0], 1):
        s[()] = s[()] + a[i] * b[i]
"""


def stencil(a, r, n):
    for i in range(1, n):
        r[i] = (a[i - 1] + a[i]) * 0.5


def test_raised_loops_need_no_resolving(resolved):
    kernel = arrayexpr.compile(arrayexpr.parse(STENCIL))
    dot = arrayexpr.compile(arrayexpr.parse(DOT), contract="fast")
    for seed in range(3):
        a, r, b = arrays(3, (30,), seed)
        expected, s = r.copy(), np.ones(())
        stencil(a, expected, 30)
        kernel(a, r, 30)
        np.testing.assert_array_equal(r, expected)
        dot(a, b, s)
        np.testing.assert_allclose(s, 1 + a @ b, rtol=1e-12)
    assert len(resolved) == 2


def test_scalars_that_say_how_far_are_told_apart():
    kernel = arrayexpr.compile(arrayexpr.parse(STENCIL))
    for n in (30, 30, 12, 12, np.array(30), np.array(7), 30, 1):
        a, r = arrays(2, (30,), int(n))
        expected = r.copy()
        stencil(a, expected, int(n))
        kernel(a, r, n)
        np.testing.assert_array_equal(r, expected)


@pytest.mark.parametrize("first", [(0, 40), (0, 0), (0, 1), (1, 0), (0, 20)])
def test_arrays_that_share_memory_are_told_apart(first):
    """Whatever two arrays share at first, later ones that lie otherwise get what the loop gives."""
    kernel = arrayexpr.compile(arrayexpr.parse(STENCIL))
    for x, y in [first, first, (0, 40), (0, 0), (0, 1), (1, 0), (0, 20), (40, 0), first]:
        memory = np.random.default_rng(x + y).uniform(1, 2, 80)
        expected = memory.copy()
        stencil(expected[x : x + 30], expected[y : y + 30], 30)
        kernel(memory[x : x + 30], memory[y : y + 30], 30)
        np.testing.assert_array_equal(memory, expected)


def test_memory_between_two_arrays_of_columns(resolved):
    """Arrays whose bytes lie between one another's share none: so it is remembered of those that lie as they do."""
    kernel = arrayexpr.compile(arrayexpr.parse(STENCIL))
    for seed in range(3):
        (both,) = arrays(1, (30, 2), seed)
        expected = both.copy()
        stencil(expected[:, 0], expected[:, 1], 30)
        kernel(both[:, 0], both[:, 1], 30)
        np.testing.assert_array_equal(both, expected)


def test_an_assigned_operand_is_refused_where_it_may_not_be_written():
    kernel = arrayexpr.compile(arrayexpr.parse(STENCIL))
    a, r = arrays(2, (30,), 0)
    for _ in range(2):
        kernel(a, r, 30)
    r.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        kernel(a, r, 30)


def test_what_programs_were_fused_under_is_asked_again(resolved):
    def pair(a, b, r, q):
        r[...] = a * b
        q[...] = a + b * r

    kernel = arrayexpr.kernel(pair)
    for shift in (40, 40, 0, 10, 40, 0, 10):
        memory = np.random.default_rng(shift).uniform(1, 2, 160)
        expected = memory.copy()

        def given(memory, shift=shift):
            return memory[:30], memory[40:70], memory[80:110], memory[80 + shift : 110 + shift]

        pair(*given(expected))
        kernel(*given(memory))
        np.testing.assert_array_equal(memory, expected)
    before = len(resolved)
    kernel(*given(memory))
    kernel(*arrays(4, (30,), 1))
    # Where results overlap in part the program as written is resolved as well, each time.
    assert len(resolved) == before + 2


def jacobi(u, v, n):
    for _ in range(n):
        v[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
        u[...] = v


def rows(u, a):
    for k in range(1, u.shape[0]):
        u[k] = u[k - 1] * a + k


@pytest.mark.parametrize("engine", ["auto", "block", "c"])
def test_loops_need_no_resolving(engine, resolved):
    for function, count, more in ((jacobi, 2, [(3,), (20,), (21,), (1,)]), (rows, 1, [(arrays(1, (9,), 5)[0],)])):
        kernel = arrayexpr.kernel(function, engine=engine)
        before = len(resolved)
        for seed in range(3):
            for rest in more:
                given = arrays(count, (12, 9), seed)
                expected = [x.copy() for x in given]
                function(*expected, *rest)
                kernel(*given, *rest)
                for x, y in zip(given, expected, strict=True):
                    np.testing.assert_array_equal(x, y)
        assert len(resolved) - before == len(more)


def test_a_loop_around_regions_is_one_function():
    kernel = arrayexpr.kernel(jacobi, wait=True)
    for n in (50, 51):
        u, v = arrays(2, (12, 9), n)
        expected = u.copy(), v.copy()
        jacobi(*expected, n)
        kernel(u, v, n)
        np.testing.assert_array_equal(u, expected[0])
        np.testing.assert_array_equal(v, expected[1])
    (compiled,) = kernel.traced.compiled.values()
    (loop,) = compiled.plan.steps
    (code,) = loop.codes.made.values()
    assert code.compiled
    assert str(code.program).count("in serial(") == 3


def test_what_is_remembered_keeps_no_array_alive():
    for function, more in ((jacobi, (9,)), (normal, ())):
        kernel = arrayexpr.kernel(function)
        given = arrays(len(more) + 1, (12, 9), 0)
        kernel(*given, *more)
        kernel(*given, *more)
        left = [weakref.ref(x) for x in given]
        del given
        gc.collect()
        assert not any(ref() is not None for ref in left)


def sums(u, a):
    for k in range(u.shape[0]):
        s = np.sum(u[k] * a)
        u[k] = u[k] / (s + 1.0) + np.max(a)


def softmax(u, a):
    for k in range(u.shape[0]):
        e = np.exp(u[k] - np.max(u[k]))
        u[k] = e / np.sum(e) * a


def backwards(u, a):
    for k in range(u.shape[0] - 2, -1, -1):
        u[k, ::-1] = u[k + 1] * 0.5 + a * k
        u[k] = u[k] - u[k + 1, :1]


def columns(u, a):
    for k in range(1, u.shape[1]):
        u[:, k] = np.where(u[:, k - 1] > a[k], u[:, k - 1] * a[k], u[:, k] // 0.25)


def planes(v, w, a, n):
    for k in range(n):
        w[1:-1, :, 1:-1] = 0.25 * (v[2:, :, 1:-1] + v[:-2, :, 1:-1] + v[1:-1, :, 2:] + v[1:-1, :, :-2]) + a[k]
        v[...] = w


def outer_part(v, a, n):
    for k in range(n):
        v[:, :, k] = np.sin(a[:4]) * v[:, :, 0] + np.cos(a[4:8])[:, None] + v[0, :, k]


@pytest.mark.parametrize(
    ("function", "shapes", "more"),
    [
        (sums, [(9, 14), (14,)], ()),
        (sums, [(9, 1400), (1400,)], ()),
        (softmax, [(9, 14), (14,)], ()),
        (softmax, [(7, 700), (700,)], ()),
        (backwards, [(9, 14), (14,)], ()),
        (columns, [(14, 9), (9,)], ()),
        (planes, [(5, 4, 6), (5, 4, 6), (20,)], (17,)),
        (planes, [(5, 4, 6), (5, 4, 6), (20,)], (18,)),
        (outer_part, [(4, 4, 12), (8,)], (12,)),
    ],
)
def test_loops_by_one_function_give_what_regions_give(function, shapes, more):
    """All iterations in one function, those of compiled regions in turn, and the block engine: the same bits."""
    rng = np.random.default_rng(3)
    given = [rng.uniform(1, 2, shape) for shape in shapes]
    expected = [x.copy() for x in given]
    function(*expected, *more)
    found = []
    for engine in ("block", "c"):
        kernel = arrayexpr.kernel(function, engine=engine)
        for _ in range(2):
            own = [x.copy() for x in given]
            kernel(*own, *more)
            found.append(own)
        (compiled,) = kernel.traced.compiled.values()
        codes = [code for step in compiled.plan.steps for code in getattr(step, "codes", None).made.values()]
        # Columns, and parts of one another's planes, are still run region by region.
        if engine == "c" and function not in (columns, outer_part):
            assert codes and all(code.compiled for code in codes)
    for own in found:
        for x, first, right in zip(own, found[0], expected, strict=True):
            np.testing.assert_array_equal(x, first)
            np.testing.assert_allclose(x, right, rtol=1e-12)
