"""Threads, as numexpr sets them; and what is VML's there, which there is none of here."""

from __future__ import annotations

import logging
import os
from typing import Any

from arrayexpr.target import get_num_threads as _get
from arrayexpr.target import set_num_threads as _set

log = logging.getLogger(__name__)

use_vml = False


def _limit() -> int:
    text = os.environ.get("NUMEXPR_MAX_THREADS", "")
    return int(text) if text else 64


#: The most threads that may be set.
MAX_THREADS = _limit()


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
    before = _get()
    _set(nthreads)
    return before


def get_num_threads() -> int:
    """How many threads are used."""
    return _get()


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
