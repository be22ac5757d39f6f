"""The one printer of the C family: walks a schedule, and owns names, precedence and literals.

A dialect (C, OpenCL, CUDA) is a table of differences: see `Dialect`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from arrayexpr._core.errors import UnsupportedError
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Barrier,
    Call,
    Cast,
    Constant,
    Disjoint,
    Extent,
    For,
    Function,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Pack,
    Scratch,
    Store,
    Stride,
    postorder,
)
from arrayexpr._core.ops import Operator
from arrayexpr._core.passes.joint import scalars_of
from arrayexpr._core.passes.nests import enclosed, is_constant, memory_order
from arrayexpr._core.passes.products import is_product
from arrayexpr._core.program import Program, assigned_operand
from arrayexpr._core.types import APART, BOOL, INT64, ElementType, complex_of, element, real_of
from arrayexpr._core.vector_math import EXACT, function_of

from . import prefetches, products, quotients, streams, strips
from .addresses import address
from .folds import Folds
from .lanes import Lanes
from .packs import Packs

_SUFFIX = {"float32": "f", "float64": "", "longdouble": "l", "complex64": "f", "complex128": "", "clongdouble": "l"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one language of the family differs from the others."""

    name: str
    #: our element type's name → the language's type
    types: dict[str, str]
    #: role → lines put before a loop of that role
    pragmas: dict[str, tuple[str, ...]]
    #: the type of lengths, strides and loop coordinates
    index: str = "ptrdiff_t"
    literal_int64: str = "INT64_C({})"
    literal_uint64: str = "UINT64_C({})"
    barrier: str = ";"
    #: the test that two arrays share no memory, by their places, ranks and sizes of elements
    disjoint: str = ""
    #: what stands before the type that a pointer to the caller's memory points to
    global_space: str = ""
    #: what aligns an array to a vector
    aligned: str = ""
    #: what has a function of one element called on vectors
    vector_form: str = ""
    #: whether primitives/vector_math.h compiles
    vector_math: bool = False
    #: our real and complex types' names → the suffix of the library's functions of them
    suffixes: Mapping[str, str] = field(default_factory=lambda: dict(_SUFFIX))
    #: element types that no cast converts → the text that makes a float32 or, with "64", a float64 one of them, and the
    #: text that makes one a float32
    conversions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    #: element types the language has no arithmetic for → the type to compute in
    widened: dict[str, str] = field(default_factory=lambda: {"float16": "float32"})


#: Precedence levels of C, loosest first, as far as text is put together without parentheses.
_CHOICE, _EITHER, _BOTH, _COMPARE, _SUM, _PRODUCT, _UNARY, _ATOM = 1, 2, 3, 4, 9, 10, 11, 20
_PLAIN_INFIX = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT}

#: Tests of lengths and strides: no operand of theirs has an effect, and what is not needed is not tested.
_CONDITIONS = {
    **{"equal": ("==", _COMPARE), "not_equal": ("!=", _COMPARE), "less": ("<", _COMPARE), "greater": (">", _COMPARE)},
    **{"less_equal": ("<=", _COMPARE), "greater_equal": (">=", _COMPARE)},
    **{"logical_and": ("&&", _BOTH), "logical_or": ("||", _EITHER)},
}

#: A loop of so many operations at the most is bound by memory, and of so many elements at the least worth alignment.
_FEW, _LONG = 8, 64

OPENCL_WORDS = frozenset("kernel global local constant private half uchar ushort uint ulong".split())
#: Words that no name of ours can be.
KEYWORDS = OPENCL_WORDS | frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    bool true false asm typeof int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t ptrdiff_t size_t
    arrays scratch threads raised main NAN INFINITY I complex errno stdin stdout stderr linux unix NULL
    abs cos div erf exp fma j0 j1 jn log pow sin tan y0 y1 yn""".split()
)
#: The names of each kind that no library has taken, unless they are among the ones above.
_OWN = {"function": "", "operand": r"[A-Za-z]\w{0,2}", "index": r"[A-Za-z]{1,2}\d*(_\d+)*", "value": r"\w+"}
#: Constants that nothing uses are not written.
_CONSTANT = re.compile(r" *const [\w ]+ (\w+) = .*;")
_WORD = re.compile(r"[A-Za-z_]\w*")
#: The functions of C's complex numbers that sources of operators call.
_LIBRARY = re.compile(r"\b(c(?:exp|log|pow))_\$N\(")
FLOAT32 = element("float32")


class Names:
    """C identifiers for the names of a program: as they are where C allows, and never twice."""

    def __init__(self, reserved: Sequence[str] = ()):
        self._given: dict[tuple[str, str], str] = {}
        self._taken = set(KEYWORDS) | set(reserved)

    def of(self, kind: str, name: str) -> str:
        """The identifier for a name of one kind (`operand`, `index`, `value`), the same each time."""
        known = self._given.get((kind, name))
        return self._give(kind, name, ()) if known is None else known

    def declare(self, operand: Operand) -> None:
        """Name an operand so that the names of its lengths and strides are free as well."""
        if ("operand", operand.name) not in self._given:
            axes = range(operand.type.rank)
            self._give("operand", operand.name, [f"_{mark}{axis}" for axis in axes for mark in ("", "n")])

    def _give(self, kind: str, name: str, derived: Sequence[str]) -> str:
        plain = re.sub(r"[^A-Za-z0-9_]", lambda m: f"u{ord(m[0]):x}", name)
        # Names that begin with an underscore are the implementation's.
        if plain.startswith("_"):
            plain = "x" + plain
        # Longer names may be those of functions and macros of C's library, which none ends with an underscore.
        if not re.fullmatch(_OWN[kind], plain):
            plain += "_"
        while plain in self._taken or any(plain + end in self._taken for end in derived):
            plain += "_"
        self._taken.update((plain, *(plain + end for end in derived)))
        self._given[kind, name] = plain
        return plain


@dataclass(frozen=True, slots=True)
class _Row:
    """The address of a row by name, and the axes of the operand along which a loop walks from it."""

    name: str
    axes: tuple[int, ...]


class _Scope:
    """The names given to rows, loaded values and bounds within a loop, those of the loops around included."""

    def __init__(self, outer: _Scope | None = None):
        self.rows: dict[tuple[Node, ...], _Row] = dict(outer.rows) if outer else {}
        self.loaded: dict[Node, str] = dict(outer.loaded) if outer else {}
        self.bounds: dict[Node, str] = dict(outer.bounds) if outer else {}


def _place_of(access: Load | Store) -> tuple[Node, ...]:
    return (access.operand, *access.subscripts)


class Writer:
    """Writes the statements of one scheduled program in one dialect.

    Use: `body(statements)` gives the lines; `helpers` then holds the C that they call, in order.
    """

    def __init__(self, program: Program, dialect: Dialect, reserved: Sequence[str] = ()):
        self.program = program
        self.dialect = dialect
        self.names = Names(reserved)
        for node in (*program.declared, *postorder(program.statements)):
            if isinstance(node, Operand):
                self.names.declare(node)
        self.helpers: dict[str, None] = {}
        self.lines: list[str] = []
        self.depth = 1
        self.may_raise: str | None = None
        self._scratch: set[Operand] = set()
        #: Scratch that each iteration of a loop of the schedule has for itself, and single elements.
        self.automatic = {
            s.operand
            for outer in enclosed(program.statements)
            for s in (enclosed(outer.body) if type(outer) is Loop else (outer,))
            if isinstance(s, Scratch) and is_constant(s) and (type(outer) is Loop or not s.extents)
        }
        #: Scalars whose value is not the same all along.
        self.changing = changing(program)
        #: Whether operands of other names surely share no memory, in loops as they were written too.
        self.apart = True
        #: Whether the lines that are written are of a schedule: where its operands overlap it does not run.
        self._tested = False
        #: Loops over strips of a row that was swept before: the loop over rows, and what they load of the row.
        self._swept: dict[For, tuple[For, list[Load]]] = {}
        self.vector_math = dialect.vector_math and (program.target is None or program.target.vector_math)
        self._facts: list[set[Node]] = [set()]
        self._scopes = [_Scope()]
        self._count = 0
        #: The names of composite functions that are among the helpers.
        self.functions: dict[Function, str] = {}
        self.folds = Folds(self)
        self.registers = Lanes(self)
        self.packs = Packs(self)
        self._outermost = True

    # -- statements --

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text if text else "")

    def body(self, statements: Sequence[Node]) -> list[str]:
        """The lines for statements, indented by one level."""
        for statement in statements:
            self.statement(statement)
        self._drop_unused()
        return self.lines

    def leave(self) -> None:
        """Forget the names of values that the lines so far declare: what follows is another function's."""
        self._scopes[:] = [_Scope()]

    def _drop_unused(self) -> None:
        """Leave out the constants that turned out not to be needed."""
        uses: dict[str, int] = {}
        for line in self.lines:
            for word in _WORD.findall(line):
                uses[word] = uses.get(word, 0) + 1
        kept = []
        # Backwards, since what a dropped line used may be unused then.
        for line in reversed(self.lines):
            found = _CONSTANT.fullmatch(line)
            if found is not None and uses[found[1]] == 1:
                for word in _WORD.findall(line):
                    uses[word] -= 1
            else:
                kept.append(line)
        self.lines[:] = reversed(kept)

    def statement(self, statement: Node) -> None:
        if type(statement) is Loop or type(statement) is For:
            self._loop(statement)
        elif isinstance(statement, Store):
            self._stores((statement,))
        elif isinstance(statement, Guard):
            self._guard(statement)
        elif isinstance(statement, Scratch):
            self._declare_scratch(statement)
        elif isinstance(statement, Pack):
            self.packs.copy(statement)
        elif isinstance(statement, Barrier):
            self.line(self.dialect.barrier)
        elif isinstance(statement, Assign) and is_product(statement):
            products.assign(self, statement)
        else:
            raise UnsupportedError(f"{type(statement).__name__} has no {self.dialect.name} form: {statement!r}")

    def _block(self, statements: Sequence[Node]) -> None:
        self.depth += 1
        self.packs.look(statements)
        stores: list[Store] = []
        for statement in statements:
            # Stores are written together, so that what their values share is computed once; not where one
            # reads what another one stores, or may where operands are not known to be apart.
            if isinstance(statement, Store):
                stored = {store.operand for store in stores}
                loads = {n.operand for n in postorder((statement.value,)) if isinstance(n, Load)}
                if not stored.isdisjoint(loads) or not (
                    self.apart or self._tested or stored <= self._scratch or loads <= self._scratch
                ):
                    self._stores(stores)
                    stores = []
                stores.append(statement)
                continue
            self._stores(stores)
            stores = []
            self.statement(statement)
        self._stores(stores)
        self.depth -= 1

    def scoped(self, statements: Sequence[Node]) -> None:
        """The statements of a block, whose names end with it."""
        self._scoped_block(statements)

    def _scoped_block(self, statements: Sequence[Node]) -> None:
        self._scopes.append(_Scope(self._scopes[-1]))
        self._block(statements)
        self._scopes.pop()

    @contextmanager
    def inner(self) -> Iterator[None]:
        """What is written is one level deeper, and what it names is known there alone."""
        self.depth += 1
        self._scopes.append(_Scope(self._scopes[-1]))
        yield
        self._scopes.pop()
        self.depth -= 1

    def _loop(self, loop: For) -> None:
        if strips.call(self, loop) or quotients.call(self, loop):
            return
        outermost, tested = self._outermost, self._tested
        self._outermost, self._tested = False, type(loop) is Loop
        role = loop.role if isinstance(loop, Loop) else "serial"
        compare = ">" if isinstance(loop.step, Constant) and loop.step.value < 0 else "<"
        innermost = not any(isinstance(s, For | Guard) for s in loop.body)
        if role == "block":
            self.packs.blocks.add(loop.index)
        opened = loop if isinstance(loop, Loop) and self.folds.outermost(loop) else None
        folds = self.folds.start(opened) if opened else ()
        start, stop, step = (self.bound(x) for x in (loop.start, loop.stop, loop.step))
        with self.registers.beside(loop, start, stop):
            self._scopes.append(_Scope(self._scopes[-1]))
            if innermost and self._walks(loop):
                # Rows are named, and what does not move is loaded, where the loop runs at all.
                runs = isinstance(loop.start, Constant) and isinstance(loop.stop, Constant) and start != stop
                self.line("{" if runs else f"if ({start} {compare} {stop}) {{")
                self.depth += 1
                if role != "reduce":
                    self._name_rows(loop)
            if isinstance(loop, Loop) and role == "reduce" and innermost:
                self.folds.strip(loop, start, stop)
            else:
                self._walk(loop, role, start, stop, step, compare)
            if innermost and self._walks(loop):
                self.depth -= 1
                self.line("}")
            self._scopes.pop()
            self.folds.end(folds)
        self._outermost, self._tested = outermost, tested
        if outermost and role != "parallel":
            streams.end(self, loop)

    def _walk(self, loop: For, role: str, start: str, stop: str, step: str, compare: str) -> None:
        i = self.names.of("index", loop.index.name)
        if streams.loop(self, loop, i, start, stop, step):
            return
        begun = any(isinstance(s, For | Guard) for s in loop.body) and strips.vectors(self, loop, i, start, stop)
        advance = f"++{i}" if step == "1" else f"{i} += {step}"
        alike = self._alike(loop, role)
        if alike:
            self._lead(loop, alike, i, start, stop)
        for pragma in self.dialect.pragmas.get(role, ()):
            self.line(pragma)
        begin = "" if begun or alike else f"{self.dialect.index} {i} = {start}"
        self.line(f"for ({begin}; {i} {compare} {stop}; {advance}) {{")
        self._swept.update({strip: (loop, loads) for strip, loads in prefetches.strips_of(loop).items()})
        if isinstance(loop.step, Constant):
            self.prefetch(loop, loop.step.value, stop)
        if any(isinstance(s, Scratch) and s.operand not in self.automatic for s in enclosed(loop.body)):
            # Every iteration has the same memory.
            own = self.local("m")
            with self.inner():
                self.line(f"void *const {own} = scratch;")
            self._block(loop.body)
            with self.inner():
                self.line(f"scratch = {own};")
        else:
            self._block(loop.body)
        if role == "parallel":
            self.depth += 1
            streams.end(self, loop)
            self.depth -= 1
        self.line("}")
        if begun:
            self.line("#endif")
        if begun or alike:
            self.depth -= 1
            self.line("}")

    def _alike(self, loop: For, role: str) -> list[Load | Store]:
        """The first two accesses of a vector loop over an axis that may lie alike, where it is worth aligning them."""
        if role != "vector" or not self.dialect.aligned or not isinstance(loop, Loop):
            return []
        nodes = postorder(loop.body)
        operations = [node for node in nodes if isinstance(node, Apply) and node.type is not None]
        whole = (
            isinstance(loop.start, Constant) and loop.step == Constant(1, INT64) and not isinstance(loop.stop, Constant)
        )
        if not whole or len(operations) > _FEW:
            return []
        # Where elements are loaded one by one, or shuffled, whole lines of the result do not pay for the few before.
        if any(isinstance(node, Load) and self._leaps(node, loop.index) for node in nodes):
            return []
        accesses = {
            n.operand: n
            for n in reversed(nodes)
            if isinstance(n, Load | Store) and n.operand not in self._scratch and address(self, n, loop) is not None
        }
        found = list(reversed(accesses.values()))
        return found[:2] if len(found) > 1 and any(isinstance(n, Store) for n in found) else []

    def _leaps(self, load: Load, index: Index) -> bool:
        """Whether neighbours of a loop, as far as is known, are no neighbours in memory."""
        size = load.operand.type.element.itemsize
        moving = [axis for axis, subscript in enumerate(load.subscripts) if index in postorder((subscript,))]
        return any(self.stride(load.operand, axis) not in ("0", str(size), str(-size)) for axis in moving)

    def _lead(self, loop: For, accesses: Sequence[Load | Store], i: str, start: str, stop: str) -> None:
        """Write the elements before the first cache line of two accesses that lie alike; a block is open afterwards.

        Of operands that lie alike no vector is in two lines then: a * b + c of 1,000 doubles takes 46 ns, and not 94.
        Where they do not, 72 ns without and 88 with the result aligned: what is loaded is in two lines then.
        """
        n = self.local("n")
        self.line("{")
        self.depth += 1
        self.line(f"{self.dialect.index} {i} = {start};")
        first, second = (f"(intptr_t)&{self.place(access)}" for access in accesses)
        lead = f"(-{first} & 63) / {accesses[0].operand.type.element.itemsize}"
        apart = f"{stop} - {i} < {_LONG} || ({first} ^ {second}) & 63"
        self.line(f"const {self.dialect.index} {n} = {apart} ? {i} : {i} + {lead};")
        for pragma in self.dialect.pragmas.get("vector", ()):
            self.line(pragma)
        self.line(f"for (; {i} < {n}; ++{i}) {{")
        self._block(loop.body)
        self.line("}")

    def is_scratch(self, operand: Operand) -> bool:
        """Whether an operand is scratch that the lines so far declare."""
        return operand in self._scratch

    def prefetch(self, strip: For, count: int, stop: str) -> None:
        """Where a loop over strips computes on a row that was swept, prefetch so many elements of the next row."""
        if strip in self._swept:
            self.depth += 1
            prefetches.write(self, strip, *self._swept[strip], count, stop)
            self.depth -= 1

    def accumulate(self, loop: Loop, start: str, stop: str, variables: Mapping[Store, str]) -> None:
        """A loop that puts what stores would into variables, which are read where the stored elements are."""
        i = self.names.of("index", loop.index.name)
        self.line(f"for ({self.dialect.index} {i} = {start}; {i} < {stop}; ++{i}) {{")
        self.depth += 1
        for store, variable in variables.items():
            self._scopes[-1].loaded[Load(store.operand, store.subscripts)] = variable
        values = self._values([store.value for store in variables])
        for variable, value in zip(variables.values(), values, strict=True):
            self.line(f"{variable} = {value};")
        self.depth -= 1
        self.line("}")

    def bound(self, expression: Node) -> str:
        """A loop bound as a name or a number: computed once, and plainly fixed to the compiler."""
        known = self._scopes[-1].bounds
        for node in postorder((expression,)):
            # A choice of bounds: the test is written once.
            match node:
                case Apply(op, (Apply(test) as condition, _, _)) if (op.name, test.name) == ("where", "logical_and"):
                    self.bound(condition)
        text = self.integer(expression)
        if re.fullmatch(r"-?\w+", text):
            return text
        if expression not in known:
            name = self.local("n")
            self.line(f"const {self.dialect.index} {name} = {text};")
            if not self.changing.isdisjoint(postorder((expression,))):
                return name
            known[expression] = name
        return known[expression]

    @staticmethod
    def _walks(loop: For) -> bool:
        return any(isinstance(n, Load | Store) and n.operand.type.rank for n in postorder(loop.body))

    def _name_rows(self, loop: For) -> None:
        """Name the row that each access of an innermost loop walks along; load what it does not walk."""
        scope = self._scopes[-1]
        nodes = postorder(loop.body)
        stored = {n.operand for n in nodes if isinstance(n, Store)}
        stored |= {assigned_operand(n.target) for n in nodes if isinstance(n, Assign)}
        own = {s.operand for s in loop.body if isinstance(s, Scratch)}
        for node in nodes:
            if not isinstance(node, Load | Store) or _place_of(node) in scope.rows or node in scope.loaded:
                continue
            operand = node.operand
            if operand in own:
                continue
            moving = tuple(k for k, s in enumerate(node.subscripts) if loop.index in postorder((s,)))
            still = [(k, s) for k, s in enumerate(node.subscripts) if k not in moving]
            fixed = all(self.stride(operand, k) == "0" for k in moving)
            c_type = self.type(operand.type.element)
            alone = self._tested or self.apart or operand in self._scratch
            if isinstance(node, Load) and fixed and operand not in stored and alone:
                name = self.local("s")
                self.line(f"const {c_type} {name} = {self._load(node)[0]};")
                scope.loaded[node] = name
                continue
            name = self.local("p")
            const = "" if operand in stored else "const "
            base = self.names.of("operand", operand.name)
            self.line(f"{const}{c_type} *{name} = ({const}{c_type} *)({base}{self.offset(operand, still)});")
            scope.rows[_place_of(node)] = _Row(name, moving)

    def _guard(self, guard: Guard, opening: str = "") -> None:
        condition = self._condition(guard.condition)
        self.line(f"{opening}if ({condition}) {{")
        self._facts.append(self._facts[-1] | _conjuncts(guard.condition))
        self._scoped_block(guard.then)
        self._facts.pop()
        match guard.otherwise:
            case (Guard() as other,) if is_whole(other.condition):
                # Such a test needs no lines before it.
                self._guard(other, "} else ")
                return
            case ():
                pass
            case _:
                self.line("} else {")
                self._scoped_block(guard.otherwise)
        self.line("}")

    def _condition(self, condition: Node) -> str:
        return self.integer(condition) if is_whole(condition) else self.expression(condition)

    def _declare_scratch(self, statement: Scratch) -> None:
        """Take the next part of the caller's scratch, contiguous in C order; inside of loops, an array of their own."""
        operand = statement.operand
        name = self.names.of("operand", operand.name)
        self._scratch.add(operand)
        if operand in self.automatic:
            memory = self.local("m")
            count = math.prod(extent.value for extent in statement.extents if isinstance(extent, Constant))
            self.line(f"{self.type(operand.type.element)} {memory}[{count}] {self.dialect.aligned};")
            self.line(f"char *const {name} = (char *){memory};")
            self._declare_strides(statement)
            return
        size = self.local("n")
        extents = [self.integer(e, _PRODUCT) for e in statement.extents]
        self.line(f"const {self.dialect.index} {size} = {' * '.join([*extents, str(operand.type.element.itemsize)])};")
        self.line(f"char *{name} = (char *)scratch;")
        self.line(f"scratch = (char *)scratch + ({size} + 63) / 64 * 64;")
        self._declare_strides(statement)

    def _declare_strides(self, statement: Scratch) -> None:
        operand = statement.operand
        name = self.names.of("operand", operand.name)
        axes = memory_order(operand)
        for place, axis in enumerate(axes[:-1]):
            rest = [self.integer(statement.extents[k], _PRODUCT) for k in axes[place + 1 :]]
            stride = " * ".join([*rest, str(operand.type.element.itemsize)])
            self.line(f"const {self.dialect.index} {name}_{axis} = {stride};")

    def _stores(self, stores: Sequence[Store]) -> None:
        if not stores:
            return
        values = self._values([store.value for store in stores])
        if len(stores) > 1:
            named = []
            for store, value in zip(stores, values, strict=True):
                name = self.local("v")
                self.line(f"const {self.type(store.operand.type.element)} {name} = {value};")
                named.append(name)
            values = named
        for store, value in zip(stores, values, strict=True):
            self.line(f"{self.place(store)} = {value};")

    # -- addresses --

    def place(self, access: Load | Store) -> str:
        """The element that is loaded or stored, as an lvalue."""
        operand = access.operand
        const = "" if isinstance(access, Store) else "const "
        c_type = self.type(operand.type.element)
        row = self._scopes[-1].rows.get(_place_of(access))
        if row is None:
            base = self.names.of("operand", operand.name)
            space = self.dialect.global_space
            return f"*({space}{const}{c_type} *)({base}{self.offset(operand, list(enumerate(access.subscripts)))})"
        if not row.axes:
            return f"*{row.name}"
        moving = [(k, access.subscripts[k]) for k in row.axes]
        size = operand.type.element.itemsize
        if len(moving) == 1 and self.stride(operand, row.axes[0]) in (str(size), str(-size)):
            subscript = self.integer(moving[0][1])
            if self.stride(operand, row.axes[0]) == str(-size):
                subscript = f"-{self._wrap(subscript)}"
            return f"{row.name}[{subscript}]"
        return f"*({const}{c_type} *)(({const}char *){row.name}{self.offset(operand, moving)})"

    def offset(self, operand: Operand, places: Sequence[tuple[int, Node]]) -> str:
        """What is added to an operand's address for subscripts along some of its axes."""
        text = ""
        for axis, subscript in places:
            stride = self.stride(operand, axis)
            if stride == "0" or (isinstance(subscript, Constant) and subscript.value == 0):
                continue
            text += f" + {self.integer(subscript, _PRODUCT)} * {stride}"
        return text

    def stride(self, operand: Operand, axis: int) -> str:
        """The bytes between neighbours: a number where a layout, types or an enclosing guard tell it."""
        size = operand.type.element.itemsize
        if operand in self._scratch:
            if axis == memory_order(operand)[-1]:
                return str(size)
            return f"{self.names.of('operand', operand.name)}_{axis}"
        layout = self.program.layouts.get(operand.name)
        if layout is not None:
            return "0" if layout.shape[axis] == 1 else str(layout.strides[axis])
        known = operand.type.layout[axis]
        if known in APART:
            return str(size * APART[known])
        for fact in self._facts[-1]:
            match fact:
                case Apply(op, (Stride(subject, place), Constant(value))) if op.name == "equal":
                    if subject is operand and place == axis:
                        return str(value)
        return f"{self.names.of('operand', operand.name)}_{axis}"

    # -- expressions --

    def type(self, t: ElementType) -> str:
        try:
            return self.dialect.types[t.name]
        except KeyError:
            raise UnsupportedError(f"element type {t} has no {self.dialect.name} form") from None

    def local(self, letter: str) -> str:
        """A new name."""
        self._count += 1
        return self.names.of("value", f"{letter}{self._count}")

    def integer(self, expression: Node, level: int = 0) -> str:
        """An int64 expression over indices, lengths and strides, in the dialect's index type."""
        text: dict[Node, tuple[str, int]] = {}
        named = self._scopes[-1].bounds
        for node in postorder((expression,)):
            if node in named:
                text[node] = (named[node], _ATOM)
                continue
            match node:
                case Constant(value) if node.type.element.kind in "iu":
                    text[node] = (str(value), _ATOM if value >= 0 else _UNARY)
                case Constant():
                    text[node] = self.literal(node)
                case Index(name):
                    text[node] = (self.names.of("index", name), _ATOM)
                case Extent(operand, axis):
                    text[node] = (f"{self.names.of('operand', operand.name)}_n{axis}", _ATOM)
                case Stride(operand, axis):
                    text[node] = (f"{self.names.of('operand', operand.name)}_{axis}", _ATOM)
                case Operand() if node.type.element is INT64 and not node.type.rank:
                    text[node] = self._load(Load(node, ()))
                case Operand():
                    continue
                case Disjoint() if self.dialect.disjoint:
                    text[node] = (self.disjoint(node), _UNARY)
                case Apply(op, args) if all(a in text for a in args):
                    text[node] = self._integer_apply(op, [text[a] for a in args])
                case _:
                    text[node] = (f"({self.dialect.index}){self._wrap(self._values((node,))[0])}", _UNARY)
        return _parenthesise(text[expression], level)

    def disjoint(self, node: Disjoint) -> str:
        """The test that two operands share no memory."""
        place = {operand: k for k, operand in enumerate(self.program.declared)}
        one, other = node.one, node.other
        sizes = (x for o in (one, other) for x in (place[o], o.type.rank, o.type.element.itemsize))
        return self.dialect.disjoint.format("overlap" if node.same else "share", *sizes)

    def know(self, expression: Node, name: str) -> None:
        """Take the value of an expression from a variable from here on."""
        self._scopes[-1].bounds[expression] = name

    def _integer_apply(self, op: Operator, args: list[tuple[str, int]]) -> tuple[str, int]:
        if op.symbol in _PLAIN_INFIX and len(args) == 2:
            own = _PLAIN_INFIX[op.symbol]
            left, right = _parenthesise(args[0], own), _parenthesise(args[1], own + 1)
            return f"{left} {op.symbol} {right}", own
        x, y = (_parenthesise(a, _ATOM) for a in args) if len(args) == 2 else (args[0][0], "")
        if op.name in _CONDITIONS:
            sign, own = _CONDITIONS[op.name]
            # Of && within || compilers warn.
            least = [own if level == own else _COMPARE for _, level in args] if own < _COMPARE else [_SUM, _SUM]
            return f" {sign} ".join(map(_parenthesise, args, least)), own
        if op.name == "logical_not":
            return f"!{x}", _UNARY
        if op.name == "where":
            condition, x, y = (_parenthesise(a, _COMPARE) for a in args)
            return f"{condition} ? {x} : {y}", _CHOICE
        if op.name in ("minimum", "maximum"):
            sign = "<" if op.name == "minimum" else ">"
            return f"({x} {sign} {y} ? {x} : {y})", _ATOM
        return self._spelled(op, INT64, [a if p >= _ATOM else f"({a})" for a, p in args])

    def expression(self, expression: Node) -> str:
        """A scalar expression on one line; locals that it needs are written first."""
        return self._values((expression,))[0]

    def expressions(self, expressions: Sequence[Node]) -> list[str]:
        """Scalar expressions that share what they have in common, each on one line."""
        return self._values(expressions)

    def _wrap(self, text: str) -> str:
        return text if re.fullmatch(r"[\w.]+", text) else f"({text})"

    def _values(self, roots: Sequence[Node]) -> list[str]:
        """Texts for scalar expressions; what is used more than once, or is long, becomes a local."""
        order = [n for n in postorder(roots) if n.type is not None]
        inside = self._subscript_nodes(order, roots)
        uses: dict[Node, int] = {}
        for node in order:
            if node not in inside and not isinstance(node, Load | Extent | Stride):
                for child in node.args:
                    uses[child] = uses.get(child, 0) + 1
        text: dict[Node, tuple[str, int]] = {}
        for node in order:
            if node in inside:
                continue
            match node:
                case Constant():
                    text[node] = self.literal(node)
                case Load():
                    text[node] = self._load(node)
                case Index() | Extent() | Stride():
                    text[node] = (f"(int64_t){self.integer(node, _UNARY)}", _UNARY)
                case Apply(op, (Stride() as left, Constant() as right)) if op.name == "equal":
                    text[node] = (f"({self.integer(left)} == {self.integer(right)})", _ATOM)
                case Operand() if node.type.rank == 0:
                    text[node] = self._load(Load(node, ()))
                case Cast(arg):
                    text[node] = self._cast(arg.type.element, node.type.element, text[arg])
                case Apply(op, args):
                    text[node] = self._apply(op, args, text)
                case Function():
                    text[node] = (self._function(node), _ATOM)
                    continue
                case Call(function, arguments):
                    given = ", ".join(text[a][0] for a in arguments)
                    text[node] = (f"{text[function][0]}({given})", _ATOM)
                case _:
                    raise UnsupportedError(f"{type(node).__name__} has no {self.dialect.name} form: {node!r}")
            shared = uses.get(node, 0) > 1 and not isinstance(node, Constant)
            if shared or len(text[node][0]) > 100:
                name = self.local("t")
                self.line(f"const {self.type(node.type.element)} {name} = {text[node][0]};")
                text[node] = (name, _ATOM)
        return [text[root][0] for root in roots]

    def _function(self, function: Function) -> str:
        """The name of a composite function in C; those that it calls are put among the helpers before it."""
        for node in postorder((function,), True):
            if isinstance(node, Function) and node not in self.functions:
                inner = Writer(Program(node.name, node.params, (), target=self.program.target), self.dialect)
                # Its names are its own, but for those of functions.
                inner.functions, inner.helpers = self.functions, self.helpers
                inner.names = Names(list(self.functions.values()))
                for param in node.params:
                    inner._scopes[-1].loaded[Load(param, ())] = inner.names.of("value", param.name)
                value = inner.expression(node.body)
                name = self.names.of("function", node.name)
                given = ", ".join(
                    f"{self.type(param.type.element)} {inner.names.of('value', param.name)}" for param in node.params
                )
                head = f"static inline {self.type(node.type.element)} {name}({given or 'void'}) {{"
                lines = [
                    _vector_form(node) and self.dialect.vector_form,
                    head,
                    *inner.lines,
                    f"    return {value};",
                    "}",
                ]
                self.helpers["\n".join(line for line in lines if line)] = None
                self.functions[node] = name
        return self.functions[function]

    @staticmethod
    def _subscript_nodes(order: Sequence[Node], roots: Sequence[Node]) -> set[Node]:
        """Nodes that stand in subscripts only: `_place` writes those."""
        values = set(roots)
        for node in reversed(order):
            if node in values and not isinstance(node, Load | Extent | Stride):
                values.update(node.args)
        return {node for node in order if node not in values}

    def _load(self, node: Load) -> tuple[str, int]:
        if node in self._scopes[-1].loaded:
            return self._scopes[-1].loaded[node], _ATOM
        place = self.place(node)
        if node.type.element is BOOL:
            # Any byte but 0 is true, as in NumPy.
            return f"({place} != 0)", _ATOM
        return place, _ATOM if not place.startswith("*(") else _UNARY

    def literal(self, node: Constant) -> tuple[str, int]:
        """A constant, with the suffix that gives it its type."""
        t, value = node.type.element, node.value
        if t.kind == "b":
            return ("1" if value else "0"), _ATOM
        if t.kind == "c":
            parts = (np.real(value), np.imag(value)) if t.bits == 160 else (value.real, value.imag)
            inner = ", ".join(self._real_literal(p, real_of(t)) for p in parts)
            return f"({self.type(t)}){{{inner}}}", _ATOM
        if t.kind == "f":
            text = self._real_literal(value, t)
            return text, _ATOM if text[0] not in "-(" else _UNARY
        if t.bits == 64:
            form = self.dialect.literal_int64 if t.kind == "i" else self.dialect.literal_uint64
            if value == -(1 << 63):
                return f"({form.format(value + 1)} - 1)", _ATOM
            return (form.format(value), _ATOM) if value >= 0 else (f"({form.format(value)})", _ATOM)
        if value == -(1 << 31):
            return "(-2147483647 - 1)", _ATOM
        return f"{value}{'U' if t.kind == 'u' and t.bits == 32 else ''}", _ATOM if value >= 0 else _UNARY

    def _real_literal(self, value: float, t: ElementType) -> str:
        if t.bits == 16:
            return self._narrowed((self._real_literal(float(value), FLOAT32), _UNARY), FLOAT32, t)[0]
        if np.isnan(value):
            return f"({self.type(t)})NAN"
        if np.isinf(value):
            return f"{'-' if value < 0 else ''}({self.type(t)})INFINITY"
        if t.bits == 80:
            return np.format_float_scientific(value, unique=True) + "L"
        text = str(t.dtype.type(value))
        text = text if re.search(r"[.e]", text) else text + ".0"
        return text + ("f" if t.bits == 32 else "")

    def _apply(self, op: Operator, args: Sequence[Node], text: dict[Node, tuple[str, int]]) -> tuple[str, int]:
        own = args[1].type.element if op.signature.startswith("BT") else args[0].type.element
        if op.may_raise and own.kind in op.may_raise and op.raises_when:
            atoms = [self._atom(a, text)[0] for a in args]
            never = isinstance(args[-1], Constant) and args[-1].value >= 0
            if not never:
                self.may_raise = op.raises
                self.line(f"raised |= {_fill(op.raises_when, atoms)};")
        result = op.result(tuple(a.type.element for a in args))
        wide = self.dialect.widened.get(own.name)
        spelling = op.c if isinstance(op.c, Mapping) else {}
        if wide is not None and own.name not in spelling:
            computed = element(wide)
            parts = []
            for a in args:
                value, level = text[a]
                if a.type.element is own:
                    value, level = self._widened((value, level), own, computed)
                parts.append((value, level))
            spelled = self._operate(op, computed, parts, args, text)
            return self._narrowed(spelled, computed, own) if result is own else spelled
        spelled = self._operate(op, own, [text[a] for a in args], args, text)
        # C computes narrow integers as int: the result wraps to its own width at once, as in NumPy.
        if result.kind in "iu" and result.bits < 32 and op.signature.endswith((">T", ">R")):
            return f"({self.type(result)}){_parenthesise(spelled, _UNARY)}", _UNARY
        return spelled

    def _widened(self, text: tuple[str, int], of: ElementType, to: ElementType) -> tuple[str, int]:
        """A number of a type that the language does not compute in, as one that it does."""
        if of.name in self.dialect.conversions:
            return self.dialect.conversions[of.name][1].format(text[0]), _ATOM
        return f"({self.type(to)}){_parenthesise(text, _UNARY)}", _UNARY

    def _narrowed(self, text: tuple[str, int], of: ElementType, to: ElementType) -> tuple[str, int]:
        """A number as one of a type that the language does not compute in."""
        if to.name not in self.dialect.conversions:
            return f"({self.type(to)}){_parenthesise(text, _UNARY)}", _UNARY
        if of.bits == 64 and of.kind == "f":
            return self.dialect.conversions[to.name][0].format("64", text[0]), _ATOM
        if of is not FLOAT32:
            # Whole numbers that a float32 rounds are all beyond the range of half precision.
            text = f"({self.type(FLOAT32)}){_parenthesise(text, _UNARY)}", _UNARY
        return self.dialect.conversions[to.name][0].format("32", text[0]), _ATOM

    def _atom(self, node: Node, text: dict[Node, tuple[str, int]]) -> tuple[str, int]:
        """A text that may stand several times: a local unless it is a name or a number already."""
        value, level = text[node]
        number = isinstance(node, Constant) and node.type.element.kind != "c"
        if not re.fullmatch(r"[\w.]+", value) and not number:
            name = self.local("t")
            self.line(f"const {self.type(node.type.element)} {name} = {value};")
            text[node] = (name, _ATOM)
        return text[node]

    def _operate(
        self,
        op: Operator,
        t: ElementType,
        parts: list[tuple[str, int]],
        args: Sequence[Node],
        text: dict[Node, tuple[str, int]],
    ) -> tuple[str, int]:
        spelling = op.spelling(self.dialect.name, t)
        if spelling is None:
            raise UnsupportedError(f"operator {op.name} on {t} has no {self.dialect.name} form")
        own = _PLAIN_INFIX.get(op.symbol or "")
        if own is not None and op.arity == 2 and t.kind != "c":
            left, right = _parenthesise(parts[0], own), _parenthesise(parts[1], own + 1)
            return f"{left} {op.symbol} {right}", own
        for k, arg in enumerate(args):
            if spelling.count(f"{{{k}}}") > 1 or (t.kind == "c" and f"{{{k}}}." in spelling):
                if t.name == arg.type.element.name or not self.dialect.widened.get(arg.type.element.name):
                    parts[k] = self._atom(arg, text)
                elif not re.fullmatch(r"[\w.]+", parts[k][0]):
                    name = self.local("t")
                    self.line(f"const {self.type(t)} {name} = {parts[k][0]};")
                    parts[k] = (name, _ATOM)
        if "{" not in spelling:
            atoms = [p[0] for p in parts]
        else:
            atoms = [_parenthesise(p, _ATOM) for p in parts]
        return self._spelled(op, t, atoms)

    def _spelled(self, op: Operator, t: ElementType, atoms: list[str]) -> tuple[str, int]:
        """The operator's spelling for an element type over the texts of its operands."""
        spelling = op.spelling(self.dialect.name, t) or ""
        self.need(op, t)
        if "{" not in spelling:
            if t.kind == "c":
                return f"{self._complex_library(spelling, t)}({', '.join(atoms)})", _ATOM
            # Exact functions of one element are the C library's own.
            if self.vector_math and op.name not in EXACT and function_of(op, t) is not None:
                return f"{strips.function(self, op, t)}_1({', '.join(atoms)})", _ATOM
            return f"{spelling}{self.dialect.suffixes[t.name]}({', '.join(atoms)})", _ATOM
        filled = _fill(self._substitute(spelling, t), atoms)
        if op.symbol in ("<", ">", "<=", ">=", "==", "!=") and t.kind != "c":
            return f"({filled})", _ATOM
        whole = re.fullmatch(r"\w+\(.*\)|\(.*\)", filled) is not None and _balanced(filled)
        return filled, _ATOM if whole else 0

    def need(self, op: Operator, t: ElementType) -> None:
        """Put the functions that an operator's spelling calls among the helpers."""
        source = op.source_for(t)
        if source:
            if t.kind == "c":
                for function in _LIBRARY.findall(source):
                    self._complex_library(function, t)
            # One entry a function: rows may share some.
            for function in re.split(r"\n(?=static inline )", self._substitute(source, t).strip("\n")):
                self.helpers[function.strip("\n")] = None

    def _substitute(self, text: str, t: ElementType) -> str:
        part = real_of(t)
        for letter, name in (
            ("$T", self.type(t)),
            ("$R", self.type(part)),
            *([("$C", self.type(complex_of(t)))] if "$C" in text else ()),
            ("$N", t.name),
            ("$s", self.dialect.suffixes.get(t.name, "")),
        ):
            text = text.replace(letter, name)
        return text

    def _complex_library(self, function: str, t: ElementType) -> str:
        """The name of a function of C's complex numbers for ours, which is put among the helpers."""
        # C's own complex number is made without touching signs of zeros or infinities.
        self.helpers.setdefault(
            self._substitute("#define CMPLX_$N(re, im) ((union { $R p[2]; $R _Complex z; }){{re, im}}.z)", t)
        )
        name = f"{function}_{t.name}"
        params = ("x", "y") if function == "cpow" else ("x",)
        head = ", ".join(f"$T {x}" for x in params)
        given = ", ".join(f"CMPLX_$N({x}.re, {x}.im)" for x in params)
        body = (
            f"static inline $T {name}({head}) {{\n"
            f"    $R _Complex z = {function}$s({given});\n    return ($T){{creal$s(z), cimag$s(z)}};\n}}"
        )
        self.helpers[self._substitute(body, t)] = None
        return name

    def _unsigned_cast(self, of: ElementType, to: ElementType) -> str:
        """A conversion by the signed type, the upper half of the range moved down and back."""
        c_type, half = self.type(to), f"({self.type(of)}){1 << (to.bits - 1)}.0L"
        return (
            f"static inline {c_type} cast_{of.name}_{to.name}({self.type(of)} x) {{\n"
            f"    return x >= {half} ? ({c_type})(int{to.bits}_t)(x - {half}) ^ ({c_type})1 << {to.bits - 1}\n"
            f"        : ({c_type})(int{to.bits}_t)x;\n}}"
        )

    def _cast(
        self, of: ElementType, to: ElementType, text: tuple[str, int], part_of_complex: bool = False
    ) -> tuple[str, int]:
        value, level = text
        atom = _parenthesise(text, _ATOM)
        c_type = self.type(to)
        if of is to:
            return text
        if of.name in self.dialect.conversions:
            # As a part of a complex number: what NumPy makes of those and of halves are the same casts.
            return self._cast(FLOAT32, to, self._widened(text, of, FLOAT32), part_of_complex=True)
        if to.name in self.dialect.conversions and of.kind != "c":
            return self._narrowed(text, of, to)
        if of.kind == "c":
            if to.kind == "c":
                part = self.type(real_of(to))
                self.helpers.setdefault(
                    f"static inline {c_type} cast_{of.name}_{to.name}({self.type(of)} x) "
                    f"{{ return ({c_type}){{({part})x.re, ({part})x.im}}; }}"
                )
                return f"cast_{of.name}_{to.name}({value})", _ATOM
            if to.kind == "b":
                head = f"static inline {c_type} cast_{of.name}_bool({self.type(of)} x)"
                self.helpers.setdefault(f"{head} {{ return x.re != 0 || x.im != 0; }}")
                return f"cast_{of.name}_bool({value})", _ATOM
            return self._cast(real_of(of), to, (f"{atom}.re", _ATOM), part_of_complex=True)
        if to.kind == "c":
            part, _ = self._cast(of, real_of(to), text) if of is not real_of(to) else text
            return f"({c_type}){{{part}, 0}}", _ATOM
        if to.kind == "b":
            return f"({atom} != 0)", _ATOM
        if of.kind == "f" and to.kind in "iu":
            # Out of range the result is undefined in C: these are the conversions that x86 and NumPy's
            # scalar loops make, whatever the vector instructions would give.
            if to.bits == 32 and to.kind == "u" and (of.bits not in (32, 64) or part_of_complex):
                return f"({c_type})(int64_t){atom}", _UNARY
            if to.kind == "u" and to.bits >= 32:
                self.helpers.setdefault(self._unsigned_cast(of, to))
                return f"cast_{of.name}_{to.name}({value})", _ATOM
            if to.bits < 32:
                through = "int16_t" if of.bits == 80 and (to.kind == "i" or to.bits == 8) else "int32_t"
                return f"({c_type})({through}){atom}", _UNARY
        return f"({c_type}){atom}", _UNARY


def _vector_form(function: Function) -> bool:
    """Whether a compiler makes a form of a function that takes vectors: of numbers of one width."""
    types = {node.type.element for node in (*function.params, function)}
    return len({t.bits for t in types}) == 1 and all(t.kind in "fiu" and t.bits in (32, 64) for t in types)


def _conjuncts(condition: Node) -> set[Node]:
    """The conditions that all hold where one does."""
    if isinstance(condition, Apply) and condition.op.name == "logical_and":
        return _conjuncts(condition.args[0]) | _conjuncts(condition.args[1])
    return {condition}


def changing(program: Program) -> set[Node]:
    """The scalars that a program stores, or has for itself."""
    found: set[Node] = set(program.locals)
    for statement in enclosed(program.statements):
        if isinstance(statement, Store | Scratch):
            found.add(statement.operand)
        elif isinstance(statement, Assign):
            found.add(assigned_operand(statement.target))
    return {operand for operand in found if not operand.type.rank}


def of_lengths(condition: Node) -> bool:
    """Whether a test is of lengths, strides, memory and scalars that count alone."""
    return is_whole(condition) and not any(isinstance(node, Index) for node in postorder((condition,)))


def is_whole(condition: Node) -> bool:
    """The same, or of indices besides: it is one text of integers."""
    nodes = postorder((condition,))
    return all(scalar.type.element is INT64 for scalar in scalars_of(condition)) and all(
        isinstance(node, Extent | Stride | Constant | Apply | Disjoint | Index | Operand) for node in nodes
    )


def _parenthesise(text: tuple[str, int], level: int) -> str:
    return text[0] if text[1] >= level else f"({text[0]})"


def _fill(template: str, atoms: Sequence[str]) -> str:
    return re.sub(r"\{(\d)\}", lambda m: atoms[int(m[1])], template)


def _balanced(text: str) -> bool:
    """Whether the parenthesis that closes last is the first that opened."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and letter == ")":
            return place == len(text) - 1
    return False
