import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olivebranch import Tagger
from olivebranch.errors import UsageError
from olivebranch.exports import export_hf
from olivebranch.recalibration import recalibrate
from olivebranch.records import LabelledText

WriteRows = Callable[..., Path]


@pytest.fixture
def labelled(rows: list[LabelledText], write_rows: WriteRows) -> Path:
    return write_rows([{"text": row.text, "label": row.label} for row in rows] * 6)


def test_a_recalibrated_copy_answers_the_same_with_another_confidence(
    tiny_model: Path, labelled: Path, rows: list[LabelledText], tmp_path: Path
) -> None:
    texts = [row.text for row in rows]
    found = recalibrate(tiny_model, labelled, tmp_path / "copy")
    old, new = Tagger.load(tiny_model), Tagger.load(tmp_path / "copy")
    assert found.temperatures == (old.manifest.temperature, new.manifest.temperature)
    assert found.temperatures[0] != found.temperatures[1]
    before, after = old.tag(texts), new.tag(texts)
    assert [(row.label, row.holder) for row in before] == [(row.label, row.holder) for row in after]
    assert [row.confidence for row in before] != [row.confidence for row in after]
    assert new.version.startswith("copy@")
    card = (tmp_path / "copy" / "README.md").read_text(encoding="utf-8")
    assert f"fitted anew on {len(rows) * 6} sentences" in card
    assert old.version in card and new.version in card


def test_confidence_fits_better_where_it_was_fitted(
    tiny_model: Path, rows: list[LabelledText], write_rows: WriteRows, tmp_path: Path
) -> None:
    """Labels that are all as the model says: it was not sure enough."""
    texts = [f"{row.text} {number}" for row in rows for number in range(6)]
    labels = [found.label for found in Tagger.load(tiny_model).tag(texts)]
    data = write_rows([{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)])
    found = recalibrate(tiny_model, data, tmp_path / "copy")
    assert found.temperatures[1] < found.temperatures[0]
    assert found.errors[1] < found.errors[0]
    bounds: Any = json.loads((tmp_path / "copy" / "olivebranch.json").read_text(encoding="utf-8"))["risk_bounds"]
    assert bounds[0][1] < 0.1


def test_too_few_sentences_and_a_taken_folder_are_refused(
    tiny_model: Path, labelled: Path, rows: list[LabelledText], write_rows: WriteRows, tmp_path: Path
) -> None:
    few = write_rows([{"text": row.text, "label": row.label} for row in rows][:9], "few.jsonl")
    with pytest.raises(UsageError, match="has 9 labelled sentences; label 120 or more"):
        recalibrate(tiny_model, few, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").touch()
    with pytest.raises(UsageError, match="exists and is not empty"):
        recalibrate(tiny_model, labelled, tmp_path / "taken")
    with pytest.raises(UsageError, match="lies in the model's own folder"):
        recalibrate(tiny_model, labelled, tiny_model / "copy")
    export_hf(tiny_model, tmp_path / "hf")
    with pytest.raises(UsageError, match="is an exported model; calibrate the one that it was exported from"):
        recalibrate(tmp_path / "hf", labelled, tmp_path / "copy")
