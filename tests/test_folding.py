from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import pipeline

from olivebranch import Tagger
from olivebranch.exports import export_hf
from olivebranch.finetuning import TrainingData
from olivebranch.folding import fold_pooling
from olivebranch.networks import load_tokenizer, new_network
from olivebranch.recipe import Recipe
from olivebranch.records import LabelledText
from olivebranch.training import train


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@torch.inference_mode()
def test_a_plain_classifier_with_a_layer_more_answers_as_the_mean(
    kind: str, make_base: Callable[[str], Path], rows: list[LabelledText]
) -> None:
    base = str(make_base(kind))
    network = new_network(base, "mean").eval()
    batch = load_tokenizer(base)([row.text for row in rows], padding=True, return_tensors="pt")
    assert not batch["attention_mask"].all()  # padding must not count
    plain = fold_pooling(network).eval()
    for name, expected in network(**batch).items():
        assert torch.allclose(plain(**batch)[name], expected, atol=2e-3), name
    assert torch.allclose(plain.classifier(**batch).logits, network(**batch)["logits"], atol=2e-3)


@pytest.mark.parametrize(("pooling", "exported"), [("first", "first"), ("mean", "folded")])
def test_an_exported_model_is_read_by_pipelines_and_by_the_tagger(
    pooling: str, exported: str, make_recipe: Callable[..., Recipe], tmp_path: Path, rows: list[LabelledText]
) -> None:
    recipe = make_recipe(pooling=pooling, learning_rate=5e-3)
    train(recipe, TrainingData(rows, rows), tmp_path / "run")
    ours = Tagger.load(tmp_path / "run")
    assert ours.manifest.pooling == pooling
    export_hf(tmp_path / "run", tmp_path / "hf")
    texts = [row.text for row in rows]
    plain = pipeline("text-classification", model=str(tmp_path / "hf"))(texts)
    for found, label in zip(ours.tag(texts), plain, strict=True):
        assert found.label == label["label"]
        assert found.confidence == pytest.approx(label["score"], abs=2e-3)
    again = Tagger.load(tmp_path / "hf")
    assert again.manifest.pooling == exported
    (tmp_path / "hf" / "olivebranch.json").unlink()  # a plain folder still says how it is read
    assert Tagger.load(tmp_path / "hf").manifest.pooling == exported
    assert (tmp_path / "hf" / "holder" / "model.safetensors").exists()
    assert [found.holder for found in again.tag(texts)] == [found.holder for found in ours.tag(texts)]
