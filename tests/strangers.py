"""Hosts that are not Binance."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def answering(
    body: str, status: int = 200, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> AsyncIterator[str]:
    """Answer every request alike, and count them in nobody's favour.

    Yields:
        ``http://127.0.0.1:PORT``.
    """

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, status=status, content_type=content_type, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
