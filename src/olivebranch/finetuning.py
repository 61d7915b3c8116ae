"""Fine-tune a network: the trainings that a recipe asks for, each from where an interrupted one stopped."""

import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import f1_score
from transformers import (
    EarlyStoppingCallback,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from olivebranch.checkpoints import load_network, read_manifest, tokenizer_source
from olivebranch.errors import UsageError
from olivebranch.examples import Collator, class_weights, encode, prior_shift
from olivebranch.labels import LABELS
from olivebranch.networks import StanceNetwork, load_tokenizer, new_network
from olivebranch.recipe import Recipe
from olivebranch.records import LabelledText
from olivebranch.soups import Weights, average, trained_weights
from olivebranch.tagger import model_folder

TRAINED: Final = "trained.safetensors"
HISTORY: Final = "history.json"
SEED_STEP: Final = 1000
"""From the seed of one training of a recipe to that of its next, so that neighbouring seeds share none."""

Progress = Callable[[float, str], None]
"""Told the share of the epochs that is done, and the best score so far."""


@dataclass(frozen=True)
class TrainingData:
    """The rows to fit and the rows to choose by."""

    train: Sequence[LabelledText]
    validation: Sequence[LabelledText]


@dataclass(frozen=True)
class Finetuned:
    """A fitted network, the base that it stands on, and what the Trainer logged."""

    network: StanceNetwork
    base: str
    history: list[dict[str, Any]]


def finetune(
    recipe: Recipe,
    data: TrainingData,
    checkpoints: Path,
    init: str | None,
    progress: Progress,
    callbacks: Sequence[TrainerCallback],
) -> Finetuned:
    """Fit the network as often as the recipe says, each time from the same first weights, and average what comes out.

    Args:
        checkpoints: where trainings leave what the next call goes on from.

    Raises:
        UsageError: the recipe does not fit the base or `init`.
        OlivebranchError: weights or packages are missing.
    """
    set_seed(recipe.seed)
    network, tokenizer, base = _start(recipe, init)
    if recipe.dropout is not None:
        for name, module in network.classifier.named_modules():
            if isinstance(module, torch.nn.Dropout) and "lora_dropout" not in name:
                module.p = recipe.dropout
    network.holder_weight = recipe.holder_weight
    network.label_smoothing = recipe.label_smoothing
    network.class_weights = class_weights(data.train, recipe.class_weight_power)
    if recipe.label_prior == "natural":
        network.prior_shift = prior_shift(data.train)
    rows = [encode(part, tokenizer, recipe.max_length) for part in (data.train, data.validation)]
    first = trained_weights(network)
    members: list[Weights] = []
    history: list[dict[str, Any]] = []
    for number in range(recipe.soup):
        folder = checkpoints / str(number)
        if (folder / TRAINED).exists():
            members.append(load_file(folder / TRAINED))
            history += json.loads((folder / HISTORY).read_text(encoding="utf-8"))
            continue
        network.load_state_dict(first, strict=False)
        trainer = Trainer(
            model=network,
            args=_arguments(recipe, folder, recipe.seed + SEED_STEP * number),
            train_dataset=rows[0],
            eval_dataset=rows[1],
            data_collator=Collator(tokenizer),
            compute_metrics=_macro_f1,
            preprocess_logits_for_metrics=lambda outputs, _: outputs[0],
            callbacks=[EarlyStoppingCallback(recipe.patience), _Tell(progress, number, recipe.soup), *callbacks],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=_last_checkpoint(folder))
        members.append(trained_weights(network))
        history += trainer.state.log_history
        trainer.accelerator.wait_for_everyone()  # others may still read the checkpoint that `_keep` deletes
        if trainer.is_world_process_zero():
            _keep(folder, members[-1], trainer.state.log_history)
    average(network.cpu(), members)
    return Finetuned(network, base, history)


def _keep(folder: Path, weights: Weights, history: list[dict[str, Any]]) -> None:
    """Leave a finished training in place of its checkpoints; the weights come last and whole, for they say that it is."""
    (folder / HISTORY).write_text(json.dumps(history), encoding="utf-8")
    save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / f".{TRAINED}")
    (folder / f".{TRAINED}").replace(folder / TRAINED)
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def _start(recipe: Recipe, init: str | None) -> tuple[StanceNetwork, PreTrainedTokenizerBase, str]:
    """Network, tokenizer and base: from the base by the recipe, or from a trained model."""
    if init is None:
        network = new_network(recipe.base, recipe.pooling)
        _freeze(network, recipe)
        return network, load_tokenizer(recipe.base), recipe.base
    folder = model_folder(init)
    manifest = read_manifest(folder)
    if manifest.kind in {"frozen", "tfidf"}:
        raise UsageError(f"--init {init}: a {manifest.kind} model cannot be trained on; use a fine-tuned one")
    if manifest.pooling == "folded":
        raise UsageError(f"--init {init}: an exported model cannot be trained on; use the model that it was exported from")
    source = tokenizer_source(folder, manifest)
    fits = (manifest.kind == "adapter") == (recipe.lora is not None) and manifest.pooling == recipe.pooling
    if not fits or (manifest.base and manifest.base != recipe.base):
        kind = f"an adapter over '{manifest.base}'" if manifest.base else "a whole model"
        kind += f" with pooling {manifest.pooling}"
        raise UsageError(
            f"recipe '{recipe.name}' does not fit --init {init}, which is {kind}; leave --recipe out to use the model's own"
        )
    return load_network(folder, manifest, trainable=True), load_tokenizer(source), source


def _freeze(network: StanceNetwork, recipe: Recipe) -> None:
    if recipe.lora:
        network.classifier = _adapted(network.classifier, recipe)
        return  # LoRA freezes the whole encoder
    if not (recipe.frozen_embeddings or recipe.frozen_layers):
        return
    encoder = network.classifier.base_model
    encoder.embeddings.requires_grad_(False)  # all that stands below a frozen layer is frozen too
    layers = next(module for module in encoder.modules() if isinstance(module, torch.nn.ModuleList))
    if recipe.frozen_layers > len(layers):
        raise UsageError(f"frozen_layers: {recipe.frozen_layers} is not allowed; base '{recipe.base}' has {len(layers)} layers")
    for layer in list(layers)[: recipe.frozen_layers]:
        layer.requires_grad_(False)


def _adapted(classifier: Any, recipe: Recipe) -> Any:
    from peft import LoraConfig, get_peft_model

    lora = recipe.lora
    assert lora is not None
    parts = {part for name, _ in classifier.named_modules() for part in name.split(".")}
    for name in set(lora.train_also) - parts:
        raise UsageError(
            f"lora.train_also: '{name}' is no module of base '{recipe.base}' with pooling {recipe.pooling}; leave it out"
        )
    trained_whole = [name for name, _ in classifier.named_modules() if set(name.split(".")) & set(lora.train_also)]
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets if isinstance(lora.targets, str) else list(lora.targets),
        bias=lora.bias,
        modules_to_save=list(lora.train_also) or None,  # a copy: peft adds the heads to it
        exclude_modules=trained_whole or None,
    )
    try:
        return get_peft_model(classifier, config)
    except ValueError as error:
        raise UsageError(
            f"lora.targets: {lora.targets!r} does not fit base '{recipe.base}': {str(error).splitlines()[0]}"
        ) from None


class _Tell(TrainerCallback):
    """Passes the state of one training of several on."""

    def __init__(self, progress: Progress, number: int, trainings: int) -> None:
        self.progress, self.number, self.trainings = progress, number, trainings

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        which = f"training {self.number + 1} of {self.trainings}, " if self.trainings > 1 else ""
        best = f", best macro-F1 {state.best_metric:.3f}" if state.best_metric is not None else ""
        done = (self.number + (state.epoch or 0) / args.num_train_epochs) / self.trainings
        self.progress(done, f"{which}epoch {math.ceil(state.epoch or 0)}{best}")


def _arguments(recipe: Recipe, folder: Path, seed: int) -> TrainingArguments:
    gpu = torch.cuda.is_available()
    try:
        return TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            per_device_eval_batch_size=64,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type=recipe.scheduler,
            warmup_steps=recipe.warmup,
            weight_decay=recipe.weight_decay,
            optim="adamw_torch_fused",
            train_sampling_strategy="group_by_length",
            length_column_name="length",
            remove_unused_columns=False,
            label_names=["labels"],
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=2,
            load_best_model_at_end=True,
            metric_for_best_model="macro_f1",
            greater_is_better=True,
            logging_strategy="epoch",
            seed=seed,
            data_seed=seed,
            bf16=recipe.precision == "bf16" or (recipe.precision == "auto" and gpu and torch.cuda.is_bf16_supported()),
            use_cpu=not gpu,
            ddp_backend="gloo" if "WORLD_SIZE" in os.environ and not gpu else None,  # torchrun sets it
            dataloader_pin_memory=gpu,
            disable_tqdm=True,  # progress is told by a callback
            report_to=recipe.report_to or "none",
            run_name=f"{recipe.name}-seed{seed}",
        )
    except (ValueError, ImportError) as error:
        raise UsageError(f"recipe '{recipe.name}': {str(error).splitlines()[0]}") from None


def _macro_f1(evaluated: Any) -> dict[str, float]:
    predicted = evaluated.predictions.argmax(axis=1)
    scored = range(len(LABELS))
    return {"macro_f1": float(f1_score(evaluated.label_ids, predicted, labels=scored, average="macro", zero_division=0))}


def _last_checkpoint(folder: Path) -> str | None:
    """The last checkpoint that was written whole; without one the run begins again."""
    found = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(max(found, key=lambda path: int(path.name.split("-")[1]))) if found else None
