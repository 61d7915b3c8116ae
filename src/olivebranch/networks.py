"""The network: a plain transformers sequence classifier, and a holder head on the same encoder.

One pass of the encoder answers both questions: which label, and which words name the holder. The
classifier stays an unchanged `AutoModelForSequenceClassification`, so that it loads anywhere.
"""

from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from olivebranch.backbones import MINILM, SAFE_LOADING, SAFE_WEIGHTS, resolve
from olivebranch.errors import OlivebranchError
from olivebranch.labels import ID_TO_LABEL, LABEL_TO_ID

HOLDER_TAGS: Final = ("O", "B", "I")
"""Outside, beginning of, inside the words that name the holder (Ramshaw and Marcus 1995)."""
IGNORE: Final = -100
"""Target of tokens and sentences that have no part in a loss."""


class StanceNetwork(nn.Module):
    """A sequence classifier and a linear holder head over its last hidden states.

    `forward` returns `logits` of shape (batch, labels), `tag_logits` of shape (batch, tokens, 3), and,
    where `labels` are given, the `loss`.
    """

    classifier: Any  # a PreTrainedModel, or peft's wrapper of one
    accepts_loss_kwargs = False  # the loss is a mean already; Trainer must not scale it by the number of processes

    def __init__(self, classifier: nn.Module, hidden_size: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.holder = nn.Linear(hidden_size, len(HOLDER_TAGS))
        self.holder_weight = 0.0
        self.label_smoothing = 0.0
        self.register_buffer("class_weights", None, persistent=False)

    def forward(self, labels: Tensor | None = None, tags: Tensor | None = None, **inputs: Tensor) -> dict[str, Tensor]:
        """See the class."""
        output = self.classifier(**inputs, output_hidden_states=True)
        result = {"logits": output.logits, "tag_logits": self.holder(output.hidden_states[-1])}
        if labels is not None:
            result = {"loss": self._loss(result, labels, tags), **result}
        return result

    def _loss(self, output: dict[str, Tensor], labels: Tensor, tags: Tensor | None) -> Tensor:
        loss = nn.functional.cross_entropy(
            output["logits"].float(),
            labels,
            weight=cast(Tensor | None, self.class_weights),
            label_smoothing=self.label_smoothing,
        )
        if tags is None or not self.holder_weight or bool((tags == IGNORE).all()):
            return loss
        tag_logits = output["tag_logits"].float().flatten(0, 1)
        return loss + self.holder_weight * nn.functional.cross_entropy(tag_logits, tags.flatten(), ignore_index=IGNORE)


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a base name or a folder; offsets are needed, so a slow one is refused."""
    is_folder = source != MINILM and Path(source).is_dir()
    place = source if is_folder else resolve(source)  # a folder needs no weights for this
    tokenizer = _load(AutoTokenizer.from_pretrained, place, SAFE_LOADING)
    if not tokenizer.is_fast:
        raise OlivebranchError(f"{source} has no fast tokenizer, and holders need character offsets; add a tokenizer.json")
    return cast(PreTrainedTokenizerBase, tokenizer)


def load_classifier(source: str, **options: Any) -> PreTrainedModel:
    """A five-way sequence classifier from a base name, a folder or a hub id (the head is new where it has none)."""
    labels = {"num_labels": len(ID_TO_LABEL), "id2label": ID_TO_LABEL, "label2id": LABEL_TO_ID}
    model = _load(AutoModelForSequenceClassification.from_pretrained, resolve(source), {**SAFE_WEIGHTS, **labels, **options})
    return cast(PreTrainedModel, model)


def new_network(base: str) -> StanceNetwork:
    """Base weights with new heads in fp32; seed torch before, for the heads are random."""
    classifier = load_classifier(base, dtype=torch.float32)
    return StanceNetwork(classifier, classifier.config.hidden_size)


def _load(loader: Any, source: str, options: dict[str, Any]) -> Any:
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # the new head of a base is no news
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return loader(source, **options)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise OlivebranchError(f"cannot load '{source}': {reason}") from None
    finally:
        transformers_logging.set_verbosity(verbosity)
