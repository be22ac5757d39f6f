"""Kernels on one NVIDIA GPU beside their peers, in per cent of the bandwidth that a copy reaches in the same run.

    python -m benchmarks.gpu [--works triad,softmax] [--elements 67108864] [--seconds 0.3] [--check] [--overhead]

All of it takes some minutes, most of them for peers to compile. It needs CuPy, and arrayexpr installed or built.

Every result is checked first, against NumPy in double precision. A figure is the bytes that a work must move, each
operand read once and each result written once, over its median time, over the bandwidth of the device's own copy.
Peers that are not installed are left out. With `--check` small works run on the host (the CUDA text as C++), with no
GPU: what can be wrong in a work, or in how its result is checked, is found there. With `--overhead` it is what a call
costs the host that is told, with a driver that does nothing. With `--occupancy` it is what each kernel of a work keeps
in flight on an H200, reckoned from its schedule and NVRTC's registers; that needs no GPU either.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import arrayexpr

from . import occupancy, overhead
from .works import WORKS, Work

#: Calls between two events.
_IN_A_ROW = 5


class Refused(Exception):
    """Why a peer does not run a work."""


def ours(work: Work, xp: Any) -> Callable[..., Any]:
    return arrayexpr.kernel(work.function)


def by_cupy(work: Work, xp: Any) -> Callable[..., Any]:
    return lambda *arrays: work.by(xp, *arrays)


def by_fuse(work: Work, xp: Any) -> Callable[..., Any]:
    if not work.elementwise:
        raise Refused("fuses element-wise work and one reduction")
    return xp.fuse()(lambda *arrays: work.by(xp, *arrays))


def by_torch(work: Work, xp: Any) -> Callable[..., Any]:
    torch = importlib.import_module("torch")
    compiled = torch.compile(work.torch)

    def run(*arrays: Any) -> Any:
        return compiled(*(torch.as_tensor(a, device="cuda") for a in arrays))

    return run


def by_jax(work: Work, xp: Any) -> Callable[..., Any]:
    jax = importlib.import_module("jax")
    compiled = jax.jit(lambda *arrays: work.by(jax.numpy, *arrays))
    known: dict[int, Any] = {}

    def run(*arrays: Any) -> Any:
        given = [known.setdefault(id(a), jax.dlpack.from_dlpack(a)) for a in arrays]
        return compiled(*given).block_until_ready()

    return run


#: By name: what makes a function of a work, and whether a call has ended when it returns.
PEERS: dict[str, tuple[Callable[[Work, Any], Callable[..., Any]], bool]] = {
    "arrayexpr": (ours, False),
    # CuPy's sums are CUB's, where it was built with them.
    "cupy": (by_cupy, False),
    "cupy.fuse": (by_fuse, False),
    # torch.compile writes Triton.
    "torch": (by_torch, False),
    "jax": (by_jax, True),
}


def wanted(work: Work, arrays: list[Any]) -> Any:
    """The result in double precision, by NumPy."""
    return work.function(*(a.astype("f8") for a in arrays))


def checked(work: Work, got: Any, want: Any) -> str:
    """Empty where a result is right; else how far it is off."""
    got = np.asarray(got.get() if hasattr(got, "get") else got.cpu() if hasattr(got, "cpu") else got)
    if got.shape != np.shape(want):
        return f"has shape {got.shape}, expected {np.shape(want)}"
    error = np.abs(got - want).max() / max(np.abs(want).max(), 1e-30)
    return "" if error <= work.tolerance else f"is off by {error:.1e} of the largest element"


def seconds_of(call: Callable[[], Any], cupy: Any, budget: float) -> float:
    """The median time of a call on the device, between events around some calls in a row: what the host does for one
    is done while the one before runs."""
    for _ in range(3):
        call()
    times: list[float] = []
    spent = 0.0
    while spent < budget or len(times) < 7:
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record()
        for _ in range(_IN_A_ROW):
            call()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(begin, end) / 1e3 / _IN_A_ROW)
        spent += times[-1] * _IN_A_ROW
    return statistics.median(times)


def _verdict(work: Work, figures: dict[str, float]) -> str:
    """Where ours is below its bar, or behind the best peer by more than a timing's noise."""
    mine = figures.get("arrayexpr")
    if mine is None:
        return ""
    said = []
    if work.bar is not None and mine < work.bar:
        said.append(f"below {work.bar}")
    best = max((f for name, f in figures.items() if name != "arrayexpr"), default=0.0)
    if mine < 0.99 * best:
        said.append("behind the best peer")
    return "  " + ", ".join(said)


def launch_seconds(call: Callable[[], Any], cupy: Any, count: int = 1000) -> float:
    """The time of a call on few elements, one after the other: what the host spends on it."""
    import time

    for _ in range(20):
        call()
    cupy.cuda.Device().synchronize()
    start = time.perf_counter()
    for _ in range(count):
        call()
    cupy.cuda.Device().synchronize()
    return (time.perf_counter() - start) / count


def check(works: list[Work]) -> int:
    """Run small works on the host, as CUDA text. Returns how many are wrong."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    host = importlib.import_module("cuda_host").HostCuda()
    wrong = 0
    for work in works:
        arrays = work.arrays(1 << 14, np.random.default_rng(0))
        kernel = arrayexpr.kernel(work.function, device=host)
        want = wanted(work, arrays)
        said = checked(work, kernel(*arrays), want)
        plain = checked(work, work.by(np, *arrays), want)
        wrong += bool(said or plain)
        print(f"{work.name:24} {said or 'right'}{'; as peers have it ' + plain if plain else ''}")
    return wrong


def measure(works: list[Work], elements: int, budget: float, names: list[str]) -> int:
    try:
        cupy = importlib.import_module("cupy")
        cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        print(f"no GPU to measure on: {error}. --check runs the works on the host", file=sys.stderr)
        return 2
    rng = np.random.default_rng(0)
    a = cupy.zeros(elements, "f4")
    b = cupy.empty_like(a)
    copy = (
        2
        * a.nbytes
        / seconds_of(lambda: cupy.cuda.runtime.memcpyAsync(b.data.ptr, a.data.ptr, a.nbytes, 3, 0), cupy, budget)
    )
    print(f"{cupy.cuda.runtime.getDeviceProperties(0)['name'].decode()}: a copy moves {copy / 1e9:.0f} GB/s")
    print(f"{'per cent of it':24}" + "".join(f"{name:>12}" for name in names))
    failed = 0
    notes: list[str] = []
    for work in works:
        arrays = work.arrays(elements, rng)
        there = [cupy.asarray(x) for x in arrays]
        want = wanted(work, arrays)
        row = []
        figures: dict[str, float] = {}
        for name in names:
            make, _ = PEERS[name]
            try:
                run = make(work, cupy)
                said = checked(work, run(*there), want)
            except Refused as error:
                row.append("-")
                notes.append(f"{work.name}, {name}: {error}")
                continue
            except Exception as error:
                row.append("fails" if name == "arrayexpr" else "-")
                failed += name == "arrayexpr"
                notes.append(f"{work.name}, {name}: {type(error).__name__}: {str(error)[:200]}")
                continue
            if said:
                row.append("wrong")
                failed += name == "arrayexpr"
                notes.append(f"{work.name}, {name} {said}")
                continue
            seconds = seconds_of(lambda run=run, there=there: run(*there), cupy, budget)
            figures[name] = 100 * work.bytes_of(arrays) / seconds / copy
            row.append(f"{figures[name]:.0f}")
        print(f"{work.name:24}" + "".join(f"{cell:>12}" for cell in row) + _verdict(work, figures), flush=True)
    few = [cupy.ones(1000, "f4") for _ in range(3)]
    row = []
    for name in names:
        try:
            run = PEERS[name][0](WORKS["triad"], cupy)
            row.append(f"{1e6 * launch_seconds(lambda run=run: run(*few), cupy):.1f}")
        except Exception as error:
            row.append("-")
            notes.append(f"launch, {name}: {str(error)[:200]}")
    print(f"{'launch, microseconds':24}" + "".join(f"{cell:>12}" for cell in row))
    print("\n".join(notes))
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--works", default=",".join(WORKS), help="names, with commas between them")
    parser.add_argument("--peers", default=",".join(PEERS), help="names, with commas between them")
    parser.add_argument("--elements", type=int, default=1 << 26, help="elements of the largest array")
    parser.add_argument("--seconds", type=float, default=0.3, help="time to measure each figure")
    parser.add_argument("--check", action="store_true", help="run small works on the host instead")
    parser.add_argument("--overhead", action="store_true", help="what a call costs the host, with no device")
    parser.add_argument("--occupancy", action="store_true", help="what is in flight on an H200, with no device")
    given = parser.parse_args()
    if given.overhead:
        overhead.show()
        return 0
    for kind, names, known in (("work", given.works, WORKS), ("peer", given.peers, PEERS)):
        for name in names.split(","):
            if name not in known:
                parser.error(f"{kind} {name!r} is unknown: expected some of {', '.join(known)}")
    works = [WORKS[name] for name in given.works.split(",")]
    if given.check:
        return check(works)
    if given.occupancy:
        occupancy.show(works, given.elements)
        return 0
    return measure(works, given.elements, given.seconds, given.peers.split(","))


if __name__ == "__main__":
    sys.exit(main())
