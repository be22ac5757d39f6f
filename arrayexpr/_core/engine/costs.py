"""What the cost model says of the schedule that a region was given."""

from __future__ import annotations

import math

from ..cost import estimate
from ..layout import Layout
from ..nodes import Pack
from ..passes.cross import cross
from ..passes.nests import enclosed
from ..program import Program
from .dispatch import LARGE, MAX_TILE, Code, Region

#: The classes of a packed stream in a key, of a strided one, and of one that is contiguous across rows.
_PACKED, _STRIDED, _ACROSS = (4, 9), 2, 8


def described(region: Region, code: Code) -> list[str]:
    """A line on what a region's last layouts cost by its code, and one on what was chosen and why."""
    found = region.decided()
    if found is None or region.codes.get(found[0]) is not code:
        return []
    key, shape, strides = found
    times = math.prod(shape[: -code.rank]) if len(shape) > code.rank else 1
    inputs = region.count - region.outputs
    across = [o.name for o, c in zip(code.program.declared, key[2 : 2 + inputs], strict=False) if c & 0xF == _ACROSS]
    chosen = _laid_out(cross(code.program) if across else code.program, shape, strides)
    if chosen is None:
        return []
    moved, operations, spent = estimate(chosen)
    lines = [
        f"moves {_bytes(times * moved.l1)} into the first cache, {_bytes(times * moved.l2)} into the second and "
        f"{_bytes(times * moved.memory)} to and from memory; {_count(times * operations)} operations; "
        f"by the model {_time(times * spent)} on one core"
    ]
    packed = list(dict.fromkeys(s.source.name for s in enclosed(chosen.statements) if isinstance(s, Pack)))
    said = []
    if key[1] & MAX_TILE:
        count = region.count + 2
        plain = bytes(_STRIDED | c & 0xF0 if c & 0xF in _PACKED else c for c in key[2:count])
        alone = _laid_out(region.build.schedule(bytes([key[0], key[1] & LARGE]) + plain + key[count:]), shape, strides)
        axes = f"tiles of {code.tiled} axes"
        if packed:
            verb = "is" if len(packed) == 1 else "are"
            axes += f", since {', '.join(packed)} {verb} contiguous along another axis than the innermost, and packed"
        if alone is not None:
            axes += f"; loops alone: {_time(times * estimate(alone)[2])}"
        said.append(axes)
    elif across:
        verb = "is" if len(across) == 1 else "are"
        said.append(
            f"no tiles: {', '.join(across)} {verb} contiguous across rows, and compiled C turns blocks of "
            f"{'it' if len(across) == 1 else 'them'} in registers"
        )
    if key[1] & LARGE:
        said.append("the result would not stay in the last cache, and is stored past it")
    return lines + (["chosen: " + "; ".join(said)] if said else [])


def _laid_out(program: Program, shape: list[int], strides: list[list[int]]) -> Program | None:
    """The program with the layouts of its streams, over the axes that its nest walks."""
    layouts = {}
    if len(program.declared) != len(strides):
        return None
    for operand, steps in zip(program.declared, strides, strict=True):
        rank = operand.type.rank
        lengths = [1] * (rank - len(shape)) + shape[-rank:] if rank else []
        walked = [0] * (rank - len(steps)) + steps[-rank:] if rank else []
        layouts[operand.name] = Layout(tuple(lengths), tuple(walked))
    return program.replace(layouts=layouts)


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def _count(count: float) -> str:
    return f"{count / 1e6:.3g} million" if count >= 1e6 else f"{count:.0f}"


def _time(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns"
