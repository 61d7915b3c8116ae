from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olivebranch.calibration import (
    abstention_threshold,
    brier_score,
    class_calibration,
    expected_calibration_error,
    fit_temperature,
    probabilities,
    reliability,
    risk_bounds,
)


def drawn(temperature: float, size: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax at a known temperature."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, size=(size, 5))
    probs = probabilities(logits, temperature)
    return logits, np.array([random.choice(5, p=row) for row in probs])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_fitted_temperature_is_the_true_one(temperature: float) -> None:
    logits, labels = drawn(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.1)


def test_scaling_lowers_the_calibration_error_of_an_overconfident_model() -> None:
    logits, labels = drawn(3.0)
    scaled = probabilities(logits, fit_temperature(logits, labels))
    assert expected_calibration_error(scaled, labels) < 0.03 < expected_calibration_error(probabilities(logits), labels)


def test_certain_and_right_has_no_error() -> None:
    probs, labels = np.eye(5), np.arange(5)
    assert expected_calibration_error(probs, labels) == 0
    assert brier_score(probs, labels) == 0
    assert brier_score(np.roll(probs, 1, axis=1), labels) == 2


@given(st.integers(0, 1000))
def test_reliability_rows_share_all_sentences(seed: int) -> None:
    logits, labels = drawn(1.0, 50, seed)
    assert sum(row["share"] for row in reliability(probabilities(logits), labels)) == pytest.approx(1)


@pytest.mark.parametrize("max_error", [0.05, 0.1, 0.2])
def test_the_abstention_threshold_keeps_its_promise_on_new_data(max_error: float) -> None:
    broken = 0
    for seed in range(40):
        logits, labels = drawn(1.0, 600, seed)
        threshold = abstention_threshold(risk_bounds(probabilities(logits), labels), max_error)
        if threshold is None:
            continue
        fresh_logits, fresh = drawn(1.0, 4000, seed + 1000)
        probs = probabilities(fresh_logits)
        kept = probs.max(axis=1) >= threshold
        broken += bool(kept.any() and (probs.argmax(axis=1) != fresh)[kept].mean() > max_error)
    assert broken <= 4


def test_a_laxer_promise_keeps_more_sentences() -> None:
    logits, labels = drawn(1.0)
    bounds = risk_bounds(probabilities(logits), labels)
    thresholds = [abstention_threshold(bounds, max_error) for max_error in (0.05, 0.1, 0.2, 1.0)]
    assert all(first > second for first, second in pairwise(thresholds))  # type: ignore[operator]  # each is found here
    assert thresholds[-1] == pytest.approx(probabilities(logits).max(axis=1).min(), abs=1e-4)


def test_where_nothing_can_be_promised_there_is_no_threshold() -> None:
    labels = np.random.default_rng(0).integers(0, 5, 300)
    bounds = risk_bounds(np.full((300, 5), 0.2), labels)
    assert [confidence for confidence, _ in bounds] == [0.2]
    assert abstention_threshold(bounds, 0.1) is None


def test_the_calibration_of_a_class_is_that_of_its_own_probability() -> None:
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.5, 0.5], [0.5, 0.5]])
    first, second = class_calibration(probs, np.array([0, 1, 0, 0]))
    assert first["ece"] == pytest.approx((abs(0.9 - 0.5) + abs(0.5 - 1.0)) / 2)
    assert first["brier"] == pytest.approx((0.1**2 + 0.9**2 + 2 * 0.5**2) / 4)
    assert second == pytest.approx(first)
