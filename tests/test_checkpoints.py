import json
import shutil
from pathlib import Path

import pytest

from olivebranch.checkpoints import ADAPTER, HOLDER, MANIFEST, Manifest, read_manifest, write_manifest
from olivebranch.errors import OlivebranchError
from olivebranch.tagger import Tagger


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_a_trained_folder_describes_itself(model: Path) -> None:
    manifest = read_manifest(model)
    assert manifest.kind == "adapter"
    assert set(manifest.files) == {ADAPTER, HOLDER, "adapter_config.json"}
    assert manifest.version.startswith("tiny@")


def test_the_version_changes_with_the_weights(model: Path) -> None:
    manifest = read_manifest(model)
    other = manifest.model_copy(update={"files": {ADAPTER: "0" * 64}})
    assert other.version != manifest.version
    assert manifest.model_copy(update={"name": "b"}).version.split("@")[1] == manifest.version.split("@")[1]


def test_altered_weights_are_refused(model: Path) -> None:
    data = bytearray((model / ADAPTER).read_bytes())
    data[-1] ^= 1
    (model / ADAPTER).write_bytes(data)
    with pytest.raises(OlivebranchError, match=r"adapter_model\.safetensors has SHA-256 .* its manifest says"):
        Tagger.load(model)


def test_missing_weights_are_named(model: Path) -> None:
    (model / ADAPTER).unlink()
    with pytest.raises(OlivebranchError, match=r"adapter_model\.safetensors is missing"):
        Tagger.load(model)


def test_a_pickle_beside_good_weights_is_refused(model: Path) -> None:
    (model / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(OlivebranchError, match=r"pytorch_model\.bin may be a pickle"):
        Tagger.load(model)


def test_a_base_with_other_weights_is_refused(model: Path) -> None:
    write_manifest(model, read_manifest(model).model_copy(update={"base_sha256": "0" * 64}))
    with pytest.raises(OlivebranchError, match="was trained on weights 000000000000"):
        Tagger.load(model)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "invalid json"),
        ('{"name": "x"}', "kind: field required"),
        ('{"name": "x", "kind": "magic", "base": null}', "kind: input should be"),
        ('{"name": "x", "kind": "tfidf", "base": null, "labels": ["a"]}', "has the labels a; this version knows none, "),
        ('{"name": "x", "kind": "tfidf", "base": null}', "lists no linear.safetensors"),
    ],
)
def test_a_broken_manifest_is_one_line(model: Path, content: str, words: str) -> None:
    (model / MANIFEST).write_text(content, encoding="utf-8")
    with pytest.raises(OlivebranchError, match=words) as caught:
        read_manifest(model)
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OlivebranchError, match="does not exist"):
        Tagger.load(tmp_path / "nowhere")
    with pytest.raises(OlivebranchError, match="holds no weights"):
        Tagger.load(tmp_path)


def test_a_plain_folder_with_other_labels_is_refused(make_base: object, tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, id2label={0: "a", 1: "b"}
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(OlivebranchError, match="has other labels than none"):
        read_manifest(tmp_path)


def test_the_manifest_is_plain_readable_json(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest(name="x", kind="tfidf", base=None))
    assert "pro_negotiation" in json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))["labels"]
