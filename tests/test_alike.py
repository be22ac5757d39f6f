"""Many statements that are alike: one of each form is scheduled, with the result that scheduling them all has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import clone
from test_emit_c import CC, OK, build, call

from arrayexpr._core.alike import form_of
from arrayexpr._core.driver import Step, run
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Index, Scratch, visited
from arrayexpr._core.parser import parse
from arrayexpr._core.printer import show
from arrayexpr._core.program import Program
from arrayexpr._core.verify import verify

COUNT = 66
PLAIN = ["-std=c99", "-O0", "-fwrapv", "-ffp-contract=off"]

#: Per shape of program the operands, a statement for each number, and what is given back.
SHAPES: dict[str, tuple[str, str, str]] = {
    "numbers": ("a: float64[:], b: float64[:]", "r{k}[...] = a * {k}.0 + b / {k}.5", "r{k}: float64[:]"),
    "pairs": ("a: float64[:, :], b: float64[:, :]", "r{k}[...] = sqrt(a + {k}.25) * b", "r{k}: float64[:, :]"),
    "windows": ("a: float64[:, :]", "r{k}[...] = a[:-2, 1:-1] + a[2:, 1:-1] * {k}.0", "r{k}: float64[:, :]"),
    "sums": (
        "a: float64[:, :], b: float64[:, :]",
        "r{k}[...] = reduce(add, (a + {k}.0) * b, (1,))",
        "r{k}: float64[:]",
    ),
    "exponentials": ("a: float64[:]", "r{k}[...] = exp(a * 0.01) + {k}.0", "r{k}: float64[:]"),
    "columns": ("a: float64[:, :]", "r{k}[...] = a.T * {k}.0 + a", "r{k}: float64[:, :]"),
    "steps": ("a: float64[:]", "a[1:] = a[:-1] * 0.5 + {k}.0", ""),
    "totals": ("a: float64[:]", "r{k}[...] = a * {k}.0 - reduce(add, a * {k}.0, (0,))", "r{k}: float64[:]"),
}


def program_of(shape: str, count: int = COUNT, names: dict[str, str] | None = None) -> Program:
    """A program of so many statements; `names` are other names for operands."""
    operands, statement, result = SHAPES[shape]
    results = ", ".join(result.format(k=k) for k in range(count)) if result else ""
    lines = "\n".join("    " + statement.format(k=k + 1).replace(f"r{k + 1}[", f"r{k}[") for k in range(count))
    text = f"def f({operands}{', *, ' + results if results else ''}):\n{lines}\n"
    for before, now in (names or {}).items():
        text = re.sub(rf"\b{before}\b", now, text)
    return parse(text)


def whole(program: Program) -> Program:
    """The program after all passes, each over all of it."""
    steps: list[Step] = []
    return run(program, steps=steps)


def structure(program: Program) -> list[str]:
    """The text of each statement without the names of what a program declares itself."""
    given = {operand.name for operand in program.declared}
    inner = {n.name for n in program.nodes() if isinstance(n, Index)}
    inner |= {n.operand.name for n in program.nodes() if isinstance(n, Scratch)}
    assert not inner & given
    word = re.compile("|".join(sorted(map(re.escape, inner), key=len, reverse=True)) or "$.")
    return [re.sub(r"\w+", lambda f: "own" if word.fullmatch(f[0]) else f[0], show(s)) for s in program.statements]


def arrays_for(program: Program) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {operand.name: rng.uniform(0.5, 1.5, (6,) * operand.type.rank) for operand in program.operands}


@pytest.mark.parametrize("shape", SHAPES)
def test_same_schedule(shape: str) -> None:
    program = program_of(shape)
    one, each = run(program), whole(program)
    assert structure(one) == structure(each)
    assert set(map(str, one.requires)) == set(map(str, each.requires))


@pytest.mark.parametrize("shape", SHAPES)
def test_same_meaning(shape: str) -> None:
    program = program_of(shape)
    arrays = arrays_for(program)
    storage = {o.name: np.full(interpret(program, clone(arrays))[o.name].shape, np.nan) for o in program.results[:1]}
    expected, found = ({**clone(arrays), **{o.name: storage["r0"].copy() for o in program.results}} for _ in range(2))
    interpret(program, expected)
    interpret(run(program), found)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-14, err_msg=name)


@pytest.mark.skipif(CC is None, reason="needs a C compiler")
@pytest.mark.parametrize("shape", ("totals", "steps"))
def test_same_values_in_c(shape: str, tmp_path: Path) -> None:
    program = program_of(shape)
    arrays = arrays_for(program)
    expected = clone(arrays)
    expected.update(interpret(program, expected))
    compiled = clone(arrays)
    compiled.update({o.name: np.full_like(expected[o.name], np.nan) for o in program.results})
    code, _ = call(build(program, tmp_path, flags=PLAIN), program, compiled)
    assert code == OK
    for name, value in expected.items():
        np.testing.assert_allclose(compiled[name], value, rtol=1e-14, err_msg=name)


@pytest.mark.parametrize("shape", ("totals", "sums", "columns"))
def test_names_that_are_taken(shape: str) -> None:
    # The names that loops and scratch would have.
    taken = {"a": "i0", "b": "s", "r1": "i1", "r2": "t", "r3": "t0", "r4": "s_", "r5": "i0_0", "r6": "i0_t"}
    program = program_of(shape, names=taken)
    one, each = run(program), whole(program)
    verify(one)
    assert structure(one) == structure(each)


def test_numbers_that_a_pass_looks_at_tell_forms_apart() -> None:
    one, other = parse(
        "def f(a: float64[:], *, r: float64[:], s: float64[:]):\n"
        "    r[...] = logaddexp(a, 0.0)\n    s[...] = logaddexp(a, -1.0)\n"
    ).statements
    assert form_of(one)[0] is not form_of(other)[0]


def test_equal_numbers_are_another_form_than_two() -> None:
    one, other = parse(
        "def f(a: float64[:], *, r: float64[:], s: float64[:]):\n"
        "    r[...] = (a + 2.0) * 2.0\n    s[...] = (a + 2.0) * 3.0\n"
    ).statements
    assert form_of(one)[0] is not form_of(other)[0]


def test_one_of_a_form_is_scheduled() -> None:
    # What is made new by a pass counts, for one statement as for a hundred.
    few, many = (visits(program_of("pairs", count)) for count in (70, 700))
    assert many < 20 * few


def visits(program: Program) -> int:
    before = visited()
    run(program)
    return visited() - before
