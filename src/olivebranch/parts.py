"""The parts of an output: written one by one in one step each, joined in one step at the end."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from olivebranch.errors import OlivebranchError

PLAN: Final = "_plan.json"


def part_path(folder: Path, number: int) -> Path:
    """The file of a part."""
    return folder / f"part-{number:06d}.parquet"


def write_part(path: Path, table: pa.Table) -> None:
    """Write a part so that it is there whole or not at all."""
    with _in_one_step(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def finish(parts: Path, output: Path) -> None:
    """Join the parts into the output file and remove them; or, where the output is their folder, make them one dataset."""
    files = sorted(parts.glob("part-*.parquet"))
    schema = _common_schema([pq.read_schema(file) for file in files])
    if parts == output:
        for file in files:
            if pq.read_schema(file) != schema:
                write_part(file, _cast(pq.read_table(file), schema))
        (parts / PLAN).unlink()
        return
    with _in_one_step(output) as partial:
        _WRITERS[output.suffix](partial, schema, (_cast(pq.read_table(file), schema) for file in files))
    shutil.rmtree(parts)


def json_lines(table: pa.Table) -> Iterator[str]:
    """Rows as JSON, one a line; dates and the like as text."""
    for row in table.to_pylist():
        yield json.dumps(row, ensure_ascii=False, default=str) + "\n"


@contextmanager
def _in_one_step(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OlivebranchError(
            f"cannot write '{path}': {(error.strerror or str(error)).lower()}; --resume goes on from here"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _common_schema(schemas: list[pa.Schema]) -> pa.Schema:
    """One schema for all parts; a column whose types cannot be reconciled becomes text."""
    names = dict.fromkeys(name for schema in schemas for name in schema.names)
    fields = []
    for name in names:
        found = [pa.schema([schema.field(name)]) for schema in schemas if name in schema.names]
        try:
            fields.append(pa.unify_schemas(found, promote_options="permissive").field(name).remove_metadata())
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            fields.append(pa.field(name, pa.string()))
    return pa.schema(fields)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        column = table[field.name] if field.name in table.column_names else pa.nulls(len(table), field.type)
        if pa.types.is_string(field.type) and not pa.types.is_string(column.type):
            values = column.to_pylist()
            column = pa.array(
                [value if value is None or isinstance(value, str) else _as_json(value) for value in values], pa.string()
            )
        columns.append(column.cast(field.type))
    return pa.table(columns, schema=schema)


def _write_parquet(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)


def _write_jsonl(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for table in tables:
            stream.writelines(json_lines(table))


def _write_csv(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        _csv_rows(stream, schema, tables)


def _csv_rows(stream: TextIO, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    writer = csv.writer(stream)
    writer.writerow(schema.names)
    for table in tables:
        columns = [[_cell(value) for value in column.to_pylist()] for column in table.columns]
        writer.writerows(zip(*columns, strict=True))


def _cell(value: Any) -> Any:
    return _as_json(value) if isinstance(value, list | dict | bool) else value


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


_WRITERS: Final[dict[str, Callable[[Path, pa.Schema, Iterator[pa.Table]], None]]] = {
    ".parquet": _write_parquet,
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
}
