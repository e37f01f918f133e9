"""Fingerprints: short forms of public keys and files that people compare over another way than the server.

The rule kept here: a fingerprint has 128 bits, so that nobody finds another key with the same one.
"""

from __future__ import annotations

import hashlib

from securefl.crypto.framing import framed

_DOMAIN = b"securefl/v3/fingerprint\x00"
_DIGITS = 32
_GROUP = 4


def fingerprint(*fields: bytes) -> str:
    """32 hexadecimal digits in groups of four.

    Guarantee: finding other fields with the fingerprint of given ones takes about 2^128 tries, assuming SHA-256 is
    second-preimage resistant; whoever chooses both fields needs 2^64, so a key's owner could show two keys.
    """
    digits = hashlib.sha256(_DOMAIN + framed(*fields)).hexdigest()[:_DIGITS]
    return " ".join(digits[at : at + _GROUP] for at in range(0, _DIGITS, _GROUP))
