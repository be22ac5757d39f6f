"""Loops that stay: functions with `for ... in range(n)`, and how their iterations run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from passes_support import assert_same

import arrayexpr
from arrayexpr._core.engine import loopstep
from arrayexpr._core.engine.loopstep import LoopStep, swapped
from arrayexpr._core.errors import ShapeMismatch, TypeMismatch, UnsupportedError, VerifyError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import For
from arrayexpr._core.parser import parse
from arrayexpr._core.verify import verify
from arrayexpr.build import spec_of, trace

rng = np.random.default_rng(1)


def jacobi(u: Any, v: Any, n: Any) -> None:
    for _ in range(n):
        v[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
        u[...] = v


def recurrence(a: Any, b: Any) -> None:
    for i in range(1, a.shape[0]):
        a[i] = a[i - 1] * b[i]


def backwards(a: Any, b: Any) -> None:
    for i in range(len(a) - 2, -1, -1):
        a[i] = a[i + 1] - b[i]


def rows(a: Any, b: Any, n: Any) -> None:
    for k in range(1, n):
        a[k, 1:-1] = a[k - 1, 1:-1] + b[k, :-2] * b[k, 2:]


def total(a: Any) -> Any:
    s = 0.0
    for i in range(len(a)):
        s = s + a[i] * i
    return s


def functional(u: Any, n: Any) -> Any:
    for _ in range(n):
        w = u * 2
        u = u + 0.125 * w[::-1]
    return u


def kept_before(a: Any, b: Any, n: Any) -> Any:
    x = a + 1
    for k in range(n):
        b[k] = x[k]
        a[...] = a * 2
    return x


def fibonacci(n: Any) -> Any:
    x, y = 1, 1
    for _ in range(n):
        x, y = y, x + y
    return x


def nested(a: Any, n: Any) -> Any:
    found = np.zeros_like(a)
    for i in range(n):
        for j in range(i):
            found[i] += a[j] * (i - j)
    return found


def elimination(a: Any) -> None:
    for k in range(len(a)):
        a[k + 1 :, k] = a[k + 1 :, k] / a[k, k]
        a[k + 1 :, k + 1 :] -= a[k + 1 :, k][:, None] * a[k, k + 1 :][None, :]


def gauss_seidel(a: Any, n: Any) -> None:
    for _ in range(n):
        for i in range(1, len(a) - 1):
            a[i] = 0.5 * (a[i - 1] + a[i + 1])


def written_into(a: Any, n: Any) -> Any:
    x = a * 2
    for k in range(n):
        x[k] = x[k] + a[k + 1]
    return x


def picked(a: Any, places: Any) -> Any:
    found = np.zeros_like(a)
    for k in range(len(places)):
        found[places[k]] += a[k]
    return found


def from_an_element(x: Any, rate: Any) -> Any:
    y = x[0]
    for k in range(1, len(x)):
        y = rate * y * (1 - y)
        x[k] = y
    return y


def overtaken(a: Any, n: Any) -> Any:
    first, rest = a[0] * 2, a[1:] * 2
    a[...] = 5
    total = 0.0
    for k in range(n):
        total = total + first
        rest[k] = rest[k] + a[k]
    return rest * total


def places(u: Any, v: Any, start: Any, stop: Any) -> Any:
    for k in range(start, stop):
        v[1:-1] = u[:-2] + k * u[2:]
        u, v = v, u
    return u


def three_places(u: Any, v: Any, n: Any) -> Any:
    w = np.zeros_like(u)
    total = 0.0
    for k in range(0, n, 2):
        w[1:] = u[:-1] - v[1:] * k
        total = total + w[-1]
        kept = u
        u = v
        v = w
        w = kept
    return u * 2 + (v + total) - w[::-1]


def places_downwards(u: Any, n: Any) -> Any:
    v = u.copy()
    before = u[1:] * 2
    for k in range(n - 1, -1, -3):
        v[k] = u[k - 1] + before[0]
        for j in range(k):
            v[j] += u[j + 1]
        v, u = u, v
    return v


def constant_trips(a: Any) -> Any:
    for k in range(3):
        a = a * 2 + [1, 5, 7][k]
    return a


CASES: list[tuple[Callable[..., Any], Callable[[], tuple[Any, ...]]]] = [
    (jacobi, lambda: (rng.random((6, 7)), rng.random((6, 7)), 5)),
    (jacobi, lambda: (rng.random((6, 7)), rng.random((6, 7)), 4)),
    (jacobi, lambda: (rng.random((6, 7)), rng.random((7, 6)).T, 4)),
    (jacobi, lambda: (rng.random((6, 7)), rng.random((6, 7)), 1)),
    (jacobi, lambda: (rng.random((6, 7)), rng.random((6, 7)), 0)),
    (recurrence, lambda: (rng.random(9), rng.random(9))),
    (recurrence, lambda: (rng.random(1), rng.random(1))),
    (recurrence, lambda: (rng.random(18)[::2], rng.random(9)[::-1])),
    (backwards, lambda: (rng.random(9), rng.random(9))),
    (rows, lambda: (rng.random((8, 5)), rng.random((8, 5)), 8)),
    (rows, lambda: (rng.random((8, 5)).astype("f4"), rng.random((8, 5)).astype("f4"), 8)),
    (total, lambda: (rng.random(9),)),
    (functional, lambda: (rng.random(9), 4)),
    (functional, lambda: (rng.random(9), 0)),
    (kept_before, lambda: (rng.random(9), rng.random(9), 5)),
    (fibonacci, lambda: (20,)),
    (nested, lambda: (rng.random(9), 6)),
    (elimination, lambda: (rng.random((6, 6)) + 6 * np.eye(6),)),
    (gauss_seidel, lambda: (rng.random(12), 5)),
    (overtaken, lambda: (rng.random(9), 8)),
    (written_into, lambda: (rng.random(9), 8)),
    (picked, lambda: (rng.random(5), np.array([3, 1, 3, 0, -1]))),
    (from_an_element, lambda: (rng.random(9), 3.5)),
    (constant_trips, lambda: (rng.random(5),)),
    *((places, lambda n=n: (rng.random(9), rng.random(18)[::2], 3, 3 + n)) for n in (-2, 0, 1, 2, 9, 12)),
    *((three_places, lambda n=n: (rng.random(9), rng.random(9), n)) for n in (0, 1, 3, 4, 5, 7, 22)),
    *((places_downwards, lambda n=n: (rng.random(18), n)) for n in (0, 1, 4, 7, 17)),
]


@pytest.fixture(autouse=True, params=[1, 4])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops of few iterations as they run, and as those of many do."""
    monkeypatch.setattr(loopstep, "_FEW", request.param)


@pytest.mark.parametrize("engine", ["block", "c"])
@pytest.mark.parametrize(("function", "make"), CASES)
def test_a_loop_gives_what_numpy_gives(function: Any, make: Any, engine: str) -> None:
    given = make()
    expected_in = [x.copy(order="K") if isinstance(x, np.ndarray) else x for x in given]
    expected = function(*expected_in)
    found = arrayexpr.kernel(function, engine=engine)(*given)
    for one, two in zip(expected_in, given, strict=True):
        assert_same(one, two)
    if expected is None:
        assert found is None
    else:
        assert_same(np.asarray(expected), np.asarray(found))


@pytest.mark.parametrize(("function", "make"), CASES)
def test_a_traced_loop_is_a_program_like_others(function: Any, make: Any) -> None:
    given = make()
    program = trace(function, *map(spec_of, given))
    verify(program)
    assert parse(str(program)) == program
    arrays = {o.name: np.array(x) for o, x in zip(program.operands, given, strict=True)}
    expected_in = [x.copy() if isinstance(x, np.ndarray) else x for x in given]
    expected = function(*expected_in)
    found = interpret(program, arrays)
    for one, two in zip(expected_in, arrays.values(), strict=True):
        assert_same(np.asarray(one), two)
    if expected is not None:
        np.testing.assert_array_equal(expected, found["r"])


def loop_of(function: Any, *given: Any) -> LoopStep:
    kernel = arrayexpr.kernel(function)
    kernel(*given)
    (step,) = (s for s in kernel.traced.for_arguments(given).plan.steps if isinstance(s, LoopStep))
    return step


def test_a_copy_at_the_end_of_an_iteration_is_a_change_of_places() -> None:
    assert loop_of(jacobi, np.ones((3, 3)), np.ones((3, 3)), 2).swap == ("u", "v")
    step = loop_of(functional, np.ones(3), 2)
    assert step.swap is not None


@pytest.mark.parametrize(
    "body",
    [
        # Not all that is read was assigned; what is copied is read before it; both are assigned; it moves.
        "v[1:-1] = u[:-2] + v[1:-1]\n        u[...] = v",
        "w[...] = v\n        v[1:-1] = u[:-2]\n        u[...] = v",
        "v[1:-1] = u[:-2]\n        u[0:1] = 1.0\n        u[...] = v",
        "v[k:5] = u[k:5]\n        u[...] = v",
        "v[1:3] = u[1:3]\n        v[3:4] = u[3:4]\n        u[...] = v",
        "v[1:-1] = u[:-2]\n        u[1:] = v[1:]",
        'v[1:-1] = u[:-2]\n        side_effect(opaque("log", v, type=float64))\n        u[...] = v',
    ],
)
def test_a_copy_stays_where_it_would_show(body: str) -> None:
    head = "def f(u: float64[:], v: float64[:], w: float64[:], n: int64):\n    for k in range(0, n, 1):\n        "
    program = parse(head + body + "\n").replace(hosts={"log": lambda x: 0.0})
    (loop,) = program.statements
    assert isinstance(loop, For)
    assert swapped(loop.body) is None
    arrays = {name: rng.random(6) for name in "uvw"}
    expected = {name: array.copy() for name, array in arrays.items()}
    interpret(program, {**expected, "n": 4})
    arrayexpr.compile(program)(*arrays.values(), 4)
    for name in arrays:
        assert_same(expected[name], arrays[name])


def test_what_is_the_same_in_every_iteration_is_computed_once() -> None:
    def decays(u: Any, a: Any, n: Any) -> None:
        for k in range(1, n):
            u[k] = u[k - 1] * np.exp(-a) + a.sum() * k

    given = (np.ones((6, 4)), rng.random(4), 6)
    step = loop_of(decays, *given)
    found = sorted(repr(s).split(" = ")[1] for each in step.before for s in each.assigns)
    assert found == ["exp(-a)", "reduce(add, a, (0,))"]
    expected = np.ones((6, 4))
    decays(expected, given[1], 6)
    np.testing.assert_allclose(given[0], expected, rtol=1e-14)

    # What an iteration assigns, or may through another name, is not the same.
    def changes(u: Any, a: Any, n: Any) -> None:
        for k in range(1, n):
            u[k] = a / 3 / u[k - 1] + (a / 5 + a / 7)
            a[1:] = u[k, 1:]

    def steps_on(u: Any, a: Any, n: Any) -> None:
        for k in range(1, n):
            u[k] = u[k - 1] + (a / 5 + a / 7)

    for function in (changes, steps_on):
        results = []
        for run in (function, arrayexpr.kernel(function)):
            memory = np.arange(24.0).reshape(6, 4) + 1
            run(memory, memory[3] if function is steps_on else np.ones(4), 6)
            results.append(memory)
        assert_same(*results)


def test_what_would_be_computed_once_is_not_where_there_is_no_iteration() -> None:
    def misfits(u: Any, a: Any, b: Any, n: Any) -> None:
        for k in range(n):
            u[k] = u[k] + (a / b + b / a + a).sum()

    u = np.ones(3)
    arrayexpr.kernel(misfits)(u, np.ones(3), np.ones(4), 0)
    assert u.tolist() == [1, 1, 1]
    with pytest.raises(ShapeMismatch):
        arrayexpr.kernel(misfits)(u, np.ones(3), np.ones(4), 1)


def test_arrays_that_share_memory_do_not_change_places() -> None:
    def step(u: Any, v: Any, w: Any, n: Any) -> None:
        for _ in range(n):
            v[1:-1] = u[:-2] + w[2:]
            u[...] = v

    for share in ("uw", "vw", "uv"):
        results = []
        for function in (step, arrayexpr.kernel(step)):
            memory = np.arange(30.0)
            arrays = {"u": memory[:8], "v": memory[10:18], "w": memory[20:28]}
            arrays[share[1]] = arrays[share[0]][:]
            function(*arrays.values(), 5)
            results.append(memory)
        assert_same(*results)


def test_the_first_iteration_may_wrap_and_others_be_even() -> None:
    def before(a: Any, b: Any, n: Any) -> None:
        for k in range(n):
            b[k] = a[k - 1] + a[k - 2]

    results = []
    for function in (before, arrayexpr.kernel(before)):
        b = np.zeros(6)
        function(np.arange(6.0) ** 2, b, 6)
        results.append(b)
    assert_same(*results)


def test_places_outside_of_an_array_are_named() -> None:
    with pytest.raises(ShapeMismatch, match="out of bounds"):
        arrayexpr.kernel(rows)(np.ones((4, 5)), np.ones((4, 5)), 5)


def test_what_a_loop_cannot_keep_is_refused() -> None:
    def both(u: Any, v: Any, n: Any) -> Any:
        for _ in range(n):
            v[1:-1] = u[:-2]
            v = u * 2
        return v

    def written_after(u: Any, v: Any, n: Any) -> None:
        for _ in range(n):
            v[1:-1] = u[:-2]
            u, v = v, u
        u[0] = 1

    def of_two_types(u: Any, n: Any) -> Any:
        v = np.zeros_like(u, np.float32)
        for _ in range(n):
            v[1:-1] = u[:-2]
            u, v = v, u
        return v

    def grows(a: Any, n: Any) -> Any:
        s = 0.0
        for k in range(n):
            s = s + a[k : k + 1]
        return s

    def widens(a: Any, n: Any) -> Any:
        for _ in range(n):
            a = np.float64(1) * a
        return a

    def ends(a: Any, n: Any) -> Any:
        for k in range(n):
            z = a * k
        return z

    def listed(a: Any, n: Any) -> Any:
        x = [a]
        for _ in range(n):
            x = [a * 2]
        return x[0]

    def leaks(a: Any, n: Any) -> Any:
        found = []
        for k in range(n):
            found.append(a * k)
        return found[-1]

    one = np.ones(4)
    for function, given, error, message in [
        (both, (one, one.copy(), 2), TypeMismatch, "v, in the loop over _ .* is assigned in place and bound anew"),
        (written_after, (one, one.copy(), 2), UnsupportedError, "assignment to .* one of several arrays"),
        (of_two_types, (one, 2), TypeMismatch, "in the loop over _ .* float64.* and float32.* by turns"),
        (grows, (one, 2), TypeMismatch, "s, in the loop over k .* has 0 axes before it and 1 in it"),
        (widens, (one.astype("f4"), 2), TypeMismatch, "a, in the loop over _ .* is float32 before it and float64 in"),
        (ends, (one, 2), UnsupportedError, "z is bound in the loop over k .* and used after it"),
        (listed, (one, 2), TypeMismatch, "x, in the loop over _ .* is list: expected arrays and numbers"),
        (leaks, (one, 2), UnsupportedError, "computed in a loop or a branch is used after it"),
    ]:
        with pytest.raises(error, match=message):
            arrayexpr.kernel(function)(*given)


def test_a_local_of_a_loop_is_not_touched_after_it() -> None:
    text = (
        "def f(a: float64[:], n: int64, *, r: float64[:]):\n    t = local(float64[:])\n    for k in range(0, n, 1):\n"
    )
    verify(parse(text + "        t[...] = a[k:]\n        a[k:] = t * 2.0\n    r[...] = a\n"))
    with pytest.raises(VerifyError, match="touches local t after the loop or guard whose own it is"):
        verify(parse(text + "        t[...] = a * 2.0\n    r[...] = t\n"))


def test_a_view_takes_scalars_as_subscripts() -> None:
    a = rng.random((5, 6))
    assert_same(a[3] * a[2], arrayexpr.kernel(lambda a, k: a[k] * a[k - 1])(a, 3))
    assert_same(a[2, 1:3] + 1, arrayexpr.kernel(lambda a, k: a[k - 1, 1:k] + 1)(a, 3))
    with pytest.raises(ShapeMismatch, match="out of bounds"):
        arrayexpr.kernel(lambda a, k: a[k] * 2)(a, 7)


def test_explain_shows_the_steps_of_a_loop() -> None:
    said = arrayexpr.explain(arrayexpr.kernel(rows), np.ones((8, 5)), np.ones((8, 5)), 8)
    assert "Step 1: for k in range(1, n, 1): ... 0 steps before it and " in said
    assert "= b[k, :-2]" in said
    assert "for i0 in vector" in said
    assert "one element after the other" in arrayexpr.explain(arrayexpr.kernel(recurrence), np.ones(5), np.ones(5))


def test_scratch_in_a_loop_that_the_interpreter_runs():
    program = parse(
        "def f(a: int64[:], b: int64[:]):\n    for i in range(0, a.shape[0], 1):\n"
        "        for k in range(0, b.shape[0], 1):\n            t = scratch(int64)\n            t[()] = b[k] * a[0]\n"
        "            if t[()] < 3:\n                a[i] = t[()]\n"
    )
    a, b = np.arange(1, 5), np.arange(-2, 3)
    expected = {"a": a.copy(), "b": b.copy()}
    interpret(program, expected)
    arrayexpr.compile(program)(a, b)
    np.testing.assert_array_equal(a, expected["a"])


@pytest.mark.parametrize("condition", ["reduce(add, a, (0,)) > 3.0", "(a + b)[k, ...] > 1.0", "exp(a[k, ...]) > 1.0"])
def test_conditions_and_bounds_are_of_any_values(condition: str) -> None:
    head = "def f(a: float64[:], b: float64[:], k: int64, *, r: float64[:]):\n    r[...] = a\n"
    given = rng.random(5), rng.random(5)
    for body in (
        f"    if {condition}:\n        r[...] = b\n    a[...] = r * 2.0\n",
        f"    for j in range(0, 3, 1):\n        if {condition}:\n            r[...] = b\n        b[...] = r * 0.5\n",
        f"    for j in range(0, cast({condition}, int64) + 1, 1):\n        b[...] = r * 2.0\n        r[...] = b\n",
    ):
        program = parse(head + body)
        kernel = arrayexpr.compile(program)
        for scale in (1.0, 0.1, 1.0):
            theirs, ours = ([x * scale for x in given] for _ in range(2))
            expected = interpret(program, {"a": theirs[0], "b": theirs[1], "k": 2})["r"]
            assert_same(kernel(*ours, 2), expected)
            for one, two in zip(ours, theirs, strict=True):
                assert_same(one, two)
