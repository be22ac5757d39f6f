"""Every example of the documentation runs: docstrings, and the pages of docs/ and the README.

In a page, fenced blocks are read from top to bottom, in one directory and one namespace:

- `python` with `>>>` prompts: run, and what it prints compared; the output of the last one ends at the fence.
- `console` with `$ ` prompts: the same for commands. `arrayexpr` runs in this process.
- `c`, `python`, `cython`, `toml` or `text` whose first line names a file in a comment: written to that file.

`...` in an output stands for any text. `pytest --update-golden` writes the outputs that differ anew, where they have no
such line; read what it wrote. Pages are written for a plain machine (`Target()`), whatever this one is.
"""

import contextlib
import doctest
import importlib
import importlib.util
import io
import linecache
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import arrayexpr
from arrayexpr import __main__ as command_line
from arrayexpr import target
from arrayexpr._core import ops
from arrayexpr._core.passes.simplify import RULES

ROOT = Path(__file__).resolve().parent.parent
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]
FILE = re.compile(r"(?:#|//|/\*)\s*([\w-]+\.(?:c|h|py|pyx|txt|toml))\s*(?:\*/)?")


# -- Docstrings ---------------------------------------------------------------------------------


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(arrayexpr.__path__, "arrayexpr."):
        yield found.name


@pytest.mark.parametrize("name", ["arrayexpr", *modules()])
def test_docstrings(name: str) -> None:
    if name.startswith("arrayexpr.adapters.numba"):
        pytest.importorskip("numba")
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in finder.find(module, name, extraglobs={"__name__": name}):
        output = io.StringIO()
        if runner.run(test, out=output.write).failed:
            pytest.fail(output.getvalue(), pytrace=False)


# -- Pages --------------------------------------------------------------------------------------


def blocks(text: str) -> Iterator[tuple[str, int, list[str]]]:
    """The language, the first line's number, and the lines of each fenced block."""
    language, start, lines = None, 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.fullmatch(r"```(\w*)", line)
        if fence is None:
            lines.append(line)
        elif language is None:
            language, start, lines = fence[1], number + 1, []
        else:
            yield language, start, lines
            language = None
    assert language is None, "a fence is not closed"


def examples(lines: list[str], first: int, prompt: str, more: str) -> Iterator[tuple[int, str, list[str]]]:
    """The number of the last line, the source and the expected output of each example of a block."""
    at, source, output = 0, list[str](), list[str]()
    for number, line in enumerate(lines, first):
        if line.startswith(prompt):
            if source:
                yield at, "\n".join(source) + "\n", output
            at, source, output = number, [line.removeprefix(prompt)], []
        elif source and not output and (line.startswith(more) or line == more.rstrip()):
            source.append(line.removeprefix(more.rstrip()).removeprefix(" "))
            at = number
        else:
            assert source, f"line {number}: output without a prompt"
            output.append(line)
    if source:
        yield at, "\n".join(source) + "\n", output


def run_python(source: str, namespace: dict[str, Any]) -> str:
    """What an interactive session prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        # As IPython and doctest do: a function has its source.
        name = f"<page {hash(source)}>"
        linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
        try:
            exec(compile(source, name, "single", dont_inherit=True), namespace)
        except Exception as error:
            notes = "".join(f"{note}\n" for note in getattr(error, "__notes__", ()))
            name = type(error).__name__
            printed.write(f"Traceback (most recent call last):\n    ...\n{name}: {error}\n{notes}")
    return printed.getvalue()


def run_command(line: str, directory: Path) -> str:
    """What a shell prints."""
    words = shlex.split(line)
    if words[:1] == ["arrayexpr"] and not {"|", ">", "&&"} & set(words):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), contextlib.suppress(SystemExit):
            command_line.main(words[1:])
        return printed.getvalue()
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    # Cython looks for .pxd files on the path, where an editable install is not.
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(Path(arrayexpr.__file__).parent.parent)}
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(
        line, shell=True, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """Operators and rules that a page adds are gone after it."""
    rows, rules = set(ops.operators()), {each.name for each in RULES}
    yield
    for row in ops.operators():
        if row not in rows:
            del ops._table[row.name]
    for name in [each.name for each in RULES if each.name not in rules]:
        RULES.remove(name)


@pytest.mark.usefixtures("as_it_was")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update_golden: bool) -> None:
    if page.stem == "numba":
        pytest.importorskip("numba")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(target, "detect", lambda: target.Target(cores=target.get_num_threads()))
    namespace: dict[str, Any] = {"__name__": "__main__"}
    failures, changed = [], list[tuple[int, int, list[str]]]()
    text = page.read_text(encoding="utf-8")

    def check(at: int, source: str, expected: list[str], got: str) -> None:
        if same("\n".join(expected), got):
            return
        if update_golden and "..." not in (line.strip() for line in expected if "Traceback" not in expected[0]):
            changed.append((at, at + len(expected), [line.rstrip() for line in got.strip("\n").split("\n")]))
        else:
            shown = "\n".join(expected)
            failures.append(f"{page.name}:{at}: {source}expected:\n{shown}\ngot:\n{got}")

    for language, first, lines in blocks(text):
        named = FILE.fullmatch(lines[0]) if lines else None
        if named is not None:
            (tmp_path / named[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
        elif language == "python" and lines[0].startswith(">>> "):
            for at, source, expected in examples(lines, first, ">>> ", "... "):
                check(at, source, expected, run_python(source, namespace))
        elif language == "console":
            for at, source, expected in examples(lines, first, "$ ", "> "):
                check(at, source, expected, run_command(source.replace("\\\n", ""), tmp_path))
        else:
            assert language in ("", "sh", "text"), f"{page.name}:{first}: a block that is not run"
    if changed:
        written = text.split("\n")
        for start, stop, output in reversed(changed):
            written[start:stop] = output
        page.write_text("\n".join(written), encoding="utf-8")
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


def same(expected: str, got: str) -> bool:
    """Whether an output is what the page says; blank lines and blanks at the ends of lines do not count."""
    if expected.startswith("Traceback") and got.startswith("Traceback"):
        # As doctest: the stack is nobody's business.
        expected, got = (re.sub(r"\A.*\n(?:[ \t].*\n)*", "", text) for text in (expected, got))
    expected, got = (
        re.sub(r"\n\s*\n", "\n", "\n".join(map(str.rstrip, text.splitlines()))) for text in (expected, got)
    )
    return doctest.OutputChecker().check_output(expected.strip("\n") + "\n", got.strip("\n") + "\n", doctest.ELLIPSIS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        aim = (page.parent / name).resolve() if name else page
        assert aim.exists(), f"{page.name} links to {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", aim.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{page.name} links to {link}"


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_reached() -> None:
    index = ROOT / "docs" / "index.md"
    text = index.read_text(encoding="utf-8")
    for page in PAGES:
        if page.parent != ROOT and page != index:
            assert page.relative_to(index.parent).as_posix() in text


def files(folder: str) -> set[str]:
    """The names of a folder's sources, without suffixes."""
    kinds = {".py", ".pyx", ".pxd", ".pxi", ".h"}
    return {path.name.partition(".")[0] for path in (ROOT / folder).iterdir() if path.suffix in kinds}


def test_architecture_names_every_file() -> None:
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    before, _, after = text.partition("## Where things are")
    described = {}
    for section in after.split("\n### ")[1:]:
        folder, _, table = section.partition("\n")
        rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, flags=re.MULTILINE)
        described[folder.strip("`/")] = [name for row in rows for name in re.findall(r"\w+", row)]
    described["arrayexpr/_core/passes"] += set(re.findall(r"^\| `(\w+)` \|", before, flags=re.MULTILINE))
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "arrayexpr").rglob("*.py")}
    assert set(described) == folders | {"adapters"}
    for folder, names in described.items():
        assert len(names) == len(set(names)), f"{folder}: a file is named twice"
        here = files(folder) - {"__init__"}
        assert set(names) - {"__init__"} == here, f"{folder}: {here ^ set(names)}"


def test_generated_pages_are_fresh() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for path, text in generate.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run `make docs`"


def test_every_public_name_is_documented() -> None:
    names = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    for name in arrayexpr.__all__:
        assert f"`{name}" in names, name


def test_import_warns_of_nothing() -> None:
    code = "import arrayexpr, arrayexpr.__main__"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
