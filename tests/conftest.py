"""Options and profiles of the tests."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings


def _test_what_is_installed() -> None:
    """`python -m pytest` puts the repository on the path, where bare sources would hide the installed package."""
    root = Path(__file__).resolve().parent.parent
    before = sys.path[:]
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != root]
    if importlib.util.find_spec("arrayexpr") is None:
        sys.path[:] = before
    else:
        # The same for `python -c` and `python -m` in processes that tests start.
        os.environ["PYTHONSAFEPATH"] = "1"


_test_what_is_installed()

from arrayexpr._core import ops  # noqa: E402
from arrayexpr._core.engine import compiler  # noqa: E402

settings.register_profile(
    "arrayexpr",
    max_examples=int(os.environ.get("ARRAYEXPR_TEST_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    # The same examples each time: a run says whether a change broke something. `--hypothesis-seed` draws others.
    derandomize=True,
)
settings.load_profile("arrayexpr")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the outputs of the golden files")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True)
def operators_as_they_were() -> Iterator[None]:
    """Take out the operators that a test registers: random programs of later tests would use them."""
    before = dict(ops._table)
    yield
    ops._table.clear()
    ops._table.update(before)


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of this run, which its workers share where there are several."""
    directory = tmp_path_factory.getbasetemp()
    return directory.parent if "PYTEST_XDIST_WORKER" in os.environ else directory


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(run_directory: Path) -> Iterator[str]:
    """A cache of compiled kernels of this run's own: no test is helped by what another run left."""
    with pytest.MonkeyPatch.context() as patch:
        directory = str(run_directory / "kernels")
        patch.setenv("ARRAYEXPR_CACHE_DIR", directory)
        # Tests look at compiled code, unless they say otherwise; the block engine has tests of its own, which do.
        if "ARRAYEXPR_ENGINE" not in os.environ:
            patch.setenv("ARRAYEXPR_WAIT", "1")
        patch.delenv("ARRAYEXPR_NUM_THREADS", raising=False)
        yield directory


@pytest.fixture(scope="session", autouse=True)
def vector_instructions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """GCC reads the header of vector instructions once: 80 of the 115 ms that a kernel with some took to compile.

    What is emitted ahead of time, and what other processes compile, is compiled as it stands.
    """
    command = compiler.compiler()
    header = tmp_path_factory.mktemp("headers") / "vectors.h"
    header.write_text("#include <immintrin.h>\n")
    make = [*command, *compiler.FLAGS, "-x", "c-header", str(header), "-o", f"{header}.gch"]
    gcc = bool(command) and "Free Software" in compiler._version(command)
    if not gcc or subprocess.run(make, capture_output=True).returncode:
        yield
        return
    compile_one = compiler._compile

    def compiled(command: tuple[str, ...], source: str, path: Path, background: bool = False) -> None:
        more = ("-include", str(header)) if "<immintrin.h>" in source else ()
        compile_one((*command, *more), source, path, background)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "_compile", compiled)
        yield
