"""Stands in for the module `ssl`: TLS is the host's (see docs/python.md), and there is no OpenSSL here.

A client's socket is connected anew, by a name that asks the host for TLS. The host verifies the server's certificate, by the
system's authorities or those of the egress rule; what a context says of that makes no difference.
"""

import socket
from enum import IntEnum, IntFlag

HAS_SNI = HAS_TLSv1_2 = HAS_TLSv1_3 = True
HAS_ALPN = HAS_NPN = HAS_NEVER_CHECK_COMMON_NAME = False
# Packages compare it; the TLS is the host's, and no older than this.
OPENSSL_VERSION = "OpenSSL 3.0.0 (in its place, the host's TLS)"
OPENSSL_VERSION_INFO = (3, 0, 0, 0, 0)
OPENSSL_VERSION_NUMBER = 0x30000000


class SSLError(OSError):
    """As everywhere."""


class SSLZeroReturnError(SSLError):
    """As everywhere."""


class SSLWantReadError(SSLError):
    """As everywhere."""


class SSLWantWriteError(SSLError):
    """As everywhere."""


class SSLSyscallError(SSLError):
    """As everywhere."""


class SSLEOFError(SSLError):
    """As everywhere."""


class SSLCertVerificationError(SSLError, ValueError):
    """As everywhere."""


CertificateError = SSLCertVerificationError


class VerifyMode(IntEnum):
    """As in OpenSSL."""

    CERT_NONE = 0
    CERT_OPTIONAL = 1
    CERT_REQUIRED = 2


class _SSLMethod(IntEnum):
    PROTOCOL_TLS = 2
    PROTOCOL_TLS_CLIENT = 16
    PROTOCOL_TLS_SERVER = 17


class TLSVersion(IntEnum):
    """As in OpenSSL."""

    MINIMUM_SUPPORTED = -2
    SSLv3 = 768
    TLSv1 = 769
    TLSv1_1 = 770
    TLSv1_2 = 771
    TLSv1_3 = 772
    MAXIMUM_SUPPORTED = -1


class Options(IntFlag):
    """As in OpenSSL."""

    OP_ALL = 0x80000050
    OP_NO_SSLv2 = 0
    OP_NO_SSLv3 = 0x02000000
    OP_NO_TLSv1 = 0x04000000
    OP_NO_TLSv1_1 = 0x10000000
    OP_NO_TICKET = 0x00004000
    OP_NO_COMPRESSION = 0x00020000
    OP_IGNORE_UNEXPECTED_EOF = 0x00000080


class VerifyFlags(IntFlag):
    """As in OpenSSL."""

    VERIFY_DEFAULT = 0
    VERIFY_X509_STRICT = 0x20
    VERIFY_X509_PARTIAL_CHAIN = 0x80000


class Purpose(IntEnum):
    """What a context is for."""

    SERVER_AUTH = 1
    CLIENT_AUTH = 2


for _names in (VerifyMode, _SSLMethod, Options, VerifyFlags):
    globals().update(_names.__members__)
PROTOCOL_SSLv23 = _SSLMethod.PROTOCOL_TLS
SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_EOF = 2, 3, 8


class SSLContext:
    """Can be made and configured; the host decides."""

    check_hostname = False
    hostname_checks_common_name = False
    keylog_filename = None
    maximum_version = TLSVersion.MAXIMUM_SUPPORTED
    minimum_version = TLSVersion.MINIMUM_SUPPORTED
    options = Options.OP_ALL
    post_handshake_auth = False
    session_stats = None
    sni_callback = None
    verify_flags = VerifyFlags.VERIFY_DEFAULT
    verify_mode = VerifyMode.CERT_NONE

    def __init__(self, protocol: int = _SSLMethod.PROTOCOL_TLS) -> None:
        self.protocol = protocol
        if protocol == _SSLMethod.PROTOCOL_TLS_CLIENT:
            self.check_hostname, self.verify_mode = True, VerifyMode.CERT_REQUIRED

    def _nothing(self, *_args: object, **_options: object) -> None:
        """It would matter if there were TLS."""

    load_cert_chain = load_default_certs = load_verify_locations = load_dh_params = _nothing
    set_alpn_protocols = set_ciphers = set_default_verify_paths = set_ecdh_curve = set_npn_protocols = _nothing
    set_servername_callback = _nothing

    def get_ca_certs(self, binary_form: bool = False) -> list:
        """None: the host has them."""
        return []

    def cert_store_stats(self) -> dict[str, int]:
        """Nothing either."""
        return {"x509": 0, "crl": 0, "x509_ca": 0}

    def get_ciphers(self) -> list:
        """None."""
        return []

    def wrap_socket(
        self, sock: socket.socket, server_side: bool = False, do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True, server_hostname: str | None = None, session: object = None,
    ) -> "SSLSocket":
        """A new connection to the same server, on which the host does TLS; `sock`, on which nothing was sent, is closed."""
        if server_side:
            raise NotImplementedError("There is no TLS inside a dyno: requests reach the app in clear")
        if not server_hostname:
            raise ValueError("check_hostname requires server_hostname: the host verifies the server's certificate")
        port, timeout = sock.getpeername()[1], sock.gettimeout()
        sock.close()
        address = socket.getaddrinfo(name_for(server_hostname), port, type=socket.SOCK_STREAM)[0]
        wrapped = SSLSocket(*address[:3])
        wrapped.context, wrapped.server_hostname = self, server_hostname
        try:
            wrapped.settimeout(timeout or None)
            wrapped.connect(address[4])
            wrapped.settimeout(timeout)
        except OSError as error:
            wrapped.close()
            if isinstance(error, ConnectionRefusedError):
                raise SSLError(1, f"the host has no TLS connection to {server_hostname}; the app's log says why") from None
            raise
        return wrapped

    def wrap_bio(self, *_args: object, **_options: object) -> None:
        """Says why not."""
        raise NotImplementedError(
            "There is no TLS inside a dyno, and so none on bytes in memory; asyncio's and anyio's connections have it"
        )


def name_for(host: str) -> str:
    """The name by which a dyno reaches `host` with TLS by the host (`runtime/src/net/secure.rs`)."""
    return host.rstrip(".") + ".tls.internal"


class SSLSocket(socket.socket):
    """A socket on which the host does TLS: what is written and read here is in clear."""

    context: SSLContext
    server_hostname: str
    server_side = False
    session = session_reused = None
    # httpcore looks for the object below, and asks it what the server speaks.
    _sslobj = property(lambda self: self)

    def do_handshake(self, block: bool = False) -> None:
        """It was done when the socket was connected."""

    def getpeercert(self, binary_form: bool = False) -> dict | bytes | None:
        """The host has it, and found it to be in order."""
        if binary_form:
            return None
        return {"subject": ((("commonName", self.server_hostname),),), "subjectAltName": (("DNS", self.server_hostname),)}

    def version(self) -> str:
        """At least 1.2."""
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        """Not known here."""
        return ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)

    def selected_alpn_protocol(self) -> None:
        """None was asked for: HTTP/1.1."""

    selected_npn_protocol = compression = shared_ciphers = get_channel_binding = selected_alpn_protocol

    def pending(self) -> int:
        """Nothing is kept back here."""
        return 0

    def unwrap(self) -> socket.socket:
        """TLS ends with the connection."""
        return self


class SSLObject:
    """Never made."""


class MemoryBIO:
    """Never made."""


class SSLSession:
    """Never made."""


def create_default_context(purpose: Purpose = Purpose.SERVER_AUTH, **_options: object) -> SSLContext:
    """One that verifies, if it could do anything."""
    context = SSLContext()
    if purpose is Purpose.SERVER_AUTH:
        context.verify_mode = VerifyMode.CERT_REQUIRED
        context.check_hostname = True
    return context


_create_default_https_context = create_default_context


def _create_unverified_context(*_args: object, **_options: object) -> SSLContext:
    return SSLContext()
