"""Whether a system of linear equalities and inequalities has a solution in the integers.

The Omega test (Pugh, 1991): equalities are solved by unimodular substitution, variables eliminated one by one as
Fourier and Motzkin do, with the dark shadow and splinters where rounding makes that inexact.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from math import gcd
from typing import Final

#: A linear form: the factor of each variable, and under the key `ONE` the constant.
Form = dict[Hashable, int]

ONE: Final = None

#: Rows worked on before a system is given up: systems of loop nests take some 50, random ones of 8 variables 2,000.
_BUDGET: Final = 20_000

#: Magnitude beyond which a system is given up: factors may double in length with each elimination.
_LARGEST: Final = 1 << 200


class _GivenUp(Exception):
    pass


class _Fresh:
    """A variable made on the way."""

    __slots__ = ()


def feasible(equalities: Iterable[Mapping[Hashable, int]], bounds: Iterable[Mapping[Hashable, int]]) -> bool | None:
    """Whether integers exist for which every one of `equalities` is 0 and every one of `bounds` at least 0.

    None where that took too long to tell.

    >>> feasible([{"i": 2, "j": -4, ONE: 1}], [])
    False
    >>> feasible([{"i": 1, "j": -1, ONE: 5}], [{"i": 1}, {"i": -1, ONE: 3}, {"j": 1}, {"j": -1, ONE: 9}])
    True
    """
    solver = _Solver()
    try:
        return solver.solve([dict(e) for e in equalities], [dict(b) for b in bounds])
    except _GivenUp:
        return None


class _Solver:
    def __init__(self) -> None:
        self.left = _BUDGET

    def spend(self, rows: int) -> None:
        self.left -= rows
        if self.left < 0:
            raise _GivenUp

    def solve(self, equalities: list[Form], bounds: list[Form]) -> bool:
        while True:
            substituted = self.equalities(equalities, bounds)
            if substituted is None:
                return False
            tight = self.tightened(substituted)
            if tight is None:
                return False
            bounds, equalities = tight
            if equalities:
                continue
            bounds = _bounded(bounds)
            if not bounds:
                return True
            variable, exact = _cheapest(bounds)
            rest = [row for row in bounds if variable not in row]
            lower = [row for row in bounds if row.get(variable, 0) > 0]
            upper = [row for row in bounds if row.get(variable, 0) < 0]
            self.spend(len(lower) * len(upper))
            if exact:
                bounds = rest + [_combined(low, high, variable, False) for low in lower for high in upper]
                continue
            return self.inexact(variable, rest, lower, upper, bounds)

    def inexact(
        self, variable: Hashable, rest: list[Form], lower: list[Form], upper: list[Form], bounds: list[Form]
    ) -> bool:
        """Eliminate a variable whose factors are all above 1."""
        real = rest + [_combined(low, high, variable, False) for low in lower for high in upper]
        if not self.solve([], [dict(row) for row in real]):
            return False
        dark = rest + [_combined(low, high, variable, True) for low in lower for high in upper]
        if self.solve([], dark):
            return True
        # What solutions are left lie close to a lower bound.
        most = max(-row[variable] for row in upper)
        for low in lower:
            factor = low[variable]
            for distance in range((most * factor - most - factor) // most + 1):
                self.spend(1)
                near = dict(low)
                near[ONE] = near.get(ONE, 0) - distance
                if self.solve([near], [dict(row) for row in bounds]):
                    return True
        return False

    def equalities(self, equalities: list[Form], bounds: list[Form]) -> list[Form] | None:
        """The bounds with every equality solved and put in; None where one has no solution."""
        waiting = equalities
        while waiting:
            row = waiting.pop()
            self.spend(1 + len(bounds) // 4)
            variables = [v for v, c in row.items() if c and v is not ONE]
            constant = row.get(ONE, 0)
            if not variables:
                if constant:
                    return None
                continue
            common = gcd(*(row[v] for v in variables))
            if constant % common:
                return None
            row = {v: row[v] // common for v in variables}
            row[ONE] = constant // common
            pivot = min(variables, key=lambda v: abs(row[v]))
            factor = row[pivot]
            if abs(factor) == 1:
                value = {v: -c * factor for v, c in row.items() if v != pivot}
            else:
                # x -> y - sum(c // factor * v): what is left of the row has factors below this one's.
                value = {v: -(c // factor) for v, c in row.items() if v != pivot and c // factor}
                fresh = _Fresh()
                value[fresh] = 1
                left = {v: c % factor for v, c in row.items() if v != pivot and c % factor}
                left[fresh] = factor
                waiting.append(left)
            waiting = [_substituted(other, pivot, value) for other in waiting]
            bounds = [_substituted(other, pivot, value) for other in bounds]
        return bounds

    def tightened(self, bounds: list[Form]) -> tuple[list[Form], list[Form]] | None:
        """Bounds rounded to the integers, the tightest of parallel ones, and equalities that opposite ones make."""
        self.spend(len(bounds))
        best: dict[frozenset[tuple[Hashable, int]], int] = {}
        for row in bounds:
            terms = [(v, c) for v, c in row.items() if c and v is not ONE]
            constant = row.get(ONE, 0)
            if not terms:
                if constant < 0:
                    return None
                continue
            common = gcd(*(c for _, c in terms))
            if common > _LARGEST:
                raise _GivenUp
            key = frozenset((v, c // common) for v, c in terms)
            constant //= common
            best[key] = min(constant, best.get(key, constant))
        kept: list[Form] = []
        equal: list[Form] = []
        done: set[frozenset[tuple[Hashable, int]]] = set()
        for key, constant in best.items():
            if key in done:
                continue
            opposite = frozenset((v, -c) for v, c in key)
            other = best.get(opposite)
            row = {**dict(key), ONE: constant}
            if other is not None:
                if constant + other < 0:
                    return None
                if constant + other == 0:
                    equal.append(row)
                    done.add(opposite)
                    continue
            kept.append(row)
        return kept, equal


def _substituted(row: Form, variable: Hashable, value: Form) -> Form:
    factor = row.get(variable, 0)
    if not factor:
        row.pop(variable, None)
        return row
    result = {v: c for v, c in row.items() if v != variable}
    for v, c in value.items():
        result[v] = result.get(v, 0) + factor * c
    return result


def _combined(low: Form, high: Form, variable: Hashable, dark: bool) -> Form:
    """What two bounds of a variable say of the others."""
    a, b = low[variable], -high[variable]
    row = {v: b * c for v, c in low.items() if v != variable}
    for v, c in high.items():
        if v != variable:
            row[v] = row.get(v, 0) + a * c
    if dark:
        row[ONE] = row.get(ONE, 0) - (a - 1) * (b - 1)
    if abs(row.get(ONE, 0)) > _LARGEST:
        raise _GivenUp
    return row


def _bounded(bounds: list[Form]) -> list[Form]:
    """The bounds without those of variables that are free on one side, which can always be met."""
    while True:
        below: set[Hashable] = set()
        above: set[Hashable] = set()
        for row in bounds:
            for v, c in row.items():
                if c and v is not ONE:
                    (below if c > 0 else above).add(v)
        free = below ^ above
        if not free:
            return bounds
        bounds = [row for row in bounds if not any(c and v in free for v, c in row.items())]


def _cheapest(bounds: list[Form]) -> tuple[Hashable, bool]:
    """The variable to eliminate next, and whether that is exact: those first, then by the rows that it makes."""
    counts: dict[Hashable, list[int]] = {}
    for row in bounds:
        for v, c in row.items():
            if c and v is not ONE:
                count = counts.setdefault(v, [0, 0, 1, 1])
                count[c < 0] += 1
                count[2 + (c < 0)] = max(count[2 + (c < 0)], abs(c))

    def price(v: Hashable) -> tuple[bool, int]:
        low, high, most_low, most_high = counts[v]
        return most_low > 1 and most_high > 1, low * high

    best = min(counts, key=price)
    return best, not price(best)[0]
