"""Search a recipe's settings with Optuna: macro-F1 on validation decides, poor trials end early.

pip install ".[sweep]"
python training/sweep.py --recipe minilm --space training/sweeps/minilm.yaml --trials 30 --limit 4000

The study is a file in --output: the same command goes on where it was stopped, and a trial that was under way is tried
again. The best settings are written there as a recipe, best.yaml.
"""

import argparse
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.recipe import Recipe, dump_recipe, load_recipe, parse_recipe, read_yaml
from olivebranch.training import load_data, train

Space = Mapping[str, Any]


def main() -> None:
    """Go on with the study until it has as many trials as were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="minilm", help="where the search starts, and what it does not change")
    parser.add_argument("--space", type=Path, required=True, help="YAML: for each setting a list, or low and high")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--limit", type=int, help="train on this many statements")
    parser.add_argument("--seed", type=int, default=0, help="of the search and of every trial")
    parser.add_argument("--output", type=Path, default=Path("runs/sweep"))
    given = parser.parse_args()
    try:
        start = load_recipe(given.recipe)
        start = replace(start, seed=given.seed, limit=given.limit or start.limit)
        study = search(start, read_space(given.space), given.trials, given.output)
    except OlivebranchError as error:
        parser.error(str(error))
    print(f"best of {len(study.trials)} trials: macro-F1 {study.best_value:.3f} with {study.best_params}")
    print(f"recipe -> {given.output / 'best.yaml'}")


def read_space(path: Path) -> Space:
    """The settings to search.

    Raises:
        UsageError: the file is no mapping of settings to a list, or to low and high.
        OlivebranchError: the file cannot be read.
    """
    space = read_yaml(path)
    if isinstance(space, dict) and "soup" in space:
        raise UsageError(f"{path}: soup: a trial is one training; leave it out of the search")
    if not isinstance(space, dict) or not space:
        raise UsageError(f"{path} names no settings; give each a list of choices, or low and high")
    for name, values in space.items():
        is_range = isinstance(values, dict) and {"low", "high"} <= set(values) <= {"low", "high", "log"}
        if not is_range and not (isinstance(values, list) and values):
            raise UsageError(f"{path}: {name}: {values!r} is no list of choices and has no low and high")
    return dict(space)


def search(start: Recipe, space: Space, trials: int, folder: Path) -> optuna.Study:
    """Run trials until the study holds `trials` that are done, and write the best recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=start.name,
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(folder / "study.log"))),
        sampler=optuna.samplers.TPESampler(seed=start.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        direction="maximize",
        load_if_exists=True,
    )
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    done = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    study.optimize(_objective(start, space, folder), n_trials=max(0, trials - len(done)))
    best = with_settings(start, study.best_params, "best")
    (folder / "best.yaml").write_text(dump_recipe(best), encoding="utf-8")
    return study


def with_settings(recipe: Recipe, settings: Mapping[str, Any], name: str) -> Recipe:
    """The recipe with some settings changed; `lora.rank` is the rank in `lora`.

    Raises:
        UsageError: a setting that no recipe has, or a value that is not allowed.
    """
    values = yaml.safe_load(dump_recipe(recipe))
    for key, value in settings.items():
        *outer, last = key.split(".")
        place = values
        for part in outer:
            place = place[part] = dict(place.get(part) or {})
        place[last] = value
    return parse_recipe({**values, "name": name}, "the search space")


def _objective(start: Recipe, space: Space, folder: Path) -> Callable[[optuna.Trial], float]:
    data = load_data(start)

    def objective(trial: optuna.Trial) -> float:
        settings = {name: _suggest(trial, name, values) for name, values in space.items()}
        run = folder / f"trial-{trial.number}"
        watch = _Report(trial)
        try:
            train(replace(with_settings(start, settings, run.name), soup=1), data, run, callbacks=[watch])
        finally:
            shutil.rmtree(run, ignore_errors=True)  # a trial is for its score; train best.yaml for the model
        return watch.best

    return objective


def _suggest(trial: optuna.Trial, name: str, values: Any) -> Any:
    if isinstance(values, list):
        return trial.suggest_categorical(name, values)
    low, high, log = values["low"], values["high"], values.get("log", False)
    whole = isinstance(low, int) and isinstance(high, int)
    return trial.suggest_int(name, low, high, log=log) if whole else trial.suggest_float(name, low, high, log=log)


class _Report(TrainerCallback):
    """Tells the study the score after every epoch, and ends the trial where the pruner says so."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial
        self.best = 0.0

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float],
        **_: Any,
    ) -> None:
        self.best = max(self.best, metrics["eval_macro_f1"])
        self.trial.report(metrics["eval_macro_f1"], step=round(state.epoch or 0))
        if self.trial.should_prune():
            raise optuna.TrialPruned


if __name__ == "__main__":
    main()
