"""REST faults and the error bodies of the exchange. Pure."""

from dataclasses import dataclass

_DEFAULT_RETRY_AFTER = {418: 120, 429: 10}


@dataclass(slots=True)
class RestFault:
    """One thing that is wrong with coming requests.

    Attributes:
        path: requests whose path begins so.
        status: HTTP status to answer with; 0 = none.
        retry_after: seconds for the Retry-After header.
        delay: seconds to wait before anything else.
        stale: serve the opening body.
        left: number of requests; None = no limit.
        until: time of the event loop's clock; None = no limit.
    """

    path: str
    status: int = 0
    retry_after: int | None = None
    delay: float = 0.0
    stale: bool = False
    left: int | None = None
    until: float | None = None


class RestFaults:
    """The REST faults that are set, oldest first."""

    def __init__(self) -> None:
        """Begin without any."""
        self._faults: list[RestFault] = []

    def add(self, fault: RestFault) -> None:
        """Set a fault."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Take all back."""
        self._faults.clear()

    def take(self, path: str, now: float) -> list[RestFault]:
        """Return what hits a request to `path` at `now` (s): of every kind the oldest, used up by one."""
        self._faults = [
            fault
            for fault in self._faults
            if fault.left != 0 and (fault.left is None or fault.left > 0) and (fault.until is None or now < fault.until)
        ]
        hits: dict[tuple[bool, bool, bool], RestFault] = {}
        for fault in self._faults:
            if path.startswith(fault.path):
                hits.setdefault((fault.status > 0, fault.delay > 0, fault.stale), fault)
        for fault in hits.values():
            if fault.left is not None:
                fault.left -= 1
        return list(hits.values())


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer.

    Attributes:
        status: HTTP status.
        body: as Binance words it.
        content_type: of the body.
        retry_after: seconds, None = no such header.
    """

    status: int
    body: str
    content_type: str = "application/json"
    retry_after: int | None = None


def refusal(status: int, now_ms: int, retry_after: int | None = None) -> Refusal:
    """Return what Binance answers with an HTTP status; `now_ms` dates the end of a ban."""
    wait = _DEFAULT_RETRY_AFTER.get(status) if retry_after is None else retry_after
    if status == 403:  # noqa: PLR2004 - the web application firewall answers in HTML
        page = (
            '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN" "http://www.w3.org/TR/html4/loose.dtd">\n'
            "<HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD>\n"
            "<BODY><H1>403 ERROR</H1><H2>The request could not be satisfied.</H2>Request blocked.</BODY></HTML>"
        )
        return Refusal(status, page, "text/html", wait)
    return Refusal(status, _ERRORS[status].replace("UNTIL", str(now_ms + 1000 * (wait or 0))), retry_after=wait)


def error_body(code: int, message: str) -> str:
    """Write an error as the API does: ``{"code":-1121,"msg":"Invalid symbol."}``."""
    return f'{{"code":{code},"msg":"{message}"}}'


_ERRORS = {
    418: error_body(
        -1003,
        "Way too much request weight used; IP banned until UNTIL. "
        "Please use WebSocket Streams for live updates to avoid bans.",
    ),
    429: error_body(
        -1003,
        "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
    ),
    451: error_body(
        0,
        "Service unavailable from a restricted location according to 'b. Eligibility' in "
        "https://www.binance.com/en/terms. Please contact customer service if you believe you received this message "
        "in error.",
    ),
    500: error_body(-1000, "An unknown error occurred while processing the request."),
    503: error_body(-1008, "Server is currently overloaded with other requests. Please try again in a few minutes."),
}
