"""Functions of several statements on arguments that share memory: they mean what NumPy gives."""

from __future__ import annotations

import linecache
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import arrayexpr

NAMES = ("a", "b", "c", "d")
VALUES = (
    "{0} + {1}",
    "{0} * {1}",
    "{0} - {1} * 2",
    "np.where({0} > {1}, {0}, {1})",
    "abs({0}) + {1}",
    "{0} + np.sum({1}, axis=-1, keepdims=True)",
    "{0} - np.max({1}, axis=0)",
    "{0} + np.sum({1})",
)
VIEWS = ("{}", "{}[::-1]", "{}[:, ::-1]", "{}[...]")
#: What is assigned, and the part of a value that fits it.
TARGETS = (("{}[...]", "{}"), ("{}[...]", "{}"), ("{}[1:]", "({})[:-1]"), ("{}[:, ::2]", "({})[:, ::2]"))


def function(choose: random.Random) -> Callable[..., Any]:
    """A function of four arrays: names for values, assignments to parts of the arrays, and what it returns."""
    live = list(NAMES)
    lines = []
    for k in range(choose.randint(1, 7)):
        one, other = (choose.choice(VIEWS).format(choose.choice(live)) for _ in range(2))
        value = choose.choice(VALUES).format(one, other)
        if choose.random() < 0.3:
            value = f"({value}) + {choose.choice(live)}"
        if choose.random() < 0.45:
            lines.append(f"t{k} = {value}")
            live.append(f"t{k}")
        else:
            target, part = choose.choice(TARGETS)
            lines.append(f"{target.format(choose.choice(NAMES))} = {part.format(value)}")
    lines.append(f"return {', '.join(choose.sample(live, choose.randint(1, 3)))}")
    source = "".join(("def f(a, b, c, d):\n", *(f"    {line}\n" for line in lines)))
    # Tracing asks for the source.
    name = f"<{hash(source)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    namespace: dict[str, Any] = {"np": np}
    exec(compile(source, name, "exec"), namespace)
    return namespace["f"]


def arguments(memory: np.ndarray, seed: int) -> list[np.ndarray]:
    """Four square arrays in one piece of memory, most of which overlap."""
    choose = random.Random(seed)
    n = choose.choice((2, 3, 5))
    made = []
    for k in range(len(NAMES)):
        start = choose.choice((choose.randint(0, 30), 60 + 25 * k))
        square = memory[start : start + n * n].reshape(n, n)
        made.append(choose.choice((square, square.T, square[::-1])))
    return made


def check(seed: int, engine: str, calls: int = 3) -> None:
    f = function(random.Random(seed))
    kernel = arrayexpr.kernel(f, engine=engine)
    # Whole numbers, whose sums are the same in any order.
    memory = np.random.default_rng(seed).integers(-9, 9, 160).astype(float)
    for k in range(calls):
        expected, found = memory.copy(), memory.copy()
        # Every array is a view of it: the same layouts twice, and then others.
        wanted, got = f(*arguments(expected, seed + k // 2)), kernel(*arguments(found, seed + k // 2))
        source = "".join(linecache.getlines(f.__code__.co_filename))
        for one, other in zip(
            wanted if isinstance(wanted, tuple) else (wanted,), got if isinstance(got, tuple) else (got,), strict=True
        ):
            np.testing.assert_array_equal(other, one, source)
        np.testing.assert_array_equal(found, expected, source)


@pytest.mark.parametrize("seed", range(120))
def test_in_the_block_engine(seed: int) -> None:
    check(seed, "block")


@pytest.mark.parametrize("seed", range(1000, 1012))
def test_in_c(seed: int) -> None:
    check(seed, "c")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_many(part: int) -> None:
    for seed in range(10_000 + part * 400, 10_000 + part * 400 + 400):
        check(seed, "block", 4)


def test_an_array_of_no_axes_shares_memory_with_what_it_is_part_of() -> None:
    def f(a: Any, s: Any) -> Any:
        t = s * 2 + a
        a[...] = 0
        return t, a + s

    kernel = arrayexpr.kernel(f)
    for _ in range(2):
        expected, found = np.arange(1.0, 4.0), np.arange(1.0, 4.0)
        for one, other in zip(f(expected, expected[1, ...]), kernel(found, found[1, ...]), strict=True):
            np.testing.assert_array_equal(other, one)
    np.testing.assert_array_equal(kernel(np.arange(3.0), 2.0)[0], [4, 5, 6])
