import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.inspection import agreement, check, cohen_kappa, krippendorff_alpha, stats
from olivebranch.labels import LABELS
from olivebranch.records import REGISTERS
from olivebranch.resources import shared_path
from olivebranch.statements import (
    FIELDS,
    SPLITS,
    fingerprint,
    load_statements,
    read_groups,
    read_labelled,
    read_statements,
    write_statements,
)

FOLDER = shared_path("data/statements")


def test_the_dataset_passes_its_own_gate() -> None:
    assert "none between splits" in check(FOLDER)


def test_the_dataset_has_the_promised_size_mix_and_breadth() -> None:
    counts = stats(FOLDER)
    total = {label: sum(split[label] for split in counts["labels"].values()) for label in LABELS}
    assert counts["statements"] >= 12_000
    assert 0.5 <= total["none"] / counts["statements"] <= 0.65
    assert min(total.values()) >= 900
    assert counts["conflicts"] >= 80
    assert all(counts["streams"][name] >= least for name, least in {"natural": 5000, "stance": 4000, "border": 3000}.items())
    assert set(counts["registers"]) == set(REGISTERS)
    assert len(counts["unseen_conflicts"]) >= 6
    largest = {name: count for name, count in counts["largest_conflicts"].items() if name != "off-topic"}
    assert max(largest.values()) <= 0.06 * counts["statements"]


def test_every_statement_has_two_votes_from_two_annotators() -> None:
    for split in SPLITS:
        for statement in load_statements(split):
            assert len({vote.annotator for vote in statement.annotations}) >= 2, statement.id


def test_the_readers_agree() -> None:
    assert agreement(FOLDER)["groups"]["all"]["alpha"]["low"] > 0.8


def test_the_folder_can_be_pushed_to_a_hub_as_it_is(tmp_path: Path) -> None:
    from datasets import load_dataset

    loaded = load_dataset(str(FOLDER.parent), cache_dir=str(tmp_path))
    assert {split: len(loaded[split]) for split in SPLITS} == {split: len(load_statements(split)) for split in SPLITS}
    assert loaded["train"].features["label"].names == list(LABELS)
    assert tuple(loaded["train"].column_names) == FIELDS
    assert sum(path.stat().st_size for path in FOLDER.parent.rglob("*") if path.is_file()) < 15e6


def test_the_datasheet_carries_the_counts_of_the_data() -> None:
    datasheet = FOLDER.parent.joinpath("README.md").read_text(encoding="utf-8")
    counts = stats(FOLDER)
    for label in LABELS:
        row = [split[label] for split in counts["labels"].values()]
        cells = " | ".join(f"{count:,}" for count in row)
        assert f"| `{label}` | {cells} | {sum(row):,} ({sum(row) / counts['statements']:.1%})".replace("%)", " %)") in datasheet


def test_every_field_is_documented_in_the_datasheet() -> None:
    datasheet = shared_path("data/README.md").read_text(encoding="utf-8")
    for field in (*FIELDS, *LABELS, *REGISTERS):
        assert f"`{field}`" in datasheet


def test_written_statements_read_back_the_same(tmp_path: Path) -> None:
    rows = load_statements("validation")[:20]
    write_statements(tmp_path / "copy.jsonl", rows)
    assert read_statements(tmp_path / "copy.jsonl") == rows
    first = json.loads((tmp_path / "copy.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert tuple(first) == FIELDS


def test_an_empty_csv_holder_is_nobody(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("text,label,holder\nRain.,none,\nVarna said no.,rejection,Varna\n", encoding="utf-8")
    assert [row.holder for row in read_labelled(path)] == [None, "Varna"]


def test_an_empty_file_of_statements_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(OlivebranchError, match="holds no statements"):
        read_labelled(tmp_path / "none.jsonl")


def test_the_fingerprint_sees_text_label_and_order() -> None:
    rows = load_statements("validation")[:5]
    assert fingerprint(rows) == fingerprint(list(rows))
    assert fingerprint(rows) != fingerprint(rows[::-1])


def test_agreement_beyond_chance_is_one_for_equal_votes_and_near_zero_for_chance() -> None:
    same = np.diag([50, 30, 20])
    assert krippendorff_alpha(same) == cohen_kappa(same) == 1
    chance = np.full((5, 5), 400)
    assert abs(float(krippendorff_alpha(chance))) < 0.01
    assert float(cohen_kappa(chance)) == pytest.approx(0)
    assert krippendorff_alpha(np.array([[7]])) == 1


def test_kappa_is_that_of_scikit_learn() -> None:
    votes = np.random.default_rng(0).integers(0, 3, size=(200, 2))
    votes[:100, 1] = votes[:100, 0]
    counts = np.zeros((3, 3))
    np.add.at(counts, tuple(votes.T), 1)
    assert float(cohen_kappa(counts)) == pytest.approx(cohen_kappa_score(*votes.T))


def test_check_finds_a_document_in_two_splits_and_a_near_duplicate(tmp_path: Path) -> None:
    rows = load_statements("validation")[:30]
    for split in SPLITS:
        write_statements(tmp_path / f"{split}.jsonl", [])
    write_statements(tmp_path / "train.jsonl", rows[:-1])
    (tmp_path / "validation.jsonl").unlink()
    lines = json.dumps({**json.loads((tmp_path / "train.jsonl").read_text().splitlines()[0]), "id": "copy"})
    (tmp_path / "test.jsonl").write_text(lines + "\n")
    with pytest.raises(OlivebranchError, match="stands in train and test"):
        check(tmp_path)
    (tmp_path / "test.jsonl").write_text(lines.replace(rows[0].document, "another-document") + "\n")
    with pytest.raises(OlivebranchError, match="near-duplicates"):
        check(tmp_path)


def test_rows_are_grouped_by_a_column_or_by_their_length(write_rows: Callable[..., Path]) -> None:
    path = write_rows(
        [{"text": "no " * words, "label": "none", "paper": paper} for words, paper in ((3, "A"), (12, None), (60, "A"))]
    )
    assert read_groups(path, "paper") == ["A", "", "A"]
    assert read_groups(path, "words") == ["1-9 words", "10-19 words", "40 words or more"]
    with pytest.raises(UsageError, match="no column 'journal'; its columns are text, label, paper, or use words"):
        read_groups(path, "journal")


def test_a_column_of_names_is_no_grouping(write_rows: Callable[..., Path]) -> None:
    path = write_rows([{"text": "no", "label": "none", "id": str(number)} for number in range(201)])
    with pytest.raises(UsageError, match="column 'id' has 201 values, and 200 is the most"):
        read_groups(path, "id")
