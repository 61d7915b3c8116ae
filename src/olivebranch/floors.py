"""Linear models on fixed features: the floors that every fine-tuned model must beat."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from olivebranch.checkpoints import LINEAR, VOCABULARY, Manifest, base_hash
from olivebranch.engines.linear import EmbeddingFeatures, TfidfFeatures
from olivebranch.errors import OlivebranchError
from olivebranch.labels import LABEL_TO_ID, LABELS
from olivebranch.recipe import Recipe
from olivebranch.records import LabelledText


def fit_linear(recipe: Recipe, rows: Sequence[LabelledText], folder: Path) -> Manifest:
    """Fit a logistic regression on frozen embeddings or on tf-idf, and write its weights."""
    texts = [row.text for row in rows]
    labels = np.array([LABEL_TO_ID[row.label] for row in rows])
    tensors: dict[str, torch.Tensor] = {}
    if recipe.method == "tfidf":
        try:
            features: TfidfFeatures | EmbeddingFeatures = TfidfFeatures().fit(texts)
        except ValueError as error:
            raise OlivebranchError(f"recipe '{recipe.name}' cannot fit these statements: {error}") from None
        vectorizer = features.vectorizer  # type: ignore[union-attr]
        tensors["idf"] = torch.from_numpy(vectorizer.idf_.astype(np.float32))
        words = vectorizer.get_feature_names_out().tolist()
        (folder / VOCABULARY).write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
    else:
        features = EmbeddingFeatures(recipe.base, recipe.max_length)
    model = LogisticRegression(C=recipe.regularization, class_weight="balanced", max_iter=2000, random_state=recipe.seed)
    try:
        model.fit(features.transform(texts), labels)
    except ValueError as error:
        raise OlivebranchError(f"recipe '{recipe.name}' cannot fit these statements: {str(error).splitlines()[0]}") from None
    tensors["weight"], tensors["bias"] = _all_classes(model)
    save_file(tensors, folder / LINEAR)
    base = recipe.base if recipe.method == "frozen" else None
    return Manifest(
        name=folder.resolve().name,
        kind=recipe.method,
        base=base,
        base_sha256=base_hash(base) if base else None,
        max_length=recipe.max_length,
    )


def _all_classes(model: LogisticRegression) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights for all labels; one that was never seen is never predicted."""
    weight = np.zeros((len(LABELS), model.coef_.shape[1]), dtype=np.float32)
    bias = np.full(len(LABELS), -1e4, dtype=np.float32)
    both = len(model.classes_) == 2
    weight[model.classes_] = np.vstack([-model.coef_, model.coef_]) / 2 if both else model.coef_
    bias[model.classes_] = np.concatenate([-model.intercept_, model.intercept_]) / 2 if both else model.intercept_
    return torch.from_numpy(weight), torch.from_numpy(bias)
