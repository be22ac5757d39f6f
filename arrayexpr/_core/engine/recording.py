"""What a call ran, taken down for the call path to run again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..nodes import Apply, Cast, Constant, Disjoint, Extent, Node, Operand

if TYPE_CHECKING:
    from .chain import Chain
    from .dispatch import Operands
    from .iterate import Repeat, Serial
    from .plan import Plan, RegionStep

#: More than a call has room for.
_MOST = 32


class Recording:
    """The regions of one call in order, each with its arrays and what they are part of; `whole` where that was all.

    `tests` is what the plan's steps are chosen by.
    """

    def __init__(self, tests: Tests):
        self.whole = True
        #: Whether steps were planned meanwhile, so that `tests` is not all any more.
        self.planned = False
        #: Whether a loop over elements was run otherwise than by its code.
        self.otherwise = False
        self.ran: list[tuple[Any, ...]] = []
        self._tests = tests

    def stop(self) -> None:
        """Something else was run: there is nothing to repeat."""
        self.whole = False
        self.ran.clear()

    def region(
        self, step: RegionStep, streams: Sequence[Any], shape: tuple[int, ...], slots: Mapping[str, Any]
    ) -> None:
        """A region was run on streams as they stand, outputs last."""
        if not self.whole:
            return
        if len(self.ran) == _MOST:
            self.stop()
            return
        bases = self._tests.bases(step, slots)
        # What is the same in every call is kept; an index goes on.
        streams = [s.copy() if base is None else s for s, base in zip(streams, bases, strict=True)]
        self.ran.append((step.region, streams, shape, bases))

    def repeat(self, repeat: Repeat, count: int, steps: Sequence[tuple[RegionStep, Mapping[str, Any]]]) -> None:
        """Regions were run so often in turn; `steps` are those of all phases, with the slots of each."""
        if self.whole and len(self.ran) < _MOST:
            bases = [base for step, slots in steps for base in self._tests.bases(step, slots)]
            self.ran.append((repeat, count, bases))
        else:
            self.stop()

    def serial(self, serial: Serial, names: Sequence[str], arrays: Sequence[Any], stored: Sequence[bool]) -> None:
        """A loop over elements was run on the arrays of some names, of which some were stored to."""
        if self.whole and len(self.ran) < _MOST:
            # An index goes on.
            own = [name in self._tests.indices for name in names]
            streams = [array.copy() if index else array for array, index in zip(arrays, own, strict=True)]
            bases = [None if index else array for array, index in zip(arrays, own, strict=True)]
            self.ran.append((serial, streams, stored, bases))
        else:
            self.stop()

    def chain(
        self,
        declared: Operands,
        slots: Mapping[str, Any],
        names: Sequence[str],
        given: int,
        watched: frozenset[str],
        allocates: bool,
        caches: tuple[int, int],
    ) -> Chain | None:
        """The call as one that the call path runs; None where it cannot.

        `names` are the operands, of which so many are given, and the results. Those that are `watched` may share memory
        with others, which is found out at each call. `caches` are the bytes of the second and the third cache.
        """
        from .chain import Chain

        fixed, apart = self._tests.all if self.otherwise else self._tests.usual
        if not self.whole or fixed is None:
            return None
        arrays = [slots[name] for name in names]
        if len({id(array) for array in arrays[given:]}) < len(arrays) - given:
            return None
        own = {id(base): base for *_, bases in self.ran for base in bases if base is not None}
        for array in arrays:
            own.pop(id(array), None)
        if any(np.may_share_memory(one, other) for one in own.values() for other in arrays):
            return None
        arrays += own.values()
        last = given if allocates else len(names)
        watched |= apart
        pairs = [
            (j, k) for k in range(last) for j in range(k) if names[j] in watched or names[k] in watched or k >= given
        ]
        scalars = [names.index(name) for name in sorted(fixed)]
        return Chain(declared, arrays, self.ran, allocates, pairs, scalars, caches)


class Tests:
    """What the steps of a plan are chosen by, beside layouts: scalars, and which arrays share memory.

    `usual` leaves out what is asked within steps that a loop over elements is run by where its code does not do, and
    `all` has that too. Each is the operands whose values say which iterations there are, where views begin and which
    branch is taken, or None where something else does, such as an element of an array; and the operands of which it is
    asked whether they share memory. `given` are operands, `assigned` what may change.
    """

    def __init__(self, plan: Plan, given: frozenset[str], assigned: frozenset[str]):
        self.windows: dict[str, str] = {}
        self.indices: set[str] = set()
        conditions: list[Node] = []
        seldom: list[Node] = []
        stack: list[tuple[Any, bool]] = [(step, False) for step in plan.steps]
        while stack:
            # Of what kind they are is not asked: few programs import them.
            each, within = stack.pop()
            found = seldom if within else conditions
            inside = within
            if hasattr(each, "views"):
                self.windows[each.slot] = each.base
                found += [n for view in each.views for n in view.args[1:]]
            elif hasattr(each, "asked"):
                found += each.asked
                if hasattr(each.otherwise, "bounds"):
                    found += [each.node.start, each.node.stop, each.node.step]
                inside = True
            elif hasattr(each, "bounds"):
                self.indices.add(each.index)
                found += [each.node.start, each.node.stop, each.node.step]
            elif hasattr(each, "taken"):
                found.append(each.node.condition)
            stack += [(step, inside) for step in getattr(each, "inside", ())]
        self.usual = self._told(conditions, given, assigned)
        self.all = self._told(conditions + seldom, given, assigned) if seldom else self.usual

    def _told(
        self, conditions: Iterable[Node], given: frozenset[str], assigned: frozenset[str]
    ) -> tuple[frozenset[str] | None, frozenset[str]]:
        names: set[str] = set()
        apart: set[str] = set()
        stack = list(conditions)
        seen: set[Node] = set()
        while stack:
            node = stack.pop()
            if node in seen or isinstance(node, Constant | Extent):
                continue
            seen.add(node)
            if isinstance(node, Disjoint):
                apart |= {node.one.name, node.other.name}
            elif isinstance(node, Operand) and not node.type.rank:
                names.add(node.name)
            elif isinstance(node, Apply | Cast):
                stack.extend(node.args)
            else:
                return None, frozenset()
        names -= self.indices
        if names - given or names & assigned:
            return None, frozenset()
        return frozenset(names), frozenset(apart)

    def bases(self, step: RegionStep, slots: Mapping[str, Any]) -> list[Any]:
        """Per stream of a step the array that it is part of; None for a length, and for the index of a loop."""
        found = []
        for source in (*step.sources, *step.targets):
            name = source.slot
            while name in self.windows:
                name = self.windows[name]
            found.append(None if source.length is not None or name in self.indices else slots[name])
        return found
