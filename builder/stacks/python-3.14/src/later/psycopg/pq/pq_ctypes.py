"""Stands in for psycopg's binding to libpq, which is native code: the protocol in Python (`_wire_*`)."""

import socket
from collections.abc import Sequence

from psycopg import errors as e
from psycopg.pq import _wire_messages as wire
from psycopg.pq._enums import ConnStatus, Format, Ping
from psycopg.pq._wire_conn import Wire, of_types
from psycopg.pq._wire_conninfo import Conninfo
from psycopg.pq._wire_messages import Buffer
from psycopg.pq._wire_result import PGresult

__all__ = ("Conninfo", "Escaping", "PGcancel", "PGcancelConn", "PGconn", "PGresult", "version")
__impl__ = "python"
_VERSION = 130000
__build_version__ = _VERSION


def version() -> int:
    """The libpq that it is like."""
    return _VERSION


class PGconn(Wire):
    """Of `psycopg.pq.abc`."""

    @classmethod
    def connect_start(cls, conninfo: bytes) -> "PGconn":
        """Begins."""
        if not isinstance(conninfo, bytes):
            raise TypeError(f"bytes expected, got {type(conninfo)} instead")
        return cls(conninfo)

    @classmethod
    def connect(cls, conninfo: bytes) -> "PGconn":
        """Waits until it is connected, or bad."""
        conn = cls.connect_start(conninfo)
        while conn.status not in (ConnStatus.OK, ConnStatus.BAD):
            conn.connect_poll()
            if conn.status not in (ConnStatus.OK, ConnStatus.BAD):
                conn._wait_to_connect()
        return conn

    def _wait_to_connect(self) -> None:
        import select

        select.select([self.socket], [self.socket] if self._out else [], [])

    def reset(self) -> None:
        """Connects anew."""
        self.reset_start()
        while self.status not in (ConnStatus.OK, ConnStatus.BAD):
            self.connect_poll()
            if self.status not in (ConnStatus.OK, ConnStatus.BAD):
                self._wait_to_connect()

    def reset_start(self) -> None:
        """Begins anew."""
        handlers = self.notice_handler, self.notify_handler
        self.finish()
        self.__init__(self._conninfo)
        self.notice_handler, self.notify_handler = handlers

    reset_poll = Wire.connect_poll

    @classmethod
    def ping(cls, conninfo: bytes) -> int:
        """Whether the server takes connections."""
        conn = cls.connect(conninfo)
        answered = conn.status == ConnStatus.OK or b"failed: FATAL" in conn.error_message
        conn.finish()
        return Ping.OK if answered else Ping.NO_RESPONSE

    db = property(lambda self: self._option("dbname"))
    user = property(lambda self: self._option("user"))
    password = property(lambda self: self._option("password"))
    host = property(lambda self: self._option("host"))
    hostaddr = property(lambda self: self._option("hostaddr"))
    port = property(lambda self: self._option("port"))
    options = property(lambda self: self._option("options"))
    tty = property(lambda self: b"")
    pgconn_ptr = property(lambda self: None)
    protocol_version = property(lambda self: 3)
    full_protocol_version = property(lambda self: 30000)
    used_gssapi = ssl_in_use = property(lambda self: False)

    def send_query(self, command: bytes) -> None:
        """One or more commands, without values."""
        _bytes(command)
        self._send("query", wire.query(command))

    def send_query_params(
        self,
        command: bytes,
        param_values: Sequence[Buffer | None] | None,
        param_types: Sequence[int] | None = None,
        param_formats: Sequence[int] | None = None,
        result_format: int = Format.TEXT,
    ) -> None:
        """A command with values."""
        _bytes(command)
        of_types(param_values, param_types)
        bound = wire.bind(b"", param_values, param_formats, result_format)
        parsed = wire.parse(b"", command, param_types)
        self._send("query", parsed, bound, wire.describe(b"P", b""), wire.EXECUTE, wire.SYNC)

    def send_prepare(self, name: bytes, command: bytes, param_types: Sequence[int] | None = None) -> None:
        """Prepares a command."""
        self._send("prepare", wire.parse(name, command, param_types), wire.SYNC)

    def send_query_prepared(
        self,
        name: bytes,
        param_values: Sequence[Buffer | None] | None,
        param_formats: Sequence[int] | None = None,
        result_format: int = Format.TEXT,
    ) -> None:
        """A command that was prepared."""
        _bytes(name)
        bound = wire.bind(name, param_values, param_formats, result_format)
        self._send("query", bound, wire.describe(b"P", b""), wire.EXECUTE, wire.SYNC)

    def send_describe_prepared(self, name: bytes) -> None:
        """Asks for the form of a prepared command."""
        self._send("describe", wire.describe(b"S", name), wire.SYNC)

    def send_describe_portal(self, name: bytes) -> None:
        """Asks for the form of a cursor."""
        self._send("describe", wire.describe(b"P", name), wire.SYNC)

    def exec_(self, command: bytes) -> PGresult:
        """`send_query`, and its last result."""
        self.send_query(command)
        return self._last()

    def exec_params(self, *args: object, **options: object) -> PGresult:
        """`send_query_params`, and its result."""
        self.send_query_params(*args, **options)
        return self._last()

    def prepare(self, *args: object, **options: object) -> PGresult:
        """`send_prepare`, and its result."""
        self.send_prepare(*args, **options)
        return self._last()

    def exec_prepared(self, *args: object, **options: object) -> PGresult:
        """`send_query_prepared`, and its result."""
        self.send_query_prepared(*args, **options)
        return self._last()

    def describe_prepared(self, name: bytes) -> PGresult:
        """`send_describe_prepared`, and its result."""
        self.send_describe_prepared(name)
        return self._last()

    def describe_portal(self, name: bytes) -> PGresult:
        """`send_describe_portal`, and its result."""
        self.send_describe_portal(name)
        return self._last()

    def set_single_row_mode(self) -> None:
        """A result for each row of the command that was just sent."""
        self.set_rows_at_once(1)

    def set_chunked_rows_mode(self, size: int) -> None:
        """A result for so many rows."""
        self.set_rows_at_once(size)

    def get_cancel(self) -> "PGcancel":
        """What ends the command that is going on."""
        self._ensure()
        host = self._option("hostaddr") or self._option("host")
        return PGcancel((host.decode(), int(self._option("port") or 5432)), wire.cancel(self.backend_pid, self._secret))

    def make_empty_result(self, exec_status: int) -> PGresult:
        """For psycopg's own use."""
        result = PGresult(exec_status)
        result.said = self.error_message
        return result

    def trace(self, fileno: int) -> None:
        """Not there."""
        raise e.NotSupportedError("there is no tracing")

    set_trace_flags = untrace = cancel_conn = encrypt_password = change_password = trace


class PGcancel:
    """Of `psycopg.pq.abc`."""

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self._address, self._request = address, request

    def free(self) -> None:
        """Nothing has to be given back."""

    def cancel(self) -> None:
        """Asks the server, on a connection of its own."""
        try:
            with socket.create_connection(self._address, 10) as opened:
                opened.sendall(self._request)
                opened.recv(1)
        except OSError as error:
            raise e.OperationalError(f"cancel failed: {error}") from None


class PGcancelConn:
    """Of libpq 17."""


class Escaping:
    """Of `psycopg.pq.abc`, for UTF-8 and `standard_conforming_strings`."""

    def __init__(self, conn: PGconn | None = None) -> None:
        self.conn = conn

    def escape_literal(self, data: Buffer) -> bytes:
        """With its quotes."""
        if self.conn is None:
            raise e.OperationalError("escape_literal failed: no connection provided")
        text = bytes(data).replace(b"'", b"''")
        return b" E'" + text.replace(b"\\", rb"\\") + b"'" if b"\\" in text else b"'" + text + b"'"

    def escape_identifier(self, data: Buffer) -> bytes:
        """With its quotes."""
        if self.conn is None:
            raise e.OperationalError("escape_identifier failed: no connection provided")
        return b'"' + bytes(data).replace(b'"', b'""') + b'"'

    def escape_string(self, data: Buffer) -> bytes:
        """Without quotes."""
        return bytes(data).replace(b"'", b"''")

    def escape_bytea(self, data: Buffer) -> bytes:
        """As hexadecimal digits."""
        return rb"\x" + bytes(data).hex().encode()

    def unescape_bytea(self, data: Buffer) -> bytes:
        """Both forms that a server sends."""
        import re

        text = bytes(data)
        if text.startswith(rb"\x"):
            return bytes.fromhex(text[2:].decode())
        return re.sub(rb"\\(\\|[0-7]{3})", lambda match: b"\\" if match[1] == b"\\" else bytes([int(match[1], 8)]), text)


def _bytes(command: bytes) -> None:
    if not isinstance(command, bytes):
        raise TypeError(f"bytes expected, got {type(command)} instead")
