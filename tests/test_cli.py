"""The command line, on real files."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arrayexpr
from arrayexpr.__main__ import main


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory, the current one, with x.npy and y.npy that transpose to one another, z.npy and others."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    np.save("x.npy", random.random((30, 40)))
    np.save("y.npy", random.random((40, 30)))
    np.save("z.npy", random.random(40))
    np.save("fortran.npy", np.asfortranarray(random.random((30, 40))))
    return tmp_path


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that is refused with status 2."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("arrayexpr: error: ")
    assert err.count("\n") == 1 and err.endswith("\n")
    return err.removeprefix("arrayexpr: error: ").rstrip("\n")


def prints(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


# -- run ----------------------------------------------------------------------------------------


def test_run_reads_and_writes_files(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = prints(capsys, "run", "sqrt(a*b.T) + c", "a=x.npy", "b=y.npy", "c=z.npy", "-o", "out.npy")
    assert out == "out.npy: float64 (30, 40)\n"
    expected = np.sqrt(np.load("x.npy") * np.load("y.npy").T) + np.load("z.npy")
    np.testing.assert_array_equal(np.load("out.npy"), expected, strict=True)
    assert sorted(os.listdir()) == ["fortran.npy", "out.npy", "x.npy", "y.npy", "z.npy"]


def test_run_prints_without_output(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("small.npy", np.array([1, 2, 3], "int16"))
    assert prints(capsys, "run", "a * 2", "a=small.npy") == "[2 4 6]\n"


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("a * s", "2.5", lambda a: a * 2.5),
        ("a * s", "-3", lambda a: a * -3),
        ("a * s", "1+2j", lambda a: a * (1 + 2j)),
        ("a * s", "inf", lambda a: a * np.inf),
        ("where(s, a, 0)", "True", lambda a: a),
    ],
)
def test_run_takes_constants(
    files: Path, capsys: pytest.CaptureFixture[str], text: str, value: str, expected: Any
) -> None:
    a = np.arange(1, 7, dtype="float32").reshape(2, 3)
    np.save("a.npy", a)
    prints(capsys, "run", text, "a=a.npy", f"s={value}", "-o", "out.npy")
    np.testing.assert_array_equal(np.load("out.npy"), expected(a), strict=True)


def test_operands_may_follow_options(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prints(capsys, "run", "a + b", "a=x.npy", "-o", "out.npy", "b=fortran.npy")
    np.testing.assert_array_equal(np.load("out.npy"), np.load("x.npy") + np.load("fortran.npy"))


@pytest.mark.parametrize(
    ("text", "arguments", "shape"),
    [
        ("sum(x, axis=0) * 2", (), (40,)),
        ("x @ y", (), (30, 30)),
        ("sum(x) + 1", (), ()),
        ("x[1:, None, ::2]", (), (29, 1, 20)),
        ("x[:0]", (), (0, 40)),
    ],
)
def test_run_shapes(
    files: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    x, y = np.load("x.npy"), np.load("y.npy")
    given = [f"{name}={name}.npy" for name in "xy" if name in text]
    prints(capsys, "run", text, *given, "-o", "out.npy")
    expected = eval(text, {"x": x, "y": y, "sum": np.sum})
    assert np.load("out.npy").shape == shape
    np.testing.assert_array_equal(np.load("out.npy"), expected, strict=True)


def test_order_of_the_output(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def order(*arguments: str) -> str:
        prints(capsys, "run", *arguments, "-o", "out.npy")
        return "F" if np.load("out.npy").flags.f_contiguous else "C"

    assert order("a * 2", "a=fortran.npy") == "F"
    assert order("a * b", "a=fortran.npy", "b=x.npy") == "C"
    assert order("a * 2", "a=x.npy", "--order", "F") == "F"
    assert order("a * 2", "a=fortran.npy", "--order", "C") == "C"


def test_swapped_bytes(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swapped = np.load("x.npy").astype(np.dtype(float).newbyteorder("S"))
    np.save("swapped.npy", swapped)
    prints(capsys, "run", "a + b", "a=swapped.npy", "b=x.npy", "-o", "out.npy")
    np.testing.assert_array_equal(np.load("out.npy"), swapped + np.load("x.npy"))
    assert np.load("out.npy").dtype.isnative
    assert not [name for name in os.listdir() if name.startswith(("tmp", "."))]


def test_zero_size_and_scalars(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("empty.npy", np.zeros((0, 3), "int8"))
    prints(capsys, "run", "a + 1", "a=empty.npy", "-o", "out.npy")
    np.testing.assert_array_equal(np.load("out.npy"), np.zeros((0, 3), "int8"), strict=True)
    np.save("scalar.npy", np.float32(1.5))
    prints(capsys, "run", "a * 2", "a=scalar.npy", "-o", "out.npy")
    np.testing.assert_array_equal(np.load("out.npy"), np.array(3, "float32"), strict=True)


def test_output_takes_the_place_of_an_older_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("out.npy", np.zeros(3))
    os.chmod("out.npy", 0o640)
    os.symlink("out.npy", "link.npy")
    before = np.load("out.npy", mmap_mode="r")
    prints(capsys, "run", "a * 2", "a=z.npy", "-o", "link.npy")
    assert os.path.islink("link.npy")
    np.testing.assert_array_equal(np.load("out.npy"), np.load("z.npy") * 2)
    assert os.stat("out.npy").st_mode & 0o777 == 0o640
    np.testing.assert_array_equal(before, np.zeros(3))


def test_program_text_runs(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("double.txt").write_text("def double(a: float64[:], *, r: float64[:]):\n    r[...] = a + a\n")
    prints(capsys, "run", "-f", "double.txt", "a=z.npy", "-o", "out.npy")
    np.testing.assert_array_equal(np.load("out.npy"), np.load("z.npy") * 2)


@pytest.mark.skipif(sys.platform != "linux", reason="limits data by setrlimit")
def test_files_may_exceed_memory(files: Path) -> None:
    import resource

    # Sparse files of 512 MiB each, under a limit of 256 MiB for all that is not a mapped file.
    shape = (64, 1 << 20)
    for name in ("big0.npy", "big1.npy"):
        np.lib.format.open_memmap(name, mode="w+", dtype="float64", shape=shape)[::7, 12345] = 2.0

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (256 << 20, 256 << 20))

    command = [
        sys.executable,
        "-m",
        "arrayexpr",
        "run",
        "a[::2] * b[::2] + 1",
        "a=big0.npy",
        "b=big1.npy",
        "-o",
        "o.npy",
    ]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    out = np.load("o.npy", mmap_mode="r")
    assert out.shape == (32, 1 << 20)
    assert (out[:, 12345] == np.where(np.arange(0, 64, 2) % 7 == 0, 5, 1)).all()
    assert (out[3] == 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a + b", "a=x.npy"), "unknown name 'b'"),
        (("a + 1", "a=none.npy"), "operand a: none.npy cannot be read: No such file"),
        (("a + 1", "a=."), "operand a: . cannot be read"),
        (("a + 1", "a=objects.npy"), "operand a: objects.npy holds Python objects"),
        (("a + 1", "a=archive.npz"), "operand a: archive.npz is an .npz archive"),
        (("a + 1", "a=text.npy"), "operand a: text.npy is no .npy file"),
        (("a + 1", "a=pickle.npy"), "operand a: pickle.npy is no .npy file"),
        (("a + 1", "a=short.npy"), "operand a: short.npy cannot be read"),
        (("a + 1", "a=record.npy"), "operand a: "),
        (("a + 1", "a=string.npy"), "operand a: element type <U3 is not supported"),
        (("a + 1", "a=float64[:]"), "operand a is given as a type"),
        (("a + 1", "a"), "argument 'a': expected NAME=VALUE"),
        (("a + 1", "a="), "argument 'a=': expected NAME=VALUE"),
        (("a + 1", "2a=x.npy"), "operand name '2a' is no identifier"),
        (("a + 1", "a=x.npy", "a=y.npy"), "operand a is given twice"),
        (("a + 1", "a=x.npy", "b=y.npy"), "operand b is not in the expression"),
        (("a + b", "a=x.npy", "b=y.npy"), "operand b has shape (40, 30), which does not broadcast with (30, 40) of a"),
        (("a @ b", "a=x.npy", "b=x.npy"), "(30, 40)"),
        (("a +", "a=x.npy"), "line 1"),
        (("__import__('os').system('true')", "a=x.npy"), "unknown method 'system'"),
        (("(" * 500 + "a" + ")" * 500, "a=x.npy"), "line 1"),
        (("-" * 100_000 + "a", "a=x.npy"), "unknown option"),
        (("(" + "-" * 100_000 + "a)", "a=x.npy"), "nested too deeply"),
        (("./x.npy", "a=x.npy"), "./x.npy is a file: read it by -f"),
        (("-f", "none.txt", "a=x.npy"), "none.txt cannot be read"),
        (("a + 1", "a=x.npy", "--order", "K"), "argument --order: invalid choice"),
        (("a + 1", "a=x.npy", "--threads", "0"), "number of threads 0"),
        ((), "no expression is given"),
    ],
)
def test_run_refuses(files: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    import pickle

    np.save("objects.npy", np.array([1, "a"], object))
    np.savez("archive.npz", a=1)
    np.save("record.npy", np.zeros(3, "i4,f8"))
    np.save("string.npy", np.array(["abc"]))
    Path("text.npy").write_text("hello")
    Path("pickle.npy").write_bytes(pickle.dumps([1]))
    Path("short.npy").write_bytes(Path("x.npy").read_bytes()[:1000])
    assert message in fails(capsys, "run", *arguments)
    assert message in fails(capsys, "run", *arguments, "-o", "out.npy")
    assert not Path("out.npy").exists()
    assert not [name for name in os.listdir() if name.endswith(".part")]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("x.npy", "output x.npy is the file of operand a"),
        ("link.npy", "output link.npy is the file of operand a"),
        ("hard.npy", "output hard.npy is the file of operand a"),
        ("out.npz", "output out.npz: .npz is not written"),
        (".", "output . is no regular file"),
        ("none/out.npy", "output none/out.npy: there is no directory"),
        (os.devnull, "is no regular file"),
    ],
)
def test_run_refuses_outputs(files: Path, capsys: pytest.CaptureFixture[str], output: str, message: str) -> None:
    os.symlink("x.npy", "link.npy")
    os.link("x.npy", "hard.npy")
    before = Path("x.npy").read_bytes()
    assert message in fails(capsys, "run", "a + 1", "a=x.npy", "-o", output)
    assert Path("x.npy").read_bytes() == before


def test_full_disk(files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    assert "No space left on device" in fails(capsys, "run", "a + 1", "a=x.npy", "-o", "out.npy")
    assert sorted(os.listdir()) == ["fortran.npy", "x.npy", "y.npy", "z.npy"]


# -- show, emit, explain ------------------------------------------------------------------------


def test_show_prints_the_program_after_each_pass(capsys: pytest.CaptureFixture[str]) -> None:
    out = prints(capsys, "show", "sqrt(a*b.T) + c", "a=float64[:, :]", "b=float64[:, :]", "c=float64[:]")
    assert out.startswith("# as written\ndef kernel(a: float64[:, :], b: float64[:, :], c: float64[:], *, ")
    for name in ("lower", "order_axes", "collapse", "block", "vectorize", "parallelize"):
        assert f"\n# {name}" in out
    assert "in vector(" in out
    # Every program parses.
    for part in out.split("\n# ")[1:]:
        _, _, text = part.partition("\n")
        if text.strip():
            arrayexpr.parse(text)


@pytest.mark.parametrize("operand", ["a=float64[640, 480]", "a=a.npy", "a=float64['C', 640, 480]"])
def test_show_layouts(tmp_path: Path, capsys: pytest.CaptureFixture[str], operand: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.zeros((640, 480)))
    out = prints(capsys, "show", "a * b.T", operand, "b=float64[480, 640]", "--layouts")
    assert "@layouts(a=((640, 480), (3840, 8)), b=((480, 640), (5120, 8)), r=((640, 480), (3840, 8)))" in out
    assert "in block(" in out
    plain = prints(capsys, "show", "a * b.T", operand, "b=float64[480, 640]")
    assert "@layouts" not in plain


def test_show_fortran_layouts(capsys: pytest.CaptureFixture[str]) -> None:
    out = prints(capsys, "show", "a + 1", "a=float64['F', 64, 48]", "--layouts")
    assert "r=((64, 48), (8, 512))" in out


def test_show_reads_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    text = "# doubles\ndef double(a: float64[:], *, r: float64[:]):\n    r[...] = a + a\n"
    path = tmp_path / "double.txt"
    path.write_text(text)
    from_file = prints(capsys, "show", "-f", str(path))
    assert "def double(a: float64[:], *, r: float64[:]):" in from_file
    assert prints(capsys, "show", text) == from_file
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert prints(capsys, "show", "-f", "-") == from_file
    assert "r=((10,), (8,))" in prints(capsys, "show", "-f", str(path), "a=float64[10]", "--layouts")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("def f(a: float64[:], *, r: float64[:]):\n    r[...] = a +", "a=float64[10]"), "line 2"),
        (("def f(a: float64[:], *, r: float64[:]):\n    r[...] = a", "a=float32[10]"), "operand a is float32[:]"),
        (("def f(a: float64[:], *, r: float64[:]):\n    r[...] = a", "b=float64[10]"), "no operand 'b'"),
        (("def f(a: float64[:], *, r: float64[:]):\n    r[...] = b",), "b"),
        (("a + 1", "a=float64[:, ::5]"), "float64[:, ::5]"),
        (("a + 1", "a=float99[:]"), "operand a: float99[:] cannot be read"),
        (("a + b", "a=float64[:]", "b=bool[" + ":, " * 40 + ":]"), "rank 41"),
        (("a + 1", "a=float64[:]", "--layouts"), "--layouts: no operand has lengths"),
        (("a + b", "a=float64[3]", "b=float64[4]", "--layouts"), "(3,), (4,)"),
        (("a + 1", "a=float64[:]", "--name", "2x"), "name '2x' is no identifier"),
    ],
)
def test_show_refuses(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    assert message in fails(capsys, "show", *arguments)


def test_emit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("emit", "a * b + s", "a=float64[:]", "b=float64[:]", "s=2.5", "--name", "axpb")
    out = prints(capsys, *arguments)
    assert "int axpb(const arrayexpr_array *arrays, void *scratch, int threads) {" in out
    path = tmp_path / "axpb.c"
    assert prints(capsys, *arguments, "-o", str(path)) == ""
    assert path.read_text() == out
    assert os.listdir(tmp_path) == ["axpb.c"]


def test_emit_writes_where_it_can(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "emit", "a + 1", "a=float64[:]", "-o", str(tmp_path / "none" / "f.c"))
    assert "cannot be written" in message


def test_explain(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "layouts unknown" in prints(capsys, "explain", "a * b.T", "a=float64[:, :]", "b=y.npy")
    assert "Step 1" in prints(capsys, "explain", "a * b.T", "a=x.npy", "b=y.npy")


# -- The whole program --------------------------------------------------------------------------


def command(*arguments: str, **options: Any) -> Any:
    return subprocess.run([sys.executable, "-m", "arrayexpr", *arguments], capture_output=True, text=True, **options)


def test_demo() -> None:
    done = command("demo", "--size", "1200", "--repeats", "2")
    assert (done.returncode, done.stderr) == (0, "")
    for part in ("The tree as written", "in block(", "int kernel(const arrayexpr_array", "in every bit: yes", "NumPy"):
        assert part in done.stdout


def test_demo_without_a_compiler(tmp_path: Path) -> None:
    environment = {**os.environ, "CC": "no-such-compiler", "ARRAYEXPR_CACHE_DIR": str(tmp_path)}
    done = command("demo", "--size", "20", "--repeats", "1", env=environment)
    assert done.returncode == 0
    assert done.stderr.startswith("arrayexpr: warning: ") and done.stderr.count("\n") == 1
    assert "the block engine ran it" in done.stdout and "in every bit: yes" in done.stdout


def test_status_and_no_traceback(tmp_path: Path) -> None:
    done = command("run", "a + 1", "a=none.npy", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "arrayexpr: error: operand a: none.npy cannot be read: No such file or directory\n"


def test_usage() -> None:
    assert command("--version").stdout == f"arrayexpr {arrayexpr.__version__}\n"
    assert "show" in command("--help").stdout
    for name in ("show", "emit", "run", "explain", "demo"):
        assert "example: arrayexpr" in command(name, "--help").stdout
    for arguments in ((), ("nothing",), ("run", "a", "--nothing"), ("demo", "a=1"), ("demo", "--size", "0")):
        done = command(*arguments)
        assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_reader_that_has_seen_enough() -> None:
    names = [f"a{k}" for k in range(300)]
    process = subprocess.Popen(
        [sys.executable, "-m", "arrayexpr", "emit", " + ".join(names), *(f"{name}=float64[:]" for name in names)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait()
