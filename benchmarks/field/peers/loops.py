"""A work's loops, which are written in Python, as a C or a Fortran function.

What is taken: nests of `for` over `range` and `prange`, assignment to scalars and elements, `if`, arithmetic, `**` with
a whole number, comparisons, and `math`'s functions. Strides of a few elements are written as numbers, the way a
programmer writes `a[2 * i]` or `a[i * n + j]`; others come with the array.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from ..work import Problem

# Strides up to this many elements are constants of the text.
_SMALL = 8

_C_TYPES = {
    "float64": "double", "float32": "float", "int8": "int8_t", "complex128": "double _Complex", "bool": "int8_t",
}  # fmt: skip
_FORTRAN_TYPES = {
    "float64": "real(c_double)", "float32": "real(c_float)", "int8": "integer(c_int8_t)",
    "complex128": "complex(c_double_complex)", "bool": "integer(c_int8_t)",
}  # fmt: skip


class _Printer:
    """What both languages share: subscripts, expressions, and which scalars there are."""

    def __init__(self, problem: Problem, threads: int):
        self.arrays = problem.loop_arrays()
        self.in_place = problem.work.in_place
        self.threads = threads
        source = textwrap.dedent(inspect.getsource(problem.work.loops))
        self.function = ast.parse(source).body[0]
        assert isinstance(self.function, ast.FunctionDef)
        assert [a.arg for a in self.function.args.args] == list(self.arrays), problem.work.name
        self.scalars = list(
            dict.fromkeys(
                target.id
                for node in ast.walk(self.function)
                if isinstance(node, ast.Assign | ast.AugAssign)
                for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
                if isinstance(target, ast.Name)
            )
        )
        self.indices = sorted({n.target.id for n in ast.walk(self.function) if isinstance(n, ast.For)})

    def stride(self, name: str, axis: int) -> str:
        array = self.arrays[name]
        elements = array.strides[axis] // array.itemsize
        return str(elements) if abs(elements) <= _SMALL else f"{name}_s{axis}"

    def offset(self, name: str, index: ast.expr) -> str:
        """The distance of an element from the first, in elements."""
        indices = index.elts if isinstance(index, ast.Tuple) else [index]
        terms = []
        for axis, i in enumerate(indices):
            if isinstance(i, ast.Constant) and i.value == 0:
                continue
            stride, text = self.stride(name, axis), self.expression(i)
            terms.append(f"({text})" if stride == "1" else f"({text}) * ({stride})")
        return " + ".join(terms) or "0"

    def expression(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Constant):
            return self.constant(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return f"(-{self.expression(node.operand)})"
        if isinstance(node, ast.BinOp):
            if isinstance(node.op, ast.Pow):
                assert isinstance(node.right, ast.Constant)
                return self.power(self.expression(node.left), node.right.value)
            symbol = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}[type(node.op)]
            return f"({self.operand(node.left, symbol)} {symbol} {self.operand(node.right, symbol)})"
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
            assert isinstance(node.value.value, ast.Name) and isinstance(node.slice, ast.Constant)
            return f"{node.value.value.id}_n{node.slice.value}"
        if isinstance(node, ast.Subscript):
            assert isinstance(node.value, ast.Name)
            return self.element(node.value.id, node.slice)
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            return self.call(node.func.id, [self.expression(a) for a in node.args])
        if isinstance(node, ast.IfExp):
            return self.choice(*(self.expression(x) for x in (node.test, node.body, node.orelse)))
        if isinstance(node, ast.Compare):
            symbol = {ast.Gt: ">", ast.Lt: "<"}[type(node.ops[0])]
            return f"({self.expression(node.left)} {symbol} {self.expression(node.comparators[0])})"
        raise NotImplementedError(ast.dump(node))

    def operand(self, node: ast.expr, symbol: str) -> str:
        text = self.expression(node)
        # A length that divides: both languages would divide in the type of the sum, but Fortran wants to be told.
        return self.real(text) if symbol == "/" and "_n" in text and isinstance(node, ast.Subscript) else text

    def power(self, base: str, exponent: int) -> str:
        raise NotImplementedError

    def reductions(self, loop: ast.For) -> list[str]:
        """Scalars that a loop adds to and that live before it."""
        added = {n.target.id for n in ast.walk(loop) if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)}
        return sorted(added - set(self.private(loop)))

    def private(self, loop: ast.For) -> list[str]:
        """Scalars that a loop assigns."""
        targets = [t for n in ast.walk(loop) if isinstance(n, ast.Assign) for t in n.targets]
        return sorted({t.id for t in targets if isinstance(t, ast.Name)})


class C(_Printer):
    def text(self) -> str:
        lines = ["#include <complex.h>", "#include <math.h>", "#include <stddef.h>", "#include <stdint.h>"]
        restrict = "" if self.in_place else " restrict"
        lines += [
            "static inline double square(double x) { return x * x; }",
            "static inline double cube(double x) { return x * x * x; }",
            "void work("
            + ", ".join(
                f"{_C_TYPES[a.dtype.name]} *{restrict} {name}, const ptrdiff_t *{name}_n, const ptrdiff_t *{name}_b"
                for name, a in self.arrays.items()
            )
            + ") {",
        ]
        for name, array in self.arrays.items():
            for axis in range(array.ndim):
                lines.append(f"    const ptrdiff_t {name}_n{axis} = {name}_n[{axis}];")
                stride = f"{name}_b[{axis}] / {array.itemsize}"
                lines.append(f"    const ptrdiff_t {name}_s{axis} = {stride};")
        lines.extend(f"    {self.scalar_type()} {name};" for name in self.scalars)
        for statement in self.function.body:
            lines.extend(self.statement(statement, "    "))
        return "\n".join([*lines, "}", ""])

    def scalar_type(self) -> str:
        return _C_TYPES[next(iter(self.arrays.values())).dtype.name]

    def constant(self, value: Any) -> str:
        return repr(value)

    def real(self, text: str) -> str:
        return f"(double){text}"

    def power(self, base: str, exponent: int) -> str:
        return f"{ {2: 'square', 3: 'cube'}[exponent] }({base})"

    def element(self, name: str, index: ast.expr) -> str:
        if isinstance(index, ast.Tuple) and not index.elts:
            return f"*{name}"
        return f"{name}[{self.offset(name, index)}]"

    def call(self, name: str, args: list[str]) -> str:
        return f"{ {'abs': 'fabs', 'max': 'fmax'}.get(name, name) }({', '.join(args)})"

    def choice(self, test: str, yes: str, no: str) -> str:
        return f"({test} ? {yes} : {no})"

    def statement(self, node: ast.stmt, pad: str) -> list[str]:
        if isinstance(node, ast.Assign) and _is_maximum(node):
            # What a C programmer writes: fmax's rule for NaN keeps a loop from being vectorised.
            name, other = (self.expression(a) for a in node.value.args)
            return [f"{pad}{name} = {other} > {name} ? {other} : {name};"]
        if isinstance(node, ast.Assign):
            return [f"{pad}{self.expression(node.targets[0])} = {self.expression(node.value)};"]
        if isinstance(node, ast.AugAssign):
            return [f"{pad}{self.expression(node.target)} += {self.expression(node.value)};"]
        if isinstance(node, ast.If):
            lines = [f"{pad}if ({self.expression(node.test)}) {{"]
            lines += [line for s in node.body for line in self.statement(s, pad + "    ")]
            lines.append(f"{pad}}} else {{")
            lines += [line for s in node.orelse for line in self.statement(s, pad + "    ")]
            return [*lines, f"{pad}}}"]
        assert isinstance(node, ast.For), ast.dump(node)
        lines = []
        index = node.target.id
        start, stop, step = _bounds(node, self)
        if node.iter.func.id == "prange" and self.threads > 1:
            clauses = [f"private({', '.join(p)})" for p in [self.private(node)] if p]
            clauses += [f"reduction(+: {', '.join(r)})" for r in [self.reductions(node)] if r]
            lines.append(f"{pad}#pragma omp parallel for num_threads({self.threads}) {' '.join(clauses)}")
        test, move = ("<", f"++{index}") if step == 1 else (">", f"--{index}")
        lines.append(f"{pad}for (ptrdiff_t {index} = {start}; {index} {test} {stop}; {move}) {{")
        lines += [line for s in node.body for line in self.statement(s, pad + "    ")]
        return [*lines, f"{pad}}}"]


class Fortran(_Printer):
    def text(self) -> str:
        names = ", ".join(f"{name}, {name}_n, {name}_b" for name in self.arrays)
        lines = [f"subroutine work({names}) bind(C)", "use iso_c_binding", "implicit none"]
        # No intrinsic of Fortran's: it is C's.
        lines += [
            "interface",
            "pure real(c_double) function log1p(x) bind(C)",
            "import c_double",
            "real(c_double), value, intent(in) :: x",
            "end function",
            "end interface",
        ]
        for name, array in self.arrays.items():
            # The lower bound 0 makes the distance from the first element the subscript.
            lines.append(f"{_FORTRAN_TYPES[array.dtype.name]} :: {name}(0:*)")
            lines.append(f"integer(c_int64_t), intent(in) :: {name}_n(0:*), {name}_b(0:*)")
        for name, array in self.arrays.items():
            lines.extend(f"integer(c_int64_t) :: {name}_n{k}, {name}_s{k}" for k in range(array.ndim))
        lines.extend(f"{self.scalar_type()} :: {name}" for name in self.scalars)
        lines.extend(f"integer(c_int64_t) :: {name}" for name in self.indices)
        for name, array in self.arrays.items():
            for axis in range(array.ndim):
                lines.append(f"{name}_n{axis} = {name}_n({axis})")
                lines.append(f"{name}_s{axis} = {name}_b({axis}) / {array.itemsize}")
        for statement in self.function.body:
            lines.extend(self.statement(statement))
        return "\n".join([*lines, "end subroutine", ""])

    def scalar_type(self) -> str:
        return _FORTRAN_TYPES[next(iter(self.arrays.values())).dtype.name]

    def constant(self, value: Any) -> str:
        return f"{value!r}_c_double" if isinstance(value, float) else f"{value}_c_int64_t"

    def real(self, text: str) -> str:
        return f"real({text}, c_double)"

    def power(self, base: str, exponent: int) -> str:
        return f"{base}**{exponent}"

    def element(self, name: str, index: ast.expr) -> str:
        return f"{name}({self.offset(name, index)})"

    def call(self, name: str, args: list[str]) -> str:
        return f"{name}({', '.join(args)})"

    def choice(self, test: str, yes: str, no: str) -> str:
        return f"merge({yes}, {no}, {test})"

    def statement(self, node: ast.stmt) -> list[str]:
        if isinstance(node, ast.Assign):
            return [f"{self.expression(node.targets[0])} = {self.expression(node.value)}"]
        if isinstance(node, ast.AugAssign):
            target = self.expression(node.target)
            return [f"{target} = {target} + {self.expression(node.value)}"]
        if isinstance(node, ast.If):
            lines = [f"if ({self.expression(node.test)} /= 0) then"]
            lines += [line for s in node.body for line in self.statement(s)]
            lines.append("else")
            lines += [line for s in node.orelse for line in self.statement(s)]
            return [*lines, "end if"]
        assert isinstance(node, ast.For), ast.dump(node)
        lines = []
        start, stop, step = _bounds(node, self)
        if node.iter.func.id == "prange" and self.threads > 1:
            clauses = [f"private({', '.join(p)})" for p in [self.private(node)] if p]
            clauses += [f"reduction(+: {', '.join(r)})" for r in [self.reductions(node)] if r]
            lines.append(f"!$omp parallel do num_threads({self.threads}) {' '.join(clauses)}")
        last = f"{stop} - 1" if step == 1 else f"{stop} + 1"
        lines.append(f"do {node.target.id} = {start}, {last}{'' if step == 1 else ', -1'}")
        lines += [line for s in node.body for line in self.statement(s)]
        return [*lines, "end do"]


def _is_maximum(node: ast.Assign) -> bool:
    return isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "max"


def _bounds(node: ast.For, printer: _Printer) -> tuple[str, str, int]:
    assert isinstance(node.iter, ast.Call)
    args = node.iter.args
    start = "0" if len(args) == 1 else printer.expression(args[0])
    stop = printer.expression(args[0] if len(args) == 1 else args[1])
    return start, stop, 1 if len(args) < 3 else -1
