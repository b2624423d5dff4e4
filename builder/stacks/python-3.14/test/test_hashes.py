"""Hashes of passwords, compared with OpenSSL's."""

import hashlib
import sys
import types
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import hashes  # noqa: E402


class Hashes(unittest.TestCase):
    """Without the native module, and with something in its place."""

    def test_pbkdf2_in_python(self) -> None:
        for name, password, length in [("sha256", b"pass", None), ("SHA512", b"p" * 300, 200), ("md5", b"", 5)]:
            self.assertEqual(
                hashes.pbkdf2_hmac(name, password, bytearray(b"salt"), 3, length),
                hashlib.pbkdf2_hmac(name, password, b"salt", 3, length),
            )
        for arguments in (("sha256", b"", b"", 0), ("sha256", b"", b"", 1, 0)):
            with self.assertRaises(ValueError):
                hashes.pbkdf2_hmac(*arguments)
        with self.assertRaises(TypeError):
            hashes.pbkdf2_hmac("sha256", "text", b"", 1)

    def test_scrypt_says_what_is_missing_and_refuses_what_openssl_does(self) -> None:
        given = {"salt": b"salt", "n": 16, "r": 8, "p": 1}
        with self.assertRaisesRegex(NotImplementedError, "PBKDF2"):
            hashes.scrypt(b"password", **given)
        self.addCleanup(setattr, hashes, "wpaas_hashes", None)
        hashes.wpaas_hashes = types.SimpleNamespace(scrypt=lambda *arguments: arguments)
        self.assertEqual(hashes.scrypt(b"password", **given), (b"password", b"salt", (4, 8, 1), 64))
        for wrong in ({"n": 15}, {"n": 1}, {"n": 1 << 16}, {"r": 0}, {"p": 0}, {"dklen": 0}):
            with self.assertRaises(ValueError, msg=wrong):
                hashlib.scrypt(b"password", **given | wrong)
            with self.assertRaises(ValueError, msg=wrong):
                hashes.scrypt(b"password", **given | wrong)


if __name__ == "__main__":
    unittest.main()
