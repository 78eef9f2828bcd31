"""ccxt's Binance alone: what is loaded, and that the whole of ccxt still can be."""

import subprocess
import sys

import pytest


def python(code: str) -> str:
    """Run code in a fresh interpreter; give what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_other_exchange_is_loaded() -> None:
    """Of its exchanges Binance alone, synchronous ones not at all, and no package is left half made."""
    code = """
import sys
from depth.exchange.transport import Transport
print(*sorted(name for name in sys.modules if name.startswith("ccxt") and len(name.split(".")) < 4
              and not name.startswith(("ccxt.base", "ccxt.abstract", "ccxt.static_dependencies"))))
"""
    assert python(code) == "ccxt.async_support.base ccxt.async_support.binance ccxt.pro.binance"


@pytest.mark.parametrize("first", ["import ccxt.pro", "import ccxt", "import depth.exchange.ccxt_binance"])
def test_the_whole_of_ccxt_has_the_same_class(first: str) -> None:
    """Whoever imports ccxt before or after gets all of it, and one and the same Binance."""
    code = f"""
{first}
from depth.exchange.ccxt_binance import BaseError, binance
import ccxt.pro, ccxt.async_support
print(ccxt.pro.binance is binance, ccxt.BaseError is BaseError, issubclass(binance, ccxt.async_support.binance),
      ccxt.pro.kraken.__name__, ccxt.binance.__name__)
"""
    assert python(code) == "True True True kraken binance"
