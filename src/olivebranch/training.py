"""Fit a recipe: statements in, a run folder out."""

import json
import math
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import torch
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

from olivebranch.calibration import fit_temperature, probabilities, risk_bounds
from olivebranch.checkpoints import (
    MANIFEST,
    Manifest,
    base_hash,
    load_network,
    read_manifest,
    save_network,
    tokenizer_source,
    write_manifest,
)
from olivebranch.engines import load_engine
from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.examples import Collator, class_weights, encode, prior_shift
from olivebranch.floors import fit_linear
from olivebranch.labels import LABEL_TO_ID, LABELS
from olivebranch.networks import StanceNetwork, load_tokenizer, new_network
from olivebranch.recipe import Recipe, dump_recipe
from olivebranch.records import LabelledText
from olivebranch.statements import fingerprint, load_statements, read_labelled
from olivebranch.tagger import model_folder

VALIDATION_SHARE: Final = 0.2
CHECKPOINTS: Final = "checkpoints"
RUN: Final = "run.json"
"""What a run that is not finished was started with."""


@dataclass(frozen=True)
class TrainingData:
    """The rows to fit and the rows to choose by."""

    train: Sequence[LabelledText]
    validation: Sequence[LabelledText]


Progress = Callable[[float, str], None]
"""Told the share of the epochs that is done, and the best score so far."""


def load_data(recipe: Recipe, data: Path | None = None, validation: Path | None = None) -> TrainingData:
    """The project's splits; or a user's file, of which a fifth is set aside where no validation file is named."""
    if data is None:
        train: Sequence[LabelledText] = load_statements("train")
        chosen: Sequence[LabelledText] = read_labelled(validation) if validation else load_statements("validation")
    else:
        train = read_labelled(data)
        train, chosen = (train, read_labelled(validation)) if validation else _set_aside(train, recipe.seed, data)
    if recipe.limit and recipe.limit < len(train):
        train = Random(recipe.seed).sample(list(train), len(train))[: recipe.limit]  # smaller samples are part of larger ones
    return TrainingData(train, chosen)


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
    first = os.environ.get("RANK", "0") == "0"  # torchrun sets it
    if first:
        _prepare_folder(folder, resume, {"recipe": dump_recipe(recipe), "data": fingerprint(data.train), "init": init})
    if recipe.method == "finetune":
        manifest = _finetune(recipe, data, folder, init, resume, [_Tell(progress), *callbacks])
    else:
        manifest = fit_linear(recipe, data.train, folder) if first else None
    if manifest is None:
        return False
    manifest = manifest.model_copy(update={"data_sha256": fingerprint(data.train)}).sealed(folder)
    (folder / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(_environment(), indent=2) + "\n", encoding="utf-8")
    write_manifest(folder, _calibrated(manifest, data.validation, folder))
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    (folder / RUN).unlink()
    return True


def _finetune(
    recipe: Recipe,
    data: TrainingData,
    folder: Path,
    init: str | None,
    resume: bool,
    callbacks: Sequence[TrainerCallback],
) -> Manifest | None:
    set_seed(recipe.seed)
    network, tokenizer, base = _start(recipe, init)
    network.holder_weight = recipe.holder_weight
    network.label_smoothing = recipe.label_smoothing
    network.class_weights = class_weights(data.train, recipe.class_weight_power)
    if recipe.label_prior == "natural":
        network.prior_shift = prior_shift(data.train)
    try:
        arguments = _arguments(recipe, folder)
    except (ValueError, ImportError) as error:
        raise UsageError(f"recipe '{recipe.name}': {str(error).splitlines()[0]}") from None
    trainer = Trainer(
        model=network,
        args=arguments,
        train_dataset=encode(data.train, tokenizer, recipe.max_length),
        eval_dataset=encode(data.validation, tokenizer, recipe.max_length),
        data_collator=Collator(tokenizer),
        compute_metrics=_macro_f1,
        preprocess_logits_for_metrics=lambda outputs, _: outputs[0],
        callbacks=[EarlyStoppingCallback(early_stopping_patience=recipe.patience), *callbacks],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=_last_checkpoint(folder) if resume else None)
    if not trainer.is_world_process_zero():
        return None
    (folder / "history.json").write_text(json.dumps(trainer.state.log_history, indent=1) + "\n", encoding="utf-8")
    is_adapter = hasattr(network.classifier, "peft_config")
    save_network(folder, network.cpu(), base)
    return Manifest(
        name=folder.resolve().name,
        kind="adapter" if is_adapter else "whole",
        base=base if is_adapter else None,
        base_sha256=base_hash(base) if is_adapter else None,
        pooling=network.pooling,
        max_length=recipe.max_length,
    )


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
    """Passes the Trainer's state on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        best = f", best macro-F1 {state.best_metric:.3f}" if state.best_metric is not None else ""
        self.progress((state.epoch or 0) / args.num_train_epochs, f"epoch {math.ceil(state.epoch or 0)}{best}")


def _arguments(recipe: Recipe, folder: Path) -> TrainingArguments:
    gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder / CHECKPOINTS),
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
        seed=recipe.seed,
        data_seed=recipe.seed,
        bf16=recipe.precision == "bf16" or (recipe.precision == "auto" and gpu and torch.cuda.is_bf16_supported()),
        use_cpu=not gpu,
        ddp_backend="gloo" if "WORLD_SIZE" in os.environ and not gpu else None,  # torchrun sets it
        dataloader_pin_memory=gpu,
        disable_tqdm=True,  # progress is told by a callback
        report_to=recipe.report_to or "none",
        run_name=f"{recipe.name}-seed{recipe.seed}",
    )


def _macro_f1(evaluated: Any) -> dict[str, float]:
    predicted = evaluated.predictions.argmax(axis=1)
    scored = range(len(LABELS))
    return {"macro_f1": float(f1_score(evaluated.label_ids, predicted, labels=scored, average="macro", zero_division=0))}


def _calibrated(manifest: Manifest, rows: Sequence[LabelledText], folder: Path) -> Manifest:
    logits = load_engine("auto", folder, manifest).read([row.text for row in rows]).logits
    labels = np.array([LABEL_TO_ID[row.label] for row in rows])
    temperature = fit_temperature(logits, labels)
    bounds = tuple(risk_bounds(probabilities(logits, temperature), labels))
    return manifest.model_copy(update={"temperature": temperature, "risk_bounds": bounds})


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
    if folder.exists() and not run.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty; choose another --output")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        run.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OlivebranchError(
            f"cannot write '{folder}': {(error.strerror or str(error)).lower()}; choose another --output"
        ) from None


def _last_checkpoint(folder: Path) -> str | None:
    """The last checkpoint that was written whole; without one the run begins again."""
    found = [path.parent for path in (folder / CHECKPOINTS).glob("checkpoint-*/trainer_state.json")]
    return str(max(found, key=lambda path: int(path.name.split("-")[1]))) if found else None


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
