"""Output rows to disk: every file appears whole or not at all, and identical input gives identical bytes."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from inference.labels import Task

Row = dict[str, Any]

#: Spreadsheets run a cell that begins so (OWASP, CSV injection), some in full width; a quote in front makes it text.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@contextmanager
def atomic(path: Path, writer: str = "") -> Iterator[IO[bytes]]:
    """Open ``path`` for writing under another name; it takes its own only when it is whole and on the disk.

    ``writer`` keeps writers apart that may write one file at the same time, with the same bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}{writer}.new")
    try:
        with fresh.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too, must survive a power cut
    finally:
        os.close(folder)


def write_json(path: Path, content: Any, writer: str = "") -> None:
    """Write JSON for people to read, atomically."""
    with atomic(path, writer) as file:
        file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def passage_schema(tasks: Sequence[Task]) -> Any:
    """The Arrow schema of passage rows for a model's tasks."""
    import pyarrow as pa

    fields = [("article_id", pa.string()), ("passage_index", pa.int32()), ("start", pa.int64()), ("end", pa.int64())]
    fields += [("text", pa.string()), *((task.name, pa.string()) for task in tasks)]
    fields += [(task.column(label), pa.float64()) for task in tasks for label in task.labels]
    fields += [("confidence", pa.float64()), ("abstained", pa.bool_())]
    fields += [("n_tokens", pa.int32()), ("truncated_tokens", pa.int32()), ("model", pa.string())]
    return pa.schema(fields)


def article_schema(tasks: Sequence[Task], axes: Sequence[str]) -> Any:
    """The Arrow schema of article rows; tasks in ``axes`` have an index with its interval."""
    import pyarrow as pa

    names = ("article_id", "title", "date", "source", "topic")
    fields = [*((name, pa.string()) for name in names), ("n_passages", pa.int32())]
    fields += [(f"share_{task.column(label)}", pa.float64()) for task in tasks for label in task.labels]
    for task in tasks:
        fields.append((task.name, pa.string()))
        if task.name in axes:
            fields += [(f"{task.name}_index{end}", pa.float64()) for end in ("", "_low", "_high")]
    fields += [("share_abstained", pa.float64()), ("flags", pa.string()), ("model", pa.string())]
    return pa.schema(fields)


def _write_parquet(file: IO[bytes], rows: Sequence[Row], schema: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file, compression="zstd")


def _write_jsonl(file: IO[bytes], rows: Sequence[Row], schema: Any) -> None:
    for row in rows:
        file.write(json.dumps({name: row[name] for name in schema.names}, ensure_ascii=False).encode() + b"\n")


def _write_csv(file: IO[bytes], rows: Sequence[Row], schema: Any) -> None:
    import io

    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180; with \n alone, a lone \r would go unquoted
    writer.writerow(schema.names)
    for row in rows:
        writer.writerow([_harmless(row[name]) for name in schema.names])
    file.write(text.getvalue().encode())


def _harmless(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return "'" + value
    return value


WRITERS: dict[str, Callable[[IO[bytes], Sequence[Row], Any], None]] = {
    "parquet": _write_parquet,
    "jsonl": _write_jsonl,
    "csv": _write_csv,
}


def write_part(folder: Path, number: int, rows: Sequence[Row], schema: Any, form: str, writer: str = "") -> Path:
    """Write one part of a table atomically and return its path."""
    path = folder / f"part-{number:05d}.{form}"
    with atomic(path, writer) as file:
        WRITERS[form](file, rows, schema)
    return path


def read_part(path: Path) -> list[Row]:
    """The rows of a part, in any of the formats; CSV gives strings back as numbers and booleans where they are."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        rows: list[Row] = pq.read_table(path).to_pylist()
        return rows
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8", newline="\n") as lines:  # a text may hold other line ends than \n
            return [json.loads(line) for line in lines]
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    texts = ("article_id", "title", "date", "source", "topic", "text", "flags", "model")
    options = pa_csv.ConvertOptions(column_types=dict.fromkeys(texts, pa.string()), strings_can_be_null=False)
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    table: list[Row] = pa_csv.read_csv(path, convert_options=options, parse_options=parse).to_pylist()
    return table
