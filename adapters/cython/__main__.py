"""The command line: Cython's `cythonize`, with the adapter.

    python -m arrayexpr.adapters.cython [--report] [--html] [options of cythonize] FILES

`--report` prints what became of each statement and loop, or why it was left; `--html` writes that beside each file, as
a page of its source.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from Cython.Build.Cythonize import main as cythonize_main

from . import html, report
from .pipeline import enabled


def main(arguments: Sequence[str] | None = None) -> None:
    given = list(sys.argv[1:] if arguments is None else arguments)
    wanted = {option for option in ("--report", "--html") if option in given}
    given = [argument for argument in given if argument not in wanted]
    if wanted:
        # Files that are up to date would not be in it, nor those that other processes compile.
        given = ["--force", "--parallel=0", *given]
    with report.collected() as entries, enabled():
        cythonize_main(given)
    if "--report" in wanted:
        print(*entries, sep="\n")
    if "--html" in wanted:
        for path in html.write(entries):
            print(path)


if __name__ == "__main__":
    main()
