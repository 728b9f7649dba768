"""CSV and Parquet tables as raw articles, row by row."""

from __future__ import annotations

import csv
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

from inference.decoding import UnreadableTextError, bounded_lines, decode_line, open_text_stream, open_unpacked
from inference.inputs import InputFile
from inference.jsonlines import missing_column, values_by_role
from inference.records import ROLES, RawArticle, ReadOptions, Rejected, size_limit_passed

DELIMITERS = (",", ";", "\t", "|")
#: Rows read from a Parquet table at a time. A value that is stored once for many rows is unpacked for each, so that a
#: file of some kilobytes can fill gigabytes; one by one they cost five microseconds more.
PARQUET_ROWS = 1
#: A packed Parquet file is unpacked to a temporary file, since it is read from its end; beyond this it is refused.
MAX_UNPACKED_PARQUET = 1 << 34
QUOTE_FIELDS = "quote fields that hold quotes, delimiters or line breaks, and double the quotes inside them"


def read_csv(file: InputFile, options: ReadOptions) -> Iterator[RawArticle | Rejected]:
    """One article a row, under a header; the delimiter is the one of DELIMITERS that cuts out the text's column.

    A row that cannot be right (a quote left open or alone, more or fewer fields than the header) is rejected alone;
    after a quote that is left open, reading goes on at the line after its first. Raises UnreadableTextError where the
    whole file is no text.
    """
    with open_text_stream(file) as (stream, encoding, fallback):
        lines = _Lines(file.name, stream, options.max_article_bytes, fallback)
        header = next((line for line in lines if line.strip() and not line.lower().startswith("sep=")), None)
        if header is None:
            yield Rejected(file.name, "the table is empty", "write a header and rows, or leave it out")
            return
        if fault := lines.fault():
            yield Rejected(file.name, f"of its header, {fault[0]}", fault[1])
            return
        delimiter, columns = _columns(header, options.text_column)
        if refused := _missing_or_double(file.name, columns, options):
            yield refused
            return
        lines.begin_row()
        for row in _rows(lines, delimiter):
            if fault := lines.fault():
                yield Rejected(lines.place, *fault)
            elif isinstance(row, str):
                yield Rejected(lines.place, row, QUOTE_FIELDS)
            elif row and len(row) != len(columns):
                reason = f"{lines.extent} has {len(row)} fields under a header of {len(columns)}"
                yield Rejected(lines.place, reason, QUOTE_FIELDS)
            elif row and lines.quotes % 2:
                yield Rejected(lines.place, f"{lines.extent} holds a quote that has no other", QUOTE_FIELDS)
            elif row:
                values = values_by_role(dict(zip(columns, row, strict=True)), options)
                yield RawArticle(lines.place, values, lines.encoding or encoding)
            lines.begin_row()


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str
    encoding: str | None
    fault: tuple[str, str] | None


class _Lines:
    """The text lines of a table, which remembers those of the row being read, so that a bad row can be read again.

    A line that cannot be read stands as far as it can, so that its row keeps its shape, and makes that row's fault.
    """

    def __init__(self, name: str, stream: BinaryIO, limit: int, fallback: str | None) -> None:
        self._name = name
        self.limit = limit
        self._source = self._decoded(stream, fallback)
        self._again: deque[_Line] = deque()
        self._row: list[_Line] = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._size > self.limit:
            raise csv.Error("a quote is not closed")
        line = self._again.popleft() if self._again else next(self._source)
        self._row.append(line)
        self._size += len(line.text)
        return line.text

    @property
    def place(self) -> str:
        """Where the row begins."""
        return f"{self._name}:{self._row[0].number}"

    @property
    def extent(self) -> str:
        """The row in words, with its lines where they are several."""
        first, last = self._row[0].number, self._row[-1].number
        return "the row" if first == last else f"the row of lines {first} to {last}"

    @property
    def quotes(self) -> int:
        """How many quotes the row holds; in a sound row they are even."""
        return sum(line.text.count('"') for line in self._row)

    @property
    def encoding(self) -> str | None:
        """The row's encoding, unless it is UTF-8."""
        return next((line.encoding for line in self._row if line.encoding), None)

    def fault(self) -> tuple[str, str] | None:
        """Reason and mend of the row's first line that could not be read."""
        return next((line.fault for line in self._row if line.fault), None)

    def begin_row(self) -> None:
        """Forget the lines of the row that was read."""
        self._row = []
        self._size = 0

    def read_again(self) -> None:
        """Give back all lines of the row but its first."""
        self._again.extendleft(reversed(self._row[1:]))
        del self._row[1:]

    def _decoded(self, stream: BinaryIO, fallback: str | None) -> Iterator[_Line]:
        for number, content in bounded_lines(stream, self.limit):
            if content is None:
                yield _Line(number, "\n", None, size_limit_passed(self.limit, "line"))
                continue
            fault = None
            try:
                text, encoding = decode_line(content, fallback)
            except UnreadableTextError as error:
                text, encoding = content.decode("utf-8", errors="replace"), None
                fault = (error.reason, error.mend)
            for piece in _at_returns(text):
                yield _Line(number, piece, encoding, fault)


def _rows(lines: _Lines, delimiter: str) -> Iterator[list[str] | str]:
    """The fields of each row, or the reason why the row cannot be read."""
    csv.field_size_limit(max(csv.field_size_limit(), 2 * lines.limit + 1))  # the lines' own limit comes first
    while True:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            yield from reader
        except csv.Error as error:
            fault = str(error)
            lines.read_again()
            unclosed = "unexpected end" in fault or "not closed" in fault
            yield "a quote is opened and never closed" if unclosed else f"the row is malformed ({fault})"
        else:
            return


def _columns(header: str, text_column: str) -> tuple[str, list[str]]:
    """The delimiter and the column names: of those under which the text's column appears, the most columns win."""
    cuts: list[tuple[bool, int, str, list[str]]] = []
    for delimiter in DELIMITERS:
        columns = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
        cuts.append((text_column in columns, len(columns), delimiter, columns))
    _, _, delimiter, columns = max(cuts, key=lambda cut: cut[:2])
    return delimiter, columns


def _missing_or_double(name: str, columns: list[str], options: ReadOptions) -> Rejected | None:
    for column in options.named_columns():
        if column not in columns:
            return missing_column(name, column, columns)
    double = next((column for role in ROLES if columns.count(column := options.column(role)) > 1), None)
    if double is not None:
        return Rejected(name, f"there are {columns.count(double)} columns {double!r}", "rename all but one")
    return None


def _at_returns(text: str) -> Iterator[str]:
    """Cut a line at carriage returns that stand alone: the line ends of old spreadsheets."""
    start = 0
    while (end := text.find("\r", start)) >= 0:
        end += 2 if text.startswith("\n", end + 1) else 1
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def read_parquet(file: InputFile, options: ReadOptions) -> Iterator[RawArticle | Rejected]:
    """One article a row, read one at a time and only the columns needed; rows count from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _seekable(file) as source:
        if source is None:
            yield Rejected(file.name, f"it unpacks to over {MAX_UNPACKED_PARQUET:,} bytes", "cut it into several files")
            return
        try:
            table = pq.ParquetFile(source)
            columns = table.schema_arrow.names
            if refused := _missing_or_double(file.name, columns, options):
                yield refused
                return
            kind = table.schema_arrow.field(options.text_column).type
            value_kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not (pa.types.is_string(value_kind) or pa.types.is_large_string(value_kind)):
                reason = f"column {options.text_column!r} holds {kind}, not text"
                yield Rejected(file.name, reason, "name a text column")
                return
            wanted = [name for role in ROLES if (name := options.column(role)) in columns]
            row = 0
            for batch in table.iter_batches(batch_size=PARQUET_ROWS, columns=wanted):
                dated = _with_dates(batch)
                for index in range(dated.num_rows):
                    row += 1
                    yield _parquet_row(f"{file.name}:{row}", dated, index, options)
        except pa.ArrowException as error:
            yield Rejected(file.name, f"it is not a sound Parquet file ({_first_line(error)})", "write it again")


def _parquet_row(place: str, batch: Any, index: int, options: ReadOptions) -> RawArticle | Rejected:
    try:
        content = {name: batch.column(name)[index].as_py() for name in batch.schema.names}
    except (UnicodeDecodeError, ValueError, OverflowError) as error:
        return Rejected(
            place, f"a value cannot be read ({_first_line(error)})", "write the column again, as UTF-8 text"
        )
    return RawArticle(place, values_by_role(content, options))


def _with_dates(batch: Any) -> Any:
    """Timestamps as dates: Python's have no nanoseconds."""
    import pyarrow as pa

    for position, name in enumerate(batch.schema.names):
        if pa.types.is_timestamp(batch.column(position).type):
            batch = batch.set_column(position, name, batch.column(position).cast(pa.date32(), safe=False))
    return batch


@contextmanager
def _seekable(file: InputFile) -> Iterator[IO[bytes] | None]:
    """The unpacked file in a form that can be read from its end; None where it unpacks beyond the limit."""
    with open_unpacked(file) as stream:
        if file.compression is None:
            yield stream
            return
        with tempfile.TemporaryFile() as unpacked:
            while chunk := stream.read(1 << 20):
                unpacked.write(chunk)
                if unpacked.tell() > MAX_UNPACKED_PARQUET:
                    yield None
                    return
            unpacked.seek(0)
            yield unpacked


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
