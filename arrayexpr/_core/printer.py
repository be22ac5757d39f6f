"""The text form: a program as Python syntax, that `parser.parse` reads back to an equal tree."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .errors import UnsupportedError
from .nodes import (
    EFFECTS,
    LEAVES,
    Apply,
    Assign,
    Barrier,
    Call,
    Cast,
    Constant,
    Contract,
    Extent,
    For,
    Function,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Opaque,
    Operand,
    Pack,
    Reduce,
    Scratch,
    SideEffect,
    Slice,
    Store,
    Stride,
    View,
    postorder,
)
from .ops import Operator, operators
from .types import ArrayType, ElementType, elements, real_of

if TYPE_CHECKING:
    from .program import Program

#: Statements stand inside one another no deeper than this: Python's tokenizer takes 100 levels.
MAX_NESTING: Final = 90

#: An expression is written out to this depth and about this many characters; what is below is an alias.
MAX_DEPTH: Final = 24
MAX_TEXT: Final = 1000

#: Words of the text form that stand where a function's name would.
FORMS: Final = frozenset(
    "apply barrier cast foreign layouts local opaque pack range reduce scratch side_effect unreorderable".split()
)

# Python's precedences, as in ops: an atom takes a subscript, a number only in parentheses.
LOOSEST: Final = 0
UNARY: Final = 11
POWER: Final = 12
NUMBER: Final = 13
ATOM: Final = 14

#: Python's operator symbols, by (symbol, arity), and the rows that own them.
SYMBOLS: Final[dict[tuple[str, int], Operator]] = {}
for _op in operators():
    if _op.symbol is not None:
        SYMBOLS.setdefault((_op.symbol.strip(), _op.arity), _op)
_INFIX: Final = {op: (symbol, op.precedence) for (symbol, _), op in SYMBOLS.items()}

_Text = tuple[str, int]


def is_name(name: object) -> bool:
    """Whether the text form can hold the name: an identifier that Python reads back unchanged.

    >>> is_name("a"), is_name("lambda"), is_name("2a"), is_name("\\N{LATIN SMALL LIGATURE FI}")
    (True, False, False, False)
    """
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        return False
    if name.isascii():
        return True
    import unicodedata  # Its library is loaded for few names.

    return unicodedata.normalize("NFKC", name) == name


def is_word(name: str) -> bool:
    """Whether a call of that name means something to the text form itself: `cast`, `float32`, ..."""
    return name in FORMS or any(t.name == name for t in elements())


# -- Types and constants ------------------------------------------------------------------------


def type_text(type: ArrayType | ElementType) -> str:
    """A type as it is written in a signature.

    >>> from arrayexpr._core.types import FLOAT64, Foreign
    >>> type_text(FLOAT64.array(2, order="C")), type_text(Foreign("point").array(1))
    ("float64['C', :, :]", 'foreign("point")[:]')
    """
    element = type if isinstance(type, ElementType) else type.element
    if element.kind != "V":
        return repr(type)
    return f'foreign("{element.name}"){repr(type)[len(element.name) :]}'


def _bits(key: bytes) -> str:
    return f'"{int.from_bytes(key, sys.byteorder):0{2 * len(key)}x}"'


def _real_text(key: bytes, t: ElementType) -> str:
    """What stands in the parentheses of `float32(...)` for these bytes."""
    scalar = np.frombuffer(key, t.dtype)[0]
    if scalar != scalar:
        return '"nan"' if t.dtype.type("nan").tobytes() == key else f"bits={_bits(key)}"
    if scalar in (np.inf, -np.inf):
        return '"inf"' if scalar > 0 else '"-inf"'
    # The shortest text of its own precision, where that reads back through double to the same bits.
    short = str(scalar)
    if t.bits == 80:
        if 0 < abs(scalar) < np.finfo(t.dtype).tiny:
            # The C library reads these back too, but says that they overflow.
            return f"bits={_bits(key)}"
        back = t.dtype.type(short)
        return f'"{short}"' if back == scalar and np.signbit(back) == np.signbit(scalar) else f"bits={_bits(key)}"
    return short if t.dtype.type(float(short)).tobytes() == key else repr(float(scalar))


def _constant(node: Constant) -> _Text:
    t = node.type.element
    key = node.key
    if t.kind == "b":
        return str(bool(node.value)), NUMBER
    if t.kind in "iu":
        text = str(node.value)
        if t.name == "int64":
            return text, UNARY if text[0] == "-" else NUMBER
        return f"{t}({text})", ATOM
    if t.kind == "f":
        text = _real_text(key, t)
        if t.name == "float64" and text[0] not in '"b':
            return text, UNARY if text[0] == "-" else NUMBER
        return f"{t}({text})", ATOM
    part = real_of(t)
    half = len(key) // 2
    texts = [_real_text(key[:half], part), _real_text(key[half:], part)]
    return f"{t}({', '.join(f'{part}({x})' if x[0] == 'b' else x for x in texts)})", ATOM


# -- One expression over the texts of its children ----------------------------------------------


def _wrap(child: _Text, least: int) -> str:
    return child[0] if child[1] >= least else f"({child[0]})"


def _call(name: str, parts: Iterable[str]) -> _Text:
    return f"{name}({', '.join(parts)})", ATOM


def _subscript(item: Any) -> str:
    if not isinstance(item, Slice):
        return str(item)
    start, stop, step = ("" if x is None else str(x) for x in item)
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


def _view_subscripts(node: View) -> str:
    shown = [_subscript(item) for item in node.subscripts]
    # Without a slice or a new axis the subscripts would read as a Load's.
    if all(isinstance(item, int) for item in node.subscripts):
        shown.append("...")
    return f"[{', '.join(shown)}]"


def _names(names: Collection[str]) -> str:
    shown = [f'"{name}"' for name in sorted(names)]
    return f"({', '.join(shown)}{',' if len(shown) == 1 else ''})"


def _effect(node: Node) -> list[str]:
    """The keywords of a SideEffect: what is not said is not written."""
    if not isinstance(node, SideEffect):
        return []
    sets = (("reads", node.reads), ("writes", node.writes))
    return [f"{what}={_names(names)}" for what, names in sets if names is not None]


def _effect_name(node: Node) -> str:
    return "side_effect" if isinstance(node, SideEffect) else "unreorderable"


def children(node: Node) -> tuple[Node, ...]:
    """The children of an expression that are expressions with a text of their own."""
    if isinstance(node, (Load, Call)):
        return node.args[1:]
    if isinstance(node, (Extent, Stride)):
        return ()
    return node.args


def _expression(node: Node, texts: list[_Text], functions: Collection[str] = ()) -> _Text:
    """The text of an expression, and its precedence, from those of its `children`.

    `functions` are names of the program's own functions: they hide operators of the same name.
    """
    if isinstance(node, Apply):
        op = node.op
        infix = _INFIX.get(op)
        if infix is None:
            return _apply(op.name, texts, functions)
        symbol, precedence = infix
        if len(texts) == 1:
            # The text -2 is a constant; so is the -2 in --2.
            if symbol == "-" and isinstance(node.args[0], Constant):
                return _apply(op.name, texts, functions)
            gap = " " if symbol == "not" else ""
            return f"{symbol}{gap}{_wrap(texts[0], precedence)}", precedence
        left, right = precedence, precedence + 1
        if precedence == POWER:
            left, right = POWER + 1, UNARY
        elif precedence == 4:
            left = 5
        return f"{_wrap(texts[0], left)} {symbol} {_wrap(texts[1], right)}", precedence
    if isinstance(node, Constant):
        return _constant(node)
    if isinstance(node, (Operand, Index)):
        return node.name, ATOM
    if isinstance(node, Load):
        shown = ", ".join(text for text, _ in texts) or "()"
        return f"{node.operand.name}[{shown}]", ATOM
    if isinstance(node, View):
        base = _wrap(texts[0], ATOM)
        if node.order is not None:
            return f"{base}.transpose({', '.join(map(str, node.order))})", ATOM
        return base + _view_subscripts(node), ATOM
    if isinstance(node, Cast):
        return _call("cast", (texts[0][0], type_text(node.type.element)))
    if isinstance(node, Reduce):
        name = node.op.name if is_name(node.op.name) else f'"{node.op.name}"'
        return _call("reduce", [name, texts[0][0], str(node.axes)] + ["keepdims=True"] * node.keepdims)
    if isinstance(node, Contract):
        return f"{_wrap(texts[0], 10)} @ {_wrap(texts[1], 11)}", 10
    if isinstance(node, Call):
        return _call(node.function.name, (text for text, _ in texts))
    if isinstance(node, Opaque):
        return _call("opaque", [f'"{node.name}"', *(text for text, _ in texts), f"type={type_text(node.type)}"])
    if isinstance(node, Extent):
        return f"{node.operand.name}.shape[{node.axis}]", ATOM
    if isinstance(node, Stride):
        return f"{node.operand.name}.strides[{node.axis}]", ATOM
    if isinstance(node, EFFECTS):
        return _call(_effect_name(node), [texts[0][0], *_effect(node)])
    return f"<{type(node).__name__}>", ATOM


def _apply(name: str, texts: list[_Text], functions: Collection[str]) -> _Text:
    parts = [text for text, _ in texts]
    if name in functions or not is_name(name) or is_word(name):
        return _call("apply", [f'"{name}"', *parts])
    return _call(name, parts)


# -- A whole program ----------------------------------------------------------------------------


class _Printer:
    """Lines of text, and the aliases that stand for expressions used again or nested deep."""

    def __init__(self, taken: set[str], functions: set[str]):
        self.lines: list[str] = []
        self.taken = taken
        self.functions = functions
        self.number = 0
        self.aliases: dict[Node, str] = {}
        self.shared: set[Node] = set()
        self.effects: set[Node] = set()

    def enter(self, roots: Iterable[Node]) -> None:
        """Begin a scope: the program's statements, or one function's body."""
        self.aliases = {}
        self.shared = set()
        self.effects = set()
        seen: set[Node] = set()
        stack: list[tuple[Node, bool]] = [(root, False) for root in roots]
        while stack:
            node, done = stack.pop()
            if done:
                if isinstance(node, EFFECTS) or any(child in self.effects for child in node.args):
                    self.effects.add(node)
                continue
            if node in seen:
                self.shared.add(node)
                continue
            seen.add(node)
            if isinstance(node, LEAVES):
                continue
            stack.append((node, True))
            # The target of an assignment is written out where it stands: that is no use.
            inner = node.args[1:] if isinstance(node, (Assign, Load, Call)) else node.args
            stack.extend((child, False) for child in inner)

    def alias(self, node: Node, text: str, indent: int) -> _Text:
        while f"_{self.number}" in self.taken:
            self.number += 1
        name = self.aliases[node] = f"_{self.number}"
        self.number += 1
        self.lines.append(f"{'    ' * indent}{name} = {text}")
        return name, ATOM

    def expression(self, root: Node, indent: int, bare: bool = False) -> _Text:
        """The text of `root`, after lines for the aliases it needs; `bare`: root itself is none."""
        aliases = self.aliases
        if not bare and root in aliases:
            return aliases[root], ATOM
        done: dict[Node, tuple[_Text, int]] = {}
        stack: list[Node] = [root]
        while stack:
            node = stack[-1]
            if node in done:
                stack.pop()
                continue
            inner = children(node)
            missing = [child for child in inner if child not in done]
            if missing:
                for child in reversed(missing):
                    name = aliases.get(child)
                    if name is None:
                        stack.append(child)
                    else:
                        done[child] = (name, ATOM), 0
                continue
            stack.pop()
            depth = 0
            texts = []
            for child in inner:
                text, below = done[child]
                texts.append(text)
                depth = max(depth, below + 1)
            written = _expression(node, texts, self.functions)
            if inner and not (bare and node is root):
                again = node in self.shared and node not in self.effects
                if again or (node is not root and (depth >= MAX_DEPTH or len(written[0]) > MAX_TEXT)):
                    written = self.alias(node, written[0], indent)
                    depth = 0
            done[node] = written, depth
        return done[root][0]

    def target(self, node: Node, indent: int) -> str:
        """The text left of an assignment's `=`."""
        chain = [node]
        while isinstance(chain[-1], View) and len(chain) < MAX_DEPTH:
            chain.append(chain[-1].arg)
        text = self.expression(chain.pop(), indent)[0]
        for view in reversed(chain):
            text = _expression(view, [(text, ATOM)])[0]
        return text if isinstance(node, View) and node.subscripts else f"{text}[...]"

    def ints(self, nodes: Iterable[Node], indent: int) -> str:
        return ", ".join(self.expression(node, indent)[0] for node in nodes)

    def statement(self, node: Node, indent: int, stack: list[tuple[Any, int]]) -> None:
        """Write a statement's own line, and leave what stands inside it on the stack."""
        wrappers = []
        while isinstance(node, EFFECTS) and node.type is None:
            wrappers.append(f"with {_call(_effect_name(node), _effect(node))[0]}:")
            node = node.inner
        inside: tuple[Any, ...] = ()
        if isinstance(node, Assign):
            target = self.target(node.target, indent)
            line = f"{target} = {self.expression(node.value, indent)[0]}"
        elif isinstance(node, Store):
            place = self.ints(node.subscripts, indent) or "()"
            line = f"{node.operand.name}[{place}] = {self.expression(node.value, indent)[0]}"
        elif isinstance(node, For):
            bounds = self.ints((node.start, node.stop, node.step), indent)
            line = f"for {node.index.name} in {node.role if isinstance(node, Loop) else 'range'}({bounds}):"
            inside = node.body or ("pass",)
        elif isinstance(node, Guard):
            line = f"if {self.expression(node.condition, indent)[0]}:"
            inside = node.then or ("pass",)
        elif isinstance(node, Scratch):
            parts = [type_text(node.operand.type)] + [self.expression(n, indent)[0] for n in node.extents]
            line = f"{node.operand.name} = scratch({', '.join(parts)})"
        elif isinstance(node, Pack):
            windows = []
            for nodes in (node.starts, node.extents):
                window = self.ints(nodes, indent)
                windows.append(f"({window}{',' if len(nodes) == 1 else ''})")
            line = f"pack({node.target.name}, {node.source.name}, starts={windows[0]}, extents={windows[1]})"
        elif isinstance(node, Barrier):
            line = "barrier()"
        else:
            line = self.expression(node, indent, bare=True)[0]
        for wrapper in wrappers:
            self.lines.append(f"{'    ' * indent}{wrapper}")
            indent += 1
        self.lines.append(f"{'    ' * indent}{line}")
        if isinstance(node, Guard) and node.otherwise:
            stack.extend((inner, indent + 1) for inner in reversed(node.otherwise))
            stack.append(("else:", indent))
        stack.extend((inner, indent + 1) for inner in reversed(inside))

    def block(self, statements: Iterable[Node], indent: int) -> None:
        stack: list[tuple[Any, int]] = [(node, indent) for node in reversed(tuple(statements))]
        while stack:
            node, indent = stack.pop()
            if indent > MAX_NESTING + 1:
                raise UnsupportedError(f"statements stand more than {MAX_NESTING} deep: the text form holds no more")
            if isinstance(node, str):
                self.lines.append(f"{'    ' * indent}{node}")
            else:
                self.statement(node, indent, stack)


def _parameters(operands: Iterable[Operand]) -> list[str]:
    return [f"{operand.name}: {type_text(operand.type)}" for operand in operands]


def print_program(program: Program) -> str:
    """The text of a program; `parse` of it is an equal program, whatever its depth.

    >>> from arrayexpr._core.parser import parse
    >>> text = "def twice(a: float64[:], *, r: float64[:]):\\n    r[...] = (a + a)\\n"
    >>> print(print_program(parse(text)), end="")
    def twice(a: float64[:], *, r: float64[:]):
        r[...] = a + a
    """
    nodes = postorder(program.statements)
    functions = [node for node in nodes if isinstance(node, Function)]
    taken = {node.name for node in nodes if isinstance(node, (Operand, Index, Function))}
    taken |= {operand.name for operand in program.declared}
    printer = _Printer(taken, {f.name for f in functions})
    if program.layouts:
        facts = ", ".join(f"{name}=({x.shape}, {x.strides})" for name, x in program.layouts.items())
        printer.lines.append(f"@layouts({facts})")
    parameters = _parameters(program.operands)
    if program.results:
        parameters += ["*", *_parameters(program.results)]
    printer.lines.append(f"def {program.name}({', '.join(parameters)}):")
    for operand in program.locals:
        printer.lines.append(f"    {operand.name} = local({type_text(operand.type)})")
    for function in functions:
        printer.lines.append(f"    def {function.name}({', '.join(_parameters(function.params))}):")
        printer.enter((function.body,))
        body = printer.expression(function.body, 2, bare=True)[0]
        printer.lines.append(f"        return {body}")
    printer.enter(program.statements)
    printer.block(program.statements, 1)
    if not program.statements:
        printer.lines.append("    pass")
    return "\n".join(printer.lines) + "\n"


# -- One node, for messages ---------------------------------------------------------------------

_SHOWN_DEPTH: Final = 5
_SHOWN_NODES: Final = 40
_SHOWN_TEXT: Final = 160


def show(node: Node) -> str:
    """One line for a node, shortened where it is deep or long: for messages and `repr`.

    >>> from arrayexpr._core.nodes import Apply, Operand
    >>> from arrayexpr._core.ops import operator
    >>> from arrayexpr._core.types import FLOAT64
    >>> a = Operand("a", FLOAT64)
    >>> for _ in range(10):
    ...     a = Apply(operator("sqrt"), (a,))
    >>> show(a)
    'sqrt(sqrt(sqrt(sqrt(sqrt(...)))))'
    """
    text = _show(node, _SHOWN_DEPTH, [_SHOWN_NODES])
    if len(text) > _SHOWN_TEXT:
        text = f"{text[: _SHOWN_TEXT - 40]} ... {text[-35:]}"
    return text


def _show(node: Node, depth: int, left: list[int]) -> str:
    def part(child: Node) -> str:
        return _shown(child, depth, left)[0]

    def parts(nodes: Iterable[Node]) -> str:
        return ", ".join(map(part, nodes))

    if isinstance(node, Function):
        return f"def {node.name}({', '.join(_parameters(node.params))}): return {part(node.body)}"
    if node.type is not None:
        return part(node)
    if isinstance(node, Assign):
        whole = not (isinstance(node.target, View) and node.target.subscripts)
        return f"{part(node.target)}{'[...]' if whole else ''} = {part(node.value)}"
    if isinstance(node, Store):
        return f"{node.operand.name}[{parts(node.subscripts) or '()'}] = {part(node.value)}"
    if isinstance(node, For):
        kind = node.role if isinstance(node, Loop) else "range"
        return f"for {node.index.name} in {kind}({parts((node.start, node.stop, node.step))}): ..."
    if isinstance(node, Guard):
        return f"if {part(node.condition)}: ..."
    if isinstance(node, Scratch):
        return f"{node.operand.name} = scratch({', '.join([type_text(node.operand.type), *map(part, node.extents)])})"
    if isinstance(node, Pack):
        windows = f"starts=({parts(node.starts)}), extents=({parts(node.extents)})"
        return f"pack({node.target.name}, {node.source.name}, {windows})"
    if isinstance(node, EFFECTS):
        inner = _show(node.inner, depth - 1, left) if depth else "..."
        return f"with {_call(_effect_name(node), _effect(node))[0]}: {inner}"
    return f"{type(node).__name__.lower()}()"


def _shown(node: Node, depth: int, left: list[int]) -> _Text:
    # Recursion, but no deeper than _SHOWN_DEPTH and of no more than _SHOWN_NODES nodes.
    inner = children(node)
    left[0] -= 1
    if left[0] < 0 or (depth == 0 and inner):
        return "...", ATOM
    return _expression(node, [_shown(child, depth - 1, left) for child in inner[: _SHOWN_NODES + 3]])
