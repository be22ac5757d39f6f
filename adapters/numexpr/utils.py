"""Threads, as numexpr sets them; and what is VML's there, which there is none of here."""

from __future__ import annotations

import contextvars
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import version as version

log = logging.getLogger(__name__)

use_vml = False


def _limit() -> int:
    text = os.environ.get("NUMEXPR_MAX_THREADS", "")
    return int(text) if text else 64


#: The most threads that may be set.
MAX_THREADS = _limit()

#: The threads of the kernels here. Those of other kernels are none of numexpr's business.
num_threads = 1


def set_num_threads(nthreads: int) -> int:
    """Use so many threads from now on; gives the number before. ValueError for none, or more than MAX_THREADS."""
    if isinstance(nthreads, bool) or not isinstance(nthreads, int):
        raise TypeError(f"number of threads {nthreads!r} is {type(nthreads).__name__}: expected an int")
    if nthreads <= 0:
        raise ValueError(f"nthreads is {nthreads}: it must be positive")
    if nthreads > MAX_THREADS:
        raise ValueError(
            f"nthreads is {nthreads}: it cannot be larger than environment variable NUMEXPR_MAX_THREADS ({MAX_THREADS})"
        )
    global num_threads
    before, num_threads = num_threads, nthreads
    return before


def get_num_threads() -> int:
    """How many threads are used."""
    return num_threads


_set_num_threads = set_num_threads
_get_num_threads = get_num_threads


def detect_number_of_cores() -> int:
    """The processors of the machine that are on."""
    return os.cpu_count() or 1


def _init_num_threads() -> int:
    """The threads to begin with: NUMEXPR_NUM_THREADS, else OMP_NUM_THREADS, else the cores, of at most 16."""
    given = os.environ.get("NUMEXPR_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    wanted = int(given) if given else min(detect_number_of_cores(), 16)
    set_num_threads(min(wanted, MAX_THREADS))
    return wanted


def detect_number_of_threads() -> int:
    """What the environment says of threads, at most MAX_THREADS. Deprecated there: `_init_num_threads` sets them."""
    log.warning("Deprecated, use `init_num_threads` instead.")
    for name in ("NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "")
        if text.isdigit():
            return min(int(text), MAX_THREADS)
    return min(detect_number_of_cores(), MAX_THREADS)


def get_vml_version() -> None:
    return None


def set_vml_accuracy_mode(mode: Any) -> None:
    """Nothing: the vector math here is within 4 ulp. ValueError for a mode that numexpr does not know."""
    if mode not in (None, "high", "low", "fast"):
        raise ValueError("mode argument must be one of: None, 'high', 'low', 'fast'")


def set_vml_num_threads(nthreads: int) -> None:
    return None


def get_vml_num_threads() -> None:
    return None


class CacheDict(dict[Any, Any]):
    """A dictionary of at most `maxentries`: where it is full, a tenth of them go, those put in first."""

    def __init__(self, maxentries: int):
        self.maxentries = maxentries
        super().__init__()

    def __setitem__(self, key: Any, value: Any) -> None:
        if len(self) >= self.maxentries and key not in self:
            for old in list(self)[: max(1, self.maxentries // 10)]:
                self.pop(old, None)
        super().__setitem__(key, value)


class ContextDict:
    """A dictionary that each context, as of a thread or of a task, has its own of; a key that is missing gives None.

    >>> names = ContextDict()
    >>> names.set("a", 1, b=2)
    >>> names["a"], names["c"], sorted(names)
    (1, None, ['a', 'b'])
    """

    def __init__(self) -> None:
        self._data: contextvars.ContextVar[dict[Any, Any]] = contextvars.ContextVar("data")

    def all(self) -> dict[Any, Any]:
        return self._data.get({})

    def _replace(self, data: dict[Any, Any]) -> None:
        # A new one: contexts that were copied from this one hold the old.
        self._data.set(data)

    def set(self, key: Any = None, value: Any = None, **kwargs: Any) -> None:
        self._replace({**self.all(), **({} if key is None else {key: value}), **kwargs})

    def get(self, key: Any, default: Any = None) -> Any:
        return self.all().get(key, default)

    def delete(self, key: Any) -> None:
        self._replace({each: value for each, value in self.all().items() if each != key})

    def clear(self) -> None:
        self._replace({})

    def update(self, *args: Mapping[Any, Any] | Iterable[tuple[Any, Any]], **kwargs: Any) -> None:
        if len(args) > 1:
            raise TypeError(f"update() takes at most 1 positional argument ({len(args)} given)")
        self._replace({**self.all(), **(dict(args[0]) if args else {}), **kwargs})

    def keys(self) -> Iterable[Any]:
        return self.all().keys()

    def values(self) -> Iterable[Any]:
        return self.all().values()

    def items(self) -> Iterable[tuple[Any, Any]]:
        return self.all().items()

    def __getitem__(self, key: Any) -> Any:
        return self.get(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: Any) -> None:
        self.delete(key)

    def __contains__(self, key: object) -> bool:
        return key in self.all()

    def __len__(self) -> int:
        return len(self.all())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.all())

    def __repr__(self) -> str:
        return repr(self.all())
