"""The floors: logistic regression on frozen embeddings of the base, or on tf-idf of words. They name no holder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from transformers import AutoModel

from olivebranch.backbones import SAFE_WEIGHTS, resolve
from olivebranch.checkpoints import LINEAR, VOCABULARY, Manifest, check_base, load_tensors
from olivebranch.engines import Reading
from olivebranch.engines.batches import Encoded
from olivebranch.networks import load_tokenizer

Features: TypeAlias = Any
"""(n, columns), dense or sparse."""


class LinearEngine:
    """Features times weights plus bias."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        tensors = {name: value.numpy() for name, value in load_tensors(folder / LINEAR).items()}
        self.weight, self.bias = tensors["weight"], tensors["bias"]
        self.features: TfidfFeatures | EmbeddingFeatures
        if manifest.kind == "tfidf":
            vocabulary = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
            self.features = TfidfFeatures.restored(vocabulary, tensors["idf"])
        else:
            check_base(folder, manifest)
            self.features = EmbeddingFeatures(str(manifest.base), manifest.max_length)

    def read(self, sentences: Sequence[str]) -> Reading:
        """Score sentences; see `Engine`."""
        if not sentences:
            return Reading(np.zeros((0, len(self.bias)), dtype=np.float32), [])
        scores = self.features.transform(sentences) @ self.weight.T + self.bias
        return Reading(np.asarray(scores, dtype=np.float32), [None] * len(sentences))


class TfidfFeatures:
    """Word 1- and 2-grams, sublinear tf-idf."""

    def __init__(self, **options: Any) -> None:
        self.vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode", dtype=np.float32, **options
        )

    @classmethod
    def restored(cls, vocabulary: list[str], idf: NDArray[np.floating]) -> "TfidfFeatures":
        """From the words in column order and their weights."""
        features = cls(vocabulary={word: column for column, word in enumerate(vocabulary)})
        features.vectorizer.idf_ = idf
        return features

    def fit(self, sentences: Sequence[str]) -> "TfidfFeatures":
        """Learn the vocabulary: n-grams that stand in two sentences or more."""
        self.vectorizer.set_params(min_df=2 if len(sentences) > 50 else 1)
        self.vectorizer.fit(sentences)
        return self

    def transform(self, sentences: Sequence[str]) -> Features:
        """(n, vocabulary), sparse."""
        return self.vectorizer.transform(sentences)


class EmbeddingFeatures:
    """Mean-pooled, normalised last hidden states of a base model (Reimers and Gurevych 2019, arXiv:1908.10084)."""

    def __init__(self, base: str, max_length: int) -> None:
        self.tokenizer = load_tokenizer(base)
        self.encoder = AutoModel.from_pretrained(resolve(base), dtype=torch.float32, **SAFE_WEIGHTS).eval()
        self.max_length = max_length

    @torch.inference_mode()
    def transform(self, sentences: Sequence[str]) -> Features:
        """(n, hidden)."""
        result = np.zeros((len(sentences), self.encoder.config.hidden_size), dtype=np.float32)
        for indices, inputs in Encoded(self.tokenizer, sentences, self.max_length).batches():
            tensors = {name: torch.from_numpy(block) for name, block in inputs.items()}
            hidden = self.encoder(**tensors).last_hidden_state
            mask = tensors["attention_mask"].unsqueeze(-1)
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            result[indices] = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return result
