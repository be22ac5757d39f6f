"""What `explain` says of functions that Numba compiles: numba_explained.txt has them, and what is said of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

numba = pytest.importorskip("numba")

import numpy as np  # noqa: E402
from numba.core.compiler_machinery import FunctionPass, register_pass  # noqa: E402

from arrayexpr.adapters.numba import Compiler, pipeline  # noqa: E402

PATH = Path(__file__).parent / "numba_explained.txt"
LINE, CASE = "// -----\n", "// =====\n"


def cases() -> list[tuple[str, str]]:
    """Each function, and what is said of it."""
    found = []
    for text in PATH.read_text().split(CASE):
        before, _, after = text.partition(LINE)
        found.append((before, after))
    return found


@register_pass(mutates_CFG=False, analysis_only=True)
class _Told(FunctionPass):  # type: ignore[misc]
    """Ends a compile when our passes are done: no code is needed."""

    _name = "arrayexpr_told"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        raise _Done(state.metadata.get("arrayexpr", ()))


class _Done(Exception):
    pass


class _Compiler(Compiler):
    def define_pipelines(self) -> list[Any]:
        (made,) = super().define_pipelines()
        made.add_pass_after(_Told, pipeline.ArrayLoops)
        made.finalize()
        return [made]


def told(text: str) -> str:
    """What is said of a function: its text begins with a line of the types of its arguments, and maybe flags."""
    first, _, _ = text.partition("\n")
    signature, _, flags = first.removeprefix("# ").partition("; ")
    space: dict[str, Any] = {"np": np, "numba": numba, "prange": numba.prange}
    exec(compile(text, "<text>", "exec"), space)
    function = numba.njit(pipeline_class=_Compiler, **eval(f"dict({flags})"))(space["f"])
    with pytest.raises(_Done) as said:
        function.compile(f"({signature})")
    return "".join(f"line {line}: {what}\n" for line, what in said.value.args[0])


@pytest.mark.parametrize("number", range(len(cases())))
def test_explain_names_what_was_done_and_why(number: int, update_golden: bool) -> None:
    found = cases()
    before, after = found[number]
    said = told(before)
    if update_golden:
        found[number] = before, said
        PATH.write_text(CASE.join(f"{before}{LINE}{after}" for before, after in found))
    else:
        assert said == after
