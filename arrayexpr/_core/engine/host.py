"""Functions of the host, and effects: what of an expression is theirs, and the step that calls one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from ..infer import SIDE_EFFECT, UNREORDERABLE, effects
from ..interpret import host_value
from ..nodes import EFFECTS, Apply, Cast, Contract, Node, Opaque, Operand, Reduce, SideEffect, View, rebuild
from ..printer import show
from ..touches import Touches, may_exchange, touches
from .reading import Source

#: What keeps the order of evaluation, beside operators that may raise.
ORDERED = SIDE_EFFECT | UNREORDERABLE


@dataclass(frozen=True, slots=True)
class HostStep:
    """Calls the host's function of a node: an argument is the array of a source, or a constant's.

    Those that are `live` may be written; of the others it gets views that may not. `slot` gets the value; where it
    is None there may be none.
    """

    node: Opaque
    args: tuple[Source | Any, ...]
    live: tuple[bool, ...]
    slot: str | None
    function: Callable[..., Any] | None
    written: frozenset[str]

    def run(self, slots: dict[str, Any], *how: Any) -> None:
        """Call it."""
        if self.function is None:
            raise UnsupportedError(f"{show(self.node)}: the program's hosts hold no function {self.node.name!r}")
        passed = []
        for arg, live in zip(self.args, self.live, strict=True):
            array = arg.array(slots) if isinstance(arg, Source) else arg
            if not live:
                # A scalar may be the index of a loop, which goes on.
                array = array.view() if array.ndim else array.copy()
                array.flags.writeable = False
            passed.append(array)
        value = host_value(self.node, self.function, passed, self.slot is None)
        if self.slot is not None:
            slots[self.slot] = np.asarray(value)


def is_ordered(node: Node) -> bool:
    """Whether something inside has an effect, beside operators that may raise."""
    return bool(effects(node) & ORDERED)


def called(node: Node) -> tuple[Opaque, frozenset[str] | None] | None:
    """The host's function that is all there is inside effects, and the names that it may write: None is every one.

    None where there is something else, or where the effects disagree about what is written.
    """
    if isinstance(node, Opaque):
        return node, frozenset()
    if isinstance(node, EFFECTS) and isinstance(node.inner, Opaque):
        return node.inner, node.writes if isinstance(node, SideEffect) else None
    return None


def is_live(arg: Node, written: frozenset[str] | None) -> bool:
    """Whether a host's function gets the memory of an argument, and not its value."""
    while isinstance(arg, View):
        arg = arg.arg
    return isinstance(arg, Operand) and (written is None or arg.name in written)


class OutOfOrder(Exception):
    """Effects that cannot be taken out of an expression: what stands left of one would be computed after it."""


def taken_out(value: Node, temporary: Callable[[Any], Operand]) -> tuple[list[tuple[Operand, Node]], Node]:
    """The effects in a value, each with the operand that is to hold what it gives, in order; and the value over those.

        exp(a) + side_effect(opaque("f", b))   →   t = side_effect(opaque("f", b)), and exp(a) + t

    What is left of an effect must not touch what that does. Raises OutOfOrder.
    """
    found: list[tuple[Operand, Node]] = []
    # What was computed, up to here, that is still to be used.
    before: list[Touches] = []

    def operand_for(node: Node, since: int) -> Operand:
        del before[since:]
        mine = touches(node)
        if not all(may_exchange(mine, each) for each in before):
            raise OutOfOrder
        made = temporary(node.type)
        found.append((made, node))
        return made

    def rebuilt(node: Node, args: Sequence[Node]) -> Node:
        return node if all(a is b for a, b in zip(args, node.args, strict=True)) else rebuild(node, tuple(args))

    # Children first, each place in the tree by itself: an effect runs as often as it is written.
    done: list[Node] = []
    stack: list[tuple[Node, int | None]] = [(value, None)]
    while stack:
        node, since = stack.pop()
        if since is not None:
            count = len(node.inner.args) if isinstance(node, EFFECTS) else len(node.args)
            args = done[len(done) - count :]
            del done[len(done) - count :]
            if isinstance(node, EFFECTS):
                done.append(operand_for(rebuild(node, (rebuilt(node.inner, args),)), since))
            else:
                done.append(rebuilt(node, args))
        elif not is_ordered(node):
            before.append(touches(node))
            done.append(node)
        elif isinstance(node, EFFECTS) and isinstance(node.inner, Opaque):
            written = node.writes if isinstance(node, SideEffect) else None
            if any(is_live(arg, written) for arg in node.inner.args) and is_ordered(node.inner):
                # An array is passed as such, whatever becomes of it until the call.
                done.append(operand_for(node, len(before)))
                continue
            stack.append((node, len(before)))
            stack.extend((arg, None) for arg in reversed(node.inner.args))
        elif isinstance(node, (Apply, Cast, View, Reduce, Contract, Opaque)):
            stack.append((node, len(before)))
            stack.extend((arg, None) for arg in reversed(node.args))
        else:
            done.append(operand_for(node, len(before)))
    (left,) = done
    return found, left
