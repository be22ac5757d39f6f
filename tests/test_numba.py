"""The pass in Numba's pipeline: bit-equal to plain Numba on random functions, and what its users rely on."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from numba_programs import DTYPES, LAYOUTS, Source, laid_out, values  # noqa: E402

import arrayexpr.adapters.numba as ours  # noqa: E402
from arrayexpr._core.errors import UnsupportedError  # noqa: E402
from arrayexpr.adapters.numba import explain, njit, pipeline, versions  # noqa: E402


def same(one: Any, two: Any) -> bool:
    """Whether results are equal bit for bit, NaNs among themselves, and lie alike in memory."""
    if one is None or two is None:
        return one is two
    if isinstance(one, tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return (
        one.dtype == two.dtype
        and one.shape == two.shape
        and one.strides == two.strides
        and np.array_equal(one, two, equal_nan=one.dtype.kind in "fc")
        and (one.dtype.kind != "f" or np.array_equal(np.signbit(one[one == 0]), np.signbit(two[two == 0])))
    )


class Taken:
    """Counts, while it is entered, the statements that the pass takes."""

    def __enter__(self) -> Taken:
        self.statements = self.fused = 0
        self.plan = pipeline.plan

        def counting(program: Any) -> Any:
            made = self.plan(program)
            self.statements += len(program.statements)
            self.fused += len(program.statements) if made.regions else 0
            return made

        pipeline.plan = counting
        return self

    def __exit__(self, *_: Any) -> None:
        pipeline.plan = self.plan


def arguments(
    rng: np.random.Generator, names: dict[str, str], layouts: list[str], full: tuple[int, ...], broadcast: bool,
    aliased: bool,
) -> list[Any]:  # fmt: skip
    """Arrays for a function; `broadcast`: some of length 1 along axes; `aliased`: `b` and `out` share memory."""
    args = []
    for (name, dtype), layout in zip(names.items(), layouts, strict=True):
        shape = tuple(1 if broadcast and name not in ("out", "a") and rng.random() < 0.3 else n for n in full)
        args.append(laid_out(rng, values(rng, shape, dtype), layout))
    if aliased and names["b"] == names["out"] and layouts[1] == layouts[3]:
        args[1] = args[3]
        if layouts[1] == "A" and rng.random() < 0.7:
            args = [args[0][:-1], args[3][:-1], args[2][: max(1, full[0] - 1)], args[3][1:]]
    return args


def run(function: Any, args: Any) -> Any:
    try:
        return function(*args), None
    except (ValueError, ZeroDivisionError) as error:
        return None, type(error)


def differential(seed: int, **flags: Any) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    kinds = [rng.choice(DTYPES)] * 4 if rng.random() < 0.6 else list(rng.choice(DTYPES[:6], 4))
    if "?" in kinds or rng.random() < 0.5:
        kinds = ["f8"] * 4 if "?" in kinds else kinds
    names = dict(zip(("a", "b", "c", "out"), map(str, kinds), strict=True))
    # Plain Numba gives no care to what overlaps in these.
    in_place = bool(rng.random() < 0.5)
    source = Source(rng, names, in_place)
    text = source.text(int(rng.integers(1, 11 if rng.random() < 0.2 else 5)))
    space: dict[str, Any] = {"np": np}
    exec(text, space)
    plain, mine = numba.njit(**flags)(space["f"]), njit(**flags)(space["f"])
    layouts = [str(rng.choice(LAYOUTS)) for _ in names]
    for attempt in range(4):
        full = tuple(int(rng.choice([1, 2, 3, 5, 70 if rank < 3 else 9])) for _ in range(rank))
        seeds = rng.integers(1 << 30)
        aliased = not in_place and attempt == 3
        sets = [arguments(np.random.default_rng(seeds), names, layouts, full, attempt > 0, aliased) for _ in range(2)]
        scalars = int(rng.integers(1, 5)), float(rng.random() + 0.5)
        try:
            expected, error = run(plain, [*sets[0], *scalars])
        except (numba.core.errors.NumbaError, AttributeError) as why:
            # What Numba cannot type (its rules of in-place operators stumble over some types) stays so.
            with pytest.raises(type(why)):
                mine(*sets[1], *scalars)
            break
        found, raised = run(mine, [*sets[1], *scalars])
        where = f"seed {seed}\n{text}\n{[(s.shape, s.strides, s.dtype) for s in sets[0]]}"
        # What reads out of bounds in plain Numba raises with us: shapes of these are tested.
        if in_place and error is None and raised is ValueError:
            break
        assert raised == error, where
        if error is None:
            assert same(found, expected), where
            assert all(map(same, sets[1], sets[0])), where


@pytest.mark.parametrize("start", range(4))
def test_random_functions_are_bit_equal_to_plain_numba(start: int) -> None:
    with Taken() as taken:
        for seed in range(start * 1000, start * 1000 + 4):
            differential(seed)
    assert taken.statements > 4


@pytest.mark.slow
@pytest.mark.parametrize("start", range(50))
def test_more_random_functions_are_bit_equal_to_plain_numba(start: int) -> None:
    with Taken() as taken:
        for seed in range(start * 100 + 10_000, start * 100 + 10_020):
            differential(seed)
    assert taken.statements > 20 and taken.fused > 10


@pytest.mark.slow
@pytest.mark.parametrize("flags", [{"boundscheck": True}, {"error_model": "numpy"}, {"nogil": True}, {"parallel": True}])
def test_random_functions_keep_the_flags(flags: dict[str, Any]) -> None:
    for seed in range(20_000, 20_012):
        differential(seed, **flags)
