"""A Binance-shaped spot exchange on a loopback port: for tests, and for the demo.

    source = SyntheticSource(("BTC/USDT",), seed=7)            # or RecordingSource(folder, shift=True)
    async with SimulatedExchange(source, Options(speed=1.0)) as exchange:
        exchange.rest_url, exchange.ws_url                      # http://127.0.0.1:P, ws://127.0.0.1:P
        exchange.faults.freeze(4, socket=1)                     # every fault is a method of `Faults`
        exchange.state.connections                              # see `State`
        exchange.book_at("BTCUSDT", update_id)                  # the true book after that event
        await exchange.finished()                               # the recording is over and delivered

As a process: ``python -m depth.exchange.simulated --help``; its faults are set by POST /sim/faults
(``{"fault": "freeze", "socket": 1, "seconds": 4}``) and its state is read at GET /sim/state. In a thread of the
caller: ``with threaded(source, options) as exchange``.

The tree is the architecture: pure parts (`book`, `walk`, `source`, `synthetic`, `recording`, `listings`, `playing`,
`outgoing`, `subscriptions`, `weights`, `resting`) decide; `faults` is the control panel; `rest`, `connection` and
`server` are the I/O around them.
"""

from depth.exchange.simulated.book import Book
from depth.exchange.simulated.faults import Faults
from depth.exchange.simulated.options import Options, SocketOptions
from depth.exchange.simulated.recording import RecordingSource
from depth.exchange.simulated.server import SimulatedExchange, State
from depth.exchange.simulated.source import Diff, Listing, Source
from depth.exchange.simulated.synthetic import SyntheticSource
from depth.exchange.simulated.threads import Handle, threaded

__all__ = [
    "Book",
    "Diff",
    "Faults",
    "Handle",
    "Listing",
    "Options",
    "RecordingSource",
    "SimulatedExchange",
    "SocketOptions",
    "Source",
    "State",
    "SyntheticSource",
    "threaded",
]
