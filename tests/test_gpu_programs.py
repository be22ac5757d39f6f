"""Random programs on devices, with reductions, matrix products and loops: what they mean, bit for bit."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from typing import Any

import numpy as np
import pytest
from cuda_host import HostCuda
from gpu_support import agrees_by_opencl, need, supported
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernels import check, comparable
from statements import Case, case
from strategies import operand_arrays, programs

import arrayexpr
from arrayexpr._core.errors import ArrayExprError, UnsupportedError
from arrayexpr._core.interpret import interpret

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ to run CUDA text on the host")


def whole(drawn: Case, device: Any, came_to: Counter[str]) -> None:
    """A whole program leaves on a device what it leaves in the interpreter, in arrays that may share memory."""
    expected = drawn.arrays()
    try:
        results = interpret(drawn.program, expected)
    except ArrayExprError:
        # Shapes that do not fit: nothing is said of how far it got.
        came_to["of no meaning"] += 1
        return
    arrays = drawn.arrays()
    try:
        got = arrayexpr.compile(drawn.program, device=device)(*arrays.values())
    except UnsupportedError:
        came_to["refused"] += 1
        return
    got = got if isinstance(got, tuple) else () if got is None else (got,)
    for result, value in zip(drawn.program.results, got, strict=True):
        np.testing.assert_array_equal(value, results[result.name], err_msg=f"{result.name} of\n{drawn.program}")
    for name, value in expected.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=f"{name} of\n{drawn.program}")
    came_to["run"] += 1


def whole_programs(device: Any, seeds: range, length: int = 10) -> None:
    came_to: Counter[str] = Counter()
    for seed in seeds:
        whole(case(random.Random(seed), length=length, loops=seed % 2 == 0), device, came_to)
    assert came_to["refused"] == 0 and 2 * came_to["run"] > len(seeds), came_to


def test_whole_programs_by_opencl() -> None:
    whole_programs(need("portable computing"), range(6))


@needs_gxx
def test_whole_programs_by_cuda() -> None:
    whole_programs(HostCuda(), range(100, 104), length=3)


@settings(max_examples=20)
@given(st.data(), programs(max_nodes=8, max_statements=2))
def test_reductions_by_opencl(data: Any, drawn: Any) -> None:
    agrees_by_opencl(data, drawn)


@needs_gxx
@settings(max_examples=6)
@given(st.data(), programs(max_nodes=8, max_statements=2))
def test_reductions_by_cuda(data: Any, drawn: Any) -> None:
    assume(supported(drawn.program) and comparable(drawn.program))
    kernel = arrayexpr.compile(drawn.program, device=HostCuda())
    check(drawn.program, kernel, data.draw(operand_arrays(drawn)), give=data.draw(st.booleans()))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_many_whole_programs(part: int) -> None:
    whole_programs(need("portable computing"), range(1000 + 30 * part, 1000 + 30 * (part + 1)))


@pytest.mark.slow
@needs_gxx
def test_many_whole_programs_by_cuda() -> None:
    whole_programs(HostCuda(), range(2000, 2020), length=6)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.data(), programs())
def test_many_reductions(data: Any, drawn: Any) -> None:
    agrees_by_opencl(data, drawn)
