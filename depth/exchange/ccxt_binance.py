"""ccxt.pro's Binance, without the hundred other exchanges: 54 MB and 0.5 s instead of 109 MB and 1.1 s.

ccxt's packages import every exchange they have, and offer no way to take one (https://github.com/ccxt/ccxt/issues/29573).
So while Binance is imported its parent packages are bare ones, that hold the few names which ccxt's own modules ask
them for. Afterwards they are gone: whoever imports ccxt later gets the whole of it, with these very classes in it.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_PACKAGES = ("ccxt", "ccxt.async_support", "ccxt.pro")


@contextmanager
def _bare_packages() -> Iterator[None]:
    if "ccxt" in sys.modules:  # somebody has taken the whole of it already
        yield
        return
    spec = importlib.util.find_spec("ccxt")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("ccxt is not installed: make setup", name="ccxt")
    for name in _PACKAGES:
        package = ModuleType(name)
        _, *folders = name.split(".")
        package.__path__ = ["/".join([path, *folders]) for path in spec.submodule_search_locations]
        sys.modules[name] = package
        if folders:
            setattr(sys.modules["ccxt"], folders[0], package)
    try:
        yield
    finally:
        for name in _PACKAGES:
            del sys.modules[name]


with _bare_packages():
    from ccxt.base import errors

    # What ccxt's modules import from its packages rather than from where it stands.
    vars(sys.modules["ccxt"]).update({name: getattr(errors, name) for name in errors.__all__})
    from ccxt.base.exchange import Exchange

    sys.modules["ccxt"].__dict__["Exchange"] = Exchange
    from ccxt.async_support.binance import binance as _binance

    sys.modules["ccxt.async_support"].__dict__["binance"] = _binance
    from ccxt.async_support.base.ws.client import Client
    from ccxt.base.errors import BadRequest, BaseError
    from ccxt.pro.binance import binance

__all__ = ["BadRequest", "BaseError", "Client", "binance"]
