"""An echo server of the library `websockets`, as its documentation has it."""

import asyncio
import os

from websockets.asyncio.server import serve


async def echo(websocket) -> None:
    try:
        async for message in websocket:
            await websocket.send(message)
    finally:
        print(f"websocket closed: {websocket.close_code}", flush=True)


async def main() -> None:
    async with serve(echo, "0.0.0.0", int(os.environ["PORT"])) as server:
        await server.serve_forever()


asyncio.run(main())
