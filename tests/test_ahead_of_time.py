"""C for layouts that are unknown: a tree of guards over strides, each leaf of which gives the interpreter's results."""

from __future__ import annotations

import ctypes
import itertools
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import clone, lay_out, same
from test_emit_c import OK, OVERLAP, SHAPE, STRICT, build, compare

import arrayexpr
from arrayexpr import parse
from arrayexpr._core.engine.compiler import compiler
from arrayexpr._core.errors import ShapeMismatch, UnsupportedError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Constant, Guard, Node, Operand, Store
from arrayexpr._core.program import Program
from arrayexpr._core.types import INT64
from arrayexpr.target import Target

pytestmark = pytest.mark.skipif(not compiler(), reason="needs a C compiler")

TARGET = Target()
#: The native, aligned ones: what a caller of C has. `rows` are parts of longer ones, aligned to their elements only.
KINDS = ("C", "F", "permuted", "reversed", "stepped", "rows", "broadcast")


class Array(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p)]


class Linked:
    """The emitted C of a program, compiled as strict C99, to be called on arrays."""

    def __init__(self, program: Program, directory: Path):
        self.program = arrayexpr.optimize(program, target=TARGET)
        self.source = arrayexpr.emit(self.program)
        path = directory / f"{program.name}.so"
        command = [*compiler(), *STRICT, "-O2", "-fPIC", "-shared", "-x", "c", "-", "-o", str(path), "-lm"]
        done = subprocess.run(command, input=self.source, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        library = ctypes.CDLL(str(path))
        self.function = getattr(library, program.name)
        self.size = getattr(library, f"{program.name}_scratch")
        self.size.restype = ctypes.c_ssize_t

    def __call__(self, arrays: Sequence[np.ndarray]) -> int:
        made = (Array * len(arrays))()
        keep = []
        for k, array in enumerate(arrays):
            shape, strides = (np.array(x, np.intp) for x in (array.shape, array.strides))
            keep += [shape, strides]
            made[k] = Array(array.ctypes.data, shape.ctypes.data, strides.ctypes.data)
        size = int(self.size(made))
        room = np.full(size + 128, 0xEE, np.uint8)
        start = -room.ctypes.data % 64
        code = int(self.function(made, ctypes.c_void_p(room.ctypes.data + start), 1))
        assert (room[:start] == 0xEE).all() and (room[start + size :] == 0xEE).all(), "it wrote beyond its scratch"
        return code


#: Programs, the shape of each operand by letters that stand for lengths, and the bound on the error of results,
#: relative to them; of whole numbers sums and products are exact in any order.
PROGRAMS: dict[str, tuple[str, str, float]] = {
    "axpy": ("s: float64, a: float64[:, :], *, r: float64[:, :]", "r[...] = s * a + r", 0),
    "vector": ("a: float32[:], b: float32[:], *, r: float32[:]", "r[...] = a * b + a", 0),
    "triad": ("a: float64[:, :], b: float64[:, :], c: float64[:, :], *, r: float64[:, :]", "r[...] = a * b + c", 0),
    "narrow": ("a: int8[:, :], b: int16[:, :], *, r: int32[:, :]", "r[...] = cast(a, int32) * cast(b, int32)", 0),
    "turned": ("a: float64[:, :], b: float64[:, :], *, r: float64[:, :]", "r[...] = a + b.transpose(1, 0)", 0),
    "row": ("a: complex128[:, :], v: complex128[:], *, r: complex128[:, :]", "r[...] = a + v", 0),
    "views": ("a: float64[:, :], *, r: float64[:, :]", "r[...] = a[::-1, :] - a[:, ::-1]", 0),
    "cube": ("a: float64[:, :, :], b: float64[:, :, :], *, r: float64[:, :, :]", "r[...] = a * b", 0),
    "rotated": (
        "a: float64[:, :, :], b: float64[:, :, :], *, r: float64[:, :, :]",
        "r[...] = a - b.transpose(0, 2, 1)",
        0,
    ),
    "in_place": ("a: float64[:, :], b: float64[:, :]", "a[...] = a.transpose(1, 0) + b", 0),
    "math": ("a: float64[:, :], *, r: float64[:, :]", "r[...] = exp(a) * a", 1e-14),
    "choice": ("a: float64[:, :], *, r: float64[:, :]", "r[...] = where(a > 1.0, exp(a), a)", 1e-14),
    "rows": ("a: float64[:, :], *, r: float64[:]", "r[...] = reduce(add, a * a, (1,))", 0),
    "columns": ("a: float64[:, :], b: float64[:, :], *, r: float64[:]", "r[...] = reduce(add, a * b, (0,))", 0),
    "whole": (
        "a: float64[:, :], b: float64[:, :], *, r: float64",
        "r[...] = reduce(add, a * b.transpose(1, 0), (0, 1))",
        0,
    ),
    "extremes": (
        "a: float32[:, :], *, r: float32[:, :]",
        "r[...] = reduce(maximum, a, (1,), keepdims=True) - reduce(minimum, a, (1,), keepdims=True)",
        0,
    ),
    "counts": ("a: int8[:, :], *, r: int64[:]", "r[...] = reduce(add, cast(a, int64), (1,)) * int64(2)", 0),
    "middle": ("a: float64[:, :, :], *, r: float64[:, :]", "r[...] = reduce(add, a, (1,))", 0),
    "softmax": (
        "a: float64[:, :], *, r: float64[:, :]",
        "r[...] = exp(a - reduce(maximum, a, (1,), keepdims=True))"
        " / reduce(add, exp(a - reduce(maximum, a, (1,), keepdims=True)), (1,), keepdims=True)",
        1e-13,
    ),
    "apart": ("a: float64[:, :], v: float64[:], *, r: float64[:, :]", "r[...] = a * reduce(add, v, (0,))", 0),
    "nested": ("a: float64[:, :], *, r: float64", "r[...] = reduce(maximum, reduce(add, a, (1,)), (0,))", 0),
    "both_ways": (
        "a: float64[:, :], *, r: float64[:, :]",
        "r[...] = a - reduce(add, a, (0,), keepdims=True) - reduce(add, a, (1,), keepdims=True)",
        0,
    ),
    "own_rows": ("a: float64[:, :]", "a[0, :] = reduce(add, a, (1,))", 0),
}  # fmt: skip
#: Lengths that differ along with the letter of the operand's axes; square where nothing is said.
SHAPES = {
    "triad": ("nm", "nm", "nm", "nm"),
    "vector": ("n", "n", "n"),
    "axpy": ("", "nm", "nm"),
    "narrow": ("nm", "nm", "nm"),
    "turned": ("nm", "mn", "nm"),
    "row": ("nm", "m", "nm"),
    "cube": ("nmk", "nmk", "nmk"),
    "rotated": ("nmk", "nkm", "nmk"),
    "math": ("nm", "nm"),
    "choice": ("nm", "nm"),
    "rows": ("nm", "n"),
    "columns": ("nm", "nm", "m"),
    "whole": ("nm", "mn", ""),
    "extremes": ("nm", "n1"),
    "counts": ("nm", "n"),
    "middle": ("nmk", "nk"),
    "softmax": ("nm", "nm"),
    "apart": ("nm", "k", "nm"),
    "nested": ("nm", ""),
    "both_ways": ("nm", "nm"),
}


def program(name: str) -> Program:
    declared, statement, _ = PROGRAMS[name]
    return parse(f"def kernel_{name}({declared}):\n    {statement}\n")


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[str, Linked] = {}
    directory = tmp_path_factory.mktemp("linked")

    def get(name: str) -> Linked:
        if name not in made:
            made[name] = Linked(program(name), directory)
        return made[name]

    return get


def laid_out(array: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    if kind != "rows" or not array.ndim:
        return lay_out(array, kind, rng)
    room = np.zeros((*array.shape[:-1], array.shape[-1] + 3), array.dtype)
    room[..., 1:-2] = array
    return room[..., 1:-2]


def arrays_for(
    name: str, lengths: Mapping[str, int], kinds: Sequence[str], rng: np.random.Generator, stretch: bool
) -> Any:
    """Whole numbers in arrays of the program's shapes; where `stretch`, some inputs have lengths of 1."""
    source = program(name)
    letters = SHAPES.get(name, ["nn"] * len(source.declared))
    made = {}
    for operand, axes, kind in zip(source.declared, letters, kinds, strict=False):
        shape = [1 if axis == "1" else lengths[axis] for axis in axes]
        stored = operand in source.results or operand.name == source.declared[0].name and not source.results
        if stretch and not stored and name in ("triad", "narrow", "turned", "row", "cube", "axpy"):
            shape = [1 if rng.random() < 0.4 else n for n in shape]
        values = np.asarray(rng.integers(-4, 5, shape)).astype(operand.type.element.dtype)
        if stored and kind == "broadcast":
            kind = "C"
        made[operand.name] = laid_out(values, kind, rng)
    return made


def check(kernel: Linked, source: Program, arrays: dict[str, np.ndarray], bound: float) -> int:
    """The kernel's answer, after comparing what it left in the arrays with the interpreter's results."""
    expected = clone(arrays)
    try:
        with np.errstate(all="ignore"):
            interpret(source, expected)
    except ShapeMismatch:
        before = clone(arrays)
        assert kernel(list(arrays.values())) == SHAPE
        assert all(same(arrays[name], before[name]) for name in arrays)
        return SHAPE
    code = kernel(list(arrays.values()))
    assert code == OK
    for name, array in arrays.items():
        shown = {n: (a.shape, a.strides) for n, a in arrays.items()}
        if bound:
            np.testing.assert_allclose(array, expected[name], rtol=bound, atol=bound, err_msg=str(shown))
        else:
            # Of what is 0 the sign follows from the order of a sum.
            assert same(array + 0, expected[name] + 0), f"{name} of {shown}"
    return code


@settings(max_examples=40)
@given(data=st.data())
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_layout(name: str, linked: Any, data: Any) -> None:
    """Arrays of all layouts and lengths, 0 and 1 among them, and inputs that are stretched."""
    source = program(name)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    lengths = {letter: data.draw(st.sampled_from([0, 1, 2, 3, 7, 33, 70]), letter) for letter in "nmk"}
    if len(SHAPES.get(name, ("",))[0]) == 3:
        lengths = {letter: min(n, 7) for letter, n in lengths.items()}
    kind = st.sampled_from(KINDS)
    if data.draw(st.booleans(), "alike"):
        kinds = [data.draw(kind)] * len(source.declared)
    else:
        kinds = [data.draw(kind) for _ in source.declared]
    arrays = arrays_for(name, lengths, kinds, rng, data.draw(st.booleans(), "stretch"))
    if name == "own_rows" and lengths["n"] == 0:
        # There is no row 0.
        assert linked(name)(list(arrays.values())) == SHAPE
        return
    check(linked(name), source, arrays, PROGRAMS[name][2])


# -- The leaves ---------------------------------------------------------------------------------


def numbered(source: Program) -> tuple[Program, list[Node]]:
    """The program with the number of each leaf of its guards stored in place of what the leaf does."""
    marker = Operand("leaf", INT64.array(0))
    leaves: list[Node] = []

    def visit(statements: Sequence[Node]) -> tuple[Node, ...]:
        if len(statements) == 1 and isinstance(statements[0], Guard):
            guard = statements[0]
            return (Guard(guard.condition, visit(guard.then), visit(guard.otherwise)),)
        leaves.append(statements[0])
        return (Store(marker, (), Constant(len(leaves) - 1, INT64)),)

    statements = visit(source.statements)
    return Program(source.name, source.declared, statements, [marker]), leaves


def leaf_of(source: Program, arrays: Mapping[str, np.ndarray]) -> int:
    return int(interpret(numbered(source)[0], {**arrays, "leaf": np.zeros((), np.int64)})["leaf"])


@pytest.mark.parametrize("name", ["triad", "turned", "cube", "row", "narrow", "math"])
def test_every_leaf_is_reached(name: str, linked: Any) -> None:
    """By layouts that people have; C gives the right results in each."""
    kernel = linked(name)
    _, leaves = numbered(kernel.program)
    assert len(leaves) == 6
    rng = np.random.default_rng(0)
    lengths = {"n": 20, "m": 33, "k": 6}
    reached = set()
    count = len(program(name).declared)
    for kinds in itertools.product(["C", "F"], repeat=count):
        arrays = arrays_for(name, lengths, kinds, rng, False)
        reached.add(leaf_of(kernel.program, arrays))
        check(kernel, program(name), arrays, PROGRAMS[name][2])
    step = {
        x.name: np.zeros([2 * n for n in a.shape], a.dtype)[(slice(None, None, 2),) * a.ndim]
        for x, a in zip(
            program(name).declared, arrays_for(name, lengths, ["C"] * count, rng, False).values(), strict=True
        )
    }
    fortran = {name: np.asfortranarray(np.zeros([2 * n for n in a.shape], a.dtype))[(slice(None, None, 2),) * a.ndim]
               for name, a in step.items()}  # fmt: skip
    for arrays in (step, fortran):
        reached.add(leaf_of(kernel.program, arrays))
        check(kernel, program(name), arrays, PROGRAMS[name][2])
    assert reached == set(range(6))


def test_what_lies_as_one_is_walked_by_one_loop() -> None:
    """Contiguous in either order: the outer loop runs once. Parts of longer rows do not."""
    scheduled = arrayexpr.optimize(program("triad"), target=TARGET)
    tree, leaves = numbered(scheduled)
    a = np.zeros((4, 6))

    def outermost(x: np.ndarray) -> int:
        arrays = dict.fromkeys("abcr", x)
        leaf = leaves[leaf_of(scheduled, arrays)]
        count = Operand("count", INT64.array(0))
        told = Program("count", scheduled.declared, [Store(count, (), leaf.stop)], [count])  # type: ignore[attr-defined]
        return int(interpret(told, {**arrays, "count": np.zeros((), np.int64)})["count"])

    assert outermost(a) == outermost(a.T) == outermost(np.zeros((4, 12))[:, ::2]) == 1
    assert outermost(np.zeros((4, 7))[:, :6]) == 4
    assert outermost(np.zeros((4, 7))[:, :6].T) == 4
    del tree


def test_large_programs_have_two_versions_a_nest() -> None:
    """The code of a program grows with its statements, not with statements times six."""
    lines = "".join(f"    r{k}[...] = a{k} * b + a{(k + 1) % 40} * c - {k}.0\n" for k in range(40))
    operands = ", ".join([*(f"a{k}: float64[:, :]" for k in range(40)), "b: float64[:, :]", "c: float64[:, :]"])
    results = ", ".join(f"r{k}: float64[:, :]" for k in range(40))
    large = arrayexpr.optimize(parse(f"def f({operands}, *, {results}):\n{lines}"), target=TARGET)
    for statement in large.statements:
        assert isinstance(statement, Guard)
        assert not any(isinstance(s, Guard) for s in (*statement.then, *statement.otherwise))


def test_in_threads_the_outermost_loop_keeps_its_length() -> None:
    scheduled = arrayexpr.optimize(program("triad"), target=Target(cores=4))
    assert "in parallel(0, r.shape[0], 1)" in str(scheduled) and "parallel(0, where" not in str(scheduled)


# -- Whole programs -----------------------------------------------------------------------------


def test_a_program_of_several_statements_is_linked_into_c(tmp_path: Path) -> None:
    """Normalised rows, their sums and a total, as strict C99 and with a C main."""
    source = parse(
        "def normalise(a: float64[:, :], w: float64[:], *, r: float64[:, :], s: float64[:], t: float64):\n"
        "    s[...] = reduce(add, a * w, (1,))\n"
        "    r[...] = a * 2.0 - reduce(maximum, a, (1,), keepdims=True)\n"
        "    t[...] = reduce(add, r * r, (0, 1)) + reduce(maximum, s, (0,))\n"
    )
    binary = build(source, tmp_path)
    rng = np.random.default_rng(0)
    for kind in ("C", "F", "stepped", "reversed"):
        arrays = {
            "a": lay_out(rng.integers(-9, 9, (13, 21)) * 1.0, kind, rng),
            "w": lay_out(rng.integers(-9, 9, 21) * 1.0, kind, rng),
            "r": lay_out(np.zeros((13, 21)), kind, rng),
            "s": lay_out(np.zeros(13), kind, rng),
            "t": np.zeros(()),
        }
        assert compare(binary, source, arrays)[0] == OK


def test_reductions_check_shapes_and_overlap(linked: Any) -> None:
    rows, columns = linked("rows"), linked("columns")
    a = np.ones((4, 5))
    assert rows([a, np.zeros(4)]) == OK
    assert rows([a, np.zeros(5)]) == rows([a, np.zeros(3)]) == SHAPE
    assert columns([a, np.ones((4, 6)), np.zeros(5)]) == columns([a, np.ones((3, 5)), np.zeros(5)]) == SHAPE
    # One of the two is stretched along what is reduced.
    r = np.zeros(5)
    assert columns([a, np.full((1, 5), 3.0), r]) == OK and (r == 12).all()
    assert rows([a, a[:, 0]]) == rows([a, a[0, :4]]) == OVERLAP
    assert linked("extremes")([np.ones((3, 0), "f4"), np.zeros((3, 1), "f4")]) == SHAPE
    assert linked("extremes")([np.ones((0, 3), "f4"), np.zeros((0, 1), "f4")]) == OK
    assert linked("rows")([np.ones((3, 0)), r[:3]]) == OK and (r[:3] == 0).all()


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("r[...] = cast(reduce(argmax, a[:, None] + a, (0, 1)), float64)", "reduce"),
        ('r[...] = opaque("g", a, type=float64[:])', "opaque"),
    ],
)
def test_what_has_no_c_form_is_named(text: str, culprit: str) -> None:
    result = "r: float64[:]" if culprit == "opaque" else "r: float64"
    with pytest.raises(UnsupportedError, match=f"(?i){culprit}"):
        arrayexpr.emit(parse(f"def f(a: float64[:], *, {result}):\n    {text}\n"))
