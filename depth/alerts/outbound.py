"""Requests to addresses that a person configured: http(s) only, no redirects, nothing link-local, bounded in time.

An address holds a secret (a Slack webhook is nothing else), so no error and no log line names it. The request goes
straight through httpx's transport: its client would log the address of every request.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import httpx

from depth.errors import ChannelRefused, ChannelUnavailable, UsageError

_SECONDS = 5.0
_PORTS = {"http": 80, "https": 443}
_TRY_AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
# IPv6 ranges whose last 32 bits are an IPv4 address: compatible, mapped, translated (RFC 4291, RFC 6052).
_EMBEDDING = [ipaddress.IPv6Network(net) for net in ("::/96", "::ffff:0:0/96", "64:ff9b::/96")]


class Outbound:
    """One address."""

    def __init__(self, url: str, setting: str, seconds: float = _SECONDS) -> None:
        """Take the address; nothing is sent.

        Args:
            url: http or https.
            setting: what it is called in the environment; errors say this instead of the address.
            seconds: bound of one request, all in all.

        Raises:
            UsageError: it is no http or https address.
        """
        try:
            self._url = httpx.URL(url)
        except (httpx.InvalidURL, UnicodeError):
            self._url = httpx.URL()
        if self._url.scheme not in _PORTS or not self._url.host:
            raise UsageError(f"{setting} is no http or https address: write https://host/path")
        self._host = self._url.raw_host.decode()
        self._setting = setting
        self._seconds = seconds

    async def request(self, method: str, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Make one request.

        Args:
            method: ``GET`` or ``POST``.
            content: its body.
            headers: further ones.

        Raises:
            ChannelUnavailable: no connection, no answer in time, or an answer other than 2xx and 4xx.
            ChannelRefused: 4xx other than 408 and 429, or a link-local address.
        """
        try:
            async with asyncio.timeout(self._seconds):
                status = await self._first_that_answers(method, content, headers or {})
        except TimeoutError:
            raise ChannelUnavailable(f"{self._setting} does not answer within {self._seconds:g} s") from None
        except (httpx.ConnectError, OSError) as error:
            raise ChannelUnavailable(f"{self._setting} cannot be reached ({error})") from None
        except httpx.TransportError as error:  # its text may hold what was sent
            raise ChannelUnavailable(f"{self._setting} cannot be asked ({type(error).__name__})") from None
        self._judge(status)

    async def _first_that_answers(self, method: str, content: bytes, headers: Mapping[str, str]) -> int:
        """Ask the first address of the host that accepts a connection; give its status."""
        addresses = await self._addresses()
        tls = await asyncio.to_thread(httpx.create_ssl_context)  # reads some hundred certificates
        async with httpx.AsyncHTTPTransport(verify=tls) as transport:
            for address in addresses[:-1]:
                try:
                    return await _status(transport, self._request(address, method, content, headers))
                except httpx.ConnectError:
                    continue
            return await _status(transport, self._request(addresses[-1], method, content, headers))

    async def _addresses(self) -> Sequence[str]:
        """Look the host up, once: what is checked here is what is connected to.

        Were the name looked up again for the connection, its owner could give another address then.
        """
        port = self._url.port or _PORTS[self._url.scheme]
        found = await asyncio.get_running_loop().getaddrinfo(self._host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        if any(map(is_link_local, addresses)):
            # 169.254.169.254 tells programs on a cloud machine its owner's secrets.
            raise ChannelRefused(f"{self._setting} leads to a link-local address, where no receiver is: correct it")
        return addresses

    def _request(self, address: str, method: str, content: bytes, headers: Mapping[str, str]) -> httpx.Request:
        request = httpx.Request(
            method,
            self._url.copy_with(host=address),
            headers={"Host": self._url.netloc.decode(), "User-Agent": "depth-collector", **headers},
            content=content,
            extensions={"sni_hostname": self._host},
        )
        if self._url.userinfo:
            request = next(httpx.BasicAuth(self._url.username, self._url.password).auth_flow(request))
        return request

    def _judge(self, status: int) -> None:
        said = f"{self._setting} answers HTTP {status}"
        if HTTPStatus(200) <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        if status < HTTPStatus.BAD_REQUEST:
            raise ChannelUnavailable(f"{said}: redirects are not followed, name the place that it leads to")
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _TRY_AGAIN:
            raise ChannelRefused(f"{said}: see whether the address is still valid", status)
        raise ChannelUnavailable(said)


async def _status(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> int:
    response = await transport.handle_async_request(request)
    await response.aclose()
    return response.status_code


def is_link_local(address: str) -> bool:
    """Say whether an IP address is link-local, also where IPv6 hides an IPv4 one."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        hidden = ip.sixtofour
        if any(ip in net for net in _EMBEDDING):
            hidden = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        return ip.is_link_local or (hidden is not None and hidden.is_link_local)
    return ip.is_link_local
