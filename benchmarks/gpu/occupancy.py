"""What each work keeps in flight on a GPU: reckoned from its schedule and what NVRTC says of its kernels.

By Little's law a multiprocessor has to have asked for bandwidth times latency bytes before the first arrive: 4.8 TB/s
over 132 multiprocessors at 0.7 us are 25 KiB, and reads beside writes, uneven blocks and the ends of rows want near
twice that.
"""

from __future__ import annotations

import math
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import arrayexpr
from arrayexpr._core.types import BROADCAST, UNIT
from arrayexpr.adapters import cuda, nvrtc
from arrayexpr.target import Gpu, gpu

#: Of a multiprocessor of sm_80 and sm_90: registers, and the unit in which a warp is given them; local memory, and what
#: the driver takes of it for a block; blocks.
REGISTERS, GIVEN, LOCAL, TAKEN, BLOCKS = 1 << 16, 256, {"sm_80": 164 << 10, "sm_90": 228 << 10}, 1 << 10, 32


@dataclass(frozen=True)
class Figures:
    """Of one kernel: lanes of a block, registers of a lane, local bytes of a block, blocks of the grid, resident blocks
    of a multiprocessor, and bytes that a lane asks for before it waits."""

    schedule: str
    lanes: int
    registers: int
    local: int
    blocks: int
    resident: int
    asked: float

    def in_flight(self, device: Gpu) -> float:
        """Bytes that the lanes of a multiprocessor ask for before they wait."""
        return self.asked * self.lanes * min(self.resident, self.blocks / device.multiprocessors)

    def waves(self, device: Gpu) -> float:
        """How often all multiprocessors are filled."""
        return self.blocks / (self.resident * device.multiprocessors)


class Reckoned:
    """A device that runs nothing: it keeps the sources and grids of what it is asked to launch."""

    def __init__(self, name: str):
        self.name, self.gpu = name, gpu(name)
        #: The last grid of each kernel's text.
        self.blocks: dict[str, int] = {}
        self._next = 1 << 40

    def lacks(self, element: Any) -> str:
        return ""

    def source(self, program: Any, values: Any, wide: bool) -> Any:
        return cuda.source(program, values=values, wide=wide)

    def load(self, source: Any) -> list[Any]:
        return [source.text]

    def allocate(self, size: int) -> tuple[int, Any]:
        place = self._next
        self._next += (size + 511) // 512 * 512
        return place, None

    def launch(self, function: Any, blocks: int, lanes: int, arguments: Any) -> None:
        self.blocks[function] = blocks

    def put(self, address: int, data: Any) -> None:
        pass

    def get(self, address: int, data: Any) -> None:
        pass

    def follow(self, stream: int) -> None:
        pass

    def array(self, value: Any) -> Any:
        return None

    def fresh(self, *given: Any) -> Any:
        raise AssertionError("no arrays live here")

    new = fresh


def figures(function: Any, shapes: list[tuple[int, ...]], device: str = "h200", dtype: str = "f4") -> list[Figures]:
    """The figures of each kernel of a function of arrays of these shapes, in the order of their launches."""
    there = Reckoned(device)
    # Memory that nothing touches takes none.
    arrays = tuple(np.empty(shape, dtype) for shape in shapes)
    kernel = arrayexpr.kernel(function, device=there)
    compiled = kernel.traced.for_arguments(kernel.traced.bind(arrays, {}))
    runtime = compiled.on(there)
    runtime.run(arrays)
    found = []
    for code in runtime.codes():
        (made,) = code.source.kernels
        registers = registers_of(code.source.text, there.gpu.architecture)
        resident = resident_blocks(made.lanes, registers, made.local, there.gpu)
        blocks = there.blocks[code.source.text]
        asked = asked_by_lane(code.choice, code.program.operands)
        found.append(Figures(code.choice.schedule, made.lanes, registers, made.local, blocks, resident, asked))
    return found


def registers_of(text: str, architecture: str) -> int:
    """The registers of a lane of the one kernel of a text, as NVRTC gives them."""
    (tool, *_) = Path(nvrtc._bindings().__file__).parents[2].glob("nvidia/**/cuobjdump")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(nvrtc.compiled(text, architecture))
        said = subprocess.run([tool, "-res-usage", path], capture_output=True, text=True, check=True).stdout
    (found,) = re.findall(r"REG:(\d+)", said)
    return int(found)


def resident_blocks(lanes: int, registers: int, local: int, device: Gpu) -> int:
    """How many blocks of a kernel a multiprocessor holds at once."""
    warp = -(-registers * device.warp // GIVEN) * GIVEN
    return min(
        BLOCKS,
        device.resident // lanes,
        REGISTERS // (warp * -(-lanes // device.warp)),
        LOCAL[device.architecture] // (local + TAKEN),
    )


def asked_by_lane(choice: Any, operands: Any) -> float:
    """The bytes that a lane of a kernel asks for before it waits; the mean of those of its phases."""
    options = dict(choice.options)
    inputs = [o for o in operands if o.type.rank]
    last = inputs[0].type.rank - 1

    def moving(axis: int) -> int:
        return sum(o.type.element.itemsize for o in inputs if o.type.layout[axis] != BROADCAST)

    match choice.schedule:
        case "grid":
            return options["vector"] * options["unroll"] * moving(last)
        case "stage":
            each = math.prod(options["sides"]) / 256
            along = [next((k for k, way in enumerate(o.type.layout) if way == UNIT), last) for o in inputs]
            staged = sum(o.type.element.itemsize for o, k in zip(inputs, along, strict=True) if k != last)
            straight = sum(o.type.element.itemsize for o, k in zip(inputs, along, strict=True) if k == last)
            return each * (staged + straight) / (1 + bool(straight))
        case "contract":
            sides = [n * m for n, m in zip(options["lanes"], options["turns"], strict=True)]
            return sum(sides) * options["depth"] * moving(last) / 2 / math.prod(options["lanes"])
        case _:
            turns = max(1, options["held"])
            return turns * options["unroll"] * math.prod(options["vector"]) * moving(last)


def show(works: list[Any], elements: int, device: str = "h200") -> None:
    """Print a line for each kernel of works."""
    wanted = gpu(device)
    print(f"{device}: {wanted.in_flight >> 10} KiB have to be in flight for each of {wanted.multiprocessors}")
    print(
        f"{'':24}{'schedule':>9}{'lanes':>7}{'registers':>10}{'local':>8}{'resident':>9}{'waves':>8}{'in flight':>12}"
    )
    for work in works:
        for each in figures(work.function, work.shapes(elements), device):
            print(
                f"{work.name:24}{each.schedule:>9}{each.lanes:7}{each.registers:10}{each.local:8}{each.resident:9}"
                f"{each.waves(wanted):8.1f}{each.in_flight(wanted) / 1024:8.0f} KiB",
                flush=True,
            )
