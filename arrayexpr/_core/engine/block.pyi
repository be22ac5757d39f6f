"""Types of the block engine for users of mypy and of editors; the meaning is in block.pyx."""

from typing import Any

import numpy as np

from ..ops import Operator
from ..program import Program
from ..types import ElementType

STRIPS: dict[int, int]
STRIP: int

class Tape:
    def __call__(self, *arrays: np.ndarray[Any, Any]) -> int: ...
    @property
    def arena(self) -> int: ...

def translate(program: Program) -> Tape: ...
def find_loop(op: Operator, t: ElementType, vector_math: bool = False) -> tuple[int, int, int]: ...
