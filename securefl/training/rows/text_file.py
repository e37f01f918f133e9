"""Text files opened for reading: plain or gzipped, in a named encoding, with or without a byte-order mark.

The rule kept here: no encoding is guessed. A file that is not written in the encoding that it is said to have is
refused with the line of the first byte that does not fit; a byte-order mark is no part of the text, and one that
contradicts the encoding is an error.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from securefl.training.rows.row_errors import unreadable

GZIP_START = b"\x1f\x8b"
BLOCK_BYTES = 1 << 16
_UTF8 = ("utf-8", "utf-8-sig")
# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", _UTF8),
    (codecs.BOM_UTF32_LE, "utf-32", ("utf-32", "utf-32-le")),
    (codecs.BOM_UTF32_BE, "utf-32", ("utf-32", "utf-32-be")),
    (codecs.BOM_UTF16_LE, "utf-16", ("utf-16", "utf-16-le")),
    (codecs.BOM_UTF16_BE, "utf-16", ("utf-16", "utf-16-be")),
)
# Codecs that take the mark away themselves, and for UTF-16 and UTF-32 need it to know the order of bytes.
_READ_THE_MARK = ("utf-8-sig", "utf-16", "utf-32")


@dataclass(frozen=True, slots=True)
class TextFormat:
    """Spelling of text files, as ``[data]`` gives it.

    Attributes:
        encoding: A name that Python has for it.
        delimiter: What stands between the cells of csv and tsv files; None leaves it to suffix and header.
        quotes: A double quote at the start of a cell of csv and tsv files opens a quoted cell.
    """

    encoding: str = "utf-8"
    delimiter: str | None = None
    quotes: bool = True


@contextmanager
def open_text(path: Path, *, encoding: str, newline: str) -> Iterator[TextIO]:
    """Open a text file; gzip is undone where the last suffix is ``.gz``, in any case.

    Args:
        path: The file.
        encoding: The one that it is written in.
        newline: As for ``open``.

    Raises:
        DataError: if the file cannot be read, now or while the block reads from it.
    """
    try:
        with _open_bytes(path) as raw:
            _skip_mark(raw, path, encoding)
            with io.TextIOWrapper(raw, encoding=encoding, newline=newline) as text:
                yield text
    except UnicodeError:
        raise unreadable(
            path,
            where=f"line {_line_of_bad_byte(path, encoding)}",
            hint=f"a byte is no {encoding}: save the file as UTF-8, or name its encoding in data.encoding, "
            'such as "latin-1"',
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        cut = isinstance(error, EOFError)
        raise unreadable(
            path,
            hint="it is cut off: get the whole file"
            if cut
            else "it is no gzip file, or damaged: get it again",
        ) from None
    except OSError as error:
        raise unreadable(path, hint=error.strerror or "the system gives no reason") from None


def _open_bytes(path: Path) -> io.BufferedReader | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _skip_mark(raw: io.BufferedReader | gzip.GzipFile, path: Path, encoding: str) -> None:
    """Read over a byte-order mark.

    Raises:
        DataError: if the first bytes say that the file is written in another encoding, or compressed.
    """
    start, name = raw.peek(4)[:4], codecs.lookup(encoding).name
    if start.startswith(GZIP_START):
        raise unreadable(path, hint="it is compressed with gzip: let its name end with .gz")
    for mark, family, fitting in _MARKS:
        if start.startswith(mark) and (name in _UTF8 or mark == codecs.BOM_UTF8 or name in fitting):
            if name not in fitting:
                raise unreadable(
                    path, hint=f'it begins with the mark of {family.upper()}: set data.encoding = "{family}"'
                )
            if name not in _READ_THE_MARK:
                raw.read(len(mark))
            return
    if name in _UTF8 and b"\0" in start:
        raise unreadable(
            path,
            hint='it is no UTF-8: name its encoding in data.encoding, perhaps "utf-16-le" or "utf-16-be"',
        )


def _line_of_bad_byte(path: Path, encoding: str) -> int:
    """Number of the line with the first byte that cannot be decoded."""
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 1
    with _open_bytes(path) as raw:
        while block := raw.read(BLOCK_BYTES):
            before = decoder.getstate()
            try:
                lines += decoder.decode(block).count("\n")
            except UnicodeError:
                decoder.setstate(before)
                return lines + _lines_before_error(decoder, block)
    return lines


def _lines_before_error(decoder: codecs.IncrementalDecoder, block: bytes) -> int:
    count = 0
    with contextlib.suppress(UnicodeError):
        for byte in block:
            count += decoder.decode(bytes([byte])).count("\n")
    return count
