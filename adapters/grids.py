"""What OpenCL and CUDA share: kernels of a program scheduled for a GPU, by the one printer of the C family.

The text of a kernel is the same in both but for words in capitals, which each dialect's preamble defines. A kernel's
parameters are, for each operand that it touches, a pointer to its first element, then the lengths and byte strides that
it needs of it, as `Kernel.parameters` lists them; scalars that are given by value stand in place of a pointer.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from arrayexpr._core.affine import coefficients, integer, plus, times
from arrayexpr._core.errors import UnsupportedError
from arrayexpr._core.nodes import (
    Apply,
    Constant,
    Extent,
    For,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Scratch,
    Store,
    Stride,
    postorder,
    rebuild,
)
from arrayexpr._core.ops import Operator
from arrayexpr._core.passes.nests import enclosed, is_constant
from arrayexpr._core.program import Program
from arrayexpr._core.record import record
from arrayexpr._core.types import BOOL, ElementType, real_of

from . import complexes, shuffles
from .clike import Dialect, Writer

#: Short names that a library or language of either dialect has taken.
_TAKEN = "new try and or not xor all any dot mad mix min max at".split()
#: The bytes of the widest load of a lane.
_WIDEST = 16


@dataclass(frozen=True, slots=True)
class GridDialect(Dialect):
    """A dialect that has blocks and lanes."""

    #: defines KERNEL, HELPER, GLOBAL, LOCAL, ALIGNED, BLOCK, LANE, BARRIER and the types of whole numbers
    preamble: str = ""
    #: how a pointer is a parameter, and the line that makes it one to the first element
    pointer: str = "GLOBAL {const}char *{name}"
    opening: str = ""
    #: texts of the C family that this language writes otherwise: pattern, replacement
    rewrites: tuple[tuple[str, str], ...] = ()
    #: structures that stand for element types, by what a text that has one names
    structures: Mapping[str, str] = field(default_factory=dict)
    #: whether the lanes of a warp exchange values by `__shfl_down_sync`
    shuffles: bool = False
    #: element types that need an extension or a device's feature → its name
    features: Mapping[str, str] = field(default_factory=dict)


@record
class Parameter:
    """One parameter of a kernel: what it is of the operand at a place among the program's declared ones.

    `kind` is "pointer", "value", "length", "stride" (in bytes) or "raised", a pointer to a flag.
    """

    kind: str
    place: int = 0
    axis: int = 0


@record
class Kernel:
    """One launch: the kernel's name, its parameters, and the blocks that it takes.

    `blocks` has, for each loop over the grid, the length and the step; there are as many as the product of the
    quotients, rounded up. `lanes` make a block, which shares `local` bytes.
    """

    name: str
    parameters: tuple[Parameter, ...]
    blocks: tuple[tuple[Node, int], ...]
    lanes: int
    local: int


@record
class Source:
    """The text of a program in one of the dialects, its kernels in the order of their launches, and what operands are
    called in it."""

    text: str
    kernels: tuple[Kernel, ...]
    names: Mapping[str, str]


def emit_grid(program: Program, dialect: GridDialect, *, values: Collection[str] = (), wide: bool = True) -> Source:
    """The source for a program scheduled for a GPU: every statement of it a loop over the grid.

    `values` names the scalars that are given by value. `wide` has places counted in 64 bits, else in 32. Raises
    UnsupportedError for what the language has no form for, naming the node.
    """
    _refuse(program)
    kernels, bodies = [], []
    names: dict[str, str] = {}
    helpers: dict[str, None] = {}
    may_raise = False
    index = "int64_t" if wide else "int"
    for number, statement in enumerate(program.statements):
        name = f"{program.name}_{number}" if len(program.statements) > 1 else program.name
        writer = GridWriter(program, dialect, index, values, helpers)
        names = {o.name: writer.names.of("operand", o.name) for o in program.declared}
        lines = writer.body((statement,))
        head, parameters = _head(program, writer, lines, values)
        may_raise = may_raise or bool(writer.may_raise)
        bodies.append(
            "\n".join([f"KERNEL({writer.lanes}) void arrayexpr_{name}({head}) {{", *writer.opening, *lines, "}"])
        )
        kernels.append(Kernel(f"arrayexpr_{name}", parameters, tuple(writer.blocks), writer.lanes, writer.shared))
    body = "\n\n".join([*helpers, *bodies])
    body = body.replace("static inline ", "HELPER ")
    for pattern, replacement in dialect.rewrites:
        body = re.sub(pattern, replacement, body)
    known = {**_COMPLEX, **dialect.structures}
    structures = [text for name, text in known.items() if f"arrayexpr_{name}" in body]
    text = "\n".join([dialect.preamble, *structures, "", body, ""])
    return Source(text, tuple(kernels), names)


_COMPLEX = {
    "complex64": "typedef struct { float re, im; } arrayexpr_complex64;",
    "complex128": "typedef struct { double re, im; } arrayexpr_complex128;",
}


def _refuse(program: Program) -> None:
    for statement in program.statements:
        if not (isinstance(statement, Loop) and statement.role == "grid"):
            raise UnsupportedError(
                f"{statement!r} is no loop over a grid: expected a program that was scheduled for a GPU"
            )


def _head(
    program: Program, writer: GridWriter, lines: list[str], values: Collection[str]
) -> tuple[str, tuple[Parameter, ...]]:
    """The parameters of a kernel, as text and as what they are."""
    body = "\n".join([*lines, *writer.opening])
    used = set(re.findall(r"[A-Za-z_]\w*", body))
    stored = {s.operand for s in enclosed(program.statements) if isinstance(s, Store)}
    texts, parameters = [], []
    for place, operand in enumerate(program.declared):
        name = writer.names.of("operand", operand.name)
        if operand.name in values:
            if name in used:
                texts.append(f"const {writer.type(operand.type.element)} {name}")
                parameters.append(Parameter("value", place))
            continue
        if name in used:
            const = "" if operand in stored else "const "
            _pointer(writer, texts, const, name)
            parameters.append(Parameter("pointer", place))
        for axis in range(operand.type.rank):
            for mark, kind in (("n", "length"), ("", "stride")):
                if f"{name}_{mark}{axis}" in used:
                    texts.append(f"const {writer.index} {name}_{mark}{axis}")
                    parameters.append(Parameter(kind, place, axis))
    if writer.may_raise:
        _pointer(writer, texts, "", "flag")
        parameters.append(Parameter("raised"))
        writer.opening.append("    int raised = 0;")
        lines.append("    if (raised) *(GLOBAL int *)flag = 1;")
    return ", ".join(texts), tuple(parameters)


def _pointer(writer: GridWriter, texts: list[str], const: str, name: str) -> None:
    dialect = writer.grid_dialect
    texts.append(dialect.pointer.format(const=const, name=name))
    if dialect.opening:
        writer.opening.append(dialect.opening.format(const=const, name=name))


class GridWriter(Writer):
    """Writes the loop over the grid of one kernel."""

    def __init__(
        self, program: Program, dialect: GridDialect, index: str, values: Collection[str], helpers: dict[str, None]
    ):
        super().__init__(program, dialect, reserved=_TAKEN)
        self.grid_dialect = dialect
        self.helpers = helpers
        self.index = index
        self.opening: list[str] = []
        self.blocks: list[tuple[Node, int]] = []
        self.lanes = 1
        self.shared = 0
        self._arrays: dict[Operand, tuple[int, ...]] = {}
        self._in_lanes = False
        #: The factor of each index of lanes in a lane's number, and how many lanes lie along it.
        self.lane_number: dict[Index, int] = {}
        self.lane_sizes: dict[Index, int] = {}
        for operand in program.declared:
            if operand.name in values:
                self._scopes[-1].loaded[Load(operand, ())] = self.names.of("operand", operand.name)

    # -- loops --

    def _loop(self, loop: For) -> None:
        role = loop.role if isinstance(loop, Loop) else "serial"
        if role == "grid":
            self._grid(loop)
        elif role == "lane":
            self._lanes(loop)
        elif role in ("unroll", "vector") and self._together(loop):
            return
        else:
            start, stop, step = (self.bound(x) for x in (loop.start, loop.stop, loop.step))
            i = self.names.of("index", loop.index.name)
            if role in ("unroll", "vector"):
                self.line("#pragma unroll")
            advance = f"++{i}" if step == "1" else f"{i} += {step}"
            self.line(f"for ({self.index} {i} = {start}; {i} < {stop}; {advance}) {{")
            self._scoped_block(loop.body)
            self.line("}")

    def _grid(self, loop: For) -> None:
        """Nested loops over the grid: a block's places along them, from its number, the last one's fastest."""
        loops = [loop]
        while len(loops[-1].body) == 1 and isinstance(inner := loops[-1].body[0], Loop) and inner.role == "grid":
            loops.append(inner)
        for each in loops:
            if not isinstance(each.step, Constant) or not isinstance(each.start, Constant) or each.start.value:
                raise UnsupportedError(
                    f"{each.index!r} of a grid runs from {each.start!r}: expected 0 and a fixed step"
                )
            self.blocks.append((each.stop, each.step.value))
        at = self.local("b")
        self.line(f"{self.index} {at} = BLOCK;")
        for each in reversed(loops):
            assert isinstance(each.step, Constant)
            i, step = self.names.of("index", each.index.name), each.step.value
            scaled = f" * {step}" if step != 1 else ""
            if each is loops[0]:
                self.line(f"const {self.index} {i} = {at}{scaled};")
                continue
            count = self.integer(each.stop)
            if step != 1:
                count = f"({self._wrap(count)} + {step - 1}) / {step}"
            name = self.local("n")
            self.line(f"const {self.index} {name} = {count};")
            self.line(f"const {self.index} {i} = {at} % {name}{scaled};")
            self.line(f"{at} /= {name};")
        self.depth -= 1
        self._block(loops[-1].body)
        self.depth += 1

    def _lanes(self, loop: For) -> None:
        """Nested loops over lanes: a lane's places along them, from its number, the last one's fastest."""
        loops = [loop]
        while len(loops[-1].body) == 1 and isinstance(inner := loops[-1].body[0], Loop) and inner.role == "lane":
            loops.append(inner)
        sizes = []
        for each in loops:
            if not isinstance(each.stop, Constant):
                raise UnsupportedError(f"{each.index!r} runs over {each.stop!r} lanes: expected a fixed number")
            sizes.append(each.stop.value)
        lanes = math.prod(sizes)
        if self.lanes not in (1, lanes):
            raise UnsupportedError(f"{loop.index!r} runs over {lanes} lanes: expected {self.lanes}, as before")
        self.lanes = lanes
        self.line("{")
        self.depth += 1
        rest = 1
        number: dict[Index, int] = {}
        for each, size in zip(reversed(loops), reversed(sizes), strict=True):
            text = "LANE" if rest == 1 else f"LANE / {rest}"
            number[each.index], self.lane_sizes[each.index] = rest, size
            rest *= size
            if rest != lanes:
                text = f"{text} % {size}"
            self.line(f"const {self.index} {self.names.of('index', each.index.name)} = {text};")
        self.depth -= 1
        outside, self._in_lanes, self.lane_number = self._in_lanes, True, number
        self._scoped_block(loops[-1].body)
        self._in_lanes, self.lane_number = outside, {}
        self.line("}")

    # -- what lanes join --

    def _block(self, statements: Sequence[Node]) -> None:
        if not self.grid_dialect.shuffles:
            super()._block(statements)
            return
        done = start = 0
        while start < len(statements):
            steps = shuffles.steps_at(self, statements[start:])
            if steps:
                super()._block(statements[done:start])
                self.depth += 1
                shuffles.write(self, steps)
                self.depth -= 1
                start = done = start + 2 * len(steps)
            else:
                start += 1
        super()._block(statements[done:])

    def loaded(self) -> dict[Node, str]:
        """The names of what has been loaded here."""
        return self._scopes[-1].loaded

    def condition(self, condition: Node) -> str:
        """A condition as text."""
        return self._condition(condition)

    def values(self, roots: Sequence[Node]) -> list[str]:
        """Texts for scalar expressions; locals that they need are written first."""
        return self._values(roots)

    def extents(self, operand: Operand) -> tuple[int, ...]:
        """The extents of an array that a block shares."""
        return self._arrays[operand]

    def is_shared(self, operand: Operand) -> bool:
        """Whether a block shares an array."""
        return self._is_shared(operand)

    def _condition(self, condition: Node) -> str:
        if all(isinstance(n, Index | Extent | Stride | Constant | Apply | Operand) for n in postorder((condition,))):
            return self.integer(condition)
        return self.expression(condition)

    def _integer_apply(self, op: Operator, args: list[tuple[str, int]]) -> tuple[str, int]:
        if op.name == "floor_divide":
            # Places are not negative.
            x, y = (text if level >= 10 else f"({text})" for text, level in args)
            return f"{x} / {y}", 10
        return super()._integer_apply(op, args)

    # -- operators --

    def _substitute(self, text: str, t: ElementType) -> str:
        # Overloads tell no int from a real.
        return super()._substitute(re.sub(r"copysign\$s\((\d),", r"copysign$s(($R)\1,", text), t)

    def _complex_library(self, function: str, t: ElementType) -> str:
        for text in complexes.functions(function, real_of(t)):
            self.helpers[self._substitute(text, t)] = None
        return f"{function}_{t.name}"

    # -- memory --

    def _declare_scratch(self, statement: Scratch) -> None:
        """An array that a block shares; inside of lanes, one that each lane has for itself."""
        operand = statement.operand
        if not is_constant(statement):
            raise UnsupportedError(f"{statement!r} for a GPU: expected fixed extents")
        extents = tuple(extent.value for extent in statement.extents if isinstance(extent, Constant))
        self._scratch.add(operand)
        self._arrays[operand] = extents
        name = self.names.of("operand", operand.name)
        count = math.prod(extents)
        t = self.type(operand.type.element)
        if self._in_lanes:
            self.line(f"{t} {name}[{count}];" if extents else f"{t} {name};")
            return
        self.shared += -(-count * operand.type.element.itemsize // _WIDEST) * _WIDEST
        self.line(f"LOCAL {t} {name}[{count}];")

    def place(self, access: Load | Store) -> str:
        extents = self._arrays.get(access.operand)
        if extents is None:
            return super().place(access)
        name = self.names.of("operand", access.operand.name)
        if not extents:
            return name
        text = ""
        for axis, subscript in enumerate(access.subscripts):
            if isinstance(subscript, Constant) and subscript.value == 0:
                continue
            step = math.prod(extents[axis + 1 :])
            part = self.integer(subscript, 10 if step != 1 else 9)
            text += f" + {part} * {step}" if step != 1 else f" + {part}"
        return f"{name}[{text[3:] or '0'}]"

    # -- what a lane does at a time --

    def _together(self, loop: For) -> bool:
        """Write turns and vectors that only store with every load before the first store; False where they do more."""
        loops: list[For] = [loop]
        while (
            len(loops[-1].body) == 1
            and isinstance(inner := loops[-1].body[0], Loop)
            and inner.role in ("unroll", "vector")
        ):
            loops.append(inner)
        body = loops[-1].body
        fixed = all(isinstance(each.stop, Constant) for each in loops)
        stores = [statement for statement in body if isinstance(statement, Store)]
        if not fixed or len(stores) < len(body):
            return False
        vectors = [each for each in loops if isinstance(each, Loop) and each.role == "vector"]
        vector = vectors[-1] if vectors and vectors[-1] is loops[-1] else None
        width = vector.stop.value if vector is not None and isinstance(vector.stop, Constant) else 1
        turns = [
            [(each.index, k) for k in range(each.stop.value)]
            for each in (loops[:-1] if vector is not None else loops)
            if isinstance(each.stop, Constant)
        ]
        self.line("{")
        self.depth += 1
        outer = self._scopes[-1]
        self._scopes.append(type(outer)(outer))
        # The statements of each turn, with the vector's index left in them.
        statements = [_fixed(stores, dict(turn)) for turn in itertools.product(*turns)]
        stored = {s.operand for s in stores}
        for turn in statements:
            self._load_all(turn, vector, width, stored)
        for turn in statements:
            self._store_all(turn, vector, width)
        self._scopes.pop()
        self.depth -= 1
        self.line("}")
        return True

    def _load_all(self, turn: Sequence[Store], vector: For | None, width: int, stored: set[Operand]) -> None:
        """Load what the stores of one turn read, but for what each lane has for itself."""
        loaded = self._scopes[-1].loaded
        for node in postorder([store.value for store in turn]):
            if not isinstance(node, Load) or node in loaded or self._is_own(node.operand):
                continue
            if self._is_shared(node.operand) and node.operand in stored:
                continue
            t = self.type(node.operand.type.element)
            way = "fixed" if vector is None else self._way(node, vector.index)
            if way == "vector" and width > 1:
                name = self.local("x")
                vector_type = self._vector(node.operand, width)
                self.line(f"const {vector_type} {name} = {self._vector_place(node, vector, vector_type, 'const ')};")
                texts = [f"{name}.s[{k}]" for k in range(width)]
            else:
                texts = []
                for k in range(1 if way == "fixed" else width):
                    name = self.local("x")
                    each = node if vector is None else _fixed((node,), {vector.index: k})[0]
                    if each in loaded:
                        texts.append(loaded[each])
                        continue
                    self.line(f"const {t} {name} = {self.place(each)};")
                    texts.append(name)
            if node.type.element is BOOL:
                texts = [f"({text} != 0)" for text in texts]
            for k in range(width):
                each = node if vector is None else _fixed((node,), {vector.index: k})[0]
                loaded.setdefault(each, texts[k % len(texts)])

    def _store_all(self, turn: Sequence[Store], vector: For | None, width: int) -> None:
        """Compute and store what one turn does."""
        vectors: dict[int, str] = {}
        for number, store in enumerate(turn):
            if vector is not None and width > 1 and self._way(store, vector.index) == "vector":
                vectors[number] = self.local("y")
                self.line(f"{self._vector(store.operand, width)} {vectors[number]};")
        for k in range(width):
            each = turn if vector is None else _fixed(turn, {vector.index: k})
            scope = self._scopes[-1]
            self._scopes.append(type(scope)(scope))
            values = self._values([store.value for store in each])
            if len(each) > 1:
                names = []
                for store, value in zip(each, values, strict=True):
                    names.append(self.local("v"))
                    self.line(f"const {self.type(store.operand.type.element)} {names[-1]} = {value};")
                values = names
            for number, (store, value) in enumerate(zip(each, values, strict=True)):
                goal = f"{vectors[number]}.s[{k}]" if number in vectors else self.place(store)
                self.line(f"{goal} = {value};")
            self._scopes.pop()
        for number, name in vectors.items():
            store = turn[number]
            self.line(f"{self._vector_place(store, vector, self._vector(store.operand, width), '')} = {name};")

    def _is_own(self, operand: Operand) -> bool:
        return operand in self._own

    def _is_shared(self, operand: Operand) -> bool:
        return operand in self._arrays and operand not in self._own

    @property
    def _own(self) -> set[Operand]:
        """Scratch that each lane has for itself."""
        known = self.__dict__.get("_own_scratch")
        if known is None:
            lanes = [s for s in enclosed(self.program.statements) if isinstance(s, Loop) and s.role == "lane"]
            known = {s.operand for lane in lanes for s in enclosed(lane.body) if isinstance(s, Scratch)}
            self.__dict__["_own_scratch"] = known
        return known

    def _way(self, access: Load | Store, index: Index) -> str:
        """How an access goes along a vector: "fixed", "vector" of neighbours in the caller's memory, or "apart"."""
        moving = []
        for axis, subscript in enumerate(access.subscripts):
            if index in postorder((subscript,)):
                form = coefficients(subscript, _Still(index))
                moving.append((axis, form[1].get(index) if form is not None else None))
        if access.operand in self._arrays:
            return "apart" if moving else "fixed"
        moving = [(axis, step) for axis, step in moving if self.stride(access.operand, axis) != "0"]
        if not moving:
            return "fixed"
        size = access.operand.type.element.itemsize
        one = len(moving) == 1 and moving[0][1] == 1
        return "vector" if one and self.stride(access.operand, moving[0][0]) == str(size) else "apart"

    def _vector(self, operand: Operand, width: int) -> str:
        """The type of neighbours that are loaded or stored at once."""
        t = operand.type.element
        name = f"arrayexpr_{t.name}_{width}"
        align = min(_WIDEST, width * t.itemsize)
        self.helpers.setdefault(f"typedef struct ALIGNED({align}) {{ {self.type(t)} s[{width}]; }} {name};")
        return name

    def _vector_place(self, access: Load | Store, vector: For | None, vector_type: str, const: str) -> str:
        assert vector is not None
        first = _fixed((access,), {vector.index: 0})[0]
        base = self.names.of("operand", access.operand.name)
        return (
            f"*(GLOBAL {const}{vector_type} *)({base}{self.offset(first.operand, list(enumerate(first.subscripts)))})"
        )


N = TypeVar("N", bound=Node)


class _Still(dict[Node, int]):
    """What does not vary with an index, and of which only that is asked."""

    def __init__(self, index: Index):
        self.index = index

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Node) and self.index not in postorder((node,))

    def __missing__(self, node: Node) -> int:
        return 0


def _fixed(nodes: Sequence[N], places: Mapping[Node, int]) -> list[N]:
    """Nodes with indices at places, sums of numbers folded."""
    if not places:
        return list(nodes)
    new: dict[Node, Node] = {}
    for node in postorder(nodes):
        if node in places:
            new[node] = integer(places[node])
            continue
        args = tuple(new[arg] for arg in node.args)
        if args == node.args:
            new[node] = node
        elif isinstance(node, Apply) and node.op.name == "add" and node.type.element.name == "int64":
            new[node] = plus(*args) if not isinstance(args[0], Constant) else plus(args[1], args[0])
        elif isinstance(node, Apply) and node.op.name == "multiply" and node.type.element.name == "int64":
            new[node] = times(*args)
        else:
            new[node] = rebuild(node, args)
    # Of each class what it was: only what is in it has changed.
    return [cast(N, new[node]) for node in nodes]
