"""The drop-in for numexpr: what its users rely on, where it differs, and what hostile or hurried users try."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arrayexpr
import arrayexpr.adapters.numexpr as ne
from arrayexpr._core.driver import ARRAY_PASSES, run
from arrayexpr._core.errors import TypeMismatch, UnsupportedError
from arrayexpr.adapters.numexpr import expressions, from_host, reader, to_host

# -- Calls ------------------------------------------------------------------------------------------


def test_variables_of_the_caller_and_of_dictionaries() -> None:
    a, b = np.arange(3.0), np.ones(3)
    assert np.array_equal(ne.evaluate("a + b"), a + b)
    assert np.array_equal(ne.evaluate("a + b", local_dict={"a": b}, global_dict={"b": b}), b + b)

    def deeper() -> Any:
        return ne.evaluate("a + b", _frame_depth=4)

    assert np.array_equal(deeper(), a + b)
    with pytest.raises(KeyError, match="missing"):
        ne.evaluate("a + missing")


def test_a_call_leaves_no_reference_behind() -> None:
    a = np.arange(1000.0)
    before = sys.getrefcount(a)
    for _ in range(3):
        ne.evaluate("a * 2")
    ne.re_evaluate()
    assert sys.getrefcount(a) == before


def test_results_are_arrays_and_layout_is_kept() -> None:
    a = np.ones((3, 4), order="F")
    assert ne.evaluate("a + 1").flags.f_contiguous
    assert ne.evaluate("a + 1", order="C").flags.c_contiguous
    for text in ("sum(a)", "2", "2.5 * 2"):
        assert isinstance(ne.evaluate(text), np.ndarray)


def test_out_and_casting() -> None:
    a = np.arange(3.0)
    out = np.zeros(3, "f4")
    assert ne.evaluate("a * 2", out=out) is out and out.tolist() == [0, 2, 4]
    with pytest.raises(TypeError, match="same_kind"):
        ne.evaluate("a * 2", out=np.zeros(3, "i4"))
    with pytest.raises(TypeError, match="float64.*int64|according to the rule 'no'"):
        ne.evaluate("a * 2", out=np.zeros(3, "i8"), casting="no")
    rows = np.zeros((2, 3))
    assert ne.evaluate("a * 2", out=rows) is rows and rows.tolist() == [[0, 2, 4]] * 2
    with pytest.raises(ValueError, match="non-broadcastable"):
        ne.evaluate("a * 2", out=np.zeros(1))
    with pytest.raises(TypeError, match="expected a NumPy array"):
        ne.evaluate("a * 2", out=[0, 0, 0])


def test_out_that_the_operands_alone_do_not_fit() -> None:
    a, b = np.arange(4.0), np.arange(3.0)
    assert ne.evaluate("a[1:] * b", out=np.zeros(3)).tolist() == [0, 2, 6]
    assert ne.evaluate("a[1:] * b", out=np.zeros((2, 3))).tolist() == [[0, 2, 6]] * 2
    with pytest.raises(ValueError, match="a|b"):
        ne.evaluate("a * b", out=np.zeros(3))


def test_validate_gives_what_evaluate_raises() -> None:
    a = np.arange(3.0)
    assert ne.validate("a + 1") is None and ne.re_evaluate().tolist() == [1, 2, 3]
    for text, options in (
        ("a +", {}),
        ("a & 1", {}),
        ("missing", {}),
        ("a", {"speed": 1}),
        ("a", {"out": [1.0]}),
        (5, {}),
    ):
        found = ne.validate(text, **options)
        assert isinstance(found, Exception)
        with pytest.raises(type(found)):
            ne.evaluate(text, **options)
    # What was validated last is still there.
    assert ne.re_evaluate().tolist() == [1, 2, 3]


def test_copies_and_pickles() -> None:
    x = np.arange(4.0)
    for text in ("2*x + x**3", "sum(x, axis=0)", "x[::2] * 1j", "logaddexp(x, 1)", "x == b'a'"):
        kinds = [("x", bytes if "b'" in text else np.double)]
        values = np.array([b"a", b"b"]) if "b'" in text else x
        compiled = ne.NumExpr(text, kinds)
        for other in (pickle.loads(pickle.dumps(compiled)), copy.copy(compiled), copy.deepcopy(compiled)):
            assert np.array_equal(other(values), compiled(values)) and other.input_names == compiled.input_names


def test_re_evaluate_takes_new_values_and_needs_a_first() -> None:
    a = np.arange(3.0)
    ne.evaluate("a + 1")
    a = a * 10
    assert ne.re_evaluate().tolist() == [1, 11, 21]
    failures: list[BaseException] = []

    def elsewhere() -> None:
        try:
            ne.re_evaluate()
        except RuntimeError as error:
            failures.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert failures, "another thread saw what this one evaluated"


def test_one_object_in_many_threads() -> None:
    shared = ne.NumExpr("2*a + b", [("a", float), ("b", np.double)])
    wrong: list[int] = []

    def work(k: int) -> None:
        for n in range(1, 40):
            a, b = np.full(n, k, "f4"), np.arange(n, dtype="f8")
            if not np.array_equal(shared(a, b), 2 * a + b):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_many_inputs() -> None:
    names = [f"x{k}" for k in range(200)]
    arrays = {name: np.full(3, k, "f8") for k, name in enumerate(names)}
    assert ne.evaluate(" + ".join(names), local_dict=arrays).tolist() == [sum(range(200))] * 3


def test_strings() -> None:
    a = np.array([b"abc", b"de", b""])
    assert ne.evaluate("(a == b'abc') | (a == '')").tolist() == [True, False, True]
    assert ne.evaluate("contains(a, b'd') & (a > b'b')").tolist() == [False, True, False]
    for text, missing in (("a + a", "add_sss"), ("a >= 2", "ge_bsi"), ("where(a, 1, 2)", "where")):
        with pytest.raises((NotImplementedError, TypeError), match=missing + "|strings"):
            ne.evaluate(text)


def test_install_and_uninstall() -> None:
    before = sys.modules.get("numexpr")
    ne.install()
    try:
        import numexpr
        import numexpr.expressions as nodes

        assert numexpr is ne and nodes is expressions
        ne.install()
    finally:
        ne.uninstall()
    assert sys.modules.get("numexpr") is before
    ne.uninstall()


def test_threads() -> None:
    before = ne.set_num_threads(2)
    try:
        assert ne.set_num_threads(1) == 2 and ne.get_num_threads() == 1
        for bad in (0, -1, 10**6):
            with pytest.raises(ValueError, match="nthreads"):
                ne.set_num_threads(bad)
        with pytest.raises(TypeError, match="expected an int"):
            ne.set_num_threads("2")
    finally:
        ne.set_num_threads(before)


def test_what_is_said_of_versions(capsys: pytest.CaptureFixture[str]) -> None:
    ne.print_versions()
    said = capsys.readouterr().out
    assert f"Numexpr version:   {ne.__version__}" in said and "Number of threads used by default" in said
    assert ne.version.version == ne.__version__


# -- What the page of differences says ----------------------------------------------------------------

I4 = np.array([3, -1, 2], "i4")
BIG = np.array([2**53 + 1, 2**53], "i8")
X = np.array([1.0, -1.0, 5.0])
DIFFERENCES: list[tuple[str, dict[str, Any], Any]] = [
    ("min(i)", {"i": I4}, -1),
    ("max(l)", {"l": BIG}, 2**53 + 1),
    ("x // y", {"x": X, "y": np.array([0.1, np.inf, 2])}, X // np.array([0.1, np.inf, 2])),
    ("x % y", {"x": X, "y": np.array([0.1, np.inf, 2])}, X % np.array([0.1, np.inf, 2])),
    ("z / 0", {"z": np.array([1 + 1j])}, np.array([complex(np.inf, np.inf)])),
    ("i ** 31", {"i": np.array([3], "i4")}, np.array([3], "i4") ** 31),
    ("i ** j", {"i": np.array([-1, 1, 2], "i4"), "j": np.array([-2, -2, -1], "i4")}, np.array([1, 1, 0], "i4")),
    ("2 // i", {"i": I4}, 2 // I4),
    ("1 & i", {"i": I4}, 1 & I4),
    ("x / sum(x) + sum(x > 0)", {"x": X}, X / X.sum() + 2),
    ("sum(x > 0)", {"x": X}, np.int64(2)),
    ("sum(3)", {}, np.int32(3)),
    ("sum(x)", {"x": np.ones(0)}, 0.0),
    ("x + y", {"x": np.ones((0, 3)), "y": np.ones((1, 1))}, np.ones((0, 3))),
    ("x[1:] * 1.e24", {"x": X}, X[1:] * 1.0e24),
    ("y = x + 1; y * y", {"x": X}, (X + 1) ** 2),
    ("x / 3.0", {"x": X}, X / 3.0),
    ("x / 0.0", {"x": X}, X / 0.0),
    ("b ** 0.5", {"b": X > 0}, np.sqrt(X > 0, dtype="f8")),
    ("mean(x, axis=0, keepdims=True) + logaddexp(x, 1)", {"x": X}, X.mean() + np.logaddexp(X, 1)),
]


@pytest.mark.parametrize(("text", "operands", "want"), DIFFERENCES, ids=[text for text, _, _ in DIFFERENCES])
def test_differences(text: str, operands: dict[str, Any], want: Any) -> None:
    with np.errstate(all="ignore"):
        got = ne.evaluate(text, local_dict=operands, global_dict={})
    want = np.asarray(want)
    assert got.shape == want.shape and got.dtype.kind == want.dtype.kind
    np.testing.assert_allclose(got, want, rtol=1e-15)


def test_shifted_overlap() -> None:
    a = np.arange(100.0)
    want = a[:-1] + a[1:]
    ne.evaluate("x + y", local_dict={"x": a[:-1], "y": a[1:]}, out=a[1:])
    assert np.array_equal(a[1:], want)


def test_float32_sums_are_pairwise() -> None:
    x = np.full(10**6, 0.1, "f4")
    assert abs(float(ne.evaluate("sum(x)")) - 1e5) < 0.01


# -- Hostile and hurried ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "().__class__.__bases__[0].__subclasses__()", "(lambda: 1)()", "a.__class__",
        "locals()['a']", "[x for x in a]", "{1: 2}", "f'{a}'", "a.tobytes()", "os. system('true')",
        "(3+1).ᵇit_length()",
        "__builtins__", "import os", "a; import os", "(x := a)", "a[b]", "a['x']", "open('x')[0]", "*a", "sum(*a)",
        "sum(**a)", "a < [0]", "print", "exec('1')", "a @ a", "yield a", "await a", "a if a else a", "...",
        "b''.join(a)", "'%s' % a", "getattr(a, 'T')", "del a", "a = 1", "sin(out=a)", "a.real.__class__",
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused(text: str) -> None:
    a = np.ones(3)
    with pytest.raises((ValueError, TypeError, SyntaxError, KeyError, NotImplementedError)):
        ne.evaluate(text, local_dict={"a": a, "b": a}, global_dict={})


@pytest.mark.parametrize(
    "text",
    ["9**9**9", "2**(10**9)", "1 << 10**10", "(2**4000)*(2**4000)", "'a'*10**9", "(" * 10**6,
     "(" * 500 + "a" + ")" * 500, "-" * 10**5 + "a", "a" + "+a" * 10**5, "0x" + "f" * 10**6, "9" * 10**6],
)  # fmt: skip
def test_bombs_are_refused_at_once(text: str) -> None:
    with pytest.raises((OverflowError, TypeError, SyntaxError, ValueError)):
        ne.evaluate(text, local_dict={"a": np.ones(3)}, global_dict={})


def test_long_sums_of_a_few_hundred_terms_work() -> None:
    assert ne.evaluate("a" + "+a" * 800, local_dict={"a": np.ones(3)}).tolist() == [801.0] * 3


@pytest.mark.parametrize("bad", [5, None, b"a", ["a"]])
def test_no_text(bad: Any) -> None:
    with pytest.raises(ValueError, match="must specify expression as a string"):
        ne.evaluate(bad)


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.array([None]), "unknown type object"), (np.array(["a"]), "Unicode"),
     (np.array(["2020"], "M8[D]"), "unknown type")],
)  # fmt: skip
def test_types_that_are_not_taken(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ne.evaluate("a + 1", local_dict={"a": value})


def test_options() -> None:
    with pytest.raises(ValueError, match="Unknown keyword argument 'speed'"):
        ne.evaluate("1", speed=3)
    with pytest.raises(ValueError, match="'optimization' must be one of"):
        ne.evaluate("1", optimization="most")
    with pytest.raises(ValueError, match="expected one of K, C, F, A"):
        ne.evaluate("1", order="Z")


@pytest.mark.parametrize(
    "text",
    [
        "＿＿import＿＿('os')", "__ｉmport__('os')", "(1).__ｃlass__", "a.__ᶜlass__", "a．real", "１+a",
        "f'{__import__(\"os\")}'", "(b:=a)", "lambda: a", "[a for a in a]", "{a for a in a}", "(a for a in a)",
        "a.imag.tobytes()", "sin.__call__(a)", "E.a", "a\0", "a\0+b", "", " ", "#", ";a", "a;;b", "a\nb",
        "sin(a)(a)", "sum(a, axis='x')", "sum(a, axis=True)", "sum(a, axis=(0, 0))", "sum(a, axis=a)",
        "a[0:10**30]", "a[::0]", "a[True]", "a[1.5]", "a[..., ...]", "divmod(a, 2)", "arange(3)", "frompyfunc(a, 1, 1)",
        "2**63", "1 << -1", "a == b; a", "x = y = a; x", "x: int = a; x", "x[0] = 1; x", "while True: pass",
        "def f(): a", "match a:\n case 1: a", "\ufeffa", "a\u200b", "\ud800", "'x'[0]", "'é' + a", "(a, b)",
        "a[" + "0," * 1000 + "]", "not " * 10**5 + "1", "sin(" * 10**5, "[" * 10**5, "a**" * 10**5 + "a",
        "x=3;" + "x=x*x;" * 100 + "x", "a" + "[0:]" * 10**5, "lambda:" * 10**4 + "a", "9" * 10**5,
        "await " * 10**4 + "a",
    ],
)  # fmt: skip
def test_what_an_attacker_tries_is_refused(text: str) -> None:
    a = np.ones(3)
    with pytest.raises((ValueError, TypeError, SyntaxError, KeyError, NotImplementedError, OverflowError, IndexError)):
        ne.evaluate(text, local_dict={"a": a, "b": a}, global_dict={})


def test_arrays_that_are_none_or_of_other_classes() -> None:
    a = np.arange(3.0)

    class Sub(np.ndarray):
        pass

    class Raises(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            raise RuntimeError("no look-up")

    assert type(ne.evaluate("s + 1", {"s": a.view(Sub)})) is np.ndarray
    assert ne.evaluate("m + 1", {"m": np.ma.array(a, mask=[0, 1, 0])}).tolist() == [1, 2, 3]
    assert ne.evaluate("x + y", {"x": [1, 2], "y": (3, 4)}).tolist() == [4, 6]
    with pytest.raises(RuntimeError, match="no look-up"):
        ne.evaluate("a", Raises())
    with pytest.raises(ValueError, match="unknown type"):
        ne.evaluate("o + 1", {"o": np.array([1, None])})


def test_where_the_caller_is_no_plain_function() -> None:
    x = np.arange(3.0)

    class Body:
        y = np.ones(3)
        z = ne.evaluate("y * 2")

    assert Body.z.tolist() == [2, 2, 2]
    assert (lambda x: ne.evaluate("x + 1"))(x).tolist() == [1, 2, 3]
    assert next(ne.evaluate("x + k") for k in (5,) if x is not None).tolist() == [5, 6, 7]
    names: dict[str, Any] = {"ne": ne, "x": x}
    exec("r = ne.evaluate('x * 3')\ndef f():\n    v = x\n    return ne.evaluate('v + x')", names)
    assert names["r"].tolist() == [0, 3, 6] and names["f"]().tolist() == [0, 2, 4] and "x" in names


# -- There and back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimization", ["none", "moderate", "aggressive"])
def test_there_and_back_is_the_same_tree(optimization: str) -> None:
    from numexpr_expressions import Expressions

    kept = 0
    for seed in range(300):
        text = Expressions(seed).expression()
        try:
            tree = reader.read(text, {}, {"optimization": optimization})
            program = from_host(tree)
        except (TypeError, ValueError, NotImplementedError, ZeroDivisionError, OverflowError):
            continue
        assert str(to_host(program)) == str(tree), text
        kept += 1
    assert kept > 100


def test_numexpr_runs_what_comes_back() -> None:
    numexpr = pytest.importorskip("numexpr")
    operands = {"a": np.linspace(0.1, 2, 50), "b": np.linspace(1, 3, 50)}
    for text in ("(a + b)*1 + (b + a)", "sqrt(a*a + b*b) - exp(-a)", "where(a > b, a, b)**2", "sum(a*b)"):
        program = from_host(text, {name: (float, 1) for name in operands})
        tree = to_host(run(program, ARRAY_PASSES))
        compiled = numexpr.NumExpr(tree, [("a", np.double), ("b", np.double)])
        want = numexpr.evaluate(text, local_dict=operands)
        np.testing.assert_allclose(compiled(*operands.values()), want, rtol=1e-14)


def test_trees_of_numexpr_itself() -> None:
    numexpr = pytest.importorskip("numexpr")
    tree = 2 * numexpr.E.a + numexpr.expressions.functions["sin"](numexpr.E.b)
    program = from_host(tree)
    assert to_host(program) is tree
    assert [operand.name for operand in program.operands] == ["a", "b"]


def test_compiled_expressions_of_numexpr_itself() -> None:
    numexpr = pytest.importorskip("numexpr")
    operands = {"a": np.linspace(0.1, 2, 50), "b": np.linspace(1, 3, 50).astype("f4"), "i": np.arange(50, dtype="i4")}
    for text in (
        "where(a > 2*b, sin(a), b) + i",
        "a**3.5 - i",
        "sum(a*b, axis=0)",
        "(i & 3) * 2.5 + arctan2(a, b)",
        "a",
    ):
        used, _ = numexpr.necompiler.getExprNames(text, {})
        compiled = numexpr.NumExpr(text, [(name, numexpr.necompiler.getType(operands[name])) for name in used])
        program = from_host(compiled, {name: (array.dtype, 1) for name, array in operands.items()})
        names = [operand.name for operand in program.operands]
        got = arrayexpr.compile(program)(*[operands[name] for name in names])
        np.testing.assert_allclose(got, numexpr.evaluate(text, local_dict=operands), rtol=1e-6)
    with pytest.raises(TypeMismatch, match="expected text, a numexpr tree or a NumExpr"):
        from_host(3)


def test_what_numexpr_has_no_word_for() -> None:
    with pytest.raises(UnsupportedError, match="numexpr has no"):
        to_host(from_host("a[1:]", {"a": (float, 1)}).replace(origins={}))


# -- Their tests ------------------------------------------------------------------------------------------

#: In the place of numexpr, first on the path of processes that import it.
PACKAGE = """\
import sys
import arrayexpr.adapters.numexpr as drop_in
drop_in.install()
sys.modules["numexpr"] = drop_in
"""


def outcomes(tmp_path: Path, drop_in: bool, *arguments: str) -> tuple[int, set[str]]:
    """How many tests of theirs passed, and the names of those that failed, on numexpr or on the drop-in."""
    folder = tmp_path / ("ours" if drop_in else "theirs")
    (folder / "numexpr").mkdir(parents=True)
    (folder / "numexpr" / "__init__.py").write_text(PACKAGE)
    environment = {**os.environ, "ARRAYEXPR_WAIT": "0"}
    if drop_in:
        environment["PYTHONPATH"] = str(folder)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rfE",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
        "--tb=no",
        *arguments,
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)
    lines = done.stdout.splitlines()
    failed = {line.split()[1].partition("::")[2] for line in lines if line.startswith(("FAILED ", "ERROR "))}
    words = lines[-1].replace(",", "").split()
    assert "passed" in words, done.stdout[-2000:] + done.stderr[-2000:]
    return int(words[words.index("passed") - 1]), failed


def test_their_own_tests(tmp_path: Path) -> None:
    numexpr = pytest.importorskip("numexpr")
    # A copy: beside it lies what imports the true one.
    file = tmp_path / "test_numexpr.py"
    file.write_text((Path(numexpr.__file__).parent / "tests" / "test_numexpr.py").read_text())
    passed, failed = outcomes(tmp_path, True, str(file))
    assert not failed
    assert passed > 6000


@pytest.mark.slow
def test_pandas_tests(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    tests = Path(pandas.__file__).parent / "tests"
    files = [str(tests / "computation"), str(tests / "frame" / "test_query_eval.py")]
    theirs, ours = (outcomes(tmp_path, drop_in, *files) for drop_in in (False, True))
    assert ours == theirs
    assert ours[0] > 5000
