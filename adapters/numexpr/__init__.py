"""numexpr's functions on arrayexpr: `import arrayexpr.adapters.numexpr as ne`.

>>> import numpy as np, arrayexpr.adapters.numexpr as ne
>>> a, b = np.arange(3.0), np.ones(3)
>>> ne.evaluate("2*a + 3*b")
array([3., 5., 7.])

`install()` puts it in the place of numexpr for libraries that import that. `from_host` and `to_host` translate trees.
"""

from typing import Any

from . import expressions, interpreter, necompiler, utils, version
from .expressions import E
from .installing import install, uninstall
from .interpreter import __BLOCK_SIZE1__ as __BLOCK_SIZE1__
from .necompiler import NumExpr, disassemble, evaluate, re_evaluate, validate
from .translate import from_host, to_host
from .utils import (
    MAX_THREADS,
    _init_num_threads,
    detect_number_of_cores,
    detect_number_of_threads,
    get_num_threads,
    get_vml_version,
    set_num_threads,
    set_vml_accuracy_mode,
    set_vml_num_threads,
    use_vml,
)

__all__ = [
    "E", "MAX_THREADS", "NumExpr", "detect_number_of_cores", "detect_number_of_threads", "disassemble", "evaluate",
    "expressions", "from_host", "get_num_threads", "get_vml_version", "install", "interpreter", "necompiler",
    "print_versions", "re_evaluate", "set_num_threads", "set_vml_accuracy_mode", "set_vml_num_threads", "test",
    "to_host", "uninstall", "use_vml", "utils", "validate", "version",
]  # fmt: skip

ncores = detect_number_of_cores()
nthreads = _init_num_threads()
__version__ = version.version
is_cpu_amd_intel = False


def print_versions() -> None:
    """Print what is run here: versions, the machine, threads."""
    from . import tests

    tests.print_versions()


def test(verbosity: int = 1) -> Any:
    """Run numexpr's own tests, where that is installed beside, on what is here; gives unittest's result."""
    from . import tests

    return tests.test(verbosity)


test.__test__ = False  # type: ignore[attr-defined]
