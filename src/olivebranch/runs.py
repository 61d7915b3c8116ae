"""A training run from a recipe's name to a finished folder: fit, measure, write the card."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from olivebranch.cards import read_json, write_card
from olivebranch.challenge import challenge, load_challenge
from olivebranch.checkpoints import MANIFEST, read_manifest
from olivebranch.errors import UsageError
from olivebranch.evaluation import evaluate
from olivebranch.finetuning import Progress, TrainingData
from olivebranch.recipe import Recipe, dump_recipe, load_recipe
from olivebranch.records import LabelledText, Statement
from olivebranch.statements import fingerprint, length_group, load_statements
from olivebranch.tagger import Tagger, model_folder
from olivebranch.training import RUN, load_data, train, with_seed

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

    With `init` the recipe defaults to the one that the model was made by, in one training.

    Raises:
        UsageError, OlivebranchError: see `recipe.load_recipe`, `training.load_data` and `training.train`.
    """
    if validation and not data:
        raise UsageError("--validation needs --data; the project's own statements have their own validation split")
    if init and not recipe_source:
        recipe = replace(load_recipe(str(model_folder(init) / "recipe.yaml")), soup=1)
    else:
        recipe = load_recipe(recipe_source or DEFAULT_RECIPE)
    recipe = with_seed(recipe, seed)
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


def measure_once(
    recipe: Recipe, data: TrainingData, folder: Path, texts: Mapping[str, Sequence[LabelledText]]
) -> dict[str, float]:
    """Macro-F1 of a recipe on each text, kept beside `folder` as JSON and not measured again; the weights are not kept.

    Raises:
        UsageError: what is kept, or lies in `folder`, is of another recipe or other data.
    """
    parts = {"train": data.train, "validation": data.validation, **texts}
    plan: dict[str, Any] = {"recipe": dump_recipe(recipe), "data": {name: fingerprint(rows) for name, rows in parts.items()}}
    done = folder.with_name(f"{folder.name}.json")
    if done.exists():
        kept = read_json(done)
        if kept["plan"] != plan:
            raise UsageError(f"{done} is of another recipe or other data; choose another --output")
        return {str(name): float(score) for name, score in kept["scores"].items()}
    if not (folder / MANIFEST).exists():
        train(recipe, data, folder, resume=(folder / RUN).exists())
    elif _made_by(folder) != (plan["recipe"], plan["data"]["train"]):
        raise UsageError(f"{folder} is of another recipe or other data; choose another --output")
    tagger = Tagger.load(folder)
    scores = {name: evaluate(tagger, rows, floors=False)[0]["macro_f1"]["value"] for name, rows in texts.items()}
    done.write_text(json.dumps({"plan": plan, "scores": scores}) + "\n", encoding="utf-8")
    shutil.rmtree(folder)
    return scores


def _made_by(folder: Path) -> tuple[str, str | None]:
    return (folder / "recipe.yaml").read_text(encoding="utf-8"), read_manifest(folder).data_sha256


def _groupings(rows: Sequence[Statement]) -> dict[str, list[str]]:
    trained = {row.conflict for row in load_statements("train")}
    return {
        "register": [row.register for row in rows],
        "length": [length_group(row.text) for row in rows],
        "conflict": ["also in training" if row.conflict in trained else "held out" for row in rows],
    }
