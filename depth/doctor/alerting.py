"""Would anybody be told: the webhook is asked, chats are read; nothing is sent to people."""

from collections.abc import Sequence
from http import HTTPStatus

from depth.alerts.open import open_channels
from depth.alerts.options import AlertOptions
from depth.alerts.outbound import Outbound
from depth.doctor.finding import Finding, fail, ok, warn
from depth.errors import ChannelRefused, DepthError

# What a receiver of messages says to a request that carries none.
_NO_MESSAGE = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}


async def check(options: AlertOptions) -> Sequence[Finding]:
    """See whether the addresses are addresses, and whether the webhook answers."""
    try:
        channels = open_channels(options)
        if options.webhook_url:
            await Outbound(options.webhook_url, "ALERT_WEBHOOK_URL").request("GET")
    except ChannelRefused as error:
        if error.status not in _NO_MESSAGE:
            return [fail("alerts", str(error))]
    except DepthError as error:
        return [fail("alerts", str(error))]
    if not channels:
        return [warn("alerts", "nobody is told what goes wrong: set ALERT_WEBHOOK_URL or ALERT_URLS")]
    said = ["ALERT_WEBHOOK_URL answers"] if options.webhook_url else []
    if chats := len(channels) - len(said):
        said.append(f"{chats} of ALERT_URLS can be read, and were not asked")
    return [ok("alerts", "; ".join(said))]
