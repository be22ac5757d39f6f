from typing import Any

from .dispatch import Operands, Region, Remembered
from .iterate import Repeat

class Chain(Remembered):
    @property
    def scratch(self) -> int: ...
    @property
    def wavefronts(self) -> list[int]: ...
    def __init__(
        self,
        declared: Operands,
        arrays: list[Any],
        steps: list[tuple[Region, list[Any], tuple[int, ...], list[Any]] | tuple[Repeat, int, list[Any]]],
        allocates: bool,
        watched: list[tuple[int, int]],
        fixed: list[int],
        caches: tuple[int, int],
    ) -> None: ...
