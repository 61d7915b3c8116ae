"""What the encoder engines share: windows, batches by length, and the holder of each sentence."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from olivebranch.engines import Reading
from olivebranch.engines.batches import WINDOW, Encoded
from olivebranch.holder import HolderSpan, best_span
from olivebranch.labels import LABELS


class EncoderEngine(ABC):
    """Reads sentences with a tokenizer and a forward pass that the subclass gives."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length

    @abstractmethod
    def forward(self, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Padded ids (batch, tokens) to logits (batch, labels) and tag probabilities (batch, tokens, 3)."""

    def read(self, sentences: Sequence[str]) -> Reading:
        """Score sentences; see `Engine`."""
        logits = np.zeros((len(sentences), len(LABELS)), dtype=np.float32)
        holders: list[HolderSpan | None] = [None] * len(sentences)
        for start in range(0, len(sentences), WINDOW):
            window = sentences[start : start + WINDOW]
            encoded = Encoded(self.tokenizer, window, self.max_length)
            for indices, inputs in encoded.batches():
                batch_logits, tag_probs = self.forward(inputs)
                logits[start + indices] = batch_logits
                for row in np.flatnonzero(batch_logits.argmax(axis=1)):  # class 0 is none, which has no holder
                    index = indices[row]
                    offsets = encoded.offsets[index]
                    holders[start + index] = best_span(window[index], tag_probs[row, : len(offsets)], offsets)
        return Reading(logits, holders)
