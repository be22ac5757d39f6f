"""From a signature to the scheduled program and the code for it."""

from __future__ import annotations

from collections.abc import Callable

from ...target import Target
from ..nodes import Assign, Node, Operand, Scratch, transform
from ..passes.block import block
from ..passes.lower import lower
from ..passes.vectorize import vectorize
from ..program import Program
from ..types import BROADCAST, FALLING, STRIDED, UNIT
from .compiler import CompileFailed, load, symbol, warn_interpreted
from .dispatch import Code

_CLASSES = (UNIT, BROADCAST, STRIDED, FALLING)


def stream_program(value: Node, streams: list[Operand], output: Operand, key: bytes, target: Target) -> Program:
    """The program of one region for a signature: streams of the nest's rank, typed by their stride classes.

    `value` is over the scalar operands `streams`; `key` is a `Problem`'s: the rank, whether the last two
    axes are tiled, and a class per stream and axis.
    """
    rank, tiled = key[0], bool(key[1])
    new: dict[Node, Node] = {}
    for stream, code in zip([*streams, output], key[2:], strict=True):
        classes = [_CLASSES[code >> 2], _CLASSES[code & 3]] if tiled else [_CLASSES[code]]
        layout = (STRIDED,) * (rank - len(classes)) + tuple(classes)
        # A stream that walks in no known way has nothing but its rank.
        new[stream] = Operand(stream.name, stream.type.element.array(rank, layout))
    mapped = transform((value,), new.get)[value]
    program = Program(
        "kernel",
        [_operand(new[s]) for s in streams],
        [Assign(new[output], mapped)],
        [_operand(new[output])],
        target=target,
    )
    any_strides = all(code in (2, 10) for code in key[2:])
    scheduled = lower(program)
    if tiled:
        # The signature says that these conflict, whatever their classes here tell.
        scheduled = block(scheduled, axes=(rank - 2, rank - 1))
    # The generic signature stands for any strides: it tests for unit ones.
    return vectorize(scheduled, versions=any_strides)


def builder(
    value: Node, streams: list[Operand], output: Operand, target: Target, emit: Callable[[Program], str]
) -> Callable[[bytes], Code | None]:
    """The function that a `Region` asks for the code of a signature; it answers None where nothing compiles."""

    def build(key: bytes) -> Code | None:
        program = stream_program(value, streams, output, key, target)
        source = emit(program)
        try:
            address, library = load(source, program.name)
        except CompileFailed as error:
            warn_interpreted(error)
            return None
        wants = any(isinstance(statement, Scratch) for statement in program.statements)
        scratch = symbol(library, f"{program.name}_scratch") if wants else 0
        return Code(address, key[0], bool(key[1]), library, program, source, scratch=scratch)

    return build


def _operand(node: Node) -> Operand:
    assert isinstance(node, Operand)
    return node
