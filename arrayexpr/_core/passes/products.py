"""Matrix products become statements of their own, of operands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..affine import integer
from ..nodes import Apply, Assign, Contract, For, Guard, Node, Operand, Scratch, postorder, substitute
from ..ops import operator
from ..program import Program
from .elements import as_assign, base_of, extents_along, extents_of, longest
from .joint import Path
from .nests import add_scratch_lengths, enclosed, names_lasting, scratch_lengths, scratch_type, untaken, with_body
from .requirements import unshared

_EQUAL, _OR = operator("equal"), operator("logical_or")


def products(program: Program) -> Program:
    """Assign every matrix product to scratch, with what it multiplies, and leave the rest to loops.

                                         t = scratch(float64['C', :, :], a.shape[0], b.shape[1])
        r[...] = maximum(a @ b, 0.0)  →  t[...] = a @ b
                                         r[...] = maximum(t, 0.0)

    A statement that is a product of operands or views of them, and assigns none of those, is left as it is: emitters
    have a form for that.

    Keeps: every value.
    Requires: the axes that are multiplied are of one length, those before the matrices' own too, or 1:
    `Program.requires` says so.
    """
    if not any(isinstance(node, Contract) for node in program.nodes()):
        return program
    taken = names_lasting(program)
    new: dict[Node, Node] = {}
    requires = dict.fromkeys(program.requires)
    lengths = scratch_lengths(enclosed(program.statements))

    def block(given: Sequence[Node], path: Path) -> list[Node]:
        statements: list[Node] = []
        for statement in map(as_assign, given):
            found: dict[Node, None] = {}
            if isinstance(statement, Guard):
                then, otherwise = path.branches(statement.condition)
                branches = block(statement.then, then), block(statement.otherwise, otherwise)
                statements.append(Guard(statement.condition, *map(tuple, branches)))
            elif type(statement) is For:
                statements.append(with_body(statement, block(statement.body, path.within(statement))))
            elif isinstance(statement, Assign):
                made = _apart(statement, taken, found)
                new[statement] = made[-1]
                statements.extend(made)
                add_scratch_lengths(lengths, made)
            else:
                statements.append(statement)
            requires.update(dict.fromkeys(map(path.required, substitute(found, lengths.get))))
        return statements

    made = block(program.statements, Path())
    return program.rewritten(made, new).replace(requires=tuple(requires))


def _apart(statement: Assign, taken: set[str], requires: dict[Node, None]) -> list[Node]:
    """A statement after those that assign the products in it to scratch."""
    statements: list[Node] = []
    value = statement.value
    while True:
        found = next((n for n in postorder((value,)) if isinstance(n, Contract) and not _is_whole(n, value)), None)
        if found is None:
            break
        made: dict[Node, Node] = {}
        for node in (found.left, found.right, found):
            # Of what is multiplied, what is no operand is computed first.
            if node is found or not isinstance(base_of(node), Operand):
                product = substitute((node,), made.get)[0]
                scratch = _scratch(product, taken)
                made[node] = scratch.operand
                statements += [scratch, Assign(scratch.operand, product)]
                if isinstance(product, Contract):
                    requires.update(dict.fromkeys(_fitting(product, None)))
        value = substitute((value,), made.get)[0]
    last = Assign(statement.target, value)
    if is_product(last) and base_of(statement.target) in postorder((value,)):
        # It reads what it assigns.
        scratch = _scratch(value, taken)
        statements += [scratch, Assign(scratch.operand, value)]
        requires.update(dict.fromkeys(_fitting(value, statement.target)))
        last = Assign(statement.target, scratch.operand)
    elif is_product(last):
        requires.update(dict.fromkeys(_fitting(value, statement.target)))
        assert isinstance(value, Contract)
        for part in (value.left, value.right):
            requires.update(dict.fromkeys(unshared(base_of(statement.target), base_of(part))))
    return [*statements, last]


def is_product(statement: Node) -> bool:
    """Whether a statement assigns the matrix product of operands, or of views of them."""
    return isinstance(statement, Assign) and _is_whole(statement.value, statement.value)


def _is_whole(node: Node, value: Node) -> bool:
    return (
        node is value
        and isinstance(node, Contract)
        and all(isinstance(base_of(part), Operand) for part in (node.left, node.right))
    )


def _scratch(value: Node, taken: set[str]) -> Scratch:
    name = untaken("t", taken)
    taken.add(name)
    t, lengths = value.type, lengths_of(value)
    return Scratch(Operand(name, scratch_type(t.element, lengths)), lengths)


def lengths_of(value: Node) -> tuple[Node, ...]:
    """The length of each axis of a value."""
    if not isinstance(value, Contract):
        return tuple(longest(extents_along(value, k)) for k in range(value.type.rank))
    left, right = lengths_of(value.left), lengths_of(value.right)
    batch = []
    for k in range(max(len(left), len(right)) - 2, 0, -1):
        own = [x[len(x) - 2 - k] for x in (left, right) if len(x) >= 2 + k]
        batch.append(longest(own))
    return (*batch, *left[-2:-1], *(right[-1:] if len(right) > 1 else ()))


def _fitting(product: Node, target: Node | None) -> Iterator[Node]:
    """That the shapes of a product and of what it is assigned to fit; scratch fits."""
    assert isinstance(product, Contract)
    left, right = lengths_of(product.left), lengths_of(product.right)
    yield from _same(left[-1], right[-2] if len(right) > 1 else right[0])
    whole = lengths_of(product)
    for length, own in zip(extents_of(target), whole, strict=True) if target is not None else ():
        yield from _same(own, length)
    matrix = (len(left) > 1) + (len(right) > 1)
    for part in (left, right):
        for k in range(3, len(part) + 1):
            for same in _same(part[-k], whole[-(k - 2) - matrix]):
                yield Apply(_OR, (Apply(_EQUAL, (part[-k], integer(1))), same))


def _same(x: Node, y: Node) -> Iterator[Node]:
    if x is not y:
        yield Apply(_EQUAL, (x, y))
