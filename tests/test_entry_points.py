"""The scripts in `training/` that hold more than a call."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from olivebranch.errors import UsageError
from olivebranch.finetuning import TrainingData
from olivebranch.recipe import Recipe, load_recipe
from olivebranch.records import Annotation, LabelledText, Statement
from olivebranch.runs import measure_once
from olivebranch.training import train

MakeRecipe = Callable[..., Recipe]
TRAINING = Path(__file__).parents[1] / "training"


def script(name: str, data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script as a module, which finds these rows instead of the project's statements."""
    spec = spec_from_file_location(f"training_{name}", TRAINING / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "load_data", lambda *_: data, raising=False)
    return module


@pytest.fixture
def data(rows: list[LabelledText]) -> TrainingData:
    return TrainingData(rows, rows)


def test_a_sweep_goes_on_where_it_was_stopped(
    make_recipe: MakeRecipe, data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = script("sweep", data, monkeypatch)
    start = make_recipe(lora={"rank": 2})
    space = {"learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}, "lora.rank": [2, 4], "epochs": {"low": 1, "high": 2}}
    assert len(sweep.search(start, space, 2, tmp_path).trials) == 2
    study = sweep.search(start, space, 3, tmp_path)
    assert len(study.trials) == 3
    best = load_recipe(str(tmp_path / "best.yaml"))
    assert best.lora is not None
    assert (best.lora.rank, best.learning_rate) == (study.best_params["lora.rank"], study.best_params["learning_rate"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.yaml", "study.log"]


def test_a_trial_that_was_interrupted_is_tried_again(
    make_recipe: MakeRecipe, data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = script("sweep", data, monkeypatch)
    space = {"learning_rate": {"low": 1e-3, "high": 1e-2}}

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sweep, "train", stop)
        sweep.search(make_recipe(), space, 1, tmp_path)
    study = sweep.search(make_recipe(), space, 1, tmp_path)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert study.trials[0].params == study.trials[1].params


@pytest.mark.parametrize(
    ("space", "complaint"),
    [
        ("learning_rate: 3", "learning_rate: 3 is no list"),
        ("[1]", "names no settings"),
        ("a: {low: 1}", "no low and high"),
        ("soup: [1, 3]", "a trial is one training"),
    ],
)
def test_a_search_space_that_is_none_is_refused(
    space: str, complaint: str, data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space.yaml").write_text(space, encoding="utf-8")
    with pytest.raises(UsageError, match=complaint):
        script("sweep", data, monkeypatch).read_space(tmp_path / "space.yaml")


def test_a_setting_that_no_recipe_has_is_refused(
    make_recipe: MakeRecipe, data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="did you mean 'learning_rate'"):
        script("sweep", data, monkeypatch).with_settings(make_recipe(), {"learningrate": 1}, "x")


def test_the_shipped_search_space_fits_its_recipe(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = script("sweep", data, monkeypatch)
    space = sweep.read_space(TRAINING / "sweeps" / "minilm.yaml")
    lowest = {name: values[0] if isinstance(values, list) else values["low"] for name, values in space.items()}
    assert sweep.with_settings(load_recipe("minilm"), lowest, "lowest").epochs == 3


def test_a_point_of_the_learning_curve_is_measured_once(
    make_recipe: MakeRecipe, data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = script("curve", data, monkeypatch)
    first = curve.run(make_recipe(), tmp_path / "10-seed0", data.train)
    monkeypatch.setattr("olivebranch.runs.train", None)
    assert curve.run(make_recipe(), tmp_path / "10-seed0", data.train) == first
    assert set(first) == {"validation", "real dev"}
    with pytest.raises(UsageError, match="is of another recipe or other data"):
        curve.run(make_recipe(seed=1), tmp_path / "10-seed0", data.train)


def test_a_finished_run_of_another_recipe_is_not_taken_for_this_one(
    make_recipe: MakeRecipe, data: TrainingData, tmp_path: Path
) -> None:
    train(make_recipe(), data, tmp_path / "run")  # and interrupted before it was scored
    with pytest.raises(UsageError, match="is of another recipe or other data"):
        measure_once(make_recipe(seed=1), data, tmp_path / "run", {"train": data.train})
    assert set(measure_once(make_recipe(), data, tmp_path / "run", {"real": data.train})) == {"real"}


def test_the_leaderboard_has_one_row_for_each_recipe_and_its_data(
    tiny_model: Path, rows: list[LabelledText], write_rows: Callable[..., Path], data: TrainingData, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    compare = script("compare", data, monkeypatch)
    run = shutil.copytree(tiny_model, tmp_path / "tiny")
    (run / "metrics.json").write_text('{"validation": {"macro_f1": {"value": 0.5}}}', encoding="utf-8")
    path = write_rows([{"text": row.text, "label": row.label} for row in rows])
    board = tmp_path / "board.md"
    for _ in range(2):
        arguments = ["compare.py", str(run), "--data", str(path), "--against", str(run), "--board", str(board)]
        monkeypatch.setattr(sys, "argv", arguments)
        compare.main()
    (row,) = compare.read_rows(board)
    assert (row[0], row[2], row[3]) == ("tiny", "0", "0.500")
    assert row[5:] == ("+0.000 [+0.000, +0.000]", "1.000")
    assert "| recipe | training data |" in capsys.readouterr().out


def test_a_conflict_that_is_left_out_is_scored_by_a_model_that_never_saw_it(
    make_recipe: MakeRecipe, rows: list[LabelledText], data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_out = script("leave_out", data, monkeypatch)
    place = {"document": "d", "register": "quote", "stream": "natural"}
    statements = [
        Statement(
            **{**asdict(row), **place, "id": str(number), "conflict": ("aceh", "mali", "nepal")[number % 3]},
            annotations=(Annotation(annotator="a", label=row.label, holder=row.holder),),
        )
        for number, row in enumerate(rows)
    ]
    trained: list[set[str]] = []

    def noted(recipe: Recipe, chosen: TrainingData, *arguments: object, **options: object) -> bool:
        trained.append({row.conflict for row in chosen.train if isinstance(row, Statement)})
        return train(recipe, chosen, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("olivebranch.runs.train", noted)
    monkeypatch.setattr(leave_out, "load_statements", lambda _: statements)
    apart = leave_out.follow(make_recipe(), 2, False, tmp_path)
    assert trained == [{"mali", "nepal"}, {"aceh", "nepal"}]
    assert leave_out.follow(make_recipe(), 2, False, tmp_path) == apart
    together = leave_out.follow(make_recipe(), 2, True, tmp_path)
    assert trained[2:] == [{"nepal"}]
    assert set(apart) == set(together) == {"aceh", "mali", "in training"}
    assert "| mean of the 2 | 48 |" in leave_out.table(together)
    with pytest.raises(UsageError, match="--conflicts 3 is not allowed; the training split has 3"):
        leave_out.follow(make_recipe(), 3, True, tmp_path)
