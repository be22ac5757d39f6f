"""From a signature to the scheduled program and the code for it."""

from __future__ import annotations

from collections.abc import Callable

from ...target import Target
from ..nodes import Assign, Node, Operand, transform
from ..passes.block import block
from ..passes.lower import lower
from ..passes.pack import pack
from ..passes.parallelize import parallelize
from ..passes.vectorize import vectorize
from ..program import Program
from ..types import BROADCAST, STRIDED, UNIT
from .compiler import CompileFailed, load, warn_interpreted
from .dispatch import Code

#: What a stream's code in a key says of it along the innermost axis.
_CLASSES = (UNIT, BROADCAST, STRIDED, STRIDED)
#: The code of a stream whose tiles are packed: nothing more need be known of it.
_PACKED = 3


def stream_program(value: Node, streams: list[Operand], output: Operand, key: bytes, target: Target) -> Program:
    """The program of one region for a signature: streams of the nest's rank, typed by their stride classes.

    `value` is over the scalar operands `streams`; `key` is a `Problem`'s: the rank, how many of the last axes are
    tiled, and a code per stream.
    """
    rank, tiled = key[0], key[1]
    codes = dict(zip([*streams, output], key[2:], strict=True))
    new: dict[Node, Node] = {}
    for stream, code in codes.items():
        # A stream that walks in no known way has nothing but its rank.
        new[stream] = Operand(stream.name, stream.type.element.array(rank, (STRIDED,) * (rank - 1) + (_CLASSES[code],)))
    mapped = transform((value,), new.get)[value]
    program = Program(
        "kernel",
        [_operand(new[s]) for s in streams],
        [Assign(new[output], mapped)],
        [_operand(new[output])],
        target=target,
    )
    scheduled = lower(program)
    if tiled:
        # The signature says which conflict, whatever their classes here tell.
        scheduled = block(scheduled, axes=range(rank - tiled, rank))
        scheduled = pack(scheduled, operands={stream.name for stream, code in codes.items() if code == _PACKED})
    # The generic signature stands for any strides: it tests for unit ones.
    any_strides = all(_CLASSES[code] == STRIDED for code in codes.values())
    return parallelize(vectorize(scheduled, versions=any_strides))


def builder(
    value: Node, streams: list[Operand], output: Operand, target: Target, emit: Callable[[Program], str]
) -> Callable[[bytes], Code | None]:
    """The function that a `Region` asks for the code of a signature; it answers None where nothing compiles."""

    def build(key: bytes) -> Code | None:
        program = stream_program(value, streams, output, key, target)
        source = emit(program)
        try:
            address, library = load(source, program.name, openmp=target.cores > 1)
        except CompileFailed as error:
            warn_interpreted(error)
            return None
        return Code(address, key[0], key[1], library, program, source)

    return build


def _operand(node: Node) -> Operand:
    assert isinstance(node, Operand)
    return node
