"""Perfect loop nests: finding them, how their accesses move in memory, building them anew."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

from ..affine import coefficients, depends, difference, injective, linear
from ..nodes import (
    EFFECTS,
    Apply,
    Call,
    Cast,
    Constant,
    Extent,
    For,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Opaque,
    Operand,
    Scratch,
    Store,
    Stride,
    postorder,
    substitute,
)
from ..ops import operator
from ..program import Program
from ..record import made, record, replace
from ..types import APART, BROADCAST, FALLING, INT64, STRIDED, UNIT, ArrayType, ElementType

_EQUAL = operator("equal")
_AND = operator("logical_and")
_OR = operator("logical_or")
#: Underscores after a name at the most, before numbers.
_UNDERSCORES = 4


@record
class Nest:
    """Loops, outermost first, each the whole body of the one before, and the innermost body.

    `facts` is what the guards around it tell: see `facts_of`.
    """

    loops: tuple[Loop, ...]
    body: tuple[Node, ...]
    facts: Mapping[Node, int] = made(default_factory=dict)

    @functools.cached_property
    def accesses(self) -> list[Load | Store]:
        """Every load and store of the body, loads first."""
        found = [n for n in postorder(self.body) if isinstance(n, Load | Store)]
        return [n for n in found if isinstance(n, Load)] + [n for n in found if isinstance(n, Store)]

    def rebuilt(self, order: Sequence[int]) -> Node:
        """The nest with its loops in another order."""
        body = self.body
        for k in reversed(order):
            old = self.loops[k]
            body = (Loop(old.index, old.start, old.stop, old.step, old.role, body),)
        return body[0]


def independent(nest: Nest) -> bool:
    """Whether the iterations of a nest may run in any order: each stores elements of its own, and reads no others of
    what is stored. Those of a loop that reduces may by its role."""
    indices = [loop.index for loop in nest.loops]
    own = [loop.index for loop in nest.loops if loop.role != "reduce"]
    places: dict[Operand, tuple[Node, ...]] = {}
    for access in reversed(nest.accesses):
        if isinstance(access, Store) or access.operand in places:
            wanted = places.setdefault(access.operand, access.subscripts)
            if wanted != access.subscripts and (isinstance(access, Store) or not _apart(access, wanted, indices)):
                return False
    return all(
        any(_only(subscript, index, indices) for subscript in subscripts)
        for subscripts in places.values()
        for index in own
    )


def shared_out(loop: Loop) -> bool:
    """Whether the iterations of a loop may run at once: each stores elements of its own, and reads no others of
    what is stored."""
    loops = [s for s in enclosed((loop,)) if isinstance(s, For)]
    varying = [inner.index for inner in loops]
    # The indices that are another one in every iteration: the loop's own, and one that runs over its block.
    own = [loop.index, *(inner.index for inner in loops if inner.start is loop.index)]
    private = {s.operand for s in enclosed(loop.body) if isinstance(s, Scratch)}
    accesses: dict[Operand, list[Load | Store]] = {}
    for node in postorder(loop.body):
        if isinstance(node, Load | Store) and node.operand not in private:
            accesses.setdefault(node.operand, []).append(node)
    for operand, nodes in accesses.items():
        if not any(isinstance(node, Store) for node in nodes):
            continue
        axes = [k for k in range(operand.type.rank) if len({node.subscripts[k] for node in nodes}) == 1]
        if not any(_only(nodes[0].subscripts[k], index, varying) for k in axes for index in own):
            return False
    return True


def refusal(loop: Loop) -> str | None:
    """Why the iterations of an innermost loop may not run side by side; None where they may."""
    stored: dict[Operand, tuple[Node, ...]] = {}
    nodes = postorder(loop.body)
    for node in nodes:
        if isinstance(node, EFFECTS):
            return f"{type(node).__name__} pins its order"
        if isinstance(node, Opaque):
            return f"the host's function {node.name} has no vector form"
        if isinstance(node, Cast) and node.type.element.kind == "V":
            return f"{node.type.element} is the host's type"
        if isinstance(node, Store):
            if stored.setdefault(node.operand, node.subscripts) != node.subscripts:
                return f"{node.operand.name} is stored at two places"
            if not any(injective(subscript, loop.index) for subscript in node.subscripts):
                return f"iterations may store the same element of {node.operand.name}"
    for node in nodes:
        wanted = stored.get(node.operand, node.subscripts) if isinstance(node, Load) else ()
        if isinstance(node, Load) and wanted != node.subscripts and not _apart(node, wanted, (loop.index,)):
            return f"{node.operand.name} is stored and loaded at different elements"
    return None


def _apart(load: Load, stored: Sequence[Node], indices: Sequence[Index]) -> bool:
    """Whether no iteration of loops loads what one stores: along an axis they stay at places that differ."""
    return any(
        not any(depends(place, index) for place in (one, other) for index in indices) and difference(one, other)
        for one, other in zip(load.subscripts, stored, strict=True)
    )


def _only(subscript: Node, index: Index, indices: Sequence[Index]) -> bool:
    """Whether a subscript is another one for every value of an index, and reads no other of the indices."""
    return injective(subscript, index) and not any(depends(subscript, other) for other in indices if other is not index)


def nest_of(loop: Loop) -> Nest:
    """The deepest perfect nest that starts at a loop."""
    loops = [loop]
    body = loop.body
    while len(body) == 1 and type(body[0]) is Loop:
        loops.append(body[0])
        body = body[0].body
    return Nest(tuple(loops), body)


def map_nests(program: Program, change: Callable[[Nest], Node]) -> Program:
    """Replace every outermost loop of a schedule by what `change` makes of its nest."""
    new: dict[Node, Node] = {}

    def visit(statement: Node, facts: Mapping[Node, int]) -> Node:
        if type(statement) is Loop:
            new[statement] = change(replace(nest_of(statement), facts=facts))
            return new[statement]
        if isinstance(statement, Guard):
            told = {**facts, **facts_of(statement.condition)}
            then = tuple(visit(s, told) for s in statement.then)
            return Guard(statement.condition, then, tuple(visit(s, facts) for s in statement.otherwise))
        if type(statement) is For:
            new[statement] = with_body(statement, [visit(s, facts) for s in statement.body])
            return new[statement]
        return statement

    return program.rewritten([visit(s, {}) for s in program.statements], new)


def with_body(loop: For, body: Iterable[Node]) -> For:
    """A loop that stays, around another body; itself where that is the same."""
    body = tuple(body)
    return loop if body == loop.body else For(loop.index, loop.start, loop.stop, loop.step, body)


def facts_of(condition: Node) -> dict[Node, int]:
    """What holds where a condition does: the values of strides that it tests, and 1 for each of its alternatives."""
    match condition:
        case Apply(op, (x, y)) if op is _AND:
            return {**facts_of(x), **facts_of(y)}
        case Apply(op, (Stride() as stride, Constant(value))) if op is _EQUAL:
            return {stride: value}
        case Apply(op, _) if op is _OR:
            return {condition: 1}
    return {}


def untaken(name: str, taken: Container[str]) -> str:
    """The name, with underscores after it where it is taken, and a number too where some of those are.

    >>> untaken("i", {"i", "i_"})
    'i__'
    >>> untaken("i", {"i" + "_" * k for k in range(5)})
    'i____1'
    """
    for _ in range(_UNDERSCORES):
        if name not in taken:
            return name
        name += "_"
    if name not in taken:
        return name
    # The numbers so far are taken, as those of thousands of statements are: by bisection.
    least = most = 1
    while f"{name}{most}" in taken:
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        if f"{name}{middle}" in taken:
            least = middle
        else:
            most = middle
    return f"{name}{most}"


class Names:
    """Names taken beside others, which stay as they are."""

    def __init__(self, others: Container[str]):
        self.others = others
        self.own: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.others

    def add(self, name: str) -> None:
        """Take one more."""
        self.own.add(name)

    def update(self, names: Iterable[str]) -> None:
        """Take some more."""
        self.own.update(names)


def names_taken(program: Program) -> set[str]:
    """The names of operands, of scratch, and of the indices of loops."""
    indices = {statement.index.name for statement in enclosed(program.statements) if type(statement) is Loop}
    return names_lasting(program) | indices


def names_lasting(program: Program) -> set[str]:
    """The names of operands, of scratch, and of the indices of loops that stay: new nests are among those."""
    taken = {operand.name for operand in program.declared}
    for statement in enclosed(program.statements):
        if type(statement) is For:
            taken.add(statement.index.name)
        elif isinstance(statement, Scratch):
            taken.add(statement.operand.name)
    return taken


def extents_known(program: Program) -> dict[Node, int]:
    """The value of each `Extent` and `Stride` that the layouts tell."""
    known: dict[Node, int] = {}
    for operand in program.declared:
        layout = program.layouts.get(operand.name)
        if layout is not None:
            for axis, (length, stride) in enumerate(zip(layout.shape, layout.strides, strict=True)):
                known[Extent(operand, axis)] = length
                known[Stride(operand, axis)] = 0 if length == 1 else stride
    return known


def byte_strides(operand: Operand, program: Program) -> tuple[int | None, ...]:
    """Bytes between neighbours along each axis, as far as layouts and types tell.

    An axis of length 1 broadcasts: it counts as stride 0.
    """
    layout = program.layouts.get(operand.name)
    if layout is not None:
        return tuple(0 if n == 1 else s for n, s in zip(layout.shape, layout.strides, strict=True))
    size = operand.type.element.itemsize
    return tuple(size * APART[fact] if fact in APART else None for fact in operand.type.layout)


def memory_order(operand: Operand) -> list[int]:
    """The axes of scratch from the outermost in memory to the innermost: as they are, the one of its type's last."""
    axes = list(range(operand.type.rank))
    if UNIT in operand.type.layout:
        axes.append(axes.pop(operand.type.layout.index(UNIT)))
    return axes


def movement(access: Load | Store, index: Index, program: Program, known: Mapping[Node, int]) -> int | None:
    """How many bytes an access moves when a loop takes one step; None where that is not known."""
    total = 0
    strides = byte_strides(access.operand, program)
    for axis, (subscript, stride) in enumerate(zip(access.subscripts, strides, strict=True)):
        factor = factor_of(subscript, index, known)
        if factor is None:
            return None
        if factor:
            if stride is None:
                stride = known.get(Stride(access.operand, axis))
            if stride is None:
                return None
            total += factor * stride
    return total


def factor_of(subscript: Node, index: Index, known: Mapping[Node, int]) -> int | None:
    """By how much a subscript rises with an index; None where that is not known."""
    form = coefficients(subscript, known)
    if form is not None:
        return form[1].get(index, 0)
    # Lengths and scalars beside the index do not move with it.
    if not depends(subscript, index):
        return 0
    symbols = linear(subscript, known)
    return None if symbols is None else symbols.get(index, 0)


def unit_condition(
    accesses: Sequence[Load | Store], index: Index, program: Program, known: Mapping[Node, int] | None = None
) -> Node | None:
    """The test that every access whose stride along a loop is unknown moves by one element; None if none is."""
    tests: dict[Node, None] = {}
    for access in accesses:
        strides = byte_strides(access.operand, program)
        if UNIT in access.operand.type.layout or FALLING in access.operand.type.layout:
            # It is contiguous along another axis, and so not along this one but where that has length 1.
            continue
        for axis, subscript in enumerate(access.subscripts):
            stride = Stride(access.operand, axis)
            if strides[axis] is None and index in postorder((subscript,)) and (known is None or stride not in known):
                tests[Apply(_EQUAL, (stride, _size(access)))] = None
    return conjunction(tests)


def either_unit(access: Load | Store, one: Index, other: Index) -> Node | None:
    """The test that an access moves by one element along either of two loops; None where it is not one axis each."""
    axes = [
        [axis for axis, subscript in enumerate(access.subscripts) if index in postorder((subscript,))]
        for index in (one, other)
    ]
    if [len(found) for found in axes] != [1, 1] or axes[0] == axes[1]:
        return None
    x, y = (Apply(_EQUAL, (Stride(access.operand, found[0]), _size(access))) for found in axes)
    return Apply(_OR, (x, y))


def _size(access: Load | Store) -> Node:
    return Constant(access.operand.type.element.itemsize, INT64)


def conjunction(tests: Iterable[Node]) -> Node | None:
    """That all of some conditions hold; None of none."""
    condition: Node | None = None
    for test in tests:
        condition = test if condition is None else Apply(_AND, (condition, test))
    return condition


def parts(node: Node) -> tuple[Node, ...]:
    """The values that a value is computed from."""
    if isinstance(node, Call):
        return node.arguments
    return node.args if isinstance(node, Apply | Cast) else ()


def values_under(roots: Iterable[Node]) -> list[Node]:
    """Every value under roots once, parts before what is made of them; what stands in subscripts is none."""
    order: dict[Node, None] = {}
    stack = list(roots)[::-1]
    while stack:
        node = stack[-1]
        wanted = [part for part in parts(node) if part not in order]
        if wanted and node not in order:
            stack.extend(reversed(wanted))
        else:
            order[stack.pop()] = None
    return list(order)


def is_constant(scratch: Scratch) -> bool:
    """Whether scratch is of constant extents: inside a loop it is then each iteration's own."""
    return all(isinstance(extent, Constant) for extent in scratch.extents)


def scratch_type(element: ElementType, extents: Sequence[Node]) -> ArrayType:
    """The type of scratch in the order of its axes. One that is of length 1 for sure broadcasts."""
    single = [isinstance(extent, Constant) and extent.value == 1 for extent in extents]
    if not any(single):
        return element.array(len(single), order="C")
    layout = [BROADCAST if one else STRIDED for one in single]
    if STRIDED in layout:
        layout[len(layout) - 1 - layout[::-1].index(STRIDED)] = UNIT
    return element.array(len(layout), layout=tuple(layout))


def scratch_lengths(statements: Iterable[Node]) -> dict[Node, Node]:
    """The lengths of scratch, by what it is declared with."""
    lengths: dict[Node, Node] = {}
    add_scratch_lengths(lengths, statements)
    return lengths


def add_scratch_lengths(lengths: dict[Node, Node], statements: Iterable[Node]) -> None:
    """Add the lengths of the scratch that statements declare to those that are known.

    What a length is computed as stands for itself: who puts lengths in looks no further into it.
    """
    for statement in statements:
        if isinstance(statement, Scratch):
            extents = substitute(statement.extents, lengths.get)
            for axis, length in enumerate(extents):
                lengths[Extent(statement.operand, axis)] = length
                if isinstance(length, Apply):
                    lengths[length] = length


def enclosed(statements: Sequence[Node]) -> Iterator[Node]:
    """Every statement at any depth, in order."""
    for statement in statements:
        yield statement
        match statement:
            case For():
                yield from enclosed(statement.body)
            case Guard():
                yield from enclosed(statement.then)
                yield from enclosed(statement.otherwise)
