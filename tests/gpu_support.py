"""What tests of kernels for GPUs share: devices that need no GPU, and arrays for them.

Oclgrind interprets OpenCL and says what is out of bounds and where lanes race; PoCL compiles it for the processor,
where its LLVM knows that.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from kernels import check, comparable
from strategies import operand_arrays, overlapping_arrays

import arrayexpr
from arrayexpr._core.nodes import Apply
from arrayexpr._core.program import Program

# Before the library is loaded: races between lanes are looked for, and PoCL's way that compiles in seconds.
os.environ.setdefault("OCLGRIND_DATA_RACES", "1")
os.environ.setdefault("OCLGRIND_UNIFORM_WRITES", "1")
# A fault that one test plants must not use up what Oclgrind says at the most.
os.environ.setdefault("OCLGRIND_MAX_ERRORS", "1000000000")
os.environ.setdefault("POCL_WORK_GROUP_METHOD", "loopvec")
# pyopencl's wheel brings a loader that looks for its own drivers alone; the system's PoCL is the younger one.
if os.path.isdir("/etc/OpenCL/vendors"):
    os.environ.setdefault("OCL_ICD_VENDORS", "/etc/OpenCL/vendors")

#: Element types that no device of ours has.
LACKING = ("longdouble", "clongdouble")


@functools.cache
def opencl(name: str) -> Any:
    """The first device of a name's part that is sure to compile something; else why there is none, as a text."""
    import arrayexpr
    from arrayexpr.adapters import opencl_device

    try:
        found = [each for each in opencl_device.devices() if name in each.name.lower()]
    except arrayexpr.ArrayExprError as error:
        return str(error).split("\n")[0]
    import pyopencl

    said = f"no OpenCL device is named {name!r}"
    for each in found:
        try:
            # Not a kernel of ours: that one is compiled is what is tested. PoCL's wheel knows no processor younger
            # than it.
            pyopencl.Program(each.context, "__kernel void nothing(__global int *x) { *x = 1; }").build()
        except pyopencl.Error as error:
            said = f"{each.name}: {str(error).strip().splitlines()[-1]}"
        else:
            return each
    return said


def need(name: str) -> Any:
    found = opencl(name)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def oclgrind() -> Any:
    """Oclgrind's device: every launch under its checks."""
    return need("oclgrind")


@pytest.fixture
def pocl() -> Any:
    """PoCL's device for this processor."""
    return need("portable computing")


def supported(program: Program) -> bool:
    """Whether a program is one that devices take, with results equal to the interpreter's bit for bit."""
    for node in program.nodes():
        if node.type is None:
            continue
        if node.type.element.name in LACKING:
            return False
        if isinstance(node, Apply):
            t = node.args[node.op.signature.index("T")].type.element
            if t.kind in node.op.vector_math:
                return False
    return True


def agrees_by_opencl(data: Any, drawn: Any, platform: str = "portable computing") -> None:
    """A program that was drawn, compiled for PoCL or another platform, on arrays of its own and on such as overlap."""
    device = opencl(platform)
    assume(not isinstance(device, str) and supported(drawn.program) and comparable(drawn.program))
    kernel = arrayexpr.compile(drawn.program, device=device)
    check(drawn.program, kernel, data.draw(operand_arrays(drawn)), give=data.draw(st.booleans()))
    check(drawn.program, kernel, data.draw(overlapping_arrays(drawn)))
