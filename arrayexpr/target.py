"""Descriptions of the machines that programs are scheduled for."""

from __future__ import annotations

import functools
import os

from ._core.engine import pool
from ._core.errors import ArrayExprError
from ._core.record import record, replace


@record
class Target:
    """What schedules ask of a machine: cache sizes in bytes, vector width in bytes, cores to use.

    `vector_math` says whether functions such as `exp` may come from a vector library, where there is one; without,
    they have the bits of C's own.

    >>> Target(l1=32 << 10, l2=1 << 20, l3=8 << 20, vector=32, cores=4).cores
    4
    """

    l1: int = 32 << 10
    l2: int = 512 << 10
    l3: int = 8 << 20
    line: int = 64
    vector: int = 16
    cores: int = 1
    vector_math: bool = True

    def with_cores(self, cores: int) -> Target:
        """The same machine with another number of cores to use."""
        if cores < 1:
            raise ArrayExprError(f"number of threads {cores}: expected at least 1")
        return replace(self, cores=cores)


@record
class Gpu:
    """What schedules ask of a GPU: sizes in bytes, and how many of each thing it has.

    A program whose target is one is scheduled for it. No device is needed to say so, nor to compile.

    `multiprocessors` run blocks of at most `block` lanes, `warp` of which step together; `resident` lanes fit one
    multiprocessor. `local` is the memory that a block may share, `line` what memory is read by. `in_flight` bytes have
    to be asked for by each multiprocessor before the first arrive, for memory to be busy. `bandwidth` is of a copy, in
    bytes a second, `link` that to the host; `launch` is what a call costs, in seconds. `architecture` is the
    compiler's name for it, and empty for OpenCL. `double` and `half` say which reals it has.

    >>> gpu("h200").architecture, gpu("h200").multiprocessors
    ('sm_90', 132)
    """

    name: str
    multiprocessors: int
    local: int = 48 << 10
    line: int = 128
    in_flight: int = 32 << 10
    warp: int = 32
    block: int = 1024
    resident: int = 2048
    banks: int = 32
    memory: int = 0
    bandwidth: float = 1e12
    link: float = 2.5e10
    launch: float = 5e-6
    architecture: str = ""
    double: bool = True
    half: bool = True


#: Bandwidths are what a copy reaches, some 0.9 of what the makers say; bytes in flight are those times a latency of
#: 0.7 us, for each multiprocessor.
_GPUS = {
    "a100": Gpu("a100", 108, in_flight=9 << 10, memory=40 << 30, bandwidth=1.4e12, architecture="sm_80"),
    "h100": Gpu("h100", 132, in_flight=16 << 10, memory=80 << 30, bandwidth=3.0e12, link=5e10, architecture="sm_90"),
    "h200": Gpu("h200", 132, in_flight=23 << 10, memory=141 << 30, bandwidth=4.3e12, link=5e10, architecture="sm_90"),
}


def gpu(name: str) -> Gpu:
    """The GPU of that name: a100, h100, h200. Raises ArrayExprError, with the names there are, for another one.

    >>> gpu("h100").local
    49152
    """
    try:
        return _GPUS[name.lower()]
    except KeyError:
        raise ArrayExprError(f"no GPU is named {name!r}: there are {', '.join(_GPUS)}") from None


def known_gpu(name: str) -> Gpu:
    """What is known of a device by what its driver calls it; the defaults of one of the size of an a100 of no other.

    >>> known_gpu("NVIDIA H200").in_flight, known_gpu("another").multiprocessors
    (23552, 108)
    """
    found = next((known for key, known in _GPUS.items() if key in name.lower()), None)
    return found or Gpu(name, 108)


def get_num_threads() -> int:
    """How many threads kernels use that did not fix a number: the one set last, or `ARRAYEXPR_NUM_THREADS`, or 1.

    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    >>> set_num_threads(1)
    """
    threads = pool.get_setting()
    if threads == 0:
        text = os.environ.get("ARRAYEXPR_NUM_THREADS", "").strip() or "1"
        if not (text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= 4):
            raise ArrayExprError(f"ARRAYEXPR_NUM_THREADS is {text!r}: expected a whole number from 1 to 9999")
        threads = int(text)
        pool.set_setting(threads)
    return threads


def set_num_threads(threads: int) -> None:
    """Set how many threads kernels use from their next call on, those excepted that were made with `threads=`."""
    if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= 9999:
        raise ArrayExprError(f"number of threads {threads!r}: expected a whole number from 1 to 9999")
    pool.set_setting(threads)


def detect() -> Target:
    """This machine, as far as the system tells, with as many cores to use as there are threads to be."""
    machine = _machine()
    cores = get_num_threads()
    return machine if cores == machine.cores else machine.with_cores(cores)


def vector_math() -> bool:
    """Whether kernels use a vector library: `ARRAYEXPR_VECTOR_MATH`, or 1."""
    text = os.environ.get("ARRAYEXPR_VECTOR_MATH", "").strip() or "1"
    if text not in ("0", "1"):
        raise ArrayExprError(f"ARRAYEXPR_VECTOR_MATH is {text!r}: expected 0 or 1")
    return text == "1"


@functools.cache
def _machine() -> Target:
    """This machine, as far as the system tells; the defaults where it does not."""
    folder = "/sys/devices/system/cpu/cpu0/cache"
    sizes: dict[str, int] = {}
    for index in sorted(name for name in _listed(folder) if name.startswith("index")):
        level, kind, size = (_read(f"{folder}/{index}/{name}") for name in ("level", "type", "size"))
        number, unit = (size[:-1], size[-1]) if size[-1:] in ("K", "M") else (size, "")
        if level in ("1", "2", "3") and kind != "Instruction" and number.isdecimal():
            sizes[f"l{level}"] = int(number) << {"": 0, "K": 10, "M": 20}[unit]
    flags = _read("/proc/cpuinfo").partition("flags")[2].partition("\n")[0].split()
    vector = 64 if "avx512f" in flags else 32 if "avx2" in flags else 16
    return Target(**sizes, vector=vector, vector_math=vector_math())


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _read(path: str) -> str:
    """The text of a file of the system, up to a page; nothing where there is none. `pathlib` takes thrice as long."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(handle, 4096).decode("ascii", "replace").strip()
    except OSError:
        return ""
    finally:
        os.close(handle)
