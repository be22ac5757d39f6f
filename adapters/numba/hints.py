"""What LLVM is told of loops: metadata of the branch that goes back to the beginning of one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from llvmlite import ir
from llvmlite.ir.values import MDValue


class _Distinct(MDValue):  # type: ignore[misc]
    """A metadata node that is no other, whatever it holds."""

    def descr(self, buf: Any) -> None:
        operands = ", ".join(
            each.get_reference() if isinstance(each.type, ir.MetaDataType) else f"{each.type} {each.get_reference()}"
            for each in self.operands
        )
        buf += (f"distinct !{{ {operands} }}", "\n")

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def distinct(module: Any, operands: Sequence[Any] = ()) -> Any:
    """A new node, such as a group of accesses."""
    return _Distinct(module, operands, name=str(len(module.metadata)))


def loop(module: Any, *hints: tuple[Any, ...]) -> Any:
    """A loop with properties: the name of each, and what it takes."""
    made = distinct(module)
    made.operands = (made, *(_property(module, *hint) for hint in hints))
    return made


def _property(module: Any, name: str, *what: Any) -> Any:
    return MDValue(module, [ir.MetaDataString(module, name), *what], name=str(len(module.metadata)))


NOT_UNROLLED = ("llvm.loop.unroll.disable",)
NO_VECTORS = ("llvm.loop.vectorize.enable", ir.IntType(1)(0))


def as_they_are(lowerer: Any, jumps: Collection[Any], *hints: tuple[Any, ...]) -> None:
    """Give the loops that jumps of Numba's IR go back in properties, once they are lowered."""
    after = lowerer.post_block
    known = {id(jump) for jump in jumps}

    def post_block(block: Any) -> None:
        after(block)
        if id(block.terminator) in known:
            lowerer.builder.block.terminator.set_metadata("llvm.loop", loop(lowerer.module, *hints))

    lowerer.post_block = post_block
