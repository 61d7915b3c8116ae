"""A model in other forms: a plain Hugging Face folder, or quantised ONNX."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerBase

from olivebranch.checkpoints import (
    ONNX,
    load_network,
    new_folder,
    read_manifest,
    save_network,
    tokenizer_source,
    write_manifest,
)
from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.folding import fold_pooling
from olivebranch.labels import LABELS
from olivebranch.networks import HOLDER_TAGS, StanceNetwork, load_tokenizer


def export_hf(model: Path, target: Path) -> None:
    """Write a model as a plain Hugging Face folder.

    `transformers.pipeline("text-classification", model=target)` labels as `Tagger` does, and its scores are the
    calibrated ones: the temperature is folded into the last layer. `target / "holder"` is the holder model for
    `pipeline("token-classification")`. `Tagger.load(target)` works too.

    Raises:
        UsageError: the model is a linear floor, which has no such form, or the target exists.
    """
    manifest = read_manifest(model)
    if manifest.kind in {"frozen", "tfidf"}:
        raise UsageError(f"'{model}' is a {manifest.kind} model, which has no plain Hugging Face form; export a fine-tuned one")
    with new_folder(target) as folder:
        network = load_network(model, manifest)
        if network.pooling == "mean":
            network = fold_pooling(network)
        source = tokenizer_source(model, manifest)
        _fold_temperature(network, manifest.temperature)
        save_network(folder, network, source)
        _save_holder(folder / "holder", network, source)
        if (model / "README.md").exists():
            shutil.copy(model / "README.md", folder)
        exported = manifest.model_copy(
            update={"kind": "whole", "base": None, "base_sha256": None, "temperature": 1.0, "pooling": network.pooling}
        )
        write_manifest(folder, exported.sealed(folder))


def _fold_temperature(network: StanceNetwork, temperature: float) -> None:
    """Divide the last layer's weights, so that a plain softmax of its logits is calibrated."""
    outputs = [
        module
        for module in network.classifier.modules()
        if isinstance(module, nn.Linear) and module.out_features == len(LABELS)
    ]
    with torch.no_grad():
        outputs[-1].weight.div_(temperature)
        if outputs[-1].bias is not None:
            outputs[-1].bias.div_(temperature)


def _save_holder(folder: Path, network: StanceNetwork, source: str) -> None:
    """The encoder again with the holder head, as a token classifier, where the architecture has a plain one."""
    tags = dict(enumerate(HOLDER_TAGS))
    settings = {**network.classifier.config.to_dict(), "id2label": tags, "label2id": {tag: at for at, tag in tags.items()}}
    if network.pooling == "folded":
        settings["num_hidden_layers"] -= 1
    config: Any = type(network.classifier.config)(**settings)
    model = AutoModelForTokenClassification.from_config(config)  # type: ignore[no-untyped-call]
    prefix = model.base_model_prefix
    encoder = getattr(network.classifier, prefix).state_dict()
    getattr(model, prefix).load_state_dict(encoder, strict=False)
    heads = [module for module in model.modules() if isinstance(module, nn.Linear) and module.out_features == len(HOLDER_TAGS)]
    heads[-1].load_state_dict(network.holder.state_dict())
    own = sum(weight.numel() for weight in [*getattr(model, prefix).parameters(), *heads[-1].parameters()])
    if own < sum(weight.numel() for weight in model.parameters()):
        return  # ModernBERT's token classifier has a layer more, which would be random here
    model.save_pretrained(folder)
    load_tokenizer(source).save_pretrained(folder)


def export_onnx(model: Path, target: Path) -> None:
    """Write a model as ONNX with dynamically quantised int8 weights, for `--engine onnx`.

    Raises:
        UsageError: the model is a linear floor, or the target exists.
        OlivebranchError: the packages of the extra `onnx` are missing.
    """
    manifest = read_manifest(model)
    if manifest.kind in {"frozen", "tfidf"}:
        raise UsageError(f"'{model}' is a {manifest.kind} model, which has no ONNX form; export a fine-tuned one")
    try:
        import onnx  # noqa: F401  torch.onnx needs it
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        raise OlivebranchError(
            "the quantised engine needs onnx, onnxscript and onnxruntime; pip install olivebranch[onnx]"
        ) from None
    with new_folder(target) as folder:
        network = load_network(model, manifest).eval()
        tokenizer = load_tokenizer(tokenizer_source(model, manifest))
        whole = folder / "fp32.onnx"
        _write_graph(network, tokenizer, whole)
        quantize_dynamic(whole, folder / ONNX, weight_type=QuantType.QInt8, per_channel=True)
        whole.unlink()
        (folder / "fp32.onnx.data").unlink(missing_ok=True)
        tokenizer.save_pretrained(folder)
        exported = manifest.model_copy(update={"kind": "onnx", "base": None, "base_sha256": None})
        write_manifest(folder, exported.sealed(folder))


def _write_graph(network: StanceNetwork, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """The graph from token ids to logits and tag logits, for any batch size and length."""
    names = [name for name in tokenizer.model_input_names if name in tokenizer("a")]
    example = tokenizer(["a b", "c d"], return_tensors="pt")
    shape = {0: torch.export.Dim("batch", max=1 << 14), 1: torch.export.Dim("tokens", max=512)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own deprecations
        torch.onnx.export(
            _Outputs(network, names),
            args=tuple(example[name] for name in names),
            f=str(path),
            input_names=names,
            output_names=["logits", "tag_logits"],
            dynamic_shapes={"values": tuple(shape for _ in names)},
            dynamo=True,
            verbose=False,
        )


class _Outputs(nn.Module):
    """The network with its inputs and outputs as tuples, as the exporter wants them."""

    def __init__(self, network: StanceNetwork, names: list[str]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, *values: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs in the order of the names."""
        output = self.network(**dict(zip(self.names, values, strict=True)))
        return output["logits"], output["tag_logits"]
