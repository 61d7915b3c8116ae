"""Documents in, tables out: streaming readers and atomic writers for JSONL, CSV, Parquet and plain text."""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from olivebranch.errors import OlivebranchError, UsageError

TEXT_FORMATS: Final = (".txt", ".md")
ROW_FORMATS: Final = (".jsonl", ".csv", ".parquet")
COMPRESSIONS: Final = (".gz", ".zst")
STDIN: Final = "-"

CHUNK_ROWS: Final = 4096
CHUNK_CHARACTERS: Final = 1_000_000
"""A chunk ends at either bound; it is the unit of memory, of work and of resuming."""

csv.field_size_limit(sys.maxsize)


@dataclass(frozen=True)
class Source:
    """One input file (or standard input), its format and the column that holds the text."""

    path: str
    format: str
    size: int

    @property
    def is_text(self) -> bool:
        """Whether the file is one document, not a table of them."""
        return self.format in TEXT_FORMATS

    @property
    def name(self) -> str:
        """What documents without an id are called after."""
        return "stdin" if self.path == STDIN else self.path


@dataclass(frozen=True)
class Chunk:
    """Some rows of one source: their columns, their numbers in it (from 1), the share of the source read so far."""

    source: Source
    numbers: Sequence[int]
    table: pa.Table
    done: float


def find_sources(inputs: Iterable[str]) -> list[Source]:
    """Expand files, folders, globs and `-` into the files to read, in a stable order, each once.

    Raises:
        UsageError: a file of another format; a folder or glob that holds nothing to read.
        OlivebranchError: a path that does not exist.
    """
    found: dict[str, Source] = {}
    for item in inputs:
        for source in _expand(item):
            found.setdefault(source.path, source)
    return list(found.values())


def read_chunks(
    source: Source, text_column: str, id_column: str | None = None, lines_are_rows: bool = False
) -> Iterator[Chunk]:
    """Stream a source as tables of bounded size.

    A text file gives one row with the column `text_column`, or with `lines_are_rows` one for each line
    that is not blank. Text that is missing or blank stays a row; whether that matters is for the caller.
    Standard input is JSON lines where it begins like a JSON object, else plain text.

    Raises:
        UsageError: the source has no such column.
        OlivebranchError: the file is unreadable, not UTF-8, or broken at a line that the message names.
    """
    with _named_errors(source.name):
        if source.format == ".parquet":
            yield from _parquet_chunks(source, [text_column, *([id_column] if id_column else [])])
            return
        with _open(source) as stream:
            if source.path == STDIN:
                stream = io.BufferedReader(cast(io.RawIOBase, stream))
                source = replace(source, format=".jsonl" if _looks_like_json(stream.peek(64)) else ".txt")
            if source.is_text:
                rows, columns = _text_rows(stream, text_column, lines_are_rows), [text_column]
            else:
                read = _jsonl_rows if source.format == ".jsonl" else _csv_rows
                rows, columns = read(source, stream), [text_column, *([id_column] if id_column else [])]
            yield from _gather(source, rows, stream, columns)


def _looks_like_json(start: bytes) -> bool:
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().replace(b" ", b"").startswith((b'{"', b"{}"))


def read_rows(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a JSONL, CSV or Parquet file, each with its place ("file.jsonl line 7") for messages.

    Raises:
        UsageError, OlivebranchError: as `read_chunks`.
    """
    source = _source(Path(path))
    if source.is_text:
        raise UsageError(f"{path} is not a table; use one of {', '.join(ROW_FORMATS)}")
    unit = "line" if source.format == ".jsonl" else "row"
    with _named_errors(source.name):
        if source.format == ".parquet":
            for chunk in _parquet_chunks(source, [""]):
                for number, row in zip(chunk.numbers, chunk.table.to_pylist(), strict=True):
                    yield f"{path} row {number}", row
            return
        with _open(source) as stream:
            read = _jsonl_rows if source.format == ".jsonl" else _csv_rows
            for number, row in read(source, stream):
                yield f"{path} {unit} {number}", row


def _expand(item: str) -> list[Source]:
    if item == STDIN:
        return [Source(STDIN, ".txt", 0)]
    path = Path(item)
    if path.is_dir():
        names = sorted(str(file) for file in path.rglob("*") if file.is_file() and format_of(file) is not None)
    elif not path.exists() and has_magic(item):
        found = glob(item, recursive=True)  # noqa: PTH207  absolute patterns too
        names = sorted(name for name in found if Path(name).is_file() and format_of(Path(name)))
    else:
        return [_source(path)]
    if not names:
        raise UsageError(f"'{item}' holds nothing to read; files end in {_known_endings()}")
    return [_source(Path(name)) for name in names]


def _source(path: Path) -> Source:
    if not path.exists():
        raise OlivebranchError(f"'{path}' does not exist; check the path")
    kind = format_of(path)
    if kind is None:
        raise UsageError(f"'{path}' has an unknown format; files end in {_known_endings()}")
    return Source(str(path), kind, path.stat().st_size)


def format_of(path: Path) -> str | None:
    """`.jsonl` for `a.jsonl` and `a.jsonl.gz`; None for what cannot be read."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    return kind if kind in TEXT_FORMATS + ROW_FORMATS else None


def _known_endings() -> str:
    return " ".join(TEXT_FORMATS + ROW_FORMATS) + " (also with .gz or .zst)"


@contextmanager
def _named_errors(path: str) -> Iterator[None]:
    """Say which file an error of the operating system or of a decoder is about."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise OlivebranchError(
            f"{path} is not UTF-8 (byte 0x{error.object[error.start]:02x}); convert it, for example with iconv -t utf-8"
        ) from None
    except PermissionError:
        raise OlivebranchError(f"cannot read {path}: permission denied") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, pa.ArrowException) as error:
        raise OlivebranchError(f"{path} is damaged or cut short: {_first_line(error)}") from None
    except OSError as error:
        if error.errno is None:  # a decoder's, not the system's
            raise OlivebranchError(f"{path} is damaged or cut short: {_first_line(error)}") from None
        raise OlivebranchError(f"cannot read {path}: {error.strerror}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def _open(source: Source) -> Iterator[BinaryIO]:
    if source.path == STDIN:
        yield sys.stdin.buffer
        return
    with Path(source.path).open("rb") as raw:
        if source.path.lower().endswith(".gz"):
            yield cast(BinaryIO, gzip.GzipFile(fileobj=raw))
        elif source.path.lower().endswith(".zst"):
            yield cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw), "zstd")))
        else:
            yield raw


Numbered = Iterator[tuple[int, dict[str, Any]]]


def _text_rows(stream: BinaryIO, text_column: str, lines_are_rows: bool) -> Numbered:
    if lines_are_rows:
        for number, line in enumerate(io.TextIOWrapper(stream, encoding="utf-8-sig"), 1):
            if line.strip():
                yield number, {text_column: line.rstrip("\r\n")}
    else:
        yield 1, {text_column: stream.read().decode("utf-8-sig")}


def _jsonl_rows(source: Source, stream: BinaryIO) -> Numbered:
    for number, line in enumerate(io.TextIOWrapper(stream, encoding="utf-8-sig", newline="\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise OlivebranchError(f"{source.name} line {number} is not JSON: {_first_line(error)}") from None
        if not isinstance(row, dict):
            raise OlivebranchError(f"{source.name} line {number} is not a JSON object; write one object a line")
        yield number, row


def _csv_rows(source: Source, stream: BinaryIO) -> Numbered:
    reader = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) < len(header):
            raise OlivebranchError(f"{source.name} names a column twice in its header: {', '.join(header)}")
        for number, values in enumerate(reader, 1):
            if values and len(values) != len(header):
                found = f"{len(values)} fields, the header {len(header)}"
                raise OlivebranchError(f"{source.name} row {number} has {found}; quote fields that hold commas")
            if values:
                yield number, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise OlivebranchError(f"{source.name} line {reader.line_num} is not CSV: {error}") from None


def _gather(source: Source, rows: Numbered, stream: BinaryIO, columns: list[str]) -> Iterator[Chunk]:
    batch: list[tuple[int, dict[str, Any]]] = []
    characters = 0
    for number, row in rows:
        batch.append((number, row))
        if columns[0]:
            _require_columns(source, columns, list(row), number)
            characters += len(_text_of(source, number, row, columns[0]) or "")
        if len(batch) >= CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
            yield _chunk(source, batch, _position(source, stream))
            batch, characters = [], 0
    if batch:
        yield _chunk(source, batch, 1.0)


def _text_of(source: Source, number: int, row: dict[str, Any], column: str) -> str | None:
    value = row[column]
    if value is None or isinstance(value, str):
        return value
    raise OlivebranchError(
        f"{source.name} row {number}: {column} is {json.dumps(value)[:60]}, not text; name another --text-column"
    )


def _position(source: Source, stream: BinaryIO) -> float:
    raw = getattr(stream, "fileobj", stream)
    try:
        return min(1.0, raw.tell() / source.size) if source.size else 0.0
    except (OSError, ValueError):
        return 0.0


def _chunk(source: Source, numbered: list[tuple[int, dict[str, Any]]], done: float) -> Chunk:
    numbers, rows = zip(*numbered, strict=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [_column([row.get(name) for row in rows]) for name in names]
    return Chunk(source, numbers, pa.table(columns, names=[_storable(name) for name in names]), done)


def _column(values: list[Any]) -> pa.Array:
    """An Arrow column; values of mixed kinds, and objects that no table can hold, are kept as JSON text."""
    try:
        column = pa.array(values)
        return column if _fits_a_table(column.type) else pa.array([_as_text(value) for value in values])
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return pa.array([_as_text(value) for value in values])


def _fits_a_table(kind: pa.DataType) -> bool:
    """Parquet has no empty objects."""
    parts = [kind.field(index).type for index in range(kind.num_fields)]
    return all(map(_fits_a_table, parts)) and not (pa.types.is_struct(kind) and not parts)


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    return _storable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _storable(text: str) -> str:
    """Lone surrogates cannot be stored as UTF-8; each becomes U+FFFD, so that offsets stay."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not text.isascii() else text


def _require_columns(source: Source, wanted: list[str], names: list[str], number: int | None = None) -> None:
    for column in wanted:
        if column not in names:
            where = f"{source.name} row {number}" if number else source.name
            raise UsageError(
                f"{where} has no column '{column}'; its columns are {', '.join(names)} (--text-column, --id-column)"
            )


def _parquet_chunks(source: Source, columns: list[str]) -> Iterator[Chunk]:
    text_column = columns[0]
    with pq.ParquetFile(source.path) as file:
        if text_column:
            _require_columns(source, columns, file.schema_arrow.names)
            kind = file.schema_arrow.field(text_column).type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
                raise OlivebranchError(
                    f"{source.name}: column '{text_column}' holds {kind}, not text; name another --text-column"
                )
        total, first = max(1, file.metadata.num_rows), 1
        for batch in file.iter_batches(batch_size=CHUNK_ROWS):
            for table in _bounded(pa.Table.from_batches([batch]), text_column):
                after = first + len(table)
                yield Chunk(source, range(first, after), table, (after - 1) / total)
                first = after


def _bounded(table: pa.Table, text_column: str) -> Iterator[pa.Table]:
    """Slices of a table that keep to `CHUNK_CHARACTERS`, or hold a single row."""
    if not text_column:
        yield table
        return
    sizes = pc.fill_null(pc.utf8_length(table[text_column].cast(pa.large_string())), 0).to_numpy()
    start = characters = 0
    for row, size in enumerate(sizes):
        if row > start and characters + size > CHUNK_CHARACTERS:
            yield table.slice(start, row - start)
            start, characters = row, 0
        characters += int(size)
    yield table.slice(start)
