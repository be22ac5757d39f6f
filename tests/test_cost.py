"""The cost model: bytes and times of schedules, beside what they move by hand and what was measured."""

from __future__ import annotations

import numpy as np
import pytest

import arrayexpr
from arrayexpr._core.cost import Traffic, estimate, time, traffic
from arrayexpr._core.layout import Layout
from arrayexpr._core.parser import parse
from arrayexpr._core.passes.block import block
from arrayexpr._core.passes.lower import lower
from arrayexpr._core.passes.pack import pack
from arrayexpr._core.program import Program

#: The machine that the times below were measured on.
TARGET = arrayexpr.Target(l1=48 << 10, l2=1 << 20, l3=32 << 20, vector=64)


def program(n: int, expression: str, transposed: str = "") -> Program:
    """An expression of a, b and c over n x n doubles, those named transposed being in Fortran order."""
    text = (
        "def f(a: float64[:, :], b: float64[:, :], c: float64[:, :], *, r: float64[:, :]):\n"
        f"    r[...] = {expression}\n"
    )
    layouts = {name: Layout((n, n), (8, 8 * n) if name in transposed else (8 * n, 8)) for name in "abcr"}
    return parse(text).replace(layouts=layouts, target=TARGET)


def test_contiguous_operands_are_moved_once() -> None:
    scheduled = lower(program(1000, "a + b"))
    # Two read, one stored, which is read and written.
    assert estimate(scheduled)[0] == Traffic(32_000_000, 32_000_000, 32_000_000)
    assert traffic(scheduled.statements[0], scheduled).memory == 32_000_000


def test_a_transposed_operand_costs_a_line_an_element_where_they_do_not_stay() -> None:
    small, large = (estimate(lower(program(n, "a + b", "b")))[0] for n in (100, 2000))
    assert small.l1 == 4 * 80_000
    assert large.l1 == 3 * 32_000_000 + 64 * 4_000_000 and large.memory == 4 * 32_000_000


@pytest.mark.parametrize(
    ("n", "expression", "transposed", "alone", "tiled"),
    [(4000, "a + b", "", 7.5, 7.5), (4000, "a + b", "b", 16.5, 10), (4000, "a * b + c", "bc", 33, 16),
     (4096, "a + b", "b", 1050, 12), (4096, "a * b + c", "bc", 2070, 18)],
)  # fmt: skip
def test_times_are_within_a_factor_of_two_of_what_was_measured(
    n: int, expression: str, transposed: str, alone: float, tiled: float
) -> None:
    """In ms, stored through the caches."""
    plain = lower(program(n, expression, transposed))
    packed = pack(block(plain))
    assert (packed == plain) == (not transposed)
    assert alone / 2 < estimate(plain)[2] / 1e6 < alone * 2
    assert tiled / 2 < estimate(packed)[2] / 1e6 < tiled * 2


def test_operations_are_counted_for_each_element() -> None:
    assert estimate(lower(program(30, "a * b + c")))[1] == 2 * 900


def test_a_function_without_layouts_has_a_cost_too() -> None:
    unknown = lower(program(30, "a + b").replace(layouts={}))
    assert time(unknown.statements[0], unknown) > time(lower(program(30, "a + b")).statements[0], program(30, "a + b"))


def test_tiles_by_the_model() -> None:
    """Few elements and agreeing operands are left alone; what aliases is tiled long before what does not."""
    assert block(lower(program(100, "a + b", "b"))) == lower(program(100, "a + b", "b"))
    assert block(lower(program(2000, "a + b"))) == lower(program(2000, "a + b"))
    for n in (1000, 1024):
        scheduled = block(lower(program(n, "a + b", "b")))
        assert "block(" in str(scheduled) and "pack(b_t" in str(pack(scheduled))


def test_explain_says_what_is_moved_and_why_tiles_were_chosen() -> None:
    a, b = (arrayexpr.array(name, "float64", 2) for name in "ab")
    kernel = arrayexpr.compile(arrayexpr.program(a + b.T), target=TARGET)
    x = np.ones((1000, 1000))
    # In the last cache blocks are turned in registers; what is larger is tiled.
    assert "chosen: no tiles: b is contiguous across rows" in arrayexpr.explain(kernel, x, x)
    large = np.empty((6000, 6000))
    said = arrayexpr.explain(kernel, large, large)
    assert "cost: moves" in said and "into the first cache" in said and "million operations; by the model" in said
    assert "chosen: tiles of 2 axes, since b is contiguous along another axis" in said and "loops alone:" in said
    assert "chosen" not in arrayexpr.explain(arrayexpr.compile(arrayexpr.program(a + b), target=TARGET), x, x)
