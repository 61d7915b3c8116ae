import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from olivebranch.challenge import Rule, challenge, load_challenge
from olivebranch.cli import app
from olivebranch.errors import OlivebranchError
from olivebranch.records import LabelledText
from olivebranch.resources import shared_path
from olivebranch.splits import near_duplicates
from olivebranch.statements import SPLITS, load_statements
from olivebranch.tagger import Tagger

RULES = {
    "negation", "denial", "nested-report", "contrast-but", "condition-heart", "dated-clause", "doubt-refusal",
    "actor-swap", "quote-marks", "headline-form", "out-of-domain",
}  # fmt: skip
PAIR = {
    "a": {"text": "Varna accepted the truce.", "label": "pro_negotiation", "holder": "Varna"},
    "b": {"text": "Varna did not accept the truce.", "label": "rejection", "holder": "Varna"},
}


def suite(tmp_path: Path, pairs: object, says: str = "A denial takes the opposite side.") -> Path:
    path = tmp_path / "denial.yaml"
    path.write_text(yaml.safe_dump({"says": says, "pairs": pairs}), encoding="utf-8")
    return path


def test_the_suite_covers_the_rules_with_four_hundred_pairs() -> None:
    rules = load_challenge()
    assert {rule.name for rule in rules} >= RULES
    assert sum(len(rule.pairs) for rule in rules) >= 400
    assert all(len(rule.pairs) >= 20 for rule in rules)


def test_rules_about_what_must_not_matter_keep_the_label_and_the_others_flip_it() -> None:
    for rule in load_challenge():
        same = [first.label == second.label for first, second in rule.pairs]
        if rule.name in {"actor-swap", "quote-marks", "headline-form"}:
            assert all(same), rule.name
        elif rule.name != "nested-report":  # a layer of reporting alone changes nothing
            assert not any(same), rule.name


def test_no_sentence_of_the_suite_is_trained_on() -> None:
    texts = [row.text for rule in load_challenge() for pair in rule.pairs for row in pair]
    statements = [row.text for split in SPLITS for row in load_statements(split)]
    close = near_duplicates([*texts, *statements])
    assert not [(texts[left], statements[right - len(texts)]) for left, right, _ in close if left < len(texts) <= right]


def test_a_pair_passes_only_where_both_sentences_are_right(tiny_model: Path) -> None:
    tagger = Tagger.load(tiny_model)
    texts = ["Varna accepted the truce.", "Rain fell on the harbour.", "The talks were held on Monday."]
    said = [prediction.label for prediction in tagger.tag(texts)]
    right = [LabelledText(text=text, label=label) for text, label in zip(texts, said, strict=True)]
    wrong = LabelledText(text=texts[2], label="rejection" if said[2] != "rejection" else "none")
    found, failed = challenge(tagger, [Rule("one", "", ((right[0], right[1]),)), Rule("two", "", ((right[0], wrong),))])
    assert [found["rules"][name]["passed"]["value"] for name in ("one", "two")] == [1, 0]
    assert [found["rules"][name]["sentences"] for name in ("one", "two")] == [1, 0.5]
    assert found["all"]["pairs"] == 2
    assert found["all"]["passed"]["low"] < 0.5 < found["all"]["passed"]["high"]
    assert failed == [
        {
            "rule": "two",
            "a": {"text": texts[0], "label": said[0], "predicted": said[0]},
            "b": {"text": texts[2], "label": wrong.label, "predicted": said[2]},
        }
    ]


@pytest.mark.parametrize(
    ("pairs", "complaint"),
    [
        ([], "holds no pairs"),
        ("all of them", "needs the keys"),
        ([{"a": PAIR["a"]}], "pair 1: a pair has the sides 'a' and 'b'"),
        ([PAIR, {**PAIR, "b": PAIR["a"]}], "pair 2: both sides are the same text"),
        ([{**PAIR, "b": {**PAIR["b"], "label": "no"}}], "pair 1 b: label: 'no' is not allowed"),
        ([{**PAIR, "b": {**PAIR["b"], "holder": "Sofia"}}], "pair 1 b: holder: 'Sofia' is not a part of the text"),
    ],
)
def test_a_broken_suite_is_refused_with_its_place(tmp_path: Path, pairs: object, complaint: str) -> None:
    with pytest.raises(OlivebranchError, match=r"denial\.yaml") as error:
        load_challenge(suite(tmp_path, pairs))
    assert complaint in str(error.value)


def test_a_folder_of_rules_may_have_a_dot_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "pairs.v2").mkdir()
    suite(tmp_path / "pairs.v2", [PAIR])
    assert [rule.name for rule in load_challenge(tmp_path / "pairs.v2")] == ["denial"]


def test_what_is_no_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OlivebranchError, match=r"holds no \.yaml file"):
        load_challenge(tmp_path)
    (tmp_path / "broken.yaml").write_text("pairs: [", encoding="utf-8")
    with pytest.raises(OlivebranchError, match="is not valid YAML"):
        load_challenge(tmp_path)
    with pytest.raises(OlivebranchError, match=r"no \.yaml file of pairs; leave --challenge out"):
        load_challenge(tmp_path / "mine.jsonl")
    with pytest.raises(OlivebranchError, match="cannot read"):
        load_challenge(tmp_path / "missing.yaml")


def test_the_command_prints_the_pass_rate_per_rule_and_keeps_the_failures(tiny_model: Path, tmp_path: Path) -> None:
    call = ["evaluate", "--challenge", "--model", str(tiny_model), "--data", str(suite(tmp_path, [PAIR, PAIR]))]
    shown = CliRunner().invoke(app, [*call, "--misread", str(tmp_path / "failed.jsonl")])
    assert shown.exit_code == 0
    assert "2 minimal pairs" in shown.output
    assert "denial" in shown.output
    found = json.loads(CliRunner().invoke(app, [*call, "--json"]).stdout)
    assert found["rules"]["denial"]["pairs"] == 2
    failed = (tmp_path / "failed.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(failed) == round(2 * (1 - found["all"]["passed"]["value"]))


def test_the_suite_ships_as_yaml_that_says_its_rule() -> None:
    for path in shared_path("data/challenge").glob("*.yaml"):
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["says"].endswith(".")
