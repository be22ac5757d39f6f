"""The core: the tree, its passes, and the engines. What is public of it is in `arrayexpr`."""

import os
import sys
from importlib.machinery import PathFinder

try:
    import arrayexpr._core.nodes  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != f"{__name__}.nodes":
        raise
    # Sources that are not compiled, in a checkout that is the current directory, come before what is
    # installed. That is what is meant: go on with it.
    _checkout = os.path.realpath(os.path.join(__path__[0], "..", ".."))
    _path = [entry for entry in sys.path if os.path.realpath(entry or ".") != _checkout]
    _installed = PathFinder.find_spec("arrayexpr", _path)
    if _installed is None or not _installed.submodule_search_locations:
        raise ImportError(f"arrayexpr is not compiled in {_checkout}, nor installed: `make dev` does both") from None
    sys.modules["arrayexpr"].__path__ = list(_installed.submodule_search_locations)
    __path__ = [os.path.join(entry, "_core") for entry in _installed.submodule_search_locations]
    import arrayexpr._core.nodes  # noqa: F401
