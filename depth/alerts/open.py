"""Make what is set, and import no more than it needs: httpx takes 9 MB, apprise 40 MB and over a second."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depth import tables
from depth.alerts.base import Channel
from depth.alerts.board import Board, Place
from depth.alerts.cells import SpoolCells, StoredCells
from depth.alerts.delivery import Dispatcher
from depth.alerts.options import AlertOptions
from depth.storage.base import Store

if TYPE_CHECKING:
    from depth.alerts.outbound import Outbound


@dataclass(frozen=True, slots=True)
class Boards:
    """Makes the boards of one process.

    Attributes:
        options: who says it.
        dispatcher: the ways to people.
        clock: UTC seconds.
    """

    options: AlertOptions
    dispatcher: Dispatcher
    clock: Callable[[], float] = time.time

    def of_table(self, store: Store, table: str, symbol: str) -> Board:
        """Make the board of a depth table; it is kept in the companion that holds `_meta`, which must be there."""
        place = Place(symbol, table, self.options.environment, self.options.installation)
        return Board(place, StoredCells(store, tables.collectors_table(table)), self.dispatcher, clock=self.clock)

    def of_spool(self, store: Store, symbols: Iterable[str]) -> Board:
        """Make the board of a run's end of the spool; it is kept in the spool file, which `store` must be over."""
        names = ",".join(symbols)
        place = Place(names, names, self.options.environment, self.options.environment)
        return Board(place, SpoolCells(store), self.dispatcher, clock=self.clock)


def open_heartbeat(options: AlertOptions) -> "Outbound | None":
    """Make the address that is asked while all is well; None where none is set.

    Raises:
        UsageError: an address that is none.
    """
    if not options.heartbeat_url:
        return None
    from depth.alerts.outbound import Outbound  # noqa: PLC0415

    return Outbound(options.heartbeat_url, "HEARTBEAT_URL")


def open_channels(options: AlertOptions) -> list[Channel]:
    """Make the channels; nothing is sent yet.

    Raises:
        UsageError: an address that is none.
    """
    channels: list[Channel] = []
    if options.webhook_url:
        from depth.alerts.webhook import WebhookChannel  # noqa: PLC0415  # see the module's docstring

        channels.append(WebhookChannel(options.webhook_url, options.webhook_secret))
    if options.chat_urls:
        from depth.alerts.chat import ChatChannel, split  # noqa: PLC0415

        urls = split(options.chat_urls)
        channels += [ChatChannel(url, f"ALERT_URLS, address {number}") for number, url in enumerate(urls, 1)]
    return channels
