import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from olivebranch import batch, tables
from olivebranch.batch import COLUMNS, Options, tag_corpus, tag_stream
from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.tagger import Tagger

DOCUMENTS = [
    {"id": f"d{n}", "text": f"Varna is ready to sit down. Shells fell on day {n}.\n\nThe rebels turned the plan down.", "n": n}
    for n in range(10)
]
BYTES = (".jsonl", ".csv", ".parquet")


@pytest.fixture(scope="module")
def tagger(tiny_model: Path) -> Tagger:
    return Tagger.load(tiny_model)


@pytest.fixture
def corpus(write_rows: Callable[..., Path]) -> Path:
    return write_rows(DOCUMENTS, "corpus.jsonl")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 3)


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith((".parts", ".partial"))]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet", "shards"])
def test_every_output_has_each_sentence_once_with_the_columns_of_its_row(
    tagger: Tagger, corpus: Path, tmp_path: Path, name: str
) -> None:
    summary = tag_corpus([str(corpus)], tmp_path / name, tagger, Options(id_column="id"))
    rows = read(tmp_path / name)
    assert (summary.documents, summary.sentences, summary.blank) == (10, 30, 0)
    assert list(rows[0]) == ["id", "text", "n", *COLUMNS]
    assert [(row["doc_id"], int(row["sentence_index"])) for row in rows] == [
        (f"d{n}", index) for n in range(10) for index in range(3)
    ]
    for row in rows:
        assert row["text"][int(row["start"]) : int(row["end"])] == row["sentence"]
        if row["holder"]:
            assert row["text"][int(row["holder_start"]) : int(row["holder_end"])] == row["holder"]
    assert leftovers(tmp_path) == []


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet", "shards"])
def test_a_killed_run_resumed_gives_the_bytes_of_an_undisturbed_one(
    tagger: Tagger, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    options = Options()
    tag_corpus([str(corpus)], tmp_path / f"whole-{name}", tagger, options)
    write = batch.write_part
    done: list[Path] = []

    def write_two_then_stop(path: Path, table: Any) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(path)
        write(path, table)

    monkeypatch.setattr(batch, "write_part", write_two_then_stop)
    with pytest.raises(KeyboardInterrupt):
        tag_corpus([str(corpus)], tmp_path / name, tagger, options)
    monkeypatch.setattr(batch, "write_part", write)
    with pytest.raises(UsageError, match="add --resume to go on"):
        tag_corpus([str(corpus)], tmp_path / name, tagger, options)
    assert tag_corpus([str(corpus)], tmp_path / name, tagger, options, resume=True).resumed_parts == 2
    whole, resumed = tmp_path / f"whole-{name}", tmp_path / name
    if whole.is_dir():
        assert [file.read_bytes() for file in sorted(whole.iterdir())] == [
            file.read_bytes() for file in sorted(resumed.iterdir())
        ]
    else:
        assert whole.read_bytes() == resumed.read_bytes()


def test_another_run_is_not_taken_for_the_one_to_resume(
    tagger: Tagger, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batch, "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            tag_corpus([str(corpus)], tmp_path / "out.jsonl", tagger, Options())
    with pytest.raises(UsageError, match="other inputs, options or another model"):
        tag_corpus([str(corpus)], tmp_path / "out.jsonl", tagger, Options(split=False), resume=True)
    with monkeypatch.context() as patch, pytest.raises(UsageError, match="other inputs, options or another model"):
        patch.setattr(tagger, "abstain_below", 0.99)
        tag_corpus([str(corpus)], tmp_path / "out.jsonl", tagger, Options(), resume=True)
    tag_corpus([str(corpus)], tmp_path / "out.jsonl", tagger, Options(split=False), overwrite=True)
    assert len(read(tmp_path / "out.jsonl")) == 10


def test_a_finished_output_is_only_replaced_on_request(tagger: Tagger, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    output.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"out\.csv' exists; choose another, or add --overwrite"):
        tag_corpus([str(corpus)], output, tagger, Options())
    assert output.read_text(encoding="utf-8") == "mine"
    tag_corpus([str(corpus)], output, tagger, Options(), overwrite=True)
    assert len(read(output)) == 30


def test_an_output_among_the_inputs_is_refused_and_nothing_is_harmed(tagger: Tagger, corpus: Path, tmp_path: Path) -> None:
    before = corpus.read_bytes()
    with pytest.raises(UsageError, match="is among the inputs"):
        tag_corpus([str(corpus)], corpus, tagger, Options(), overwrite=True)
    assert corpus.read_bytes() == before


def test_a_failing_run_leaves_the_old_output_and_no_debris(tagger: Tagger, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    tag_corpus([str(corpus)], output, tagger, Options())
    before = output.read_bytes()
    for path in (output, tmp_path / "new.csv"):
        with pytest.raises(UsageError, match="no column 'body'"):
            tag_corpus([str(corpus)], path, tagger, Options(text_column="body"), overwrite=True)
    assert output.read_bytes() == before
    assert not (tmp_path / "new.csv").exists()
    assert leftovers(tmp_path) == []


@pytest.mark.usefixtures("small_chunks")
def test_an_overwriting_run_can_be_resumed(
    tagger: Tagger, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag_corpus([str(corpus)], tmp_path / "shards", tagger, Options())

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batch, "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            tag_corpus([str(corpus)], tmp_path / "shards", tagger, Options(), overwrite=True)
    summary = tag_corpus([str(corpus)], tmp_path / "shards", tagger, Options(), resume=True, overwrite=True)
    assert summary.resumed_parts == 4
    assert len(read(tmp_path / "shards")) == 30


def test_standard_input_is_never_resumed(tagger: Tagger, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="standard input cannot be resumed"):
        tag_corpus(["-"], tmp_path / "out.jsonl", tagger, Options(), resume=True)


def test_what_was_tagged_can_be_tagged_again(tagger: Tagger, corpus: Path, tmp_path: Path) -> None:
    tag_corpus([str(corpus)], tmp_path / "one.jsonl", tagger, Options())
    tag_corpus([str(tmp_path / "one.jsonl")], tmp_path / "two.jsonl", tagger, Options())
    tag_corpus([str(tmp_path / "two.jsonl")], tmp_path / "three.jsonl", tagger, Options(split=False))
    row = read(tmp_path / "three.jsonl")[0]
    assert {"label", "input_label", "input_input_label"} <= set(row)


def test_a_document_without_an_id_is_called_after_its_place(
    tagger: Tagger, write_rows: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_rows([{"id": None, "text": "Rain."}, {"id": "b", "text": "Rain."}])
    tag_corpus([str(path)], tmp_path / "out.jsonl", tagger, Options(id_column="id"))
    assert [row["doc_id"] for row in read(tmp_path / "out.jsonl")] == [f"{path}:1", "b"]


def test_a_folder_of_other_things_is_never_removed(tagger: Tagger, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="no run of ours made"):
        tag_corpus([str(corpus)], tmp_path / "thesis", tagger, Options(), overwrite=True)
    assert (tmp_path / "thesis" / "chapter.txt").exists()


def test_rows_that_are_sentences_are_not_split(tagger: Tagger, corpus: Path, tmp_path: Path) -> None:
    tag_corpus([str(corpus)], tmp_path / "out.jsonl", tagger, Options(split=False))
    rows = read(tmp_path / "out.jsonl")
    assert [row["sentence"] for row in rows] == [document["text"] for document in DOCUMENTS]
    assert rows[3]["doc_id"].endswith("corpus.jsonl:4")


def test_lines_of_a_text_file_can_be_the_rows(tagger: Tagger, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("First one. And on.\n\n Second. \n", encoding="utf-8")
    (table,) = tag_stream([str(tmp_path / "a.txt")], tagger, Options(split=False))
    assert table["sentence"].to_pylist() == ["First one. And on.", "Second."]
    assert [name.rsplit(":")[-1] for name in table["doc_id"].to_pylist()] == ["1", "3"]


def test_blank_documents_give_no_rows_and_are_counted(tagger: Tagger, write_rows: Callable[..., Path], tmp_path: Path) -> None:
    path = write_rows([{"text": ""}, {"text": None}, {"text": "Rain."}, {"text": " \n"}])
    summary = tag_corpus([str(path)], tmp_path / "out.parquet", tagger, Options())
    assert (summary.documents, summary.sentences, summary.blank) == (4, 1, 3)


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet", "shards"])
def test_an_empty_input_gives_an_empty_output(tagger: Tagger, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    tag_corpus([str(tmp_path / "empty.jsonl")], tmp_path / name, tagger, Options())
    assert read(tmp_path / name) == []


def test_input_columns_with_our_names_are_kept_apart(tagger: Tagger, write_rows: Callable[..., Path], tmp_path: Path) -> None:
    path = write_rows([{"text": "Rain is expected until Friday.", "label": "gold"}])
    tag_corpus([str(path)], tmp_path / "out.jsonl", tagger, Options())
    (row,) = read(tmp_path / "out.jsonl")
    assert row["input_label"] == "gold"
    assert row["label"] != "gold"


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "shards"])
def test_columns_that_change_their_type_on_the_way_are_joined(
    tagger: Tagger, write_rows: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    values = [1, 2, 3, 4.5, None, 6, "seven", 8, {"a": 1}, None, {}, [1]]
    path = write_rows([{"text": "Rain.", "value": value} for value in values])
    tag_corpus([str(path)], tmp_path / name, tagger, Options())
    assert [row["value"] for row in read(tmp_path / name)] == [
        *("1", "2", "3", "4.5", None, "6.0"),
        *("seven", "8", '{"a": 1}', None, "{}", "[1]"),
    ]


@pytest.mark.parametrize("name", ["out.txt", "out.xlsx"])
def test_an_unknown_output_format_is_refused_before_any_work(tagger: Tagger, corpus: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"use \.jsonl, \.csv, \.parquet, or a folder"):
        tag_corpus([str(corpus)], tmp_path / name, tagger, Options())


def test_an_output_that_cannot_be_written_is_one_line(tagger: Tagger, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OlivebranchError, match=r"cannot write .*not a directory"):
        tag_corpus([str(corpus)], tmp_path / "file" / "out.jsonl", tagger, Options())


def test_a_bad_row_late_in_the_input_leaves_no_output(tagger: Tagger, write_rows: Callable[..., Path], tmp_path: Path) -> None:
    path = write_rows([{"text": "Rain."}])
    path.write_text(path.read_text(encoding="utf-8") + "broken\n", encoding="utf-8")
    with pytest.raises(OlivebranchError, match="line 2 is not JSON"):
        tag_corpus([str(path)], tmp_path / "out.jsonl", tagger, Options())
    assert not (tmp_path / "out.jsonl").exists()


def test_progress_reaches_the_end(tagger: Tagger, corpus: Path, tmp_path: Path) -> None:
    told: list[tuple[float, int]] = []
    tag_corpus([str(corpus)], tmp_path / "out.jsonl", tagger, Options(), progress=lambda *what: told.append(what))
    assert told[-1] == (1.0, 30)


def test_standard_input_is_tagged(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"The rebels turned the plan down. Rain.")))
    (table,) = tag_stream(["-"], tagger, Options())
    assert table["doc_id"].to_pylist() == ["stdin", "stdin"]
