"""Stands in for the module `ssl`: TLS is the host's (see docs/network.md), and there is no OpenSSL here.

Servers and clients import it for names that their options mention. Whoever wants to use it is told at that moment.
"""

from enum import IntEnum, IntFlag

HAS_SNI = HAS_ALPN = HAS_NPN = HAS_TLSv1_2 = HAS_TLSv1_3 = HAS_NEVER_CHECK_COMMON_NAME = False
OPENSSL_VERSION = "none"
OPENSSL_VERSION_INFO = (0, 0, 0, 0, 0)
OPENSSL_VERSION_NUMBER = 0


class SSLError(OSError):
    """As everywhere; nothing here raises it."""


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
    """Can be made and configured, as libraries do for connections that may never want it, and not be used."""

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

    def wrap_socket(self, *_args: object, **_options: object) -> None:
        """Says why not."""
        raise NotImplementedError(
            "There is no TLS inside a dyno: connect in clear, and let the platform add TLS by an egress rule with "
            "`tls` or `pgtls`; requests reach the app in clear anyway"
        )

    wrap_bio = wrap_socket


class SSLSocket:
    """Never made."""


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
