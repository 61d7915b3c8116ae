"""Score a model on labelled sentences: one function, one set of numbers, for every model and every file."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from nervaluate.evaluator import Evaluator
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from olivebranch.calibration import (
    brier_score,
    class_calibration,
    expected_calibration_error,
    probabilities,
    reliability,
)
from olivebranch.engines.linear import LinearEngine
from olivebranch.errors import OlivebranchError, reason_of
from olivebranch.floors import fit_linear
from olivebranch.holder import HolderSpan, find_words
from olivebranch.labels import LABEL_TO_ID, LABELS
from olivebranch.recipe import load_recipe
from olivebranch.records import LabelledText
from olivebranch.statements import fingerprint, load_statements
from olivebranch.tagger import Tagger

RESAMPLES: Final = 2000
CHANCE: Final = (0.025, 0.975)
HOLDER: Final = "holder"

Ints = NDArray[np.integer]
Metrics = dict[str, Any]
Span = tuple[int, int]


def evaluate(
    tagger: Tagger,
    rows: Sequence[LabelledText],
    seed: int = 0,
    floors: bool = True,
    by: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Metrics, list[Metrics]]:
    """Measure a tagger; returns the metrics and the misread sentences, the most confident mistake first.

    Args:
        floors: score the majority and tf-idf on the rows too.
        by: for each grouping that is to be scored apart, the group of every row.

    Intervals are 95 % percentile bootstrap over sentences (2,000 resamples). macro-F1 is over the five labels;
    a label that is neither true nor predicted counts as 0.
    """
    gold = np.array([LABEL_TO_ID[row.label] for row in rows])
    reading = tagger.read([row.text for row in rows])
    probs, predicted, abstained = tagger.score(reading)
    counts = confusion_matrix(gold, predicted, labels=range(len(LABELS)))
    metrics: Metrics = {
        "model": tagger.version,
        "sentences": len(rows),
        "data_sha256": fingerprint(rows),
        "macro_f1": _with_interval(macro_f1, counts, seed),
        "accuracy": _with_interval(accuracy, counts, seed),
        "per_class": _per_class(counts, probs, gold, seed),
        "confusion": {"labels": list(LABELS), "rows_true_columns_predicted": counts.tolist()},
        "calibration": {
            "temperature": tagger.manifest.temperature,
            "before": _calibration(probabilities(reading.logits), gold),
            "after": _calibration(probs, gold),
            "reliability": reliability(probs, gold),
        },
        "abstention": _abstention(tagger.abstain_below, abstained, predicted, gold),
        "risk_coverage": risk_coverage(probs, gold),
        "holder": _holder_scores(rows, reading.holders, predicted),
    }
    if floors:
        metrics["floors"] = {name: _with_interval(macro_f1, matrix, seed) for name, matrix in _floors(rows, gold).items()}
    if by:
        metrics["by"] = {name: _by_group(gold, predicted, groups, seed) for name, groups in by.items()}
    return metrics, _misread(rows, probs, predicted, gold)


def macro_f1(counts: Ints) -> float:
    """Macro-F1 from a confusion matrix (true, predicted)."""
    return float(f1_scores(counts).mean())


def f1_scores(counts: Ints) -> NDArray[np.floating]:
    """(labels,) F1 from a confusion matrix; 0 where a label is neither true nor predicted."""
    hits = np.diag(counts)
    total = counts.sum(axis=0) + counts.sum(axis=1)
    return np.asarray(2 * hits / np.maximum(total, 1))


def accuracy(counts: Ints) -> float:
    """Share of sentences on the diagonal."""
    return float(np.diag(counts).sum() / counts.sum())


def risk_coverage(probs: NDArray[np.floating], gold: Ints) -> list[dict[str, float]]:
    """Error rate and macro-F1 of the most confident share of the sentences, in steps of a tenth."""
    order = np.argsort(-probs.max(axis=1), kind="stable")
    predicted = probs.argmax(axis=1)
    rows = []
    for coverage in np.linspace(0.1, 1, 10):
        kept = order[: max(1, round(coverage * len(order)))]
        counts = confusion_matrix(gold[kept], predicted[kept], labels=range(len(LABELS)))
        rows.append({"coverage": round(float(coverage), 1), "error": 1 - accuracy(counts), "macro_f1": macro_f1(counts)})
    return rows


def write_misread(path: Path, misread: Sequence[Metrics]) -> None:
    """Write misread sentences as JSON lines.

    Raises:
        OlivebranchError: the file cannot be written.
    """
    try:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in misread), encoding="utf-8")
    except OSError as error:
        raise OlivebranchError(f"cannot write '{path}': {reason_of(error)}; choose another file") from None


def _with_interval(score: Callable[[Ints], float], counts: Ints, seed: int) -> dict[str, float]:
    low, high = np.quantile([score(sample) for sample in _resamples(counts, seed)], CHANCE)
    return {"value": score(counts), "low": float(low), "high": float(high)}


def _resamples(counts: Ints, seed: int) -> NDArray[np.integer]:
    """Bootstrap over sentences; their cells in the confusion matrix are multinomial."""
    total = int(counts.sum())
    draws = np.random.default_rng(seed).multinomial(total, counts.ravel() / total, size=RESAMPLES)
    return draws.reshape(RESAMPLES, *counts.shape)


def _per_class(counts: Ints, probs: NDArray[np.floating], gold: Ints, seed: int) -> dict[str, Metrics]:
    samples = np.array([f1_scores(sample) for sample in _resamples(counts, seed)])
    low, high = np.quantile(samples, CHANCE, axis=0)
    calibration = class_calibration(probs, gold)
    hits, true, found = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return {
        label: {
            "precision": float(hits[index] / max(found[index], 1)),
            "recall": float(hits[index] / max(true[index], 1)),
            "f1": {"value": float(f1_scores(counts)[index]), "low": float(low[index]), "high": float(high[index])},
            "support": int(true[index]),
            **calibration[index],
        }
        for index, label in enumerate(LABELS)
    }


def _by_group(gold: Ints, predicted: Ints, groups: Sequence[str], seed: int) -> dict[str, Metrics]:
    """Each group, the largest first; macro-F1 over the labels that its sentences truly have, for many lack some."""
    found = {}
    for name, size in Counter(groups).most_common():
        inside = np.array([group == name for group in groups])
        counts = confusion_matrix(gold[inside], predicted[inside], labels=range(len(LABELS)))
        present = np.unique(gold[inside])
        score = _with_interval(partial(_f1_of, labels=present), counts, seed)
        found[name] = {"sentences": size, "labels": len(present), "error": 1 - accuracy(counts), "macro_f1": score}
    return found


def _f1_of(counts: Ints, labels: Ints) -> float:
    return float(f1_scores(counts)[labels].mean())


def _calibration(probs: NDArray[np.floating], gold: Ints) -> dict[str, float]:
    return {"ece": expected_calibration_error(probs, gold), "brier": brier_score(probs, gold)}


def _abstention(threshold: float, abstained: NDArray[np.bool_], predicted: Ints, gold: Ints) -> dict[str, float | None]:
    kept = ~abstained
    error = float((predicted[kept] != gold[kept]).mean()) if kept.any() else None
    return {"threshold": threshold, "abstained": float(abstained.mean()), "error_of_the_rest": error}


def _holder_scores(rows: Sequence[LabelledText], spans: Sequence[HolderSpan | None], predicted: Ints) -> Metrics:
    """On the sentences whose true label is a stance; a sentence that is taken for `none` names nobody.

    `exact_match` counts "nobody named" as a right answer; the others are precision, recall and F1 of the spans as in
    SemEval 2013 task 9 (nervaluate), where in `partial` any overlap is worth a half.
    """
    stances = [index for index, row in enumerate(rows) if row.label != "none"]
    found = [(span.start, span.end) if (span := spans[index]) and predicted[index] else None for index in stances]
    true = [_true_span(rows[index], span) for index, span in zip(stances, found, strict=True)]
    right = sum(one == other for one, other in zip(true, found, strict=True))
    named = sum(span is not None for span in true)
    scores = Evaluator(_entities(true), _entities(found), [HOLDER], loader="dict").evaluate()["overall"]
    return {
        "exact_match": right / max(1, len(stances)),
        "sentences": len(stances),
        "with_holder": named,
        **{
            name: {"precision": scores[name].precision, "recall": scores[name].recall, "f1": scores[name].f1}
            for name in ("exact", "partial")
            if stances
        },
    }


def _true_span(row: LabelledText, found: Span | None) -> Span | None:
    """Where the holder stands; of several places, the one that was found."""
    if row.holder is None:
        return None
    if found and row.text[found[0] : found[1]] == row.holder:
        return found
    start = find_words(row.text, row.holder)
    return start, start + len(row.holder)


def _entities(spans: Sequence[Span | None]) -> list[list[dict[str, Any]]]:
    """What nervaluate takes: the entities of each sentence, the last character included."""
    return [[{"label": HOLDER, "start": span[0], "end": span[1] - 1}] if span else [] for span in spans]


def _floors(rows: Sequence[LabelledText], gold: Ints) -> dict[str, Ints]:
    """Confusion matrices of always saying `none`, and of tf-idf trained on the project's statements."""
    guesses = _tfidf_floor().read([row.text for row in rows]).logits.argmax(axis=1)
    labels = range(len(LABELS))
    return {
        "majority (always none)": confusion_matrix(gold, np.zeros_like(gold), labels=labels),
        "tf-idf + logistic regression": confusion_matrix(gold, guesses, labels=labels),
    }


@cache
def _tfidf_floor() -> LinearEngine:
    with TemporaryDirectory() as name:
        manifest = fit_linear(load_recipe("tfidf"), load_statements("train"), Path(name))
        return LinearEngine(Path(name), manifest)


def _misread(rows: Sequence[LabelledText], probs: NDArray[np.floating], predicted: Ints, gold: Ints) -> list[Metrics]:
    wrong = np.flatnonzero(predicted != gold)
    order = wrong[np.argsort(-probs[wrong].max(axis=1), kind="stable")]
    return [
        {
            "text": rows[index].text,
            "label": rows[index].label,
            "predicted": LABELS[predicted[index]],
            "confidence": round(float(probs[index].max()), 4),
        }
        for index in order
    ]
