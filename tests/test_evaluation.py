import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from olivebranch.engines import Reading
from olivebranch.evaluation import evaluate, macro_f1, risk_coverage, write_misread
from olivebranch.holder import HolderSpan
from olivebranch.labels import LABEL_TO_ID, LABELS, Label
from olivebranch.records import LabelledText
from olivebranch.tagger import Tagger


@pytest.fixture(scope="module")
def tagger(tiny_model: Path) -> Tagger:
    return Tagger.load(tiny_model)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=80))
@settings(max_examples=60)
def test_macro_f1_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    gold, predicted = np.array(pairs).T
    counts = np.zeros((5, 5), dtype=int)
    np.add.at(counts, (gold, predicted), 1)
    assert macro_f1(counts) == pytest.approx(f1_score(gold, predicted, labels=range(5), average="macro", zero_division=0))


def test_an_evaluation_has_the_promised_numbers(tagger: Tagger, rows: list[LabelledText]) -> None:
    metrics, misread = evaluate(tagger, rows)
    score = metrics["macro_f1"]
    assert score["low"] <= score["value"] <= score["high"]
    assert set(metrics["per_class"]) == set(LABELS)
    assert np.sum(metrics["confusion"]["rows_true_columns_predicted"]) == len(rows)
    assert len(metrics["floors"]) == 2
    assert all(0 <= row["ece"] <= 1 and 0 <= row["brier"] <= 1 for row in metrics["per_class"].values())
    assert sum(row["brier"] for row in metrics["per_class"].values()) == pytest.approx(metrics["calibration"]["after"]["brier"])
    assert {"ece", "brier"} == set(metrics["calibration"]["after"]) == set(metrics["calibration"]["before"])
    assert len(misread) == round((1 - metrics["accuracy"]["value"]) * len(rows))
    assert [row["confidence"] for row in misread] == sorted((row["confidence"] for row in misread), reverse=True)
    json.dumps(metrics)


def test_holders_are_scored_whole_and_in_part(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    """One right, one half of a name, one missed, one invented, and one who is rightly nobody."""
    texts = ["Ann Bo said no.", "Ann Bo said no.", "Ann Bo said no.", "They said no.", "They said no.", "It rained."]
    holders = ["Ann Bo", "Ann Bo", "Ann Bo", None, None, None]
    found = [HolderSpan(0, 6, 1.0), HolderSpan(4, 6, 1.0), None, HolderSpan(0, 4, 1.0), None, HolderSpan(0, 2, 1.0)]
    labels: list[Label] = ["rejection"] * 5 + ["none"]
    logits = np.eye(5)[[LABEL_TO_ID[label] for label in labels]] * 9
    monkeypatch.setattr(tagger, "read", lambda _: Reading(logits=logits, holders=found))
    rows = [
        LabelledText(text=text, label=label, holder=holder) for text, label, holder in zip(texts, labels, holders, strict=True)
    ]
    scores = evaluate(tagger, rows, floors=False)[0]["holder"]
    assert (scores["exact_match"], scores["sentences"], scores["with_holder"]) == (2 / 5, 5, 3)
    assert scores["exact"]["f1"] == pytest.approx(1 / 3)
    assert scores["partial"]["f1"] == pytest.approx(1 / 2)


def test_the_same_seed_gives_the_same_interval(tagger: Tagger, rows: list[LabelledText]) -> None:
    first, again, other = (evaluate(tagger, rows, seed=seed, floors=False)[0]["macro_f1"] for seed in (1, 1, 2))
    assert first == again != other


def test_a_majority_floor_is_what_always_none_scores(tagger: Tagger, rows: list[LabelledText]) -> None:
    floor = evaluate(tagger, rows)[0]["floors"]["majority (always none)"]["value"]
    share = sum(row.label == "none" for row in rows) / len(rows)
    assert floor == pytest.approx(2 * share / (1 + share) / 5)


def test_keeping_only_the_sure_ones_lowers_the_error_of_a_calibrated_model() -> None:
    random = np.random.default_rng(0)
    probs = random.dirichlet(np.ones(5) / 2, size=3000)
    gold = np.array([random.choice(5, p=row) for row in probs])
    errors = [row["error"] for row in risk_coverage(probs, gold)]
    assert errors == sorted(errors)


def test_misread_sentences_are_written_as_json_lines(tmp_path: Path) -> None:
    write_misread(tmp_path / "m.jsonl", [{"text": "é", "label": "none"}])
    assert json.loads((tmp_path / "m.jsonl").read_text(encoding="utf-8")) == {"text": "é", "label": "none"}


def test_groups_are_scored_apart_on_the_labels_that_they_have(tagger: Tagger, rows: list[LabelledText]) -> None:
    groups = ["silent" if row.label == "none" else "speaking" for row in rows]
    metrics, _ = evaluate(tagger, rows, floors=False, by={"kind": groups})
    found = metrics["by"]["kind"]
    assert list(found) == ["speaking", "silent"]
    assert [found[name]["labels"] for name in found] == [4, 1]
    assert found["silent"]["error"] == pytest.approx(1 - metrics["per_class"]["none"]["recall"])
    errors = sum(row["error"] * row["sentences"] for row in found.values())
    assert errors / len(rows) == pytest.approx(1 - metrics["accuracy"]["value"])
    for row in found.values():
        assert row["macro_f1"]["low"] <= row["macro_f1"]["value"] <= row["macro_f1"]["high"]
