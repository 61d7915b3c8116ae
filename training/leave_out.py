"""How well a recipe reads conflicts that it was not trained on: leave the largest out, score on their statements.

python training/leave_out.py                          # the ten largest, each left out of a training of its own
python training/leave_out.py --together               # all ten left out of one training: harder, and a tenth of the time

The last row is what the last of these trainings scores on the conflicts of the test split that it did see. Runs that are
finished in --output are not run again, so that an interrupted call goes on where it stopped.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.finetuning import TrainingData
from olivebranch.recipe import Recipe, load_recipe
from olivebranch.records import Statement
from olivebranch.runs import measure_once
from olivebranch.statements import SPLITS, load_statements
from olivebranch.training import limited

Scores = dict[str, tuple[int, float]]
"""Conflict -> statements and macro-F1."""
SEEN = "in training"


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="minilm")
    parser.add_argument("--conflicts", type=int, default=10, help="leave out this many, the largest")
    parser.add_argument("--together", action="store_true", help="leave all of them out of one training")
    parser.add_argument("--output", type=Path, default=Path("runs/leave-out"))
    given = parser.parse_args()
    try:
        print(table(follow(load_recipe(given.recipe), given.conflicts, given.together, given.output)))
    except OlivebranchError as error:
        parser.error(str(error))


def follow(recipe: Recipe, conflicts: int, together: bool, output: Path) -> Scores:
    """Train without each conflict, or without all of them, and score what was left out."""
    rows = {split: load_statements(split) for split in SPLITS}
    largest = [name for name, _ in Counter(row.conflict for row in rows["train"]).most_common() if name != "off-topic"]
    if not 0 < conflicts < len(largest):
        raise UsageError(f"--conflicts {conflicts} is not allowed; the training split has {len(largest)}")
    chosen = largest[:conflicts]
    found: Scores = {}
    for left_out in [chosen] if together else [[name] for name in chosen]:
        name = f"without-{len(left_out)}" if together else f"without-{left_out[0]}"
        found |= run(recipe, rows, left_out, output / name)
        print(f"{name} is done", flush=True)
    return found


def run(recipe: Recipe, rows: dict[str, list[Statement]], left_out: Sequence[str], folder: Path) -> Scores:
    """Scores of a training without these conflicts."""
    kept = {split: [row for row in rows[split] if row.conflict not in left_out] for split in SPLITS}
    data = TrainingData(limited(kept["train"], recipe), kept["validation"])
    trained = {row.conflict for row in kept["train"]}
    texts = {name: [row for split in SPLITS for row in rows[split] if row.conflict == name] for name in left_out}
    texts[SEEN] = [row for row in kept["test"] if row.conflict in trained]
    return {name: (len(texts[name]), score) for name, score in measure_once(recipe, data, folder, texts).items()}


def table(scores: Scores) -> str:
    """A row for each conflict, their mean, and the conflicts in training, in Markdown."""
    apart = {name: row for name, row in scores.items() if name != SEEN}
    lines = ["| conflict | statements | macro-F1 |", "|---|---|---|"]
    lines += [f"| {name} | {size:,} | {score:.3f} |" for name, (size, score) in apart.items()]
    mean = sum(score for _, score in apart.values()) / len(apart)
    size, seen = scores[SEEN]
    lines.append(f"| mean of the {len(apart)} | {sum(size for size, _ in apart.values()):,} | {mean:.3f} |")
    lines.append(f"| {SEEN} (test split) | {size:,} | {seen:.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
