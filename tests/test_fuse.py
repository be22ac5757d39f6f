"""The pass `fuse`, and how what it made runs: on arrays of any overlap it means what was written."""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_programs import time_loop
from statements import MOTION, SIBLINGS, Case, case

import arrayexpr
from arrayexpr._core.driver import ARRAY_PASSES, run
from arrayexpr._core.engine.plan import RegionStep
from arrayexpr._core.errors import ArrayExprError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Apply, Assign, For, Operand, Slice, View
from arrayexpr._core.ops import operator
from arrayexpr._core.parser import parse
from arrayexpr._core.passes import fuse as fusing
from arrayexpr._core.passes.fuse import fuse
from arrayexpr._core.program import Program
from arrayexpr._core.regions import STREAMS, regions
from arrayexpr._core.storage import needed, peak_scratch
from arrayexpr._core.types import FLOAT64
from arrayexpr._core.verify import verify

SHIFTED = """
def f(a: float64[:], b: float64[:], *, r: float64[:]):
    t = local(float64[:])
    t[...] = a + b
    r[...] = t[2:] - t[:-2]
"""


def steps(kernel: Any) -> list[int]:
    """How many statements each step runs; 0 for what no region does."""
    return [len(step.targets) if isinstance(step, RegionStep) else 0 for step in kernel.compiled.plan.steps]


def ran(program: Program, arrays: dict[str, Any], **options: Any) -> dict[str, Any]:
    """What a program leaves in its operands and results, by the kernel."""
    results = arrayexpr.compile(program, **options)(*arrays.values())
    results = results if isinstance(results, tuple) else () if results is None else (results,)
    return {**arrays, **{r.name: value for r, value in zip(program.results, results, strict=True)}}


def meant(program: Program, arrays: dict[str, Any]) -> dict[str, Any]:
    return {**arrays, **interpret(program, arrays)}


def assert_equal(expected: dict[str, Any], got: dict[str, Any], of: object) -> None:
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=f"{name} of\n{of}")


# -- Random programs --------------------------------------------------------------------------------

#: What random programs came to: how many statements were fused away, run at once, and how many calls fell back.
counted = {"programs": 0, "gone": 0, "together": 0, "as written": 0, "guarded": 0}


def check(drawn: Case, *engines: str) -> None:
    """A program means the same fused as written, after every pass, in the interpreter and in engines."""
    program = drawn.program
    verify(program)
    try:
        expected = meant(program, drawn.arrays())
    except ArrayExprError:
        # Shapes that do not fit: nothing is said of how far it got.
        return
    counted["programs"] += 1
    for guarded in (False, True):
        fused = fuse(program, guarded=guarded)
        verify(fused)
        assert_equal(expected, meant(fused, drawn.arrays()), fused)
        if fused.assumption is not None and not fused.assumption.holds(drawn.arrays()):
            counted["as written"] += 1
        else:
            counted["gone"] += len(program.statements) - len(fused.statements)
            counted["together"] += sum(len(group) - 1 for group in regions(fused.statements))
            counted["guarded"] += fused.assumption is not None and bool(fused.assumption.alike)
    after = program
    for name in ARRAY_PASSES:
        before, after = after, run(after, (name,), **({"guarded": True} if name == "fuse" else {}))
        if after is not before:
            assert_equal(expected, meant(after, drawn.arrays()), after)
    for engine in engines:
        assert_equal(expected, ran(program, drawn.arrays(), engine=engine), program)


@settings(max_examples=60)
@given(st.integers(0, 1 << 30))
def test_random_programs(seed: int) -> None:
    check(case(random.Random(seed)), "block")


@settings(max_examples=60)
@given(st.integers(0, 1 << 30))
def test_random_programs_with_loops_and_effects(seed: int) -> None:
    check(case(random.Random(seed), length=16, effects=seed % 3 == 0, loops=True), "block")


@settings(max_examples=5)
@given(st.integers(0, 1 << 30))
def test_random_programs_compiled(seed: int) -> None:
    check(case(random.Random(seed), length=4, loops=seed % 2 == 0), "c")


def test_random_programs_are_fused() -> None:
    """The tests above are of something: most programs change, some of them on shapes that have to be asked for."""
    counted.update(dict.fromkeys(counted, 0))
    for seed in range(60):
        check(case(random.Random(seed), length=12))
    assert counted["gone"] > 20
    assert counted["together"] > 20
    assert counted["as written"] > 5
    assert counted["guarded"] > 5


@pytest.mark.slow
@pytest.mark.parametrize("part", range(30))
def test_many_random_programs(part: int) -> None:
    for seed in range(100_000 + 100 * part, 100_000 + 100 * (part + 1)):
        check(case(random.Random(seed), effects=seed % 4 == 0, loops=seed % 2 == 0), "block")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_many_random_programs_compiled(part: int) -> None:
    for seed in range(200_000 + 10 * part, 200_000 + 10 * (part + 1)):
        check(case(random.Random(seed), effects=seed % 4 == 0, loops=seed % 2 == 0), "c")


# -- What becomes of programs -----------------------------------------------------------------------


def test_siblings_are_one_region_without_temporaries() -> None:
    kernel = arrayexpr.compile(parse(SIBLINGS))
    assert steps(kernel) == [2]
    assert kernel.compiled.program.locals == ()


def test_unchanged_is_the_same_program() -> None:
    program = parse(
        "def f(a: float64[:], *, r: float64[:], s: float64[:]):\n    r[...] = a + 1.0\n    s[...] = r[1:]\n"
    )
    assert fuse(program) is program


def test_rows_of_layer_norm_are_one_region() -> None:
    @arrayexpr.kernel
    def norm(x, out, mean):  # type: ignore[no-untyped-def]
        mean[...] = np.mean(x, axis=1)
        centred = x - mean[:, None]
        deviation = np.sqrt(np.mean(centred * centred, axis=1) + 1e-5)
        out[...] = centred / deviation[:, None]

    x = np.random.default_rng(0).standard_normal((6, 50))
    out, mean = np.empty_like(x), np.empty(6)
    norm(x, out, mean)
    (compiled,) = norm.traced.compiled.values()
    assert [len(s.targets) for s in compiled.plan.steps] == [2]
    np.testing.assert_allclose(mean, x.mean(axis=1), rtol=1e-12, atol=1e-15)
    expected = (x - x.mean(axis=1)[:, None]) / np.sqrt(x.var(axis=1) + 1e-5)[:, None]
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_wide_regions_are_split() -> None:
    vector, add = FLOAT64.array(1), operator("add")
    a = [Operand(f"a{k}", vector) for k in range(40)]
    r = [Operand(f"r{k}", vector) for k in range(39)]
    program = Program("f", a, [Assign(r[k], Apply(add, (a[k], a[k + 1]))) for k in range(39)], r)
    kernel = arrayexpr.compile(program)
    assert 1 < len(steps(kernel)) < 39
    for step in kernel.compiled.plan.steps:
        assert isinstance(step, RegionStep)
        assert len(step.sources) + len(step.targets) <= STREAMS
    arrays = [np.arange(5.0) + k for k in range(40)]
    for k, found in enumerate(kernel(*arrays)):
        np.testing.assert_array_equal(found, arrays[k] + arrays[k + 1])


def test_origins_follow_their_statements() -> None:
    program = parse(SIBLINGS)
    fourth = program.statements[3]
    fused = fuse(program.replace(origins={fourth: ("line 4",)}))
    assert fused.origin(fused.statements[0]) == ("line 4",)


# -- Parts of one operand ---------------------------------------------------------------------------

PARTS = {
    "components": ("r[:, 0] = x * y\n    r[:, 1] = x - y", [2]),
    "even and odd": ("x[::2] = x[::2] * y[::2]\n    x[1::2] = y[1::2] - y[::2]", [2]),
    "what the other one assigns": ("x[::2] = y[::2] * 2.0\n    y[::2] = x[::2] + x[1::2]", [2]),
    "red and black": ("x[1:-1:2] = x[:-2:2] + x[2::2]\n    x[2::2] = x[1:-1:2] * 2.0", [1, 1]),
    "one row twice": ("r[0:1, :] = r[1:2, :] + 1.0\n    r[0:1, :] = r[1:2, :] * r[0:1, :]", [1]),
    "passing": ("x[:3] = y[:3] + 1.0\n    x[6:8] = y[6:8]\n    y[8:] = x[:2]\n    x[3:6] = x[:3] * y[:3]", [2, 1, 1]),
    "parts in common": ("x[:4] = y[:4] + 1.0\n    x[3:7] = y[:4] - 1.0", [1, 1]),
}


@pytest.mark.parametrize("engine", ["block", "c"])
@pytest.mark.parametrize("name", PARTS)
def test_parts_that_have_nothing_in_common_are_told_apart(name: str, engine: str) -> None:
    text, together = PARTS[name]
    program = parse(f"def f(x: float64[:], y: float64[:], r: float64[:, :]):\n    {text}\n")
    given = [np.arange(10.0) + 1, np.arange(10.0) ** 2, np.arange(20.0).reshape(10, 2)]
    got, expected = ({n: a.copy() for n, a in zip("xyr", given, strict=True)} for _ in range(2))
    interpret(program, expected)
    kernel = arrayexpr.compile(program, engine=engine)
    assert sorted(steps(kernel)) == sorted(together)
    kernel(*got.values())
    assert_equal(expected, got, program)


def test_few_pairs_of_parts_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many parts there are, the work is linear."""
    from arrayexpr._core import dependence

    asked = 0
    may_touch = dependence.may_touch

    def counting(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return may_touch(*args)

    monkeypatch.setattr(dependence, "may_touch", counting)
    vector, add = FLOAT64.array(1), operator("add")
    a, choice = Operand("a", vector), random.Random(0)

    def part() -> View:
        start = choice.randrange(10_000)
        return View(a, (Slice(start, start + 5),))

    program = Program("f", [a], [Assign(part(), Apply(add, (part(), part()))) for _ in range(5_000)], [])
    verify(fuse(program))
    assert 0 < asked < 5_000


# -- Memory that is shared --------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["block", "c"])
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_operands_that_overlap_run_as_written(engine: str, shift: int) -> None:
    program = parse(MOTION)

    def arrays() -> dict[str, Any]:
        memory = np.arange(40.0)
        return {"x": memory[:9], "v": memory[shift : 9 + shift], "a": memory[12:21], "e": memory[14:23]}

    assert fuse(program) is not program
    assert_equal(meant(program, arrays()), ran(program, arrays(), engine=engine), program)


@pytest.mark.parametrize("engine", ["block", "c"])
def test_what_a_temporary_holds_is_old_once_shared_memory_is_assigned(engine: str) -> None:
    """`a + d` is computed for its part, and again after `c`, which shares memory with `a`, has been assigned."""
    program = parse("""
def f(a: int64[:, :], b: int64[:, :], c: int64[:, :], d: int64[:], *, r: int64[:]):
    t = local(int64[:, :])
    _0 = d[:, None]
    _1 = a + _0
    t[...] = a * b
    t[:-1, :] = -_1[1:, :] - d[:-1][:, None]
    c[...] = maximum(b, reduce(maximum, _0, (1,), keepdims=True) * reduce(add, b, (1,), keepdims=True))
    t[...] = reduce(add, maximum(-a, b + _0), (1,), keepdims=True)
    b[...] = _1
    r[...] = d + reduce(add, t + b, (1,))
""")

    def arrays() -> dict[str, Any]:
        memory = np.arange(80).reshape(4, 20)
        return {"a": memory[:, :8:2], "b": np.ones((4, 4), np.int64), "c": memory[:, 1:5], "d": np.arange(4)}

    assert_equal(meant(program, arrays()), ran(program, arrays(), engine=engine), program)


def test_one_kernel_takes_both() -> None:
    program = parse(MOTION)
    kernel = arrayexpr.compile(program)
    assert steps(kernel) == [3]
    for _ in range(3):
        for same in (False, True):
            expected = {name: np.arange(7.0) + k for k, name in enumerate("xvae")}
            got = {name: value.copy() for name, value in expected.items()}
            for arrays in (expected, got):
                if same:
                    arrays["a"] = arrays["x"]
            interpret(program, expected)
            kernel(*got.values())
            assert_equal(expected, got, program)


def test_siblings_that_write_what_another_one_reads() -> None:
    """Nothing is fused here; that neighbours share a nest must not show either."""
    program = parse("def f(a: float64[:], x: float64[:], y: float64[:]):\n    x[...] = a + 1.0\n    y[...] = a * 2.0\n")
    assert fuse(program) is program
    for engine in ("block", "c"):
        for places in ((0, 0, 9), (0, 1, 9), (0, 9, 9), (0, 9, 10), (0, 9, 18)):
            expected, got = (
                {name: memory[place : place + 9] for name, place in zip("axy", places, strict=True)}
                for memory in (np.arange(40.0), np.arange(40.0))
            )
            assert_equal(meant(program, expected), ran(program, got, engine=engine), places)


def test_results_given_in_operands_memory() -> None:
    kernel = arrayexpr.compile(parse(SIBLINGS))
    a, b, c = (np.arange(8.0) + k for k in range(3))
    expected = kernel(a, b, c)
    s = np.empty(8)
    r, found = kernel(a, b, c, out=(a, s))
    assert r is a
    assert found is s
    np.testing.assert_array_equal(a, expected[0])
    np.testing.assert_array_equal(s, expected[1])


# -- Shapes that have to be asked for ---------------------------------------------------------------


def test_shifted_values_need_equal_lengths() -> None:
    program = parse(SHIFTED)
    assert fuse(program) is program
    fused = fuse(program, guarded=True)
    assert len(fused.statements) == 1
    assert fused.assumption is not None
    assert fused.assumption.otherwise is program
    for length in (9, 1):
        arrays = {"a": np.arange(9.0) ** 2, "b": np.arange(float(length))}
        assert fused.assumption.holds(arrays) == (length == 9)
        assert_equal(meant(program, arrays), meant(fused, arrays), fused)
        assert_equal(meant(program, arrays), ran(program, arrays), fused)


@pytest.mark.parametrize("part", ["t[0, ...]", "t[:, 1]", "t[0, ...] + t[:, 1]", "t[1, 2, ...]", "t[1:, :][:, -1]"])
def test_a_part_of_a_value_with_fewer_axes_is_computed_where_it_is_read(part: str) -> None:
    rank = 0 if part == "t[1, 2, ...]" else 1
    program = parse(
        "def f(a: int8[:, :], *, r: float64" + "[:]" * rank + "):\n    t = local(float64[:, :])\n"
        f"    t[...] = cast(a, float64) * 2.0\n    r[...] = {part}\n"
    )
    fused = fuse(program)
    assert len(fused.statements) == 1
    arrays = {"a": np.arange(9, dtype=np.int8).reshape(3, 3)}
    assert_equal(meant(program, arrays), meant(fused, arrays), fused)
    assert_equal(meant(program, arrays), ran(program, arrays), fused)


def test_siblings_over_other_shapes_run_one_by_one() -> None:
    program = parse(
        "def f(a: float64[:, :], b: float64[:, :], c: float64[:, :], *, r: float64[:, :], s: float64[:, :]):\n"
        "    r[...] = a * b\n    s[...] = a - c\n"
    )
    kernel = arrayexpr.compile(program)
    assert steps(kernel) == [2]
    a = np.ones((1, 1))
    for b, c in (((3, 4), (3, 4)), ((3, 4), (2, 5)), ((1, 1), (3, 1)), ((0, 4), (1, 1)), ((3, 4), (3, 4))):
        r, s = kernel(a, np.ones(b), np.ones(c))
        assert (r.shape, s.shape) == (b, c)


@pytest.mark.parametrize("engine", ["block", "c"])
def test_what_is_reduced_may_be_shorter_than_what_is_beside_it(engine: str) -> None:
    @arrayexpr.kernel(engine=engine)
    def f(a, b):  # type: ignore[no-untyped-def]
        return a + np.sum(b, axis=1, keepdims=True) - np.max(a - 2, axis=1, keepdims=True)

    a = np.random.default_rng(0).integers(-50, 50, (3, 8))
    for b in (np.array([[1], [2], [3]]), np.arange(24).reshape(3, 8), np.array([[5]])):
        np.testing.assert_array_equal(f(a, b), a + b.sum(axis=1, keepdims=True) - (a - 2).max(axis=1, keepdims=True))


@pytest.mark.parametrize("engine", ["block", "c"])
def test_reductions_of_what_does_not_vary_beside_those_that_do(engine: str) -> None:
    @arrayexpr.kernel(engine=engine)
    def f(a, b):  # type: ignore[no-untyped-def]
        return np.min(-b[:, None], axis=1) - np.sum(a - 2, axis=1)

    a, b = np.random.default_rng(0).integers(-50, 50, (3, 8)), np.array([1, 2, 3])
    np.testing.assert_array_equal(f(a, b), -b - (a - 2).sum(axis=1))


# -- The assumption ---------------------------------------------------------------------------------


def test_an_assumption_is_pickled() -> None:
    fused = fuse(parse(MOTION))
    again = pickle.loads(pickle.dumps(fused))
    assert again == fused
    assert again.assumption == fused.assumption


def test_fusing_twice_keeps_the_first_program() -> None:
    program = parse(MOTION)
    once = run(program, ARRAY_PASSES, guarded=True)
    twice = run(once, ARRAY_PASSES, guarded=True)
    assert twice.assumption is not None
    assert twice.assumption.otherwise == once.assumption.otherwise  # type: ignore[union-attr]


def test_c_refuses_what_it_was_told_is_apart() -> None:
    assert "arrayexpr_share(" in arrayexpr.emit(parse(MOTION))
    alone = parse("def f(a: float64[:], x: float64[:]):\n    x[...] = a + 1.0\n")
    assert "arrayexpr_share(" not in arrayexpr.emit(alone)


def test_statements_with_effects_keep_their_place() -> None:
    logged: list[Any] = []
    program = parse(
        "def f(a: float64[:], *, r: float64[:]):\n    r[...] = a + 1.0\n"
        '    side_effect(opaque("log", a, type=float64[:]))\n'
    ).replace(hosts={"log": lambda a: logged.append(a.copy()) or a})
    kernel = arrayexpr.compile(program)
    np.testing.assert_array_equal(kernel(np.arange(3.0)), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(logged, [np.arange(3.0)])


def test_ten_thousand_statements_are_tried_in_few_regions_each(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0
    way = fusing._Fusion._way

    def counting(*args: Any) -> Any:
        nonlocal tried
        tried += 1
        return way(*args)

    monkeypatch.setattr(fusing._Fusion, "_way", counting)
    vector, add = FLOAT64.array(1), operator("add")
    choice = random.Random(0)
    known = [Operand(f"a{k}", vector) for k in range(20)]
    operands, statements = list(known), []
    for k in range(10_000):
        target = Operand(f"t{k}", vector)
        statements.append(Assign(target, Apply(add, (choice.choice(known[-30:]), choice.choice(known[-30:])))))
        known.append(target)
    program = Program("f", operands, statements, known[-1:], locals=known[20:-1])
    fused = fuse(program)
    verify(fused)
    assert len(fused.statements) < 10_000
    assert tried <= 9 * 10_000


# -- Memory -----------------------------------------------------------------------------------------

STAGES = """
def f(a: float64[:], *, r: float64[:]):
    t = local(float64[:])
    u = local(float64[:])
    v = local(float64[:])
    t[...] = exp(a)
    u[...] = exp(t[::-1] * t)
    v[...] = exp(u[::-1] * u)
    r[...] = v[::-1] * v
"""


def test_locals_share_memory() -> None:
    program = parse(STAGES)
    assert needed(program) == {"t": (0, 1), "u": (1, 2), "v": (2, 3)}
    a = np.linspace(-1.0, 0.0, 100)
    assert peak_scratch(program, {"a": a}) == 2 * a.nbytes
    assert peak_scratch(program) is None
    kernel = arrayexpr.compile(program)
    (expected,) = interpret(program, {"a": a}).values()
    np.testing.assert_allclose(kernel(a), expected, rtol=1e-13)
    assert kernel.compiled.runtime.scratch == 2 * a.nbytes
    assert f"take {2 * a.nbytes} bytes" in arrayexpr.explain(kernel, a)


@pytest.mark.parametrize("engine", ["block", "c"])
def test_a_result_takes_the_memory_of_a_dead_operand(engine: str) -> None:
    program = parse("def f(a: float64[:], b: float64[:], *, r: float64[:]):\n    r[...] = a[::-1] * b + a\n")
    kernel = arrayexpr.compile(program, dead=("a",), engine=engine)
    for _ in range(3):
        a, b = np.arange(50.0), np.arange(50.0) ** 2
        expected = a[::-1] * b + a
        got = kernel(a, b)
        assert got is a
        np.testing.assert_array_equal(got, expected)
    # Not of another shape, nor what is also something else, nor what may not be written to.
    a, b = np.arange(1.0), np.arange(50.0)
    np.testing.assert_array_equal(kernel(a, b), a * b + a)
    np.testing.assert_array_equal(a, [0.0])
    memory = np.arange(50.0)
    assert kernel(memory, memory) is not memory
    memory.flags.writeable = False
    assert kernel(memory, np.arange(50.0)) is not memory


def test_dead_must_be_operands() -> None:
    program = parse("def f(a: float64[:], *, r: float64[:]):\n    r[...] = a + 1.0\n")
    with pytest.raises(ArrayExprError, match=r"dead names 'r': expected operands of f \(a\)"):
        arrayexpr.compile(program, dead=("r",))


def test_statements_that_read_one_set_of_arrays_along_different_axes_are_one_region() -> None:
    def differences(x: Any, y: Any) -> Any:
        far = 1.0 / (1.0 + np.square(x[:, None] - y[None, :]))
        return np.sum(far * x[:, None], axis=1), np.sum(far * y[None, :], axis=1)

    kernel, x, y = arrayexpr.kernel(differences), np.arange(5.0), np.arange(4.0)
    np.testing.assert_allclose(kernel(x, y), differences(x, y))
    assert arrayexpr.explain(kernel, x, y).count("\nStep ") == 1


# -- Loops that stay ------------------------------------------------------------------------------


def in_loop(*lines: str, locals: str = "t") -> Program:
    declared = "".join(f"    {name} = local(int64[:])\n" for name in locals.split())
    body = "\n".join(f"        {line}" for line in lines)
    return parse(
        f"def f(u: int64[:], v: int64[:], w: int64[:], n: int64):\n{declared}    for k in range(0, n, 1):\n{body}\n"
    )


def body_of(program: Program) -> list[str]:
    (loop,) = (s for s in program.statements if isinstance(s, For))
    return [repr(statement) for statement in loop.body]


def test_a_local_of_an_iteration_is_gone() -> None:
    program = fuse(in_loop("t[...] = u + w", "v[...] = t * t", "u[...] = u - v"), guarded=True)
    assert body_of(program)[0] == "v[...] = (u + w) * (u + w)"
    assert not program.locals
    assert program.assumption is not None and program.assumption.apart == ("u", "v")


def test_what_is_read_after_a_loop_is_kept() -> None:
    text = (
        "def f(u: int64[:], n: int64):\n    t = local(int64[:])\n    t[...] = u * 2\n"
        "    for k in range(0, n, 1):\n        t[...] = u + 1\n        u[...] = t * t\n    u[...] = u + t\n"
    )
    assert "t[...] = u + 1" in body_of(fuse(parse(text), guarded=True))


def test_two_arrays_that_change_places_still_do() -> None:
    given = in_loop("t[...] = u[:-2] + u[2:]", "v[1:-1] = t * t", "u[...] = v")
    assert body_of(fuse(given, guarded=True))[-1] == "u[...] = v"
    given = in_loop("v[...] = u[::-1] + w", "u[...] = v", locals="")
    assert fuse(given, guarded=True) is given


def check_time_loop(seed: int, engine: str | None = None) -> bool:
    """A program of loops means the same with its statements fused. Whether those in loops were."""
    program = parse(time_loop(random.Random(seed)))
    fused = fuse(program, guarded=bool(seed % 2))
    verify(fused)
    rng = np.random.default_rng(seed)
    for n in (0, 1, 3):
        given = {name: rng.integers(-3, 4, 7) for name in "uvw"} | {"n": np.int64(n)}
        one, two = ({name: np.copy(value) for name, value in given.items()} for _ in range(2))
        interpret(program, one)
        interpret(fused, two)
        for name, value in one.items():
            np.testing.assert_array_equal(two[name], value, err_msg=f"{name} of\n{program}\n{fused}")
    if engine is not None:
        kernel = arrayexpr.compile(program, engine=engine)
        for share in (False, True, False):
            memory = rng.integers(-3, 4, 9)
            sets = []
            for _ in range(2):
                own = memory.copy()
                sets.append([own[:7], own[2:] if share else own[:7][::-1].copy(), own[:7].copy() + 1])
            interpret(program, dict(zip("uvwn", [*sets[0], np.int64(3)], strict=True)))
            kernel(*sets[1], 3)
            for expected, found in zip(*sets, strict=True):
                np.testing.assert_array_equal(found, expected, err_msg=str(program))
    loops = [[s for s in p.statements if isinstance(s, For)] for p in (program, fused)]
    return loops[0] != loops[1]


def test_random_time_loops() -> None:
    assert sum(check_time_loop(seed, "block" if seed < 10 else None) for seed in range(50)) > 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_random_time_loops(seed: int) -> None:
    for k in range(60):
        check_time_loop(100 * seed + k, "block" if k % 3 else "c")
