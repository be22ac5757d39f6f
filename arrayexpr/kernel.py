"""Programs to results: optimize, emit, compile, evaluate, explain, and the `kernel` decorator."""

from __future__ import annotations

import functools
import importlib
import inspect
import keyword
from _thread import allocate_lock
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import target as targets
from ._core.driver import array_passes, run
from ._core.engine.dispatch import Code, Kernel, Region
from ._core.engine.handover import mode as mode_of
from ._core.engine.plan import Plan, RegionStep, plan
from ._core.engine.runtime import Runtime
from ._core.errors import ArrayExprError, ShapeMismatch, TypeMismatch
from ._core.infer import broadcast
from ._core.infer import shape as shape_of
from ._core.layout import Layout
from ._core.nodes import Assign, Loop
from ._core.program import Program
from ._core.record import record, replace
from .build import spec_of, trace
from .target import Target

#: The languages that `emit` writes, each by the module of its name among the adapters. They are imported when used:
#: the first result of a kernel does not need one.
LANGUAGES = ("c", "opencl", "cuda")

# Calls on devices that a kernel remembers, of each kind of arguments.
_REPLAYS_MAX = 64

# Programs compiled for `evaluate`, by text and types; the one unused longest goes.
_EVALUATED_MAX = 256


def optimize(
    program: Program, layouts: Mapping[str, Any] | None = None, target: Target | None = None, *, contract: str = "exact"
) -> Program:
    """The program after all passes: simplified, shared, and as a schedule of loops.

    `layouts` gives the layout of operands by name (a `Layout`, or an array that has it); what is known
    of shapes and strides decides the order of loops, which of them join, and tiles. `target` is the
    machine, this one where not given. `contract` is "exact" (the bits of the tree as written) or "fast".

    Raises VerifyError where the program is no valid tree, ArrayExprError for layouts of no operand,
    ShapeMismatch for layouts that do not fit one another.

    >>> import arrayexpr
    >>> a, b = arrayexpr.array("a", float, 1), arrayexpr.array("b", float, 1)
    >>> print(arrayexpr.optimize(arrayexpr.program(a * b + 0)))  # doctest: +ELLIPSIS
    def kernel(a: float64[:], b: float64[:], *, r: float64[:]):
    ...
    """
    given = {name: Layout.of(like) for name, like in (layouts or {}).items()}
    for name, layout in given.items():
        operand = program.operand(name)
        if len(layout.shape) != operand.type.rank:
            raise ArrayExprError(f"layout of {name} has {len(layout.shape)} axes: expected {operand.type.rank}")
    layouts = {**program.layouts, **given}
    for statement in program.statements if layouts else ():
        if isinstance(statement, Assign):
            _check_shapes(statement, layouts)
    program = program.replace(target=target or targets.detect(), layouts=layouts)
    return run(program, contract=contract)


def _check_shapes(statement: Assign, layouts: Mapping[str, Layout]) -> None:
    value, target = shape_of(statement.value, layouts), shape_of(statement.target, layouts)
    if value is not None and target is not None and broadcast((target, value), "assignment") != target:
        raise ShapeMismatch(f"{statement.target!r} has shape {target}: expected {value}")


def emit(program: Program, language: str = "c") -> str:
    """The source text of a program in a language; one that is not scheduled yet is optimised first.

    Raises UnsupportedError, naming the node, for what the language has no form for.
    """
    if language not in LANGUAGES:
        raise ArrayExprError(f"language {language!r} is unknown: expected one of {', '.join(LANGUAGES)}")
    if language != "c":
        return _emit_grid(program, language)
    from ._core.passes.nests import enclosed
    from ._core.passes.products import is_product

    # A schedule keeps the products of matrices as they are.
    statements = list(enclosed(program.statements))
    assigned = any(isinstance(s, Assign) and not is_product(s) for s in statements)
    if assigned or not any(isinstance(s, Loop) for s in statements):
        program = optimize(program, target=program.target)
    text: str = importlib.import_module(f"{__package__}.adapters.{language}").emit(program)
    return text


def _emit_grid(program: Program, language: str) -> str:
    """The text of a program for a GPU; one that is not scheduled yet gets the schedule that holds for any layouts."""
    adapter = importlib.import_module(f"{__package__}.adapters.{language}")
    if not any(isinstance(s, Assign) for s in program.statements):
        text: str = adapter.emit(program)
        return text
    from ._core.engine.ahead import ahead

    found = ahead(run(program, array_passes(program)), lambda each: plan(each, _emit_c, targets.detect(), mode_of()))
    source = adapter.source(found.program, values=found.values)
    text = found.note(source) + source.text
    return text


def _emit_c(program: Program) -> str:
    """The C of a kernel whose caller has checked its operands."""
    from .adapters import c

    text: str = c.emit(program, checked=False)
    return text


@record
class _Options:
    """How a kernel is to be made."""

    target: Target | None = None
    threads: int | None = None
    contract: str = "exact"
    vector_math: bool | None = None
    engine: str | None = None
    wait: bool | None = None
    dead: tuple[str, ...] = ()
    device: Any = None

    def machine(self) -> tuple[Target, int]:
        """The machine to schedule for, and the number of threads that is fixed; 0 where none is."""
        target = self.target or targets.detect()
        if isinstance(target, targets.Gpu):
            raise ArrayExprError(f"target {target.name} is a GPU: expected device=, to run on one, or emit")
        if self.vector_math is not None:
            target = replace(target, vector_math=self.vector_math)
        if self.threads is not None:
            return target.with_cores(self.threads), self.threads
        return target, 0 if self.target is None else target.cores


def _device_of(values: Iterable[Any]) -> Any | None:
    """The device that arrays among values live on; None of the host's, for which nothing is imported."""
    foreign = [v for v in values if not isinstance(v, np.ndarray | np.generic | int | float | complex | None)]
    if not foreign:
        return None
    from .devices import device_of

    return device_of(foreign)


def _with(args: tuple[Any, ...], out: Any) -> tuple[Any, ...]:
    """Arguments, and what is given for results."""
    return args if out is None else (*args, *out) if isinstance(out, tuple) else (*args, out)


def _replayed(replays: dict[Any, Any], values: tuple[Any, ...]) -> tuple[Any] | None:
    """The results of a call on a device like one before it, as a tuple of one; None where there was none."""
    from .devices import remembered

    found = remembered(values)
    if found is None:
        return None
    key, places, stream = found
    tape = replays.get(key)
    return None if tape is None else (tape.play(values, places, stream),)


class _Compiled:
    """One program, planned on first use."""

    def __init__(self, program: Program, options: _Options):
        target, fixed = options.machine()
        self.source = program
        self.target = target
        self.program = run(
            program.replace(target=target),
            array_passes(program, options.contract),
            contract=options.contract,
            guarded=True,
        )
        mode = mode_of(options.engine, options.wait)
        self.runtime = Runtime(plan(self.program, _emit_c, target, mode, threads=fixed), options.dead)
        self.device = options.device
        self._on: dict[Any, Any] = {}

    def run(self, kernel: Kernel, args: tuple[Any, ...], out: Any, replays: dict[Any, Any]) -> Any:
        """The results for arguments, on the device that was asked for or that they live on, or else here.

        `replays` gets what a call on a device did, for those like it.
        """
        device = self.device or _device_of((*args, *(out if isinstance(out, tuple) else (out,))))
        if device is None:
            return self.runtime.run(kernel, args, out)
        if self.device is not None:
            return self.on(device).run(args, out)

        def remember(tape: Any) -> None:
            from .devices import remembered

            found = remembered(_with(args, out))
            if found is not None:
                if len(replays) >= _REPLAYS_MAX:
                    replays.pop(next(iter(replays)), None)
                replays[found[0]] = tape

        return self.on(device).run(args, out, remember)

    def on(self, device: Any) -> Any:
        """The program's runtime on a device."""
        from ._core.engine.devices import DeviceRuntime
        from .devices import device as device_named

        device = device_named(device)
        if device not in self._on:
            self._on[device] = DeviceRuntime(self.plan, device)
        return self._on[device]

    @property
    def plan(self) -> Plan:
        return self.runtime.plan

    def codes(self) -> list[Code]:
        return self.plan.codes()


def compile(
    program: Program,
    *,
    target: Target | None = None,
    threads: int | None = None,
    contract: str = "exact",
    vector_math: bool | None = None,
    engine: str | None = None,
    wait: bool | None = None,
    dead: Sequence[str] = (),
    device: Any = None,
) -> Kernel:
    """A callable for a program: `kernel(*operands, out=None)` gives its result, or a tuple of them.

    Operands are arrays of the element types and ranks that the program declares, in any layout. `out`
    is an array for the result, a tuple where there are several. `threads` is how many to use, for good;
    else it is what `get_num_threads` says at each call. `vector_math=False` takes functions such as `exp`
    from C's scalar library, else `ARRAYEXPR_VECTOR_MATH`.

    The first calls run at once, by NumPy's loops over blocks; C is compiled meanwhile, takes over with the
    same bits, and is kept on disk. With `wait` (else `ARRAYEXPR_WAIT`) it comes before the first result, and
    `kernel.wait()` waits for what there is. `engine` (else `ARRAYEXPR_ENGINE`) is "auto", or "block" or "c"
    for one of the two alone. `dead` names operands whose arrays nobody reads after a call: a result of the same
    type and shape may be one of them. Raises ArrayExprError for a name that is no operand's.

    A call runs on the device that its arguments live on: arrays of CuPy, PyTorch, JAX, Numba, pyopencl. `device`
    ("cuda", "opencl", see `arrayexpr.devices`) has arrays of the host brought there and back as well.

    >>> import numpy as np, arrayexpr
    >>> a = arrayexpr.array("a", "float64", 2)
    >>> double = arrayexpr.compile(arrayexpr.program(a + a.T))
    >>> double(np.ones((2, 2)))
    array([[2., 2.],
           [2., 2.]])
    """
    compiled = _Compiled(program, _Options(target, threads, contract, vector_math, engine, wait, tuple(dead), device))

    replays: dict[Any, Any] = {}

    def resolve(args: tuple[Any, ...], out: Any = None) -> Any:
        if replays and (found := _replayed(replays, _with(args, out))) is not None:
            return found[0]
        return compiled.run(made, args, out, replays)

    made = Kernel(resolve, program.name)
    made.compiled = compiled
    made.__doc__ = str(program)
    return made


class _Traced:
    """A function written for NumPy, traced anew for each combination of element types and ranks."""

    def __init__(self, function: Callable[..., Any], options: _Options):
        self.function = function
        name = function.__name__
        # A lambda's name, `<lambda>`, is no program's.
        self.name = name if name.isidentifier() and not keyword.iskeyword(name) else "kernel"
        self.options = options
        self.compiled: dict[tuple[Any, ...], _Compiled] = {}
        self.lock = allocate_lock()
        parameters = inspect.signature(function).parameters.values()
        for p in parameters:
            if p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
                raise TypeError(f"kernel {function.__name__} has the parameter {p}: expected positional ones only")
        self.names = [p.name for p in parameters]
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}

    def bind(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by place, from what is given by place, by name and by default."""
        if len(args) > len(self.names):
            raise TypeError(f"{self.function.__name__} takes {len(self.names)} arguments: got {len(args)}")
        values = dict(self.defaults)
        values.update(zip(self.names, args, strict=False))
        for name, value in keywords.items():
            if name not in self.names:
                raise TypeError(f"{self.function.__name__} has no parameter {name!r}")
            if name in self.names[: len(args)]:
                raise TypeError(f"{self.function.__name__} got parameter {name!r} twice")
            values[name] = value
        missing = [name for name in self.names if name not in values]
        if missing:
            raise TypeError(f"{self.function.__name__} misses the argument {missing[0]!r}")
        return tuple(values[name] for name in self.names)

    def for_arguments(self, args: tuple[Any, ...]) -> _Compiled:
        """The program for the types of arguments."""
        key = tuple(_spec(arg, name) for arg, name in zip(args, self.names, strict=True))
        compiled = self.compiled.get(key)
        if compiled is None:
            with self.lock:
                compiled = self.compiled.get(key)
                if compiled is None:
                    program = trace(self.function, *key, name=self.name)
                    compiled = _Compiled(program, self.options)
                    self.compiled[key] = compiled
        return compiled


def _spec(arg: Any, name: str) -> Any:
    """What tracing needs of an argument: its element type and rank, or the kind of a Python scalar."""
    device = _device_of((arg,))
    if device is not None:
        arg = device.array(arg)
    elif isinstance(arg, list | tuple) or (hasattr(arg, "__array__") and not isinstance(arg, np.ndarray | np.generic)):
        arg = np.asarray(arg)
    try:
        return spec_of(arg)
    except TypeMismatch as error:
        raise TypeMismatch(f"operand {name}: {error}") from None


def kernel(
    function: Callable[..., Any] | None = None,
    *,
    target: Target | None = None,
    threads: int | None = None,
    contract: str = "exact",
    vector_math: bool | None = None,
    engine: str | None = None,
    wait: bool | None = None,
    device: Any = None,
) -> Any:
    """Turn a function written for NumPy into a fused kernel.

    The function is traced once for each combination of element types and ranks that it is called with;
    it must not look at values (`if a[0] > 0`) or shapes. A loop `for k in range(...)` over what is not known then,
    such as an argument or `len(a)`, is a loop of the kernel; one over numbers is unrolled. Called with arrays of
    any layout, it gives what NumPy gives, bit for bit but for vector math; `out=` names arrays for the results.
    The options are those of `compile`.

    >>> import numpy as np
    >>> @kernel
    ... def axpy(alpha, x, y):
    ...     return alpha * x + y
    >>> axpy(2.0, np.arange(3.0), np.ones(3))
    array([1., 3., 5.])
    >>> @kernel
    ... def powers(x, n):
    ...     y = x
    ...     for k in range(n):
    ...         y = y * x
    ...     return y
    >>> powers(np.arange(3.0), 4)
    array([ 0.,  1., 32.])
    """
    if function is None:
        return functools.partial(
            kernel,
            target=target,
            threads=threads,
            contract=contract,
            vector_math=vector_math,
            engine=engine,
            wait=wait,
            device=device,
        )
    mode_of(engine, wait)
    traced = _Traced(function, _Options(target, threads, contract, vector_math, engine, wait, device=device))

    replays: dict[Any, Any] = {}

    def resolve(args: tuple[Any, ...], out: Any = None, **keywords: Any) -> Any:
        if replays and not keywords and (found := _replayed(replays, _with(args, out))) is not None:
            return found[0]
        args = traced.bind(args, keywords)
        return traced.for_arguments(args).run(made, args, out, replays)

    made = Kernel(resolve, function.__name__)
    made.traced = traced
    made.__wrapped__ = function
    made.__doc__ = function.__doc__
    return made


_evaluated: dict[Any, Kernel] = {}
_evaluated_lock = allocate_lock()


def evaluate(text: str, arrays: Mapping[str, Any] | None = None, out: Any = None, **named: Any) -> Any:
    """The value of an expression, given as text, over arrays by name.

    The text is Python's expression syntax over the names, NumPy's functions and constants; it is parsed,
    never run as Python. Raises ParseError with the place of what it does not take.

    >>> import numpy as np
    >>> evaluate("sqrt(a * a + 3 * b)", {"a": np.array([1.0, 2.0]), "b": np.array([1.0, 4.0])})
    array([2., 4.])
    """
    given = {**(arrays or {}), **named}
    specs = {name: _spec(array, name) for name, array in given.items()}
    key = (text, tuple(specs.items()))
    made = _evaluated.get(key)
    if made is None:
        # Kernels do not wait for the import of its table of syntax.
        from .expression import expression

        made = compile(expression(text, specs))
        with _evaluated_lock:
            while len(_evaluated) >= _EVALUATED_MAX:
                _evaluated.pop(next(iter(_evaluated)))
            _evaluated[key] = made
    names = [operand.name for operand in made.compiled.program.operands]
    return made(*[given[name] for name in names], out=out)


def explain(what: Any, *arrays: Any) -> str:
    """How a program or kernel is optimised: the program as written, after the passes, and how it is run.

    With arrays, for their layouts: which regions there are, the signature of each and its schedule. A
    kernel made by `kernel` needs them, since its program depends on their types.
    """
    if isinstance(what, Program):
        compiled = _Compiled(what, _Options(what.target))
    elif hasattr(what, "traced"):
        if not arrays and what.traced.names:
            raise TypeError(f"explain of {what.__name__} needs its arguments: their types decide the program")
        arrays = what.traced.bind(arrays, {})
        compiled = what.traced.for_arguments(arrays)
    elif isinstance(what, Kernel):
        compiled = what.compiled
    else:
        raise TypeError(f"explain of {type(what).__name__}: expected a Program or a kernel")
    parts = ["As written:", _indented(compiled.source), "After the passes on arrays:", _indented(compiled.program)]
    parts.extend(_explain_steps(compiled, arrays) if arrays else _explain_unknown(compiled))
    return "\n".join(parts)


def _explain_unknown(compiled: _Compiled) -> list[str]:
    scheduled = optimize(compiled.program, target=compiled.target)
    return ["Scheduled, with layouts unknown:", _indented(scheduled), *(f"  note: {r}" for r in scheduled.remarks)]


def _explain_steps(compiled: _Compiled, arrays: tuple[Any, ...]) -> list[str]:
    """Run once on copies, so that every step's layouts are the real ones, and describe what was chosen."""
    # The cost model, and steps that few programs have: nothing else that runs asks them.
    from ._core.engine.costs import described
    from ._core.engine.host import HostStep
    from ._core.engine.loopstep import LoopStep
    from ._core.engine.serial import SerialStep
    from ._core.engine.windowstep import WindowStep

    if compiled.device is not None:
        return _explain_launches(compiled, arrays)
    before = {id(code) for code in compiled.plan.codes()}
    copies = [a.copy(order="K") if isinstance(a, np.ndarray) else a for a in arrays]
    compiled.runtime.run(Kernel(None, "explain"), copies)
    lines = []
    if compiled.runtime.scratch:
        lines.append(f"Locals and temporaries take {compiled.runtime.scratch} bytes at the most.")
    assumption = compiled.program.assumption
    if assumption is not None:
        apart = set(assumption.apart) & {operand.name for operand in compiled.program.operands}
        if apart:
            lines.append(f"Run as written where {', '.join(sorted(apart))} share memory with another operand.")
        if assumption.alike:
            pairs = "; ".join(f"{a!r} and {b!r}" for a, b in assumption.alike)
            lines.append(f"Run as written where shapes differ: {pairs}.")
        if assumption.lengths:
            lines.append(f"Run as written unless {' and '.join(map(repr, assumption.lengths))}.")
    for number, step in enumerate(compiled.plan.every_step(), 1):
        found: dict[Code, Region | None] = {}
        match step:
            case RegionStep():
                said = "; ".join(map(repr, step.assigns))
                found = {code: each for each in step.regions for code in each.codes.values() if code is not None}
            case LoopStep():
                said = f"{step.node!r} {len(step.before)} steps before it and {len(step.steps)} in it:"
            case SerialStep():
                said = f"{step.node!r} one element after the other, else as below"
                found = {step.code: None}
            case WindowStep():
                said = f"{step.slot} = {step.views[-1]!r}"
            case HostStep():
                said = f"{step.node!r}, by the host"
            case _:
                said = f"{type(step).__name__} by NumPy or the interpreter"
        lines.append(f"Step {number}: {said}")
        if isinstance(step, RegionStep) and step.region.divided:
            lines.append("  in parts, each by the first code, whose results the second takes together:")
        if isinstance(step, RegionStep) and not found:
            lines.append("  not run, or run by the interpreter")
        for code, region in found.items():
            state = "made before" if id(code) in before else "made for these arrays"
            lines.append(f"  {code!r}, {state}, runs {_engine(code)}:")
            lines.append(_indented(code.program))
            lines.extend(f"  cost: {line}" for line in (described(region, code) if region is not None else ()))
            lines.extend(f"  note: {remark}" for remark in code.program.remarks)
    return lines


def _explain_launches(compiled: _Compiled, arrays: tuple[Any, ...]) -> list[str]:
    """Run once, and describe the launches on the device, and whether bringing host arrays there is worth it."""
    from ._core.offload import device_seconds, host_seconds

    runtime = compiled.on(compiled.device)
    results = runtime.run(arrays)
    named = {o.name: a for o, a in zip(compiled.program.operands, arrays, strict=True) if hasattr(a, "strides")}
    made = results if isinstance(results, tuple) else (results,)
    named |= {o.name: a for o, a in zip(compiled.program.results, made, strict=True) if hasattr(a, "strides")}
    layouts = {name: Layout.of(array) for name, array in named.items()}
    lines = []
    known = compiled.program.replace(layouts=layouts)
    seconds = device_seconds(known.replace(target=runtime.device.gpu))
    if seconds is not None:
        there, moved = (f"{each * 1e6:.1f} us" for each in seconds)
        lines.append(f"On {runtime.device.name}: {there} for launches and memory, {moved} to bring arrays there.")
        host = host_seconds(optimize(known, target=compiled.target))
        if host is not None:
            gains = "worth" if sum(seconds) < host else "not worth" if seconds[0] < host else "slower there, not worth"
            lines.append(f"One core of the host: {host * 1e6:.1f} us by the model: {gains} bringing them.")
    for code in runtime.codes():
        lines.append(f"  {code.choice.schedule}, {dict(code.choice.options)}:")
        lines.append(_indented(code.program))
    return lines


def _engine(code: Code) -> str:
    if code.compiled:
        return "compiled C"
    if code.request is None:
        return "in the block engine"
    return "in the block engine, " + ("compiling" if code.request.queued else "to be compiled when it has run a while")


def _indented(program: Program) -> str:
    return "\n".join("  " + line for line in str(program).splitlines())
