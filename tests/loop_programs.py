"""Random programs of loops that stay, around statements of arrays: views that move, locals, recurrences, guards."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

#: How many rows and columns there are, and so what an index may reach.
ROWS, COLUMNS = 6, 7
_BINARY = ("{} + {}", "{} - {}", "{} * {}", "maximum({}, {})")


@dataclass
class _Loop:
    """An index, and the least and the largest value that it takes."""

    name: str
    least: int
    most: int


@dataclass
class _Writer:
    """Draws statements, and knows the shape of what there is: rows by columns, or lengths as texts."""

    choice: random.Random
    loops: list[_Loop] = field(default_factory=list)
    #: Locals of each block that is open: the text of their length, None for a whole row.
    own: list[dict[str, str | None]] = field(default_factory=lambda: [{}])
    names: list[str] = field(default_factory=list)

    def place(self, length: int, room: int = 0) -> str:
        """A place in an axis of so many elements, with room for more behind it."""
        loop = self.choice.choice(self.loops) if self.loops and self.choice.random() < 0.8 else None
        if loop is None:
            return self.choice.choice(["0", "1", "n", "n - 1", "2"])
        shifts = [s for s in (-1, 0, 1) if loop.least + s >= 0 and loop.most + s + room < length]
        shift = self.choice.choice(shifts) if shifts else None
        if shift is None:
            return "0"
        return f"{loop.name} {'+' if shift > 0 else '-'} {abs(shift)}" if shift else loop.name

    def span(self) -> tuple[str, str | None]:
        """A slice of the columns and its length; None for all of them."""
        draw = self.choice.random()
        if draw < 0.45 or not self.loops:
            return self.choice.choice([(":", None), ("::-1", None), (":", None)])
        index = self.choice.choice(self.loops).name
        return self.choice.choice(
            [(f":{index} + 1", f"{index} + 1"), (f"{index}:{index} + 2", "2"), (f"1:{index} + 1", index)]
        )

    def same(self, length: str | None) -> str:
        """Another slice of the same length."""
        if length is None:
            return self.choice.choice([":", ":", "::-1"])
        if length == "2":
            return self.choice.choice([":2", "-2:", "1:3"])
        return f":{length}"

    def row(self, length: str | None, depth: int = 2) -> str:
        """A value of one axis."""
        draw = self.choice.random()
        if depth and draw < 0.5:
            parts = (self.row(length, depth - 1), self.row(length, depth - 1))
            return "(" + self.choice.choice(_BINARY).format(*parts) + ")"
        if draw < 0.58:
            return self.choice.choice(["n", "2", *(loop.name for loop in self.loops)])
        if draw < 0.64:
            return f"u[{self.place(ROWS)}, {self.place(COLUMNS)}]"
        if depth and length is None and draw < 0.67:
            # Worth to be computed before a loop that does not change it.
            return self.choice.choice(["(a * a * a - a * 3)", "(v[1, :] * a * a * 2 + a)", "reduce(add, v * v, (0,))"])
        if depth and length is None and draw < 0.72:
            return f"reduce({self.choice.choice(['add', 'maximum'])}, {self.matrix(1)}, (0,))"
        locals_ = [name for block in self.own for name, own in block.items() if own == length]
        if locals_ and draw < 0.85:
            return self.choice.choice(locals_)
        operand = self.choice.choice(["u", "v", "a"])
        span = self.same(length)
        return f"{operand}[{span}]" if operand == "a" else f"{operand}[{self.place(ROWS)}, {span}]"

    def matrix(self, depth: int = 2) -> str:
        """A value of two axes."""
        if depth and self.choice.random() < 0.5:
            return "(" + self.choice.choice(_BINARY).format(self.matrix(depth - 1), self.matrix(depth - 1)) + ")"
        return self.choice.choice(["u", "v", "u[::-1, :]", "a[None, :]", "v", "b[:, None]", "u[2:3, :]"])

    def statement(self) -> list[str]:
        draw = self.choice.random()
        if draw < 0.2:
            name = f"t{len(self.names)}"
            span, length = self.span()
            self.names.append(name)
            line = f"{name}[...] = a[{span}] * {self.row(length, 1)}"
            self.own[-1][name] = length
            return [line]
        locals_ = [(name, length) for block in self.own for name, length in block.items()]
        if locals_ and draw < 0.35:
            name, length = self.choice.choice(locals_)
            return [f"{name}[...] = {self.row(length)}"]
        if draw < 0.6:
            span, length = self.span()
            return [f"{self.choice.choice('uv')}[{self.place(ROWS)}, {span}] = {self.row(length)}"]
        if draw < 0.75:
            target = self.choice.choice(["u", "v", "u[1:, :]"])
            value = "v[:-1, ::-1] + u[1:, :]" if target == "u[1:, :]" else f"{self.matrix()} + v"
            return [f"{target} = {value}" if "[" in target else f"{target}[...] = {value}"]
        if draw < 0.85:
            return [f"b[{self.place(ROWS)}] = reduce(add, {self.row(None)} * a, (0,))"]
        if draw < 0.92:
            return [f"b[{self.place(ROWS)}] = b[{self.place(ROWS)}] + u[{self.place(ROWS)}, {self.place(COLUMNS)}]"]
        return [f"a[...] = {self.row(None)}"]

    def block(self, count: int) -> list[str]:
        lines: list[str] = []
        for _ in range(count):
            draw = self.choice.random()
            if draw < 0.3 and len(self.loops) < 2:
                lines += self.loop()
            elif draw < 0.38 and self.loops:
                lines += self.guard()
            else:
                lines += self.statement()
        return lines

    def inner(self, count: int) -> list[str]:
        self.own.append({})
        lines = [f"    {line}" for line in self.block(count)]
        self.own.pop()
        return lines

    def loop(self) -> list[str]:
        name = f"k{len(self.loops)}"
        bounds = [
            ("0, n, 1", 0, 2),
            ("1, 4, 1", 1, 3),
            ("3, 0, -1", 1, 3),
            ("0, u.shape[0] - 1, 2", 0, 4),
            ("2, n, 1", 2, 2),
        ]
        if self.loops and self.loops[-1].least >= 0:
            outer = self.loops[-1]
            bounds += 2 * [(f"0, {outer.name}, 1", 0, outer.most), (f"{outer.name}, 4, 1", outer.least, 3)]
        text, least, most = self.choice.choice(bounds)
        self.loops.append(_Loop(name, least, most))
        body = self.turns() if self.choice.random() < 0.2 else self.inner(self.choice.randint(1, 3))
        self.loops.pop()
        return [f"for {name} in range({text}):", *body]

    def turns(self) -> list[str]:
        """The body of a time loop: the second operand is copied to the first at its end."""
        one, other = self.choice.choice(["uv", "vu"])
        stencils = [
            f"{other}[1:-1, 1:-1] = {one}[:-2, 1:-1] - {one}[2:, 1:-1] + {one}[1:-1, :-2]",
            f"{other}[1:, :] = {one}[:-1, ::-1] * {self.loops[-1].name}",
            f"{other}[...] = {one}[::-1, :] - {one}",
            f"{other}[:, 1:3] = {one}[:, 2:4] + a[:2]",
        ]
        lines = [self.choice.choice(stencils), f"{one}[...] = {other}"]
        if self.choice.random() < 0.4:
            name = f"t{len(self.names)}"
            self.names.append(name)
            lines[:1] = [
                f"{name}[...] = {one}[{self.place(ROWS)}, :] + a",
                lines[0],
                f"a[...] = {name} - {other}[1, :]",
            ]
        return [f"    {line}" for line in lines]

    def guard(self) -> list[str]:
        index = self.choice.choice(self.loops).name
        lines = [f"if {index} {self.choice.choice(['<', '==', '>'])} 1:", *self.inner(1)]
        return [*lines, "else:", *self.inner(1)] if self.choice.random() < 0.5 else lines


def loop_program(choice: random.Random, *, length: int = 5) -> str:
    """The text of a program over `u` and `v` of ROWS x COLUMNS, `a` of a row and `b` of a column, and a scalar `n`."""
    writer = _Writer(choice)
    lines = writer.block(length)
    locals_ = [f"{name} = local(int64[:])" for name in writer.names]
    body = "\n".join(f"    {line}" for line in (*locals_, *lines))
    return f"def f(u: int64[:, :], v: int64[:, :], a: int64[:], b: int64[:], n: int64):\n{body}\n"


def time_loop(choice: random.Random, *, length: int = 6) -> str:
    """The text of a program that runs loops over statements of whole arrays, and of parts that stay in their places.

    Its operands are `u`, `v` and `w` of one length of at least 6, and a scalar `n`. Locals are of a block, or are
    assigned before a loop and again in it.
    """
    names: list[str] = []

    def value(known: list[str], part: str) -> str:
        def one() -> str:
            name = choice.choice(known)
            shift = {"": [""], "1:-1": ["[1:-1]", "[:-2]", "[2:]"], ":": ["", "[::-1]"]}[part]
            return f"{name}{choice.choice(shift)}"

        x, y = one(), choice.choice([one(), one(), "3", "n"])
        found = choice.choice(_BINARY[:3]).format(x, y)
        return choice.choice([found, found, f"({found}) * {one()}", f"({found}) - reduce(add, {x}, (0,))"])

    def block(count: int, known: list[str], depth: int) -> list[str]:
        lines: list[str] = []
        known = list(known)
        for _ in range(count):
            kind = choice.random()
            if kind < 0.4:
                name = choice.choice([*(k for k in known if k not in "uvw"), f"t{len(names)}"])
                if name not in known:
                    names.append(name)
                lines.append(f"{name}[...] = {value(known, ':')}")
                known = [*dict.fromkeys([*known, name])]
            elif kind < 0.65:
                lines.append(f"{choice.choice('uvw')}[...] = {value(known, ':')}")
            elif kind < 0.85 or not depth:
                lines.append(f"{choice.choice('uvw')}[1:-1] = {value(known, '1:-1')}")
            else:
                index = f"k{depth}"
                lines.append(f"for {index} in range(0, {choice.choice(['n', '2'])}, 1):")
                lines += [f"    {line}" for line in block(choice.randint(2, 5), known, depth - 1)]
        return lines

    body = [f"    {line}" for line in block(length, list("uvw"), 1)]
    lines = [*block(2, list("uvw"), 0), "for k in range(0, n, 1):", *body, *block(1, list("uvw"), 0)]
    locals_ = [f"{name} = local(int64[:])" for name in dict.fromkeys(names)]
    text = "\n".join(f"    {line}" for line in (*locals_, *lines))
    return f"def f(u: int64[:], v: int64[:], w: int64[:], n: int64):\n{text}\n"
