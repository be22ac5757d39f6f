"""Types of the call path for users of mypy and of editors; the meaning is in dispatch.pyx."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..program import Program

MAX_CODES: int

class Code:
    rank: int
    tiled: int
    library: Any
    program: Program
    source: str
    def __init__(self, address: int, rank: int, tiled: int, library: Any, program: Program, source: str) -> None: ...

class Region:
    count: int
    codes: dict[bytes, Code | None]
    expression: Any
    def __init__(
        self,
        expression: Any,
        itemsizes: list[int],
        build: Callable[[bytes], Code | None],
        *,
        tile_bytes: int,
        threads: int,
        raises: str = "",
    ) -> None: ...
    def decide(self, streams: list[np.ndarray[Any, Any]]) -> Code | None: ...
    def execute(self, streams: list[np.ndarray[Any, Any]]) -> bool: ...

class Recipe:
    region: Region
    given: int
    operands: int
    def __init__(
        self,
        region: Region,
        descrs: list[Any],
        ranks: list[int],
        sources: list[int],
        limits: list[tuple[int, int]],
        given: int,
    ) -> None: ...

class Entry:
    @staticmethod
    def of(recipe: Recipe, arrays: list[Any], streams: list[Any], allocates: bool) -> Entry: ...

class Kernel:
    __name__: str
    __wrapped__: Callable[..., Any]
    compiled: Any
    traced: Any
    def __init__(self, resolve: Callable[..., Any] | None, name: str) -> None: ...
    def __call__(self, *arrays: Any, out: Any = None, **named: Any) -> Any: ...
    def add(self, recipe: Recipe) -> None: ...
    def remember(self, entry: Entry) -> None: ...

def allocate_like(inputs: list[Any], shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]: ...
def walks_itself(array: Any) -> bool: ...
