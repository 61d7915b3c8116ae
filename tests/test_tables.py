import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olivebranch import tables
from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.tables import find_sources, read_chunks, read_rows

ROWS = [{"id": "007", "text": "One. Two.", "n": 1}, {"id": "8", "text": 'Three, "four"\nfive.', "n": None}]


def read(path: Path | str, **options: Any) -> list[dict[str, Any]]:
    (source,) = find_sources([str(path)])
    return [row for chunk in read_chunks(source, "text", **options) for row in chunk.table.to_pylist()]


def save(folder: Path, ending: str) -> Path:
    path = folder / f"rows{ending}"
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif ending == ".csv":
        path.write_text('\ufeffid,text,n\n007,One. Two.,1\n8,"Three, ""four""\nfive.",\n', encoding="utf-8")
    elif ending == ".jsonl":
        path.write_text(lines, encoding="utf-8")
    elif ending == ".jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    else:
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(lines.encode())
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet", ".jsonl.gz", ".jsonl.zst"])
def test_every_row_format_gives_the_same_text_and_ids(tmp_path: Path, ending: str) -> None:
    rows = read(save(tmp_path, ending))
    assert [(row["id"], row["text"]) for row in rows] == [(row["id"], row["text"]) for row in ROWS]


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("One.\n\nTwo.\n", encoding="utf-8")
    assert read(path) == [{"text": "One.\n\nTwo.\n"}]
    assert [row["text"] for row in read(path, lines_are_rows=True)] == ["One.", "Two."]


@pytest.mark.parametrize(("data", "count"), [(b'{"text": "a"}\n{"text": "b"}\n', 2), (b"Plain text. Two sentences.\n", 1)])
def test_standard_input_is_json_lines_or_text(monkeypatch: pytest.MonkeyPatch, data: bytes, count: int) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert len(read("-")) == count


def test_folders_and_globs_are_read_in_order_and_once(tmp_path: Path) -> None:
    for name in ("b.txt", "a.md", "sub/c.csv", "skip.pdf"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("text\n", encoding="utf-8")
    names = [Path(source.path).name for source in find_sources([str(tmp_path), str(tmp_path / "*.txt")])]
    assert names == ["a.md", "b.txt", "c.csv"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"text": "x"}\nnot json\n', ["a.jsonl line 2 is not JSON"]),
        ("a.jsonl", b'{"text": "x"}\n\n[1]\n', ["a.jsonl line 3 is not a JSON object"]),
        ("a.jsonl", b'{"text": "x"}\n{"body": "x"}\n', ["row 2 has no column 'text'", "body"]),
        ("a.jsonl", b'{"text": 5}\n', ["row 1", "text is 5, not text"]),
        ("a.txt", b"caf\xe9", ["a.txt is not UTF-8", "0xe9", "iconv"]),
        ("a.csv", b"text,n\na,b,c\n", ["row 1 has 3 fields, the header 2"]),
        ("a.csv", b"text,text\na,b\n", ["names a column twice"]),
        ("a.csv", b'text\n"open', ["line 2 is not CSV"]),
        ("a.parquet", b"PAR1nonsense", ["a.parquet is damaged or cut short"]),
        ("a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 500)[:-9], ["is damaged or cut short"]),
        ("a.jsonl.gz", b"plain", ["is damaged or cut short"]),
        ("a.jsonl.zst", b"\x28\xb5\x2f\xfdjunk", ["is damaged or cut short"]),
        ("a.pdf", b"%PDF", ["unknown format", ".parquet"]),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_place(tmp_path: Path, name: str, content: bytes, words: list[str]) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(OlivebranchError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_truncated_zstd_file_is_not_taken_for_a_short_one(tmp_path: Path) -> None:
    path = save(tmp_path, ".jsonl.zst")
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(OlivebranchError, match="damaged or cut short"):
        read(path)


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(OlivebranchError, match=r"nowhere\.txt' does not exist"):
        find_sources([str(tmp_path / "nowhere.txt")])
    with pytest.raises(UsageError, match="holds nothing to read"):
        find_sources([str(tmp_path)])


def test_a_parquet_column_that_is_not_text_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "n.parquet")
    with pytest.raises(OlivebranchError, match="'text' holds int64, not text"):
        read(tmp_path / "n.parquet")


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_chunks_are_bounded_by_rows_and_by_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 4)
    monkeypatch.setattr(tables, "CHUNK_CHARACTERS", 100)
    rows = [{"text": "x" * 40} for _ in range(5)] + [{"text": "y"} for _ in range(9)]
    path = tmp_path / f"rows{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (source,) = find_sources([str(path)])
    chunks = list(read_chunks(source, "text"))
    assert [number for chunk in chunks for number in chunk.numbers] == list(range(1, 15))
    assert max(len(chunk.table) for chunk in chunks) <= 4
    assert all(sum(map(len, chunk.table["text"].to_pylist())) <= 140 for chunk in chunks)
    assert chunks[-1].done == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON), min_size=1, max_size=6))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_row_is_read_with_its_text_unharmed(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "any.jsonl"
    path.write_text("".join(json.dumps({**row, "text": f"t{n}"}) + "\n" for n, row in enumerate(rows)), encoding="utf-8")
    assert [row["text"] for row in read(path)] == [f"t{n}" for n in range(len(rows))]
    (source,) = find_sources([str(path)])
    for chunk in read_chunks(source, "text"):
        pq.write_table(chunk.table, tmp_path / "any.parquet")


def test_rows_of_a_labelled_file_carry_their_line(write_rows: Callable[..., Path]) -> None:
    path = write_rows([{"text": "a"}, {"text": "b"}])
    assert [where.split()[-1] for where, _ in read_rows(path)] == ["1", "2"]
