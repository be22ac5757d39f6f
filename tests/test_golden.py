"""Every golden file, and the runner itself."""

from __future__ import annotations

from pathlib import Path

import golden
import pytest

from arrayexpr._core.errors import VerifyError
from arrayexpr._core.nodes import Apply, transform
from arrayexpr._core.ops import operator
from arrayexpr._core.program import Program

KNOWN = {"identity": golden.identity}


@pytest.mark.parametrize("path", golden.files(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden(path: Path, update_golden: bool) -> None:
    golden.run(path, known=KNOWN, update=update_golden)


# -- The runner --


def swap(program: Program, *, names: tuple[str, str] = ("add", "multiply")) -> Program:
    """a + b becomes a * b: not what it says."""
    before, after = map(operator, names)

    def leaf(node):  # type: ignore[no-untyped-def]
        return Apply(after, node.args) if isinstance(node, Apply) and node.op is before else None

    new = transform(program.statements, leaf)
    return program.rewritten([new[s] for s in program.statements], new)


def turn(program: Program) -> Program:
    """a + b becomes b + a: that is what it says."""
    add = operator("add")

    def leaf(node):  # type: ignore[no-untyped-def]
        return Apply(add, node.args[::-1]) if isinstance(node, Apply) and node.op is add else None

    new = transform(program.statements, leaf)
    return program.rewritten([new[s] for s in program.statements], new)


def refuse(program: Program) -> Program:
    raise VerifyError("refused: expected another program")


PASSES = {"identity": golden.identity, "swap": swap, "turn": turn, "refuse": refuse}
BEFORE = "def f(a: float64[:, :], b: float64[:], *, r: float64[:, :]):\n    r[...] = a + b\n"


def write(folder: Path, text: str, name: str = "identity") -> Path:
    path = folder / name / "case.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_the_folder_names_the_pass(tmp_path: Path) -> None:
    golden.run(write(tmp_path, f"{BEFORE}// -----\n{BEFORE}"), PASSES)
    after = BEFORE.replace("a + b", "b + a")
    golden.run(write(tmp_path, f"{BEFORE}// -----\n{after}", "turn"), PASSES)


def test_another_text_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="expected"):
        golden.run(write(tmp_path, f"{BEFORE}// -----\n{BEFORE}", "turn"), PASSES)


def test_another_meaning_fails_with_the_right_text(tmp_path: Path) -> None:
    after = BEFORE.replace("a + b", "a * b")
    with pytest.raises(AssertionError, match="r of a .* differs"):
        golden.run(write(tmp_path, f"# passes: swap\n{BEFORE}// -----\n{after}"), PASSES)
    there_and_back = "swap(names=('add', 'multiply')), swap(names=('multiply', 'add'))"
    path = write(tmp_path, f"# passes: {there_and_back}\n{BEFORE}// -----\n{BEFORE}")
    golden.run(path, PASSES)


def test_update_rewrites_the_output_and_keeps_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path, f"# Why.\n# passes: turn\n{BEFORE}")
    golden.run(path, PASSES, update=True)
    assert path.read_text() == f"# Why.\n# passes: turn\n{BEFORE}// -----\n{BEFORE.replace('a + b', 'b + a')}"
    golden.run(path, PASSES)


def test_a_refusal_is_an_output(tmp_path: Path) -> None:
    path = write(tmp_path, f"# passes: refuse\n{BEFORE}// -----\nerror: refused: expected another program\n")
    golden.run(path, PASSES)
    path = write(tmp_path, "def f(:\n")
    golden.run(path, PASSES, update=True)
    assert "error: invalid syntax (line 1, column 7)" in path.read_text()
    golden.run(path, PASSES)


def test_shapes_that_never_fit_are_said(tmp_path: Path) -> None:
    text = "def f(a: float64[:], *, r: float64[:]):\n    r[...] = a[2:] + a[:5]\n"
    golden.run(write(tmp_path, f"# shapes: a=(7,)\n{text}// -----\n{text}"), PASSES)
    with pytest.raises(AssertionError, match="# shapes:"):
        golden.run(write(tmp_path, f"# shapes: a=(11,)\n{text}// -----\n{text}"), PASSES)


def test_effects_must_keep_their_order(tmp_path: Path) -> None:
    text = (
        "def f(a: float64[:], *, r: float64[:]):\n"
        '    r[...] = side_effect(opaque("g", a, type=float64[:])) + side_effect(opaque("h", a, type=float64[:]))\n'
    )
    golden.run(write(tmp_path, f"{text}// -----\n{text}"), PASSES)
    swapped = text.replace('"g"', '"i"').replace('"h"', '"g"').replace('"i"', '"h"')
    with pytest.raises(AssertionError):
        golden.check_meaning(golden.parse(text), golden.parse(swapped))
