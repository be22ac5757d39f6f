"""The drop-in's names beside numexpr's: every one is here, with the same parameters, but for those listed."""

from __future__ import annotations

import importlib
import inspect
import types
from typing import Any

import pytest

numexpr = pytest.importorskip("numexpr")

import arrayexpr.adapters.numexpr as ne  # noqa: E402

#: Of `numexpr.tests` two functions are for users, which the package has too.
MODULES = ("", ".cpuinfo", ".expressions", ".interpreter", ".necompiler", ".utils", ".version")

_IMPORTED = "a module of Python's that numexpr's happens to import"
_STEP = "a step of its register allocation, which `assembler` does in one"
_CACHE = "its caches, which are not kept so here; nothing outside numexpr may rely on them"
_EVAL = "guards its `eval`, which there is none of here"
_PLATFORM = "one class answers for every platform"
#: Names that are not here, each with the reason.
MISSING = {
    ".cpuinfo": {
        **dict.fromkeys(("inspect", "re", "subprocess", "sys", "types", "warnings"), _IMPORTED),
        **dict.fromkeys(("command_by_line", "command_info", "getoutput", "key_value_from_command"), _PLATFORM),
        **dict.fromkeys(("CPUInfoBase", "DarwinCPUInfo", "IRIXCPUInfo", "LinuxCPUInfo", "NetBSDCPUInfo"), _PLATFORM),
        **dict.fromkeys(("SunOSCPUInfo", "Win32CPUInfo"), _PLATFORM),
    },
    ".expressions": {
        **dict.fromkeys(("numpy", "sys", "threading", "interpreter"), _IMPORTED),
        **dict.fromkeys(("Context", "_context"), "a context variable holds it: `get_optimization` tells"),
    },
    ".necompiler": {
        **dict.fromkeys(("Dict", "Optional", "__future__", "numpy", "re", "sys", "threading", "weakref"), _IMPORTED),
        **dict.fromkeys(("Immediate", "Register", "assignBranchRegisters", "assignLeafRegisters"), _STEP),
        **dict.fromkeys(("collapseDuplicateSubtrees", "compileThreeAddrForm", "convertASTtoThreeAddrForm"), _STEP),
        **dict.fromkeys(("optimizeTemporariesAllocation", "setOrderedRegisterNumbers"), _STEP),
        **dict.fromkeys(("setRegisterNumbersForTemporaries", "sigPerms", "sortNodesByOrder"), _STEP),
        **dict.fromkeys(("_cache_last_kwargs", "_names_cache", "_numexpr_cache", "_numexpr_last"), _CACHE),
        **dict.fromkeys(("_resolve_last_kwargs", "evaluate_lock"), _CACHE),
        **dict.fromkeys(("_attr_pat", "_blacklist_re", "_dunder_pat", "_flow_pat"), _EVAL),
    },
    ".utils": {"subprocess": _IMPORTED},
}


@pytest.mark.parametrize("part", MODULES)
def test_names(part: str) -> None:
    # Either package has those modules for attributes that have been imported.
    for each in MODULES:
        for name in ("numexpr", "arrayexpr.adapters.numexpr"):
            importlib.import_module(f"{name}{each}")
    theirs, ours = (importlib.import_module(f"{name}{part}") for name in ("numexpr", "arrayexpr.adapters.numexpr"))
    missing = {name for name in dir(theirs) if not hasattr(ours, name)}
    assert missing == set(MISSING.get(part, ()))


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """Name, kind and default of each; what only ours have may only be given by name."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def signatures() -> list[tuple[str, str]]:
    found = []
    for part in MODULES:
        module = importlib.import_module(f"numexpr{part}")
        for name, value in vars(module).items():
            if inspect.isroutine(value) and name not in MISSING.get(part, ()) and not name.startswith("__"):
                found.append((part, name))
            elif (
                inspect.isclass(value) and value.__module__.startswith("numexpr") and name not in MISSING.get(part, ())
            ):
                methods = [each for each, method in vars(value).items() if inspect.isfunction(method)]
                found.extend((part, f"{name}.{each}") for each in methods if each == "__init__" or each[0] != "_")
    return found


def reached(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part)
    return module


@pytest.mark.parametrize(("part", "name"), signatures(), ids=lambda each: str(each))
def test_parameters(part: str, name: str) -> None:
    theirs, ours = (
        reached(importlib.import_module(f"{package}{part}"), name)
        for package in ("numexpr", "arrayexpr.adapters.numexpr")
    )
    try:
        wanted = parameters(theirs)
    except ValueError:
        # Of C, which tells no names.
        return
    assert [
        each for each in parameters(ours) if each[1] is not inspect.Parameter.KEYWORD_ONLY or each in wanted
    ] == wanted


def test_values() -> None:
    for part, name in ((".interpreter", "opcodes"), (".interpreter", "funccodes"), (".interpreter", "allaxes"),
                       (".interpreter", "maxdims"), ("", "__BLOCK_SIZE1__"), ("", "MAX_THREADS"), ("", "__version__"),
                       (".necompiler", "typecode_to_kind"), (".necompiler", "kind_to_typecode"),
                       (".necompiler", "type_to_typecode"), (".necompiler", "context_info"),
                       (".expressions", "kind_rank"), (".expressions", "default_kind")):  # fmt: skip
        theirs, ours = (
            getattr(importlib.import_module(f"{package}{part}"), name)
            for package in ("numexpr", "arrayexpr.adapters.numexpr")
        )
        assert ours == theirs, name
    assert set(numexpr.expressions.functions) == set(ne.expressions.functions)


COMPILED = [
    "a", "2*a + 3*b", "a*b + sin(a)*(a*b)", "where(p, f, -1)", "sum(a**2 + 2, axis=1)", "prod(a)", "i + l", "i + f",
    "p + i", "arctan2(f, i)", "(a > b) & p", "~p", "i // 3 + i % 2", "contains(s, b'x') | p", "s == b'x'", "c*2 + 1",
    "c.real + a", "isnan(a) | isinf(f)", "abs(i) + abs(c)", "sqrt(i)", "(a + 1)*(a - 1)*(a + 1)", "round(l)",
    "exp(f)*log1p(f)", "a**3.5", "f**5 + f**-2", "i << 2", "where(p, p, ~p)", "complex(a, f)", "max(f, axis=0)",
    "l**2 - i",
]  # fmt: skip
KINDS = {"a": "double", "b": "double", "f": "float", "i": "int", "l": "long", "p": "bool", "c": "complex", "s": "bytes"}


@pytest.mark.parametrize("text", COMPILED)
def test_bytecode(text: str) -> None:
    names = ne.necompiler.getExprNames(text, {})[0]
    signature = [(name, ne.expressions.kind_to_type[KINDS[name]]) for name in names]
    theirs, ours = numexpr.NumExpr(text, signature), ne.NumExpr(text, signature)
    for part in ("signature", "input_names", "constants", "constsig"):
        assert getattr(ours, part) == getattr(theirs, part), part
    # Which of several free registers is taken again is open in numexpr: it has them in a set.
    assert [line[0] for line in ne.disassemble(ours)] == [line[0] for line in numexpr.disassemble(theirs)]
    # Either runs the other's.
    made = numexpr.interpreter.NumExpr(ours.signature, ours.tempsig, ours.program, ours.constants, ours.input_names)
    again = ne.interpreter.NumExpr(
        theirs.signature, theirs.tempsig, theirs.program, theirs.constants, theirs.input_names
    )
    assert ne.disassemble(ne.interpreter.NumExpr(*[getattr(ours, part) for part in PARTS])) == ne.disassemble(ours)
    if "s" not in names:
        assert ne.disassemble(again) == ne.disassemble(ours)
    assert isinstance(ours, ne.interpreter.NumExpr) and made.fullsig == ours.fullsig


PARTS = ("signature", "tempsig", "program", "constants", "input_names")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((b"d", b"", b""), RuntimeError, "expected quadruples"),
        ((b"d", b"", b"\x56\x00\x01"), RuntimeError, "expected quadruples"),
        ((b"d", b"", b"\xfa\x00\x01\x01"), RuntimeError, "no operation has the code 250"),
        ((b"d", b"", b"\x00\x00\x01\x01"), RuntimeError, "no operation has the code 0"),
        ((b"d", b"", b"\x56\x00\x01\x07"), RuntimeError, "reads or calls 7"),
        ((b"d", b"", b"\x56\x02\x01\x01"), RuntimeError, "register 0"),
        ((b"q", b"", b"\x56\x00\x01\x01"), TypeError, "no kind's letter"),
        (("d", b"", b"\x56\x00\x01\x01"), TypeError, "expected bytes"),
        ((b"d", b"", b"\x56\x00\x01\x01", (None,)), TypeError, "unsupported object type"),
        ((b"d", b"", b"\x56\x00\x01\x01", (), ("a", "b")), ValueError, "2 input names"),
    ],
)
def test_programs_that_are_none(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ne.interpreter.NumExpr(*arguments)


def test_no_bytecode_of_what_numexpr_has_not() -> None:
    for text in ("logaddexp(a, 1)", "a[1:]", "sum(a, axis=(0, 1))"):
        compiled = ne.NumExpr(text)
        assert not hasattr(compiled, "program")
        with pytest.raises(AttributeError, match="numexpr has no bytecode"):
            ne.disassemble(compiled)
    many = ne.NumExpr(" + ".join(f"x{k}" for k in range(300)))
    assert not hasattr(many, "program")


def test_trees_as_pytables_asks_of_them() -> None:
    tree = ne.necompiler.stringToExpression("(a > 1) & b", {"b": bool}, {})
    typed = ne.necompiler.typeCompileAst(ne.necompiler.expressionToAST(tree))
    assert tree.astKind == "bool" and typed.value == b"and_bbb"
    assert [node.value for node in typed.allOf("variable")] == ["a", "b"]
    wrong = ne.necompiler.stringToExpression("a & b", {}, {})
    with pytest.raises(NotImplementedError, match="couldn't find matching opcode for 'and_ddd'"):
        ne.necompiler.typeCompileAst(ne.necompiler.expressionToAST(wrong))


def test_dictionaries_of_contexts() -> None:
    theirs, ours = numexpr.utils.ContextDict(), ne.utils.ContextDict()
    for names in (theirs, ours):
        names.set("a", 1, b=2)
        names["c"] = 3
        names.update({"d": 4}, e=5)
        del names["b"]
        names.update([("f", 6)])
        names.delete("missing")
    assert ours.all() == theirs.all() and repr(ours) == repr(theirs) and len(ours) == len(theirs)
    assert list(ours) == list(theirs) and "a" in ours and ours["missing"] is None and ours.get("b", 7) == 7
    assert (list(ours.keys()), list(ours.values()), list(ours.items())) == (
        list(theirs.keys()), list(theirs.values()), list(theirs.items()))  # fmt: skip
    ours.clear()
    assert not len(ours)


def test_the_processor() -> None:
    from arrayexpr.adapters.numexpr.cpuinfo import cpu

    assert cpu.is_64bit() is not cpu.is_32bit()
    assert cpu.is_blaa() is None and cpu.getNCPUs() == len(cpu.info)


def test_their_own_tests_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import arrayexpr.adapters.numexpr.tests  # noqa: F401

    ran: list[Any] = []

    class Module(types.ModuleType):
        def test(self, verbosity: int) -> str:
            import numexpr

            ran.append((numexpr is ne, verbosity))
            return "result"

    monkeypatch.setattr("importlib.util.module_from_spec", lambda spec: Module(spec.name))
    monkeypatch.setattr("importlib.machinery.SourceFileLoader.exec_module", lambda self, module: None)
    assert ne.test(verbosity=2) == "result" and ran == [(True, 2)]
    monkeypatch.setattr("importlib.machinery.PathFinder.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="could not be imported"):
        ne.test()
