"""A connection to PostgreSQL, as libpq's `PGconn`: its socket, what is in its buffers, and the state of both sides.

It is libpq 13 to psycopg, which then asks for no pipelines. TLS is the platform's (an egress rule with `--pgtls`): the
dyno's side of a connection is in clear, and where `sslmode` wants TLS it is only used if the platform does it.
"""

import errno
import select
import socket
import struct
from collections.abc import Sequence

from psycopg import errors as e
from psycopg._encodings import pg2pyenc
from psycopg.pq import _wire_messages as wire
from psycopg.pq._enums import ConnStatus, PipelineStatus, PollingStatus, TransactionStatus
from psycopg.pq._wire_answers import Answers
from psycopg.pq._wire_auth import Scram, md5
from psycopg.pq._wire_conninfo import _options, complete
from psycopg.pq._wire_messages import Buffer
from psycopg.pq._wire_result import PGresult
from psycopg.pq.misc import ConninfoOption, _clean_error_message, connection_summary

# What is read at once.
READ_BYTES = 64 * 1024
_WANT_TLS = (b"require", b"verify-ca", b"verify-full")
# For a connection that is tried without a `connect_timeout`, in seconds.
CONNECT_TIMEOUT = 130


class Wire(Answers):
    """The connection without the calls that send commands."""

    def __init__(self, conninfo: bytes) -> None:
        super().__init__()
        self.pipeline_status = PipelineStatus.OFF
        self.nonblocking = 0
        self.needs_password = self.used_password = False
        self._conninfo = conninfo
        self._socket: socket.socket | None = None
        self._scram: Scram | None = None
        try:
            self._options = complete(conninfo)
        except e.OperationalError as error:
            self._options = {}
            self._fail(str(error).encode())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {connection_summary(self)} at 0x{id(self):x}>"

    def __del__(self) -> None:
        self.finish()

    # Of the connection as such.

    def connect_poll(self) -> int:
        """Goes on with connecting."""
        if self.status == ConnStatus.BAD:
            return PollingStatus.FAILED
        try:
            if self._socket is None:
                self._dial()
            else:
                self._receive()
                self._read()
            if self.status not in (ConnStatus.OK, ConnStatus.BAD):
                return PollingStatus.READING if self._flushed() else PollingStatus.WRITING
        except (OSError, ValueError, KeyError, e.OperationalError) as error:
            self._fail(str(error).encode())
        return PollingStatus.OK if self.status == ConnStatus.OK else PollingStatus.FAILED

    def _dial(self) -> None:
        option = self._options.get
        host, port = (option("hostaddr") or option("host")).decode(), option("port").decode()
        # By its name, as rules have it; the address may be one that only this dyno knows.
        name = option("host", b"").decode() or host
        where = f'connection to server at "{name}", port {port} failed: '
        if host.startswith("/"):
            raise e.OperationalError(where + "there are no Unix sockets here; give the server's name")
        seconds = int(option("connect_timeout") or 0)
        try:
            timeout = max(seconds, 2) if seconds > 0 else CONNECT_TIMEOUT
            address = host, int(port or 5432)
            self._socket = socket.create_connection(address, timeout)
            if option("sslmode") in _WANT_TLS:
                self._socket.sendall(wire.SSL_REQUEST)
                answer = self._socket.recv(1)
                self._socket.close()
                # Within TLS a server takes the request for an unknown protocol, and says so.
                if answer != b"E":
                    raise e.OperationalError(
                        f"{where}sslmode={option('sslmode').decode()}, and the platform does no TLS with it: "
                        f"`wpaas egress:allow {name}:{address[1]} --pgtls` makes it"
                    )
                self._socket = socket.create_connection(address, timeout)
        except OSError as error:
            raise e.OperationalError(f"{where}{error}") from None
        self._socket.setblocking(False)
        parameters = {b"user": option("user"), b"database": option("dbname")}
        application = option("application_name") or option("fallback_application_name")
        known = ("client_encoding", option("client_encoding")), ("application_name", application), ("options", option("options"))
        parameters |= {name.encode(): value for name, value in known if value}
        if replication := option("replication"):
            parameters[b"replication"] = replication
        self._out += wire.startup(parameters)
        self.status = ConnStatus.AWAITING_RESPONSE

    def finish(self) -> None:
        """Closes it."""
        opened, self._socket = self._socket, None
        if opened is not None:
            try:
                opened.send(wire.TERMINATE)
            except OSError:
                pass
            opened.close()
        self.status = ConnStatus.BAD
        self._transaction = TransactionStatus.UNKNOWN

    def _fail(self, what: bytes) -> None:
        self.finish()
        self.error_message = what if what.endswith(b"\n") else what + b"\n"
        self._busy = False

    def _option(self, name: str) -> bytes:
        return self._options.get(name, b"")

    @property
    def info(self) -> list[ConninfoOption]:
        """What it is connected with."""
        return _options(dict(self._options))

    @property
    def socket(self) -> int:
        """To wait for."""
        if self._socket is None:
            raise e.OperationalError("the connection is lost")
        return self._socket.fileno()

    @property
    def transaction_status(self) -> int:
        """Whether a command or a transaction is going on."""
        return TransactionStatus.ACTIVE if self._busy else self._transaction

    def parameter_status(self, name: bytes) -> bytes | None:
        """What the server says of itself."""
        self._ensure()
        return self._parameters.get(name)

    @property
    def _encoding(self) -> str:
        return pg2pyenc(self._parameters.get(b"client_encoding", b"UTF8")) if self.status == ConnStatus.OK else "utf-8"

    def get_error_message(self, encoding: str = "") -> str:
        """What went wrong last."""
        return _clean_error_message(self.error_message, encoding or self._encoding)

    @property
    def server_version(self) -> int:
        """150018 is 15.18."""
        self._ensure()
        words = self._parameters.get(b"server_version", b"0").split()[0].decode()
        numbers = [int("".join(filter(str.isdigit, part)) or 0) for part in words.split(".")] + [0, 0]
        return numbers[0] * 10000 + (numbers[1] if numbers[0] >= 10 else numbers[1] * 100 + numbers[2])

    def _ensure(self) -> None:
        if self.status == ConnStatus.BAD:
            raise e.OperationalError("the connection is closed")

    # Bytes.

    def _flushed(self) -> bool:
        """Whether all was written; as much as goes without waiting is."""
        while self._out:
            if self._socket is None:
                raise e.OperationalError("the connection is closed")
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                return False
            del self._out[:sent]
        return True

    def flush(self) -> int:
        """0 when nothing waits to be written."""
        try:
            return int(not self._flushed())
        except OSError as error:
            # What the server said before it left tells more.
            self._lost(str(error))
            return 0

    def _receive(self) -> None:
        """Reads what has come."""
        if self._socket is None:
            raise e.OperationalError("the connection is closed")
        while True:
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                data = b""
            if not data:
                self._read()
                raise e.OperationalError(
                    self.error_message.decode("utf-8", "replace")
                    or "server closed the connection unexpectedly\n\tThis probably means the server terminated "
                    "abnormally\n\tbefore or while processing the request."
                )
            self._in += data
            if len(data) < READ_BYTES:
                return

    def _lost(self, why: str) -> None:
        if self._socket is not None:
            try:
                self._receive()
            except (OSError, e.OperationalError):
                pass
        self._fail(self.error_message or why.encode())

    def consume_input(self) -> None:
        """Reads what has come."""
        self._ensure()
        try:
            self._receive()
        except e.OperationalError as error:
            self._read()
            waiting = any(result for result in self._results)
            self._fail(str(error).encode())
            if not waiting:
                raise e.OperationalError(f"consuming input failed: {self.get_error_message()}") from None

    def _wait(self) -> None:
        """For those who block."""
        if not self._flushed():
            select.select([], [self.socket], [])
        else:
            select.select([self.socket], [], [])
            self.consume_input()

    def _refused(self) -> None:
        host, port = self._option("host"), self._option("port")
        self._fail(b'connection to server at "%s", port %s failed: %s' % (host, port, self.error_message))

    def _authenticate(self, kind: int, rest: bytes) -> None:
        password = self._option("password")
        if kind in (3, 5, 10):
            self.used_password = True
            if not password:
                self.needs_password = True
                raise e.OperationalError("fe_sendauth: no password supplied")
        match kind:
            case 0:
                return
            case 3:
                answer = password + b"\0"
            case 5:
                answer = md5(self._option("user"), password, rest[:4]) + b"\0"
            case 10:
                if Scram.NAME not in rest.split(b"\0"):
                    raise e.OperationalError("none of the server's SASL authentication mechanisms are supported")
                self._scram = Scram(password)
                first = self._scram.first()
                answer = Scram.NAME + b"\0" + struct.pack("!i", len(first)) + first
            case 11 if self._scram:
                answer = self._scram.answer(rest)
            case 12 if self._scram:
                self._scram.check(rest)
                return
            case _:
                raise e.OperationalError(f"authentication method {kind} not supported")
        self._out += wire.message(b"p", answer)
        self._flushed()

    # Commands.

    def _send(self, command: str, *messages: bytes) -> None:
        """A command, while no other is going on."""
        self._ensure()
        self._read()
        if self._busy:
            raise e.OperationalError("sending query failed: another command is already in progress")
        self.error_message = b""
        self._results.clear()
        self._copied.clear()
        self._busy, self._command, self._extended = True, command, messages[-1] == wire.SYNC
        self._out += b"".join(messages)
        self.flush()

    def _last(self) -> PGresult:
        """What a command that blocks answers."""
        last = None
        while result := self.get_result():
            last = result
            if self._copy is not None:
                break
        if last is None:
            raise e.OperationalError(f"executing query failed: {self.get_error_message()}")
        return last

    def put_copy_data(self, buffer: Buffer) -> int:
        """1 when it is taken."""
        if not self._flushed() and len(self._out) > READ_BYTES:
            return 0
        self._out += wire.message(b"d", buffer)
        return 1

    def put_copy_end(self, error: bytes | None = None) -> int:
        """1 when it is taken."""
        self._out += wire.message(b"f", error, b"\0") if error is not None else wire.COPY_DONE
        if self._extended:  # The server left out the Sync that came with the command.
            self._out += wire.SYNC
        self._copy = None
        self.flush()
        return 1


def of_types(values: Sequence[Buffer | None] | None, types: Sequence[int] | None) -> None:
    """Raises for types that are not as many as the values."""
    if types and len(types) != len(values or ()):
        raise ValueError(f"got {len(values or ())} param_values but {len(types)} param_types")
