"""The model folder: what is in it, how it is written, and how it is checked before anything is loaded.

`olivebranch.json` describes the folder and lists the SHA-256 of every weight file. The weights are one of

* an adapter: `adapter_config.json`, `adapter_model.safetensors` (peft) over a base that is not in the folder;
* a whole model: `config.json`, `model.safetensors`, the tokenizer (a plain transformers folder, unless pooled by `mean`);
* a quantised graph: `model.int8.onnx` and the tokenizer, for the engine of that name;
* a linear model: `linear.safetensors` over embeddings of the base or over tf-idf (`vocabulary.json`);

and beside the first two kinds `holder.safetensors`, the holder head.
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from olivebranch.backbones import public_name, refuse_pickles, resolve, sha256
from olivebranch.errors import OlivebranchError, UsageError, reason_of
from olivebranch.labels import LABELS
from olivebranch.networks import Pooling, StanceNetwork, load_classifier, load_tokenizer, new_network

MANIFEST: Final = "olivebranch.json"
ADAPTER: Final = "adapter_model.safetensors"
WHOLE: Final = "model.safetensors"
HOLDER: Final = "holder.safetensors"
LINEAR: Final = "linear.safetensors"
VOCABULARY: Final = "vocabulary.json"
ONNX: Final = "model.int8.onnx"
WEIGHT_FILES: Final = {
    "adapter": (ADAPTER, "adapter_config.json", HOLDER),
    "whole": (WHOLE, "config.json", "tokenizer.json", HOLDER),
    "frozen": (LINEAR,),
    "tfidf": (LINEAR, VOCABULARY),
    "onnx": (ONNX, "tokenizer.json"),
}
"""The files that decide what a model of each kind answers; the first must be there."""


class Manifest(BaseModel):
    """What `olivebranch.json` says of a model folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str
    kind: Literal["adapter", "whole", "frozen", "tfidf", "onnx"]
    base: str | None
    base_sha256: str | None = None
    labels: tuple[str, ...] = LABELS
    pooling: Pooling = "first"
    max_length: int = 128
    temperature: float = 1.0
    risk_bounds: tuple[tuple[float, float], ...] = ()
    """Pairs of a calibrated confidence and the share of the sentences at or above it that is wrong at most (on
    validation, with 95 % confidence), the highest confidence first."""
    data_sha256: str | None = None
    files: dict[str, str] = {}
    """File name -> SHA-256."""

    @property
    def version(self) -> str:
        """Name and content hash, as it stands in every prediction."""
        since_pooling = set() if self.pooling != "first" else {"pooling"}  # models made before it keep their version
        content = self.model_dump_json(exclude={"name"} | since_pooling).encode()
        return f"{self.name}@{hashlib.sha256(content).hexdigest()[:12]}"

    def sealed(self, folder: Path) -> Self:
        """The same, with the hashes of the weight files that lie in `folder`."""
        present = [name for name in WEIGHT_FILES[self.kind] if (folder / name).exists()]
        return self.model_copy(update={"files": {name: sha256(folder / name) for name in present}})


def read_manifest(folder: Path) -> Manifest:
    """Describe a model folder and check that its weights are there and unaltered.

    A plain transformers folder with our labels and no manifest is accepted as it is.

    Raises:
        OlivebranchError: no such folder, no weights, a pickle, a wrong hash, other labels.
    """
    if not folder.is_dir():
        raise OlivebranchError(
            f"model folder '{folder}' does not exist; train one, or leave --model out for the released model"
        )
    refuse_pickles(folder)
    path = folder / MANIFEST
    if not path.is_file():
        return _plain_manifest(folder)
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "content"
        raise OlivebranchError(f"{path}: {where}: {problem['msg'].lower()}; export or train the model again") from None
    if manifest.labels != LABELS:
        raise OlivebranchError(f"{path} has the labels {', '.join(manifest.labels)}; this version knows {', '.join(LABELS)}")
    if WEIGHT_FILES[manifest.kind][0] not in manifest.files:
        raise OlivebranchError(f"{path} lists no {WEIGHT_FILES[manifest.kind][0]}; export or train the model again")
    for name, expected in manifest.files.items():
        _check_file(folder / name, expected)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `olivebranch.json`, in one step."""
    partial = folder / f".{MANIFEST}.partial"
    partial.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)


def is_taken(target: Path) -> bool:
    """Whether something other than an empty folder stands there."""
    return target.exists() and (not target.is_dir() or any(target.iterdir()))


def check_free(target: Path) -> None:
    """Raise UsageError where `target` is taken."""
    if is_taken(target):
        raise UsageError(f"'{target}' exists and is not empty; choose another folder")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder that appears at `target` whole or not at all.

    Raises:
        UsageError: `target` exists and is not empty.
        OlivebranchError: it cannot be written.
    """
    check_free(target)
    target = target.resolve()
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        if target.is_dir():
            target.rmdir()
        partial.replace(target)
    except OSError as error:
        raise OlivebranchError(f"cannot write '{target}': {reason_of(error)}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def base_hash(base: str) -> str | None:
    """SHA-256 of the base weights, where they are one local file."""
    weights = Path(resolve(base)) / WHOLE
    return sha256(weights) if weights.is_file() else None


def save_network(folder: Path, network: StanceNetwork, base: str) -> None:
    """Write the weights: an adapter in fp16, or the whole model with its tokenizer; and the holder head."""
    folder.mkdir(parents=True, exist_ok=True)
    classifier = network.classifier
    if hasattr(classifier, "peft_config"):
        from peft import get_peft_model_state_dict

        halves = {name: value.half().contiguous() for name, value in get_peft_model_state_dict(classifier).items()}
        save_file(halves, folder / ADAPTER, metadata={"format": "pt"})
        config = classifier.peft_config["default"]
        config.base_model_name_or_path = public_name(base)
        config.save_pretrained(str(folder))
    else:
        classifier.save_pretrained(folder)
        load_tokenizer(base).save_pretrained(folder)
    heads = {name: value.half().contiguous() for name, value in network.holder.state_dict().items()}
    save_file(heads, folder / HOLDER, metadata={"format": "pt"})


def load_network(folder: Path, manifest: Manifest, trainable: bool = False) -> StanceNetwork:
    """The network in fp32; an adapter is merged into its base, unless it is to be trained on.

    Raises:
        OlivebranchError: weights that do not fit, or a base other than the one that the adapter was trained on.
    """
    try:
        network = _with_adapter(folder, manifest, trainable) if manifest.kind == "adapter" else _whole(folder, manifest)
        if (folder / HOLDER).exists():
            network.holder.load_state_dict({name: value.float() for name, value in load_file(folder / HOLDER).items()})
    except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise OlivebranchError(f"the weights in {folder} do not load: {reason}; export or train the model again") from None
    return network


def check_base(folder: Path, manifest: Manifest) -> None:
    """Raise where the base is not the one that the model was trained on."""
    found = base_hash(str(manifest.base))
    if manifest.base_sha256 and found != manifest.base_sha256:
        expected = f"{folder} was trained on weights {manifest.base_sha256[:12]}…"
        raise OlivebranchError(f"{expected}, but base '{manifest.base}' has {str(found)[:12]}…")


def tokenizer_source(folder: Path, manifest: Manifest) -> str:
    """Where the tokenizer of a model lies: in its folder, or with its base."""
    return str(folder) if manifest.kind in {"whole", "onnx"} else str(manifest.base)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file, with an error that names it."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise OlivebranchError(f"{path} does not load: {str(error).splitlines()[0]}") from None


def _with_adapter(folder: Path, manifest: Manifest, trainable: bool) -> StanceNetwork:
    from peft import PeftModel

    check_base(folder, manifest)
    network = new_network(str(manifest.base), manifest.pooling)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a note from transformers to peft
        adapted = PeftModel.from_pretrained(network.classifier, str(folder), is_trainable=trainable)
    network.classifier = adapted if trainable else adapted.merge_and_unload()
    return network.float()


def _whole(folder: Path, manifest: Manifest) -> StanceNetwork:
    classifier = load_classifier(str(folder), dtype=torch.float32)
    return StanceNetwork(classifier, classifier.config.hidden_size, manifest.pooling)


def _plain_manifest(folder: Path) -> Manifest:
    config_path = folder / "config.json"
    if not config_path.is_file() or not any(folder.glob("*.safetensors")):
        raise OlivebranchError(
            f"model folder '{folder}' holds no weights ({MANIFEST} or config.json with *.safetensors); train or export one"
        )
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
        labels = [config.get("id2label", {}).get(str(index)) for index in range(len(LABELS))]
    except (ValueError, AttributeError):
        raise OlivebranchError(f"{config_path} is not the configuration of a model; export or train the model again") from None
    if tuple(labels) != LABELS:
        raise OlivebranchError(
            f"{config_path} has other labels than {', '.join(LABELS)}; name a folder made by olivebranch export"
        )
    pooling = config.get("olivebranch_pooling", "first")
    return Manifest(name=folder.resolve().name, kind="whole", base=None, pooling=pooling).sealed(folder)


def _check_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise OlivebranchError(f"{path} is missing; export or train the model again")
    found = sha256(path)
    if found != expected:
        raise OlivebranchError(
            f"{path} has SHA-256 {found[:12]}…, its manifest says {expected[:12]}…; restore the file or export again"
        )
