"""A text with Python's syntax tree of it: what the text form and the expressions of `evaluate` have in common.

How the tree is walked is not: the text form makes nodes and declares names, an expression applies Python's operators.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from .errors import ParseError

# What Python's tokenizer takes for the end of a line: str.splitlines knows more.
_NEWLINE = re.compile("\r\n|\r|\n")


class Source:
    """A text, which errors call by the name `what`.

    >>> Source("a +").tree()
    Traceback (most recent call last):
    arrayexpr._core.errors.ParseError: invalid syntax (line 1, column 4)
        a +
           ^
    """

    __slots__ = ("_lines", "text", "what")

    def __init__(self, text: str, what: str = "text") -> None:
        self.text = text
        self.what = what
        self._lines: list[str] | None = None

    @property
    def lines(self) -> list[str]:
        if self._lines is None:
            self._lines = _NEWLINE.split(self.text)
        return self._lines

    def tree(self, mode: str = "exec", deep: str = "") -> Any:
        """Python's syntax tree, or a ParseError: whatever the text, and however deep; `deep` says what to do then."""
        if "\0" in self.text:
            before = self.text[: self.text.index("\0")]
            line = before.count("\n") + 1
            raise ParseError(f"the {self.what} holds a null character", "", line, len(before) - before.rfind("\n"))
        try:
            return ast.parse(self.text, mode=mode)
        except SyntaxError as error:
            message = error.msg or "invalid syntax"
            column = error.offset or 1
            if error.offset == 0 and message == "invalid syntax":
                # At the end of a text without a last newline Python's parser says place 0.
                column = len(self.lines[-1]) + 1
            raise ParseError(message, self.text, error.lineno or 1, max(column, 1)) from None
        except (RecursionError, MemoryError):
            # Python does not say where it gave up: the longest line is the likeliest.
            longest = max(range(len(self.lines)), key=lambda k: len(self.lines[k]))
            raise ParseError(f"the {self.what} is nested too deeply{deep}", self.text, longest + 1, 1) from None
        except ValueError as error:
            raise ParseError(f"the {self.what} is no source text: {shortened(error)}") from None

    def error(self, message: str, at: Any) -> ParseError:
        """The error at a piece of the syntax tree."""
        lineno = getattr(at, "lineno", 1)
        error = ParseError(message, self.text, lineno, self.column(lineno, getattr(at, "col_offset", 0)))
        end = getattr(at, "end_lineno", None)
        if end is not None:
            error.end_lineno = end
            error.end_offset = self.column(end, getattr(at, "end_col_offset", 0))
        return error

    def column(self, lineno: int, offset: int) -> int:
        """The column, from 1, of an offset in bytes of UTF-8."""
        if self.text.isascii():
            return offset + 1
        line = self.lines[lineno - 1] if lineno <= len(self.lines) else ""
        return len(line.encode()[:offset].decode(errors="replace")) + 1


def shortened(name: object) -> str:
    """A name, or another piece of a text, as a message shows it."""
    text = str(name)
    return text if len(text) <= 60 else f"{text[:50]}..."
