from collections.abc import Callable, Sequence

import numpy as np
import pytest

from olivebranch.errors import OlivebranchError
from olivebranch.labels import LABEL_TO_ID, LABELS
from olivebranch.probes import partial_input, suspects
from olivebranch.records import Annotation, Label, Statement
from olivebranch.statements import SPLITS, load_statements


def statement(number: int, label: Label, conflict: str, holder: str | None = None) -> Statement:
    text = f"{holder or 'Somebody'} speaks, {number}."
    vote = Annotation(annotator="writer-01", label=label, holder=holder)
    return Statement(
        id=f"01-{number}", text=text, label=label, holder=holder, conflict=conflict, document=f"{conflict}-{number % 20}",
        register="reported", stream="border", annotations=(vote,),
    )  # fmt: skip


def alternating(conflicts: Sequence[str]) -> list[Statement]:
    labels: tuple[Label, ...] = ("rejection", "skepticism")
    return [statement(number, labels[number % 2], conflicts[number % len(conflicts)], "Varna") for number in range(200)]


def test_the_label_cannot_be_told_without_the_text() -> None:
    found = partial_input([row for split in SPLITS for row in load_statements(split)])
    for row in found.values():
        assert row["accuracy"] <= row["majority"] + 0.05


def test_a_conflict_that_gives_the_label_away_is_found() -> None:
    told = partial_input(alternating(["varna", "sofia"]))
    hidden = partial_input(alternating(["varna"]))
    for seen in told:
        assert told[seen]["accuracy"] == 1
        assert hidden[seen]["accuracy"] == pytest.approx(0.5, abs=0.15)


def test_a_wrong_label_is_suspected_first() -> None:
    rows = alternating(["varna"])
    labels = np.array([LABEL_TO_ID[row.label] for row in rows])
    probs = np.full((len(rows), len(LABELS)), 0.02)
    probs[np.arange(len(rows)), labels] = 0.92
    probs[7] = probs[6]  # the evidence says that 7 is like 6
    found = suspects(rows, probs)
    assert [(row.id, row.label, row.suggested) for row in found] == [("01-7", "skepticism", "rejection")]
    assert found[0].quality == pytest.approx(0.02)


def test_suspects_are_found_in_a_file_that_lacks_some_labels() -> None:
    rows = alternating(["varna"])
    wrong = [statement(number, "skepticism", "varna", "Kest") for number in range(300, 302)]
    kest = [statement(number, "rejection", "varna", "Kest") for number in range(302, 360)]
    assert {row.id for row in suspects([*rows, *wrong, *kest])} >= {row.id for row in wrong}


@pytest.mark.parametrize("ask", [partial_input, suspects])
def test_too_small_a_file_is_refused(ask: Callable[[Sequence[Statement]], object]) -> None:
    rows = alternating(["varna"])
    with pytest.raises(OlivebranchError, match="1 documents with 1 labels are too few"):
        ask([row for row in rows if row.document == "varna-1"])
    with pytest.raises(OlivebranchError, match="10 documents with 1 labels are too few"):
        ask([row for row in rows if row.label == "rejection"])
    with pytest.raises(OlivebranchError, match="too few"):
        ask(rows[:4])
