"""The pass `share`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..infer import PURE, effects, reads, same_lengths
from ..nodes import (
    Assign,
    Barrier,
    For,
    Guard,
    Node,
    Operand,
    Pack,
    Scratch,
    SideEffect,
    Store,
    Unreorderable,
    View,
    postorder,
)
from ..program import Program
from ..rewrite import merge_commuted


def share(program: Program) -> Program:
    """Compute common sub-expressions once, and drop what no one reads.

        r[...] = a * b + c                     _0 = a * b
        s[...] = sqrt(b * a)            ->     r[...] = _0 + c
        t[...] = c                             s[...] = sqrt(_0)          (t is a local, and never read)

    Keeps every value bit for bit: equal nodes are one node from their making, so only those that differ
    in the order of commutative operands are merged here. Keeps all effects, each as often as written.

    Requires: nothing.
    """
    new = merge_commuted(program.statements)
    merged = [new[statement] for statement in program.statements]
    kept = _drop_unread(program, merged)
    shared = program.rewritten(kept, new)
    if program.locals and len(kept) < len(merged):
        mentioned = {node for node in postorder(kept) if isinstance(node, Operand)}
        shared = shared.replace(locals=tuple(each for each in program.locals if each in mentioned))
    return shared


def _drop_unread(program: Program, statements: list[Node]) -> list[Node]:
    """The statements without those whose one effect is to write a local or scratch that is not read after."""
    local = {operand.name for operand in program.locals}
    local |= {each.operand.name for each in _nested(statements) if isinstance(each, Scratch)}
    if not local:
        return statements
    kept: list[Node] = []
    live: set[str] = set()
    mentioned: set[str] = set()
    # The whole assignment that comes next, of locals that are not live because of it.
    replaced: dict[str, Assign] = {}
    for statement in reversed(statements):
        writes = _written(statement)
        pure = effects(statement) == PURE
        dead = pure and writes is not None and writes <= local and not writes & live
        if dead and isinstance(statement, Scratch):
            dead = statement.operand.name not in mentioned
        elif dead and isinstance(statement, Assign) and isinstance(statement.target, Operand):
            # Its first assignment gives a local its shape: one that may be of another shape stays.
            after = replaced.get(statement.target.name)
            dead = after is None or same_lengths(statement.value, after.value)
        elif dead:
            dead = not any(isinstance(each, Barrier) for each in _nested((statement,)))
        if dead:
            continue
        kept.append(statement)
        if isinstance(statement, Assign) and isinstance(statement.target, Operand) and pure:
            name = statement.target.name
            live.discard(name)
            replaced[name] = statement
        else:
            # What assigns a part of a local, if only among other things, wants it to be there.
            live |= _assigned(statement) & local
        read = _read(statement)
        if read is None:
            live |= local
        else:
            live |= read
        for name in live:
            replaced.pop(name, None)
        mentioned |= live if writes is None else live | writes
    return statements if len(kept) == len(statements) else kept[::-1]


def _nested(statements: Iterable[Node]) -> Iterator[Node]:
    """The statements and those inside them."""
    stack = list(statements)
    while stack:
        node = stack.pop()
        yield node
        match node:
            case For():
                stack.extend(node.body)
            case Guard():
                stack.extend(node.then + node.otherwise)
            case SideEffect() | Unreorderable():
                if node.type is None:
                    stack.append(node.inner)


def _written(statement: Node) -> set[str] | None:
    """The names that a statement writes; None where that is not known."""
    if any(isinstance(node, SideEffect | Unreorderable) for node in _nested((statement,))):
        return None
    return _assigned(statement)


def _assigned(statement: Node) -> set[str]:
    """The names of what a statement and those inside it assign, effects apart."""
    found: set[str] = set()
    for node in _nested((statement,)):
        match node:
            case Assign():
                base: Any = node.target
                while isinstance(base, View):
                    base = base.arg
                found.add(base.name)
            case Store() | Scratch():
                found.add(node.operand.name)
            case Pack():
                found.add(node.target.name)
    return found


def _read(statement: Node) -> set[str] | None:
    """The names that a statement reads, with what its effects say they read; None for everything."""
    found = set(reads(statement))
    if effects(statement) == PURE:
        return found
    for node in postorder((statement,), True):
        if isinstance(node, SideEffect):
            named: Iterable[str] | None = node.reads
            if named is None:
                return None
            found.update(named)
    return found
