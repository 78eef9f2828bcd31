"""A client that is gone before the exchange has answered it."""

import asyncio
import logging
import socket
import struct
import time

import pytest

from depth.exchange.simulated import SyntheticSource
from tests.live import Exchange, until

_HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_a_client_that_leaves_during_the_handshake_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Its request and its reset arrive together, as where the exchange was held up: nothing is logged."""
    caplog.set_level(logging.INFO)
    async with Exchange(SyntheticSource(), None) as exchange:
        with socket.create_connection(("127.0.0.1", exchange.port)) as client:
            await asyncio.sleep(0.1)  # accepted
            client.sendall(_HANDSHAKE.encode())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.1)  # noqa: ASYNC251  # the loop is held up, and finds both
        await until(lambda: exchange.state.connections == 1)
        await until(lambda: not exchange.state.open)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
