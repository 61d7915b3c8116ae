import numpy as np
import pytest
from scipy.stats import binomtest

from olivebranch.comparison import compare, mcnemar, score

RANDOM = np.random.default_rng(0)
GOLD = RANDOM.integers(0, 5, 600)


def run(accuracy: float, seed: int = 0) -> np.ndarray:
    """Predictions that are right on about this share of the sentences."""
    random = np.random.default_rng(seed)
    return np.where(random.random(len(GOLD)) < accuracy, GOLD, random.integers(0, 5, len(GOLD)))


def test_a_better_recipe_is_told_from_a_worse_one() -> None:
    result = compare(GOLD, [run(0.9, seed) for seed in range(3)], [run(0.6, 9)])
    assert result.low <= result.difference <= result.high
    assert result.low > 0
    assert result.mcnemar < 0.001


def test_the_difference_is_that_of_the_mean_scores() -> None:
    ones, others = [run(0.8, 1), run(0.7, 2)], [run(0.75, 3)]
    expected = np.mean([score(GOLD, one) for one in ones]) - score(GOLD, others[0])
    assert compare(GOLD, ones, others).difference == pytest.approx(expected)


def test_runs_that_say_the_same_do_not_differ() -> None:
    same = run(0.8)
    result = compare(GOLD, [same], [same])
    assert (result.difference, result.low, result.high, result.mcnemar) == (0, 0, 0, 1)


def test_mcnemar_counts_only_sentences_on_which_one_run_is_right() -> None:
    gold = np.zeros(40, dtype=int)
    one, other = np.zeros(40, dtype=int), np.zeros(40, dtype=int)
    one[:3], other[3:15] = 1, 1
    assert mcnemar(gold, one, other) == pytest.approx(binomtest(12, 15).pvalue)
    assert mcnemar(gold, one, other) == pytest.approx(mcnemar(gold, other, one))


def test_runs_that_are_as_good_are_not_told_apart() -> None:
    told = sum(
        not (result.low <= 0 <= result.high) for result in (compare(GOLD, [run(0.8, s)], [run(0.8, s + 50)]) for s in range(20))
    )
    assert told <= 4
