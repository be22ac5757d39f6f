"""Records: classes of named fields, as `dataclasses` makes them, in less time.

`dataclasses` compiles each class's methods from text, some 0.3 ms a class: a third of what importing all of this takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, dataclass_transform

R = TypeVar("R")


class Factory:
    """A field's default that is made anew for each record: see `made`."""

    def __init__(self, make: Callable[[], Any]):
        self.make = make


def made(*, default_factory: Callable[[], Any]) -> Any:
    """A field's default that is made anew for each record."""
    return Factory(default_factory)


@dataclass_transform(frozen_default=True, field_specifiers=(made,))
def record(cls: type[R]) -> type[R]:
    """Make the class's annotated names the fields of its instances: given by place or name, compared, never changed.

    A default stands in the class. `__post_init__` is called last where there is one, and a method that the class has
    itself is kept.

    >>> @record
    ... class Span:
    ...     start: int
    ...     stop: int
    ...     step: int = 1
    >>> Span(2, stop=5), Span(2, 5) == Span(2, 5, 1), hash(Span(2, 5)) == hash(Span(2, 5, 1))
    (Span(start=2, stop=5, step=1), True, True)
    >>> replace(Span(2, 5), step=3)
    Span(start=2, stop=5, step=3)
    >>> Span(2)
    Traceback (most recent call last):
    TypeError: Span(start, stop, step=1) got start
    >>> Span(2, 5).stop = 6
    Traceback (most recent call last):
    AttributeError: Span is never changed: stop cannot be set
    """
    names = tuple(cls.__annotations__)
    known = frozenset(names)
    needed = frozenset(name for name in names if name not in cls.__dict__)
    factories = {name: cls.__dict__[name].make for name in names if isinstance(cls.__dict__.get(name), Factory)}
    for name in factories:
        delattr(cls, name)
    finish = cls.__dict__.get("__post_init__")

    def __init__(self: Any, *args: Any, **named: Any) -> None:
        fields = self.__dict__
        fields.update(zip(names, args, strict=False))
        fields.update(named)
        # Fewer fields than arguments: one was given twice, or there were too many by place.
        if len(fields) < len(args) + len(named) or not needed <= fields.keys() <= known:
            _refuse(cls, names, needed, args, named)
        for name, make in factories.items():
            if name not in fields:
                fields[name] = make()
        if finish is not None:
            finish(self)

    def values(self: Any) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in names])

    def __eq__(self: Any, other: Any) -> Any:
        return values(self) == values(other) if type(other) is cls else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(values(self))

    def __repr__(self: Any) -> str:
        return f"{cls.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    methods = (__init__, __eq__, __hash__, __repr__, _unchanged, _undeleted, replace)
    named = ("__init__", "__eq__", "__hash__", "__repr__", "__setattr__", "__delattr__", "__replace__")
    own = cls.__dict__
    for name, method in zip(named, methods, strict=True):
        # A class that defines __eq__ has a __hash__ of None.
        if own.get(name) is None:
            setattr(cls, name, method)
    cls.__match_args__ = names  # type: ignore[attr-defined, misc]
    cls.__signature__ = _Signature()  # type: ignore[attr-defined]
    return cls


def replace(self: R, **changes: Any) -> R:
    """A record with some fields changed."""
    fields = {name: getattr(self, name) for name in type(self).__match_args__}  # type: ignore[attr-defined]
    return type(self)(**(fields | changes))


class _Signature:
    """What `inspect.signature` and `help` show of a record's class, made when they ask."""

    def __get__(self, instance: Any, cls: Any) -> Any:
        from inspect import Parameter, Signature

        defaults = {name: cls.__dict__.get(name, Parameter.empty) for name in cls.__match_args__}
        kind = Parameter.POSITIONAL_OR_KEYWORD
        return Signature([Parameter(name, kind, default=default) for name, default in defaults.items()])


def _unchanged(self: Any, name: str, value: Any) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is never changed: {name} cannot be set")


def _undeleted(self: Any, name: str) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is never changed: {name} cannot be deleted")


def _refuse(
    cls: type, names: tuple[str, ...], needed: frozenset[str], args: tuple[Any, ...], named: dict[str, Any]
) -> NoReturn:
    expected = ", ".join(name if name in needed else f"{name}={cls.__dict__.get(name, '...')}" for name in names)
    got = ", ".join([*names[: len(args)], *("one more" for _ in args[len(names) :]), *named]) or "nothing"
    raise TypeError(f"{cls.__name__}({expected}) got {got}")
