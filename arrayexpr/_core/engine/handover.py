"""From the block engine to compiled C: what runs first, and the thread that compiles what takes over.

A specialisation starts on the block engine, unless its compiled code lies in the cache. Once the block engine has
worked enough for it, one thread has it compiled, at low priority, and `Code.adopt` has later calls run that. Nothing
here is needed for a result: where there is no compiler, or it fails, the block engine goes on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ArrayExprError, UnsupportedError
from ..infer import total_operations
from ..nodes import Constant, Loop, Scratch
from ..passes.nests import enclosed
from ..program import Program
from . import compiler
from .block import translate
from .dispatch import Code

if TYPE_CHECKING:
    import ctypes

ENGINES = ("auto", "block", "c")


class Mode(NamedTuple):
    """Which engine runs: `auto`, or one of the two alone. `wait`: compiled code comes before the first result."""

    engine: str = "auto"
    wait: bool = False


def mode(engine: str | None = None, wait: bool | None = None) -> Mode:
    """The mode that is asked for, by arguments or by `ARRAYEXPR_ENGINE` and `ARRAYEXPR_WAIT`."""
    source = "engine"
    if engine is None:
        source = "ARRAYEXPR_ENGINE"
        engine = os.environ.get(source, "").strip() or "auto"
    if engine not in ENGINES:
        raise ArrayExprError(f"{source} is {engine!r}: expected one of {', '.join(ENGINES)}")
    if wait is None:
        text = os.environ.get("ARRAYEXPR_WAIT", "").strip() or "0"
        if text not in ("0", "1"):
            raise ArrayExprError(f"ARRAYEXPR_WAIT is {text!r}: expected 0 or 1")
        wait = text == "1"
    return Mode(engine, wait)


def make(program: Program, rank: int, tiled: int, emit: Callable[[Program], str], mode: Mode) -> Code | None:
    """The code of a scheduled program: something that runs at once; None where nothing but the interpreter can."""

    blocks = [s.step for s in enclosed(program.statements) if isinstance(s, Loop) and s.role == "block"]
    # Whole lines of every element type, and whole tiles along the first of their axes.
    side = max([64, *(step.value for step in blocks[:1] if isinstance(step, Constant))])

    def code(with_tape: bool) -> Code:
        tape = translate(program) if with_tape else None
        return Code(rank, tiled, program, emit, tape, total_operations(program.statements), tile=side)

    if mode.engine == "block":
        try:
            return code(True)
        except UnsupportedError:
            return None
    made = None
    if mode.engine == "auto" and not mode.wait:
        try:
            made = code(True)
        except UnsupportedError:
            pass
    if made is not None:
        handover = Handover(made, emit)
        if not compiler.compiler():
            compiler.warn_not_compiled(compiler.no_compiler())
        elif not handover.find():
            made.request = handover
        return made
    made = code(False)
    handover = Handover(made, emit)
    handover.compile()
    if made.compiled:
        return made
    handover.warn()
    if mode.engine == "auto":
        try:
            return code(True)
        except UnsupportedError:
            pass
    return None


def later(program: Program, emit: Callable[[Program], str], mode: Mode) -> Code | None:
    """The code of a scheduled program, which something else runs until it is compiled; None where it never will be."""
    if mode.engine == "block" or not compiler.compiler():
        return None
    made = Code(0, 0, program, emit, None, total_operations(program.statements))
    handover = Handover(made, emit)
    if handover.find():
        return made
    if mode.wait or mode.engine == "c":
        handover.compile()
        return made if made.compiled else None
    made.request = handover
    return made


class Handover:
    """The compiled code of one specialisation, from the asking to the adopting. A call asks for it."""

    def __init__(self, code: Code, emit: Callable[[Program], str]):
        self.code = code
        self.emit = emit
        #: Why there is no compiled code, and whether that is for a warning: what C has no form for is not.
        self.error: compiler.CompileFailed | None = None
        self.unsupported = False
        self.queued = False

    def __call__(self) -> None:
        if self.error is not None:
            self.code.request = None
            self.warn()
        elif not self.queued:
            _submit(self)

    def warn(self) -> None:
        """Say why there is no compiled code, in the thread of a call: the warning shows its line."""
        if self.error is not None and not self.unsupported:
            compiler.warn_not_compiled(self.error)

    def find(self) -> bool:
        """Adopt what the cache has; returns whether it has it."""
        found = compiler.find(str(self.code.program), self.code.program.name)
        if found is not None:
            self.adopt(*found)
        return found is not None

    def adopt(self, address: int, library: ctypes.CDLL) -> None:
        program = self.code.program
        wants = any(isinstance(s, Scratch) and s.extents for s in program.statements)
        self.code.adopt(address, library, compiler.symbol(library, f"{program.name}_scratch") if wants else 0)

    def compile(self, background: bool = False) -> None:
        """Compile and adopt, or set `error`."""
        program = self.code.program
        try:
            source = self.emit(program)
        except UnsupportedError as error:
            self.error, self.unsupported = compiler.CompileFailed(str(error)), True
            return
        try:
            made = compiler.load(source, program.name, text=str(program), background=background)
        except compiler.CompileFailed as error:
            self.error = error
        else:
            self.adopt(*made)


def wait(codes: Iterable[Code]) -> bool:
    """Compile in this thread what is not compiled and not being compiled; wait for the rest."""
    codes = list(codes)
    for code in codes:
        request = code.request
        if request is not None and _take_back(request):
            request.compile()
        elif request is not None:
            _wait_for(request)
        if request is not None and request.error is not None:
            request()
    return all(code.compiled for code in codes)


# -- The thread ---------------------------------------------------------------------------------


class _Worker:
    """What the thread and those who ask share. A forked child starts with a new one: it has no thread of its own."""

    def __init__(self) -> None:
        import threading

        self.changed = threading.Condition()
        self.jobs: list[Handover] = []
        self.current: Handover | None = None
        self.thread: Any = None


_worker: _Worker | None = None


def _submit(job: Handover) -> None:
    global _worker
    if _worker is None:
        import atexit

        _worker = _Worker()
        atexit.register(_stop, os.getpid())
        # A process of `multiprocessing` ends without what atexit has.
        multiprocessing = sys.modules.get("multiprocessing.util")
        if multiprocessing is not None:
            multiprocessing.Finalize(None, _stop, args=(os.getpid(),), exitpriority=0)
    worker = _worker
    with worker.changed:
        if job.queued or compiler.closing:
            return
        job.queued = True
        worker.jobs.append(job)
        if worker.thread is None:
            import threading

            worker.thread = threading.Thread(target=_work, args=(worker,), name="arrayexpr-compile", daemon=True)
            worker.thread.start()
        worker.changed.notify_all()


def _work(worker: _Worker) -> None:
    while True:
        with worker.changed:
            while not worker.jobs:
                worker.changed.wait()
            worker.current = job = worker.jobs.pop(0)
        try:
            job.compile(background=True)
        except Exception as error:  # a failure must not end the thread, nor be lost
            job.error = compiler.CompileFailed(f"{type(error).__name__}: {error}")
        with worker.changed:
            worker.current = None
            worker.changed.notify_all()
        # A job holds its code: it is not to live until the next one comes.
        del job


def _take_back(job: Handover) -> bool:
    """Whether a job is the caller's to do: it was not asked for, or not begun with."""
    worker = _worker
    if worker is None:
        return job.error is None
    with worker.changed:
        if job in worker.jobs:
            worker.jobs.remove(job)
            return True
        return worker.current is not job and job.error is None and not job.code.compiled


def _wait_for(job: Handover) -> None:
    worker = _worker
    if worker is not None:
        with worker.changed:
            worker.changed.wait_for(lambda: worker.current is not job and job not in worker.jobs)


def _stop(pid: int) -> None:
    """At exit: end the compiler that runs, and wait a moment for the thread to clean up after it."""
    worker = _worker
    if worker is None or os.getpid() != pid:
        return
    compiler.close()
    with worker.changed:
        worker.jobs.clear()
        worker.changed.wait_for(lambda: worker.current is None, timeout=2)


def _after_fork() -> None:
    # The thread, and the compiler that it waited for, are the parent's; what was asked for is asked for again.
    global _worker
    worker, _worker = _worker, None
    compiler.forget_processes()
    for job in [*(worker.jobs if worker else ()), *([worker.current] if worker and worker.current else ())]:
        job.queued = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
