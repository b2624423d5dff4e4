"""Messages of PostgreSQL's protocol 3.0, as a client writes and reads them."""

import struct
from collections.abc import Sequence

from psycopg.pq.misc import PGresAttDesc

Buffer = bytes | bytearray | memoryview

_int32 = struct.Struct("!i")
_head = struct.Struct("!ci")
SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"
SYNC = b"S\0\0\0\4"
TERMINATE = b"X\0\0\0\4"
COPY_DONE = b"c\0\0\0\4"
EXECUTE = b"E\0\0\0\x09\0\0\0\0\0"


def message(kind: bytes, *parts: Buffer) -> bytes:
    """One message."""
    return _head.pack(kind, 4 + sum(map(len, parts))) + b"".join(parts)


def startup(parameters: dict[bytes, bytes]) -> bytes:
    """The first message."""
    body = b"".join(name + b"\0" + value + b"\0" for name, value in parameters.items()) + b"\0"
    return struct.pack("!ii", 8 + len(body), 196608) + body


def cancel(process: int, secret: bytes) -> bytes:
    """What a connection of its own sends to end another's query."""
    return struct.pack("!iii", 12 + len(secret), 80877102, process) + secret


def query(command: bytes) -> bytes:
    """Simple: may have many commands."""
    return message(b"Q", command, b"\0")


def parse(name: bytes, command: bytes, types: Sequence[int] | None) -> bytes:
    """Prepares a command."""
    return message(b"P", name, b"\0", command, b"\0", struct.pack(f"!h{len(types or ())}I", len(types or ()), *types or ()))


def bind(
    name: bytes, values: Sequence[Buffer | None] | None, formats: Sequence[int] | None, result_format: int
) -> bytes:
    """Binds values to a prepared command."""
    values, formats = values or (), formats or ()
    if len(values) > 65535:
        raise ValueError("number of parameters must be between 0 and 65535")
    parts: list[Buffer] = [b"\0", name, b"\0", struct.pack(f"!H{len(formats)}h", len(formats), *formats)]
    parts.append(struct.pack("!H", len(values)))
    for value in values:
        if value is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            parts += (_int32.pack(len(value)), value)
    parts.append(struct.pack("!hh", 1, result_format))
    return message(b"B", *parts)


def describe(kind: bytes, name: bytes) -> bytes:
    """Asks for the form of a prepared command ("S") or a portal ("P")."""
    return message(b"D", kind, name, b"\0")


def columns(body: memoryview) -> list[PGresAttDesc]:
    """Of RowDescription."""
    (count,) = struct.unpack_from("!h", body)
    data, offset, found = bytes(body), 2, []
    for _ in range(count):
        end = data.index(b"\0", offset)
        table, column, kind, length, modifier, form = struct.unpack_from("!IhIhih", data, end + 1)
        found.append(PGresAttDesc(data[offset:end], table, column, form, kind, length, modifier))
        offset = end + 19
    return found


def copied(body: memoryview) -> list[PGresAttDesc]:
    """Of CopyInResponse, CopyOutResponse: columns of which only the format is known."""
    (count,) = struct.unpack_from("!h", body, 1)
    return [PGresAttDesc(b"", 0, 0, form, 0, 0, 0) for form in struct.unpack_from(f"!{count}h", body, 3)]


def row(body: memoryview) -> list[bytes | None]:
    """Of DataRow."""
    (count,) = struct.unpack_from("!h", body)
    offset, values = 2, []
    for _ in range(count):
        (length,) = _int32.unpack_from(body, offset)
        offset += 4
        if length < 0:
            values.append(None)
        else:
            values.append(bytes(body[offset : offset + length]))
            offset += length
    return values


def diagnostics(body: memoryview) -> dict[int, bytes]:
    """Of ErrorResponse and NoticeResponse."""
    return {field[0]: field[1:] for field in bytes(body).split(b"\0") if field}
