"""Tiles copied to scratch, in C: calls of the copies in `primitives/pack.h`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from arrayexpr._core.affine import depends, integer, plus
from arrayexpr._core.errors import UnsupportedError
from arrayexpr._core.nodes import Constant, Index, Load, Loop, Node, Operand, Pack, Scratch, postorder, substitute
from arrayexpr._core.passes.nests import enclosed
from arrayexpr._core.passes.tiles import LINE, PART, SIZES
from arrayexpr._core.primitives import text
from arrayexpr._core.types import UNIT

if TYPE_CHECKING:
    from .clike import Writer


#: Rows of a tile ahead of the one at work whose lines are prefetched, of operands that are read as they lie. Measured
#: on a + b.T, 3200 x 5000 floats, in tiles of 64 x 512: 7.6 ms without, 4.3 with 2 rows, 4.1 with 4.
AHEAD = 4
#: Lines by which the rows of a block are prefetched ahead.
LINES = 8


class Packs:
    """The copies of the block that a writer has come to, and what the rows of its tile read beside them."""

    def __init__(self, writer: Writer):
        self._writer = writer
        #: What a row of a tile starts with: its loop, the one around it in the tile, and the one along it.
        self._rows: dict[tuple[Node, ...], tuple[Loop, Loop | None, Loop]] = {}
        #: The indices of loops over blocks.
        self.blocks: set[Node] = set()

    def look(self, statements: Sequence[Node]) -> None:
        """Find the rows of the tile where a block packs it; within one of these rows, write the prefetch for others."""
        if any(isinstance(s, Pack) and not _turned(s) for s in statements):
            for loop in statements:
                if type(loop) is Loop:
                    self._find(loop, None)
        self._ahead([s for s in statements if isinstance(s, Pack) and _turned(s)], statements)
        found = self._rows.pop(tuple(statements), None)
        if found is not None:
            self._fetch(*found)

    def _ahead(self, copies: Sequence[Pack], statements: Sequence[Node]) -> None:
        """For blocks of rows in memory, prefetch the lines that they go on in, and the next rows of the others."""
        writer = self._writer
        if not copies:
            return
        across, along, rows = _turned(copies[0]) or (0, 0, 0)
        first = copies[0].starts[across]
        if not isinstance(first, Index) or first not in self.blocks:
            return
        loops = [s for s in enclosed(statements) if type(s) is Loop]
        line = loops[-1]
        writer.helpers.setdefault(text("pack.h"))
        for copy in copies:
            length = LINE // copy.target.type.element.itemsize
            place = f"{self._first(copy.source, copy)} + {LINES * LINE}"
            writer.line(f"arrayexpr_rows_ahead({place}, {writer.stride(copy.source, along)}, {length});")
        done = {s.operand for s in statements if isinstance(s, Scratch)}
        start = {loop.index: integer(0) for loop in loops}
        for access in postorder(loops[:1]):
            if not isinstance(access, Load) or access.operand in done or writer.is_scratch(access.operand):
                continue
            operand, places = access.operand, access.subscripts
            near = [k for k, place in enumerate(places) if depends(place, line.index)]
            moving = [k for k, place in enumerate(places) if depends(place, first)]
            if [len(near), len(moving)] != [1, 1] or writer.stride(operand, near[0]) != str(
                operand.type.element.itemsize
            ):
                continue
            done.add(operand)
            there = substitute(substitute(places, start.get), {first: plus(first, integer(rows))}.get)
            place = self._name(operand) + writer.offset(operand, list(enumerate(there)))
            writer.line(f"arrayexpr_rows_ahead({place}, {writer.stride(operand, moving[0])}, {rows});")

    def _find(self, row: Loop, around: Loop | None) -> None:
        inner = [s for s in row.body if type(s) is Loop]
        for loop in inner:
            self._find(loop, row)
        if inner and not any(type(s) is Loop for s in enclosed(inner[0].body)):
            self._rows[row.body] = row, around, inner[0]

    def _fetch(self, row: Loop, around: Loop | None, along: Loop) -> None:
        """Prefetch what a row some rows on reads; past the last one, of the rows or the tile that come then."""
        writer = self._writer
        start, stop, first = writer.bound(row.start), writer.bound(row.stop), writer.bound(along.start)
        done = set()
        for access in postorder((along,)):
            if not isinstance(access, Load) or access.operand in done or along.index not in access.subscripts:
                continue
            operand, places = access.operand, access.subscripts
            done.add(operand)
            size = operand.type.element.itemsize
            if row.index not in places or writer.stride(operand, places.index(along.index)) != str(size):
                continue
            step = writer.stride(operand, places.index(row.index))
            length = f"({writer.bound(along.stop)} - {first}) * {size}"
            then = length
            if around is not None:
                then = writer.stride(operand, places.index(around.index)) if around.index in places else "0"
            ahead = {along.index: along.start, row.index: plus(row.index, integer(AHEAD))}
            address = self._name(operand) + writer.offset(operand, list(enumerate(substitute(places, ahead.get))))
            inside = f"{writer.names.of('index', row.index.name)} + {AHEAD} < {stop}"
            writer.line(f"arrayexpr_fetch({address}")
            writer.line(f"    + ({inside} ? 0 : {then} - ({stop} - {start}) * {step}), {length});")

    def copy(self, statement: Pack) -> None:
        """Write the call that packs one tile."""
        writer, target, source = self._writer, statement.target, statement.source
        size = target.type.element.itemsize
        if size not in SIZES:
            raise UnsupportedError(f"Pack of elements of {size} bytes has no {writer.dialect.name} form: {statement!r}")
        writer.helpers.setdefault(text("pack.h"))
        rank = target.type.rank
        turned = _turned(statement)
        if turned is not None:
            across, along, rows = turned
            writer.helpers.setdefault(f"ARRAYEXPR_TURN({size})")
            writer.line(f"arrayexpr_turn{size}({self._name(target)}, {writer.stride(target, across)},")
            writer.depth += 1
            writer.line(f"{self._first(source, statement)}, {writer.stride(source, along)}, {rows});")
            writer.depth -= 1
            return
        writer.helpers.setdefault(f"ARRAYEXPR_PACK({size})")
        extents = [writer.integer(extent) for extent in statement.extents]
        writer.line(f"arrayexpr_pack{size}({self._name(target)}, {self._steps(target)},")
        writer.depth += 1
        writer.line(f"{self._first(source, statement)}, {self._steps(source)},")
        writer.line(f"{self._list(extents)}, {rank});")
        writer.depth -= 1

    def _name(self, operand: Operand) -> str:
        return self._writer.names.of("operand", operand.name)

    def _first(self, operand: Operand, statement: Pack) -> str:
        return self._name(operand) + self._writer.offset(operand, list(enumerate(statement.starts)))

    def _steps(self, operand: Operand) -> str:
        return self._list([self._writer.stride(operand, axis) for axis in range(operand.type.rank)])

    def _list(self, items: Sequence[str]) -> str:
        return f"(const {self._writer.dialect.index}[]){{{', '.join(items)}}}"


def _turned(statement: Pack) -> tuple[int, int, int] | None:
    """The axis that a block's source is contiguous along, the one that its copy is, and its rows; None for other tiles.

    A block is of rows of one line, as `cross` makes it.
    """
    extents = [extent.value if isinstance(extent, Constant) else 0 for extent in statement.extents]
    source, target = statement.source.type, statement.target.type
    if UNIT not in source.layout or UNIT not in target.layout or 0 in extents:
        return None
    across, along = source.layout.index(UNIT), target.layout.index(UNIT)
    others = [extent for axis, extent in enumerate(extents) if axis not in (across, along)]
    size = target.element.itemsize
    if across == along or any(extent != 1 for extent in others) or extents[along] * size != LINE:
        return None
    return None if extents[across] * size % PART else (across, along, extents[across])
