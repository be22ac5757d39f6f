"""C that emitted kernels and the block engine share, each text in one header here, so that both give the same bits."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from ..ops import Operator
from ..types import ElementType

_HERE = Path(__file__).parent


@functools.cache
def text(name: str) -> str:
    """The text of a header of this directory.

    >>> "ARRAYEXPR_FOLD(" in text("fold.h")
    True
    """
    return (_HERE / name).read_text()


@functools.cache
def _folds() -> dict[str, str]:
    rows = re.findall(r"^ARRAYEXPR_FOLD_OF\((\w+), (\w+), (.*)\)$", text("fold_list.h"), re.MULTILINE)
    return {f"{op}_{element}": rest for op, element, rest in rows}


def fold(op: Operator, element: ElementType) -> str | None:
    """The macro call that defines the fold of an operator over an element type; None where there is none."""
    name = f"{op.name}_{element.name}"
    rest = _folds().get(name)
    return None if rest is None else f"ARRAYEXPR_FOLD({name}, {rest})"


#: Operators that find a place, by the fold that finds what is there.
EXTREME_AT = {"argmin": "minimum", "argmax": "maximum"}


def reduces(op: Operator, of: ElementType, result: ElementType, axes: int) -> bool:
    """Whether sweeps compute a reduction of so many axes: by a fold, or of one axis as a place, by that of values."""
    if op.name in EXTREME_AT:
        return axes == 1 and f"{EXTREME_AT[op.name]}_{of.name}" in _folds()
    return axes > 0 and fold(op, result) is not None


def identity(op: Operator, element: ElementType) -> str:
    """The C of the value that a fold starts from."""
    return _folds()[f"{op.name}_{element.name}"].split(", ", 2)[2].rpartition(", ")[0]
