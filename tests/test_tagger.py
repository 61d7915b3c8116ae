import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivebranch import LABELS, OlivebranchError, Tagger, UsageError
from olivebranch.exports import export_hf, export_onnx
from olivebranch.resources import shared_path

REPORT = shared_path("data/examples/report.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def released() -> Tagger:
    return Tagger.load()


@pytest.fixture(scope="module")
def tiny(tiny_model: Path) -> Tagger:
    return Tagger.load(tiny_model)


def test_the_released_model_reads_plain_cases(released: Tagger) -> None:
    cases = {
        "The rebels turned the mediator's peace plan down on Tuesday.": ("rejection", "rebels"),
        "The president said he was ready to sit down for talks without conditions.": ("pro_negotiation", "president"),
        "Opposition leaders doubt that the army's truce offer is serious.": ("skepticism", "Opposition leaders"),
        "The foreign minister said there would be no ceasefire until every soldier had left its land.": (
            "maximalist_demand",
            "foreign minister",
        ),
        "Two drivers were killed when shells hit the market.": ("none", None),
    }
    found = released.tag(list(cases))
    assert [(prediction.label, prediction.holder) for prediction in found] == list(cases.values())


def test_a_smaller_error_is_promised_by_abstaining_more(released: Tagger) -> None:
    strict, lax = Tagger.load(max_error=0.03), Tagger.load(max_error=0.15)
    assert strict.abstain_below > released.abstain_below > lax.abstain_below
    asked = [sum(found.abstained for found in tagger.tag_document(REPORT)) for tagger in (strict, released, lax)]
    assert asked == sorted(asked, reverse=True)
    assert asked[0] > asked[-1]


@pytest.mark.parametrize(
    ("max_error", "complaint"), [(0.001, "cannot promise an error of 0.001; ask for 0.0"), (1.5, "use a share between 0 and 1")]
)
def test_an_error_that_cannot_be_promised_is_refused(max_error: float, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Tagger.load(max_error=max_error)


def test_offsets_of_a_document_point_at_its_sentences_and_holders(released: Tagger) -> None:
    predictions = released.tag_document(REPORT)
    assert len(predictions) > 20
    for index, found in enumerate(predictions):
        assert found.sentence_index == index
        assert REPORT[found.start : found.end] == found.sentence
        if found.holder is not None:
            assert REPORT[found.holder_start : found.holder_end] == found.holder
    assert any(found.holder for found in predictions)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
@settings(max_examples=40, deadline=None)
def test_any_text_gives_valid_predictions(tiny_model: Path, text: str) -> None:
    tagger = _loaded(tiny_model)
    for found in tagger.tag_document(text):
        assert text[found.start : found.end] == found.sentence
        assert list(found.probabilities) == list(LABELS)
        assert sum(found.probabilities.values()) == pytest.approx(1)
        assert found.confidence == pytest.approx(max(found.probabilities.values()))
        assert found.label != "none" or found.holder is None


_TAGGERS: dict[Path, Tagger] = {}


def _loaded(folder: Path) -> Tagger:
    return _TAGGERS.setdefault(folder, Tagger.load(folder))


def test_the_result_does_not_depend_on_order_or_company(released: Tagger) -> None:
    sentences = [found.sentence for found in released.tag_document(REPORT)]
    together = released.tag(sentences)
    backwards = released.tag(sentences[::-1])[::-1]
    for sentence, first, second in zip(sentences, together, backwards, strict=True):
        assert first.label == second.label == released.tag([sentence])[0].label
        assert first.confidence == pytest.approx(second.confidence, abs=1e-4)


def test_a_blank_document_gives_an_empty_result(tiny: Tagger) -> None:
    assert tiny.tag_document("") == tiny.tag_document(" \n ") == tiny.tag([]) == []


@pytest.mark.parametrize(
    ("argument", "words"), [("one text", "use tag_document"), ([""], "sentence 0 is ''"), (["a", None], "sentence 1 is None")]
)
def test_what_is_not_a_list_of_sentences_is_refused(tiny: Tagger, argument: object, words: str) -> None:
    with pytest.raises(OlivebranchError, match=words):
        tiny.tag(argument)  # type: ignore[arg-type]


def test_an_unknown_engine_or_model_is_named(tiny_model: Path) -> None:
    with pytest.raises(UsageError, match="engine 'jax' is unknown; use one of auto, torch, onnx"):
        Tagger.load(tiny_model, engine="jax")
    with pytest.raises(OlivebranchError, match="'no-such-model' does not exist"):
        Tagger.load("no-such-model")


def test_the_exported_folder_labels_as_the_tagger_does_in_a_plain_pipeline(released: Tagger, tmp_path: Path) -> None:
    from transformers import pipeline

    export_hf(shared_path("models/olivebranch-minilm"), tmp_path / "hf")
    sentences = [found.sentence for found in released.tag_document(REPORT)]
    plain = pipeline("text-classification", model=str(tmp_path / "hf"))(sentences)
    for ours, theirs in zip(released.tag(sentences), plain, strict=True):
        assert ours.label == theirs["label"]
        assert ours.confidence == pytest.approx(theirs["score"], abs=1e-3)
    again = Tagger.load(tmp_path / "hf").tag(sentences)
    assert [found.holder for found in again] == [found.holder for found in released.tag(sentences)]
    holders = pipeline("token-classification", model=str(tmp_path / "hf" / "holder"))("The rebels turned the plan down.")
    assert {item["entity"] for item in holders} <= {"B", "I"}
    assert any(item["word"] == "rebels" for item in holders)


def test_the_quantised_engine_agrees_with_the_reference(released: Tagger, tmp_path: Path) -> None:
    export_onnx(shared_path("models/olivebranch-minilm"), tmp_path / "onnx")
    quantised = Tagger.load(tmp_path / "onnx", engine="onnx")
    lines = shared_path("data/examples/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    text = "\n\n".join(json.loads(line)["text"] for line in lines)
    first, second = released.tag_document(text), quantised.tag_document(text)
    same = sum(one.label == other.label for one, other in zip(first, second, strict=True))
    assert same >= 0.97 * len(first)


def test_an_export_never_writes_over_anything(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="exists and is not empty"):
        export_hf(shared_path("models/olivebranch-minilm"), tmp_path / "taken")
    assert (tmp_path / "taken" / "thesis.txt").read_text(encoding="utf-8") == "mine"
