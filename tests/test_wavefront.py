"""Regions in a row by blocks of rows: the bits of one after the other, and temporaries of some rows."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from layouts import clone

import arrayexpr
from arrayexpr._core.engine.chain import Chain
from arrayexpr._core.engine.recording import Recording
from arrayexpr._core.interpret import interpret
from arrayexpr._core.parser import parse
from arrayexpr._core.program import Program
from arrayexpr.target import Target

#: Caches so small that a few rows fill them.
SMALL = Target(l1=1 << 10, l2=4 << 10, l3=64 << 10)

HEAT = "def f(a: float64[:, :], b: float64[:, :]):\n" + "".join(
    f"    {v}[1:-1, 1:-1] = {u}[1:-1, 1:-1] / 3.0 + ({u}[2:, 1:-1] - {u}[:-2, 1:-1] + {u}[1:-1, 2:] - {u}[1:-1, :-2])\n"
    for u, v in ["ab", "ba"] * 3
)
CORNERS = """
def f(image: float64[:, :], *, r: float64[:, :]):
    x = local(float64[:, :])
    y = local(float64[:, :])
    x[...] = (image[2:, :] - image[:-2, :]) / 3.0
    y[...] = (x[:, 2:] - x[:, :-2]) / 7.0 + (x[:, 1:-1] - x[:, 2:]) / 11.0
    r[...] = (y[2:, :] + y[1:-1, :] + y[:-2, :]) / (y[1:-1, :] + 3.0) / (x[1:-1, 1:-1] + 5.0)
"""


made: list[Chain] = []


@pytest.fixture(autouse=True)
def _chains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `made` the calls that are remembered."""
    made.clear()
    chain = Recording.chain

    def noted(self: Recording, *args: Any) -> Chain | None:
        found = chain(self, *args)
        made.extend([found] if found is not None else [])
        return found

    monkeypatch.setattr(Recording, "chain", noted)


def check(program: Program, arrays: dict[str, Any], engine: str = "auto") -> list[int]:
    """Call a program three times on arrays, each time from the same values.

    Returns how many regions each wavefront of what is remembered has.
    """
    made.clear()
    expected = clone(arrays)
    expected = {**expected, **interpret(program, expected)}
    kernel = arrayexpr.compile(program, target=SMALL, threads=1, engine=engine)
    names = [operand.name for operand in program.operands]
    # Where what they are was remembered.
    own = clone({name: arrays[name] for name in names})
    for _ in range(3):
        for name in names:
            own[name][...] = arrays[name]
        found = kernel(*own.values())
        got = found if isinstance(found, tuple) else (found,) if program.results else ()
        for operand, value in zip(program.results, got, strict=True):
            np.testing.assert_array_equal(value, expected[operand.name], err_msg=f"{operand.name} of\n{program}")
        for name in names:
            np.testing.assert_array_equal(own[name], expected[name], err_msg=f"{name} of\n{program}")
    return [count for chain in made for count in chain.wavefronts]


@pytest.mark.parametrize("shape", [(70, 40), (3, 900), (900, 5), (64, 64)])
def test_steps_of_a_stencil_follow_one_another(shape: tuple[int, int]) -> None:
    program = parse(HEAT)
    rng = np.random.default_rng(0)
    a, b = rng.random(shape), rng.random(shape)
    found = check(program, {"a": a, "b": b})
    if shape == (70, 40):
        assert found == [6]
    check(program, {"a": np.asfortranarray(a), "b": np.asfortranarray(b)})
    check(program, {"a": a[::-1], "b": b})
    check(program, {"a": a.T.copy().T, "b": b})


def test_temporaries_are_windows_of_rows() -> None:
    program = parse(CORNERS)
    image = np.random.default_rng(0).random((600, 30))
    assert check(program, {"image": image}) != []
    # Two arrays of 600 rows would take 288,000 bytes.
    assert 0 < made[-1].scratch < 40_000


def test_a_region_that_needs_all_of_another_one_waits() -> None:
    program = parse("""
def f(a: float64[:, :], *, r: float64[:, :], s: float64[:, :]):
    t = local(float64[:, :])
    u = local(float64[:])
    t[...] = exp(a) / 3.0
    u[...] = reduce(add, t, (0,))
    r[...] = t[::-1, :] / u
    s[...] = t.T[:, 1:] / r.T[:, :-1]
""")
    check(program, {"a": np.random.default_rng(0).integers(0, 2, (80, 30)).astype(float)})


def test_threads_take_the_regions_one_by_one() -> None:
    program = parse(CORNERS)
    image = np.random.default_rng(0).random((300, 30))
    kernel = arrayexpr.compile(program, target=SMALL)
    before = arrayexpr.get_num_threads()
    try:
        arrayexpr.set_num_threads(1)
        expected = [kernel(image) for _ in range(2)]
        arrayexpr.set_num_threads(2)
        expected += [kernel(image) for _ in range(2)]
        arrayexpr.set_num_threads(1)
        expected.append(kernel(image))
    finally:
        arrayexpr.set_num_threads(before)
    for value in expected[1:]:
        np.testing.assert_array_equal(value, expected[0])


def shifted(rng: random.Random) -> str:
    """A program of regions that read one another's results, at other places, turned, and in place."""
    lines = []
    names = ["a", "b"]
    windows = ["1:-1, 1:-1", "2:, 1:-1", ":-2, 1:-1", "1:-1, 2:", "1:-1, :-2", "2:, :-2", ":-2, 2:", "-2:0:-1, 1:-1"]
    for k in range(rng.randrange(3, 8)):
        x, y, z = (f"{rng.choice(names[-3:])}[{rng.choice(windows)}]" for _ in range(3))
        value = f"({x} - {y}) * 0.5 + {z} / 3.0"
        if rng.random() < 0.5:
            lines.append(f"    {rng.choice('ab')}[1:-1, 1:-1] = {value}\n")
            continue
        lines.insert(0, f"    t{k} = local(float64[:, :])\n")
        lines.append(f"    t{k}[...] = a * 0.25\n    t{k}[1:-1, 1:-1] = {value}\n")
        names.append(f"t{k}")
    head = "def f(a: float64[:, :], b: float64[:, :], *, r: float64[:, :]):\n"
    return f"{head}{''.join(lines)}    r[...] = {names[-1]} + b\n"


@pytest.mark.parametrize("seed", range(30))
def test_random_shifts(seed: int) -> None:
    rng = random.Random(seed)
    program = parse(shifted(rng))
    shape = rng.choice([(60, 30), (33, 40), (200, 7)])
    data = np.random.default_rng(seed)
    memory = data.random((shape[0] + 3, shape[1]))
    arrays = {"a": data.random(shape), "b": data.random(shape)}
    check(program, arrays, "block")
    check(program, {"a": memory[: shape[0]], "b": data.random(shape).T.copy().T}, "block")
