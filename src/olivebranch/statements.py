"""Load and check labelled files: the project's dataset, or a user's own rows."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, TypeVar

from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.records import LabelledText, Statement, validate
from olivebranch.resources import shared_path
from olivebranch.tables import read_rows

SPLITS: Final = ("train", "validation", "test")
MOST_GROUPS: Final = 200
LENGTHS: Final = {9: "1-9 words", 19: "10-19 words", 39: "20-39 words"}
"""Most words of a sentence in each group of lengths."""
FIELDS: Final = ("id", "text", "label", "holder", "conflict", "document", "register", "stream", "annotations")

Labelled = TypeVar("Labelled", bound=LabelledText)


def split_path(split: str) -> Path:
    """The file of a split of the project's dataset."""
    return shared_path(f"data/statements/{split}.jsonl")


def load_statements(split: str) -> list[Statement]:
    """A split of the project's dataset: `train`, `validation` or `test`."""
    return read_statements(split_path(split))


def read_statements(path: str | Path) -> list[Statement]:
    """Full statements, every field checked.

    Raises:
        OlivebranchError: names the row, the field, the value and what is allowed.
    """
    return _read(path, Statement)


def read_labelled(path: str | Path) -> list[LabelledText]:
    """Rows with at least `text` and `label` (and perhaps `holder`); other columns are left alone.

    Raises:
        OlivebranchError: names the row, the field, the value and what is allowed; or the file is empty.
    """
    return _read(path, LabelledText)


def read_groups(path: str | Path, column: str) -> list[str]:
    """For each row of a labelled file, in order, the value of a column; `words` is how long its text is.

    Raises:
        UsageError: no such column, or it has too many values to group by.
    """
    rows = [row for _, row in read_rows(path)]
    if column == "words":
        return [length_group(row["text"]) for row in rows]
    if column not in rows[0]:
        raise UsageError(f"{path} has no column '{column}'; its columns are {', '.join(rows[0])}, or use words")
    values = ["" if row.get(column) is None else str(row[column]) for row in rows]
    if len(set(values)) > MOST_GROUPS:
        raise UsageError(f"column '{column}' has {len(set(values))} values, and {MOST_GROUPS} is the most; group by another")
    return values


def length_group(text: str) -> str:
    """How long a sentence is, in four steps."""
    words = len(text.split())
    return next((name for most, name in LENGTHS.items() if words <= most), f"{max(LENGTHS) + 1} words or more")


def write_statements(path: Path, statements: Iterable[Statement]) -> None:
    """Write JSON lines, keys in the order of `FIELDS`."""
    rows = (asdict(statement) for statement in statements)
    lines = (json.dumps({name: row[name] for name in FIELDS}, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def fingerprint(rows: Sequence[LabelledText]) -> str:
    """SHA-256 over text, label and holder of the rows in order: the data hash that a model carries."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.text, row.label, row.holder]).encode())
    return digest.hexdigest()


def _read(path: str | Path, kind: type[Labelled]) -> list[Labelled]:
    rows = [validate(kind, _cleaned(row), where) for where, row in read_rows(path)]
    if not rows:
        raise OlivebranchError(f"{path} holds no statements; write one row for each")
    return rows


def _cleaned(row: dict[str, object]) -> dict[str, object]:
    """CSV knows no null: an empty holder is nobody."""
    return {**row, "holder": None} if row.get("holder") == "" else row
