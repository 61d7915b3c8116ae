"""Look at labelled data: check it, count it, and measure how well its readers agree."""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from olivebranch.errors import OlivebranchError
from olivebranch.labels import LABEL_TO_ID, LABELS
from olivebranch.records import Statement
from olivebranch.splits import near_duplicates
from olivebranch.statements import SPLITS, read_statements

RESAMPLES: Final = 2000

Counts = NDArray[Any]
Floats = NDArray[np.floating]


def check(path: Path) -> str:
    """Validate statements, and for a folder of splits that nothing leaks between them.

    Raises:
        OlivebranchError: the first thing that is wrong.
    """
    splits = _read(path)
    where = {row.id: name for name, rows in splits.items() for row in rows}
    if len(where) < sum(map(len, splits.values())):
        counts = Counter(row.id for rows in splits.values() for row in rows)
        raise OlivebranchError(f"{path}: id '{counts.most_common(1)[0][0]}' stands twice; give each statement its own")
    _check_documents(path, splits)
    rows = [row for part in splits.values() for row in part]
    pairs = near_duplicates([row.text for row in rows])
    for left, right, closeness in pairs:
        if where[rows[left].id] != where[rows[right].id]:
            raise OlivebranchError(
                f"{path}: {rows[left].id} and {rows[right].id} are near-duplicates ({closeness:.2f}) in two splits"
            )
    return f"{len(rows)} statements in {len(splits)} files are valid; {len(pairs)} near-duplicate pairs, none between splits"


def stats(path: Path) -> dict[str, Any]:
    """Counts by split, label, register and stream; conflicts and words."""
    splits = _read(path)
    rows = [row for part in splits.values() for row in part]
    words = [len(row.text.split()) for row in rows]
    conflicts = Counter(row.conflict for row in rows)
    stances = [row for row in rows if row.label != "none"]
    return {
        "statements": len(rows),
        "labels": {name: {label: sum(row.label == label for row in part) for label in LABELS} for name, part in splits.items()},
        "registers": dict(Counter(row.register for row in rows).most_common()),
        "streams": dict(Counter(row.stream for row in rows).most_common()),
        "conflicts": len(conflicts),
        "largest_conflicts": dict(conflicts.most_common(10)),
        "words": {"shortest": min(words), "median": float(np.median(words)), "longest": max(words)},
        "stances_without_holder": sum(row.holder is None for row in stances) / max(1, len(stances)),
        "unseen_conflicts": _unseen(splits),
    }


def agreement(path: Path, seed: int = 0) -> dict[str, Any]:
    """Agreement of the first two, independent, votes on each statement, with 95 % bootstrap intervals.

    Raw agreement, Cohen's kappa (1960) and Krippendorff's alpha for nominal data (2004); in all, and for each label
    (that label against the rest), register and stream. `holder` is the share of equal holders where both see a stance.
    """
    rows = [row for row in read_all(path) if len(row.annotations) > 1]
    if not rows:
        raise OlivebranchError(f"{path}: no statement has two votes, so there is nothing to compare")
    votes = np.array([[LABEL_TO_ID[vote.label] for vote in row.annotations[:2]] for row in rows])
    groups = {"all": _scores(votes, seed)}
    groups |= {f"label {label}": _scores((votes == index).astype(int), seed) for index, label in enumerate(LABELS)}
    for field in ("register", "stream"):
        for value in dict.fromkeys(getattr(row, field) for row in rows):
            groups[f"{field} {value}"] = _scores(votes[[getattr(row, field) == value for row in rows]], seed)
    both = [row.annotations[:2] for row in rows if all(vote.label != "none" for vote in row.annotations[:2])]
    same = sum(first.holder == second.holder for first, second in both)
    return {"statements": len(rows), "groups": groups, "holder": {"statements": len(both), "equal": same / max(1, len(both))}}


def read_all(path: Path) -> list[Statement]:
    """The statements of a file, or of all splits of a folder."""
    return [row for part in _read(path).values() for row in part]


def krippendorff_alpha(counts: Counts) -> Floats:
    """Nominal alpha of two readers without gaps: 1 - observed / expected disagreement.

    Args:
        counts: (..., categories, categories), how often the first reader said one thing and the second another.
    """
    total = counts.sum((-2, -1))
    values = counts.sum(-2) + counts.sum(-1)
    expected = 1 - (values * (values - 1)).sum(-1) / (2 * total * (2 * total - 1))
    return _corrected(_raw(counts), expected)


def cohen_kappa(counts: Counts) -> Floats:
    """Cohen's kappa (1960) of the same counts."""
    total = counts.sum((-2, -1))
    expected = 1 - (counts.sum(-2) * counts.sum(-1)).sum(-1) / total**2
    return _corrected(_raw(counts), expected)


def _raw(counts: Counts) -> Floats:
    return np.asarray(np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1)))


def _corrected(raw: Floats, expected_disagreement: Floats) -> Floats:
    """Agreement beyond chance; 1 where chance leaves nothing to disagree on."""
    certain = expected_disagreement == 0
    return np.where(certain, 1.0, 1 - (1 - raw) / np.where(certain, 1.0, expected_disagreement))


def _scores(votes: NDArray[np.integer], seed: int) -> dict[str, Any]:
    """Each measure with its bootstrap interval; statements are resampled as cells of the table of votes."""
    size = int(votes.max()) + 1
    counts = np.zeros((size, size))
    np.add.at(counts, (votes[:, 0], votes[:, 1]), 1)
    draws = np.random.default_rng(seed).multinomial(len(votes), counts.ravel() / len(votes), size=RESAMPLES)
    samples = draws.reshape(RESAMPLES, size, size)
    result: dict[str, Any] = {"statements": len(votes)}
    for name, measure in {"raw": _raw, "kappa": cohen_kappa, "alpha": krippendorff_alpha}.items():
        low, high = np.quantile(measure(samples), (0.025, 0.975))
        result[name] = {"value": float(measure(counts)), "low": float(low), "high": float(high)}
    return result


def _read(path: Path) -> dict[str, list[Statement]]:
    if not path.is_dir():
        return {path.stem: read_statements(path)}
    files = {name: path / f"{name}.jsonl" for name in SPLITS if (path / f"{name}.jsonl").is_file()}
    if not files:
        raise OlivebranchError(f"'{path}' holds none of {', '.join(f'{name}.jsonl' for name in SPLITS)}; name a file")
    return {name: read_statements(file) for name, file in files.items()}


def _check_documents(path: Path, splits: dict[str, list[Statement]]) -> None:
    home: dict[str, str] = {}
    for name, rows in splits.items():
        for row in rows:
            if home.setdefault(row.document, name) != name:
                raise OlivebranchError(
                    f"{path}: document '{row.document}' stands in {home[row.document]} and {name}; keep it in one split"
                )


def _unseen(splits: dict[str, list[Statement]]) -> list[str]:
    """Conflicts of the test split that are in no other."""
    if "test" not in splits:
        return []
    seen = {row.conflict for name, rows in splits.items() if name != "test" for row in rows}
    return sorted({row.conflict for row in splits["test"]} - seen)
