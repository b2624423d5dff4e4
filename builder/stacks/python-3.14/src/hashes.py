"""`hashlib.pbkdf2_hmac` and `hashlib.scrypt`, which are OpenSSL's elsewhere.

They are in Rust (`native/hashes`), where the stack was made with Rust; without it the one is slow and the other not there.
"""

import hashlib

try:
    import wpaas_hashes
except ImportError:
    wpaas_hashes = None

# What OpenSSL allows `scrypt` unless it is told otherwise.
_SCRYPT_BYTES = 32 * 1024 * 1024
# Longest key, of OpenSSL too.
_MOST = (1 << 31) - 1


def pbkdf2_hmac(
    hash_name: str, password: bytes, salt: bytes, iterations: int, dklen: int | None = None
) -> bytes:
    """RFC 8018: as `hashlib.pbkdf2_hmac` elsewhere."""
    if not isinstance(hash_name, str):
        raise TypeError(hash_name)
    password, salt = memoryview(password).tobytes(), memoryview(salt).tobytes()
    if iterations < 1:
        raise ValueError("iteration value must be greater than 0.")
    if dklen is None:
        dklen = hashlib.new(hash_name).digest_size
    if dklen < 1:
        raise ValueError("key length must be greater than 0.")
    if wpaas_hashes:
        name = hash_name.lower().replace("-", "")
        key = wpaas_hashes.pbkdf2(name, password, salt, iterations, min(dklen, _MOST))
        if key is not None:
            return key
    return _in_python(hash_name, password, salt, iterations, dklen)


def _in_python(hash_name: str, password: bytes, salt: bytes, iterations: int, dklen: int) -> bytes:
    inner, outer = hashlib.new(hash_name), hashlib.new(hash_name)
    if len(password) > inner.block_size:
        password = hashlib.new(hash_name, password).digest()
    password = password.ljust(inner.block_size, b"\0")
    inner.update(bytes(byte ^ 0x36 for byte in password))
    outer.update(bytes(byte ^ 0x5C for byte in password))
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


def scrypt(
    password: bytes, *, salt: bytes, n: int, r: int, p: int, maxmem: int = 0, dklen: int = 64
) -> bytes:
    """RFC 7914: as `hashlib.scrypt` elsewhere."""
    if not wpaas_hashes:
        raise NotImplementedError(
            "hashlib.scrypt is not there on this stack, because it was made without Rust: use PBKDF2, such as Werkzeug's "
            "generate_password_hash(password, method='pbkdf2') or Django's default hasher"
        )
    password, salt = memoryview(password).tobytes(), memoryview(salt).tobytes()
    if n < 2 or n & (n - 1):
        raise ValueError("n must be a power of 2.")
    if r < 1 or p < 1 or r * p >= 1 << 30 or 128 * r * (n + p + 2) > (maxmem or _SCRYPT_BYTES):
        raise ValueError("Invalid parameter combination for n, r, p, maxmem.")
    if not 1 <= dklen <= _MOST:
        raise ValueError(f"dklen must be greater than 0 and smaller than {_MOST}")
    return wpaas_hashes.scrypt(password, salt, (n.bit_length() - 1, r, p), dklen)


def install() -> None:
    """Puts them into `hashlib`."""
    hashlib.pbkdf2_hmac = pbkdf2_hmac
    hashlib.scrypt = scrypt
