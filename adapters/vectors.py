"""Values of a loop in vectors of 64 bytes, for processors that have them: a line of C for each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrayexpr._core.affine import minus
from arrayexpr._core.nodes import Apply, Cast, Constant, Load, Loop, Node, Operand, Store, postorder
from arrayexpr._core.ops import Operator
from arrayexpr._core.types import ElementType, element
from arrayexpr._core.vector_math import OWN, function_of

from .addresses import address, is_fixed

if TYPE_CHECKING:
    from .clike import Writer

_INFIX = {"add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "true_divide": "{0} / {1}"}
_INLINE = {**_INFIX, "negative": "-{0}", "square": "{0} * {0}"}
_INLINE |= {"absolute": "_mm512_abs_{s}({0})", "sqrt": "_mm512_sqrt_{s}({0})"}
#: element type's name → the type of a vector, and what the intrinsics end with
_VECTORS = {"float64": ("__m512d", "pd"), "float32": ("__m512", "ps")}


class Vectors:
    """The lines that compute whole vectors of what the stages of a strip compute.

    A line has `{load}` where it loads, for an intrinsic's name up to the address; so that it serves vectors that are
    masked too. Ask `take` for each stage in turn before what it stores is used.
    """

    def __init__(self, writer: Writer, t: ElementType = element("float64")):
        self._writer = writer
        self._element = t
        self.type, self.suffix = _VECTORS[t.name]
        self.lanes = 512 // t.bits
        #: What computes values that do not vary, to be written before the lines.
        self.before: list[str] = []
        self.lines: list[str] = []
        #: The addresses that the lines load from.
        self.loads: dict[str, None] = {}
        #: The functions that the lines call.
        self.functions: dict[Operator, ElementType] = {}
        #: Scratch of the strip → the vector of what was stored there.
        self._stored: dict[Operand, str] = {}

    @staticmethod
    def has(t: ElementType) -> bool:
        """Whether there are vectors of an element type."""
        return t.name in _VECTORS

    def take(self, stage: Loop) -> list[tuple[Store, str]] | None:
        """Add the lines for a loop over a strip; None where it has no form in vectors.

        Returns what it stores beside scratch of the strip, with the vectors of it.
        """
        stores = [statement for statement in stage.body if isinstance(statement, Store)]
        results = [store for store in stores if store.operand not in self._writer.automatic]
        if len(stores) < len(stage.body) or len(results) > 1 or (results and len(stores) > 1):
            return None
        for store in stores:
            kept = store.operand in self._writer.automatic
            side_by_side = kept and store.subscripts == (minus(stage.index, stage.start),)
            if not (side_by_side if kept else address(self._writer, store, stage) is not None):
                return None
            if store.operand.type.element is not self._element or not self.computes(store.value, stage):
                return None
        computed = [(store, self.value(store.value, stage)) for store in stores]
        self._stored |= {store.operand: name for store, name in computed if store.operand in self._writer.automatic}
        return [(store, name) for store, name in computed if store.operand not in self._writer.automatic]

    def computes(self, value: Node, stage: Loop) -> bool:
        """Whether vectors can have a value: of numbers side by side or fixed, by known operators."""
        return all(
            node.type.element is self._element and self._knows(node, stage) for node in self._parts(value, stage)
        )

    def _knows(self, node: Node, stage: Loop) -> bool:
        if self._is_fixed(node, stage):
            return True
        match node:
            case Load() if node.operand in self._writer.automatic and node.operand.type.rank:
                return node.subscripts == (minus(stage.index, stage.start),) and node.operand in self._stored
            case Load():
                return address(self._writer, node, stage) is not None
            case Apply(op, (first, *_)):
                return op.name in _INLINE or (function_of(op, first.type.element), self._element.name) in OWN
        return False

    def _is_fixed(self, node: Node, stage: Loop) -> bool:
        """Whether a value is the same all along."""
        if isinstance(node, Load) and node.operand.type.rank:
            return node.operand not in self._stored and is_fixed(self._writer, node, stage)
        return isinstance(node, Constant | Load) or (
            isinstance(node, Apply | Cast)
            and stage.index not in postorder((node,))
            and not any(isinstance(n, Load) and n.operand in self._stored for n in postorder((node,)))
            and not any(isinstance(n, Apply) and n.op.may_raise for n in postorder((node,)))
        )

    def _parts(self, value: Node, stage: Loop) -> list[Node]:
        """A value and the values that it is computed from along the loop, those first."""
        order: dict[Node, None] = {}
        stack = [value]
        while stack:
            node = stack[-1]
            inner = node.args if isinstance(node, Apply) and not self._is_fixed(node, stage) else ()
            wanted = [part for part in inner if part not in order]
            if wanted and node not in order:
                stack.extend(wanted)
            else:
                order[stack.pop()] = None
        return list(order)

    def value(self, value: Node, stage: Loop) -> str:
        """The name of a vector of a value's elements, which the lines then compute."""
        names: dict[Node, str] = {}
        for node in self._parts(value, stage):
            if isinstance(node, Load) and node.operand in self._stored:
                names[node] = self._stored[node.operand]
                continue
            names[node] = self._writer.local("v")
            declared = f"const {self.type} {names[node]} ="
            if self._is_fixed(node, stage):
                written = len(self._writer.lines)
                text = self._writer.expression(node)
                self.before += [line.strip() for line in self._writer.lines[written:]]
                del self._writer.lines[written:]
                self.before.append(f"{declared} _mm512_set1_{self.suffix}({text});")
                continue
            match node:
                case Load():
                    place = address(self._writer, node, stage) or ""
                    self.loads.setdefault(place)
                    line = f"{{load}}(const {self._writer.type(self._element)} *)({place}))"
                case Apply(op, args):
                    name = function_of(op, args[0].type.element)
                    if name is not None:
                        self.functions[op] = args[0].type.element
                        line = f"arrayexpr_v_{name}_{self._element.name}({names[args[0]]})"
                    else:
                        line = _INLINE[op.name].format(*(names[a] for a in args), s=self.suffix)
            self.lines.append(f"{declared} {line};")
        return names[value]

    @property
    def load(self) -> str:
        """What loads a whole vector."""
        return f"_mm512_loadu_{self.suffix}("

    def masked(self, mask: str) -> str:
        """What loads the elements of a mask, and 0 for others."""
        return f"_mm512_maskz_loadu_{self.suffix}({mask}, "
