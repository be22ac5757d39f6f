"""Tiles copied to scratch, in C: calls of the copies in `primitives/pack.h`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from arrayexpr._core.errors import UnsupportedError
from arrayexpr._core.nodes import Load, Loop, Node, Operand, Pack, Scratch, postorder, substitute
from arrayexpr._core.passes.nests import enclosed
from arrayexpr._core.passes.tiles import SIZES
from arrayexpr._core.primitives import text

if TYPE_CHECKING:
    from .clike import Writer


class Packs:
    """The copies of the block that a writer has come to."""

    def __init__(self, writer: Writer):
        self._writer = writer
        self._beside: dict[Pack, Operand] = {}

    def look(self, statements: Sequence[Node]) -> None:
        """Give each copy of a block an operand that is read as it lies once the tile is packed, to prefetch it."""
        packs = [s for s in statements if isinstance(s, Pack)]
        if not packs:
            return
        loops = [s for s in enclosed(statements) if type(s) is Loop]
        starts = {loop.index: loop.start for loop in loops}
        inside = {s.operand for s in enclosed(statements) if isinstance(s, Scratch)}
        left: dict[Operand, tuple[Node, ...]] = {}
        for access in postorder(loops):
            if isinstance(access, Load) and access.operand not in inside:
                if any(n in starts for n in postorder(access.subscripts)):
                    left.setdefault(access.operand, tuple(substitute(access.subscripts, starts.get)))
        for pack in packs:
            for operand, first in left.items():
                if first == pack.starts:
                    self._beside[pack] = operand
                    del left[operand]
                    break

    def copy(self, statement: Pack) -> None:
        """Write the call that packs one tile."""
        writer, target, source = self._writer, statement.target, statement.source
        size = target.type.element.itemsize
        if size not in SIZES:
            raise UnsupportedError(f"Pack of elements of {size} bytes has no {writer.dialect.name} form: {statement!r}")
        writer.helpers.setdefault(text("pack.h"))
        writer.helpers.setdefault(f"ARRAYEXPR_PACK({size})")
        rank = target.type.rank
        beside, steps = "NULL", "NULL"
        if statement in self._beside:
            other = self._beside[statement]
            beside, steps = self._first(other, statement), self._steps(other)
        extents = [writer.integer(extent) for extent in statement.extents]
        writer.line(f"arrayexpr_pack{size}({self._name(target)}, {self._steps(target)},")
        writer.depth += 1
        writer.line(f"{self._first(source, statement)}, {self._steps(source)},")
        writer.line(f"{self._list(extents)}, {rank}, {beside}, {steps});")
        writer.depth -= 1

    def _name(self, operand: Operand) -> str:
        return self._writer.names.of("operand", operand.name)

    def _first(self, operand: Operand, statement: Pack) -> str:
        return self._name(operand) + self._writer.offset(operand, list(enumerate(statement.starts)))

    def _steps(self, operand: Operand) -> str:
        return self._list([self._writer.stride(operand, axis) for axis in range(operand.type.rank)])

    def _list(self, items: Sequence[str]) -> str:
        return f"(const {self._writer.dialect.index}[]){{{', '.join(items)}}}"
