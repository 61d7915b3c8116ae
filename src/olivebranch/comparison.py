"""Is one recipe better than another: paired tests of runs that read the same sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from olivebranch.evaluation import CHANCE, RESAMPLES, macro_f1
from olivebranch.labels import LABELS

Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Comparison:
    """How far the runs of one recipe lie above those of another on the same sentences."""

    difference: float
    """Mean macro-F1 over the seeds of the one, less that of the other."""
    low: float
    high: float
    """95 % interval of the difference: percentile bootstrap over sentences, the same resamples for both."""
    mcnemar: float
    """Exact p of McNemar's test (1947) on which sentences the run of median score of each gets right."""


def compare(gold: Ints, one: Sequence[Ints], other: Sequence[Ints], seed: int = 0) -> Comparison:
    """Compare the predictions of two recipes, one array (n,) of class indices for each seed's run.

    The interval tells what other sentences would change, not what other seeds would: run at least three.
    """
    draws = np.random.default_rng(seed).multinomial(len(gold), np.full(len(gold), 1 / len(gold)), size=RESAMPLES)
    samples = _mean_scores(gold, one, draws) - _mean_scores(gold, other, draws)
    low, high = np.quantile(samples, CHANCE)
    difference = np.mean([score(gold, run) for run in one]) - np.mean([score(gold, run) for run in other])
    return Comparison(float(difference), float(low), float(high), mcnemar(gold, _median(gold, one), _median(gold, other)))


def score(gold: Ints, run: Ints) -> float:
    """macro-F1 of one run."""
    return macro_f1(confusion_matrix(gold, run, labels=range(len(LABELS))))


def mcnemar(gold: Ints, one: Ints, other: Ints) -> float:
    """Two-sided exact p that two runs err equally often; 1 where they are right on the same sentences."""
    right, wrong = (one == gold) & (other != gold), (one != gold) & (other == gold)
    differ = int(right.sum() + wrong.sum())
    return float(binomtest(int(right.sum()), differ).pvalue) if differ else 1.0


def _mean_scores(gold: Ints, runs: Sequence[Ints], weights: NDArray[np.integer]) -> NDArray[np.floating]:
    """(resamples,) macro-F1, mean over the runs; `weights` (resamples, n) says how often each sentence is drawn."""
    size = len(LABELS)
    scores = np.zeros(len(weights))
    for run in runs:
        cells = np.eye(size * size, dtype=int)[gold * size + run]
        scores += [macro_f1(counts.reshape(size, size)) for counts in weights @ cells]
    return scores / len(runs)


def _median(gold: Ints, runs: Sequence[Ints]) -> Ints:
    """The run of median macro-F1, the lower of two."""
    order = sorted(runs, key=lambda run: score(gold, run))
    return order[(len(order) - 1) // 2]
