"""An echo server of the library `websockets`, as its documentation has it."""

import asyncio
import os

from websockets.asyncio.server import serve

# Autobahn's test suite sends messages of up to 16 MB.
MOST = 1 << 25


async def echo(websocket) -> None:
    try:
        async for message in websocket:
            await websocket.send(message)
    finally:
        print(f"websocket closed: {websocket.close_code}", flush=True)


async def main() -> None:
    host, port = os.environ.get("HOST", "0.0.0.0"), int(os.environ["PORT"])
    async with serve(echo, host, port, max_size=MOST) as server:
        print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


asyncio.run(main())
