"""The errors that arrayexpr raises: each says which operand, node or place in the text is at fault."""

from __future__ import annotations

import re


class ArrayExprError(Exception):
    """Base of every error that is arrayexpr's own."""


class VerifyError(ArrayExprError, ValueError):
    """A tree breaks a rule of the grammar; the message names the node and what was expected."""


class ParseError(ArrayExprError, SyntaxError):
    """A text is no program or expression; `lineno` and `offset` (both from 1) give its place.

    >>> raise ParseError("expected an expression", "a +", 1, 4)
    Traceback (most recent call last):
    arrayexpr._core.errors.ParseError: expected an expression (line 1, column 4)
        a +
           ^
    """

    def __init__(self, message: str, text: str = "", lineno: int = 1, offset: int = 1):
        # Only what Python's own tokenizer takes for the end of a line.
        lines = re.split("\r\n|\r|\n", text)
        line = lines[lineno - 1] if 0 < lineno <= len(lines) else ""
        # A hostile line may be megabytes long: the message shows the part around the column.
        start = max(0, offset - 60)
        shown = line[start : offset + 40]
        message = f"{message} (line {lineno}, column {offset})"
        if shown:
            message += f"\n    {shown}\n    {' ' * (offset - 1 - start)}^"
        super().__init__(message)
        self.lineno = lineno
        self.offset = offset

    def __str__(self) -> str:
        return str(self.args[0])


class TypeMismatch(ArrayExprError, TypeError):
    """Element types that an operator, a cast or a kernel does not take."""


class OutOfRange(TypeMismatch, OverflowError):
    """A number that its element type cannot hold."""


class ShapeMismatch(ArrayExprError, ValueError):
    """Shapes that do not broadcast together, or do not fit an output."""


class UnsupportedError(ArrayExprError, NotImplementedError):
    """A valid program that an emitter or engine cannot take; the message names the node."""


class CompilerWarning(UserWarning):
    """The system's C compiler or the cache cannot be used; kernels run without compiled code."""
