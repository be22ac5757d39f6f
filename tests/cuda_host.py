"""A device that runs the CUDA text of kernels on the host, and counts what they ask of memory."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from arrayexpr._core.passes.banks import conflicts
from arrayexpr.adapters import cuda
from arrayexpr.target import gpu

_COMMAND = ["g++", "-O1", "-w", "-shared", "-fPIC", "-fwrapv", "-ffp-contract=off", "-fno-strict-aliasing", "-mf16c"]
#: What was compiled in this process, by its text; and the header, read once: three quarters of each compilation.
_compiled = tempfile.TemporaryDirectory(prefix="arrayexpr-")


@functools.cache
def _header() -> Path:
    path = Path(_compiled.name) / "cuda_host.h"
    path.write_text(Path(__file__).with_name("cuda_host.h").read_text())
    # Compilers that cannot do that read the text.
    subprocess.run([*_COMMAND, "-x", "c++-header", str(path), "-o", f"{path}.gch"], capture_output=True)
    return path


_ACCESS = np.dtype(
    [
        ("site", "i4"),
        ("kind", "i4"),
        ("block", "u4"),
        ("lane", "u4"),
        ("address", "i8"),
        ("size", "i4"),
        ("turn", "i4"),
    ],
    align=True,
)


class HostCuda:
    """CUDA text as functions of the host. With `traced`, `accesses` has what the last launches asked of memory."""

    name = "the host"

    def __init__(self, traced: bool = False, name: str = "h200"):
        self.gpu = gpu(name)
        self.traced = traced
        self.accesses: list[np.ndarray] = []
        self.sources: list[Any] = []
        self.blocks: list[int] = []

    def lacks(self, element: Any) -> str:
        return f"arithmetic of {element}" if element.name in ("longdouble", "clongdouble") else ""

    def source(self, program: Any, values: Sequence[str], wide: bool) -> Any:
        made = cuda.source(program, values=values, wide=wide)
        self.sources.append(made)
        return made

    def load(self, source: Any) -> list[Any]:
        text = source.text.replace("#ifdef __CUDACC_RTC__", "#if 0")
        if self.traced:
            text = _instrumented(text)
        launchers = []
        for kernel in source.kernels:
            head = re.search(rf"KERNEL\(\d+\) void {kernel.name}\((.*)\) \{{", text)
            assert head is not None
            types = [re.fullmatch(r"(.*?)(\w+)", each)[1] for each in head[1].split(", ")] if head[1] else []  # type: ignore[index]
            given = ", ".join(f"*({re.sub('GLOBAL ', '', t)}*)args[{k}]" for k, t in enumerate(types))
            body = text[head.end() :]
            fibered = int("BARRIER" in body.split("\n}\n")[0])
            launchers.append(
                f"static void call_{kernel.name}(void **args) {{ {kernel.name}({given}); }}\n"
                f'extern "C" int launch_{kernel.name}(int blocks, int lanes, void **args) '
                f"{{ return launched(call_{kernel.name}, blocks, lanes, args, {fibered}); }}"
            )
        whole = "\n".join([f'#include "{_header()}"', text, *launchers])
        path = Path(_compiled.name) / hashlib.sha256(whole.encode()).hexdigest()[:24]
        if not path.exists():
            path.with_suffix(".cpp").write_text(whole)
            subprocess.run([*_COMMAND, str(path.with_suffix(".cpp")), "-o", str(path), "-lm"], check=True)
        library = ctypes.CDLL(str(path))
        return [(library, getattr(library, f"launch_{kernel.name}")) for kernel in source.kernels]

    def allocate(self, size: int) -> tuple[int, Any]:
        room = np.full(size + 256, 0xA5, np.uint8)
        return -(-room.ctypes.data // 256) * 256, room

    def put(self, address: int, data: Any) -> None:
        ctypes.memmove(address, data.ctypes.data, data.nbytes)

    def get(self, address: int, data: Any) -> None:
        ctypes.memmove(data.ctypes.data, address, data.nbytes)

    def launch(self, function: Any, blocks: int, lanes: int, arguments: Sequence[Any]) -> None:
        library, run = function
        held = [np.array([a], np.int64) if isinstance(a, int) else np.array([a]) for a in arguments]
        places = (ctypes.c_void_p * len(held))(*(h.ctypes.data for h in held))
        library.trace(int(self.traced))
        assert run(blocks, lanes, places) == 0, "some lanes wait at a barrier and others have ended"
        self.blocks.append(blocks)
        if self.traced:
            found = ctypes.c_void_p()
            library.trace_of.restype = ctypes.c_int64
            count = library.trace_of(ctypes.byref(found))
            data = ctypes.string_at(found.value, count * _ACCESS.itemsize) if count else b""
            self.accesses.append(np.frombuffer(data, _ACCESS).copy())

    def follow(self, stream: int) -> None:
        pass

    def fresh(self, *given: Any) -> Any:
        raise AssertionError("no arrays live here")

    def array(self, value: Any) -> Any:
        return None

    def new(self, *given: Any) -> Any:
        raise AssertionError("no arrays live here")


def _instrumented(text: str) -> str:
    """The text with every access of the caller's memory, and of local memory, going through what writes it down."""
    sites = iter(range(1, 1 << 20))
    text = re.sub(r"\*\(GLOBAL (const )?(\w+) \*\)\(", lambda m: f"traced<{m[1] or ''}{m[2]}>({next(sites)}, ", text)
    local = sorted(set(re.findall(r"LOCAL \w+ (\w+)\[\d+\];", text)))
    text = re.sub(r"LOCAL (\w+) (\w+)\[(\d+)\];", r"static local_array<\1, \3> \2;", text)
    if local:
        text = re.sub(rf"\b({'|'.join(local)})\[", lambda m: f"{m[1]}.at({next(sites)})[", text)
    return text


def sectors(launches: Sequence[np.ndarray]) -> float:
    """The sectors of 32 bytes that warps ask for, over those that the bytes they ask for fill at the least."""
    moved = ideal = 0
    for group in (group for found in launches for group in _requests(found[found["kind"] == 0])):
        first, last = group["address"] // 32, (group["address"] + group["size"] - 1) // 32
        touched: set[int] = set()
        used: set[int] = set()
        for low, high in zip(first.tolist(), last.tolist(), strict=True):
            touched.update(range(low, high + 1))
        used.update(zip(group["address"].tolist(), group["size"].tolist(), strict=True))
        moved += len(touched)
        ideal += sum(size for _, size in used)
    return moved * 32 / max(1, ideal)


def bank_conflicts(launches: Sequence[np.ndarray]) -> int:
    """How many times more often a bank is asked for by a warp than it must be, at the worst."""
    worst = 1
    for group in (group for found in launches for group in _requests(found[found["kind"] == 1])):
        size = int(group["size"][0])
        worst = max(worst, conflicts((group["address"] // size).tolist(), size))
    return worst


def _requests(accesses: np.ndarray) -> list[np.ndarray]:
    """What the lanes of a warp ask for at a time."""
    warp = accesses["lane"] // 32
    order = np.lexsort((accesses["lane"], accesses["turn"], accesses["site"], warp, accesses["block"]))
    ordered = accesses[order]
    keys = np.stack([ordered["block"], ordered["lane"] // 32, ordered["site"], ordered["turn"]]).astype(np.int64)
    ends = np.flatnonzero(np.any(keys[:, 1:] != keys[:, :-1], axis=0)) + 1
    return np.split(ordered, ends) if len(ordered) else []
