"""gcc on the work's loops as plain C."""

from __future__ import annotations

from dataclasses import dataclass

from ..work import Problem
from . import native
from .loops import C
from .run import Cannot, Run, plain


@dataclass(frozen=True)
class Gcc:
    NAME: str
    flags: tuple[str, ...]

    @property
    def NOTE(self) -> str:
        return f"naive loops, gcc {' '.join(self.flags)}, called as a Python extension"

    def version(self) -> str:
        return native.version("gcc")

    def prepare(self, problem: Problem, threads: int) -> Run:
        if problem.work.loops is None:
            raise Cannot("no loops are written for this work")
        arrays = problem.loop_arrays()
        threads = native.worth(threads, problem)
        flags = (*self.flags, "-fopenmp") if threads > 1 else self.flags
        run = native.extension("c", C(problem, threads).text(), len(arrays), flags)
        given = list(arrays.values())
        results = given[len(given) - len(problem.results) :]
        return Run(plain(run, given), lambda: results)


PEERS = (
    Gcc("gcc", ("-O3", "-march=native")),
    Gcc("gcc-fast", ("-O3", "-march=native", "-ffast-math")),
)
