"""The parts of an output: written one by one in one step each, joined in one step at the end.

A folder of shards keeps the plan that it was made by (`_plan.json`); it tells our folders from others.
"""

import csv
import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from olivebranch.errors import OlivebranchError, UsageError, reason_of

PLAN: Final = "_plan.json"


def parts_folder(output: Path) -> Path:
    """Where the parts of an unfinished output lie."""
    return output.with_name(output.name + ".parts")


def check_replaceable(output: Path, overwrite: bool) -> None:
    """Raise where an output exists that is not ours to replace, or that nobody said to replace."""
    if not output.exists() and not output.is_symlink():
        return
    if not overwrite:
        raise UsageError(f"output '{output}' exists; choose another, or add --overwrite")
    if output.is_dir() and not _is_ours(output):
        raise UsageError(f"'{output}' is a folder that no run of ours made; choose another --output")


def _is_ours(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir()}
    return not names or (PLAN in names and all(name == PLAN or name.startswith("part-") for name in names))


def part_path(folder: Path, number: int) -> Path:
    """The file of a part."""
    return folder / f"part-{number:06d}.parquet"


def write_part(path: Path, table: pa.Table) -> None:
    """Write a part so that it is there whole or not at all."""
    with in_one_step(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def finish(parts: Path, output: Path) -> None:
    """Join the parts into the output file and remove them; or make them the output, where that is a folder."""
    files = sorted(parts.glob("part-*.parquet"))
    schema = _common_schema([pq.read_schema(file) for file in files])
    if not output.suffix:
        for file in files:
            if pq.read_schema(file) != schema:
                write_part(file, _cast(pq.read_table(file), schema))
        _swap(parts, output)
        return
    with in_one_step(output) as partial:
        _WRITERS[output.suffix](partial, schema, (_cast(pq.read_table(file), schema) for file in files))
    shutil.rmtree(parts)


def _swap(parts: Path, output: Path) -> None:
    """Put the folder of parts in the place of the output."""
    try:
        if output.exists():
            shutil.rmtree(output)
        parts.replace(output)
    except OSError as error:
        raise OlivebranchError(f"cannot write '{output}': {reason_of(error)}; the shards are in '{parts}'") from None


def json_lines(table: pa.Table) -> Iterator[str]:
    """Rows as JSON, one a line; dates and the like as text."""
    for row in table.to_pylist():
        yield json.dumps(_without_nan(row), ensure_ascii=False, default=str) + "\n"


def _without_nan(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list) else value


@contextmanager
def in_one_step(path: Path, fix: str = "--resume goes on from here") -> Iterator[Path]:
    """A file to write that takes the place of `path` when it is whole.

    Raises:
        OlivebranchError: it cannot be written; the message ends with `fix`.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OlivebranchError(f"cannot write '{path}': {reason_of(error)}; {fix}") from None
    finally:
        with suppress(OSError):
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
    """Text for a value: JSON for what has parts or is a number, the plain form for dates and the like."""
    return (
        json.dumps(value, ensure_ascii=False, default=str)
        if isinstance(value, list | dict | bool | int | float)
        else str(value)
    )


_WRITERS: Final[dict[str, Callable[[Path, pa.Schema, Iterator[pa.Table]], None]]] = {
    ".parquet": _write_parquet,
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
}
