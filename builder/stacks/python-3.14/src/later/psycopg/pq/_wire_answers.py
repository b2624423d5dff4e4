"""What a server answers: messages become results, notices, parameters, and the data of a copy."""

import struct
from collections import deque
from collections.abc import Callable

from psycopg import errors as e
from psycopg.pq import _wire_messages as wire
from psycopg.pq._enums import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq._wire_result import PGresult
from psycopg.pq.misc import PGnotify

_TRANSACTION = {73: TransactionStatus.IDLE, 84: TransactionStatus.INTRANS, 69: TransactionStatus.INERROR}


class Answers:
    """The half of a connection that is read. The other half says how one waits (`_wait`), is refused (`_refused`) and
    says who one is (`_authenticate`)."""

    def __init__(self) -> None:
        self.notice_handler: Callable[[PGresult], None] | None = None
        self.notify_handler: Callable[[PGnotify], None] | None = None
        self.status = ConnStatus.STARTED
        self.error_message = b""
        self.backend_pid = 0
        self._secret = b""
        self._in = bytearray()
        self._out = bytearray()
        self._parameters: dict[bytes, bytes] = {}
        self._transaction = TransactionStatus.UNKNOWN
        self._notifies: deque[PGnotify] = deque()
        # Results that wait to be fetched; None ends those of a command.
        self._results: deque[PGresult | None] = deque()
        self._result: PGresult | None = None
        # Between a command and ReadyForQuery.
        self._busy = False
        # What ParseComplete and RowDescription mean: "query", "prepare" or "describe"; and whether a Sync goes with it.
        self._command = ""
        self._extended = False
        # Rows are handed out in so many at once, instead of all.
        self._chunk = 0
        self._copy: int | None = None
        self._copied: deque[bytes] = deque()

    def _read(self) -> None:
        """Takes the messages that are whole."""
        if len(self._in) < 5 or len(self._in) <= struct.unpack_from("!i", self._in, 1)[0]:
            return  # Without a copy: a long message comes in many parts.
        data, offset = memoryview(bytes(self._in)), 0
        try:
            while len(data) - offset >= 5:
                (length,) = struct.unpack_from("!i", data, offset + 1)
                if length < 4:
                    raise e.OperationalError("the server sends what is no message")
                if len(data) - offset <= length:
                    break
                kind, body = data[offset], data[offset + 5 : offset + 1 + length]
                offset += 1 + length
                self._take(kind, body)
        finally:
            del self._in[:offset]

    def _take(self, kind: int, body: memoryview) -> None:
        match kind:
            case 68:  # D: DataRow
                self._row(wire.row(body))
            case 84:  # T: RowDescription
                describes = self._command == "describe"
                self._result = self._result if describes and self._result else PGresult(ExecStatus.TUPLES_OK)
                self._result.fields = wire.columns(body)
                if describes:
                    self._end(ExecStatus.COMMAND_OK)
            case 67:  # C: CommandComplete
                self._result = self._result or PGresult(ExecStatus.COMMAND_OK)
                if self._chunk and self._result.fields and self._result.rows and self._chunk > 1:
                    self._hand_out()
                self._result.command_status = bytes(body[:-1])
                self._end(self._result.status)
            case 90:  # Z: ReadyForQuery
                self._transaction = _TRANSACTION.get(body[0], TransactionStatus.UNKNOWN)
                if self.status == ConnStatus.OK:
                    if self._busy:
                        self._results.append(None)
                else:
                    self.status = ConnStatus.OK
                self._busy, self._chunk, self._copy, self._result = False, 0, None, None
            case 49:  # 1: ParseComplete
                if self._command == "prepare":
                    self._end(ExecStatus.COMMAND_OK)
            case 116:  # t: ParameterDescription
                self._result = PGresult(ExecStatus.COMMAND_OK)
                (count,) = struct.unpack_from("!H", body)
                self._result.parameters = list(struct.unpack_from(f"!{count}I", body, 2))
            case 110:  # n: NoData
                if self._command == "describe":
                    self._end(ExecStatus.COMMAND_OK)
            case 73:  # I: EmptyQueryResponse
                self._end(ExecStatus.EMPTY_QUERY)
            case 69:  # E: ErrorResponse
                self._error(body)
            case 78:  # N: NoticeResponse
                if self.notice_handler:
                    notice = PGresult(ExecStatus.NONFATAL_ERROR)
                    notice.diagnostics = wire.diagnostics(body)
                    self.notice_handler(notice)
            case 83:  # S: ParameterStatus
                name, value = bytes(body).split(b"\0")[:2]
                self._parameters[name] = value
            case 65:  # A: NotificationResponse
                (process,) = struct.unpack_from("!i", body)
                channel, payload = bytes(body[4:]).split(b"\0")[:2]
                self._notifies.append(PGnotify(channel, process, payload))
            case 71 | 72 | 87:  # G, H, W: the copy protocol begins
                self._copy = {71: ExecStatus.COPY_IN, 72: ExecStatus.COPY_OUT, 87: ExecStatus.COPY_BOTH}[kind]
                self._result = PGresult(self._copy)
                self._result.fields = wire.copied(body)
                self._end(self._copy)
            case 100:  # d: CopyData
                self._copied.append(bytes(body))
            case 99:  # c: CopyDone
                self._copy = None
            case 82:  # R: Authentication
                self._authenticate(*struct.unpack_from("!i", body), bytes(body[4:]))
            case 75:  # K: BackendKeyData
                (self.backend_pid,) = struct.unpack_from("!i", body)
                self._secret = bytes(body[4:])

    def _row(self, values: list[bytes | None]) -> None:
        self._result.rows.append(values)
        if self._chunk and len(self._result.rows) >= self._chunk:
            self._hand_out()

    def _hand_out(self) -> None:
        """What there is of rows; the rest comes in another result."""
        part, rest = self._result, PGresult(ExecStatus.TUPLES_OK)
        rest.fields = part.fields
        part.status = ExecStatus.SINGLE_TUPLE if self._chunk == 1 else ExecStatus.TUPLES_CHUNK
        self._results.append(part)
        self._result = rest

    def _end(self, status: int) -> None:
        result, self._result = self._result or PGresult(status), None
        result.status = status
        self._results.append(result)

    def _error(self, body: memoryview) -> None:
        error = self._result = PGresult(ExecStatus.FATAL_ERROR)
        error.diagnostics = wire.diagnostics(body)
        self.error_message = error.error_message
        if self.status == ConnStatus.OK:
            self._copy = None
            self._end(ExecStatus.FATAL_ERROR)
        else:
            self._refused()

    def is_busy(self) -> int:
        """Whether `get_result` would wait."""
        self._read()
        return int(self._busy and not self._results and self._copy is None)

    def get_result(self) -> PGresult | None:
        """The next result; None ends those of a command."""
        while self.is_busy() and self.status == ConnStatus.OK:
            self._wait()
        if self._results:
            return self._results.popleft()
        return PGresult(self._copy) if self._busy and self._copy is not None else None

    def notifies(self) -> PGnotify | None:
        """The next notification."""
        if self.status == ConnStatus.OK:
            self._read()
        return self._notifies.popleft() if self._notifies else None

    def get_copy_data(self, async_: int) -> tuple[int, memoryview]:
        """The length and the data; 0 would block, -1 is the end."""
        while True:
            self._read()
            if self._copied:
                data = self._copied.popleft()
                return len(data), memoryview(data)
            if self._copy is None or self.status != ConnStatus.OK:
                return -1, memoryview(b"")
            if async_:
                return 0, memoryview(b"")
            self._wait()

    def set_rows_at_once(self, size: int) -> None:
        """Of the command that was just sent."""
        self._chunk = size
