"""From statements to what the Trainer is fed: token ids, targets, batches, class weights, the prior of the labels."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from olivebranch.holder import span_tags
from olivebranch.labels import LABEL_TO_ID, LABELS, STANCES
from olivebranch.networks import IGNORE
from olivebranch.records import LabelledText


class Collator:
    """Pads a batch to its longest sentence, the holder tags too."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Rows of `encode` to tensors (batch, tokens)."""
        inputs = [{name: row[name] for name in self.tokenizer.model_input_names if name in row} for row in rows]
        batch = dict(self.tokenizer.pad(inputs, return_tensors="pt"))
        width = batch["input_ids"].shape[1]
        batch["labels"] = torch.tensor([row["labels"] for row in rows])
        batch["tags"] = torch.tensor([row["tags"] + [IGNORE] * (width - len(row["tags"])) for row in rows])
        return batch


def encode(rows: Sequence[LabelledText], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """Token ids, label ids, holder tags and lengths. Sentences without a stance have no part in the holder loss."""
    encoded = tokenizer([row.text for row in rows], truncation=True, max_length=max_length, return_offsets_mapping=True)
    tags = [
        [
            IGNORE if start == end else tag
            for tag, (start, end) in zip(span_tags(row.text, row.holder, offsets), offsets, strict=True)
        ]
        if row.label in STANCES
        else [IGNORE] * len(offsets)
        for row, offsets in zip(rows, encoded["offset_mapping"], strict=True)
    ]
    columns = {name: encoded[name] for name in tokenizer.model_input_names if name in encoded}
    labels = [LABEL_TO_ID[row.label] for row in rows]
    return Dataset.from_dict({**columns, "labels": labels, "tags": tags, "length": [len(tag) for tag in tags]})


def class_weights(rows: Sequence[LabelledText], power: float) -> torch.Tensor:
    """(labels,) weights, share ** -power, scaled so that the mean weight of a sentence is 1."""
    counts = Counter(row.label for row in rows)
    raw = np.array([(counts[label] / len(rows)) ** -power if counts[label] else 0.0 for label in LABELS])
    mean = sum(counts[label] / len(rows) * weight for label, weight in zip(LABELS, raw, strict=True))
    return torch.tensor(raw / mean, dtype=torch.float32)


def prior_shift(rows: Sequence[LabelledText]) -> torch.Tensor:
    """(labels,) log of each label's share in all rows, less the log of its share in the rows of the natural stream.

    Contrast sets hold far more stances than the world does. With this added to the logits in the loss alone, the network
    learns logits that fit the world's mix (logit adjustment, Menon et al. 2021, arXiv:2007.07314). Zeros where
    no row carries a stream. Counts have one added, so that a small sample without a rare label does no harm.
    """
    natural = [row.label for row in rows if getattr(row, "stream", None) == "natural"]
    return _log_shares([row.label for row in rows]) - _log_shares(natural) if natural else torch.zeros(len(LABELS))


def _log_shares(labels: Sequence[str]) -> torch.Tensor:
    counts = Counter(labels)
    return torch.tensor([counts[label] + 1.0 for label in LABELS]).log() - math.log(len(labels) + len(LABELS))
