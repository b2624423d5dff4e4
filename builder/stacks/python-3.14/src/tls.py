"""TLS of clients that do not use `ssl.SSLContext.wrap_socket`: asyncio's and anyio's connections, by a name that asks the
host for it."""

import asyncio
import functools
import socket
import ssl

import patches

_create_connection = asyncio.BaseEventLoop.create_connection


@functools.wraps(_create_connection)
async def _connect(
    self: asyncio.BaseEventLoop, protocol_factory: object, host: str | None = None, port: int | None = None, *,
    ssl: object = None, sock: socket.socket | None = None, server_hostname: str | None = None, **options: object,
) -> tuple:
    if ssl:
        if sock is not None:  # Whoever connected it has sent nothing.
            port = sock.getpeername()[1]
            sock.close()
        if not (host := server_hostname or host):
            raise ValueError("You must set server_hostname when using ssl without a host")
        host, sock = _name_for(host), None
        for name in ("family", "ssl_handshake_timeout", "ssl_shutdown_timeout", "local_addr"):
            options.pop(name, None)
    return await _create_connection(self, protocol_factory, host, port, sock=sock, **options)


_name_for = ssl.name_for


def _anyio(module: object) -> None:
    async def wrap(
        cls: type, transport_stream: object, *, server_side: bool | None = None, hostname: str | None = None,
        ssl_context: object = None, standard_compatible: bool = True,
    ) -> object:
        from anyio import connect_tcp
        from anyio.abc import SocketAttribute

        if server_side or not hostname:
            raise NotImplementedError("There is no TLS inside a dyno but for clients that name the server")
        port = transport_stream.extra(SocketAttribute.remote_port)
        await transport_stream.aclose()
        return await connect_tcp(_name_for(hostname), port)

    module.TLSStream.wrap = classmethod(wrap)


def install() -> None:
    """Changes what there is, and what will be imported."""
    asyncio.BaseEventLoop.create_connection = _connect
    patches.LATER["anyio.streams.tls"] = _anyio
