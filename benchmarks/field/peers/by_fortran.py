"""gfortran on the work's loops."""

from __future__ import annotations

from dataclasses import dataclass

from ..work import Problem
from . import native
from .loops import Fortran
from .run import Cannot, Run, plain


@dataclass(frozen=True)
class Gfortran:
    NAME: str
    flags: tuple[str, ...]

    @property
    def NOTE(self) -> str:
        return f"loops, gfortran {' '.join(self.flags)}, called as a Python extension"

    def version(self) -> str:
        return native.version("gfortran")

    def prepare(self, problem: Problem, threads: int) -> Run:
        if problem.work.loops is None:
            raise Cannot("no loops are written for this work")
        if problem.work.in_place:
            raise Cannot("arguments of a Fortran subroutine may not overlap")
        arrays = problem.loop_arrays()
        threads = native.worth(threads, problem)
        flags = (*self.flags, "-ffree-line-length-none", *(["-fopenmp"] if threads > 1 else []))
        run = native.extension("f90", Fortran(problem, threads).text(), len(arrays), flags)
        given = list(arrays.values())
        results = given[len(given) - len(problem.results) :]
        return Run(plain(run, given), lambda: results)


PEERS = (
    Gfortran("gfortran", ("-O3", "-march=native")),
    Gfortran("gfortran-fast", ("-O3", "-march=native", "-ffast-math")),
)
