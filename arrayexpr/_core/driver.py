"""The driver: runs a named list of passes, verifies after each, and records each step when asked.

>>> from arrayexpr._core.parser import parse
>>> program = parse("def f(a: int64[:], b: int64[:], *, r: int64[:]):\\n    r[...] = (a + b) * 1 + (b + a)\\n")
>>> steps: list[Step] = []
>>> print(run(program, ("simplify", "share"), steps=steps))
def f(a: int64[:], b: int64[:], *, r: int64[:]):
    _0 = a + b
    r[...] = _0 + _0
<BLANKLINE>
>>> print(steps[1])
share: cost 3 to 2
"""

from __future__ import annotations

import functools
import gc
import importlib
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import IO, Any, Final

from .errors import ArrayExprError, VerifyError
from .infer import total_operations
from .nodes import Assign
from .program import Program
from .record import made, record
from .rewrite import Log
from .verify import verify

#: The passes on arrays as a whole, in order.
ARRAY_PASSES: Final = ("raise_loops", "inline", "contractions", "sink_views", "fuse", "simplify", "share")
#: The passes that make a schedule of loops, in order.
SCHEDULE_PASSES: Final = (
    "guards",
    "invariants",
    "swap",
    "parts",
    "products",
    "scratch",
    "sweep",
    "lower",
    "versions",
    "order_axes",
    "collapse",
    "hoist",
    "block",
    "pack",
    "jam",
    "strip",
    "vectorize",
    "parallelize",
)

#: The passes that look at one statement of the top at a time, and from how many on those that are alike are looked for.
_EACH: Final = SCHEDULE_PASSES[SCHEDULE_PASSES.index("sweep") :]
_MANY: Final = 64
#: Options that these passes do not take.
_WHOLE: Final = frozenset(("contract", "guarded", "lowered"))

Pass = Callable[..., Program]


def passes() -> tuple[str, ...]:
    """The names of the passes, in the order in which `run` runs them."""
    return ARRAY_PASSES + SCHEDULE_PASSES


def array_passes(program: Program, contract: str = "exact") -> tuple[str, ...]:
    """ARRAY_PASSES without those that have nothing to do: their import is time that a first result waits.

    Those are the one that raises loops, for a program of assignments alone (4 ms), and the one that is for `fast`.
    """
    idle = set()
    if all(isinstance(statement, Assign) for statement in program.statements):
        idle.add("raise_loops")
    if contract != "fast":
        idle.add("contractions")
    return tuple(name for name in ARRAY_PASSES if name not in idle)


@cache
def named(name: str) -> tuple[Pass, frozenset[str]]:
    """The pass of that name, and the options that it takes."""
    if name not in passes():
        raise ArrayExprError(f"no pass is named {name!r}: there are {', '.join(passes())}")
    function: Pass = getattr(importlib.import_module(f"{__package__}.passes.{name}"), name)
    # `inspect.signature` of three passes takes longer than running them on a small program.
    code = function.__code__
    return function, frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


@record
class Step:
    """What one pass did: `cost` in operations per element over the distinct nodes, `log` the rewrites."""

    name: str
    before: Program
    after: Program
    cost_before: float
    cost_after: float
    seconds: float
    log: Log = made(default_factory=Log)

    @property
    def changed(self) -> bool:
        return self.after is not self.before

    def __str__(self) -> str:
        if not self.changed:
            return f"{self.name}: nothing changed"
        lines = [f"{self.name}: cost {self.cost_before:g} to {self.cost_after:g}"]
        lines += [f"    {step!r}" for step in self.log]
        return "\n".join(lines)


def run(
    program: Program,
    names: Iterable[str] | None = None,
    *,
    check: bool = True,
    steps: list[Step] | None = None,
    echo: IO[str] | None = None,
    **options: Any,
) -> Program:
    """Run passes, by name, on a program; all there are, in order, where none are named.

    `options` (`contract`, and whatever a pass takes) go to the passes that take them. With `check`
    the program is verified first and after each pass that changed it, and the error names the pass.
    `steps` collects a `Step` a pass, and `echo` is a file that each is printed to, with the program.
    """
    chosen = tuple(passes() if names is None else names)
    functions = [named(name) for name in chosen]
    if "fuse" in chosen and "guards" in chosen:
        # What it takes for granted is tested.
        options.setdefault("guarded", True)
    if "raise_loops" in chosen and "lower" in chosen:
        options.setdefault("lowered", True)
    taken = frozenset[str]().union(*(takes for _, takes in functions))
    for option in options:
        # `contract` is everyone's: a list of passes that all are exact takes it too.
        if option not in taken and option != "contract":
            raise ArrayExprError(f"none of the passes {', '.join(chosen)} takes the option {option!r}")
    collecting = gc.isenabled()
    # Nodes form no cycles, and the collector would walk all of them again and again: with it on, 100,000
    # nodes took 14.5 times as long as 10,000.
    gc.disable()
    try:
        return _run(program, chosen, functions, options, check, steps, echo)
    finally:
        if collecting:
            gc.enable()


def _run(
    program: Program,
    chosen: Sequence[str],
    functions: Sequence[tuple[Pass, frozenset[str]]],
    options: dict[str, Any],
    check: bool,
    steps: list[Step] | None,
    echo: IO[str] | None,
) -> Program:
    record = steps is not None or echo is not None
    if check:
        verify(program)
    cost = total_operations(program.statements) if record else 0.0
    for place, (name, (function, takes)) in enumerate(zip(chosen, functions, strict=True)):
        if len(program.statements) >= _MANY and not (record or options.keys() - _WHOLE) and chosen[place:] == _EACH:
            from .alike import scheduled

            found = scheduled(program, _EACH, functools.partial(run, check=check))
            if found is not None:
                return found
        given = {key: value for key, value in options.items() if key in takes}
        log = Log()
        if record and "log" in takes:
            given["log"] = log
        start = time.perf_counter()
        after = function(program, **given)
        seconds = time.perf_counter() - start
        if check and after is not program:
            try:
                verify(after)
            except VerifyError as error:
                raise VerifyError(f"after the pass {name}: {error}") from error
        if record:
            cost_before, cost = cost, total_operations(after.statements) if after is not program else cost
            step = Step(name, program, after, cost_before, cost, seconds, log)
            if steps is not None:
                steps.append(step)
            if echo is not None:
                print(step, file=echo)
                if step.changed:
                    print(after, file=echo)
        program = after
    return program
