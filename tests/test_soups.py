import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from olivebranch.checkpoints import load_network, read_manifest
from olivebranch.errors import UsageError
from olivebranch.finetuning import TrainingData
from olivebranch.networks import StanceNetwork
from olivebranch.recipe import Recipe, load_recipe
from olivebranch.records import LabelledText
from olivebranch.runs import train_run
from olivebranch.soups import average, trained_weights
from olivebranch.training import train

MakeRecipe = Callable[..., Recipe]
Rows = list[LabelledText]
LORA = {"rank": 2, "train_also": ["LayerNorm"]}


def merged(network: StanceNetwork) -> dict[str, torch.Tensor]:
    """Every weight, with the adapter added to its base."""
    network.classifier = network.classifier.merge_and_unload()
    return network.state_dict()


def test_the_average_of_adapters_is_the_mean_of_what_they_change(tiny_model: Path) -> None:
    manifest = read_manifest(tiny_model)
    torch.manual_seed(0)
    members = []
    for _ in range(3):
        network = load_network(tiny_model, manifest, trainable=True)
        with torch.no_grad():
            for weight in network.parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight), alpha=0.3)
        members.append(trained_weights(network))
    average(network, members)
    alone = []
    for weights in members:
        one = load_network(tiny_model, manifest, trainable=True)
        one.load_state_dict(weights, strict=False)
        alone.append(merged(one))
    found = merged(network)
    assert found.keys() == alone[0].keys()
    for name, weight in found.items():
        torch.testing.assert_close(weight, torch.stack([state[name] for state in alone]).mean(dim=0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("lora", [None, LORA])
def test_a_soup_is_made_of_trainings_that_differ_and_loads_as_one_model(
    make_recipe: MakeRecipe, rows: Rows, tmp_path: Path, lora: dict[str, Any] | None
) -> None:
    data, told = TrainingData(rows, rows), []
    common = {"lora": lora, "pooling": "mean", "learning_rate": 5e-3}
    train(make_recipe(**common), data, tmp_path / "one")
    train(make_recipe(soup=2, **common), data, tmp_path / "soup", progress=lambda done, note: told.append(f"{done:.2f} {note}"))
    assert told[0].startswith("0.") and "training 1 of 2, epoch 1" in told[0]
    assert told[-1].startswith("1.00 training 2 of 2, epoch 1")
    one, soup = (load_network(tmp_path / name, read_manifest(tmp_path / name)).state_dict() for name in ("one", "soup"))
    assert one.keys() == soup.keys()
    assert not all(torch.allclose(one[name], soup[name], atol=1e-4) for name in one)
    if lora:
        adapter = load_file(tmp_path / "soup" / "adapter_model.safetensors")
        assert {min(tensor.shape) for name, tensor in adapter.items() if "lora" in name} == {4}


def test_an_interrupted_soup_goes_on_after_the_trainings_that_are_done(
    make_recipe: MakeRecipe, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Trainer

    recipe, data = make_recipe(soup=3, lora=LORA, pooling="mean"), TrainingData(rows, rows)
    train(recipe, data, tmp_path / "whole")
    fit, started = Trainer.train, []

    def cut_in_the_third(self: Trainer, *arguments: Any, **options: Any) -> Any:
        started.append(self.args.seed)
        if len(started) == 3:
            raise KeyboardInterrupt
        return fit(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "train", cut_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, tmp_path / "cut")
    train(recipe, data, tmp_path / "cut", resume=True)
    assert started == [0, 1000, 2000, 2000]
    whole, cut = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    histories = [json.loads((tmp_path / name / "history.json").read_text(encoding="utf-8")) for name in ("whole", "cut")]
    assert len(histories[0]) == len(histories[1]) == 9


def test_a_run_that_goes_on_from_a_soup_is_one_training(
    make_recipe: MakeRecipe, rows: Rows, write_rows: Callable[..., Path], tmp_path: Path
) -> None:
    recipe, data = make_recipe(soup=2, lora=LORA, pooling="mean"), TrainingData(rows, rows)
    train(recipe, data, tmp_path / "soup")
    with pytest.raises(UsageError, match="soup: 2 is not allowed with --init"):
        train(recipe, data, tmp_path / "on", init=str(tmp_path / "soup"))
    mine = write_rows([{"text": row.text, "label": row.label} for row in rows])
    train_run(data=mine, output=tmp_path / "on", init=str(tmp_path / "soup"))
    assert load_recipe(str(tmp_path / "on" / "recipe.yaml")).soup == 1
    soup, on = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("soup", "on"))
    assert {name: tensor.shape for name, tensor in soup.items()} == {name: tensor.shape for name, tensor in on.items()}
