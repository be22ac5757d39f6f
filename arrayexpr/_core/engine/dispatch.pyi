"""Types of the call path for users of mypy and of editors; the meaning is in dispatch.pyx."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..program import Program
from .block import Tape

MAX_CODES: int
LARGE: int
MAX_TILE: int

class Code:
    rank: int
    tiled: int
    tape: Tape | None
    library: Any
    program: Program
    request: Any
    worked: float
    tile: int
    element_ns: float
    def __init__(
        self,
        rank: int,
        tiled: int,
        program: Program,
        emit: Callable[[Program], str],
        tape: Tape | None = None,
        cost: float = 1,
        *,
        tile: int = 64,
    ) -> None: ...
    def adopt(self, address: int, library: Any, scratch: int = 0) -> None: ...
    @property
    def compiled(self) -> bool: ...
    @property
    def source(self) -> str: ...

class Region:
    count: int
    build: Any
    def decided(self) -> tuple[bytes, list[int], list[list[int]]] | None: ...
    outputs: int
    reduced: tuple[int, ...]
    codes: dict[bytes, Code | None]
    expression: Any
    divided: tuple[()] | tuple[Region, Region, tuple[int, ...], tuple[int, ...]]
    def __init__(
        self,
        expression: Any,
        itemsizes: list[int],
        build: Callable[[bytes], Code | None],
        *,
        tile_bytes: int,
        stream_bytes: int = ...,
        threads: int,
        work: float = 0,
        raises: str = "",
        outputs: int = 1,
        reduced: tuple[int, ...] = (),
        hoisted: bytes = b"",
        divide: Callable[[], tuple[Region, Region, tuple[int, ...], tuple[int, ...]]] | None = None,
        places: bytes = b"",
    ) -> None: ...
    def decide(self, streams: list[np.ndarray[Any, Any]], shape: tuple[int, ...] | None = None) -> Code | None: ...
    def execute(
        self,
        streams: list[np.ndarray[Any, Any]],
        overlaps: Callable[[Any, Any], bool],
        shape: tuple[int, ...] | None = None,
    ) -> int: ...

class Operands:
    given: int
    operands: int
    def __init__(self, descrs: list[Any], ranks: list[int], limits: list[tuple[int, int]], given: int) -> None: ...

class Recipe(Operands):
    region: Region
    def __init__(
        self,
        region: Region,
        descrs: list[Any],
        ranks: list[int],
        sources: list[int],
        limits: list[tuple[int, int]],
        given: int,
    ) -> None: ...

class Remembered:
    def runs(self) -> bool: ...

class Entry(Remembered):
    @staticmethod
    def of(recipe: Recipe, arrays: list[Any], streams: list[Any], shape: tuple[int, ...], allocates: bool) -> Entry: ...

class Kernel:
    __name__: str
    __wrapped__: Callable[..., Any]
    compiled: Any
    traced: Any
    def __init__(self, resolve: Callable[..., Any] | None, name: str) -> None: ...
    def __call__(self, *arrays: Any, out: Any = None, **named: Any) -> Any: ...
    def wait(self) -> bool: ...
    def add(self, recipe: Recipe) -> None: ...
    def remember(self, entry: Remembered) -> None: ...

def allocate_like(inputs: list[Any], shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]: ...
def last_overlap() -> tuple[str, int]: ...
def walks_itself(array: Any) -> bool: ...
