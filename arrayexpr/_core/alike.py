"""Statements that are alike but for the names of operands and for numbers: one of them is scheduled for all.

>>> from arrayexpr._core.parser import parse
>>> program = parse(
...     "def f(a: float64[:], b: float64[:], *, r: float64[:], s: float64[:]):\\n"
...     "    r[...] = a * 2.0 + b\\n    s[...] = b * 3.0 + a\\n"
... )
>>> len({form_of(statement)[0] for statement in program.statements})
1
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from .infer import RAISES, effects
from .nodes import Apply, Assign, Constant, Extent, For, Index, Node, Operand, Scratch, postorder, substitute
from .passes.nests import Names, enclosed, is_constant, names_lasting, scratch_lengths, untaken
from .passes.requirements import of_scratch
from .passes.versions import SIZE, weight
from .program import Program

#: With more than half of the statements of forms of their own no time is saved.
_FEW: Final = 2
#: Operators that cost the same whatever number is an operand.
_PLAIN: Final = frozenset(("add", "subtract", "multiply", "true_divide", "minimum", "maximum"))
_NUMBERS: Final = 512
_WORD: Final = re.compile(r"\w+")
_OPERAND: Final = re.compile(r"operand\d+_")

#: Runs passes, by name, on a program, with options.
Run = Callable[..., Program]


def form_of(statement: Node) -> tuple[Node, dict[Node, Node]]:
    """A statement with operands named, and numbers chosen, by where they stand; and what each of those stands for."""
    new: dict[Node, Node] = {}
    numbers: dict[Node, None] = {}
    others: set[Node] = set()
    for node in postorder((statement,)):
        if isinstance(node, Operand):
            new[node] = Operand(f"operand{len(new)}_", node.type)
            continue
        for arg in node.args:
            if isinstance(arg, Constant):
                if (
                    isinstance(node, Apply)
                    and node.op.name in _PLAIN
                    and arg.type.element.name in ("float32", "float64")
                ):
                    numbers[arg] = None
                else:
                    others.add(arg)
    chosen = [number for number in numbers if number not in others]
    made = {number: Constant(1.0 + (k + 1) / 1024, number.type.element) for k, number in enumerate(chosen)}
    if len(made) <= _NUMBERS and others.isdisjoint(made.values()):
        new.update(made)
    return substitute((statement,), new.get)[0], {now: before for before, now in new.items()}


class _Form:
    """What passes made of a form: its statements, what they take for granted, and what is declared in them."""

    def __init__(self, form: Node, program: Program):
        operands = [node for node in postorder((form,)) if isinstance(node, Operand)]
        self.program = Program(program.name, operands, (form,), target=program.target)
        #: What each pass took for granted.
        self.requires: list[tuple[Node, ...]] = []
        #: Indices and scratch, and whether no other scratch of the program may have the name.
        self.inner: dict[Operand | Index, bool] = {}

    def run(self, run: Run, names: Iterable[str], **options: int) -> None:
        """Run passes."""
        for name in names:
            before = self.program
            self.program = run(before, (name,), **options)
            self.requires.append(self.program.requires)
            self.program = self.program.replace(requires=())

    def finish(self) -> None:
        """Find what is declared."""
        top = set(self.program.statements)
        for statement in enclosed(self.program.statements):
            if isinstance(statement, Scratch):
                alone = statement in top or not is_constant(statement)
                self.inner[statement.operand] = alone or self.inner.get(statement.operand, False)
            elif isinstance(statement, For):
                self.inner[statement.index] = False


def scheduled(program: Program, names: Sequence[str], run: Run) -> Program | None:
    """The program after passes, by `run`, on one statement of each form; None where that saves no time.

    The passes are those from `sweep` on, which look at one statement of the top at a time.
    """
    if program.locals or program.layouts or program.origins:
        return None
    given: list[tuple[Node, dict[Node, Node]] | None] = []
    known: dict[Node, tuple[Node, dict[Node, Node]]] = {}
    forms: dict[Node, _Form] = {}
    most = sum(isinstance(statement, Assign) for statement in program.statements) // _FEW
    for statement in program.statements:
        if isinstance(statement, Scratch):
            given.append(None)
            continue
        if not isinstance(statement, Assign) or effects(statement) & ~RAISES:
            return None
        if statement not in known:
            known[statement] = form, _ = form_of(statement)
            if form not in forms:
                forms[form] = _Form(form, program)
                if len(forms) > most:
                    return None
        given.append(known[statement])
    choice = names.index("versions")
    for made in forms.values():
        made.run(run, names[:choice])
    # How many versions a nest has hangs on all of them.
    large = sum(weight(forms[each[0]].program) for each in given if each is not None) > SIZE
    for made in forms.values():
        made.run(run, names[choice : choice + 1], size=-1 if large else SIZE)
        made.run(run, names[choice + 1 :])
        made.finish()
    return _Instances(program, len(names)).program(given, forms)


class _Instances:
    """Puts what stands in each statement in the place of what stands in its form."""

    def __init__(self, program: Program, passes: int):
        self.given = program
        self.taken = names_lasting(program)
        self.lengths = scratch_lengths(program.statements)
        self.scratch = {s.operand for s in program.statements if isinstance(s, Scratch)}
        self.statements: list[Node] = []
        self.requires: list[dict[Node, None]] = [{} for _ in range(passes)]
        self.remarks: dict[str, None] = {}

    def program(self, given: Sequence[tuple[Node, dict[Node, Node]] | None], forms: dict[Node, _Form]) -> Program:
        """The program of all statements."""
        done: dict[Node, Sequence[Node]] = {}
        for statement, each in zip(self.given.statements, given, strict=True):
            if each is None:
                self.statements.append(statement)
                continue
            found = done.get(statement)
            if found is None:
                form = forms[each[0]]
                found = self.instance(form, each[1])
                if not any(form.inner.values()):
                    done[statement] = found
            self.statements.extend(found)
        requires = dict.fromkeys(self.given.requires)
        for conditions in self.requires:
            requires.update(conditions)
        made = self.given.rewritten(self.statements, {}).replace(requires=tuple(requires))
        return made.remarked(self.remarks)

    def instance(self, form: _Form, stands: dict[Node, Node]) -> Sequence[Node]:
        """The statements of one that is of a form."""
        for found, conditions in zip(self.requires, form.requires, strict=True):
            if conditions:
                found.update(dict.fromkeys(of_scratch(substitute(conditions, stands.get), self.lengths)))
        new = dict(stands)
        for node, before in stands.items():
            if before in self.scratch:
                for axis in range(node.type.rank):
                    new[Extent(node, axis)] = self.lengths[Extent(before, axis)]
        names = Names(self.taken)
        for inner, alone in form.inner.items():
            name = _OPERAND.sub(lambda found: _named(found[0], stands), inner.name)
            if alone or name in names:
                name = untaken(name, names)
            names.add(name)
            if alone:
                self.taken.add(name)
            if name != inner.name:
                new[inner] = Operand(name, inner.type) if isinstance(inner, Operand) else Index(name)
        if form.program.remarks:
            called = {before.key: now.key for before, now in new.items() if isinstance(before, Operand | Index)}
            for remark in form.program.remarks:
                self.remarks[_WORD.sub(lambda found: called.get(found[0], found[0]), remark)] = None
        return substitute(form.program.statements, new.get)


def _named(name: str, stands: dict[Node, Node]) -> str:
    """What the operand of a form is called in a statement."""
    return next(x.name for node, x in stands.items() if isinstance(x, Operand) and node.key == name)
