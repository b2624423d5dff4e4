"""The WSGI server, with Python's own HTTP client and with bytes."""

import contextlib
import http.client
import io
import random
import socket
import sys
import threading
import unittest
from pathlib import Path
from wsgiref.validate import validator

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from wsgi_server import Server  # noqa: E402


class Closed:
    """An iterable that says whether it was closed."""

    closed = 0

    def __iter__(self) -> object:
        return iter([b"a", b"", b"b"])

    def close(self) -> None:
        """Of WSGI."""
        Closed.closed += 1


def app(environ: dict, start_response: object) -> object:
    """Does what the path says."""
    path = environ["PATH_INFO"]
    text = [("Content-Type", "text/plain")]
    match path:
        case "/echo":
            pieces = iter(lambda: environ["wsgi.input"].read(1000), b"")
            body = b"".join(pieces)
            start_response("200 OK", text)
            return [body]
        case "/lines":
            start_response("200 OK", text)
            return [b"|".join(iter(environ["wsgi.input"].readline, b""))]
        case "/boom":
            raise ValueError("boom")
        case "/exit":
            raise SystemExit(3)
        case "/half":
            start_response("200 OK", text)
            return (1 // (1 - number) and b"piece" or b"piece" for number in range(3))
        case "/closed":
            start_response("200 OK", text)
            return Closed()
        case "/long":
            start_response("200 OK", [*text, ("Content-Length", "3")])
            return [b"abcdef"]
        case "/short":
            start_response("200 OK", [*text, ("Content-Length", "9")])
            return [b"abc"]
        case "/none":
            start_response("204 No Content", [])
            return []
        case "/split":
            start_response("200 OK", [("X", "a\r\nb: c")])
            return [b""]
        case "/text":
            start_response("200 OK", text)
            return ["text"]
        case "/environ":
            start_response("200 OK", text)
            names = ("REMOTE_ADDR", "wsgi.url_scheme", "SERVER_NAME", "SERVER_PORT", "QUERY_STRING", "HTTP_A_B")
            return [repr([environ.get(name) for name in names]).encode()]
    start_response("200 OK", text)
    return [path.encode("latin-1")]


class Served(unittest.TestCase):
    """One server for all."""

    @classmethod
    def setUpClass(cls) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            cls.port = free.getsockname()[1]
        cls.log = io.StringIO()
        server = Server(app, False)

        def run() -> None:
            with contextlib.redirect_stderr(cls.log):
                server.listen(cls.port)

        threading.Thread(target=run, daemon=True).start()
        for _ in range(1000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", cls.port)):
                break

    def ask(self, path: str, method: str = "GET", body: object = None, **headers: str) -> tuple[int, bytes]:
        """A request on a connection of its own."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        client.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = client.getresponse()
        try:
            return response.status, response.read()
        finally:
            client.close()

    def test_bodies_come_and_go(self) -> None:
        blob = random.Random(1).randbytes(3_000_000)
        self.assertEqual(self.ask("/echo", "POST", blob), (200, blob))
        pieces = [blob[at : at + 70_001] for at in range(0, len(blob), 70_001)]
        self.assertEqual(self.ask("/echo", "POST", iter(pieces)), (200, blob))
        self.assertEqual(self.ask("/lines", "POST", b"a\nbc\n\nd"), (200, b"a\n|bc\n|\n|d"))
        self.assertEqual(self.ask("/a%20%C3%BC"), (200, "/a ü".encode()))
        closed = Closed.closed
        self.assertEqual(self.ask("/closed"), (200, b"ab"))
        self.assertEqual(self.ask("/x"), (200, b"/x"))  # It was before this one.
        self.assertEqual(Closed.closed, closed + 1)
        self.assertEqual(self.ask("/long"), (200, b"abc"))
        self.assertEqual(self.ask("/none"), (204, b""))
        self.assertEqual(self.ask("/x", "HEAD"), (200, b""))
        with self.assertRaises(http.client.IncompleteRead):
            self.ask("/short")

    def test_connections_are_kept_in_order(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self.port)
        for number in range(5):
            client.request("POST", "/boom" if number == 2 else f"/{number}", b"unread" * 1000)
            response = client.getresponse()
            response.read()
            self.assertFalse(response.will_close)
        sock = client.sock
        sock.sendall(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        text = b"".join(iter(lambda: sock.recv(1000), b""))
        self.assertLess(text.index(b"/a"), text.index(b"/b"))
        client.close()

    def test_a_body_is_asked_for_when_it_is_read(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            head = b"POST %s HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
            sock.sendall(head % b"/echo")
            self.assertEqual(sock.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
            sock.sendall(b"abc")
            self.assertIn(b"abc", sock.recv(1000))
            sock.sendall(head % b"/x")
            text = b"".join(iter(lambda: sock.recv(1000), b""))
            self.assertTrue(text.startswith(b"HTTP/1.1 200"), text)

    def test_errors_are_answered_and_logged(self) -> None:
        for path in ("/boom", "/exit", "/split", "/text"):
            self.assertEqual(self.ask(path), (500, b"Internal Server Error"), path)
        for said in ("ValueError: boom", "SystemExit: 3", "a line end in header", "gave str for its body"):
            self.assertIn(said, self.log.getvalue())
        with self.assertRaises(http.client.IncompleteRead):
            self.ask("/half")
        for nonsense in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1 x\r\n\r\n", b"GET /" + b"a" * 200_000):
            with socket.create_connection(("127.0.0.1", self.port)) as sock, contextlib.suppress(OSError):
                sock.sendall(nonsense)
                self.assertEqual(b"".join(iter(lambda: sock.recv(1000), b"")), b"")

    def test_the_router_says_who_the_client_is(self) -> None:
        headers = {"X_Forwarded_For": "1.1.1.1, 2.2.2.2", "X_Forwarded_Proto": "https", "X_Forwarded_Port": "443"}
        status, body = self.ask("/environ?a=b", Host="shop.example:80", A_B="x", **headers)
        self.assertEqual(body, b"['2.2.2.2', 'https', 'shop.example', '443', 'a=b', 'x']")

    def test_wsgi_is_kept(self) -> None:
        from wsgiref.util import setup_testing_defaults

        import wsgi_server

        environ = wsgi_server._environ(wsgi_server._base(), "GET", "/x?y", "HTTP/1.1", ["Host: a"])
        setup_testing_defaults(environ)
        environ.pop("HTTP_CONTENT_LENGTH", None)
        checked = validator(app)(environ, lambda status, headers, exc_info=None: lambda data: None)
        self.assertEqual(list(checked), [b"/x"])
        checked.close()

    def test_a_thousand_clients_leave(self) -> None:
        chance = random.Random(1)
        for _ in range(1000):
            path = chance.choice(["/echo", "/boom", "/half", "/x", "/closed"])
            text = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc".encode()
            with socket.create_connection(("127.0.0.1", self.port)) as sock, contextlib.suppress(OSError):
                sock.sendall(text[: chance.randrange(1, len(text) + 1)])
                if chance.random() < 0.5:  # By a reset.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.assertEqual(self.ask("/after"), (200, b"/after"))
        self.assertIn("Client left during POST", self.log.getvalue())


if __name__ == "__main__":
    unittest.main()
