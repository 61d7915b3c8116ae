from typing import Any

import pytest

from olivebranch.errors import OlivebranchError
from olivebranch.records import LabelledText, Statement, validate

GOOD: dict[str, Any] = {
    "id": "a-1",
    "text": "Varna said no.",
    "label": "rejection",
    "holder": "Varna",
    "conflict": "varna-war",
    "document": "varna-war-01",
    "register": "quote",
    "stream": "natural",
    "annotations": [
        {"annotator": "writer-01", "label": "rejection", "holder": "Varna"},
        {"annotator": "reader-a1", "label": "rejection", "holder": None},
    ],
}


def test_a_good_row_becomes_a_statement() -> None:
    statement = validate(Statement, GOOD, "f.jsonl line 1")
    assert (statement.label, statement.holder, len(statement.annotations)) == ("rejection", "Varna", 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "reject"}, ["label", "'reject'", "'maximalist_demand'"]),
        ({"text": "  "}, ["text", "not blank"]),
        ({"text": 5}, ["text", "5", "string"]),
        ({"holder": "Kyiv"}, ["holder", "'Kyiv'", "not a part of the text"]),
        ({"label": "none"}, ["holder", "label 'none' has no holder"]),
        ({"conflict": "Varna War"}, ["conflict", "'Varna War'", "slug"]),
        ({"register": "tweet"}, ["register", "'tweet'", "'social'"]),
        ({"colour": "red"}, ["colour", "no such field"]),
        ({"annotations": []}, ["annotations", "at least 1"]),
        ({"annotations": [{"annotator": "x", "label": "maybe", "holder": None}]}, ["annotations.0.label", "'maybe'"]),
        ({"annotations": [{"annotator": "x", "label": "rejection", "holder": "Kyiv"}]}, ["holder", "'Kyiv'"]),
        ({"annotations": [GOOD["annotations"][0], GOOD["annotations"][0]]}, ["an annotator votes twice"]),
        ({"annotations": [{"annotator": "x", "label": "none", "holder": None}]}, ["'rejection' has no majority"]),
    ],
)
def test_a_bad_row_is_told_by_place_field_value_and_rule(change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(OlivebranchError) as caught:
        validate(Statement, {**GOOD, **change}, "f.jsonl line 7")
    message = str(caught.value)
    assert message.startswith("f.jsonl line 7: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_missing_field_is_named() -> None:
    row = {key: value for key, value in GOOD.items() if key != "id"}
    with pytest.raises(OlivebranchError, match="line 2: id: missing"):
        validate(Statement, row, "line 2")


def test_two_votes_that_differ_support_no_label() -> None:
    votes = [GOOD["annotations"][0], {"annotator": "b", "label": "none", "holder": None}]
    with pytest.raises(OlivebranchError, match="no majority"):
        validate(Statement, {**GOOD, "annotations": votes}, "x")


def test_a_users_row_may_have_other_columns() -> None:
    row = validate(LabelledText, {"text": "Rain.", "label": "none", "source": "radio"}, "x")
    assert row == LabelledText(text="Rain.", label="none")
