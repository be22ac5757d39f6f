"""A program: named operands, statements, results. It is what every pass takes and gives back."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .errors import VerifyError
from .nodes import Barrier, Guard, Node, Operand, View, postorder

if TYPE_CHECKING:
    from ..target import Target
    from .assumption import Assumption
    from .layout import Layout


class Program:
    """Operands, statements and results, with what is known about them; never changed, only replaced.

    `operands` are given by the caller, in order, and may be assigned to in place. `results` are the
    operands that the program makes: the caller gets them back, and may supply their storage. `locals`
    are operands that the program makes for itself: the first statement that touches one assigns it as
    a whole, which gives it its shape, and nobody outside sees it.
    `remarks` are what passes have to say to a reader, such as why a loop is no vector loop.
    `layouts` holds the numbers known of operands in memory, `target` the machine to schedule for.
    `requires` are conditions on lengths and memory that a pass has taken for granted and that the tree no
    longer shows, such as that two operands are of one shape: an emitter that checks tests them. One that is
    to hold in every iteration of a loop is a statement: the loop around `Guard(condition, (Barrier(),), ())`.
    `assumption` is what was taken for granted of the caller's memory, and the program that holds without: who runs
    a program tests it.
    `hosts` maps the name of an `Opaque` to the host's Python function, for `interpret`.

    `origins` maps a node to what the host attached to it. Nodes are shared by all programs of a
    process, so an origin belongs to the program and not to the node: two hosts that build the same
    `a + b` do not see one another's positions.

    A program is pickled as its text, with all that the text leaves out. Only hosts and origins that pickle
    refuses, such as a lambda, stay behind, and origins of nodes that are no longer in the program. A copy
    is the program itself.

    >>> from arrayexpr._core.parser import parse
    >>> program = parse("def axpy(a: float64[:], x: float64[:], *, y: float64[:]):\\n    y[...] = a * x + 1.0\\n")
    >>> [operand.name for operand in program.operands], [operand.name for operand in program.results]
    (['a', 'x'], ['y'])
    """

    __slots__ = (
        "name", "operands", "statements", "results", "locals", "origins", "hosts", "layouts", "target", "remarks",
        "requires", "assumption",
        "__weakref__",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        operands: Iterable[Operand],
        statements: Iterable[Node],
        results: Iterable[Operand] = (),
        *,
        locals: Iterable[Operand] = (),
        origins: Mapping[Node, tuple[Any, ...]] | None = None,
        hosts: Mapping[str, Callable[..., Any]] | None = None,
        layouts: Mapping[str, Layout] | None = None,
        target: Target | None = None,
        remarks: Iterable[str] = (),
        requires: Iterable[Node] = (),
        assumption: Assumption | None = None,
    ):
        self.name = name
        self.operands = tuple(operands)
        self.statements = tuple(statements)
        self.results = tuple(results)
        self.locals = tuple(locals)
        self.origins: Mapping[Node, tuple[Any, ...]] = dict(origins or {})
        self.hosts: Mapping[str, Callable[..., Any]] = dict(hosts or {})
        self.layouts: Mapping[str, Layout] = dict(layouts or {})
        self.target = target
        self.remarks = tuple(remarks)
        self.requires = tuple(requires)
        self.assumption = assumption

    def replace(self, **fields: Any) -> Program:
        """The same program with some fields changed; the program itself where none differ."""
        if all(getattr(self, name) == value for name, value in fields.items()):
            return self
        kept = {name: getattr(self, name) for name in Program.__slots__ if name != "__weakref__"}
        return Program(**(kept | fields))

    def rewritten(self, statements: Iterable[Node], new: Mapping[Node, Node]) -> Program:
        """The program after a pass: other statements, and every origin carried to what replaced its node.

        `new` maps old nodes to what they became; where several become one, their origins merge.
        """
        statements = tuple(statements)
        if statements == self.statements:
            return self
        origins: dict[Node, tuple[Any, ...]] = {}
        for node, attached in self.origins.items():
            node = new.get(node, node)
            before = origins.get(node, ())
            origins[node] = before + tuple(o for o in attached if not any(o is b for b in before))
        return self.replace(statements=statements, origins=origins)

    def remarked(self, remarks: Iterable[str]) -> Program:
        """The program with more remarks, each once."""
        return self.replace(remarks=tuple(dict.fromkeys((*self.remarks, *remarks))))

    def origin(self, node: Node) -> tuple[Any, ...]:
        """What the host attached to a node, or to the nodes that became it."""
        return self.origins.get(node, ())

    @property
    def declared(self) -> tuple[Operand, ...]:
        """Every operand by name: those given, then the results, then the program's own."""
        return self.operands + self.results + self.locals

    def operand(self, name: str) -> Operand:
        """The operand, result or local of that name."""
        for operand in self.declared:
            if operand.name == name:
                return operand
        names = ", ".join(o.name for o in self.declared) or "none"
        raise VerifyError(f"program {self.name} has no operand {name!r}: it has {names}")

    def nodes(self) -> list[Node]:
        """Every node of the statements once, bodies of functions included, children before parents."""
        return list(postorder(self.statements, True))

    def __str__(self) -> str:
        from .printer import print_program

        return print_program(self)

    def __repr__(self) -> str:
        return f"<Program {self.name}: {len(self.declared)} operands, {len(self.statements)} statements>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Program):
            return NotImplemented
        return (self.name, self.operands, self.statements, self.results, self.locals, self.layouts) == (
            other.name,
            other.operands,
            other.statements,
            other.results,
            other.locals,
            other.layouts,
        )

    def __hash__(self) -> int:
        return hash((self.name, self.operands, self.statements, self.results, self.locals))

    def __copy__(self) -> Program:
        return self

    def __deepcopy__(self, memo: Any) -> Program:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Nodes are not pickled one by one, which would recurse as deep as the tree: conditions go as a text too,
        # and origins by the places of their nodes.
        conditions = str(_conditions(self.requires)) if self.requires else ""
        places = {node: k for k, node in enumerate(self._known())} if self.origins else {}
        origins = {places[node]: attached for node, attached in self.origins.items() if node in places}
        fields: dict[str, Any] = {"target": self.target, "remarks": self.remarks, "hosts": _picklable(self.hosts)}
        if self.assumption is not None:
            fields["assumption"] = self.assumption
        return _restored, (str(self), fields, conditions, _picklable(origins))

    def _known(self) -> Iterable[Node]:
        """Every node that an origin may be asked of, in the same order in every process."""
        return postorder((*self.declared, *self.requires, *self.statements), True)


def _conditions(requires: tuple[Node, ...]) -> Program:
    """A program that tests conditions, which as such have no text; those in loops and guards are statements."""
    operands = [node for node in postorder(requires) if isinstance(node, Operand)]
    statements = [c if c.type is None else Guard(c, (Barrier(),), ()) for c in requires]
    return Program("requires", operands, statements)


def _picklable(entries: Mapping[Any, Any]) -> dict[Any, Any]:
    """The entries that pickle takes: all at a time, or else one by one."""
    if _is_picklable(entries):
        return dict(entries)
    return {key: value for key, value in entries.items() if _is_picklable(value)}


def _is_picklable(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:
        # What a host's own object raises is anything.
        return False
    return True


def _restored(text: str, fields: Mapping[str, Any], conditions: str, origins: Mapping[int, tuple[Any, ...]]) -> Program:
    """A program of what `Program.__reduce__` made of it."""
    from .parser import parse

    tests = parse(conditions).statements if conditions else ()
    plain = (Barrier(),)
    requires = tuple(t.condition if isinstance(t, Guard) and t.then == plain else t for t in tests)
    program = parse(text).replace(**fields, requires=requires)
    if not origins:
        return program
    nodes = list(program._known())
    return program.replace(origins={nodes[place]: attached for place, attached in origins.items()})


def assigned_operand(target: Node) -> Operand:
    """The operand that the target of an assignment is, or looks at."""
    while isinstance(target, View):
        target = target.arg
    assert isinstance(target, Operand)
    return target
