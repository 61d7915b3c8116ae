"""Fit a recipe: statements in, a run folder out."""

import json
import math
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any, Final

import torch
from transformers import TrainerCallback

from olivebranch.checkpoints import MANIFEST, Manifest, base_hash, is_taken, save_network, write_manifest
from olivebranch.errors import OlivebranchError, UsageError, reason_of
from olivebranch.finetuning import HISTORY, Finetuned, Progress, TrainingData, finetune
from olivebranch.floors import fit_linear
from olivebranch.labels import LABELS
from olivebranch.recalibration import calibrated
from olivebranch.recipe import Recipe, dump_recipe
from olivebranch.records import LabelledText
from olivebranch.statements import fingerprint, load_statements, read_labelled

VALIDATION_SHARE: Final = 0.2
CHECKPOINTS: Final = "checkpoints"
RUN: Final = "run.json"
"""What a run that is not finished was started with."""


def load_data(recipe: Recipe, data: Path | None = None, validation: Path | None = None) -> TrainingData:
    """The project's splits; or a user's file, of which a fifth is set aside where no validation file is named."""
    if data is None:
        train: Sequence[LabelledText] = load_statements("train")
        chosen: Sequence[LabelledText] = read_labelled(validation) if validation else load_statements("validation")
    else:
        train = read_labelled(data)
        train, chosen = (train, read_labelled(validation)) if validation else _set_aside(train, recipe.seed, data)
    return TrainingData(limited(train, recipe), chosen)


def limited(rows: Sequence[LabelledText], recipe: Recipe) -> Sequence[LabelledText]:
    """The recipe's sample of the rows; smaller samples are part of larger ones."""
    if recipe.limit is None or recipe.limit >= len(rows):
        return rows
    return Random(recipe.seed).sample(list(rows), len(rows))[: recipe.limit]


def train(
    recipe: Recipe,
    data: TrainingData,
    folder: Path,
    init: str | None = None,
    resume: bool = False,
    progress: Progress = lambda done, note: None,
    callbacks: Sequence[TrainerCallback] = (),
) -> bool:
    """Fit a recipe and write the run folder: model, calibration, resolved recipe, environment, data hash.

    Under `torchrun` every process fits and the first one writes; returns whether this is the one.

    Args:
        init: go on from this model folder, or released model by name, instead of from the base.
        resume: go on from the last checkpoint in `folder`.
        callbacks: what else transformers' Trainer shall call.

    Raises:
        UsageError: the folder is taken, there is nothing to resume, or the recipe does not fit `init`.
        OlivebranchError: weights or packages are missing.
    """
    if recipe.method != "finetune" and (init or resume):
        raise UsageError(f"recipe '{recipe.name}' fits in one step; leave --init and --resume out")
    if init and recipe.soup > 1:
        raise UsageError(f"soup: {recipe.soup} is not allowed with --init, which goes on in one training; leave it out")
    first = os.environ.get("RANK", "0") == "0"  # torchrun sets it
    if first:
        _prepare_folder(folder, resume, {"recipe": dump_recipe(recipe), "data": fingerprint(data.train), "init": init})
    fitted = None
    if recipe.method == "finetune":
        fitted = finetune(recipe, data, folder / CHECKPOINTS, init, progress, callbacks)
    if not first:
        return False
    manifest = _saved(fitted, recipe, folder) if fitted else fit_linear(recipe, data.train, folder)
    manifest = manifest.model_copy(update={"data_sha256": fingerprint(data.train)}).sealed(folder)
    (folder / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(_environment(), indent=2) + "\n", encoding="utf-8")
    write_manifest(folder, calibrated(manifest, data.validation, folder))
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    (folder / RUN).unlink()
    return True


def _saved(fitted: Finetuned, recipe: Recipe, folder: Path) -> Manifest:
    (folder / HISTORY).write_text(json.dumps(fitted.history, indent=1) + "\n", encoding="utf-8")
    save_network(folder, fitted.network, fitted.base)
    is_adapter = hasattr(fitted.network.classifier, "peft_config")
    return Manifest(
        name=folder.resolve().name,
        kind="adapter" if is_adapter else "whole",
        base=fitted.base if is_adapter else None,
        base_sha256=base_hash(fitted.base) if is_adapter else None,
        pooling=fitted.network.pooling,
        max_length=recipe.max_length,
    )


def _set_aside(rows: Sequence[LabelledText], seed: int, path: Path) -> tuple[list[LabelledText], list[LabelledText]]:
    """A fifth of each label for validation, at least one of a label that has two."""
    train: list[LabelledText] = []
    validation: list[LabelledText] = []
    random = Random(seed)
    for label in LABELS:
        group = [row for row in rows if row.label == label]
        random.shuffle(group)
        cut = math.ceil(len(group) * VALIDATION_SHARE) if len(group) > 1 else 0
        validation += group[:cut]
        train += group[cut:]
    if not validation:
        raise OlivebranchError(f"{path} has too few statements to set some aside; name a --validation file")
    return train, validation


def _prepare_folder(folder: Path, resume: bool, plan: dict[str, str | None]) -> None:
    """Make the run folder, or check that the run that is to be resumed is this one."""
    if (folder / MANIFEST).exists():
        raise UsageError(f"{folder} already holds a trained model; choose another --output")
    run = folder / RUN
    if run.exists() and not resume:
        raise UsageError(f"{folder} holds an unfinished run; add --resume to go on, or choose another --output")
    if resume and not run.exists():
        raise UsageError(f"{folder} holds no run to resume; leave --resume out")
    if resume and json.loads(run.read_text(encoding="utf-8")) != plan:
        raise UsageError(
            f"{folder} was started with another recipe, seed, data or --init; repeat that call, or choose another --output"
        )
    if not run.exists() and is_taken(folder):
        raise UsageError(f"{folder} exists and is not empty; choose another --output")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        run.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OlivebranchError(f"cannot write '{folder}': {reason_of(error)}; choose another --output") from None


def _environment() -> dict[str, Any]:
    packages = ("olivebranch", "torch", "transformers", "peft", "datasets", "scikit-learn")
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: version(name) for name in packages},
    }


def with_seed(recipe: Recipe, seed: int | None) -> Recipe:
    """The recipe with another seed."""
    return recipe if seed is None else replace(recipe, seed=seed)
