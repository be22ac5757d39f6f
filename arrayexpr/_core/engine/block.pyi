"""Types of the block engine for users of mypy and of editors; the meaning is in block.pyx."""

from ..ops import Operator
from ..program import Program
from ..types import ElementType

STRIP_BYTES: int
MAX_STRIP: int

class Tape:
    @property
    def arena(self) -> int: ...

def translate(program: Program) -> Tape: ...
def find_loop(op: Operator, t: ElementType) -> tuple[int, int, int]: ...
