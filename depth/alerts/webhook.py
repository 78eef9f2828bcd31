"""The structured webhook: JSON, signed where there is a secret; a Slack incoming webhook takes it as it stands."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable

from depth.alerts.base import Alert
from depth.alerts.outbound import Outbound

SIGNATURE = "X-Depth-Signature"


class WebhookChannel:
    """Posts each message to ALERT_WEBHOOK_URL."""

    name = "webhook"

    def __init__(self, url: str, secret: str | None = None, clock: Callable[[], float] = time.time) -> None:
        """Take the address; nothing is sent.

        Args:
            url: http or https.
            secret: for signatures; None for none.
            clock: UTC seconds, for the signature.

        Raises:
            UsageError: it is no http or https address.
        """
        self._outbound = Outbound(url, "ALERT_WEBHOOK_URL")
        self._secret = secret
        self._clock = clock

    async def send(self, alert: Alert) -> None:
        """See `Channel.send`."""
        body = json.dumps(alert.body(), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json"}
        if self._secret is not None:
            headers[SIGNATURE] = signature(self._secret, int(self._clock()), body)
        await self._outbound.request("POST", body, headers)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Sign a body: ``t=1768054365,v1=`` and HMAC-SHA256 in hex over ``timestamp.body``.

    Args:
        secret: ALERT_WEBHOOK_SECRET.
        timestamp: UTC second of the sending; a receiver may refuse an old one.
        body: as it is sent.
    """
    mac = hmac.new(secret.encode(), b"%d.%b" % (timestamp, body), hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"
