"""What libpq knows of connection strings: `key=value` and URLs, defaults, variables."""

import os
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from psycopg import errors as e
from psycopg.pq.misc import ConninfoOption

# By keyword: the variable, the default.
KEYWORDS: dict[str, tuple[str | None, str | None]] = {
    "service": ("PGSERVICE", None), "user": ("PGUSER", None), "password": ("PGPASSWORD", None),
    "passfile": ("PGPASSFILE", None), "channel_binding": ("PGCHANNELBINDING", "prefer"),
    "connect_timeout": ("PGCONNECT_TIMEOUT", None), "dbname": ("PGDATABASE", None), "host": ("PGHOST", None),
    "hostaddr": ("PGHOSTADDR", None), "port": ("PGPORT", "5432"), "client_encoding": ("PGCLIENTENCODING", None),
    "options": ("PGOPTIONS", ""), "application_name": ("PGAPPNAME", None), "fallback_application_name": (None, None),
    "keepalives": (None, None), "keepalives_idle": (None, None), "keepalives_interval": (None, None),
    "keepalives_count": (None, None), "tcp_user_timeout": (None, None), "sslmode": ("PGSSLMODE", "prefer"),
    "sslcompression": ("PGSSLCOMPRESSION", "0"), "sslcert": ("PGSSLCERT", None), "sslkey": ("PGSSLKEY", None),
    "sslpassword": (None, None), "sslrootcert": ("PGSSLROOTCERT", None), "sslcrl": ("PGSSLCRL", None),
    "sslcrldir": ("PGSSLCRLDIR", None), "sslsni": ("PGSSLSNI", "1"), "sslnegotiation": ("PGSSLNEGOTIATION", "postgres"),
    "sslcertmode": ("PGSSLCERTMODE", None), "requirepeer": ("PGREQUIREPEER", None),
    "require_auth": ("PGREQUIREAUTH", None), "ssl_min_protocol_version": ("PGSSLMINPROTOCOLVERSION", "TLSv1.2"),
    "ssl_max_protocol_version": ("PGSSLMAXPROTOCOLVERSION", None), "gssencmode": ("PGGSSENCMODE", "disable"),
    "krbsrvname": ("PGKRBSRVNAME", "postgres"), "gsslib": ("PGGSSLIB", None), "gssdelegation": ("PGGSSDELEGATION", "0"),
    "replication": (None, None), "target_session_attrs": ("PGTARGETSESSIONATTRS", "any"),
    "load_balance_hosts": ("PGLOADBALANCEHOSTS", "disable"),
}
_PAIR = re.compile(rb"\s*([^\s=]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))", re.DOTALL)
_URL = re.compile(rb"postgres(?:ql)?://(?:([^:@/?]*)(?::([^@/?]*))?@)?([^/?]*)(?:/([^?]*))?(?:\?(.*))?", re.DOTALL)


def _options(values: dict[str, bytes | None]) -> list[ConninfoOption]:
    def option(keyword: str, variable: str | None, default: str | None) -> ConninfoOption:
        shown = b"*" if keyword in ("password", "sslpassword") else b""
        return ConninfoOption(
            keyword.encode(), variable and variable.encode(), None if default is None else default.encode(),
            values.get(keyword), keyword.encode(), shown, 0,
        )

    return [option(keyword, *rest) for keyword, rest in KEYWORDS.items()]


def _defaults() -> dict[str, bytes | None]:
    """What holds where nothing is said."""
    return {
        keyword: value if value is None else value.encode()
        for keyword, (variable, default) in KEYWORDS.items()
        for value in [os.environ.get(variable, default) if variable else default]
    }


def given(conninfo: bytes) -> dict[str, bytes]:
    """What the string says. Raises psycopg's `OperationalError`."""
    if conninfo.startswith((b"postgres://", b"postgresql://")):
        found = _of_url(conninfo)
    else:
        found, position = {}, 0
        conninfo = conninfo.strip()
        while position < len(conninfo):
            pair = _PAIR.match(conninfo, position)
            if pair is None or pair.end() == position:
                wrong = conninfo[position:].decode("utf-8", "replace").split()[0]
                raise e.OperationalError(f'missing "=" after "{wrong}" in connection info string')
            position = pair.end()
            value = pair[3] if pair[2] is None else pair[2]
            found[pair[1].decode("utf-8", "replace")] = re.sub(rb"\\(.)", rb"\1", value, flags=re.DOTALL)
    for keyword in found:
        if keyword not in KEYWORDS:
            raise e.OperationalError(f'invalid connection option "{keyword}"')
    return found


def _of_url(url: bytes) -> dict[str, bytes]:
    match = _URL.fullmatch(url)
    if match is None:
        raise e.OperationalError("the connection URL cannot be read")
    user, password, hosts, database, query = match.groups()
    found: dict[str, bytes] = {}
    for keyword, value in (("user", user), ("password", password), ("dbname", database)):
        if value:
            found[keyword] = unquote_to_bytes(value)
    names, ports = [], []
    for host in (hosts or b"").split(b","):
        name, _, port = host.rpartition(b":") if re.search(rb":\d*$", host) else (host, b"", b"")
        names.append(unquote_to_bytes(name.strip(b"[]")))
        ports.append(port)
    if any(names):
        found["host"] = b",".join(names)
    if any(ports):
        found["port"] = b",".join(ports)
    for pair in (query or b"").split(b"&"):
        if pair:
            keyword, equals, value = pair.partition(b"=")
            if not equals:
                raise e.OperationalError(f'missing key/value separator "=" in URI query parameter: {pair.decode()!r}')
            if (keyword, value) == (b"ssl", b"true"):
                keyword, value = b"sslmode", b"require"
            found[unquote_to_bytes(keyword).decode()] = unquote_to_bytes(value)
    return found


def complete(conninfo: bytes) -> dict[str, bytes]:
    """What the string says, with variables and defaults."""
    found = {keyword: value for keyword, value in _defaults().items() if value is not None}
    found |= given(conninfo)
    found.setdefault("user", b"postgres")
    found.setdefault("dbname", found["user"])
    found.setdefault("host", b"localhost")
    return found


class Conninfo:
    """Of `psycopg.pq.abc`."""

    @classmethod
    def get_defaults(cls) -> list[ConninfoOption]:
        """All keywords, with what holds where nothing is said."""
        return _options(_defaults())

    @classmethod
    def parse(cls, conninfo: bytes) -> list[ConninfoOption]:
        """All keywords, with what the string says."""
        if not isinstance(conninfo, bytes):
            raise TypeError(f"bytes expected, got {type(conninfo)} instead")
        return _options(given(conninfo))

    @classmethod
    def _options_from_array(cls, opts: Sequence[Any]) -> list[ConninfoOption]:
        return list(opts)
