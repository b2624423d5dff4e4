"""An app of Starlette's, served by `uvicorn main:app` as anywhere."""

import asyncio
import os
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

AT_ONCE = 8


class Sleepers:
    """Lets nobody wake before all are asleep."""

    def __init__(self) -> None:
        self.asleep = 0
        self.all_are = asyncio.Event()


async def hello(request: Request) -> Response:
    return PlainTextResponse(f"hello from {os.environ['DYNO']} for {request.client.host}")


async def port(request: Request) -> Response:
    """Another one for each connection. With `?pair` two requests wait for each other."""
    if "pair" in request.query_params:
        await request.app.state.pair.wait()
    return PlainTextResponse(str(request.client.port))


async def sleep(request: Request) -> Response:
    sleepers: Sleepers = request.app.state.sleepers
    sleepers.asleep += 1
    if sleepers.asleep == AT_ONCE:
        sleepers.all_are.set()
    await asyncio.sleep(0.5)
    await sleepers.all_are.wait()
    return PlainTextResponse("slept")


async def echo(request: Request) -> Response:
    return Response(b"".join([piece async for piece in request.stream()]))


async def events(request: Request) -> Response:
    async def ticks():
        number = 0
        try:
            while True:
                number += 1
                yield f"data: {number}\n\n"
                await asyncio.sleep(0.001)
        finally:
            print("nobody listens any more", flush=True)

    return StreamingResponse(ticks(), media_type="text/event-stream")


def blocking(request: Request) -> Response:
    """Starlette hands this to a thread, and there is none."""
    return PlainTextResponse("blocking")


async def names(request: Request) -> Response:
    """asyncio looks names up in a thread."""
    found = await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
    return PlainTextResponse(found[0][4][0])


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 0))
            await websocket.send({**message, "type": "websocket.send"})
    except WebSocketDisconnect as gone:
        print(f"websocket closed: {gone.code}", flush=True)


@asynccontextmanager
async def started(app: Starlette):
    app.state.sleepers = Sleepers()
    app.state.pair = asyncio.Barrier(2)
    print("lifespan began", flush=True)
    yield

app = Starlette(
    routes=[
        Route("/", hello),
        Route("/port", port),
        Route("/sleep", sleep),
        Route("/echo", echo, methods=["POST"]),
        Route("/events", events),
        Route("/blocking", blocking),
        Route("/names", names),
        WebSocketRoute("/ws", socket),
    ],
    lifespan=started,
)
