"""Ways to a Bigtable emulator that can be made to fail: by TCP, and by gRPC."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]
from google.cloud.bigtable_v2.types import MutateRowsRequest, MutateRowsResponse
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

_CHUNK = 65_536
_BULK = "/google.bigtable.v2.Bigtable/MutateRows"


class Door:
    """A TCP proxy on a port of its own.

    Attributes:
        host: ``127.0.0.1:PORT``, open or shut.
        delay: seconds by which each answer is late.
    """

    def __init__(self, target: str) -> None:
        self.host = ""
        self.delay = 0.0
        self._target = target.rsplit(":", 1)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._hangs = False
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Let connections in, and through."""
        self._hangs = False
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]
            self.host = f"127.0.0.1:{self._port}"

    def shut(self) -> None:
        """Refuse connections, and reset those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._cut()

    def hang(self) -> None:
        """Accept connections, take what they send and answer nothing; those that there are fall silent."""
        self._hangs = True

    def let_go(self) -> None:
        """Go on after a hang: what was swallowed is gone, so connections begin anew."""
        self._hangs = False
        self._cut()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            theirs, ours = await asyncio.open_connection(self._target[0], int(self._target[1]))
            self._writers.add(ours)
            await asyncio.gather(self._pass(reader, ours), self._pass(theirs, writer, answers=True))
            self._writers.discard(ours)
        self._writers.discard(writer)
        writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        try:
            while data := await reader.read(_CHUNK):
                if answers:
                    await asyncio.sleep(self.delay)
                if not self._hangs:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def door(target: str) -> AsyncIterator[Door]:
    """Open a door to a server."""
    opened = Door(target)
    await opened.open()
    try:
        yield opened
    finally:
        opened.shut()


class Front(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc is untyped
    """A gRPC server that passes every call on, or answers it with a status.

    Attributes:
        status: of every answer; None to pass calls on.
        fails: says of each row of a bulk, by its place, whether it fails, with UNAVAILABLE as Bigtable does.
        host: ``127.0.0.1:PORT``.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.status: grpc.StatusCode | None = None
        self.fails: Callable[[int], bool] | None = None
        self.host = ""
        self._channel = channel

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Take every method: on the wire a unary call is a stream of one message."""
        method = handler_call_details.method

        async def handle(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
            if self.status is not None:
                await context.abort(self.status, "as the fault bench wishes")
            if self.fails is not None and method == _BULK:
                async for response in self._partly(requests, context):
                    yield response
                return
            try:
                async for response in self._call(method, requests, context):
                    yield response
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")

        return grpc.stream_stream_rpc_method_handler(handle)

    def _call(
        self, method: str, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        metadata = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-goog")]
        call: AsyncIterator[bytes] = self._channel.stream_stream(method)(requests, metadata=metadata)
        return call

    async def _partly(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        """Pass on the rows that do not fail."""
        assert self.fails is not None
        request = MutateRowsRequest.deserialize(await anext(aiter(requests)))
        failing = {index for index in range(len(request.entries)) if self.fails(index)}
        passed = [index for index in range(len(request.entries)) if index not in failing]
        yield MutateRowsResponse.serialize(_answer(failing, grpc.StatusCode.UNAVAILABLE))
        request.entries = [request.entries[index] for index in passed]
        if passed:
            async for raw in self._call(_BULK, _one(MutateRowsRequest.serialize(request)), context):
                response = MutateRowsResponse.deserialize(raw)
                for entry in response.entries:
                    entry.index = passed[entry.index]
                yield MutateRowsResponse.serialize(response)


def _answer(rows: Collection[int], status: grpc.StatusCode) -> MutateRowsResponse:
    said = Status(code=status.value[0], message="as the fault bench wishes")
    return MutateRowsResponse(entries=[MutateRowsResponse.Entry(index=index, status=said) for index in rows])


async def _one(message: bytes) -> AsyncIterator[bytes]:
    yield message


@asynccontextmanager
async def front(target: str) -> AsyncIterator[Front]:
    """Put a gRPC server in front of another."""
    async with grpc.aio.insecure_channel(target) as channel:
        server, handler = grpc.aio.server(), Front(channel)
        server.add_generic_rpc_handlers((handler,))
        handler.host = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield handler
        finally:
            await server.stop(None)
