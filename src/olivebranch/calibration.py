"""How sure is sure: temperature scaling, calibration errors, risk against coverage, the abstention threshold."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import beta

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

BINS: Final = 15
CANDIDATES: Final = 20


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
    return sum(row["share"] * abs(row["confidence"] - row["accuracy"]) for row in reliability(probs, labels, bins))


def reliability(probs: Floats, labels: Ints, bins: int = BINS) -> list[dict[str, float]]:
    """One row for each confidence bin that is not empty: mean confidence, accuracy, share of the sentences."""
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
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


def abstention_threshold(probs: Floats, labels: Ints, max_error: float, delta: float = 0.05) -> tuple[float, float]:
    """The lowest confidence from which the error rate is at most `max_error`, with confidence 1 - `delta`; and the bound.

    Selection with guaranteed risk (Geifman and El-Yaniv 2017, arXiv:1705.08500): an exact binomial upper bound on the
    error of the sentences that are kept, at 20 candidate thresholds; `delta` is shared among them (Bonferroni).
    Where none passes (a weak model, or too few labels) the candidate with the lowest bound is taken, and the bound tells.
    """
    confidence, wrong = probs.max(axis=1), probs.argmax(axis=1) != labels
    candidates = []
    for threshold in np.quantile(confidence, np.linspace(0, 0.95, CANDIDATES)):
        kept = confidence >= threshold
        errors, total = int(wrong[kept].sum()), int(kept.sum())
        bound = float(beta.ppf(1 - delta / CANDIDATES, errors + 1, total - errors)) if errors < total else 1.0
        candidates.append((float(threshold), bound))
    passing = [candidate for candidate in candidates if candidate[1] <= max_error]
    return min(passing) if passing else min(candidates, key=lambda candidate: candidate[1])
