"""`hashlib.pbkdf2_hmac` and `hashlib.scrypt`, which are OpenSSL's elsewhere."""

import hashlib


def pbkdf2_hmac(
    hash_name: str, password: bytes, salt: bytes, iterations: int, dklen: int | None = None
) -> bytes:
    """RFC 8018: as `hashlib.pbkdf2_hmac` elsewhere, some ten times slower."""
    if not isinstance(hash_name, str):
        raise TypeError(hash_name)
    inner, outer = hashlib.new(hash_name), hashlib.new(hash_name)
    password, salt = bytes(password), bytes(salt)
    if len(password) > inner.block_size:
        password = hashlib.new(hash_name, password).digest()
    password = password.ljust(inner.block_size, b"\0")
    inner.update(bytes(byte ^ 0x36 for byte in password))
    outer.update(bytes(byte ^ 0x5C for byte in password))
    if iterations < 1:
        raise ValueError("iteration value must be greater than 0.")
    if dklen is None:
        dklen = outer.digest_size
    if dklen < 1:
        raise ValueError("key length must be greater than 0.")
    inner_copy, outer_copy, number = inner.copy, outer.copy, int.from_bytes

    def prf(message: bytes) -> bytes:
        one, other = inner_copy(), outer_copy()
        one.update(message)
        other.update(one.digest())
        return other.digest()

    key = b""
    block = 0
    while len(key) < dklen:
        block += 1
        previous = prf(salt + block.to_bytes(4, "big"))
        mixed = number(previous, "big")
        for _ in range(iterations - 1):
            previous = prf(previous)
            mixed ^= number(previous, "big")
        key += mixed.to_bytes(outer.digest_size, "big")
    return key[:dklen]


def scrypt(*_arguments: object, **_options: object) -> bytes:
    """Not there: in Python one password would take half a minute."""
    raise NotImplementedError(
        "hashlib.scrypt is not there on this stack: use PBKDF2, such as Werkzeug's "
        "generate_password_hash(password, method='pbkdf2') or Django's default hasher"
    )


def install() -> None:
    """Puts them into `hashlib`."""
    hashlib.pbkdf2_hmac = pbkdf2_hmac
    hashlib.scrypt = scrypt
