"""Effects: what the host sees, and when, is the same after every pass and through the engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from effects_support import LENGTH, Host, arrays, effect_programs
from hypothesis import given, settings
from hypothesis import strategies as st
from passes_support import assert_same, copies

import arrayexpr
from arrayexpr._core.driver import ARRAY_PASSES, passes, run
from arrayexpr._core.engine import loopstep
from arrayexpr._core.errors import ArrayExprError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.parser import parse
from arrayexpr._core.program import Program
from arrayexpr._core.verify import verify


@pytest.fixture(autouse=True, scope="module")
def loops_are_prepared() -> Iterator[None]:
    """Loops of few iterations run as those of many do."""
    before, loopstep._FEW = loopstep._FEW, 1
    yield
    loopstep._FEW = before


def outcome(program: Program, given: dict[str, Any], compiled: bool = False, **options: Any) -> tuple[Any, Any, Any]:
    """What a program leaves: its result, its operands, and what its host was asked; or an error instead."""
    host = Host()
    given = copies(given)
    program = program.replace(hosts=host.functions())
    try:
        if compiled:
            result = arrayexpr.compile(program, **options)(*[given[o.name] for o in program.operands])
        else:
            result = interpret(program, given)["r"]
    except ArrayExprError as error:
        return type(error), None, None
    return result, given, host.trace


def check(one: tuple[Any, Any, Any], two: tuple[Any, Any, Any], program: Program) -> None:
    if isinstance(one[0], type):
        assert one[0] is two[0], (one, two, str(program))
        return
    assert not isinstance(two[0], type), (two, str(program))
    assert one[2] == two[2], str(program)
    assert_same(one[0], two[0])
    for name, array in one[1].items():
        assert_same(array, two[1][name])


def check_everywhere(program: Program, seed: int) -> None:
    """Every pass, and the steps of the engine, give what the interpreter gives of the program as written."""
    verify(program)
    assert parse(str(program)) == program
    given = arrays(seed)
    with np.errstate(all="ignore"):
        expected = outcome(program, given)
        after = program
        for name in ARRAY_PASSES:
            after = run(after, (name,))
            check(expected, outcome(after, given), program)
        if not program.locals and not isinstance(expected[0], type):
            # Schedules are for given results, and have no locals.
            given["r"] = np.zeros(LENGTH - 1, np.int64)
            expected = outcome(program, given)
            for name in passes()[len(ARRAY_PASSES) :]:
                after = run(after, (name,))
                check(expected, outcome(after, given), program)
            del given["r"]
            expected = outcome(program, given)
        check(expected, outcome(program, given, compiled=True, engine="block"), program)


@settings(max_examples=100)
@given(effect_programs(), st.integers(0, 2**16))
def test_order_counts_and_values_never_change(program: Program, seed: int) -> None:
    check_everywhere(program, seed)


@settings(max_examples=60)
@given(effect_programs(), st.integers(0, 2**16))
def test_operands_that_share_memory(program: Program, seed: int) -> None:
    results = []
    for compiled in (False, True):
        given = arrays(seed, share=True)
        host = Host()
        replaced = program.replace(hosts=host.functions())
        try:
            if compiled:
                found = arrayexpr.compile(replaced, engine="block")(*[given[o.name] for o in program.operands])
            else:
                found = interpret(replaced, given)["r"]
        except ArrayExprError as error:
            results.append((type(error), None, None))
        else:
            results.append((found.tolist(), given["m"].tolist(), host.trace))
    assert results[0][0] == results[1][0], str(program)
    if not isinstance(results[0][0], type):
        assert results[0] == results[1], str(program)


@pytest.mark.slow
@settings(max_examples=5000)
@given(effect_programs(statements=30), st.integers(0, 2**16))
def test_order_counts_and_values_of_long_programs(program: Program, seed: int) -> None:
    check_everywhere(program, seed)


HEAD = "def f(a: int64[:], b: int64[:], c: int64[:], n: int64, *, r: int64[:]):\n"
LOG = 'side_effect(opaque("log", c, type=int64), reads=("c",), writes=())'
VALUE = 'side_effect(opaque("value", c, type=int64), reads=("c",), writes=())'
BUMP = 'side_effect(opaque("bump", a, type=int64), writes=("a",))'


def steps(*lines: str) -> list[str]:
    """The kinds of the steps of a program."""
    program = parse(HEAD + "".join(f"    {line}\n" for line in lines)).replace(hosts=Host().functions())
    return [type(step).__name__.removesuffix("Step") for step in arrayexpr.compile(program).compiled.plan.steps]


def test_unrelated_work_passes_an_effect_and_fuses() -> None:
    assert steps("b[...] = a + 1", LOG, "r[...] = a * 2") == ["Region", "Host"]
    # c is what the effect reads, a what another one writes.
    assert steps("b[...] = a + 1", LOG, "c[...] = a * 2", "r[...] = a") == ["Region", "Host", "Region"]
    assert steps("b[...] = c + 1", BUMP, "r[...] = a * 2") == ["Region", "Host", "Region"]
    assert steps("b[...] = c + 1", "unreorderable(opaque('log', c, type=int64))", "r[...] = c * 2") == [
        "Region", "Host", "Region",
    ]  # fmt: skip


def test_what_stands_around_an_effect_in_an_expression_is_compiled() -> None:
    assert steps(f"r[...] = (a + b) * {VALUE}") == ["Host", "Region"]
    assert steps('r[...] = a + b * side_effect(opaque("value", a * b, type=int64), writes=())') == [
        "Region", "Host", "Region",
    ]  # fmt: skip
    # What stands right of it may read what it writes, what stands left of it may not.
    assert steps(f"r[...] = {BUMP} + a") == ["Host", "Region"]
    assert steps(f"r[...] = a + {BUMP}") == ["Interpret"]


def test_functions_of_the_host_without_effects_are_steps() -> None:
    assert steps('r[...] = opaque("pure", a + b, type=int64[:]) * 2') == ["Region", "Host", "Region"]
    kernel = arrayexpr.compile(
        parse(HEAD + '    r[...] = opaque("pure", a + b, type=int64[:]) * 2\n').replace(hosts=Host().functions())
    )
    one = np.ones(3, np.int64)
    assert kernel(one, one, one, 0).tolist() == [-2] * 3


def test_a_loop_around_effects_calls_each_in_order() -> None:
    lines = ["r[...] = a", "for k in range(0, n, 1):", "    r[...] = r * 2", f"    r[0:1] = r[1:2] + {VALUE}"]
    program = parse(HEAD + "".join(f"    {line}\n" for line in lines))
    host = Host()
    kernel = arrayexpr.compile(program.replace(hosts=host.functions()))
    a = np.arange(3)
    expected = interpret(program.replace(hosts=Host().functions()), {"a": a, "b": a, "c": a, "n": 3})["r"]
    assert kernel(a, a, a, 3).tolist() == expected.tolist()
    assert [name for name, *_ in host.trace] == ["value"] * 3


def test_a_host_function_that_is_missing_is_named() -> None:
    program = parse(HEAD + f"    r[...] = {VALUE} * a\n")
    with pytest.raises(ArrayExprError, match="hosts hold no function 'value'"):
        arrayexpr.compile(program)(np.ones(2, np.int64), np.ones(2, np.int64), np.ones(2, np.int64), 1)


def test_an_array_of_other_byte_order_gets_what_the_host_writes() -> None:
    program = parse(HEAD + f"    {BUMP}\n    r[...] = a\n").replace(hosts=Host().functions())
    a = np.ones(2, ">i8")
    arrayexpr.compile(program)(a, np.ones(2, np.int64), np.ones(2, np.int64), 1)
    assert a.tolist() == [4, 4]


@pytest.mark.parametrize(
    "body", ["x * x + y", "y * 2", 'side_effect(opaque("value", y, type=int64), writes=()) + x + y']
)
def test_calls_evaluate_their_arguments_once_and_first(body: str) -> None:
    function = f"    def g(x: int64, y: int64[:]): return {body}\n"
    program = parse(HEAD + function + f"    r[...] = g({VALUE}, {VALUE} + c)\n")
    results = []
    for compiled in (False, True):
        host = Host()
        replaced = program.replace(hosts=host.functions())
        given = {name: np.arange(3) for name in "abc"} | {"n": np.asarray(1)}
        if compiled:
            found = arrayexpr.compile(replaced)(*given.values())
        else:
            found = interpret(replaced, given)["r"]
        results.append((found.tolist(), host.trace))
    assert results[0] == results[1]
    assert len(results[0][1]) == 2 + ("opaque" in body)
