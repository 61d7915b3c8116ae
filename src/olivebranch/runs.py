"""A training run from a recipe's name to a finished folder: fit, measure, write the card."""

import json
from collections.abc import Sequence
from pathlib import Path

from olivebranch.cards import write_card
from olivebranch.challenge import challenge, load_challenge
from olivebranch.errors import UsageError
from olivebranch.evaluation import evaluate
from olivebranch.finetuning import Progress
from olivebranch.recipe import load_recipe
from olivebranch.records import Statement
from olivebranch.statements import length_group, load_statements
from olivebranch.tagger import Tagger, model_folder
from olivebranch.training import load_data, train, with_seed

DEFAULT_RECIPE = "minilm"


def train_run(
    recipe_source: str | None = None,
    output: Path | None = None,
    data: Path | None = None,
    validation: Path | None = None,
    init: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    progress: Progress = lambda done, note: None,
) -> Path | None:
    """Fit a recipe and write the run folder with its scores and card; returns it, or None where another process writes.

    With `init` the recipe defaults to the one that the model was made by.

    Raises:
        UsageError, OlivebranchError: see `recipe.load_recipe`, `training.load_data` and `training.train`.
    """
    if validation and not data:
        raise UsageError("--validation needs --data; the project's own statements have their own validation split")
    recipe = with_seed(load_recipe(recipe_source or _recipe_of(init)), seed)
    folder = output or Path("runs") / f"{recipe.name}-seed{recipe.seed}"
    rows = load_data(recipe, data, validation)
    rules = [] if data else load_challenge()  # read now: a broken suite must not end a finished training
    if not train(recipe, rows, folder, init, resume, progress):
        return None
    tagger = Tagger.load(folder)
    scores = {"validation": evaluate(tagger, rows.validation)[0]}
    if data is None:
        test = load_statements("test")
        scores["test"] = evaluate(tagger, test, by=_groupings(test))[0]
        scores["challenge"] = challenge(tagger, rules)[0]
    (folder / "metrics.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    write_card(folder)
    return folder


def _recipe_of(init: str | None) -> str:
    return str(model_folder(init) / "recipe.yaml") if init else DEFAULT_RECIPE


def _groupings(rows: Sequence[Statement]) -> dict[str, list[str]]:
    trained = {row.conflict for row in load_statements("train")}
    return {
        "register": [row.register for row in rows],
        "length": [length_group(row.text) for row in rows],
        "conflict": ["also in training" if row.conflict in trained else "held out" for row in rows],
    }
