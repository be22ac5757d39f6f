"""The works of the benchmarks: every form of a work computes the same."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arrayexpr

ROOT = Path(__file__).resolve().parent.parent


def load(name: str) -> Any:
    """A module of the benchmarks, which are not installed."""
    # Last: in the sources arrayexpr is not built.
    sys.path.append(str(ROOT))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT))


work = load("benchmarks.field.work")
works = load("benchmarks.field.works")
peers = load("benchmarks.field.peers")
NAMES = list(works.WORKS)


def restored(made: Any) -> list[np.ndarray]:
    return [operand.base.copy() for operand in made.operands.values()]


@pytest.mark.parametrize("peer", ["ours", "numpy"])
@pytest.mark.parametrize("name", NAMES)
def test_kernel_and_buffers_agree_with_the_definition(name: str, peer: str) -> None:
    made = work.problem(works.WORKS[name], work.SIZES["1000"])
    before = restored(made)
    run = peers.PEERS[peer].prepare(made, 1)
    for _ in range(2):
        for operand, base in zip(made.operands.values(), before, strict=True):
            operand.base[...] = base
        run.call()
        assert work.error(run.results(), made) <= made.work.tolerance


@pytest.mark.parametrize("name", NAMES)
def test_loops_agree_with_the_definition(name: str) -> None:
    made = work.problem(works.WORKS[name], work.SIZES["1000"])
    with np.errstate(all="ignore"):
        made.work.loops(*made.loop_arrays().values())
    assert work.error(made.outputs, made) <= made.work.tolerance


#: Bytes that a multiprocessor of an H200 has to have asked for: 4.8 TB/s at 0.7 us, over 132, and half as much again.
IN_FLIGHT = 40 << 10


@pytest.mark.parametrize("name", load("benchmarks.gpu.works").WORKS)
def test_a_gpu_is_kept_busy(name: str) -> None:
    """By schedules and NVRTC's registers each work's first kernel, which reads all, keeps memory of an H200 busy."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="the test extra brings NVRTC", exc_type=ImportError)
    from arrayexpr.target import gpu

    occupancy = load("benchmarks.gpu.occupancy")
    made = load("benchmarks.gpu.works").WORKS[name]
    first, *_ = occupancy.figures(made.function, made.shapes(1 << 26))
    assert first.in_flight(gpu("h200")) >= IN_FLIGHT
    # Several blocks of a multiprocessor take turns at memory and at computing.
    assert first.resident >= 2
    # Blocks are many, or one round of them of one length that every multiprocessor has nearly as many of.
    rounds = first.waves(gpu("h200"))
    share = first.blocks / 132
    assert rounds >= 8 or rounds < 1 and share / -(-first.blocks // 132) > 0.95


def test_an_error_is_found() -> None:
    made = work.problem(works.WORKS["softmax"], work.SIZES["1000"])
    (right,) = made.expected
    assert work.error([right], made) == 0
    wrong = right.copy()
    wrong[3, 4] *= 1 + 1e-9
    assert work.error([wrong], made) > made.work.tolerance
    wrong[3, 4] = np.nan
    assert work.error([wrong], made) == np.inf
    assert work.error([right.T], made) == np.inf
    assert work.error([right.astype(np.float32)], made) == np.inf


def test_works_are_kernels_of_the_installed_package() -> None:
    assert peers.PEERS["ours"].version() == arrayexpr.__version__
    assert set(works.QUICK) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_what_they_say(name: str) -> None:
    for size in (work.SIZES["1000"], work.SIZES["l2"]):
        made = work.problem(works.WORKS[name], size)
        largest = max(array.base.size for array in (*made.operands.values(), *made.results))
        assert 0.99 * size.n <= largest <= 1.03 * size.n
