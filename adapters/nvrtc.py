"""CUDA's run-time compiler, NVRTC: text to the code of an architecture, with no device and no driver."""

from __future__ import annotations

from typing import Any

from arrayexpr._core.errors import ArrayExprError, UnsupportedError

#: Rounded after each operation, as on the host; NVRTC's other defaults are IEEE's.
OPTIONS = ("--fmad=false", "--std=c++17", "--prec-div=true", "--prec-sqrt=true", "--ftz=false")


def _bindings() -> Any:
    try:
        from cuda.bindings import nvrtc
    except ImportError as error:
        raise ArrayExprError(f"CUDA needs its compiler: pip install 'arrayexpr[cuda]' ({error})") from None
    return nvrtc


def version() -> str:
    """The compiler's version, as in "13.0"."""
    nvrtc = _bindings()
    _, major, minor = nvrtc.nvrtcVersion()
    return f"{major}.{minor}"


def compiled(text: str, architecture: str, kind: str = "cubin") -> bytes:
    """The code of a text for an architecture such as "sm_90": a "cubin", or "ptx".

    Raises UnsupportedError with what the compiler says.
    """
    nvrtc = _bindings()
    error, program = nvrtc.nvrtcCreateProgram(text.encode(), b"arrayexpr.cu", 0, [], [])
    _check(nvrtc, error, "makes no program")
    try:
        target = architecture if kind == "cubin" else architecture.replace("sm_", "compute_")
        options = [f"--gpu-architecture={target}".encode(), *(option.encode() for option in OPTIONS)]
        (error,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            _, size = nvrtc.nvrtcGetProgramLogSize(program)
            log = b" " * size
            nvrtc.nvrtcGetProgramLog(program, log)
            said = log.decode("utf-8", "replace").strip(chr(0)).strip()
            raise UnsupportedError(f"NVRTC does not compile a kernel of ours for {architecture}: {said}")
        ask_size, ask = {
            "cubin": (nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN),
            "ptx": (nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX),
        }[kind]
        error, size = ask_size(program)
        _check(nvrtc, error, "gives no code")
        code: bytes = b" " * size
        (error,) = ask(program, code)
        _check(nvrtc, error, "gives no code")
        return code
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _check(nvrtc: Any, error: Any, what: str) -> None:
    if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise ArrayExprError(f"NVRTC {what}: {error}")
