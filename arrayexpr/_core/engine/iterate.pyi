from collections.abc import Sequence
from typing import Any

from .dispatch import Region

class Moving:
    def __init__(
        self, region: Region, arrays: list[Any], shape: tuple[int, ...], starts: Sequence[int], moves: Sequence[int]
    ) -> None: ...
    @property
    def usable(self) -> bool: ...
    def run(self) -> None: ...

def iterate(phases: list[list[Moving]], count: int, index: Any, step: int) -> None: ...
