"""How sure is sure: temperature scaling, calibration errors, risk bounds, the abstention threshold."""

import math
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import beta

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

BINS: Final = 15
KEPT: Final = np.linspace(0.25, 1, 31)
"""Shares of the sentences that the thresholds keep."""
MAX_ERROR: Final = 0.1
"""Error rate, among the sentences that are not abstained on, where the user names no other."""


def probabilities(logits: Floats, temperature: float = 1.0) -> Floats:
    """Softmax of logits (n, labels) divided by a temperature."""
    return np.asarray(softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1))


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """The temperature that minimises the negative log-likelihood (Guo et al. 2017, arXiv:1706.04599).

    Args:
        logits: (n, labels).
        labels: (n,) class indices.
    """
    logits = np.asarray(logits, dtype=np.float64)

    def loss(log_temperature: float) -> float:
        scores = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-scores[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def expected_calibration_error(probs: Floats, labels: Ints, bins: int = BINS) -> float:
    """ECE of the top label: mean gap between confidence and accuracy over equal-width bins, weighted by size."""
    return _gap(reliability(probs, labels, bins))


def reliability(probs: Floats, labels: Ints, bins: int = BINS) -> list[dict[str, float]]:
    """One row for each confidence bin that is not empty: mean confidence, accuracy, share of the sentences."""
    return _binned(probs.max(axis=1), probs.argmax(axis=1) == labels, bins)


def class_calibration(probs: Floats, labels: Ints) -> list[dict[str, float]]:
    """ECE and Brier score of each class's own probability, the highest or not (Nixon et al. 2019, arXiv:1904.01685)."""
    found = []
    for index in range(probs.shape[1]):
        own, true = probs[:, index], labels == index
        found.append({"ece": _gap(_binned(own, true, BINS)), "brier": float(((own - true) ** 2).mean())})
    return found


def _gap(rows: Sequence[dict[str, float]]) -> float:
    return sum(row["share"] * abs(row["confidence"] - row["accuracy"]) for row in rows)


def _binned(confidence: Floats, correct: NDArray[np.bool_], bins: int) -> list[dict[str, float]]:
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        {
            "confidence": float(confidence[index == bin_].mean()),
            "accuracy": float(correct[index == bin_].mean()),
            "share": float((index == bin_).mean()),
        }
        for bin_ in np.unique(index)
    ]


def brier_score(probs: Floats, labels: Ints) -> float:
    """Mean squared distance between the probabilities and the true label, summed over labels (0 best, 2 worst)."""
    truth = np.eye(probs.shape[1])[labels]
    return float(((probs - truth) ** 2).sum(axis=1).mean())


def risk_bounds(probs: Floats, labels: Ints, delta: float = 0.05) -> list[tuple[float, float]]:
    """Upper bounds on the error rate of the sentences at or above a confidence, the highest confidence first.

    Each bound holds with confidence 1 - `delta` (exact binomial, Clopper and Pearson 1934); the confidences keep from
    25 % to all of the sentences. Both are rounded to four places, to the safe side.
    """
    confidence, wrong = probs.max(axis=1), probs.argmax(axis=1) != labels
    bounds = []
    for threshold in np.unique(np.floor(np.quantile(confidence, 1 - KEPT) * 1e4) / 1e4)[::-1]:
        kept = confidence >= threshold
        errors, total = int(wrong[kept].sum()), int(kept.sum())
        bound = float(beta.ppf(1 - delta, errors + 1, total - errors)) if errors < total else 1.0
        bounds.append((float(threshold), math.ceil(bound * 1e4) / 1e4))
    return bounds


def abstention_threshold(bounds: Sequence[tuple[float, float]], max_error: float) -> float | None:
    """The lowest confidence from which at most `max_error` of the sentences are wrong; None where no bound allows it.

    Fixed-sequence testing (Learn then Test, Angelopoulos et al. 2021, arXiv:2110.01052): from the highest confidence down,
    the first bound above `max_error` ends it, and so the promise holds with the confidence of one bound.
    """
    passed = [confidence for confidence, _ in takewhile(lambda pair: pair[1] <= max_error, bounds)]
    return passed[-1] if passed else None
