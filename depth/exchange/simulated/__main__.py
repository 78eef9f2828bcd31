"""`python -m depth.exchange.simulated`: the simulated exchange as a process of its own.

Prints one line with both URLs when it is ready. Exit 0 after SIGTERM, 130 after Ctrl-C, 1 where it cannot listen, 2 for
bad usage.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from depth.errors import UsageError
from depth.exchange.simulated.options import Options, SocketOptions
from depth.exchange.simulated.recording import RecordingSource
from depth.exchange.simulated.server import SimulatedExchange
from depth.exchange.simulated.source import Source
from depth.exchange.simulated.synthetic import SyntheticSource


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _speed(text: str) -> float:
    return 0.0 if text == "max" else float(text)


def _socket(text: str) -> tuple[int, SocketOptions]:
    try:
        number, _, settings = text.partition(":")
        values = dict(setting.split("=", 1) for setting in settings.split(","))
        return int(number), SocketOptions(**{name: int(value) for name, value in values.items()})
    except (ValueError, TypeError, UsageError) as error:
        raise argparse.ArgumentTypeError(f"{text}: write NUMBER:batch=SLOTS,delay_ms=MS") from error


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m depth.exchange.simulated", description="A Binance-shaped spot exchange.")
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--port", type=int, default=0, help="port for REST and streams (default: any free port)")
    add("--symbols", default="BTC/USDT", help="made-up markets, comma separated; SOL/USDT=150.25 sets the first price")
    add("--seed", type=int, default=1, help="another seed, another market (default 1)")
    add("--start", type=float, help="event time of the made-up market's first slot, epoch seconds (default now)")
    add("--since", action="store_true", help="the market has been open since --start: a restart changes nothing")
    add("--recording", type=Path, metavar="DIR", help="play this recording instead")
    add("--shift", choices=("now", "none"), default="now", help="move a recording to now, by whole seconds, or not")
    add("--speed", type=_speed, default=1.0, metavar="N|max", help="market seconds per second (default 1)")
    add("--start-after", type=int, default=0, metavar="N", help="play once N sockets are subscribed (default 0)")
    add("--rest-ahead-ms", type=int, default=0, metavar="MS", help="bodies are ahead of the stream by so much")
    add("--cut-inside-events", action="store_true", help="bodies end inside an event")
    add("--body-levels", type=int, metavar="N", help="levels a side that a body has at most")
    add("--fixed-body", action="store_true", help="every body is the recording's own snapshot")
    add("--socket", type=_socket, action="append", default=[], metavar="N:batch=2,delay_ms=100",
        help="how the N-th socket is served; may be repeated")  # fmt: skip
    return parser


def _source(arguments: argparse.Namespace) -> Source:
    if arguments.recording:
        return RecordingSource(arguments.recording, shift=arguments.shift == "now")
    start = None if arguments.start is None else int(arguments.start * 1000)
    return SyntheticSource(tuple(arguments.symbols.split(",")), arguments.seed, start, arguments.since)


def _options(arguments: argparse.Namespace) -> Options:
    return Options(
        host=arguments.host,
        port=arguments.port,
        speed=arguments.speed,
        start_after=arguments.start_after,
        rest_ahead_ms=arguments.rest_ahead_ms,
        cut_inside_events=arguments.cut_inside_events,
        body_levels=arguments.body_levels,
        fixed_body=arguments.fixed_body,
        sockets=dict(arguments.socket),
    )


def _stop(stopped: asyncio.Future[int], code: int) -> None:
    if not stopped.done():
        stopped.set_result(code)


async def _run(source: Source, options: Options, what: str) -> int:
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stopped, code)
    async with SimulatedExchange(source, options) as exchange:
        sys.stdout.write(f"simulated exchange on {exchange.rest_url} and {exchange.ws_url}; {what}\n")
        sys.stdout.flush()
        return await stopped


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal comes; return the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        source, options = _source(arguments), _options(arguments)
    except UsageError as error:
        parser.error(str(error))
    symbols = ", ".join(listing.symbol for listing in source.listings)
    story = f"recording {arguments.recording.name}" if arguments.recording else f"seed {arguments.seed}"
    speed = f"speed {options.speed:g}" if options.speed else "speed max"
    try:
        return asyncio.run(_run(source, options, f"{symbols}, {story}, {speed}"))
    except OSError as error:
        sys.stderr.write(f"{parser.prog}: cannot listen on port {options.port} ({error.strerror}): name another\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
