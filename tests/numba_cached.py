"""Scripts in a Python of their own, which share a folder for Numba's cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def printed(script: str, how: str, folder: Path) -> str:
    """What a script prints when called with `how` and the folder, in which Numba's cache lies."""
    done = subprocess.run(
        [sys.executable, "-c", script, how, str(folder)], capture_output=True, text=True, check=False,
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
