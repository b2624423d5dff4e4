"""Serves a WSGI app on `$PORT`: one request at a time, as gunicorn's sync worker does.

There are no threads, so a server that has some cannot run here. The router has one request at a time for such a dyno
and starts others for more; it keeps its connections, so all of them are waited for. Whatever goes wrong with a request
is logged and ends with it: the app's errors, the client's leaving, and what goes wrong while the one or the other is answered.
"""

import gc
import importlib
import os
import re
import selectors
import socket
import sys
import time
import traceback
from email.utils import formatdate
from urllib.parse import unquote_to_bytes

from launch import Launch, Refused

_READ = 64 * 1024
# The router allows less of a head; what comes in pieces stays small.
_MAX_HEAD = 128 * 1024
# What is read and dropped of a body that the app did not want, so that the connection can be kept.
_MAX_LEFT = 1024 * 1024
# Left to the server: it knows how the message ends.
_OURS = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "proxy-connection"}
_ERROR = b"Internal Server Error"
# What no part of a head may have.
_ENDS_LINE = re.compile(r"[\r\n\0]").search
# Names of headers and their names in the environment, None for those that are left out; each is made once.
_NAMES: dict[str, str | None] = {}
# Clients choose names, so no more than so many are kept.
_MAX_NAMES = 256


class Gone(Exception):
    """The client is not there any more."""


class Bad(Exception):
    """Not a request."""


class Connection:
    """One of the router's connections."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    def fill(self) -> bool:
        """Reads what is there, waiting for some. False at the end."""
        try:
            data = self.sock.recv(_READ)
        except OSError as error:
            raise Gone from error
        self._buffer += data
        return bool(data)

    def has_more(self) -> bool:
        """Whether something is read and not used."""
        return bool(self._buffer)

    def until(self, end: bytes, most: int) -> bytes:
        """What comes before `end`, which is dropped."""
        start = 0
        while (at := self._buffer.find(end, start)) < 0:
            if len(self._buffer) > most:
                raise Bad("a line or head that is too long")
            start = max(0, len(self._buffer) - len(end) + 1)
            if not self.fill():
                raise Gone
        found, self._buffer = self._buffer[:at], self._buffer[at + len(end) :]
        return found

    def some(self, most: int) -> bytes:
        """From one byte to `most`."""
        if not self._buffer and not self.fill():
            raise Gone
        found, self._buffer = self._buffer[:most], self._buffer[most:]
        return found

    def send(self, data: bytes) -> None:
        """All of it."""
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def close(self) -> None:
        """Whatever state it is in."""
        try:
            self.sock.close()
        except OSError:
            pass


class Input:
    """`wsgi.input`: the body of a request, as it comes."""

    def __init__(self, connection: Connection, length: int | None, expects: bool) -> None:
        self._connection = connection
        # Bytes to come; of the present chunk when the body is chunked.
        self._left = length or 0
        self._chunked = length is None
        self._first = True
        self._expects = expects
        self._ahead = b""

    def _piece(self, most: int) -> bytes:
        if self._ahead:
            found, self._ahead = self._ahead[:most], self._ahead[most:]
            return found
        if self._expects and (self._left or self._chunked):
            self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects = False
        if self._chunked and not self._left:
            self._next_chunk()
        if not self._left:
            return b""
        found = self._connection.some(min(most, self._left))
        self._left -= len(found)
        return found

    def _next_chunk(self) -> None:
        if not self._first:
            self._connection.until(b"\r\n", 2)
        self._first = False
        size = self._connection.until(b"\r\n", 4096).partition(b";")[0].strip()
        try:
            self._left = int(size, 16)
        except ValueError:
            raise Bad("a chunk without a size") from None
        if not self._left:
            self._chunked = False
            while self._connection.until(b"\r\n", _MAX_HEAD):
                pass

    def read(self, size: int | None = -1) -> bytes:
        """Of WSGI."""
        if size is None or size < 0:
            size = sys.maxsize
        pieces = []
        while size and (piece := self._piece(min(size, _READ))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def readline(self, size: int | None = -1) -> bytes:
        """Of WSGI."""
        if size is None or size < 0:
            size = sys.maxsize
        pieces = []
        while size and (piece := self._piece(min(size, _READ))):
            at = piece.find(b"\n") + 1
            if at:
                self._ahead = piece[at:] + self._ahead
                pieces.append(piece[:at])
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def readlines(self, hint: int = -1) -> list[bytes]:
        """Of WSGI."""
        return list(self)

    def __iter__(self) -> object:
        return iter(self.readline, b"")

    def finish(self) -> bool:
        """Reads what the app left, if that is little. Whether the connection is at the next request."""
        if self._expects:
            return not (self._left or self._chunked)
        left = _MAX_LEFT
        while left > 0 and (piece := self._piece(_READ)):
            left -= len(piece)
        return left > 0


class Response:
    """Writes one response."""

    def __init__(self, connection: Connection, version: str, method: str) -> None:
        self._connection = connection
        self._old = version != "HTTP/1.1"
        self._no_body = method == "HEAD"
        self._head: tuple[str, list[tuple[str, str]]] | None = None
        self.sent = False
        self.status = 0
        self._chunked = False
        self._length: int | None = None
        self.close = self._old

    def start(self, status: str, headers: list, exc_info: object = None) -> object:
        """WSGI's `start_response`."""
        if exc_info:
            try:
                if self.sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._head is not None:
            raise AssertionError("start_response was called before, without exc_info")
        if _ENDS_LINE(status):
            raise ValueError("a line end in the status")
        for name, value in headers:
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError(f"header {name!r} is not of type str")
            if _ENDS_LINE(name) or _ENDS_LINE(value):
                raise ValueError(f"a line end in header {name!r}")
        self._head = (status, list(headers))
        return self.write

    def _begin(self, length: int | None) -> bytes:
        """The head; `length` is the body's if that is known."""
        if self._head is None:
            raise AssertionError("the app gave a body before it called start_response")
        status, headers = self._head
        self.sent = True
        self.status = int(status[:3])
        lines = [f"HTTP/1.1 {status}"]
        names = set()
        for name, value in headers:
            lower = name.lower()
            if lower in _OURS:
                continue
            names.add(lower)
            if lower == "content-length":
                self._length = int(value)
            lines.append(f"{name}: {value}")
        if "date" not in names:
            lines.append(_date())
        if self.status < 200 or self.status in (204, 304):
            self._no_body = True
        elif "content-length" not in names and not self._no_body:
            if length is not None:
                self._length = length
                lines.append(f"Content-Length: {length}")
            elif self._old:
                self.close = True
            else:
                self._chunked = True
                lines.append("Transfer-Encoding: chunked")
        if self.close:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def write(self, data: bytes, length: int | None = None) -> None:
        """A piece of the body; `length` if it is all of it."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"the app gave {type(data).__name__} for its body instead of bytes")
        head = b"" if self.sent else self._begin(length)
        if self._no_body:
            data = b""
        elif self._length is not None:
            data = data[: self._length]
            self._length -= len(data)
        if self._chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if head or data:
            self._connection.send(head + data)

    def end(self) -> None:
        """The body is whole."""
        if not self.sent:
            self.write(b"", 0)
        if self._chunked:
            self._connection.send(b"0\r\n\r\n")
        elif self._length and not self._no_body:
            # The client waits for what was promised.
            self.close = True


def _date() -> str:
    """The header, made once a second."""
    global _date_of, _date_line
    now = int(time.time())
    if now != _date_of:
        _date_of, _date_line = now, f"Date: {formatdate(now, usegmt=True)}"
    return _date_line


_date_of = 0
_date_line = ""


def _base() -> dict:
    """What the environments of all requests have."""
    return {
        "SCRIPT_NAME": "", "SERVER_SOFTWARE": "wpaas", "REMOTE_ADDR": "127.0.0.1", "SERVER_NAME": "localhost",
        "SERVER_PORT": os.environ.get("PORT", "8080"),
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.errors": sys.stderr, "wsgi.multithread": False,
        "wsgi.multiprocess": True, "wsgi.run_once": False, "wsgi.input_terminated": True, "wsgi.file_wrapper": _File,
    }


def _key(name: str) -> str | None:
    """The name of a header in the environment."""
    key = None
    if "_" not in name:  # Not to be taken for one with dashes.
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
    if len(_NAMES) < _MAX_NAMES:
        _NAMES[name] = key
    return key


def _environ(environ: dict, method: str, target: str, version: str, lines: list[str]) -> dict:
    """Adds to what `_base` has what the request's head says; `lines` are its headers."""
    path, _, query = target.partition("?")
    if path.startswith(("http://", "https://")):
        path = "/" + path.split("/", 3)[3] if path.count("/") > 2 else "/"
    environ["REQUEST_METHOD"] = method
    environ["QUERY_STRING"] = query
    environ["RAW_URI"] = environ["REQUEST_URI"] = target
    environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
    environ["SERVER_PROTOCOL"] = version
    for line in lines:
        name, _, value = line.partition(":")
        try:
            key = _NAMES[name]
        except KeyError:
            key = _key(name)
        if key is None:
            continue
        value = value.strip()
        if key in environ:
            sign = "; " if key == "HTTP_COOKIE" else ","
            value = f"{environ[key]}{sign}{value}"
        environ[key] = value
    # Who the client is says the router, the only one that connects.
    if forwarded := environ.get("HTTP_X_FORWARDED_FOR"):
        environ["REMOTE_ADDR"] = forwarded.rpartition(",")[2].strip()
    if environ.get("HTTP_X_FORWARDED_PROTO") == "https":
        environ["wsgi.url_scheme"] = "https"
    if port := environ.get("HTTP_X_FORWARDED_PORT"):
        environ["SERVER_PORT"] = port
    if host := environ.get("HTTP_HOST"):
        environ["SERVER_NAME"] = host.partition(":")[0]
    return environ


class _File:
    """`wsgi.file_wrapper`."""

    def __init__(self, file: object, size: int = _READ) -> None:
        self._file = file
        self._size = size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> object:
        return iter(lambda: self._file.read(self._size), b"")


class Server:
    """An app with the connections that there are."""

    def __init__(self, app: object, access_log: bool) -> None:
        self._app = app
        self._access_log = access_log
        self._base = _base()

    def listen(self, port: int) -> None:
        """Serves until the dyno ends."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("0.0.0.0", port))
        listener.listen(128)
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    sock, _ = listener.accept()
                    selector.register(sock, selectors.EVENT_READ, Connection(sock))
                    continue
                keeps = self._serve(key.data)
                while keeps and key.data.has_more():
                    keeps = self._serve(key.data)
                if not keeps:
                    selector.unregister(key.fileobj)
                    key.data.close()

    def _serve(self, connection: Connection) -> bool:
        """One request. Whether the connection can have another one."""
        try:
            if not connection.has_more() and not connection.fill():
                return False
            head = connection.until(b"\r\n\r\n", _MAX_HEAD).decode("latin-1")
            line, *lines = head.split("\r\n")
            method, target, version = line.split(" ")
            environ = _environ(self._base.copy(), method, target, version, lines)
            length: int | None = int(environ.get("CONTENT_LENGTH") or 0)
            if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
                length = None
        except Gone:
            return False
        except (Bad, ValueError) as error:
            print(f"not a request: {error}", file=sys.stderr)
            return False
        expects = environ.get("HTTP_EXPECT", "").lower() == "100-continue"
        environ["wsgi.input"] = body = Input(connection, length, expects)
        response = Response(connection, version, method)
        if "close" in environ.get("HTTP_CONNECTION", "").lower():
            response.close = True
        if not self._access_log:
            return self._answer(environ, body, response) and not response.close
        begun = time.monotonic()
        whole = self._answer(environ, body, response)
        took = (time.monotonic() - begun) * 1000
        print(f'{environ["REMOTE_ADDR"]} "{method} {target} {version}" {response.status} {took:.0f} ms', flush=True)
        return whole and not response.close

    def _answer(self, environ: dict, body: Input, response: Response) -> bool:
        """Whether request and response are whole."""
        method, target = environ["REQUEST_METHOD"], environ["RAW_URI"]
        try:
            try:
                self._run(environ, response)
            except Gone:
                raise
            except BaseException:  # The app's `sys.exit` too: it is not the app's to end the dyno in a request.
                print(f"Error handling request {method} {target}", file=sys.stderr)
                traceback.print_exc()
                if response.sent:
                    return False
                response.start("500 Internal Server Error", [("Content-Type", "text/plain")], (None, None, None))
                response.write(_ERROR, len(_ERROR))
            return body.finish()
        except Gone:
            print(f"Client left during {method} {target}", file=sys.stderr)
        except BaseException:
            print(f"Error answering {method} {target}", file=sys.stderr)
            traceback.print_exc()
        return False

    def _run(self, environ: dict, response: Response) -> None:
        result = self._app(environ, response.start)
        try:
            if isinstance(result, (list, tuple)) and len(result) == 1:
                response.write(result[0], len(result[0]))
            else:
                for piece in result:
                    if piece:
                        response.write(piece)
            response.end()
        finally:
            if hasattr(result, "close"):
                result.close()


def _settings(file: str) -> dict:
    """gunicorn's settings are a Python file."""
    settings = {"__file__": os.path.abspath(file), "__name__": "__config__"}
    with open(file, "rb") as opened:
        exec(compile(opened.read(), file, "exec"), settings)
    return settings


def load(target: str) -> object:
    """The app that `MODULE`, `MODULE:NAME` or `MODULE:FACTORY(…)` means."""
    module, _, name = target.partition(":")
    loaded = importlib.import_module(module)
    app = eval(name or "application", vars(loaded))  # gunicorn's own rule: a name, or a call with literals.
    if not callable(app):
        raise Refused(f"{target} is not an app: it cannot be called")
    return app


def _load_flask(target: str) -> object:
    from flask.cli import ScriptInfo

    return ScriptInfo(app_import_path=target or os.environ.get("FLASK_APP")).load_app()


def serve(launch: Launch) -> None:
    """Loads the app and serves it until the dyno ends."""
    target, access_log = launch.target, launch.access_log
    if launch.config:
        settings = _settings(launch.config)
        target = target or settings.get("wsgi_app") or ""
        access_log = access_log or settings.get("accesslog") == "-"
        os.environ.update(pair.partition("=")[::2] for pair in settings.get("raw_env", []))
        if not launch.directory and settings.get("chdir"):
            os.chdir(settings["chdir"])
        sys.path[:0] = [path for path in (settings.get("pythonpath") or "").split(",") if path]
        if not target:
            raise Refused(f"neither the command nor {launch.config} (wsgi_app) says the app")
    sys.path.insert(0, os.getcwd())
    app = _load_flask(target.removeprefix("flask:")) if target.startswith("flask:") else load(target)
    # What is loaded stays, so no collection has to look at it, or to write to its pages.
    gc.freeze()
    port = int(os.environ.get("PORT", "8080"))
    print(f"Serving {target.removeprefix('flask:') or 'the app'} on port {port}", flush=True)
    Server(app, access_log).listen(port)
