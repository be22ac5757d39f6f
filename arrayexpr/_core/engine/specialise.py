"""From a signature to the scheduled program and the code for it."""

from __future__ import annotations

from collections.abc import Callable

from ...target import Target
from ..nodes import Assign, Node, Operand, transform
from ..passes.block import block
from ..passes.lower import lower
from ..passes.parallelize import parallelize
from ..passes.vectorize import vectorize
from ..program import Program
from ..types import BROADCAST, STRIDED, UNIT
from .dispatch import Code
from .handover import Mode, make

_CLASSES = (UNIT, BROADCAST, STRIDED)


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
    return parallelize(vectorize(scheduled, versions=any_strides))


def builder(
    value: Node,
    streams: list[Operand],
    output: Operand,
    target: Target,
    emit: Callable[[Program], str],
    mode: Mode = Mode(),
) -> Callable[[bytes], Code | None]:
    """The function that a `Region` asks for the code of a signature; None where only the interpreter runs it."""

    def build(key: bytes) -> Code | None:
        return make(stream_program(value, streams, output, key, target), key[0], bool(key[1]), emit, mode)

    return build


def _operand(node: Node) -> Operand:
    assert isinstance(node, Operand)
    return node
