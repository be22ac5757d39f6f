"""The processor, as numexpr's module of this name asks for it: `cpu.is_Intel()`, `cpu.has_sse2()`, `cpu.info`."""

from __future__ import annotations

import os
import platform
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

__all__ = ["cpu"]

is_cpu_amd_intel: Final = False
_TABLE: Final = "/proc/cpuinfo"


class cpuinfo:
    """What the system says of its processors: `info` has a dictionary for each, empty where the system has no table.

    Questions are methods, `is_` and `has_` something, which give None where the answer is not known.

    >>> cpu.is_64bit(), cpu.is_blaa()
    (True, None)
    """

    def __init__(self) -> None:
        text = Path(_TABLE).read_text(errors="replace") if os.path.exists(_TABLE) else ""
        self.info = [_fields(part) for part in text.strip().split("\n\n")] or [{}]
        self.info[0].setdefault("uname_m", platform.machine())

    def __getattr__(self, name: str) -> Callable[[], Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        first = self.info[0]
        flags = first.get("flags", "").split()
        answers = {
            "is_AMD": first.get("vendor_id") == "AuthenticAMD",
            "is_Intel": first.get("vendor_id") == "GenuineIntel",
            "is_32bit": struct.calcsize("P") == 4,
            "is_64bit": struct.calcsize("P") == 8,
            "is_singleCPU": len(self.info) == 1,
            "getNCPUs": len(self.info),
        }
        # The table's name for SSE3.
        flag = {"sse3": "pni"}.get(name.removeprefix("has_"), name.removeprefix("has_"))
        answer = flag in flags if name.startswith("has_") and flags else answers.get(name)
        return lambda: answer


def _fields(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


cpu: Final = cpuinfo()
