"""Emitted C refuses arrays that its loops would leave, or that have not the layouts it was scheduled for."""

import ctypes
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arrayexpr
from arrayexpr._core.engine.compiler import compiler
from arrayexpr.expression import expression

OK, RAISED, SHAPE, OVERLAP = range(4)

pytestmark = pytest.mark.skipif(not compiler(), reason="no C compiler")


class Array(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p)]


class Compiled:
    """A program's C, to be called with arrays and so many bytes of scratch."""

    def __init__(self, program: Any, directory: Path, scratch: int = 0):
        self.scratch = np.zeros(scratch, np.uint8)
        self.source = arrayexpr.emit(program)
        path = directory / "kernel.so"
        command = [*compiler(), "-O1", "-fPIC", "-shared", "-x", "c", "-", "-o", str(path), "-lm"]
        subprocess.run(command, input=self.source, text=True, check=True)
        self.function = getattr(ctypes.CDLL(str(path)), program.name)

    def __call__(self, *arrays: Any) -> int:
        made = (Array * len(arrays))()
        keep = []
        for k, array in enumerate(arrays):
            shape, strides = (np.array(x, np.intp) for x in (array.shape, array.strides))
            keep += [shape, strides]
            made[k] = Array(array.ctypes.data, shape.ctypes.data, strides.ctypes.data)
        return int(self.function(made, ctypes.c_void_p(self.scratch.ctypes.data), 1))


def program(text: str, layouts: Mapping[str, Any] | None = None) -> Any:
    return arrayexpr.optimize(arrayexpr.parse(text), layouts, arrayexpr.Target())


def test_joined_loops_answer_for_their_layouts_alone(tmp_path: Path) -> None:
    text = "def k(a: float64[:, :], *, r: float64[:, :]):\n    r[...] = a * 2.0\n"
    a, r = np.random.default_rng(0).random((20, 30)), np.zeros((20, 30))
    made = program(text, {"a": a, "r": r})
    assert "600" in str(made)
    call = Compiled(made, tmp_path)
    assert call(a, r) == OK
    np.testing.assert_array_equal(r, a * 2)
    assert call(a[:19], r[:19]) == SHAPE
    assert call(a.T.copy().T, r) == SHAPE
    assert call(np.zeros((20, 60))[:, ::2], r) == SHAPE


def test_flipped_loops(tmp_path: Path) -> None:
    text = "def k(a: float64[:], b: float64[:], *, r: float64[:]):\n    r[...] = a + b\n"
    a, r, one = np.arange(9.0)[::-1], np.zeros(9)[::-1], np.ones(1)
    call = Compiled(program(text, {"a": a, "b": one, "r": r}), tmp_path)
    assert call(a, one, r) == OK
    np.testing.assert_array_equal(r, a + 1)
    assert call(a[::-1], one, r) == SHAPE


def test_tiles(tmp_path: Path) -> None:
    text = "def k(a: float64[:, ::1], b: float64[::1, :], *, r: float64[:, ::1]):\n    r[...] = a + b\n"
    made = program(text)
    assert "in block(" in str(made)
    call = Compiled(made, tmp_path)
    a, b, r = np.ones((70, 80)), np.ones((80, 70)).T, np.zeros((70, 80))
    assert call(a, b, r) == OK
    assert (r == 2).all()
    assert call(a[:69], b, r) == SHAPE
    assert call(a, b[:, :79], r) == SHAPE
    assert call(a[:1], b, r) == OK
    assert call(a, b, r[:1]) == SHAPE


@pytest.mark.parametrize(
    ("view", "length"),
    [("a[1:]", 8), ("a[:-2]", 9), ("a[::-1]", 7), ("a[1:6:2]", 8), ("a[None, 3]", 5), ("a[-2:]", 4)],
)
def test_views(view: str, length: int, tmp_path: Path) -> None:
    rank = expression(view, {"a": ("float64", 1)}).results[0].type.rank
    axes = ", ".join(":" * rank)
    call = Compiled(program(f"def k(a: float64[:], *, r: float64[{axes}]):\n    r[...] = {view} * 2.0\n"), tmp_path)
    a = np.arange(float(length))
    expected = eval(view, {"a": a}) * 2
    r = np.zeros_like(expected)
    assert call(a, r) == OK
    np.testing.assert_array_equal(r, expected)
    longer = np.zeros((2 * length,) * expected.ndim)
    # An index that stands still reads one element however long the result is.
    assert call(a, longer) == (OK if view == "a[None, 3]" else SHAPE)
    assert call(a[:0], r) == (SHAPE if r.size else OK)


def test_statements_whose_loops_have_one_index(tmp_path: Path) -> None:
    text = (
        "def k(a: float64[:], b: float64[:], *, r: float64[:], s: float64[:]):\n"
        "    r[...] = a * 2.0\n    s[...] = b * 3.0\n"
    )
    call = Compiled(program(text), tmp_path)
    a, b, r, s = np.ones(5), np.ones(7), np.zeros(5), np.zeros(7)
    assert call(a, b, r, s) == OK
    assert (r == 2).all() and (s == 3).all()
    assert call(a, b[:6], r, s) == SHAPE
    assert call(a[:4], b, r, s) == SHAPE


def test_stencil_in_place(tmp_path: Path) -> None:
    text = "def k(u: float64[:], s: float64):\n    u[1:-1] = u[1:-1] + s * (u[2:] - 2.0 * u[1:-1] + u[:-2])\n"
    made = arrayexpr.parse(text)
    call = Compiled(program(text), tmp_path, scratch=1 << 12)
    u = np.random.default_rng(0).random(20)
    expected = u.copy()
    arrayexpr.interpret(made, {"u": expected, "s": 0.1})
    assert call(u, np.array(0.1)) == OK
    np.testing.assert_array_equal(u, expected)
    assert call(u[:2], np.array(0.1)) == OK
    assert call(u[:1], np.array(0.1)) == OK


def test_what_is_stored_does_not_stretch(tmp_path: Path) -> None:
    text = "def k(a: float64[:], *, r: float64[:]):\n    a[...] = a * 2.0\n    r[...] = a\n"
    call = Compiled(program(text), tmp_path)
    a, r = np.ones(3), np.zeros(3)
    assert call(a, r) == OK and (r == 2).all()
    assert call(a[:1], r) == SHAPE


def test_what_is_contiguous_by_its_type_does_not_stretch(tmp_path: Path) -> None:
    text = "def k(a: float64[::1], b: float64[:], c: float64[::0], *, r: float64[::1]):\n    r[...] = a + b + c\n"
    call = Compiled(program(text), tmp_path)
    a, one, still, r = np.ones(3), np.ones(1), np.broadcast_to(np.ones(1), 3), np.zeros(3)
    assert call(a, one, still, r) == OK and (r == 3).all()
    assert call(one, a, still, r) == SHAPE


def test_layouts_that_do_not_fit_one_another() -> None:
    text = "def k(a: float64[:, :], b: float64[:], *, r: float64[:, :]):\n    r[...] = a + b\n"
    a = np.zeros((20, 30))
    with pytest.raises(arrayexpr.ShapeMismatch, match=r"r has shape \(20, 31\): expected \(20, 30\)|assignment"):
        program(text, {"a": a, "b": np.zeros(30), "r": np.zeros((20, 31))})
    with pytest.raises(arrayexpr.ShapeMismatch, match="add: shapes"):
        program(text, {"a": a, "b": np.zeros(29)})
    with pytest.raises(arrayexpr.ShapeMismatch, match=r"r has shape \(1, 30\): expected \(20, 30\)"):
        program(text, {"a": a, "b": np.zeros(30), "r": np.zeros((1, 30))})
