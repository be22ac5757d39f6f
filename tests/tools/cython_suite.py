"""Runs tests of Cython's own suite with the adapter on, or without it: `memoryview` and `buffers`, or what is named.

    pip download --no-deps --no-binary cython "cython==$(python -c 'import Cython; print(Cython.__version__)')"
    tar xf cython-*.tar.gz
    python tests/tools/cython_suite.py cython-*/ --work /tmp/with
    python tests/tools/cython_suite.py cython-*/ --work /tmp/without --stock

The source distribution has to be of the version that is installed: its tests are run on that. Prints what `runtests.py`
prints, which ends with how many tests have run, and which failed; `--stock` is what those have to be compared with.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import Cython

#: Runs a script as the main program, with the adapter.
HOOKED = """
import runpy, sys
from arrayexpr.adapters.cython import enabled
sys.argv = sys.argv[1:]
with enabled():
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, help="the folder of Cython's source distribution")
    parser.add_argument("patterns", nargs="*", default=["^memoryview[.]", "^buffers[.]"])
    parser.add_argument("--stock", action="store_true", help="without the adapter")
    parser.add_argument("--work", type=Path, required=True, help="a folder for what is built")
    given = parser.parse_args()
    script = (given.sources / "runtests.py").resolve()
    installed = Path(Cython.__file__).parent.parent
    options = ["--no-refnanny", "--no-cpp", "--no-pyregr", "--no-code-style", "--no-examples"]
    command = [sys.executable, *([] if given.stock else ["-c", HOOKED]), str(script), *options, "-vv"]
    command += ["--cython-dir", str(installed), "--work-dir", str(given.work.resolve()), *given.patterns]
    return subprocess.run(command, cwd=script.parent, env={**os.environ, "CFLAGS": "-O1 -g0"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
