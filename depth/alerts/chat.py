"""Chats, pagers and mail, by apprise: https://appriseit.com/services/.

Import it only where ALERT_URLS is set: apprise and its services take over a second and 40 MB.
"""

import asyncio
import hashlib
import logging
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, PersistentStoreMode

from depth.alerts.base import Alert
from depth.errors import ChannelUnavailable, UsageError

_SECONDS = 15.0
# A comma may be a part of an address; one that stands before the next address is not.
_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z0-9]{1,32}://)")
# They say whole addresses, from DEBUG to ERROR.
_TALKERS = ("apprise", "urllib3.connectionpool", "urllib3.util.retry", "requests_oauthlib.oauth1_session")

_silent = ContextVar("silent", default=False)


class ChatChannel:
    """Sends each message to one address, in a thread: apprise blocks.

    Attributes:
        name: see `Channel`; of the address and not of its place, since another may be put before it while a message
            is on its way.
    """

    def __init__(self, url: str, which: str, seconds: float = _SECONDS) -> None:
        """Take the address; nothing is sent.

        Args:
            url: as apprise takes it.
            which: what errors call it instead.
            seconds: bound of one message.

        Raises:
            UsageError: apprise does not know such an address.
        """
        self.name = f"chat-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
        self._which = which
        self._seconds = seconds
        self._apprise = Apprise(asset=AppriseAsset(http_redirects=False, storage_mode=PersistentStoreMode.MEMORY))
        with _silence():
            known = self._apprise.add(url)
        if not known:
            raise UsageError(f"{which} is none that apprise knows: see https://appriseit.com/services/")

    async def send(self, alert: Alert) -> None:
        """See `Channel.send`."""
        taken: Future[bool] = Future()
        taken.set_running_or_notify_cancel()  # from here on nobody can cancel it, and the thread may always answer
        # A daemon: a service that never answers must not hold up the end of the process, as a pool's thread would.
        threading.Thread(target=self._notify, args=(alert, taken), name="alert-chat", daemon=True).start()
        try:
            async with asyncio.timeout(self._seconds):
                if await asyncio.wrap_future(taken):
                    return
        except TimeoutError:
            raise ChannelUnavailable(f"{self._which} does not answer within {self._seconds:g} s") from None
        raise ChannelUnavailable(f"{self._which} did not take it: try the address with the command `apprise -vv`")

    def _notify(self, alert: Alert, taken: "Future[bool]") -> None:
        kind = NotifyType.SUCCESS if alert.event.endswith(".resolved") else NotifyType.WARNING
        sent = False
        try:
            with _silence():
                told = self._apprise.notify(
                    alert.text, title=f"depth: {alert.event}", notify_type=kind, body_format=NotifyFormat.TEXT
                )
            sent = told is True
        finally:
            taken.set_result(sent)


def split(urls: str) -> list[str]:
    """Split ALERT_URLS at spaces and commas."""
    return [url for url in _BETWEEN.split(urls.strip(" \t\r\n,")) if url]


@contextmanager
def _silence() -> Iterator[None]:
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def _is_heard(_: logging.LogRecord) -> bool:
    return not _silent.get()


for _name in _TALKERS:
    logging.getLogger(_name).addFilter(_is_heard)
