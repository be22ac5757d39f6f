"""Functions as they are traced: `for ... in range(n)`, `if`, `len(x)`, `np.zeros(shape)` for what is symbolic.

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

from .branching import OF_NUMBERS, choice, negated
from .looping import TracedLoop
from .shapes import OF_SHAPES

#: How names begin that hold what is known of a test.
_TEST: Final = "_arrayexpr_test_"
#: What a function returns, of several returns that it had.
_RETURNED: Final = "_arrayexpr_returned"
#: What is called in place of Python's and NumPy's own functions.
_OTHERS: Final = {**OF_SHAPES, **OF_NUMBERS}
_CALLED: Final = frozenset(function.__name__ for function in _OTHERS)
#: The name under which a rewritten function finds `Helpers`.
_HELPER: Final = "_arrayexpr_helpers_"


class Helpers:
    """What a rewritten function calls."""

    @staticmethod
    def loop(index: str, names: tuple[str, ...], line: int, *bounds: Any) -> TracedLoop:
        """The loop over `range(*bounds)`."""
        return TracedLoop(index, names, line, bounds)

    choice = staticmethod(choice)

    negated = staticmethod(negated)

    @staticmethod
    def call(function: Any, *args: Any, **kwargs: Any) -> Any:
        """`function(*args, **kwargs)`."""
        try:
            other = _OTHERS.get(function)
        except TypeError:
            other = None
        return (other or function)(*args, **kwargs)


def rewritten(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does the same, of symbolic lengths and tests too; itself where none is, or it has no source."""
    if isinstance(function, types.MethodType):
        method = rewritten(function.__func__)
        return function if method is function.__func__ else types.MethodType(method, function.__self__)
    code = getattr(function, "__code__", None)
    if not isinstance(function, types.FunctionType) or code is None:
        return function
    try:
        lines, start = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return function
    define = tree.body[0] if tree.body else None
    if not isinstance(define, ast.FunctionDef):
        return function
    define.body = _without_returns(define.body)
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
    # A function that calls itself calls what it did.
    own = types.CellType(function.__globals__.get(define.name, function))
    cells = {define.name: own, _HELPER: types.CellType(Helpers)}
    cells.update(zip(code.co_freevars, function.__closure__ or (), strict=True))
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
    """Writes loops, choices and calls anew as calls of `Helpers`; a loop stands a second time, as it was."""

    def __init__(self, define: ast.FunctionDef):
        # Copies of a statement are told to be that one.
        for mark, node in enumerate(ast.walk(define)):
            node.mark = mark  # type: ignore[attr-defined]
        self.root, self.define = define, _copied([define])[0]
        self.count = 0

    def visit_For(self, at: ast.For) -> Any:
        called = at.iter
        at = ast.copy_location(ast.For(at.target, at.iter, _without_continue(at.body), at.orelse), at)
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
        outside = _loaded(self.define, at.body)
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

    def visit_If(self, at: ast.If) -> Any:
        if _leaves([*at.body, *at.orelse]):
            self.generic_visit(at)
            return at
        self.count += 1
        choice, branch = f"_arrayexpr_choice_{self.count}", f"_arrayexpr_branch_{self.count}"
        before, test = self.test(at.test)
        bound = _bound_names([*at.body, *at.orelse])
        outside = _loaded(self.define, [*at.body, *at.orelse]) | _read_first(at.body) | _read_first(at.orelse)
        kept = sorted(name for name in bound if name in outside or name.startswith(_TEST))
        made = _expression(f"{_HELPER}.choice(None, {tuple(kept)!r}, {at.lineno})")
        assert isinstance(made, ast.Call)
        made.args[0] = self.visit(_copied([test])[0])
        body, orelse = self.statements(at.body), self.statements(at.orelse)
        inside = [
            *([_statement(f"{', '.join(kept)}, = {choice}.begin(locals())")] if kept else []),
            ast.If(ast.Name(branch, ast.Load()), body, orelse),
            _statement(f"{choice}.end(locals())"),
        ]
        after = [_statement(f"{', '.join(kept)}, = {choice}.after()")] if kept else []
        assign = ast.Assign([ast.Name(choice, ast.Store())], made)
        each = ast.For(ast.Name(branch, ast.Store()), ast.Name(choice, ast.Load()), inside, [])
        located = [ast.copy_location(node, at) for node in (assign, each, *after)]
        return [*self.statements([_located(node, at) for node in before]), *located]

    def visit_Assign(self, at: ast.Assign) -> Any:
        value = at.value
        if not isinstance(value, ast.IfExp):
            return self.generic_visit(at)
        then, otherwise = (ast.copy_location(ast.Assign(at.targets, x), at) for x in (value.body, value.orelse))
        return self.visit(ast.copy_location(ast.If(value.test, [then], [otherwise]), at))

    def test(self, at: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        """A test without `and`, `or` and `not`, and the statements before it: choices between what these leave out."""
        match at:
            case ast.UnaryOp(ast.Not(), operand):
                before, inner = self.test(operand)
                return before, ast.Call(_expression(f"{_HELPER}.negated"), [inner], [])
            case ast.Compare(left, ops, others) if len(ops) > 1:
                pairs = zip((left, *others), ops, others, strict=False)
                return self.test(ast.BoolOp(ast.And(), [ast.Compare(x, [op], [y]) for x, op, y in pairs]))
            case ast.BoolOp(op, values):
                self.count += 1
                name = f"{_TEST}{self.count}"
                found: list[ast.stmt] = []
                for value in values:
                    before, inner = self.test(value)
                    part: list[ast.stmt] = [*before, ast.Assign([ast.Name(name, ast.Store())], inner)]
                    if not found:
                        found = part
                    elif isinstance(op, ast.And):
                        found.append(ast.If(ast.Name(name, ast.Load()), part, []))
                    else:
                        found.append(ast.If(ast.Name(name, ast.Load()), [ast.Pass()], part))
                return found, ast.Name(name, ast.Load())
        return [], at

    def visit_Call(self, at: ast.Call) -> Any:
        self.generic_visit(at)
        called = at.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        if name not in _CALLED:
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
        return self.generic_visit(at) if at is self.root else at

    def visit_Lambda(self, at: ast.Lambda) -> Any:
        return at


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _statement(text: str) -> ast.stmt:
    return ast.parse(text).body[0]


def _copied(nodes: Sequence[Any]) -> list[Any]:
    import copy

    return [copy.deepcopy(node) for node in nodes]


def _located(node: ast.stmt, at: ast.stmt) -> ast.stmt:
    """A new statement with the lines of another one."""
    for each in ast.walk(node):
        ast.copy_location(each, at)
    return node


def _without_continue(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """A loop's body in which what follows `if test: ... continue` is that one's other branch."""
    for k, statement in enumerate(body):
        if isinstance(statement, ast.If) and statement.body and isinstance(statement.body[-1], ast.Continue):
            rest = _without_continue([*statement.orelse, *body[k + 1 :]])
            taken = ast.If(statement.test, statement.body[:-1] or [ast.Pass()], rest)
            return [*body[:k], ast.copy_location(taken, statement)]
    return list(body)


def _without_returns(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """A function's body that returns at its end, where it returned within a choice too."""
    for k, statement in enumerate(body):
        if isinstance(statement, ast.Return) and isinstance(statement.value, ast.IfExp):
            value = statement.value
            then, otherwise = (ast.copy_location(ast.Return(x), statement) for x in (value.body, value.orelse))
            statement = ast.copy_location(ast.If(value.test, [then], [otherwise]), statement)
        if isinstance(statement, ast.If) and statement.body and isinstance(statement.body[-1], ast.Return):
            branches = []
            for branch in (statement.body, _without_returns([*statement.orelse, *body[k + 1 :]])):
                last = branch[-1] if branch else None
                if _leaves(branch[:-1]) or not isinstance(last, ast.Return) or last.value is None:
                    return list(body)
                returned = ast.Assign([ast.Name(_RETURNED, ast.Store())], last.value)
                branches.append([*branch[:-1], ast.copy_location(returned, last)])
            choice = ast.copy_location(ast.If(statement.test, *branches), statement)
            return [*body[:k], choice, ast.copy_location(ast.Return(ast.Name(_RETURNED, ast.Load())), statement)]
    return list(body)


#: Statements and expressions that are more than a loop or a choice of a program may do.
_LEAVING: Final = (
    *(ast.Raise, ast.Return, ast.Yield, ast.YieldFrom, ast.Await),
    *(ast.Global, ast.Nonlocal, ast.Delete),
)


def _leaves(body: Sequence[ast.stmt]) -> bool:
    """Whether a body may leave its loop, or is more than a function's own statements."""
    stack: list[tuple[ast.AST, bool]] = [(s, True) for s in body]
    while stack:
        node, own = stack.pop()
        if isinstance(node, _LEAVING):
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


def _loaded(root: ast.AST, without: Sequence[ast.AST]) -> set[str]:
    """The names that are read somewhere outside of some statements."""
    left_out = {getattr(node, "mark", None) for node in without} - {None}
    found = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if getattr(node, "mark", None) in left_out:
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
