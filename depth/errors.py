"""Every error of the project.

    DepthError
    ├── TransientError             retried: it may pass by itself
    │   ├── ExchangeUnavailable    no route, 5xx, time-out, rate limit (with `retry_after`)
    │   ├── CaptureStalled         nothing was captured for too long; the run ends and may be begun anew
    │   ├── StoreUnavailable       the store did not answer, or not in time
    │   ├── SpoolFull              the spool takes no more rows
    │   └── ChannelUnavailable     who is to be alerted does not answer
    ├── TerminalError              a person must act; never retried (exit 1)
    │   ├── AccessRefused          HTTP 451 or 403: this machine may not read the market
    │   ├── StoreRefused           permission, missing table, corrupt file
    │   ├── DestinationRefused     a place for files cannot be written
    │   ├── NothingStored          there is no row where some were asked for
    │   ├── ChannelRefused         who is to be alerted says no
    │   └── UsageError             a wrong setting or option (exit 2)
    │       ├── UnknownSymbol      the exchange has no such spot market
    │       └── TableMismatch      the table belongs to another source, step, steps or interval
    └── DataError                  bytes that are not what they should be
        ├── MalformedFrame         a stream frame or REST body
        └── MalformedRow           a stored row

The message of each is one line: what happened, then the remedy.
"""

from typing import ClassVar, NamedTuple


class DepthError(Exception):
    """Root of the tree; its text is one line for a person."""


class TransientError(DepthError):
    """May pass by itself: try again."""


class ExchangeUnavailable(TransientError):
    """The exchange cannot be reached or asks for patience.

    Attributes:
        retry_after: seconds to wait before the next request, None where the exchange named none.
    """

    def __init__(self, what: str, retry_after: float | None = None) -> None:
        """Say what failed; `retry_after` in seconds."""
        super().__init__(what)
        self.retry_after = retry_after


class CaptureStalled(TransientError):
    """A run captured nothing for too long.

    Attributes:
        seconds: how long.
    """

    def __init__(self, seconds: float) -> None:
        """Say for how long; in seconds."""
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        """Say for how long, then the remedy."""
        return (
            f"nothing was captured for {self.seconds:.0f} s: the lines before say why; start it again (a supervisor "
            "does), and if that does not help ask `python -m depth doctor`"
        )


class StoreUnavailable(TransientError):
    """The store did not take the rows; they stay in the spool.

    Attributes:
        code: in the store's own words, for example ``UNAVAILABLE`` or ``SQLITE_BUSY``.
    """

    def __init__(self, what: str, code: str = "OTHER") -> None:
        """Say what failed, and by which code."""
        super().__init__(what)
        self.code = code


class SpoolFull(TransientError):
    """The spool takes no more rows; those given stay with the caller."""


class ChannelUnavailable(TransientError):
    """A message did not get through to a webhook or chat; its text names the setting and never the address."""


class TerminalError(DepthError):
    """Will not pass by itself; the text says who must do what."""


class AccessRefused(TerminalError):
    """The exchange refuses this machine.

    Attributes:
        status: HTTP status, 451 or 403.
        host: who refuses.
    """

    _REMEDY: ClassVar = {
        451: "run it on a machine in a country that Binance serves, or set BINANCE_REST_URL and BINANCE_WS_URL "
        "to the hosts of binance.us or data-api/data-stream.binance.vision",
        403: "its firewall blocks this address: wait some minutes, then ask for fewer symbols or use another address",
    }

    def __init__(self, status: int, host: str) -> None:
        """Name the refusing host and its HTTP status."""
        super().__init__(status, host)
        self.status = status
        self.host = host

    def __str__(self) -> str:
        """Name the host, then the remedy."""
        remedy = self._REMEDY.get(self.status, "ask the exchange")
        return f"{self.host} refuses this address (HTTP {self.status}): {remedy}"


class StoreRefused(TerminalError):
    """The store says no: a permission, a missing table, a corrupt file.

    Attributes:
        code: in the store's own words, for example ``PERMISSION_DENIED`` or ``SQLITE_CORRUPT``.
    """

    def __init__(self, what: str, code: str = "OTHER") -> None:
        """Say what failed, and by which code."""
        super().__init__(what)
        self.code = code


class DestinationRefused(TerminalError):
    """A directory, bucket or file cannot be written."""


class NothingStored(TerminalError):
    """No row is stored where some were asked for."""


class ChannelRefused(TerminalError):
    """A webhook or chat does not want the message; its text names the setting and never the address.

    Attributes:
        status: HTTP status of its answer, None where it was not asked.
    """

    def __init__(self, what: str, status: int | None = None) -> None:
        """Say what was refused, and by which status."""
        super().__init__(what)
        self.status = status


class UsageError(TerminalError):
    """A setting or an option is wrong."""


class UnknownSymbol(UsageError):
    """The exchange has no such spot market.

    Attributes:
        symbol: as it was asked for.
        host: who does not list it.
    """

    def __init__(self, symbol: str, host: str) -> None:
        """Name the symbol and the host that does not list it."""
        super().__init__(symbol, host)
        self.symbol = symbol
        self.host = host

    def __str__(self) -> str:
        """Name host and symbol, then the remedy."""
        return f"{self.host} lists no spot market {self.symbol}: write it as BASE/QUOTE, for example BTC/USDT"


class TableMismatch(UsageError):
    """The table was begun with other parameters."""

    def __init__(self, table: str, stored: str, wanted: str) -> None:
        """Name the table and both sets of parameters."""
        super().__init__(table, stored, wanted)

    def __str__(self) -> str:
        """Name the table and both, then the remedy."""
        return "table {} holds {}, this run is {}: start a new table with --table-suffix".format(*self.args)


class DataError(DepthError):
    """Bytes that are not what they should be."""


class MalformedFrame(DataError):
    """A stream frame or REST body that is no valid message."""


class MalformedRow(DataError):
    """A stored row that cannot be read back."""


class Trouble(NamedTuple):
    """Something that has been failing for a while.

    Attributes:
        since: UTC second of its first failure.
        error: the last one.
    """

    since: int
    error: Exception
