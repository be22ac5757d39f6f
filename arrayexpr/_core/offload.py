"""What a statement costs on a GPU: the launch, the memory that it moves, and bringing its arrays there and back.

Properties like those of `infer`, over programs whose layouts are known and whose target is a `Gpu`: another model is
another function registered for them.
"""

from __future__ import annotations

from typing import Any, Final

from ..target import Gpu
from .cost import estimate
from .errors import ArrayExprError
from .infer import Facts, Property, bytes_moved
from .nodes import Assign, For
from .program import Program


def _gpu(facts: Facts) -> Gpu:
    if not isinstance(facts.target, Gpu):
        raise ArrayExprError(f"time on a GPU for the target {facts.target!r}: expected a Gpu, as `target.gpu` gives")
    return facts.target


#: Seconds from the call to the kernel's start.
launch_seconds: Final = Property("launch_seconds", depends=True, default=lambda node, args, facts: 0.0)
#: Seconds of moving operands and results through the device's memory; None where a layout is not known.
memory_seconds: Final = Property("memory_seconds", depends=True, default=lambda node, args, facts: None)
#: Seconds of bringing them from the host and back; None where a layout is not known.
transfer_seconds: Final = Property("transfer_seconds", depends=True, default=lambda node, args, facts: None)


@launch_seconds.of(Assign)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> float:
    return _gpu(facts).launch


@memory_seconds.of(Assign)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> float | None:
    moved = bytes_moved(node, facts)
    return None if moved is None else moved / _gpu(facts).bandwidth


@transfer_seconds.of(Assign)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> float | None:
    moved = bytes_moved(node, facts)
    return None if moved is None else moved / _gpu(facts).link


def device_seconds(program: Program) -> tuple[float, float] | None:
    """Seconds of a program's statements on its target, and of bringing their arrays there; None of unknown layouts.

    >>> from arrayexpr._core.layout import Layout
    >>> from arrayexpr._core.parser import parse
    >>> from arrayexpr.target import gpu
    >>> program = parse("def f(a: float32[:], *, r: float32[:]):\\n    r[...] = a + a\\n")
    >>> layout = Layout((1 << 20,), (4,))
    >>> there, back = device_seconds(program.replace(layouts={"a": layout, "r": layout}, target=gpu("h200")))
    >>> f"{there * 1e6:.1f} us, and {back * 1e6:.0f} us to bring them"
    '7.0 us, and 168 us to bring them'
    """
    seconds = moved = 0.0
    for statement in program.statements:
        memory, transfer = memory_seconds(statement, program), transfer_seconds(statement, program)
        if memory is None or transfer is None:
            return None
        seconds += launch_seconds(statement, program) + memory
        moved += transfer
    return seconds, moved


def host_seconds(scheduled: Program) -> float | None:
    """Seconds of one core for a program that is scheduled for the host, its layouts known; None where it is no loops.

    By the model of `cost`, which is within a factor of two.
    """
    if not all(isinstance(statement, For) for statement in scheduled.statements):
        return None
    return estimate(scheduled)[2] * 1e-9
