"""Writes the pages of the reference that come from the code: `make docs`."""

from __future__ import annotations

import inspect
from pathlib import Path

import arrayexpr
from arrayexpr._core.ops import Element, Law, Operator, operators

REFERENCE = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- Written by docs/generate.py: edit the code it comes from, and run `make docs`. -->"


def pages() -> dict[Path, str]:
    """The text of each generated page, by its path."""
    return {REFERENCE / "operators.md": operator_page(), REFERENCE / "api.md": api_page()}


# -- Operators ----------------------------------------------------------------------------------

KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}


def operator_page() -> str:
    lines = [
        "# The operators",
        "",
        NOTE,
        "",
        "Every row of the table in `arrayexpr/_core/ops.py`. The signature gives a letter per operand and one for",
        "the result: `T` the operands' common type, `R` the real type of its parts, `B` bool, `I` int64, `N` int32,",
        "`U` uint8. Operators with a symbol print with it. *Raises* names the kinds that may raise, *vector math*",
        "those whose result is within 4 ulp and not equal bit for bit. Laws hold for the kinds that stand with them;",
        "`fast` ones up to rounding.",
        "",
        "| operator | symbol | signature | kinds | vector math | raises | laws |",
        "|---|---|---|---|---|---|---|",
    ]
    for op in operators():
        symbol = f"`{op.symbol.strip()}`".replace("|", "\\|") if op.symbol else ""
        cells = (
            f"`{op.name}`",
            symbol,
            f"`{op.signature}`",
            kinds(op.kinds),
            kinds(op.vector_math),
            kinds(op.may_raise),
        )
        lines.append(f"| {' | '.join((*cells, laws(op)))} |")
    reductions = ", ".join(f"`{op.name}`" for op in operators() if op.reduction)
    lines += ["", f"These may stand in `reduce`: {reductions}.", ""]
    return "\n".join(lines)


def kinds(letters: str) -> str:
    return "all" if set(letters) == set(KINDS) else ", ".join(KINDS[letter] for letter in letters)


def laws(op: Operator) -> str:
    found = []
    named = {
        "commutes": op.commutes,
        "associates": op.associates,
        "idempotent": op.idempotent,
        "involution": op.involution,
    }
    for name, law in named.items():
        if law.exact or law.fast:
            found.append(f"{name} ({held(law)})")
    for word, elements in (("unit", op.units), ("zero", op.zeros)):
        found += [f"{word} {shown(each)} ({held(each.law)})" for each in elements if each.law.exact or each.law.fast]
    return "; ".join(found)


def held(law: Law) -> str:
    parts = [kinds(law.exact)] if law.exact else []
    # What holds bit for bit holds up to rounding.
    fast = "".join(kind for kind in law.fast if kind not in law.exact)
    return ", ".join(parts + ([f"fast: {kinds(fast)}"] if fast else []))


def shown(element: Element) -> str:
    return f"{element.value:g}" if isinstance(element.value, float) else str(element.value)


# -- Public names -------------------------------------------------------------------------------


def api_page() -> str:
    lines = [
        "# Public names",
        "",
        NOTE,
        "",
        "All are in `arrayexpr`; `help(arrayexpr.kernel)` and so on show examples.",
        "",
    ]
    functions = [name for name in arrayexpr.__all__ if inspect.isfunction(getattr(arrayexpr, name))]
    classes = [name for name in arrayexpr.__all__ if name not in functions]
    errors = [name for name in classes if issubclass(getattr(arrayexpr, name), (Exception, Warning))]
    for heading, names in (
        ("Functions", functions),
        ("Classes", [name for name in classes if name not in errors]),
        ("Errors and warnings", errors),
    ):
        lines += [f"## {heading}", "", "| | |", "|---|---|"]
        lines += [f"| `{name}{signature(name)}` | {summary(name)} |" for name in sorted(names)]
        lines.append("")
    return "\n".join(lines)


def signature(name: str) -> str:
    value = getattr(arrayexpr, name)
    if not inspect.isfunction(value):
        return ""
    parts = []
    star = False
    for p in inspect.signature(value).parameters.values():
        if p.kind is p.KEYWORD_ONLY and not star:
            star = True
            parts.append("*")
        star = star or p.kind is p.VAR_POSITIONAL
        prefix = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        parts.append(prefix + p.name + ("" if p.default is p.empty else f"={p.default!r}"))
    return f"({', '.join(parts)})"


def summary(name: str) -> str:
    """The first paragraph of a docstring, on one line."""
    paragraph = (inspect.getdoc(getattr(arrayexpr, name)) or "").split("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", "\\|")


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.name)
