"""Stores past the caches, in C: loops whose role is `stream`, a few whole cache lines of the result at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from arrayexpr._core.affine import depends
from arrayexpr._core.nodes import Apply, Constant, For, Load, Loop, Store, postorder
from arrayexpr._core.passes.nests import enclosed
from arrayexpr._core.passes.tiles import LINE
from arrayexpr._core.primitives import text

from .addresses import address

if TYPE_CHECKING:
    from .clike import Writer

#: Bytes that are stored together, at least so many elements: gcc takes a shorter loop apart before it makes vectors.
_BYTES, _ELEMENTS = 256, 32
#: Bytes of a tile's row up to which it is stored as a whole: a + b.T, of 16 million floats, takes 4.2 ms so, 5.1 by
#: lines.
_ROW = 4096
#: Operands up to which they are asked for ahead: a processor follows about as many by itself.
_OPERANDS = 8


def loop(writer: Writer, loop: For, index: str, start: str, stop: str, step: str) -> bool:
    """Write a loop whose role is `stream`; False, and nothing, for any other
    and for what is not contiguous.

    Lines are computed in arrays that the compiler keeps in registers, and stored from there. What comes before the
    first line and after the last is stored as usual; and so are several results whose lines do not begin together.
    """
    stores = [store for store in loop.body if isinstance(store, Store)]
    if not _streams(loop) or not isinstance(loop, Loop) or not stores or len(stores) < len(loop.body) or step != "1":
        return False
    size_of = {store.operand.type.element.itemsize for store in stores}
    if len(size_of) > 1 or any(address(writer, store, loop) is None for store in stores):
        return False
    writer.helpers.setdefault(text("stream.h"))
    (itemsize,) = size_of
    count = max(_ELEMENTS, _BYTES // itemsize)
    end, first, k = (writer.local(letter) for letter in "nik")
    lines = [writer.local("m") for _ in stores]
    types = [writer.type(store.operand.type.element) for store in stores]
    places, size = [writer.place(store) for store in stores], writer.dialect.index
    most = _most(loop)
    if most is not None and (most <= count or most * itemsize <= _ROW):
        # A row of a tile, whose operands are in the caches.
        writer.line("{")
        for c_type, line in zip(types, lines, strict=True):
            writer.line(f"    {c_type} {line}[{most}] {writer.dialect.aligned};")
        writer.line("    #pragma GCC ivdep")
        writer.line(f"    for ({size} {index} = {start}; {index} < {stop}; ++{index}) {{")
        writer.depth += 1
        _assign(writer, [f"{line}[{index} - {start}]" for line in lines], stores)
        writer.line("}")
        writer.line(f"const {size} {index} = {start};")
        for place, line in zip(places, lines, strict=True):
            writer.line(f"arrayexpr_stream((void *)&{place}, {line}, ({stop} - {start}) * {itemsize});")
        writer.depth -= 1
        writer.line("}")
        return True
    writer.line("{")
    writer.depth += 1
    writer.line(f"{size} {index} = {start};")
    # What several results are computed from is found in time: of two sums over three arrays, 16 million doubles, 8.9 ms
    # with what is read asked for ahead, 8.2 without, and 13.3 by ordinary stores.
    ahead = _ahead(writer, loop) if len(stores) == 1 else []
    lead = f"arrayexpr_lead(&{places[0]}, {itemsize}, {stop} - {index})"
    if len(stores) > 1:
        apart = " | ".join(f"((intptr_t)&{places[0]} ^ (intptr_t)&{place})" for place in places[1:])
        lead = f"(({apart}) & 63 ? {stop} - {index} : {lead})"
    writer.line(f"{size} {end} = {index} + {lead};")
    writer.line("for (;;) {")
    writer.depth += 1
    writer.line("#pragma GCC ivdep")
    writer.line(f"for (; {index} < {end}; ++{index}) {{")
    _assign(writer, places, stores)
    writer.line("}")
    writer.line(f"if ({index} >= {stop}) break;")
    writer.line(f"for (; {index} <= {stop} - {count}; {index} += {count}) {{")
    writer.depth += 1
    for c_type, line in zip(types, lines, strict=True):
        writer.line(f"{c_type} {line}[{count}] {writer.dialect.aligned};")
    writer.line(f"const {size} {first} = {index};")
    for condition, access, step in ahead:
        line_of = "64" if step.isdigit() else f"({step} < 64 ? 64 : {step})"
        writer.line(f"if ({condition}) arrayexpr_ahead(&{access}, {count} * {step}, {line_of});")
    writer.line("#pragma GCC ivdep")
    writer.line(f"for ({size} {k} = 0; {k} < {count}; ++{k}) {{")
    writer.line(f"    const {size} {index} = {first} + {k};")
    _assign(writer, [f"{line}[{k}]" for line in lines], stores)
    writer.line("}")
    for place, line in zip(places, lines, strict=True):
        writer.line(f"arrayexpr_stream_lines((void *)&{place}, {line}, {itemsize * count});")
    writer.depth -= 1
    writer.line("}")
    writer.line(f"{end} = {stop};")
    writer.depth -= 1
    writer.line("}")
    writer.depth -= 1
    writer.line("}")
    return True


def _most(loop: Loop) -> int | None:
    """The most iterations of a loop from x to minimum(x + c, ...)."""
    match loop.stop:
        case Constant(value) if isinstance(loop.start, Constant) and value - loop.start.value <= LINE:
            # One line of a block: see `cross`.
            return int(value - loop.start.value)
        case Apply(low, (Apply(add, (start, Constant(most))), _)) if start is loop.start:
            return int(most) if (low.name, add.name) == ("minimum", "add") else None
    return None


def _assign(writer: Writer, places: Sequence[str], stores: Sequence[Store]) -> None:
    writer.depth += 1
    values = writer.expressions([store.value for store in stores])
    if len(stores) > 1:
        # All are computed before one is stored.
        for k, (store, value) in enumerate(zip(stores, values, strict=True)):
            name = writer.local("v")
            writer.line(f"const {writer.type(store.operand.type.element)} {name} = {value};")
            values[k] = name
    for place, value in zip(places, values, strict=True):
        writer.line(f"{place} = {value};")
    writer.depth -= 1


def _ahead(writer: Writer, loop: Loop) -> list[tuple[str, str, str]]:
    """What is to be asked for ahead: the condition, by name, the element that is read, and the bytes to the next.

    Nothing where another operand is a little further on in the same memory, as in a stencil: that one asks. Nor where
    the loop reads the same elements each time, falls, or is the row of a tile, which is short.
    """
    steps: dict[Load, str] = {}
    for node in postorder((loop.body[0],)):
        if isinstance(node, Load) and not writer.is_scratch(node.operand):
            along = [axis for axis, subscript in enumerate(node.subscripts) if depends(subscript, loop.index)]
            step = writer.stride(node.operand, along[0]) if len(along) == 1 else "0"
            if step != "0" and not step.startswith("-") and _around(writer, node, loop) != ["0"]:
                steps[node] = step
    if not isinstance(loop.start, Constant) or not 0 < len(steps) <= _OPERANDS:
        return []
    rows = writer.local("p")
    places = [writer.place(load) for load in steps]
    writer.line(f"const void *const {rows}[] = {{{', '.join(f'&{place}' for place in places)}}};")
    target = writer.program.target
    near = (target.l2 if target is not None else 1 << 20) // 2
    found = []
    for k, ((load, step), place) in enumerate(zip(steps.items(), places, strict=True)):
        name = writer.local("b")
        tests = [f"({' | '.join(around)}) != 0" for around in (_around(writer, load, loop),) if around]
        tests += [] if step.isdigit() else [f"{step} > 0"]
        tests.append(f"arrayexpr_foremost({rows}, {len(steps)}, {k}, {near})")
        writer.line(f"const int {name} = {' && '.join(tests)};")
        found.append((name, place, step))
    return found


def _around(writer: Writer, load: Load, loop: Loop) -> list[str]:
    """The strides of a load along the axes around a loop; "0" alone where they all are, nothing where none is."""
    axes = [axis for axis, subscript in enumerate(load.subscripts) if not depends(subscript, loop.index)]
    strides = [writer.stride(load.operand, axis) for axis in axes]
    moving = [stride for stride in strides if stride != "0"]
    if any(stride.lstrip("-").isdigit() for stride in moving):
        return []
    return moving or strides[:1]


def end(writer: Writer, loop: For) -> None:
    """After an outermost loop that stores past the caches, or within one that runs in threads: wait for the stores."""
    if text("stream.h") in writer.helpers and any(_streams(s) for s in enclosed((loop,)) if isinstance(s, For)):
        writer.line("arrayexpr_stream_end();")


def _streams(loop: For) -> bool:
    return isinstance(loop, Loop) and loop.role == "stream"
