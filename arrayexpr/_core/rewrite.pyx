# cython: language_level=3
"""The rewriting engine: rules, indexed by what stands at their root, applied until none fires.

A rule is a pattern and a result over the operator table, in Python's syntax:

>>> rules = RuleSet([Rule("log1p", "log(1 + x)", "log1p(x)", contract="fast", kinds="f")])

or a function from a node to what replaces it:

>>> from arrayexpr._core.nodes import Apply, Cast, Constant, Node, Operand
>>> from arrayexpr._core.ops import operator
>>> from arrayexpr._core.types import FLOAT64
>>> @rule(Cast, keeps=True, rules=rules)
... def same_type(node: Node) -> Node | None:
...     return node.arg if node.arg.type.element is node.type.element else None

`Rewriter` applies a set of them:

>>> x = Operand("x", FLOAT64.array(1))
>>> tree = Apply(operator("log"), (Apply(operator("add"), (Cast(x, FLOAT64), Constant(1.0, FLOAT64))),))
>>> log = Log()
>>> new = Rewriter(rules, contract="fast").run((tree,), log).get(tree)
>>> new is Apply(operator("log1p"), (x,)), [step.rule.name for step in log]
(True, ['same_type', 'log1p'])

Children come before parents, and what a rule makes is rewritten in its turn, so each node is brought to
its normal form once: the work is linear in the nodes and in the rewrites. Nothing recurses over trees.

Three things hold of every rewrite, whatever the rule says, or it is not done: element type and rank stay;
the shape stays (a rule that drops an operand which may have been the longer one is kept back until a
parent shows that its other operands have that shape anyway); and effects stay, each as often and in the
order they were (what may raise counts as an effect).
"""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memset

from .nodes cimport APPLY, CONSTANT, Apply, Constant, Node, apply, constant, count_visits, postorder, rebuild

from collections.abc import Mapping
from typing import NamedTuple

from .errors import ArrayExprError
from .infer import effects, kind_of, operations, same_lengths
from .nodes import LEAVES, Function, Operand
from .ops import Operator, is_operator, operator, operators
from .types import BOOL

CONTRACTS = ("exact", "fast")


class RewriteError(ArrayExprError, RuntimeError):
    """Rules that are ill-formed, change a type, or do not come to an end; the message names them."""


@cython.final
cdef class NodeMap:
    """A mutable mapping from nodes to nodes, without order, that no node is ever taken out of."""

    def __cinit__(self):
        self._table = NULL
        self._size = 0
        self._used = 0

    def __dealloc__(self):
        cdef size_t k
        for k in range(self._size):
            if self._table[2 * k] != NULL:
                Py_DECREF(<object>self._table[2 * k])
                Py_DECREF(<object>self._table[2 * k + 1])
        PyMem_Free(self._table)

    cdef PyObject *find(self, Node key) noexcept:
        """The value of key, borrowed; NULL where it has none."""
        cdef size_t place
        if self._size == 0:
            return NULL
        place = <size_t>key.hash_ & (self._size - 1)
        while self._table[2 * place] != NULL:
            if self._table[2 * place] == <PyObject *>key:
                return self._table[2 * place + 1]
            place = (place + 1) & (self._size - 1)
        return NULL

    cdef int put(self, Node key, Node value) except -1:
        cdef size_t place
        cdef PyObject *old
        if 3 * (self._used + 1) > 2 * self._size:
            self._grow()
        place = <size_t>key.hash_ & (self._size - 1)
        while self._table[2 * place] != NULL:
            if self._table[2 * place] == <PyObject *>key:
                old = self._table[2 * place + 1]
                Py_INCREF(value)
                self._table[2 * place + 1] = <PyObject *>value
                Py_DECREF(<object>old)
                return 0
            place = (place + 1) & (self._size - 1)
        Py_INCREF(key)
        Py_INCREF(value)
        self._table[2 * place] = <PyObject *>key
        self._table[2 * place + 1] = <PyObject *>value
        self._used += 1
        return 0

    cdef int _grow(self) except -1:
        cdef size_t size = 64 if self._size == 0 else 2 * self._size
        cdef PyObject **table = <PyObject **>PyMem_Calloc(2 * size, sizeof(PyObject *))
        cdef size_t k, place
        if table == NULL:
            raise MemoryError()
        for k in range(self._size):
            if self._table[2 * k] != NULL:
                place = <size_t>(<Node>self._table[2 * k]).hash_ & (size - 1)
                while table[2 * place] != NULL:
                    place = (place + 1) & (size - 1)
                table[2 * place] = self._table[2 * k]
                table[2 * place + 1] = self._table[2 * k + 1]
        PyMem_Free(self._table)
        self._table, self._size = table, size
        return 0

    def get(self, Node key, default=None):
        cdef PyObject *found = self.find(key)
        return default if found == NULL else <object>found

    def __getitem__(self, Node key):
        cdef PyObject *found = self.find(key)
        if found == NULL:
            raise KeyError(key)
        return <object>found

    def __setitem__(self, Node key, Node value):
        if value is None:
            raise TypeError("NodeMap maps nodes to nodes: got None")
        self.put(key, value)

    def __contains__(self, Node key):
        return self.find(key) != NULL

    def __len__(self):
        return self._used

    def __iter__(self):
        return iter(self.keys())

    def keys(self):
        return [key for key, _ in self.items()]

    def values(self):
        return [value for _, value in self.items()]

    def items(self):
        cdef size_t k
        return [
            (<object>self._table[2 * k], <object>self._table[2 * k + 1])
            for k in range(self._size) if self._table[2 * k] != NULL
        ]


Mapping.register(NodeMap)


class Step(NamedTuple):
    """One rewrite that was applied."""

    rule: "Rule"
    before: Node
    after: Node

    @property
    def contract(self) -> str:
        return self.rule.contract

    @property
    def cost(self) -> float:
        """By how much the operations per element changed: below 0 is fewer."""
        return operations(self.after) - operations(self.before)

    def __repr__(self) -> str:
        return f"{self.rule.name} ({self.rule.contract}): {self.before!r} -> {self.after!r}"


cdef class Log:
    """The rewrites that were applied, in order, as `Step`s; it keeps their nodes alive.

    A rewrite is logged where it is found; the node may stand in many places of the program.
    """

    cdef list _steps

    def __init__(self):
        self._steps = []

    def __len__(self):
        return len(self._steps) // 3

    def __iter__(self):
        cdef Py_ssize_t k
        for k in range(0, len(self._steps), 3):
            yield Step(self._steps[k], self._steps[k + 1], self._steps[k + 2])

    def __getitem__(self, k):
        if isinstance(k, slice):
            return [self[j] for j in range(*k.indices(len(self)))]
        if k < 0:
            k += len(self)
        if not 0 <= k < len(self):
            raise IndexError(f"step {k} of {len(self)}")
        return Step(*self._steps[3 * k:3 * k + 3])

    cpdef int add(self, object rule, Node before, Node after) except -1:
        self._steps.append(rule)
        self._steps.append(before)
        self._steps.append(after)
        return 0

    def counts(self):
        """How often each rule was applied, by name, the most frequent first."""
        found = {}
        for rule in self._steps[::3]:
            found[rule.name] = found.get(rule.name, 0) + 1
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def __repr__(self):
        shown = ", ".join([f"{name} {n}" for name, n in self.counts().items()])
        return f"<Log of {len(self)} rewrites{': ' if shown else ''}{shown}>"


# -- Patterns -----------------------------------------------------------------------------------

cdef enum:
    VARIABLE            # any value
    CONSTANT_VARIABLE   # any Constant
    LITERAL             # the Constant of this value, in the element type at its place
    OPERATION

# A rule's variables, bound while it is matched. Rules are short: more is an error when one is defined.
cdef enum:
    MOST_VARIABLES = 16


cdef class Term:
    """A node of a pattern or of a result."""

    cdef int kind
    cdef int slot             # of a variable
    cdef object op            # of an operation
    cdef tuple args
    cdef object value         # of a literal
    cdef dict constants       # of a literal: element type -> Constant, or None where it is no value of it
    cdef str name

    cdef Node literal(self, object element):
        cdef object known = self.constants.get(element, self)
        if known is self:
            if isinstance(self.value, bool) != (element.kind == "b"):
                known = None
            else:
                try:
                    known = constant(float(self.value) if element.kind == "f" else self.value, element)
                except (ArrayExprError, OverflowError):
                    known = None
            self.constants[element] = known
        return known

    cdef bint match(self, Node node, PyObject **bound) noexcept:
        cdef Py_ssize_t k
        cdef tuple args
        if self.kind == OPERATION:
            if node.cid != APPLY or <PyObject *>node.key != <PyObject *>self.op:
                return False
            args = node.args
            for k in range(len(args)):
                if not (<Term>self.args[k]).match(<Node>args[k], bound):
                    return False
            return True
        if self.kind == LITERAL:
            return node.cid == CONSTANT and <object>node is self.literal(node.type.element)
        if self.kind == CONSTANT_VARIABLE and node.cid != CONSTANT:
            return False
        if bound[self.slot] == NULL:
            bound[self.slot] = <PyObject *>node
            return True
        return bound[self.slot] == <PyObject *>node

    cdef Node build(self, PyObject **bound, object element):
        """The node of a result; `element` is the type of a literal whose siblings do not say it."""
        cdef Py_ssize_t k
        cdef Term term
        cdef list args
        cdef Node found
        if self.kind == LITERAL:
            found = self.literal(BOOL if isinstance(self.value, bool) else element)
            if found is None:
                raise RewriteError(f"{self.value!r} is no value of {element}")
            return found
        if self.kind != OPERATION:
            return <Node>bound[self.slot]
        args = [None] * len(self.args)
        for k in range(len(args)):
            term = <Term>self.args[k]
            if term.kind != LITERAL:
                args[k] = term.build(bound, element)
        places = self.op.signature
        for k in range(len(args)):
            if args[k] is not None and places[k] == "T":
                element = (<Node>args[k]).type.element
                break
        for k in range(len(args)):
            if args[k] is None:
                args[k] = (<Term>self.args[k]).build(bound, element)
        return apply(self.op, tuple(args))

    cdef int occurrences(self, list into) except -1:
        """The slots of its variables, in the order they are evaluated."""
        cdef Term arg
        if self.kind == OPERATION:
            for arg in self.args:
                arg.occurrences(into)
        elif self.kind == VARIABLE:
            into.append(self.slot)
        return 0

    cdef double cost(self):
        cdef Term arg
        cdef double total = 0
        if self.kind == OPERATION:
            total = self.op.cost
            for arg in self.args:
                total += arg.cost()
        return total

    def __repr__(self):
        if self.kind == OPERATION:
            return f"{self.op.name}({', '.join(map(repr, self.args))})"
        return repr(self.value) if self.kind == LITERAL else self.name


# Of comparisons and of powers, in the table of operators.
cdef enum:
    _COMPARISON = 4
    _POWER = 12

cdef list _tokens(str text):
    """The numbers, names and symbols of a text: of each token three strings, of which one is not empty.

    By hand: a regular expression for it took 0.4 ms to compile, of the 11 ms of a first result.
    """
    cdef Py_ssize_t k = 0, start, n = len(text)
    cdef list found = []
    while k < n:
        start = k
        if text[k].isspace():
            k += 1
        elif text[k].isdigit():
            while k < n and text[k].isdigit():
                k += 1
            if k < n and text[k] == ".":
                k += 1
                while k < n and text[k].isdigit():
                    k += 1
            if k < n and text[k] in "eE":
                end = k + 1 + (k + 1 < n and text[k + 1] in "+-")
                if end < n and text[end].isdigit():
                    k = end
                    while k < n and text[k].isdigit():
                        k += 1
            found.append((text[start:k], "", ""))
        elif text[k].isalpha() or text[k] == "_":
            while k < n and (text[k].isalnum() or text[k] == "_"):
                k += 1
            found.append(("", text[start:k], ""))
        else:
            k += 2 if text[k : k + 2] in _PAIRS else 1
            found.append(("", "", text[start:k]))
    return found


cdef frozenset _PAIRS = frozenset(("**", "//", "<<", ">>", "<=", ">=", "==", "!="))


cdef dict _symbols(int arity):
    """The operators by their symbols; of two rows with one symbol the first has it."""
    return {op.symbol.strip(): op for op in operators()[::-1] if op.symbol is not None and op.arity == arity}


cdef dict _unary = {}, _binary = {}
cdef Py_ssize_t _rows = 0         # of the table, when they were made


@cython.final
cdef class _Reader:
    """Reads a pattern by the precedences in the table. By Python's `ast` rules took twice as long, and all are read
    before a first result. Patterns are written by hand, and short: this may recurse."""

    cdef str text
    cdef dict slots
    cdef bint result
    cdef list tokens              # (number, name, symbol), of which one is not empty
    cdef Py_ssize_t place

    def __init__(self, str text, dict slots, bint result):
        global _unary, _binary, _rows
        if len(operators()) != _rows:
            _unary, _binary, _rows = _symbols(1), _symbols(2), len(operators())
        self.text, self.slots, self.result = text, slots, result
        self.tokens = _tokens(text)
        self.place = 0

    cdef Term read(self):
        cdef Term term = self.expression(0)
        if self.place < len(self.tokens):
            raise self.unexpected()
        return term

    cdef str next(self):
        """The next token's name or symbol; nothing at the end and for a number."""
        if self.place == len(self.tokens):
            return ""
        cdef tuple token = <tuple>self.tokens[self.place]
        return <str>(token[1] or token[2])

    cdef object unexpected(self):
        if self.place == len(self.tokens):
            return RewriteError(f"the pattern {self.text!r} is no expression: it ends where an operand is expected")
        found = "".join(self.tokens[self.place])
        return RewriteError(f"{found} in the pattern {self.text!r}: expected operators, names and numbers")

    cdef int expect(self, str symbol) except -1:
        if self.next() != symbol:
            raise self.unexpected()
        self.place += 1
        return 0

    cdef Term expression(self, int above):
        """What binds tighter than `above`."""
        cdef Term term = self.operand()
        cdef str symbol = self.next()
        cdef int precedence, last = 0
        while symbol and symbol != ")" and symbol != ",":
            op = _binary.get(symbol)
            if op is None:
                raise RewriteError(f"{symbol} in the pattern {self.text!r} is no operator of the table")
            precedence = op.precedence
            # A chain of comparisons is no nest of them.
            if precedence == last == _COMPARISON:
                raise self.unexpected()
            if precedence <= above:
                break
            last = precedence
            self.place += 1
            # A power's exponent may be one.
            term = self.operation(op, (term, self.expression(precedence - (precedence == _POWER))))
            symbol = self.next()
        return term

    cdef Term operand(self):
        cdef Term term
        cdef str name, symbol
        cdef list args
        if self.place == len(self.tokens):
            raise self.unexpected()
        cdef str number = (<tuple>self.tokens[self.place])[0]
        if number:
            self.place += 1
            return self.literal(int(number) if number.isdigit() else float(number))
        name = (<tuple>self.tokens[self.place])[1]
        symbol = self.next()
        if symbol == "(":
            self.place += 1
            term = self.expression(0)
            self.expect(")")
            return term
        op = _unary.get(symbol)
        if op is not None:
            self.place += 1
            term = self.expression(op.precedence)
            return self.literal(-term.value) if symbol == "-" and term.kind == LITERAL else self.operation(op, (term,))
        if not name:
            raise self.unexpected()
        self.place += 1
        if self.next() == "(":
            if not is_operator(name):
                raise RewriteError(f"{name} in the pattern {self.text!r} is no operator of the table")
            args = []
            while self.next() != ")":
                self.expect("," if args else "(")
                args.append(self.expression(0))
            self.place += 1
            return self.operation(operator(name), tuple(args))
        if name == "True" or name == "False":
            return self.literal(name == "True")
        return self.variable(name)

    cdef Term literal(self, value):
        cdef Term term = Term.__new__(Term)
        term.kind, term.value, term.constants, term.args = LITERAL, value, {}, ()
        return term

    cdef Term variable(self, str name):
        cdef Term term = Term.__new__(Term)
        if name not in self.slots:
            if self.result:
                raise RewriteError(f"the result {self.text!r} names {name}, which its pattern does not")
            if len(self.slots) == MOST_VARIABLES:
                raise RewriteError(f"the pattern {self.text!r} has more than {MOST_VARIABLES} variables")
            self.slots[name] = len(self.slots)
        term.kind = CONSTANT_VARIABLE if name[0].isupper() else VARIABLE
        term.slot, term.name, term.args = self.slots[name], name, ()
        return term

    cdef Term operation(self, op, tuple args):
        cdef Term term = Term.__new__(Term)
        if len(args) != op.arity:
            raise RewriteError(f"{op.name} in the pattern {self.text!r} takes {op.arity} operands: got {len(args)}")
        term.kind, term.op, term.args = OPERATION, op, args
        return term


cdef list _orientations(Term term):
    """A pattern with its commutative operators both ways round, as (Term, operators that are turned, how many) tuples.

    Both orders of two different operands are listed, so that matching itself never has a choice to undo;
    those that are nearest to the pattern as written come first.
    """
    cdef list found = [((), frozenset(), 0)], longer, result = []
    cdef set seen = set()
    cdef Term turned
    if term.kind != OPERATION:
        return [(term, frozenset(), 0)]
    for arg in term.args:
        longer = []
        for args, ops, count in found:
            for each, more, turns in _orientations(arg):
                longer.append((args + (each,), ops | more, count + turns))
        found = longer
    if len(term.args) == 2 and (term.op.commutes.exact or term.op.commutes.fast):
        found += [(args[::-1], ops | {term.op}, count + 1) for args, ops, count in found]
    for args, ops, count in sorted(found, key=lambda way: way[2]):
        turned = Term.__new__(Term)
        turned.kind, turned.op, turned.args = OPERATION, term.op, args
        if repr(turned) not in seen:
            seen.add(repr(turned))
            result.append((turned, ops, count))
    return result


# -- What a node's children are, in 64 bits ------------------------------------------------------
# Bits 0 to 24 say which classes are among them, 25 that two are the same node, 26 that all are
# Constants, and the others, by hash, which operators. A rule is tried only where all its bits are set:
# that alone rejects nearly every rule that does not fire, at one instruction a rule.

cdef enum:
    REPEATED = 25
    ALL_CONSTANT = 26
    OPERATORS = 27


cdef inline uint64_t _operator_bit(PyObject *op) noexcept:
    return <uint64_t>1 << (OPERATORS + ((<uint64_t><uintptr_t>op >> 4) * 0x9E3779B97F4A7C15u >> 32) % (64 - OPERATORS))


cdef inline uint64_t _present(tuple args) noexcept:
    cdef uint64_t found = 0
    cdef Py_ssize_t k, n = len(args)
    cdef Node child
    for k in range(n):
        child = <Node>args[k]
        found |= <uint64_t>1 << child.cid
        if child.cid == APPLY:
            found |= _operator_bit(<PyObject *>child.key)
    if found == <uint64_t>1 << CONSTANT:
        found |= <uint64_t>1 << ALL_CONSTANT
    if n == 2:
        if <PyObject *>args[0] == <PyObject *>args[1]:
            found |= <uint64_t>1 << REPEATED
    elif n > 2:
        # where(c, x, x) is the case that matters; a longer list is not worth a comparison of all pairs.
        for k in range(1, n):
            if <PyObject *>args[k - 1] == <PyObject *>args[k]:
                found |= <uint64_t>1 << REPEATED
    return found


cdef dict _class_numbers = {}


cdef int _class_number(object cls) except -1:
    """The `cid` of the nodes of a class."""
    if not _class_numbers:
        from . import nodes
        names = ("Constant Operand Index Extent Stride View Apply Cast Reduce Contract Function Call Opaque SideEffect "
                 "Unreorderable Assign For Loop Load Store Scratch Pack Guard Barrier Disjoint").split()
        assert len(names) == REPEATED, "a class of nodes for each of the first bits"
        for k, name in enumerate(names):
            _class_numbers[getattr(nodes, name)] = k
    if cls not in _class_numbers:
        raise RewriteError(f"{cls!r} is no class of nodes")
    return _class_numbers[cls]


# -- Rules --------------------------------------------------------------------------------------

cdef class Rule:
    """`Rule(name, pattern, result)`: what matches the pattern becomes the result.

    Both are expressions in Python's syntax over the operator table. Names in lower case stand for any
    value, names that begin with a capital for a Constant; the same name twice for the same node. Numbers
    match the Constant of that value, bit for bit (`0.0` is not `-0.0`), and take the element type of
    their siblings in a result. Operators that commute, under the rule's contract, match both ways.

    `contract` is `exact` (bit for bit; only NaN's sign and payload are free) or `fast`. `kinds` limits
    the element kinds of the pattern's root, `when(**variables)` is asked last. `cost` is by how much the
    operations per element change: from the rows where it is not given. `unshared` rules are tried only
    where no other node uses the root's first operand, because they would compute that one twice. A `late` rule
    is read, and found wrong, where it is first tried.

    >>> Rule("halve", "x / 2", "x * 0.5", kinds="f")
    Rule('halve', 'x / 2', 'x * 0.5', contract='exact', kinds='f')
    >>> Rule("wrong", "x / y", "x * z")
    Traceback (most recent call last):
    arrayexpr._core.rewrite.RewriteError: the result 'x * z' names z, which its pattern does not
    """

    cdef readonly str name, contract, kinds
    cdef readonly object pattern, result, when
    cdef readonly bint unshared
    cdef object _cost
    cdef Term _result
    cdef list _ways               # (Term, operators turned, how many)
    cdef dict _slots

    def __init__(self, str name, str pattern, str result, *, str contract="exact", str kinds="biufc", when=None,
                 cost=None, bint unshared=False, bint late=False):
        self._start(name, contract, kinds, unshared)
        self.pattern = pattern
        self.result = result
        self.when = when
        self._cost = cost
        if not late:
            self._read()

    cdef int _read(self) except -1:
        """Read the pattern and the result, the first time."""
        if self._ways is not None or self.pattern is None:
            return 0
        cdef dict slots = {}
        cdef Term root = _Reader(self.pattern, slots, False).read()
        if root.kind != OPERATION:
            raise RewriteError(f"the pattern {self.pattern!r} of rule {self.name} has no operator at its root")
        self._result = _Reader(self.result, slots, True).read()
        if self._cost is None:
            self._cost = self._result.cost() - root.cost()
        self._slots = slots
        # Last: who sees it has the rest.
        self._ways = _orientations(root)
        return 0

    @property
    def cost(self):
        """By how much it changes the operations per element."""
        self._read()
        return self._cost

    cdef int _start(self, str name, str contract, str kinds, bint unshared) except -1:
        if contract not in CONTRACTS:
            raise RewriteError(f"contract {contract!r} of rule {name}: expected one of {', '.join(CONTRACTS)}")
        self.name, self.contract, self.kinds, self.unshared = name, contract, kinds, unshared
        return 0

    @property
    def roots(self):
        """The operators and classes of nodes that it is tried on."""
        self._read()
        return ((<Term>self._ways[0][0]).op,)

    def on_leaves(self):
        """Whether it is tried on leaves of the tree."""
        return False

    def candidates(self, op, str kind):
        """How it is to be tried on Applies of `op` on elements of `kind`, or on nodes of a class."""
        cdef Term way
        if kind not in self.kinds or not isinstance(op, Operator):
            return []
        if self._ways is None and op.name not in self.pattern and (not op.symbol or op.symbol not in self.pattern):
            # What the text does not mention is not at its root.
            return []
        if op not in self.roots:
            return []
        fast = self.contract == "fast"
        return [
            _PatternTrial(self, way)
            for way, turned, _ in self._ways
            if all([each.commutes.holds(kind, fast) for each in turned])
        ]

    def instance(self, **variables):
        """The pattern with nodes for its variables, for tests.

        >>> from arrayexpr._core.types import FLOAT64
        >>> Rule("log1p", "log(1 + x)", "log1p(x)").instance(x=Operand("a", FLOAT64))
        log(1.0 + a)
        """
        cdef PyObject *bound[MOST_VARIABLES]
        self._read()
        if variables.keys() != self._slots.keys():
            raise RewriteError(f"rule {self.name} has the variables {', '.join(self._slots)}: got {', '.join(variables)}")
        element = BOOL
        for name, slot in self._slots.items():
            bound[<int>slot] = <PyObject *>variables[name]
            if (<Node?>variables[name]).type.element.kind != "b":
                element = (<Node>variables[name]).type.element
        return (<Term>self._ways[0][0]).build(bound, element)

    @property
    def variables(self):
        """The names in the pattern, in order."""
        self._read()
        return tuple(self._slots or ())

    def __repr__(self):
        return f"Rule({self.name!r}, {self.pattern!r}, {self.result!r}, contract={self.contract!r}, kinds={self.kinds!r})"


cdef class FunctionRule(Rule):
    """A rule that is a function from a node to what replaces it, or None; made by `rule`."""

    cdef readonly object function, among, applies, over
    cdef readonly bint keeps, all_constant, repeated
    cdef tuple _roots

    def __init__(self, tuple roots, function, *, str name, str contract, str kinds, among, applies, cost,
                 bint keeps, bint unshared):
        self._start(name, contract, kinds, unshared)
        self.pattern = self.result = self.when = None
        self._roots = tuple([operator(r) if isinstance(r, str) else r for r in roots])
        for root in self._roots:
            if not isinstance(root, Operator):
                _class_number(root)
        self.function, self.among, self.applies, self._cost, self.keeps = function, among, applies, cost, keeps

    @property
    def roots(self):
        return self._roots

    def on_leaves(self):
        return any([root in LEAVES for root in self._roots])

    def candidates(self, op, str kind):
        if op not in self._roots and not (isinstance(op, Operator) and Apply in self._roots):
            return []
        if kind and kind not in self.kinds:
            return []
        if self.applies is not None and not self.applies(op, kind):
            return []
        return [_FunctionTrial(self, op)]

    def __call__(self, Node node):
        return self.function(node)

    def __repr__(self):
        return f"<rule {self.name}, {self.contract}>"


def rule(*roots, contract="exact", kinds="biufc", among=(), applies=None, cost=None, keeps=False, unshared=False,
         name=None, rules=None):
    """Make a function into a rule on nodes whose root is one of `roots`: operators, their names, or classes of nodes.

    The function takes a node and gives what replaces it, or None. `among` says what must be among the
    node's children for it to be tried: operators, their names, classes of nodes, `"root"` for the node's
    own operator, `"repeated"` for two neighbours that are one node, `"constants"` for Constants alone.
    `applies(op, kind)` says for which rows it is tried, once a row. `keeps` promises that every operand of
    the node is kept, once, and in order; where it is not promised, nodes with effects inside are left
    alone and shapes are checked. `rules` is a RuleSet to add it to. The other arguments are Rule's.

    >>> @rule("negative", kinds="iu", among=("subtract",))
    ... def swapped(node):
    ...     a, b = node.args[0].args
    ...     return Apply(node.args[0].op, (b, a))
    >>> swapped
    <rule swapped, exact>
    """

    def made(function):
        new = FunctionRule(
            roots, function, name=name or function.__name__, contract=contract, kinds=kinds,
            among=(among,) if isinstance(among, (str, type, Operator)) else tuple(among), applies=applies, cost=cost,
            keeps=keeps, unshared=unshared,
        )
        if rules is not None:
            rules.add(new)
        return new

    return made


class RuleSet:
    """Rules in the order they are tried; third parties `add` theirs.

    >>> rules = RuleSet([Rule("twice", "x + x", "2 * x", kinds="f")])
    >>> len(rules), rules["twice"].contract
    (1, 'exact')
    """

    def __init__(self, rules=()):
        self._rules = {}
        self._rewriters = {}
        for each in rules:
            self.add(each)

    def add(self, each, first=False):
        """Add a rule, last or first. Raises where one of its name is there."""
        if not isinstance(each, Rule):
            raise RewriteError(f"{each!r} is no rule")
        if each.name in self._rules:
            raise RewriteError(f"a rule named {each.name} is there already")
        if first:
            self._rules = {each.name: each, **self._rules}
        else:
            self._rules[each.name] = each
        self._rewriters = {}
        return each

    def remove(self, name):
        """Take a rule out, by name."""
        self[name]
        self._rules = {key: each for key, each in self._rules.items() if key != name}
        self._rewriters = {}

    def __getitem__(self, name):
        if name not in self._rules:
            raise RewriteError(f"no rule is named {name!r}")
        return self._rules[name]

    def __contains__(self, name):
        return name in self._rules

    def __iter__(self):
        return iter(tuple(self._rules.values()))

    def __len__(self):
        return len(self._rules)

    def rewriter(self, contract="exact"):
        """The Rewriter of these rules, made once."""
        known = self._rewriters.get(contract)
        if known is None:
            known = self._rewriters[contract] = Rewriter(self, contract=contract)
        return known


cdef class _Trial:
    """A rule as it is tried on one operator's nodes: its bits, and whether what it drops must be looked at."""

    cdef Rule rule
    cdef uint64_t need
    cdef bint keeps               # operands kept once, in order: effects and shapes need no look

    cdef Node attempt(self, Node node):
        return None

    cdef bint allowed(self, Node node) except -1:
        """Whether it keeps the effects inside the node that `attempt` has just taken."""
        return effects(node) == 0


@cython.final
cdef class _PatternTrial(_Trial):
    cdef Term way
    cdef int variables
    cdef list before, after

    def __init__(self, Rule rule, Term way):
        cdef Term arg
        self.rule = rule
        self.way = way
        self.variables = len(rule._slots)
        self.before, self.after = [], []
        way.occurrences(self.before)
        rule._result.occurrences(self.after)
        self.keeps = self.before == self.after
        self.need = 0
        for k, arg in enumerate(way.args):
            if arg.kind == OPERATION:
                self.need |= (<uint64_t>1 << APPLY) | _operator_bit(<PyObject *>arg.op)
            elif arg.kind != VARIABLE:
                self.need |= <uint64_t>1 << CONSTANT
            if k and arg.kind == VARIABLE and (<Term>way.args[k - 1]).kind == VARIABLE and (
                    arg.slot == (<Term>way.args[k - 1]).slot):
                self.need |= <uint64_t>1 << REPEATED

    cdef Node attempt(self, Node node):
        cdef PyObject *bound[MOST_VARIABLES]
        memset(bound, 0, self.variables * sizeof(PyObject *))
        if not self.way.match(node, bound):
            return None
        if self.rule.when is not None:
            values = {name: <object>bound[slot] for name, slot in self.rule._slots.items()}
            if not self.rule.when(**values):
                return None
        if self.rule._result.kind == LITERAL:
            element = node.type.element
        else:
            element = (<Node>node.args[node.key.signature.index("T")]).type.element
        return self.rule._result.build(bound, element)

    cdef bint allowed(self, Node node) except -1:
        cdef int slot
        cdef PyObject *bound[MOST_VARIABLES]
        if effects(node) == 0:
            return True
        # The variables with effects must be there as often as they were, in their order.
        memset(bound, 0, self.variables * sizeof(PyObject *))
        self.way.match(node, bound)
        impure = {slot for slot in set(self.before) if effects(<Node>bound[slot]) != 0}
        if not impure:
            # The operators of the pattern themselves may raise.
            return effects(self.rule._result.build(bound, node.type.element)) == effects(node)
        return [slot for slot in self.before if slot in impure] == [slot for slot in self.after if slot in impure]


@cython.final
cdef class _FunctionTrial(_Trial):
    cdef object function

    def __init__(self, FunctionRule rule, op):
        self.rule = rule
        self.function = rule.function
        self.keeps = rule.keeps
        self.need = 0
        for each in rule.among:
            if each == "root":
                each = op
            if each == "repeated":
                self.need |= <uint64_t>1 << REPEATED
            elif each == "constants":
                self.need |= <uint64_t>1 << ALL_CONSTANT
            elif isinstance(each, (str, Operator)):
                if isinstance(each, str):
                    each = operator(each)
                self.need |= (<uint64_t>1 << APPLY) | _operator_bit(<PyObject *>each)
            else:
                self.need |= <uint64_t>1 << _class_number(each)

    cdef Node attempt(self, Node node):
        made = self.function(node)
        if made is not None and not isinstance(made, Node):
            raise RewriteError(f"rule {self.rule.name} gives {type(made).__name__}: expected a node or None")
        return <Node>made


@cython.final
cdef class _Candidates:
    """What is tried on the nodes of one row and kind, or of one class: the trials, their bits beside them."""

    cdef list trials
    cdef Py_ssize_t count
    cdef uint64_t *need

    def __cinit__(self, list trials):
        cdef Py_ssize_t k
        self.trials = trials
        self.count = len(trials)
        self.need = <uint64_t *>PyMem_Calloc(self.count + 1, sizeof(uint64_t))
        if self.need == NULL:
            raise MemoryError()
        for k in range(self.count):
            self.need[k] = (<_Trial>trials[k]).need

    def __dealloc__(self):
        PyMem_Free(self.need)


# -- The engine ---------------------------------------------------------------------------------

cdef enum:
    LINES = 256               # of the look-up of candidates: rows times element types in use are few

cdef struct _Line:
    PyObject *op
    PyObject *type
    PyObject *first
    PyObject *last
    PyObject *candidates


# One node's rewriting may be a chain of rewrites, each of which may use up other nodes of the program: so
# much fuel for it, and so much more for every node that was seen.
FUEL = 1000
FUEL_PER_NODE = 16

cdef class Rewriter:
    """Applies rules until none fires. `contract` is what may be given up: under `exact` only exact rules are used."""

    cdef readonly tuple rules
    cdef readonly str contract
    cdef _Line lines[LINES]
    cdef dict tables             # (operator, kind) or class -> _Candidates
    cdef list alive              # what the lines borrow
    cdef bint leaves             # whether there is any rule on leaves
    cdef list by_class

    def __init__(self, rules, *, contract="exact"):
        if contract not in CONTRACTS:
            raise RewriteError(f"contract {contract!r}: expected one of {', '.join(CONTRACTS)}")
        self.contract = contract
        self.rules = tuple([r for r in rules if contract == "fast" or r.contract == "exact"])
        self.tables = {}
        self.alive = []
        self.by_class = [None] * 32
        memset(self.lines, 0, sizeof(self.lines))
        self.leaves = any([r.on_leaves() for r in self.rules])

    cdef _Candidates table(self, object op, str kind):
        cdef _Candidates found = self.tables.get((op, kind))
        if found is None:
            trials = []
            for each in self.rules:
                trials.extend((<Rule>each).candidates(op, kind))
            found = self.tables[op, kind] = _Candidates(trials)
        return found

    cdef _Candidates candidates(self, Node node):
        cdef _Candidates found
        cdef Py_ssize_t n
        cdef _Line *line
        cdef PyObject *op
        cdef PyObject *type_
        cdef PyObject *first
        cdef PyObject *last
        if node.cid != APPLY:
            found = <_Candidates>self.by_class[node.cid]
            if found is None:
                found = self.by_class[node.cid] = self.table(type(node), "")
            return found
        n = len(node.args)
        op = <PyObject *>node.key
        type_ = <PyObject *>node.type
        first = <PyObject *>(<Node>node.args[0]).type
        last = <PyObject *>(<Node>node.args[n - 1]).type
        line = &self.lines[((<uint64_t><uintptr_t>op ^ <uint64_t><uintptr_t>type_ * 3 ^ <uint64_t><uintptr_t>last * 5)
                            * 0x9E3779B97F4A7C15u) >> 56]
        if line.op == op and line.type == type_ and line.first == first and line.last == last:
            return <_Candidates>line.candidates
        found = self.table(node.key, kind_of(node))
        place = node.key.signature.index("T")
        if place == 0 or place == n - 1 or node.key.signature[n + 1] == "T":
            # The four decide the kind. What the line borrows is kept for as long as this object lives.
            self.alive.append((node.key, node.type, node.args[0].type, node.args[n - 1].type))
            line.op, line.type, line.first, line.last = op, type_, first, last
            line.candidates = <PyObject *>found
        return found

    def run(self, roots, Log log=None):
        """Rewrite all that is under `roots`; the NodeMap from each old node to its new one."""
        return _Run(self, tuple(roots), log).run()

    def __call__(self, program, Log log=None):
        """The program rewritten; the same object where no rule applies."""
        cdef NodeMap new = self.run(program.statements, log)
        cdef Node statement
        return program.rewritten([<object>new.find(statement) for statement in program.statements], new)

    def __repr__(self):
        return f"<Rewriter, {self.contract}, {len(self.rules)} rules>"


@cython.final
cdef class _Run:
    """One run of a Rewriter over some roots."""

    cdef Rewriter rewriter
    cdef tuple roots
    cdef Log log
    cdef NodeMap new             # each finished node -> its normal form, which maps to itself
    cdef dict waiting            # node -> (what it became, the rule), until that is finished
    cdef dict narrow             # normal form -> (a value of narrower shape that is equal, the rule)
    cdef set many                # normal forms used more than once; None until a rule asks
    cdef set many_old
    cdef Py_ssize_t seen, burst
    cdef Rule fired              # the rule of the last step
    cdef list recent             # names of the latest rules, when fuel runs low

    def __init__(self, Rewriter rewriter, tuple roots, Log log):
        self.rewriter = rewriter
        self.roots = roots
        self.log = log
        self.new = NodeMap()
        self.waiting = {}
        self.narrow = {}
        self.many = None
        self.recent = []

    cdef NodeMap run(self):
        cdef NodeMap new = self.new
        cdef dict waiting = self.waiting
        cdef list stack = list(self.roots[::-1]), args
        cdef bint leaves = self.rewriter.leaves, ready, changed
        cdef Node node, child, after
        cdef PyObject *found
        cdef Py_ssize_t k, n
        cdef Py_ssize_t top = len(stack)
        while top:
            node = <Node>stack[top - 1]
            if new.find(node) != NULL:
                stack.pop()
                top -= 1
                continue
            if waiting:
                became = waiting.get(node)
                if became is not None:
                    found = new.find(<Node>(<tuple>became)[0])
                    del waiting[node]
                    self.finish(node, <Node>found)
                    stack.pop()
                    top -= 1
                    continue
            else:
                self.seen += 1
                self.burst = 0
            n = len(node.args)
            ready = True
            changed = False
            for k in range(n - 1, -1, -1):
                child = <Node>node.args[k]
                found = new.find(child)
                if found == NULL:
                    if len(child.args) == 0 and not leaves:
                        # Put down so that every node has an entry: it costs less than asking again.
                        new.put(child, child)
                        continue
                    if waiting and child in waiting:
                        raise self.endless(child)
                    stack.append(child)
                    top += 1
                    ready = False
                elif found != <PyObject *>child:
                    changed = True
            if not ready:
                continue
            if changed:
                args = [None] * n
                for k in range(n):
                    args[k] = <object>new.find(<Node>node.args[k])
                after = rebuild(node, tuple(args))
                rule = None
            else:
                after = self.step(node)
                if after is None:
                    self.finish(node, node)
                    stack.pop()
                    top -= 1
                    continue
                rule = self.fired
            found = new.find(after)
            if found != NULL:
                self.finish(node, <Node>found)
                stack.pop()
                top -= 1
                continue
            waiting[node] = (after, rule)
            if after in waiting:
                raise self.endless(after)
            stack.append(after)
            top += 1
        count_visits(new._used)
        return new

    cdef int finish(self, Node node, Node final) except -1:
        self.new.put(node, final)
        if self.many is not None and node in self.many_old:
            self.many.add(final)
        return 0

    cdef Node step(self, Node node):
        """The node after the first rule that fires on it, or None. Its children are normal forms."""
        cdef _Candidates candidates = self.rewriter.candidates(node)
        cdef Py_ssize_t k
        cdef uint64_t present
        cdef _Trial trial
        cdef Node after
        if self.narrow and node.cid == APPLY:
            after = self.narrowed(node)
            if after is not None:
                return self.applied(node, after)
        if candidates.count == 0:
            return None
        present = _present(node.args)
        for k in range(candidates.count):
            if candidates.need[k] & ~present:
                continue
            trial = <_Trial>candidates.trials[k]
            after = trial.attempt(node)
            if after is None or after is node:
                continue
            if trial.rule.unshared and self.is_many(<Node>node.args[0]):
                continue
            if not trial.keeps and not trial.allowed(node):
                continue
            if after.type is not node.type and not self.fits(trial.rule, node, after):
                self.narrow.setdefault(node, (after, trial.rule))
                continue
            if not trial.keeps and node.type is not None and not same_lengths(node, after):
                self.narrow.setdefault(node, (after, trial.rule))
                continue
            self.fired = trial.rule
            return self.applied(node, after)
        return None

    cdef Node applied(self, Node before, Node after):
        if self.log is not None:
            self.log.add(self.fired, before, after)
        self.burst += 1
        if self.burst > FUEL + FUEL_PER_NODE * self.seen - 32:
            self.recent.append(self.fired.name)
            if len(self.recent) > 32:
                names = ", ".join(dict.fromkeys(self.recent))
                raise RewriteError(
                    f"rewriting comes to no end: {self.burst} rewrites of one node, the last by the rules {names}"
                )
        return after

    cdef object endless(self, Node node):
        """The error for a node that is met again below what it became."""
        cdef list names = [], keys = list(self.waiting)
        for key in keys[keys.index(node):]:
            rule = self.waiting[key][1]
            if rule is not None:
                names.append(rule.name)
        names = list(dict.fromkeys(names))
        many = f"the rules {', '.join(names)} undo one another" if len(names) > 1 else f"the rule {names[0]} undoes itself"
        return RewriteError(f"rewriting comes to no end: {many} on {node!r}")

    cdef bint fits(self, Rule rule, Node node, Node after) except -1:
        """Whether what a rule made may stand for the node at once: False where it has fewer axes."""
        if node.type is None or after.type is None or node.cid != after.cid and type(after) is Function:
            raise RewriteError(
                f"rule {rule.name} makes {type(after).__name__} of {type(node).__name__}: "
                "expected a statement of a statement, and a value of a value"
            )
        if after.type.element is not node.type.element or after.type.rank > node.type.rank:
            raise RewriteError(f"rule {rule.name} makes {after.type} of {node.type}: expected the same type")
        return after.type.rank == node.type.rank

    cdef bint is_many(self, Node node) except -1:
        """Whether a normal form is used by more than one node of the program."""
        cdef Node each, child
        cdef PyObject *found
        cdef set once
        if self.many is None:
            once = set()
            self.many_old = set(self.roots)
            self.many = set()
            for each in postorder(self.roots, True):
                for child in each.args:
                    if child in once:
                        self.many_old.add(child)
                    else:
                        once.add(child)
            for each in self.many_old:
                found = self.new.find(each)
                if found != NULL:
                    self.many.add(<object>found)
        return node in self.many

    cdef Node narrowed(self, Node node):
        """The node with an operand replaced by an equal one of narrower shape, where the others have that shape.

            where(True, x, y) + y  ->  x + y

        Where they have not, the node is itself one that may be narrower, and its parents look again.
        Not so for what is assigned: where a result is given no storage, its shape is the value's.
        """
        cdef list args
        cdef Py_ssize_t k, n = len(node.args)
        for k in range(n):
            found = self.narrow.get(node.args[k])
            if found is None:
                continue
            args = list(node.args)
            args[k] = found[0]
            after = apply(node.key, tuple(args))
            if same_lengths(node, after):
                self.fired = found[1]
                return after
            self.narrow.setdefault(node, (after, found[1]))
        return None


# -- Common sub-expressions up to the order of commutative operands -------------------------------


def merge_commuted(roots):
    """Map every node under `roots` so that of `x + y` and `y + x` only the first, in order of evaluation, remains.

    Equal nodes are one already. Only operators that commute bit for bit count, and nothing with effects
    inside. Gives the NodeMap from old to new.

    >>> from arrayexpr._core.nodes import Apply, Operand
    >>> from arrayexpr._core.types import FLOAT64
    >>> add, sqrt = operator("add"), operator("sqrt")
    >>> x, y = Operand("x", FLOAT64.array(1)), Operand("y", FLOAT64.array(1))
    >>> first, second = Apply(add, (x, y)), Apply(sqrt, (Apply(add, (y, x)),))
    >>> merge_commuted((first, second))[second] is Apply(sqrt, (first,))
    True
    """
    cdef NodeMap new = NodeMap()
    cdef list stack = list(roots)[::-1], args
    cdef Node node, child, after, other
    cdef PyObject *found
    cdef Py_ssize_t k, n, top = len(stack)
    cdef bint ready, changed
    # Of each commutative pair the node that was first, by a hash that does not see their order.
    cdef size_t size = 1024, used = 0, place
    cdef PyObject **firsts = <PyObject **>PyMem_Calloc(size, sizeof(PyObject *))
    cdef PyObject **larger
    cdef dict commuting = {}
    cdef object last_op = None
    cdef object last_type = None
    cdef bint last_commutes = False
    if firsts == NULL:
        raise MemoryError()
    try:
        while top:
            node = <Node>stack[top - 1]
            if new.find(node) != NULL:
                stack.pop()
                top -= 1
                continue
            n = len(node.args)
            ready = True
            changed = False
            for k in range(n - 1, -1, -1):
                child = <Node>node.args[k]
                if len(child.args) == 0:
                    continue
                found = new.find(child)
                if found == NULL:
                    stack.append(child)
                    top += 1
                    ready = False
                elif found != <PyObject *>child:
                    changed = True
            if not ready:
                continue
            stack.pop()
            top -= 1
            after = node
            if changed:
                args = list(node.args)
                for k in range(n):
                    found = new.find(<Node>args[k])
                    if found != NULL:
                        args[k] = <object>found
                after = rebuild(node, tuple(args))
            if after.cid == APPLY and n == 2:
                child = <Node>after.args[0]
                if after.key is not last_op or child.type is not last_type:
                    last_op, last_type = after.key, child.type
                    known = commuting.get((last_op, last_type))
                    if known is None:
                        known = last_op.commutes.holds(kind_of(after))
                        commuting[last_op, last_type] = known
                    last_commutes = known
                if last_commutes and after.args[0] is not after.args[1]:
                    if 2 * (used + 1) > size:
                        larger = <PyObject **>PyMem_Calloc(4 * size, sizeof(PyObject *))
                        if larger == NULL:
                            raise MemoryError()
                        size *= 4
                        for k in range(<Py_ssize_t>size // 4):
                            if firsts[k] != NULL:
                                place = _unordered(<Node>firsts[k]) & (size - 1)
                                while larger[place] != NULL:
                                    place = (place + 1) & (size - 1)
                                larger[place] = firsts[k]
                        PyMem_Free(firsts)
                        firsts = larger
                    place = _unordered(after) & (size - 1)
                    while firsts[place] != NULL:
                        other = <Node>firsts[place]
                        if other is after:
                            break
                        if (other.key is after.key and other.args[0] is after.args[1]
                                and other.args[1] is after.args[0]):
                            if effects(after) == 0:
                                after = other
                            break
                        place = (place + 1) & (size - 1)
                    else:
                        # Borrowed: the map that is returned holds it.
                        firsts[place] = <PyObject *>after
                        used += 1
                        new.put(after, after)
            new.put(node, after)
    finally:
        PyMem_Free(firsts)
    count_visits(new._used)
    return new


cdef inline size_t _unordered(Node node) noexcept:
    cdef uint64_t a = (<Node>node.args[0]).hash_, b = (<Node>node.args[1]).hash_
    cdef uint64_t h = (a + b) ^ (a * b | 1) ^ <uint64_t><uintptr_t><PyObject *>node.key
    h *= 0x9E3779B97F4A7C15u
    return <size_t>(h ^ (h >> 29))
