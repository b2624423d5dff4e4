"""The smallest server on asyncio: a text for each request, and every byte back after an upgrade."""

import asyncio
import os

RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"


class Server(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport, self.head, self.is_upgraded = transport, b"", False

    def data_received(self, data: bytes) -> None:
        if self.is_upgraded:
            self.transport.write(data)
            return
        self.head += data
        while b"\r\n\r\n" in self.head:
            head, _, self.head = self.head.partition(b"\r\n\r\n")
            if head.startswith(b"GET /spin "):
                while True:
                    pass
            self.is_upgraded = b"upgrade: echo" in head.lower()
            self.transport.write(SWITCHED if self.is_upgraded else RESPONSE)


async def main() -> None:
    loop = asyncio.get_running_loop()
    host, port = os.environ.get("HOST", "0.0.0.0"), int(os.environ["PORT"])
    server = await loop.create_server(Server, host, port, backlog=1024)
    await server.serve_forever()


asyncio.run(main())
