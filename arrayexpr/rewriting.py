"""Functions as they are traced: `for ... in range(n)`, `len(x)` and `np.zeros(shape)` for what is symbolic.

Tracing runs a function once, on symbolic arrays. What Python and NumPy take numbers for there is written anew in the
function's own syntax tree, as calls of `Helpers`, which do as before where they are given numbers.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Callable, Sequence
from typing import Any, Final

from .looping import TracedLoop
from .shapes import OF_SHAPES
from .tracing import REWRITTEN

#: The name under which a rewritten function finds `Helpers`.
_HELPER: Final = "_arrayexpr_helpers_"


class Helpers:
    """What a rewritten function calls."""

    @staticmethod
    def loop(index: str, names: tuple[str, ...], line: int, *bounds: Any) -> TracedLoop:
        """The loop over `range(*bounds)`."""
        return TracedLoop(index, names, line, bounds)

    @staticmethod
    def call(function: Any, *args: Any, **kwargs: Any) -> Any:
        """`function(*args, **kwargs)`."""
        return OF_SHAPES.get(function, function)(*args, **kwargs)


def rewritten(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does the same, of symbolic lengths too; itself where it needs nothing, or has no source."""
    code = getattr(function, "__code__", None)
    if not isinstance(function, types.FunctionType) or code is None or REWRITTEN.isdisjoint(code.co_names):
        return function
    try:
        lines, start = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return function
    define = tree.body[0] if tree.body else None
    if not isinstance(define, ast.FunctionDef):
        return function
    rewriter = _Rewriter(define)
    define = rewriter.visit(define)
    if not rewriter.count:
        return function
    define.decorator_list = []
    define.returns = None
    given = define.args
    for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if arg is not None:
            arg.annotation = None
    # Defaults are the function's own, and so are the variables of functions around it.
    given.defaults = [ast.Constant(None) for _ in given.defaults]
    given.kw_defaults = [None if d is None else ast.Constant(None) for d in given.kw_defaults]
    names = (*code.co_freevars, _HELPER)
    around = _statement(f"def _around({', '.join(names)}): return {define.name}")
    assert isinstance(around, ast.FunctionDef)
    around.body.insert(0, define)
    module = ast.fix_missing_locations(ast.Module([around], []))
    ast.increment_lineno(module, start - 1)
    outer = next(c for c in compile(module, code.co_filename, "exec").co_consts if isinstance(c, types.CodeType))
    inner = next(c for c in outer.co_consts if isinstance(c, types.CodeType) and c.co_name == define.name)
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True)) | {_HELPER: types.CellType(Helpers)}
    made = types.FunctionType(
        inner,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        tuple(cells[n] for n in inner.co_freevars),
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


class _Rewriter(ast.NodeTransformer):
    """Writes each `for name in range(...)` a second time, for bounds that are symbolic; and calls of `OF_SHAPES`."""

    def __init__(self, define: ast.FunctionDef):
        self.define = define
        self.count = 0

    def visit_For(self, at: ast.For) -> Any:
        called = at.iter
        plain = (
            isinstance(called, ast.Call)
            and isinstance(called.func, ast.Name)
            and called.func.id == "range"
            and not called.keywords
            and not any(isinstance(arg, ast.Starred) for arg in called.args)
            and isinstance(at.target, ast.Name)
            and not at.orelse
            and not _leaves(at.body)
        )
        if not plain:
            self.generic_visit(at)
            return at
        assert isinstance(called, ast.Call) and isinstance(at.target, ast.Name)
        self.count += 1
        loop = f"_arrayexpr_loop_{self.count}"
        index = at.target.id
        bound = _bound_names(at.body) - {index}
        outside = _loaded(self.define, without=at)
        kept = sorted(name for name in bound if name in outside or name in _read_first(at.body))
        known = ast.For(at.target, _expression(f"{loop}.known"), self.statements(at.body), [])
        inside = [
            *([_statement(f"{', '.join(kept)}, = {loop}.begin(locals())")] if kept else []),
            _statement(f"{index} = {loop}.index"),
            *self.statements(at.body),
            _statement(f"{loop}.end(locals())"),
        ]
        after = [_statement(f"{', '.join(kept)}, = {loop}.after()")] if kept else []
        arguments = [self.visit(argument) for argument in _copied(called.args)]
        made = _expression(f"{_HELPER}.loop({index!r}, {tuple(kept)!r}, {at.lineno})")
        assert isinstance(made, ast.Call)
        made.args.extend(arguments)
        unknown = ast.For(ast.Name(f"{loop}_turn", ast.Store()), ast.Name(loop, ast.Load()), inside, [])
        choice = ast.If(_expression(f"{loop}.known is not None"), [known], [unknown, *after])
        return [ast.copy_location(node, at) for node in (ast.Assign([ast.Name(loop, ast.Store())], made), choice)]

    def visit_Call(self, at: ast.Call) -> Any:
        self.generic_visit(at)
        called = at.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        if name == "range" or name not in REWRITTEN:
            return at
        self.count += 1
        return ast.copy_location(ast.Call(_expression(f"{_HELPER}.call"), [called, *at.args], at.keywords), at)

    def statements(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """A copy of a body, rewritten."""
        found: list[ast.stmt] = []
        for statement in _copied(body):
            made = self.visit(statement)
            found.extend(made if isinstance(made, list) else [made])
        return found

    def visit_FunctionDef(self, at: ast.FunctionDef) -> Any:
        # Functions inside are traced by themselves, if at all.
        return self.generic_visit(at) if at is self.define else at

    def visit_Lambda(self, at: ast.Lambda) -> Any:
        return at


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _statement(text: str) -> ast.stmt:
    return ast.parse(text).body[0]


def _copied(nodes: Sequence[Any]) -> list[Any]:
    import copy

    return [copy.deepcopy(node) for node in nodes]


def _leaves(body: Sequence[ast.stmt]) -> bool:
    """Whether a body may leave its loop, or is more than a function's own statements."""
    stack: list[tuple[ast.AST, bool]] = [(s, True) for s in body]
    while stack:
        node, own = stack.pop()
        if isinstance(node, (ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal, ast.Delete)):
            return True
        if own and isinstance(node, (ast.Break, ast.Continue)):
            return True
        if isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        inner = own and not isinstance(node, (ast.For, ast.While))
        stack.extend((child, inner) for child in ast.iter_child_nodes(node))
    return False


def _bound_names(body: Sequence[ast.stmt]) -> set[str]:
    return {
        node.id
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _loaded(root: ast.AST, without: ast.AST) -> set[str]:
    """The names that are read somewhere outside of a loop."""
    found = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node is without:
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        stack.extend(ast.iter_child_nodes(node))
    return found


def _read_first(body: Sequence[ast.stmt]) -> set[str]:
    """The names that a body may read before it binds them."""
    found: set[str] = set()
    bound: set[str] = set()
    for statement in body:
        reads = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            reads.add(statement.target.id)
        found |= reads - bound
        if isinstance(statement, (ast.For, ast.While, ast.If, ast.Try, ast.With)):
            # What stands inside is bound in some cases only, and may be read before that.
            found |= _bound_names([statement]) - bound
        elif isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            bound |= _bound_names([statement])
    return found
