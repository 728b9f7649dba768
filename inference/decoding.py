"""From bytes on disk to text: unpacking within bounds, and encodings that are detected or refused, never guessed.

UTF-8 (with or without its mark) and UTF-16/32 with a mark are read as they are. Anything else must be detected with
confidence (inference.encodings): what was detected is told with the article; what is not certain is rejected.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from inference.encodings import MIN_FRENCH_SHARE, SAMPLE_BYTES, detect, french_share, has_controls, is_mixture
from inference.inputs import InputFile

#: What unpacking a damaged file raises.
UNPACK_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError)
#: A single line that goes on for longer than this is a bomb or no text: the rest of the file is given up.
ENDLESS_LINE = 1 << 30
SAVE_AS_UTF8 = "save it as UTF-8"

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SIGNATURES = (
    (b"%PDF-", "a PDF", "extract its text first"),
    (b"PK\x03\x04", "a zip archive or an office document", "save its text as .txt, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old office document", "save its text as .txt"),
    (b"{\\rtf", "an RTF document", "save its text as .txt"),
    (b"\x1f\x8b", "packed with gzip", "add .gz to its name"),
    (b"BZh", "packed with bzip2", "add .bz2 to its name"),
    (b"\xfd7zXZ\x00", "packed with xz", "add .xz to its name"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "add .zst to its name"),
    (b"PAR1", "a Parquet file", "let its name end in .parquet"),
    (b"\x89PNG", "an image", "leave it out"),
    (b"\xff\xd8\xff", "an image", "leave it out"),
)


class UnreadableTextError(Exception):
    """Bytes that are no text, or not with certainty; the message is ``reason; mend``."""

    def __init__(self, reason: str, mend: str) -> None:
        """Keep what is wrong and what its owner can do."""
        super().__init__(f"{reason}; {mend}")
        self.reason = reason
        self.mend = mend


@contextmanager
def open_unpacked(file: InputFile) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked as they are read; raises one of UNPACK_ERRORS while reading a damaged file."""
    with file.open() as packed, _unpacker(packed, file.compression) as stream:
        yield stream


def _unpacker(packed: BinaryIO, compression: str | None) -> Any:
    match compression:
        case None:
            return packed
        case "gzip":
            return gzip.GzipFile(fileobj=packed)
        case "bz2":
            return bz2.BZ2File(packed)
        case "xz":
            return lzma.LZMAFile(packed)
        case _:
            import pyarrow as pa

            return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(packed, "r"), compression))


@contextmanager
def open_text_stream(file: InputFile) -> Iterator[tuple[BinaryIO, str | None, str | None]]:
    """The file as a byte stream of lines without a mark, for readers that go line by line.

    Yields ``(stream, encoding, fallback)``: a file with a UTF-16/32 mark is turned into UTF-8 on the way and
    ``encoding`` names it; ``fallback`` is the encoding detected from the first lines that are not UTF-8, if any.
    Raises UnreadableTextError for a file that is none of text.
    """
    head = _head(file)
    refuse_binary(head)
    encoding = _marked(head)
    fallback = None if encoding else detect(head[: head.rfind(b"\n") + 1] or head)
    with open_unpacked(file) as stream:
        if encoding:
            yield io.BufferedReader(_Recoded(stream, encoding)), encoding, None
        else:
            if head.startswith(codecs.BOM_UTF8):
                stream.read(len(codecs.BOM_UTF8))
            yield stream, None, fallback


def _head(file: InputFile) -> bytes:
    """The first bytes of a file; where its packing is damaged, as many as there are."""
    head = b""
    with open_unpacked(file) as stream:
        try:
            while len(head) < 4 * SAMPLE_BYTES and (more := stream.read(1 << 12)):
                head += more
        except UNPACK_ERRORS:
            return head  # whoever reads the rows will meet the damage, after the rows before it
    return head


def bounded_lines(stream: BinaryIO, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers from 1 and their ends; None for a line beyond ``limit`` bytes, which is not kept.

    Raises UnreadableTextError where a line goes on for more than ENDLESS_LINE bytes.
    """
    number = 0
    while line := stream.readline(limit + 1):
        number += 1
        if len(line) <= limit or line.endswith(b"\n"):
            yield number, line
            continue
        passed = len(line)
        while (rest := stream.readline(SAMPLE_BYTES)) and not rest.endswith(b"\n"):
            passed += len(rest)
            if passed > ENDLESS_LINE:
                raise UnreadableTextError(f"line {number} goes on for over {ENDLESS_LINE:,} bytes", "cut it into lines")
        yield number, None


def decode_line(line: bytes, fallback: str | None) -> tuple[str, str | None]:
    """A line's text, and its encoding unless it is UTF-8; raises UnreadableTextError where that is not certain.

    ``fallback``, detected from the beginning of the file, is believed where the line's letters agree with it, and
    where the line alone does not tell.
    """
    try:
        return line.decode("utf-8"), None
    except UnicodeDecodeError:
        refuse_mixture(line)
    usual = None if fallback is None else _decoded(line, fallback)
    if usual is not None and french_share(usual) >= MIN_FRENCH_SHARE:
        return usual, fallback
    encoding = detect(line)
    if encoding is not None and (text := _decoded(line, encoding)) is not None:
        return text, encoding
    if usual is not None and not has_controls(usual):
        return usual, fallback
    raise UnreadableTextError("it is not UTF-8 and its encoding cannot be told with certainty", SAVE_AS_UTF8)


def decode_document(content: bytes, declared: str | None = None) -> tuple[str, str | None]:
    """A whole file's text, and its encoding unless it is UTF-8; ``declared`` is the codec that the file
    itself claims.

    Raises UnreadableTextError where the content is no text or its encoding is not certain.
    """
    refuse_binary(content)
    encoding = _marked(content)
    try:
        if encoding is None:
            return content.decode("utf-8-sig"), None
        return content.decode(encoding), encoding
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise UnreadableTextError(f"it is marked as {encoding} and is not", SAVE_AS_UTF8) from error
    if declared is not None and (text := _decoded(content, declared)) is not None:
        return text, declared  # where it does not fit, as happens, it is detected
    refuse_mixture(content)
    encoding = detect(content)
    if encoding is not None and (text := _decoded(content, encoding)) is not None:
        return text, encoding
    raise UnreadableTextError("it is not UTF-8 and its encoding cannot be told with certainty", SAVE_AS_UTF8)


def refuse_binary(content: bytes) -> None:
    """Raise UnreadableTextError for a known binary format, and for NUL bytes without a UTF-16/32 mark."""
    for signature, what, mend in _SIGNATURES:
        if content.startswith(signature):
            raise UnreadableTextError(f"it is {what}, not text", mend)
    if b"\x00" in content and not _marked(content):
        reason = "it holds NUL bytes: binary, or UTF-16 without its mark"
        raise UnreadableTextError(reason, f"{SAVE_AS_UTF8}, or leave it out")


def refuse_mixture(content: bytes) -> None:
    """Raise UnreadableTextError where bytes that are not UTF-8 stand beside letters that are."""
    if is_mixture(content):
        raise UnreadableTextError("it mixes UTF-8 with another encoding, or was cut inside a letter", SAVE_AS_UTF8)


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _marked(head: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


class _Recoded(io.RawIOBase):
    """A stream in a marked encoding, as UTF-8; raises UnreadableTextError where it breaks off or is malformed."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        while not self._ready:
            content = self._stream.read(SAMPLE_BYTES)
            try:
                self._ready = self._decoder.decode(content, final=not content).encode("utf-8")
            except UnicodeDecodeError as error:
                raise UnreadableTextError(f"it is marked as {self._encoding} and is not", SAVE_AS_UTF8) from error
            if not content:
                break
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count
