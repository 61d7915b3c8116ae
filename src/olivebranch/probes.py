"""Ask a dataset what it gives away: can the label be told without the text, and which labels does its text deny?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from olivebranch.errors import OlivebranchError
from olivebranch.labels import LABEL_TO_ID, LABELS
from olivebranch.records import Statement

FOLDS: Final = 5


def partial_input(rows: Sequence[Statement], seed: int = 0) -> dict[str, dict[str, float]]:
    """Accuracy out of fold of a logistic regression that does not see the text, beside always saying the commonest label.

    The probe of Gururangan et al. (2018, arXiv:1803.02324). Over all statements it sees conflict and register; over the
    stances the words of the holder too. (Over all statements a holder would tell: `none` has none by definition.)
    Folds are grouped by document.

    Raises:
        OlivebranchError: too few statements, documents or labels.
    """
    stances = [row for row in rows if row.label != "none"]
    return {
        "conflict + register, all statements": _probe(rows, False, seed),
        "conflict + register + holder, stances": _probe(stances, True, seed),
    }


@dataclass(frozen=True)
class Suspect:
    """A statement whose label other statements deny."""

    id: str
    text: str
    label: str
    suggested: str
    quality: float
    """Probability, out of fold, of the label that it bears."""


def suspects(rows: Sequence[Statement], probs: NDArray[np.floating] | None = None, seed: int = 0) -> list[Suspect]:
    """Likely label errors by confident learning (Northcutt et al. 2021, arXiv:1911.00068), the worst first.

    Args:
        rows: the statements.
        probs: (statements, labels) probabilities out of fold; by default those of tf-idf and logistic regression,
            folds grouped by document.

    Raises:
        OlivebranchError: cleanlab is not installed; or too few statements, documents or labels.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise OlivebranchError("label errors need cleanlab; run pip install 'olivebranch[review]'") from None
    labels = np.array([LABEL_TO_ID[row.label] for row in rows])
    _check_size(rows)
    if probs is None:
        probs = _text_probabilities(rows, labels, seed)
    order = find_label_issues(labels, probs, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [
        Suspect(rows[at].id, rows[at].text, rows[at].label, LABELS[int(probs[at].argmax())], float(probs[at, labels[at]]))
        for at in order
    ]


def _probe(rows: Sequence[Statement], with_holder: bool, seed: int) -> dict[str, float]:
    _check_size(rows)
    labels = np.array([LABEL_TO_ID[row.label] for row in rows])
    features = [OneHotEncoder().fit_transform([[row.conflict, row.register] for row in rows])]
    if with_holder:
        features.append(TfidfVectorizer(analyzer=str.split).fit_transform([row.holder or "nobody" for row in rows]))
    guesses = _out_of_fold(LogisticRegression(max_iter=1000), hstack(features).tocsr(), labels, rows, seed, "predict")
    return {
        "statements": len(rows),
        "accuracy": float((guesses == labels).mean()),
        "majority": Counter(labels.tolist()).most_common(1)[0][1] / len(rows),
    }


def _text_probabilities(rows: Sequence[Statement], labels: NDArray[Any], seed: int) -> NDArray[np.floating]:
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True), LogisticRegression(C=10, max_iter=1000)
    )
    found = _out_of_fold(model, [row.text for row in rows], labels, rows, seed, "predict_proba")
    probs = np.zeros((len(rows), len(LABELS)))
    probs[:, np.unique(labels)] = found  # a label that the file lacks has no column
    return probs


def _check_size(rows: Sequence[Statement]) -> None:
    documents, labels = len({row.document for row in rows}), len({row.label for row in rows})
    if documents < FOLDS or labels < 2:
        raise OlivebranchError(
            f"{documents} documents with {labels} labels are too few; name a file with {FOLDS} documents and 2 labels or more"
        )


def _out_of_fold(
    model: Any, features: Any, labels: NDArray[Any], rows: Sequence[Statement], seed: int, method: str
) -> NDArray[Any]:
    documents = [row.document for row in rows]
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    try:
        return np.asarray(cross_val_predict(model, features, labels, groups=documents, cv=folds, method=method))
    except ValueError as error:
        raise OlivebranchError(f"these statements are too few: {str(error).splitlines()[0]}; name a larger file") from None
