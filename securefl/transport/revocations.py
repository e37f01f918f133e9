"""Certificates that the server's operator has revoked: a file that may change while the server runs.

The rule kept here: a certificate that a readable line names is refused from the next call on, without a restart. A line
that cannot be read stops a server that starts; while it runs it is told once, and all other lines hold.

    # revoked, in the server's folder: the SHA-256 of each certificate in DER, 64 hexadecimal digits
    3f8a...c1  # client-7, laptop lost
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from securefl.errors import IdentityError, plain_reason

FINGERPRINT_BYTES: Final = 32
MAX_FILE_BYTES: Final = 1 << 20


class RevokedCertificates:
    """The list of one server; call it for the fingerprints as they are now.

    Args:
        path: The file; there need be none.
        tell: Told of a line that cannot be read while the server runs.

    Raises:
        IdentityError: if the file, or a line of it, cannot be read now.
    """

    def __init__(self, path: Path, *, tell: Callable[[str], None]) -> None:
        self._path = path
        self._tell = tell
        self._seen = self._stamp()
        self._revoked: frozenset[bytes] = frozenset()
        self._revoked, wrong = self._read()
        if wrong:
            raise IdentityError(wrong, hint="write 64 hexadecimal digits a line; a comment begins with '#'")

    def __call__(self) -> frozenset[bytes]:
        """The fingerprints of all revoked certificates."""
        if (stamp := self._stamp()) != self._seen:
            self._seen = stamp
            self._revoked, wrong = self._read()
            if wrong:
                self._tell(wrong)
        return self._revoked

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> tuple[frozenset[bytes], str]:
        """The readable lines, and a sentence on the first one that is not."""
        if self._seen is None:
            return frozenset(), ""
        try:
            with self._path.open("rb") as file:
                text = file.read(MAX_FILE_BYTES).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = plain_reason(error)
            return self._revoked, f"the list of revoked certificates, {self._path}, cannot be read: {reason}"
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        read = {number: _fingerprint(line) for number, line in enumerate(lines, 1) if line}
        wrong = [number for number, fingerprint in read.items() if fingerprint is None]
        sentence = f"line {wrong[0]} of {self._path} is no certificate's fingerprint" if wrong else ""
        return frozenset(each for each in read.values() if each is not None), sentence


def _fingerprint(line: str) -> bytes | None:
    try:
        value = bytes.fromhex(line.replace(":", ""))
    except ValueError:
        return None
    return value if len(value) == FINGERPRINT_BYTES else None
