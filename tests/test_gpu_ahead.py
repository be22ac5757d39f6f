"""Reductions and whole programs for GPUs ahead of time: their text, and by the interpreter what it means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import arrayexpr
from arrayexpr import target
from arrayexpr._core.driver import array_passes, run
from arrayexpr._core.engine.ahead import CHUNK, Ahead, ahead
from arrayexpr._core.engine.handover import mode
from arrayexpr._core.engine.plan import plan
from arrayexpr._core.interpret import interpret
from arrayexpr._core.parser import parse
from arrayexpr._core.verify import verify

ROWS = parse("""
def rows(a: float64[:, :], *, r: float64[:]):
    r[...] = reduce(add, a * a, (1,)) + 1.0
""")
SOFTMAX = parse("""
def softmax(a: float64[:, :], *, r: float64[:, :]):
    m = local(float64[:, :])
    m[...] = exp(a - reduce(maximum, a, (1,), keepdims=True))
    r[...] = m / reduce(add, m, (1,), keepdims=True)
""")
ALL = parse("""
def all_of(a: float64[:, :], s: float64, *, r: float64):
    r[...] = reduce(add, a * s, (0, 1))
""")
TWO = parse("""
def two(a: float64[:, :], b: float64[:, :], *, r: float64[:], q: float64[:, :]):
    r[...] = reduce(add, a, (0,))
    q[...] = a / r + b.transpose(1, 0)
""")


PRODUCT = parse("""
def product(a: float64[:, :, :], b: float64[:, :], *, r: float64[:, :, :]):
    r[...] = (a @ b) * 2.0 + 1.0
""")


def scheduled(program: Any) -> Ahead:
    def planned(each: Any) -> Any:
        return plan(each, lambda p: "", target.Target(), mode())

    return ahead(run(program, array_passes(program)), planned)


def test_rows() -> None:
    found = scheduled(ROWS)
    verify(found.program)
    a = np.random.default_rng(0).integers(-9, 9, (3, 300)).astype("f8")
    r = np.zeros(3)
    (name,) = {o.name for o in found.program.operands} - {"a"}
    interpret(found.program, {"a": a, name: r[:, None]})
    assert np.array_equal(r, (a * a).sum(1) + 1)


def test_products() -> None:
    """By tiles, of matrices and of a stack of them beside one; what follows is a launch of its own."""
    found = scheduled(PRODUCT)
    verify(found.program)
    rng = np.random.default_rng(0)
    a, b = rng.integers(-9, 9, (2, 5, 3)).astype("f8"), rng.integers(-9, 9, (3, 4)).astype("f8")
    full = (2, 5, 4, 3)
    made, r = np.zeros((2, 5, 4)), np.zeros((2, 5, 4))
    arrays = {"a": a, "t": made, "r": r}
    views = {
        "a": np.broadcast_to(a[:, :, None], full),
        "b": np.broadcast_to(b.T, full),
        "t": made[..., None],
    }
    given = {
        o.name: views[o.name.rstrip("0123456789_v")[0]] if "_v" in o.name else arrays[o.name[0]]
        for o in found.program.operands
    }
    interpret(found.program, given)
    assert np.array_equal(r, a @ b * 2 + 1)
    assert [line.partition(" = ")[2] for line in found.launches][0] == "a @ b"


@pytest.mark.parametrize("language", ["cuda", "opencl"])
@pytest.mark.parametrize(
    "program, kernels", [(ROWS, 1), (SOFTMAX, 1), (ALL, 2), (TWO, 2), (PRODUCT, 2)], ids=lambda p: str(p)[4:12]
)
def test_texts(program: Any, kernels: int, language: str) -> None:
    """A kernel for each step, and above them what is launched in which order on how many blocks."""
    text = arrayexpr.emit(program, language)
    assert text.count("KERNEL(256) void") == kernels
    note = text[: text.index("*/")]
    for number in range(1, kernels + 1):
        assert f"   {number}. arrayexpr_{program.name}" in note
    assert "blocks of 256 lanes" in note


def test_sums_of_everything_take_two_launches() -> None:
    text = arrayexpr.emit(ALL, "cuda")
    assert f"ceil(a_n1 / {CHUNK}) blocks" in text and "partial" in text
    assert "const double s" in text


@pytest.mark.parametrize("program", [ROWS, SOFTMAX, ALL, TWO, PRODUCT], ids=lambda p: str(p)[4:12])
def test_nvrtc(program: Any) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="the test extra brings NVRTC", exc_type=ImportError)
    from arrayexpr.adapters import nvrtc

    for architecture in ("sm_80", "sm_90"):
        assert nvrtc.compiled(arrayexpr.emit(program, "cuda"), architecture)
