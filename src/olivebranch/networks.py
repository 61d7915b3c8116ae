"""The network: a plain transformers sequence classifier, and a holder head on the same encoder.

One pass of the encoder answers both questions: which label, and which words name the holder. The
classifier is an `AutoModelForSequenceClassification`, which reads the first token; with `pooling` "mean" only its
encoder and its head are used, on the mean over all tokens.
"""

from pathlib import Path
from typing import Any, Final, Literal, cast

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
from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.labels import ID_TO_LABEL, LABEL_TO_ID

HOLDER_TAGS: Final = ("O", "B", "I")
"""Outside, beginning of, inside the words that name the holder (Ramshaw and Marcus 1995)."""
Pooling = Literal["first", "mean", "folded"]
"""What the label is read from: the first token; the normalised mean over all tokens; that mean, in a plain classifier
with a layer more (see `folding`)."""
MEAN_POOLED: Final = ("bert", "roberta", "xlm-roberta")
"""Families whose classifiers can be folded."""
IGNORE: Final = -100
"""Target of tokens and sentences that have no part in a loss."""


class StanceNetwork(nn.Module):
    """A sequence classifier and a linear holder head over its last hidden states.

    `forward` returns `logits` of shape (batch, labels), `tag_logits` of shape (batch, tokens, 3), and,
    where `labels` are given, the `loss`.
    """

    classifier: Any  # a PreTrainedModel, or peft's wrapper of one
    prior_shift: Tensor
    accepts_loss_kwargs = False  # the loss is a mean already; Trainer must not scale it by the number of processes

    def __init__(self, classifier: Any, hidden_size: int, pooling: Pooling = "first") -> None:
        super().__init__()
        self.classifier = classifier
        self.pooling = pooling
        classifier.config.olivebranch_pooling = pooling  # so that a saved config.json tells
        if pooling == "mean" and hasattr(classifier.base_model, "pooler"):
            classifier.base_model.pooler = None  # reads the first token, and is not used
        self.holder = nn.Linear(hidden_size, len(HOLDER_TAGS))
        self.holder_weight = 0.0
        self.label_smoothing = 0.0
        self.register_buffer("class_weights", None, persistent=False)
        self.register_buffer("prior_shift", torch.zeros(len(ID_TO_LABEL)), persistent=False)

    def forward(self, labels: Tensor | None = None, tags: Tensor | None = None, **inputs: Tensor) -> dict[str, Tensor]:
        """See the class."""
        logits, hidden = self._mean_pooled(inputs) if self.pooling == "mean" else self._plain(inputs)
        result = {"logits": logits, "tag_logits": self.holder(hidden)}
        if labels is not None:
            result = {"loss": self._loss(result, labels, tags), **result}
        return result

    def _plain(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        output = self.classifier(**inputs, output_hidden_states=True)
        return output.logits, output.hidden_states[-2 if self.pooling == "folded" else -1]

    def _mean_pooled(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """As the sentence encoders do that MiniLM comes from (Reimers and Gurevych 2019), then normalised."""
        model = self.classifier.get_base_model() if hasattr(self.classifier, "get_base_model") else self.classifier
        hidden = model.base_model(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        mean = nn.functional.layer_norm((hidden * mask).sum(1) / mask.sum(1), hidden.shape[-1:])
        if hasattr(model, "dropout"):
            return model.classifier(model.dropout(mean)), hidden
        return model.classifier(mean.unsqueeze(1)), hidden  # RoBERTa's head takes its first token itself

    def _loss(self, output: dict[str, Tensor], labels: Tensor, tags: Tensor | None) -> Tensor:
        loss = nn.functional.cross_entropy(
            output["logits"].float() + self.prior_shift,
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


def new_network(base: str, pooling: Pooling = "first") -> StanceNetwork:
    """Base weights with new heads in fp32; seed torch before, for the heads are random.

    Raises:
        UsageError: the base's family has no mean pooling.
    """
    classifier = load_classifier(base, dtype=torch.float32)
    if pooling == "mean" and classifier.config.model_type not in MEAN_POOLED:
        raise UsageError(
            f"pooling: mean is for {', '.join(MEAN_POOLED)}; base '{base}' is {classifier.config.model_type}, use first"
        )
    return StanceNetwork(classifier, classifier.config.hidden_size, pooling)


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
