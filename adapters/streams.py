"""Stores past the caches, in C: loops whose role is `stream`, a few whole cache lines of the result at a time."""

from __future__ import annotations

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

    Lines are computed in an array that the compiler keeps in registers, and stored from there. What comes before the
    first line and after the last is stored as usual.
    """
    if not _streams(loop) or not isinstance(loop, Loop) or len(loop.body) != 1 or step != "1":
        return False
    (store,) = loop.body
    if not isinstance(store, Store) or address(writer, store, loop) is None:
        return False
    writer.helpers.setdefault(text("stream.h"))
    t = store.operand.type.element
    count = max(_ELEMENTS, _BYTES // t.itemsize)
    end, first, line, k = (writer.local(letter) for letter in "nimk")
    place, size = writer.place(store), writer.dialect.index
    most = _most(loop)
    if most is not None and (most <= count or most * t.itemsize <= _ROW):
        # A row of a tile, whose operands are in the caches.
        writer.line("{")
        writer.line(f"    {writer.type(t)} {line}[{most}] {writer.dialect.aligned};")
        writer.line("    #pragma GCC ivdep")
        writer.line(f"    for ({size} {index} = {start}; {index} < {stop}; ++{index}) {{")
        writer.depth += 1
        _assign(writer, f"{line}[{index} - {start}]", store)
        writer.line("}")
        writer.line(f"const {size} {index} = {start};")
        writer.line(f"arrayexpr_stream((void *)&{place}, {line}, ({stop} - {start}) * {t.itemsize});")
        writer.depth -= 1
        writer.line("}")
        return True
    writer.line("{")
    writer.depth += 1
    writer.line(f"{size} {index} = {start};")
    ahead = _ahead(writer, loop)
    writer.line(f"{size} {end} = {index} + arrayexpr_lead(&{place}, {t.itemsize}, {stop} - {index});")
    writer.line("for (;;) {")
    writer.depth += 1
    writer.line("#pragma GCC ivdep")
    writer.line(f"for (; {index} < {end}; ++{index}) {{")
    _assign(writer, place, store)
    writer.line("}")
    writer.line(f"if ({index} >= {stop}) break;")
    writer.line(f"for (; {index} <= {stop} - {count}; {index} += {count}) {{")
    writer.depth += 1
    writer.line(f"{writer.type(t)} {line}[{count}] {writer.dialect.aligned};")
    writer.line(f"const {size} {first} = {index};")
    for condition, access, step in ahead:
        line_of = "64" if step.isdigit() else f"({step} < 64 ? 64 : {step})"
        writer.line(f"if ({condition}) arrayexpr_ahead(&{access}, {count} * {step}, {line_of});")
    writer.line("#pragma GCC ivdep")
    writer.line(f"for ({size} {k} = 0; {k} < {count}; ++{k}) {{")
    writer.line(f"    const {size} {index} = {first} + {k};")
    _assign(writer, f"{line}[{k}]", store)
    writer.line("}")
    writer.line(f"arrayexpr_stream_lines((void *)&{place}, {line}, {t.itemsize * count});")
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


def _assign(writer: Writer, place: str, store: Store) -> None:
    writer.depth += 1
    writer.line(f"{place} = {writer.expression(store.value)};")
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
