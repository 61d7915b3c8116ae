"""Batches without waste: sentences of like length together, a bounded number of tokens in each batch."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

TOKEN_BUDGET: Final = 2048
WINDOW: Final = 8192
"""Sentences that are tokenized and sorted together; bounds the memory of an engine."""


class Encoded:
    """Tokenized sentences, not yet padded."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str], max_length: int) -> None:
        encoded = tokenizer(list(sentences), truncation=True, max_length=max_length, return_offsets_mapping=True)
        self.columns = [name for name in tokenizer.model_input_names if name in encoded]
        self.ids: dict[str, list[list[int]]] = {name: encoded[name] for name in self.columns}
        self.offsets: list[list[tuple[int, int]]] = encoded["offset_mapping"]
        self._pad = {"input_ids": tokenizer.pad_token_id or 0}
        self.lengths = np.array([len(ids) for ids in self.ids["input_ids"]])

    def batches(self, budget: int = TOKEN_BUDGET) -> Iterator[tuple[NDArray[np.int64], dict[str, NDArray[np.int64]]]]:
        """Pairs of sentence indices and padded inputs (batch, tokens), the longest sentences first."""
        order = np.argsort(-self.lengths, kind="stable")
        start = 0
        while start < len(order):
            width = int(self.lengths[order[start]])
            end = start + max(1, budget // width)
            yield order[start:end], self._padded(order[start:end], width)
            start = end

    def _padded(self, indices: NDArray[np.int64], width: int) -> dict[str, NDArray[np.int64]]:
        inputs: dict[str, Any] = {}
        for name in self.columns:
            block = np.full((len(indices), width), self._pad.get(name, 0), dtype=np.int64)
            for row, index in enumerate(indices):
                values = self.ids[name][index]
                block[row, : len(values)] = values
            inputs[name] = block
        return inputs
