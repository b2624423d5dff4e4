"""How a client proves to PostgreSQL who it is: a password in clear, MD5, SCRAM-SHA-256 (RFC 5802, RFC 7677)."""

import base64
import hashlib
import hmac
import secrets
import stringprep
import unicodedata


def md5(user: bytes, password: bytes, salt: bytes) -> bytes:
    """The answer to `AuthenticationMD5Password`."""
    inner = hashlib.md5(password + user).hexdigest().encode()
    return b"md5" + hashlib.md5(inner + salt).hexdigest().encode()


def prepared(password: bytes) -> bytes:
    """RFC 4013's form of a password; one that has none is taken as it is, as PostgreSQL does."""
    try:
        text = password.decode()
    except UnicodeDecodeError:
        return password
    text = "".join(" " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char))
    text = unicodedata.normalize("NFKC", text)
    forbidden = (
        stringprep.in_table_a1, stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3,
        stringprep.in_table_c4, stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7,
        stringprep.in_table_c8, stringprep.in_table_c9,
    )
    if not text or any(is_in(char) for char in text for is_in in forbidden):
        return password
    return text.encode()


class Scram:
    """One exchange."""

    NAME = b"SCRAM-SHA-256"

    def __init__(self, password: bytes) -> None:
        self._password = prepared(password)
        self._nonce = base64.b64encode(secrets.token_bytes(18))
        self._bare = b"n=,r=" + self._nonce
        self._proof = b""

    def first(self) -> bytes:
        """What the client says first. It knows of no channel to bind to: TLS is the host's."""
        return b"n,," + self._bare

    def answer(self, challenge: bytes) -> bytes:
        """The proof. Raises `ValueError` if the server answers somebody else."""
        fields = dict(part.split(b"=", 1) for part in challenge.split(b","))
        nonce, salt, rounds = fields[b"r"], base64.b64decode(fields[b"s"]), int(fields[b"i"])
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ValueError("invalid SCRAM response (nonce mismatch)")
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, rounds)
        without = b"c=biws,r=" + nonce
        signed = b",".join((self._bare, challenge, without))
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
        self._proof = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        return without + b",p=" + base64.b64encode(proof)

    def check(self, final: bytes) -> None:
        """Raises `ValueError` if the server does not know the password."""
        fields = dict(part.split(b"=", 1) for part in final.split(b","))
        if not hmac.compare_digest(base64.b64decode(fields.get(b"v", b"")), self._proof or b"-"):
            raise ValueError("incorrect server signature")
