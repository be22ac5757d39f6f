"""numexpr's own tests, run on what is here, and the report that they begin with."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import platform
import sys
from pathlib import Path
from typing import Any

import numpy

from . import interpreter, utils, version
from .cpuinfo import cpu
from .installing import installed

_MISSING = "`numexpr.tests` could not be imported, likely it was excluded from the distribution."


def print_versions() -> None:
    """Print what is run here: versions, the machine, threads."""
    line = "-=" * 38
    first = cpu.info[0]
    system = platform.uname()
    print(line)
    print(f"Numexpr version:   {version.version} (its functions, by arrayexpr)")
    print(f"NumPy version:     {numpy.__version__}")
    print(f"Python version:    {sys.version}")
    print(f"Platform:          {sys.platform}-{system.machine}-{system.version}")
    print(f"CPU vendor:        {first.get('vendor_id', '')}")
    print(f"CPU model:         {first.get('model name', '')}")
    print(f"CPU clock speed:   {first.get('cpu MHz', '')} MHz")
    print(f"VML available?     {interpreter.use_vml}")
    cores = utils.detect_number_of_cores()
    print(f"Number of threads used by default: {utils.num_threads} (out of {cores} detected cores)")
    print(f"Maximum number of threads: {interpreter.MAX_THREADS}")
    print(line)


def test(verbosity: int = 1) -> Any:
    """Run numexpr's own tests, of the package that is installed beside, on these functions: unittest's result.

    ImportError where numexpr is not installed.
    """
    # By the path alone: `numexpr` may be this package.
    found = importlib.machinery.PathFinder.find_spec("numexpr")
    file = Path(found.origin).parent / "tests" / "test_numexpr.py" if found and found.origin else None
    if file is None or not file.exists():
        raise ImportError(_MISSING)
    with installed():
        spec = importlib.util.spec_from_file_location("numexpr_own_tests", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.test(verbosity)


# Of no interest to pytest.
test.__test__ = False  # type: ignore[attr-defined]
