import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from olivebranch.checkpoints import read_manifest
from olivebranch.engines import load_engine
from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.examples import Collator, class_weights, encode, prior_shift
from olivebranch.exports import export_hf
from olivebranch.finetuning import TrainingData
from olivebranch.labels import Label
from olivebranch.networks import IGNORE, load_tokenizer, new_network
from olivebranch.recipe import Recipe, load_recipe
from olivebranch.records import Annotation, LabelledText, Statement, Stream
from olivebranch.runs import train_run
from olivebranch.tagger import Tagger
from olivebranch.training import load_data, train

MakeRecipe = Callable[..., Recipe]
Rows = list[LabelledText]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


@pytest.mark.parametrize(
    ("base", "pooling"),
    [
        ("bert", "first"),
        ("bert", "mean"),
        ("modernbert", "first"),
        ("deberta", "first"),
        ("xlm-roberta", "first"),
        ("xlm-roberta", "mean"),
    ],
)
def test_every_architecture_of_the_recipes_trains_and_tags(
    base: str, pooling: str, make_base: Callable[[str], Path], make_recipe: MakeRecipe, rows: Rows, tmp_path: Path
) -> None:
    recipe = make_recipe(base=str(make_base(base)), pooling=pooling)
    assert train(recipe, TrainingData(rows, rows), tmp_path / "run")
    predictions = Tagger.load(tmp_path / "run").tag([row.text for row in rows])
    assert len(predictions) == len(rows)


def test_mean_pooling_is_refused_where_it_could_not_be_exported(
    make_base: Callable[[str], Path], make_recipe: MakeRecipe, rows: Rows, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"pooling: mean is for bert, roberta, xlm-roberta; base .* is deberta-v2, use first"):
        train(make_recipe(base=str(make_base("deberta")), pooling="mean"), TrainingData(rows, rows), tmp_path / "run")


@pytest.mark.parametrize("name", ["minilm", "minilm-lora", "quick", "modernbert-base", "deberta-v3-base", "xlm-roberta-base"])
def test_shipped_recipes_fit_their_architecture(
    name: str, make_base: Callable[[str], Path], make_recipe: MakeRecipe, rows: Rows, tmp_path: Path
) -> None:
    shipped = load_recipe(name)
    kinds = {"modernbert-base": "modernbert", "deberta-v3-base": "deberta", "xlm-roberta-base": "xlm-roberta"}
    tiny = {
        "base": str(make_base(kinds.get(name, "bert"))),
        "epochs": 1,
        "limit": 16,
        "frozen_layers": min(1, shipped.frozen_layers),
    }
    values = {
        **{key: getattr(shipped, key) for key in ("learning_rate", "pooling", "lora", "frozen_embeddings", "label_smoothing")},
        **tiny,
    }
    assert train(make_recipe(**values), TrainingData(rows, rows), tmp_path / "run")


def test_a_model_learns_what_it_is_shown(make_recipe: MakeRecipe, rows: Rows, tmp_path: Path) -> None:
    recipe = make_recipe(learning_rate=3e-3, epochs=40, patience=40, batch_size=4, holder_weight=10.0)
    train(recipe, TrainingData(rows, rows), tmp_path / "run")
    predictions = Tagger.load(tmp_path / "run").tag([row.text for row in rows])
    assert sum(found.label == row.label for found, row in zip(predictions, rows, strict=True)) >= 22
    named = [(found.holder, row.holder) for found, row in zip(predictions, rows, strict=True) if row.holder]
    assert sum(found == true for found, true in named) >= 8


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    make_recipe: MakeRecipe, rows: Rows, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(make_recipe(seed=seed), TrainingData(rows, rows), tmp_path / name)
    first, again, other = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


class SeenDropout(TrainerCallback):
    """Notes the dropout of the network that is trained."""

    def on_train_begin(self, *_: Any, model: torch.nn.Module, **__: Any) -> None:
        self.shares = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}


@pytest.mark.parametrize(("dropout", "seen"), [(None, {0.1, 0.3}), (0.0, {0.0, 0.3}), (0.2, {0.2, 0.3})])
def test_dropout_is_the_bases_unless_the_recipe_names_another(
    dropout: float | None, seen: set[float], make_recipe: MakeRecipe, rows: Rows, tmp_path: Path
) -> None:
    callback = SeenDropout()
    recipe = make_recipe(dropout=dropout, lora={"rank": 2, "dropout": 0.3})
    train(recipe, TrainingData(rows, rows), tmp_path / "run", callbacks=[callback])
    assert callback.shares == seen


def test_frozen_parts_stay_as_they_were(make_recipe: MakeRecipe, rows: Rows, tiny_base: Path, tmp_path: Path) -> None:
    train(make_recipe(frozen_embeddings=True, frozen_layers=1, learning_rate=1e-2), TrainingData(rows, rows), tmp_path / "run")
    before, after = new_network(str(tiny_base)).classifier.state_dict(), weights(tmp_path / "run")
    changed = {name for name in after if name in before and not torch.equal(before[name], after[name])}
    assert not any("embeddings" in name for name in changed)
    assert not any(".layer.0." in name for name in changed)
    assert any(".layer.1." in name for name in changed)


def test_too_many_frozen_layers_are_refused(make_recipe: MakeRecipe, rows: Rows, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"frozen_layers: 9 is not allowed; .* has 2 layers"):
        train(make_recipe(frozen_layers=9), TrainingData(rows, rows), tmp_path / "run")


def test_an_adapter_is_small_and_in_half_precision(tiny_model: Path) -> None:
    tensors = load_file(tiny_model / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert not any("word_embeddings" in name for name in tensors)
    assert any("classifier" in name for name in tensors)
    lora = load_recipe(str(tiny_model / "recipe.yaml")).lora
    assert lora is not None
    assert lora.train_also == ["LayerNorm"]


class PowerCutError(Exception):
    """Stands in for a power cut."""


def test_a_resumed_run_ends_where_an_undisturbed_one_does(
    make_recipe: MakeRecipe, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Trainer

    recipe = make_recipe(epochs=3, patience=9)
    data = TrainingData(rows, rows)
    train(recipe, data, tmp_path / "whole")
    save = Trainer._save_checkpoint

    def save_and_stop(self: Trainer, *arguments: Any, **options: Any) -> None:
        save(self, *arguments, **options)
        raise PowerCutError

    monkeypatch.setattr(Trainer, "_save_checkpoint", save_and_stop)
    with pytest.raises(PowerCutError):
        train(recipe, data, tmp_path / "cut")
    monkeypatch.setattr(Trainer, "_save_checkpoint", save)
    with pytest.raises(UsageError, match="add --resume"):
        train(recipe, data, tmp_path / "cut")
    with pytest.raises(UsageError, match="was started with another recipe, seed, data"):
        train(make_recipe(epochs=3, patience=9, seed=5), data, tmp_path / "cut", resume=True)
    (tmp_path / "cut" / "checkpoints" / "0" / "checkpoint-99").mkdir()  # cut off while it was written
    told: list[str] = []
    train(recipe, data, tmp_path / "cut", resume=True, progress=lambda done, note: told.append(f"{done:.2f} {note}"))
    assert told[-1].startswith("1.00 epoch 3, best macro-F1 0.")
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert not (tmp_path / "cut" / "checkpoints").exists()


def test_nothing_to_resume_and_a_taken_folder_are_refused(
    make_recipe: MakeRecipe, rows: Rows, tiny_model: Path, tmp_path: Path
) -> None:
    data = TrainingData(rows, rows)
    with pytest.raises(UsageError, match="holds no run to resume"):
        train(make_recipe(), data, tmp_path / "new", resume=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="exists and is not empty"):
        train(make_recipe(), data, tmp_path / "thesis")
    with pytest.raises(UsageError, match="already holds a trained model"):
        train(make_recipe(), data, tiny_model)


def test_a_recipe_that_does_not_fit_the_model_to_go_on_from_is_refused(
    tiny_model: Path, make_recipe: MakeRecipe, rows: Rows, tmp_path: Path
) -> None:
    data = TrainingData(rows, rows)
    with pytest.raises(UsageError, match=r"does not fit --init .* an adapter over"):
        train(make_recipe(lora=None), data, tmp_path / "a", init=str(tiny_model))
    with pytest.raises(UsageError, match="does not fit --init"):
        train(make_recipe(base="minilm", lora={}), data, tmp_path / "b", init=str(tiny_model))
    with pytest.raises(UsageError, match="with pooling mean; leave --recipe out"):
        train(make_recipe(lora={}), data, tmp_path / "c", init=str(tiny_model))


def test_an_exported_mean_pooled_model_is_not_trained_on(
    tiny_model: Path, make_recipe: MakeRecipe, rows: Rows, tmp_path: Path
) -> None:
    export_hf(tiny_model, tmp_path / "hf")
    with pytest.raises(UsageError, match="use the model that it was exported from"):
        train(make_recipe(), TrainingData(rows, rows), tmp_path / "run", init=str(tmp_path / "hf"))


def test_a_module_to_train_whole_that_is_not_there_is_a_usage_error(
    make_recipe: MakeRecipe, rows: Rows, tmp_path: Path
) -> None:
    recipe = make_recipe(pooling="mean", lora={"train_also": ["pooler"]})
    with pytest.raises(UsageError, match=r"lora\.train_also: 'pooler' is no module of base .* with pooling mean"):
        train(recipe, TrainingData(rows, rows), tmp_path / "run")


def test_a_smaller_sample_is_part_of_a_larger_one(make_recipe: MakeRecipe) -> None:
    small, large = ({row.text for row in load_data(make_recipe(limit=size)).train} for size in (300, 900))
    assert small < large


def test_a_target_that_the_base_does_not_have_is_a_usage_error(make_recipe: MakeRecipe, rows: Rows, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"lora\.targets: \['nope'\] does not fit base"):
        train(make_recipe(lora={"targets": ["nope"]}), TrainingData(rows, rows), tmp_path / "run")


def test_training_goes_on_from_a_model_with_a_users_rows(
    tiny_model: Path, rows: Rows, tmp_path: Path, write_rows: Callable[..., Path]
) -> None:
    mine = write_rows([{"text": row.text, "label": row.label, "holder": row.holder, "source": "me"} for row in rows])
    folder = train_run(data=mine, init=str(tiny_model), output=tmp_path / "mine")
    assert folder is not None
    assert read_manifest(folder).kind == "adapter"
    before, after = weights(tiny_model), weights(folder)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert set(json.loads((folder / "metrics.json").read_text(encoding="utf-8"))) == {"validation"}


@pytest.mark.parametrize("method", ["tfidf", "frozen"])
def test_the_floors_train_and_tag_and_cannot_be_gone_on_from(
    method: str, make_recipe: MakeRecipe, rows: Rows, tmp_path: Path
) -> None:
    folder = tmp_path / method
    train(make_recipe(method=method, regularization=1000), TrainingData(rows, rows), folder)
    found = Tagger.load(folder).tag([row.text for row in rows])
    assert sum(prediction.label == row.label for prediction, row in zip(found, rows, strict=True)) > 12
    with pytest.raises(UsageError, match=f"a {method} model cannot be trained on"):
        train(make_recipe(), TrainingData(rows, rows), tmp_path / "next", init=str(folder))
    with pytest.raises(UsageError, match="onnx"):
        load_engine("onnx", folder, read_manifest(folder))


def test_rare_labels_weigh_more_and_the_mean_weight_is_one(rows: Rows) -> None:
    few = [*rows, *(row for row in rows if row.label == "none")]
    equal, rooted = class_weights(few, 0.0), class_weights(few, 0.5)
    assert torch.allclose(equal, torch.ones(5))
    assert rooted[1] > rooted[0]
    shares = torch.tensor([16.0, 4, 4, 4, 4]) / 32
    assert float((shares * rooted).sum()) == pytest.approx(1)


def statement(label: Label, stream: Stream) -> Statement:
    votes = (Annotation(annotator="writer", label=label, holder=None),)
    return Statement(
        id="one",
        conflict="one",
        document="one",
        text="They will talk.",
        label=label,
        register="reported",
        stream=stream,
        annotations=votes,
    )


def test_labels_are_expected_as_often_as_in_the_natural_stream(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    rows = [statement("none", "natural")] * 8 + [statement("rejection", "border")] * 16
    found = {}
    for prior in ("natural", "training"):
        recipe = make_recipe(label_prior=prior, epochs=20, learning_rate=1e-2, label_smoothing=0)
        train(recipe, TrainingData(rows, rows), tmp_path / prior)
        found[prior] = Tagger.load(tmp_path / prior).tag(["They will talk."])[0].label
    assert found == {"natural": "none", "training": "rejection"}


def test_rows_without_a_stream_shift_no_prior(rows: Rows) -> None:
    assert torch.equal(prior_shift(rows), torch.zeros(5))


def test_only_stances_take_part_in_the_holder_loss(rows: Rows, tiny_base: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_base))
    encoded = encode(rows, tokenizer, 32)
    for row, tags in zip(rows, encoded["tags"], strict=True):
        assert (set(tags) == {IGNORE}) == (row.label == "none")
        assert (1 in tags) == (row.holder is not None)
    batch = Collator(tokenizer)([encoded[index] for index in range(8)])
    assert batch["tags"].shape == batch["input_ids"].shape
    assert batch["input_ids"].shape[1] == max(encoded["length"][:8])


def test_a_users_file_is_split_with_every_label_on_both_sides(
    make_recipe: MakeRecipe, rows: Rows, write_rows: Callable[..., Path]
) -> None:
    path = write_rows([{"text": row.text, "label": row.label} for row in rows])
    data = load_data(make_recipe(), path)
    assert {row.label for row in data.validation} == {row.label for row in data.train}
    assert not {row.text for row in data.train} & {row.text for row in data.validation}
    one = write_rows([{"text": "a", "label": "none"}], "one.jsonl")
    with pytest.raises(OlivebranchError, match="too few statements"):
        load_data(make_recipe(), one)


def test_two_processes_train_together(make_base: Callable[[str], Path], rows: Rows, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(
        "".join(json.dumps({"text": r.text, "label": r.label, "holder": r.holder}) + "\n" for r in rows), encoding="utf-8"
    )
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        f"base: {make_base('bert')}\npooling: mean\nepochs: 1\nsoup: 2\nbatch_size: 4\nmax_length: 32\n", encoding="utf-8"
    )
    script = Path(__file__).parents[1] / "training" / "train.py"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    options = ["--recipe", str(recipe), "--data", str(data), "--validation", str(data), "--output", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*torchrun, *options], capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(Tagger.load(tmp_path / "run").tag(["Varna will not meet the envoy."])) == 1
