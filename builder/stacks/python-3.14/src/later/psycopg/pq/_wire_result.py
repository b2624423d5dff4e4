"""What a server answers to one command, as libpq's `PGresult`."""

from collections.abc import Callable

from psycopg.pq._enums import DiagnosticField, ExecStatus
from psycopg.pq.misc import PGresAttDesc, _clean_error_message


def _column(attribute: str, otherwise: object) -> Callable[["PGresult", int], object]:
    """A method that tells one thing of a column by its number, and `otherwise` of one that is not there."""

    def get(self: "PGresult", column_number: int) -> object:
        there = 0 <= column_number < len(self.fields)
        return getattr(self.fields[column_number], attribute) if there else otherwise

    return get


class PGresult:
    """Of `psycopg.pq.abc`."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.fields: list[PGresAttDesc] = []
        self.rows: list[list[bytes | None]] = []
        self.parameters: list[int] = []
        self.command_status: bytes | None = None
        # Of an error or a notice, by the letter of the protocol.
        self.diagnostics: dict[int, bytes] = {}
        self.said = b""

    def __repr__(self) -> str:
        return f"<PGresult [{ExecStatus(self.status).name}]>"

    def clear(self) -> None:
        """Nothing has to be given back."""

    @property
    def error_message(self) -> bytes:
        """As libpq puts it together, without the line of the query."""
        if not self.diagnostics:
            return self.said
        field = self.diagnostics.get
        lines = [field(DiagnosticField.SEVERITY, b"") + b":  " + field(DiagnosticField.MESSAGE_PRIMARY, b"")]
        for name, code in ((b"DETAIL", DiagnosticField.MESSAGE_DETAIL), (b"HINT", DiagnosticField.MESSAGE_HINT)):
            if code in self.diagnostics:
                lines.append(name + b":  " + field(code))
        if DiagnosticField.CONTEXT in self.diagnostics:
            lines.append(b"CONTEXT:  " + field(DiagnosticField.CONTEXT))
        return b"\n".join(lines) + b"\n"

    def get_error_message(self, encoding: str = "utf-8") -> str:
        """The same as text."""
        return _clean_error_message(self.error_message, encoding)

    def error_field(self, fieldcode: int) -> bytes | None:
        """One of the error's fields."""
        return self.diagnostics.get(fieldcode)

    @property
    def ntuples(self) -> int:
        """How many rows."""
        return len(self.rows)

    @property
    def nfields(self) -> int:
        """How many columns."""
        return len(self.fields)

    fname = _column("name", None)
    ftable, ftablecol = _column("tableid", 0), _column("columnid", 0)
    fformat = _column("format", 0)
    ftype, fmod, fsize = _column("typid", 0), _column("atttypmod", 0), _column("typlen", 0)

    @property
    def binary_tuples(self) -> int:
        """Whether all columns are binary."""
        return int(bool(self.fields) and all(field.format for field in self.fields))

    def get_value(self, row_number: int, column_number: int) -> bytes | None:
        """A value; libpq answers the same to what is not there."""
        try:
            return self.rows[row_number][column_number]
        except IndexError:
            return None

    @property
    def nparams(self) -> int:
        """Of a description: how many parameters."""
        return len(self.parameters)

    def param_type(self, param_number: int) -> int:
        """The type of one."""
        return self.parameters[param_number] if param_number < len(self.parameters) else 0

    @property
    def command_tuples(self) -> int | None:
        """How many rows the command was about."""
        last = (self.command_status or b"").rpartition(b" ")[2]
        return int(last) if last.isdigit() else None

    @property
    def oid_value(self) -> int:
        """Of an insert, before PostgreSQL 12."""
        words = (self.command_status or b"").split()
        return int(words[1]) if len(words) == 3 and words[0] == b"INSERT" else 0

    def set_attributes(self, descriptions: list[PGresAttDesc]) -> None:
        """Of a result that psycopg makes."""
        self.fields = list(descriptions)
