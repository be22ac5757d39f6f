"""Tiles copied to scratch, in C: calls of the copies in `primitives/pack.h`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from arrayexpr._core.affine import integer, plus
from arrayexpr._core.errors import UnsupportedError
from arrayexpr._core.nodes import Load, Loop, Node, Operand, Pack, postorder, substitute
from arrayexpr._core.passes.nests import enclosed
from arrayexpr._core.passes.tiles import SIZES
from arrayexpr._core.primitives import text

if TYPE_CHECKING:
    from .clike import Writer


#: Rows of a tile ahead of the one at work whose lines are prefetched, of operands that are read as they lie. Measured
#: on a + b.T, 3200 x 5000 floats, in tiles of 64 x 512: 7.6 ms without, 4.3 with 2 rows, 4.1 with 4.
AHEAD = 4


class Packs:
    """The copies of the block that a writer has come to, and what the rows of its tile read beside them."""

    def __init__(self, writer: Writer):
        self._writer = writer
        #: What a row of a tile starts with: its loop, the one around it in the tile, and the one along it.
        self._rows: dict[tuple[Node, ...], tuple[Loop, Loop | None, Loop]] = {}

    def look(self, statements: Sequence[Node]) -> None:
        """Find the rows of the tile where a block packs it; within one of these rows, write the prefetch for others."""
        if any(isinstance(s, Pack) for s in statements):
            for loop in statements:
                if type(loop) is Loop:
                    self._find(loop, None)
        found = self._rows.pop(tuple(statements), None)
        if found is not None:
            self._fetch(*found)

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
        writer.helpers.setdefault(f"ARRAYEXPR_PACK({size})")
        rank = target.type.rank
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
