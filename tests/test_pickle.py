"""Programs go to other processes whole, and copies of them are themselves."""

import copy
import multiprocessing
import operator
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from strategies import loop_programs, programs

from arrayexpr import Layout, Target, emit, interpret, optimize, parse
from arrayexpr._core.program import Program

FIELDS = [name for name in Program.__slots__ if name != "__weakref__"]

WITH_HOST = parse("""\
def f(a: float64[:], *, r: float64[:]):
    r[...] = opaque("twice", a, type=float64[:]) + a
""")
UNPICKLABLE = lambda x: x * 2  # noqa: E731


def again(program: Program) -> Program:
    made = pickle.loads(pickle.dumps(program))
    assert isinstance(made, Program)
    return made


def assert_same(program: Program, other: Program) -> None:
    for name in FIELDS:
        assert getattr(other, name) == getattr(program, name), name


def scheduled() -> Program:
    """A program that a pass has put each kind of fact on."""
    program = parse("def f(a: float64[:, :], b: float64[:], *, r: float64[:, :]):\n    r[...] = sqrt(a) + b[1:]\n")
    target = Target(l1=1 << 14, l2=1 << 18, vector=64, cores=4)
    value = program.statements[0].value  # type: ignore[attr-defined]
    made = optimize(program.replace(origins={value: ("line 1", 3)}), {"a": Layout((5, 7), (56, 8))}, target)
    assert made.layouts and made.requires and made.origins and made.target is target
    return made


def test_every_field_is_carried() -> None:
    program = scheduled().remarked(["a remark"]).replace(hosts={"twice": operator.neg})
    assert_same(program, again(program))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol(protocol: int) -> None:
    program = scheduled()
    assert_same(program, pickle.loads(pickle.dumps(program, protocol)))


def test_conditions_of_every_iteration() -> None:
    program = parse("""
def f(a: float64[:, :], b: float64[:, :], n: int64, r: float64[:]):
    for k in range(1, n, 1):
        if k < 3:
            r[...] = a[k - 1, :] + b[k, ::-1]
""")
    made = optimize(program, {}, Target())
    assert {type(condition).__name__ for condition in made.requires} >= {"For"}
    assert_same(made, again(made))


@given(case=programs())
def test_any_expression(case: Any) -> None:
    program = case.program.replace(origins={node: (k,) for k, node in enumerate(case.program.nodes())})
    assert_same(program, again(program))
    lowered = optimize(program)
    assert_same(lowered.replace(origins={}), again(lowered).replace(origins={}))


@given(case=loop_programs())
def test_any_loop(case: Any) -> None:
    program = case.program.replace(origins={node: (k,) for k, node in enumerate(case.program.nodes())})
    assert_same(program, again(program))


def test_a_host_that_pickle_takes_is_called() -> None:
    program = again(WITH_HOST.replace(hosts={"twice": operator.neg}))
    np.testing.assert_array_equal(interpret(program, {"a": np.arange(3.0)})["r"], [0, 0, 0])


def test_what_pickle_refuses_stays_behind() -> None:
    value = WITH_HOST.statements[0].value  # type: ignore[attr-defined]
    program = WITH_HOST.replace(
        hosts={"twice": UNPICKLABLE, "other": operator.neg},
        origins={value: (UNPICKLABLE,), value.args[0]: ("line 2",)},
    )
    made = again(program)
    assert made.hosts == {"other": operator.neg}
    assert made.origins == {value.args[0]: ("line 2",)}
    assert made == program


def test_an_origin_of_a_node_that_is_gone_stays_behind() -> None:
    gone = parse("def g(z: int8): z[...] = z + z\n").statements[0]
    assert again(WITH_HOST.replace(origins={gone: ("line 9",)})).origins == {}


def test_a_program_may_be_as_deep_as_its_text() -> None:
    lines = "".join(f"    _{k} = sqrt({'a' if k == 0 else f'_{k - 1}'}) + 1.0\n" for k in range(5000))
    program = parse(f"def f(a: float64[:], *, r: float64[:]):\n{lines}    r[...] = _4999\n")
    program = program.replace(origins={node: (k,) for k, node in enumerate(program.nodes())})
    assert_same(program, again(program))


def test_a_copy_is_the_program_itself() -> None:
    program = scheduled().replace(hosts={"twice": UNPICKLABLE})
    assert copy.copy(program) is program
    assert copy.deepcopy([program])[0] is program


def test_another_process_sees_the_same_program() -> None:
    # Layouts, requirements and the target decide what the C is.
    program = scheduled()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(emit, program).result(timeout=60) == emit(program)
        assert_same(program, pool.submit(copy.copy, program).result(timeout=60))
