"""Compare runs with the released model on labelled sentences, and keep the leaderboard of experiments.

python training/compare.py runs/minilm-seed* runs/rdrop-seed* --data ../shared/real/dev.jsonl
python training/compare.py runs/rdrop-seed* --data ../shared/real/dev.jsonl --board training/LEADERBOARD.md

Runs of one recipe (the name in their `recipe.yaml`) are one row: seeds, mean macro-F1 with the least and the most, the
difference to --against with its 95 % interval (paired bootstrap), McNemar's p. With --board the rows are added to that page,
or replace those of the same recipe and training data; the validation column is what a recipe is chosen by.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olivebranch.cards import read_json
from olivebranch.checkpoints import read_manifest
from olivebranch.comparison import compare, score
from olivebranch.errors import OlivebranchError
from olivebranch.labels import LABEL_TO_ID
from olivebranch.recipe import load_recipe
from olivebranch.statements import read_labelled
from olivebranch.tagger import Tagger, model_folder

Row = tuple[str, ...]
TITLE = """# Leaderboard of experiments

Written by `training/compare.py`; macro-F1, mean over the seeds (least to most). Recipes are chosen by the validation column;
`LOG.md` has the story of each.

"""


def main() -> None:
    """Read the sentences with every run, then print the rows, and put them on the board."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument("--data", type=Path, required=True, help="labelled sentences")
    parser.add_argument("--against", help="model to compare with (default: the release)")
    parser.add_argument("--board", type=Path, help="Markdown page that keeps the rows")
    given = parser.parse_args()
    try:
        rows = measure(given.runs, given.data, given.against)
    except OlivebranchError as error:
        parser.error(str(error))
    head = (*("recipe", "training data", "seeds", "validation"), given.data.stem, "difference", "McNemar p")
    print(table(head, rows))
    if given.board:
        kept = {row[:2]: row for row in [*read_rows(given.board), *rows]}
        ordered = sorted(kept.values(), key=lambda row: row[3], reverse=True)
        given.board.write_text(TITLE + table(head, ordered) + "\n", encoding="utf-8")


def measure(runs: Sequence[Path], data: Path, against: str | None) -> list[Row]:
    """One row for each recipe and training data among the runs."""
    rows = read_labelled(data)
    texts, gold = [row.text for row in rows], np.array([LABEL_TO_ID[row.label] for row in rows])

    def read(model: Path) -> NDArray[np.integer]:
        return Tagger.load(model).read(texts).logits.argmax(axis=1)

    groups: dict[tuple[str, str], list[tuple[int, Path]]] = defaultdict(list)
    for run in runs:
        fingerprint = (read_manifest(run).data_sha256 or "")[:8]
        recipe = load_recipe(str(run / "recipe.yaml"))
        groups[recipe.name, fingerprint].append((recipe.seed, run))
    baseline = [read(model_folder(against))]
    found = []
    for key, members in groups.items():
        predicted = [read(run) for _, run in members]
        result = compare(gold, predicted, baseline)
        difference = f"{result.difference:+.3f} [{result.low:+.3f}, {result.high:+.3f}]"
        seeds = " ".join(sorted(str(seed) for seed, _ in members))
        scores = (_spread([validation(run) for _, run in members]), _spread([score(gold, run) for run in predicted]))
        found.append((*key, seeds, *scores, difference, f"{result.mcnemar:.3f}" if result.mcnemar >= 0.001 else "<0.001"))
    return found


def validation(run: Path) -> float:
    """The macro-F1 on validation that stands in the run's metrics."""
    return float(read_json(run / "metrics.json")["validation"]["macro_f1"]["value"])


def table(head: Row, rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def read_rows(board: Path) -> list[Row]:
    """The rows that a board holds; none where there is no board yet."""
    lines = board.read_text(encoding="utf-8").splitlines() if board.exists() else []
    rows = [tuple(line.strip("| ").split(" | ")) for line in lines if line.startswith("| ")]
    return rows[2:]


def _spread(scores: Sequence[float]) -> str:
    spread = f" ({min(scores):.3f}–{max(scores):.3f})" if len(scores) > 1 else ""
    return f"{np.mean(scores):.3f}{spread}"


if __name__ == "__main__":
    main()
