"""What statements touch, and which of them may change places: the meaning of effects for all that moves statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .infer import UNREORDERABLE, effects, reads
from .nodes import Assign, Node, Pack, Scratch, SideEffect, Store, Unreorderable, View, postorder

Names = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Touches:
    """The operands that a statement reads and writes, by name; None is every one.

    `ordered` says that it keeps its place relative to others that are: a side effect, or an operator that may
    raise. A `fence` keeps its place relative to everything.

    >>> from arrayexpr._core.parser import parse
    >>> log, scale = parse('''
    ... def f(a: float64[:], b: float64[:], *, r: float64[:]):
    ...     side_effect(opaque("log", a, type=float64), reads=("a",), writes=())
    ...     r[...] = b * 2.0
    ... ''').statements
    >>> touches(log).ordered, may_exchange(touches(log), touches(scale))
    (True, True)
    """

    reads: Names
    writes: Names
    ordered: bool = False
    fence: bool = False


def touches(node: Node) -> Touches:
    """What a statement touches, or an expression, with all that stands inside it."""
    found = effects(node)
    read: set[str] | None = set(reads(node))
    written: set[str] | None = set()
    for each in postorder((node,)):
        match each:
            case Assign():
                written = _with(written, (_base(each.target),))
            case Store() | Scratch():
                written = _with(written, (each.operand.name,))
            case Pack():
                written = _with(written, (each.target.name,))
            case SideEffect():
                read, written = _with(read, each.reads), _with(written, each.writes)
            case Unreorderable():
                read = written = None
    return Touches(
        None if read is None else frozenset(read),
        None if written is None else frozenset(written),
        bool(found),
        bool(found & UNREORDERABLE),
    )


def may_exchange(a: Touches, b: Touches) -> bool:
    """Whether two neighbouring statements may change places."""
    if a.fence or b.fence or (a.ordered and b.ordered):
        return False
    return not (_meet(a.writes, b.reads) or _meet(a.writes, b.writes) or _meet(a.reads, b.writes))


def together(statements: Sequence[Node], apart: Sequence[bool]) -> list[int]:
    """An order of statements, as their places, in which those that are not `apart` are neighbours where they may be.

    Statements that are not apart keep their order, and so do those that are: the former pass the latter.

        t[...] = a + b                          t[...] = a + b
        side_effect(opaque("log", c))     →     r[...] = t * 2.0
        r[...] = t * 2.0                        side_effect(opaque("log", c))
    """
    if not any(apart):
        return list(range(len(statements)))
    # Runs of statements that are not apart, and after each, what is apart and stands before the next run.
    runs: list[tuple[list[int], list[int]]] = [([], [])]
    known: dict[int, Touches] = {}
    for place, statement in enumerate(statements):
        if apart[place]:
            known[place] = touches(statement)
            runs[-1][1].append(place)
            continue
        if not runs[-1][1]:
            runs[-1][0].append(place)
            continue
        mine = touches(statement)
        if all(may_exchange(known[other], mine) for other in runs[-1][1]):
            runs[-1][0].append(place)
        else:
            runs.append(([place], []))
    return [place for run, after in runs for place in (*run, *after)]


def _base(target: Any) -> str:
    while isinstance(target, View):
        target = target.arg
    name: str = target.name
    return name


def _with(found: set[str] | None, names: Iterable[str] | None) -> set[str] | None:
    if found is None or names is None:
        return None
    return found.union(names)


def _meet(a: Names, b: Names) -> bool:
    if a is None:
        return b is None or bool(b)
    return bool(a) if b is None else not a.isdisjoint(b)
