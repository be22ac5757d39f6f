"""The command line: `arrayexpr show | emit | run | explain | demo`, or `python -m arrayexpr ...`.

    show     the program after each pass
    emit     its C
    run      an expression over .npy files, into one
    explain  how it is run
    demo     an expression from text to result, on arrays of its own

Operands are given as NAME=VALUE. A value is a number (`s=2.5`), a type (`a=float64[:, :]`, or with
lengths `a=float64[1000, 2000]`), or a .npy file (`a=x.npy`). Errors are one line on stderr, and status 2.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import errno
import os
import re
import secrets
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from . import __version__
from . import target as targets
from ._core.driver import Step
from ._core.driver import run as run_passes
from ._core.engine.plan import RegionStep
from ._core.errors import ArrayExprError, ParseError, ShapeMismatch
from ._core.infer import shape as shape_of
from ._core.layout import Layout
from ._core.nodes import Assign, Operand
from ._core.parser import parse
from ._core.program import Program
from ._core.types import ArrayType, ElementType, element
from .build import Weak, spec_of
from .expression import expression
from .kernel import LANGUAGES, emit, explain, optimize
from .kernel import compile as compile_program
from .target import Target

# What a user's input may raise; anything else is a mistake of ours, and shows its traceback.
_REPORTED = (ArrayExprError, OSError, ValueError, TypeError, IndexError, ArithmeticError, MemoryError)


class Refused(ArrayExprError):
    """An argument of the command line that cannot be taken; the message names it."""


# -- Operands -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """One NAME=VALUE: what tracing needs of it, and its layout, value and file where it has them."""

    name: str
    spec: Any
    layout: Layout | None = None
    value: Any = None
    path: Path | None = None


def _given(texts: Sequence[str]) -> dict[str, Given]:
    """The operands by name, in the order given."""
    found: dict[str, Given] = {}
    for text in texts:
        name, _, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not value:
            raise Refused(f"argument {text!r}: expected NAME=VALUE, with a number, a type or a .npy file")
        if not name.isidentifier():
            raise Refused(f"operand name {name!r} is no identifier")
        if name in found:
            raise Refused(f"operand {name} is given twice")
        found[name] = _operand(name, value)
    return found


def _operand(name: str, text: str) -> Given:
    number = _number(text)
    if number is not None:
        return Given(name, spec_of(number), value=number)
    match = re.fullmatch(r"(\w+)\s*(?:\[(.*)\])?", text, re.DOTALL)
    if match is not None:
        with contextlib.suppress(ArrayExprError):
            return _typed(name, text, element(match[1]), match[2])
    array = _mapped(name, Path(text))
    return Given(name, _spec(name, array), Layout.of(array), array, Path(text))


def _number(text: str) -> bool | int | float | complex | None:
    """The number that a text is, or None."""
    if re.fullmatch(r"[+-]?(inf|nan)", text):
        return float(text)
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, bool | int | float | complex) else None


def _typed(name: str, text: str, of: ElementType, axes: str | None) -> Given:
    """An operand of a type, `float64[:, ::1]`, or of lengths, `float64[100, 200]` or `float64['F', 100, 200]`."""
    if axes is None:
        return Given(name, of)
    parts = [part.strip() for part in axes.split(",")]
    order = parts[0].strip("'\"")
    lengths = parts[1:] if order in ("C", "F") else parts
    if not lengths or not all(re.fullmatch(r"\d{1,18}", length) for length in lengths):
        return Given(name, text)
    layout = _contiguous(tuple(map(int, lengths)), of.itemsize, fortran=order == "F")
    return Given(name, of.array(len(lengths)), layout)


def _contiguous(lengths: tuple[int, ...], itemsize: int, *, fortran: bool) -> Layout:
    strides, step = [0] * len(lengths), itemsize
    for axis in range(len(lengths)) if fortran else reversed(range(len(lengths))):
        strides[axis] = step
        step *= max(lengths[axis], 1)
    return Layout(lengths, tuple(strides))


def _mapped(name: str, path: Path) -> Any:
    """The array in a .npy file, mapped into memory for reading."""
    try:
        with open(path, "rb") as file:
            magic = file.read(6)
    except OSError as error:
        raise Refused(f"operand {name}: {path} cannot be read: {error.strerror}") from None
    if magic[:2] == b"PK":
        raise Refused(f"operand {name}: {path} is an .npz archive: expected a .npy file, one array")
    if magic != b"\x93NUMPY":
        raise Refused(f"operand {name}: {path} is no .npy file")
    try:
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except ValueError as error:
        if "Python objects" in str(error):
            raise Refused(f"operand {name}: {path} holds Python objects: expected numbers") from None
        raise Refused(f"operand {name}: {path} cannot be read: {error}") from None


def _spec(name: str, array: Any) -> Any:
    try:
        return spec_of(array)
    except ArrayExprError as error:
        raise Refused(f"operand {name}: {error}") from None


# -- Programs -----------------------------------------------------------------------------------


def _program(options: argparse.Namespace) -> tuple[Program, dict[str, Given]]:
    """The program of the text or file on the command line, and its operands as given."""
    text = _text(options)
    given = _given(options.operands)
    if re.match(r"\s*(#[^\n]*\n\s*)*(def\s|@layouts\b)", text):
        program = parse(text)
        for operand in given.values():
            _check_operand(program, operand)
    else:
        try:
            program = expression(text, {name: operand.spec for name, operand in given.items()})
        except ParseError as error:
            raise Refused(_first_line(error) + _hint(str(error), text)) from None
        unused = given.keys() - {operand.name for operand in program.operands}
        if unused:
            raise Refused(f"operand {min(unused)} is not in the expression")
    if options.name is not None:
        if not (options.name.isidentifier() and options.name.isascii()):
            raise Refused(f"name {options.name!r} is no identifier of C")
        program = program.replace(name=options.name)
    return program, given


def _text(options: argparse.Namespace) -> str:
    if options.file is None:
        if options.what is None:
            raise Refused("no expression is given: expected its text, or -f FILE")
        return str(options.what)
    if options.what is not None:
        # With -f, what stands in the place of an expression is an operand.
        options.operands.insert(0, options.what)
    try:
        return sys.stdin.read() if options.file == "-" else Path(options.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{options.file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _hint(message: str, text: str) -> str:
    unknown = re.search(r"unknown name '(\w+)'", message)
    if len(text) < 4096 and os.path.isfile(text):
        return f"; {text} is a file: read it by -f"
    return f"; an operand is given as {unknown[1]}=VALUE" if unknown else ""


def _check_operand(program: Program, given: Given) -> None:
    """A program declares its types: a value given for an operand must have that type."""
    declared = program.operand(given.name).type
    spec = given.spec
    if isinstance(spec, str):
        raise Refused(f"operand {given.name}: the program says {declared}: expected a file, a number or lengths")
    if isinstance(spec, Weak):
        # A Python number: the call converts it.
        return
    t = spec if isinstance(spec, ArrayType) else spec.array(0)
    if t.element is not declared.element or t.rank != declared.rank:
        raise Refused(f"operand {given.name} is {t}: expected {declared}")


def _with_facts(program: Program, given: Mapping[str, Given], options: argparse.Namespace) -> Program:
    """The program with its target and, if asked for, the layouts that are given or follow."""
    layouts = {}
    if options.layouts:
        layouts = _layouts(program, given)
        if not layouts:
            raise Refused("--layouts: no operand has lengths: expected files, or types as float64[1000, 2000]")
    return program.replace(target=_target(options), layouts={**program.layouts, **layouts})


def _target(options: argparse.Namespace) -> Target:
    target = targets.detect()
    return target if options.threads is None else target.with_cores(options.threads)


def _layouts(program: Program, given: Mapping[str, Given]) -> dict[str, Layout]:
    """The layouts that are given, and for results of whole statements those that the call would allocate."""
    layouts = {name: g.layout for name, g in given.items() if g.layout is not None}
    matrices = [layout for layout in layouts.values() if len(layout.shape) > 1]
    fortran = bool(matrices) and all(_is_fortran(layout) for layout in matrices)
    for statement in program.statements:
        if not isinstance(statement, Assign) or not isinstance(statement.target, Operand):
            continue
        result = statement.target
        lengths = shape_of(statement.value, layouts)
        if lengths is not None and result.name not in layouts and len(lengths) == result.type.rank:
            layouts[result.name] = _contiguous(lengths, result.type.element.itemsize, fortran=fortran)
    return layouts


def _is_fortran(layout: Layout) -> bool:
    """Whether a contiguous layout is in Fortran order and not in C order too."""
    return layout.strides[0] < layout.strides[-1]


# -- show, emit, explain ------------------------------------------------------------------------


def _show(options: argparse.Namespace) -> None:
    program, given = _program(options)
    program = _with_facts(program, given, options)
    print("# as written", program, sep="\n")
    steps: list[Step] = []
    run_passes(program, steps=steps, contract=options.contract)
    for step in steps:
        # What is said of a program stands in comments, so that every program can be cut out and parsed.
        said = [*str(step).splitlines(), *(f"remark: {r}" for r in step.after.remarks[len(step.before.remarks) :])]
        print(*(f"# {line}" for line in said), sep="\n")
        print(step.after if step.after.statements != step.before.statements else "")


def _emit(options: argparse.Namespace) -> None:
    program, given = _program(options)
    program = _with_facts(program, given, options)
    text = emit(optimize(program, target=program.target, contract=options.contract), options.language)
    if options.output is None:
        sys.stdout.write(text)
        return
    with _replacing(Path(options.output)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _explain(options: argparse.Namespace) -> None:
    program, given = _program(options)
    made = compile_program(program, target=_target(options), contract=options.contract)
    values = [given[operand.name].value if operand.name in given else None for operand in program.operands]
    known = all(value is not None for value in values)
    print(explain(made, *values) if known else explain(made))


# -- run ----------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> None:
    program, given = _program(options)
    if len(program.results) != 1:
        raise Refused(f"program {program.name} has {len(program.results)} results: expected one")
    for operand in program.operands:
        if operand.name not in given:
            raise Refused(f"operand {operand.name} is not given: expected {operand.name}=VALUE")
        if given[operand.name].value is None:
            raise Refused(f"operand {operand.name} is given as a type: expected a number or a .npy file")
    made = compile_program(program, target=_target(options), contract=options.contract)
    result = program.results[0]
    if options.output is None:
        print(made(*[given[operand.name].value for operand in program.operands]))
        return
    path = Path(os.path.realpath(options.output))
    _check_output(path, options.output, given)
    lengths = None
    # Shapes that do not fit are the kernel's to report: it knows which operand is at fault.
    with contextlib.suppress(ShapeMismatch):
        lengths = _layouts(program, given).get(result.name)
    with contextlib.ExitStack() as files:
        values = [_native(given[operand.name].value, path.parent, files) for operand in program.operands]
        with _replacing(path) as temporary:
            if lengths is None:
                # A shape that is known only when it is computed: the result is made in memory.
                with open(temporary, "wb") as file:
                    array = np.asarray(made(*values))
                    np.lib.format.write_array(file, array, allow_pickle=False)
            else:
                array = _new_file(temporary, result.type.element.dtype, lengths.shape, _is_f(lengths, options.order))
                made(*values, out=np.asarray(array))
                array.flush()
            shown = f"{result.type.element} {array.shape}"
            # Mapped files are closed before they are renamed: not every system renames an open one.
            del array
    print(f"{options.output}: {shown}")


def _is_f(layout: Layout, order: str | None) -> bool:
    return order == "F" or (order is None and len(layout.shape) > 1 and _is_fortran(layout))


def _check_output(path: Path, shown: str, given: Mapping[str, Given]) -> None:
    if path.suffix == ".npz":
        raise Refused(f"output {shown}: .npz is not written: expected a .npy file")
    if path.exists() and not path.is_file():
        raise Refused(f"output {shown} is no regular file")
    if not path.parent.is_dir():
        raise Refused(f"output {shown}: there is no directory {path.parent}")
    for operand in given.values():
        if operand.path is not None and path.exists() and path.samefile(operand.path):
            raise Refused(f"output {shown} is the file of operand {operand.name}: expected another one")


def _native(value: Any, directory: Path, files: contextlib.ExitStack) -> Any:
    """The value as kernels take it: swapped bytes are put right in a file without a name, not in memory."""
    if not isinstance(value, np.ndarray) or (value.dtype.isnative and value.flags.aligned) or value.size == 0:
        return value
    file = files.enter_context(tempfile.TemporaryFile(dir=directory))
    _reserve(file.fileno(), value.nbytes)
    dtype: Any = value.dtype.newbyteorder("=")
    fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    native = np.memmap(file, dtype=dtype, mode="w+", shape=value.shape, order="F" if fortran else "C")
    np.copyto(native, value)
    return np.asarray(native)


def _new_file(path: Path, dtype: Any, lengths: tuple[int, ...], fortran: bool) -> Any:
    """A new .npy file, mapped into memory for writing."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=lengths, fortran_order=fortran)
    with open(path, "r+b") as file:
        _reserve(file.fileno(), array.offset + array.nbytes)
    return array


def _reserve(descriptor: int, size: int) -> None:
    """Take the space now: a disk that is full is an error here, and would end the process at a mapped page."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, max(size, 1))
        except OSError as error:
            # Not every file system can; those go on without.
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path` that takes its place at the end, whole; nothing is left of it after an error."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            # The rights that the user's files get, and never a file that exists.
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield temporary
            if path.exists():
                os.chmod(temporary, path.stat().st_mode & 0o777)
            os.replace(temporary, path)
        except OSError as error:
            raise Refused(f"output {path} cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


# -- demo ---------------------------------------------------------------------------------------

_DEMO_TEXT = "sqrt(a**2 + b.T**2) / 2"


def _numpy_out(a: Any, b: Any, out: Any, spare: Any) -> None:
    np.square(a, out=out)
    np.square(b.T, out=spare)
    np.add(out, spare, out=out)
    np.sqrt(out, out=out)
    np.divide(out, 2, out=out)


def _demo(options: argparse.Namespace) -> None:
    if options.size < 1 or options.repeats < 1:
        raise Refused("--size and --repeats: expected at least 1")
    rows, columns = options.size, options.size * 3 // 2
    random = np.random.default_rng(0)
    a, b = random.random((rows, columns)), random.random((columns, rows))
    print(f"The expression\n\n    {_DEMO_TEXT}\n\nover a of shape {a.shape} and b of shape {b.shape}, float64.\n")
    program = expression(_DEMO_TEXT, {"a": spec_of(a), "b": spec_of(b)})
    made = compile_program(program, target=_target(options))
    start = time.perf_counter()
    result = made(a, b)
    first = time.perf_counter() - start
    print("The tree as written\n", _indented(str(program)), sep="\n")
    print("After the passes on arrays\n", _indented(str(made.compiled.program)), sep="\n")
    step = made.compiled.plan.single
    assert isinstance(step, RegionStep)
    code = next((code for code in step.region.codes.values() if code is not None), None)
    if code is None:
        print("The interpreter ran it.\n")
    else:
        print(
            "Scheduled for the layouts of these arrays (b comes as its view b.T)\n",
            _indented(str(code.program)),
            sep="\n",
        )
        if code.compiled or code.request is not None:
            print("Its C\n", _indented(code.source), sep="\n")
        else:
            print("No C compiler: the block engine ran it.\n")
    # What is timed is compiled code; the first result did not wait for it.
    made.wait()
    expected = np.sqrt(a**2 + b.T**2) / 2
    equal = result.dtype == expected.dtype and bool((result.view(np.uint64) == expected.view(np.uint64)).all())
    print(f"The result is equal to NumPy's in every bit: {'yes' if equal else 'NO'}\n")
    if not equal:
        raise Refused("the demo's result differs from NumPy's")
    out, spare = np.empty_like(expected), np.empty_like(expected)
    ways: dict[str, Callable[[], Any]] = {
        "NumPy, as written": lambda: np.sqrt(a**2 + b.T**2) / 2,
        "arrayexpr": lambda: made(a, b),
        "NumPy, out= at each step": lambda: _numpy_out(a, b, out, spare),
        "arrayexpr, out=": lambda: made(a, b, out=out),
    }
    threads = f"{cores} threads" if (cores := _target(options).cores) > 1 else "1 thread"
    print(f"Times in ms, median and least of {options.repeats} runs taken in turns; arrayexpr in {threads}")
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - start) * 1e3)
    for name, taken in times.items():
        print(f"    {name:<26}{statistics.median(taken):8.1f}{min(taken):8.1f}")
    print(f"    the first call, before anything is compiled: {first * 1e3:.1f}")


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.rstrip("\n").splitlines())


# -- The arguments ------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _fail(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("arrayexpr", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"arrayexpr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], None], text: str, example: str = "") -> Any:
        added = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example: arrayexpr {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(function=function)
        added.add_argument("--threads", type=int, metavar="N", help="threads to use (ARRAYEXPR_NUM_THREADS, else 1)")
        return added

    def over_text(name: str, function: Callable[[argparse.Namespace], None], text: str, example: str) -> Any:
        added = command(name, function, text, example)
        added.add_argument("what", nargs="?", metavar="TEXT", help="an expression, or a program in the text form")
        added.add_argument("operands", nargs="*", metavar="NAME=VALUE", help="a number, a type or a .npy file")
        added.add_argument("-f", "--file", metavar="FILE", help="read TEXT from a file; - is stdin")
        added.add_argument("--name", help="the name of the program, and of the function in its C")
        contract = "exact keeps every bit (default), fast may reassociate"
        added.add_argument("--contract", choices=("exact", "fast"), default="exact", help=contract)
        return added

    layouts = "schedule for the shapes and strides that the operands have, not for any"
    show = over_text("show", _show, "print the program after each pass", "show 'a * b.T' 'a=float64[:, :]' b=y.npy")
    show.add_argument("--layouts", action="store_true", help=layouts)
    emitted = over_text(
        "emit", _emit, "print the C of a program", "emit 'a * b + c' 'a=float64[:]' 'b=float64[:]' c=1.5"
    )
    emitted.add_argument("--layouts", action="store_true", help=layouts)
    emitted.add_argument("-l", "--language", choices=tuple(LANGUAGES), default="c", help="default: c")
    emitted.add_argument("-o", "--output", metavar="FILE", help="write to a file")
    ran = over_text(
        "run", _run, "compute an expression over .npy files", "run 'sqrt(a * b.T) + s' a=x.npy b=y.npy s=2.5 -o out.npy"
    )
    ran.add_argument("-o", "--output", metavar="FILE", help="the .npy file to write; without it the result is printed")
    order = "axes of the output file in C or Fortran order (default: C, unless all files are in Fortran order)"
    ran.add_argument("--order", choices=("C", "F"), help=order)
    over_text("explain", _explain, "tell how an expression is run", "explain 'a * b.T' a=x.npy b=y.npy")
    demo = command("demo", _demo, "show an expression on its way from text to result", "demo")
    demo.add_argument("--size", type=int, default=2000, metavar="ROWS", help="rows of the arrays (default: 2000)")
    demo.add_argument("--repeats", type=int, default=7, metavar="N", help="runs of each that are timed (default: 7)")
    return parser


def _fail(message: str) -> NoReturn:
    print(f"arrayexpr: error: {message}", file=sys.stderr)
    raise SystemExit(2)


def _first_line(error: BaseException) -> str:
    text = " ".join((str(error).splitlines() or [type(error).__name__])[:1])
    return "; ".join([text, *getattr(error, "__notes__", ())])


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"arrayexpr: warning: {message}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status; SystemExit with status 2 where arguments are refused."""
    options, rest = _parser().parse_known_args(arguments)
    for extra in rest:
        # Operands after an option come here.
        if extra.startswith("-") or not hasattr(options, "operands"):
            hint = ": an expression that begins with - is put in parentheses" if extra[1:2].isidentifier() else ""
            _fail(f"unknown option {extra!r}{hint}")
        options.operands.append(extra)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            options.function(options)
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader, as `head`, has seen enough; Python's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except _REPORTED as error:
        _fail(_first_line(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
