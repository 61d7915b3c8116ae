"""Fit how sure a model says that it is, after training or on the sentences of a user."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from olivebranch.calibration import Floats, Ints, expected_calibration_error, fit_temperature, probabilities, risk_bounds
from olivebranch.checkpoints import Manifest, check_free, new_folder, read_manifest, write_manifest
from olivebranch.engines import load_engine
from olivebranch.errors import UsageError
from olivebranch.labels import LABEL_TO_ID
from olivebranch.records import LabelledText
from olivebranch.statements import fingerprint, read_labelled

LEAST: Final = 120
"""Sentences from which a threshold can promise the default error rate: a quarter of them, all right, bound it by 0.095."""
NOTE: Final = """
## Recalibrated

The confidence of this copy was fitted anew on {sentences} sentences (SHA-256 `{data}…`): temperature {new:.2f} instead of
{old:.2f}, ECE {after:.3f} instead of {before:.3f} on these same sentences. Labels and holders are those of `{source}`, and
so are the figures on confidence above this section. The version of this copy is `{version}`.
"""


@dataclass(frozen=True)
class Recalibrated:
    """Sentences, and temperature and ECE on them, before and after."""

    sentences: int
    temperatures: tuple[float, float]
    errors: tuple[float, float]


def calibrated(manifest: Manifest, rows: Sequence[LabelledText], folder: Path) -> Manifest:
    """The manifest with temperature and risk bounds fitted on the rows, by the weights in `folder`."""
    return _fitted(manifest, *_read(manifest, rows, folder))


def recalibrate(model: Path, data: Path, target: Path) -> Recalibrated:
    """Copy a model with its confidence fitted on other sentences; what it answers stays the same.

    Raises:
        UsageError: too few sentences, `target` exists, or the model is an export, which has its temperature in the weights.
        OlivebranchError: the model or the data cannot be read.
    """
    check_free(target)
    manifest, rows = read_manifest(model), read_labelled(data)
    if model.resolve() in target.resolve().parents:
        raise UsageError(f"'{target}' lies in the model's own folder; choose another --output")
    if manifest.kind == "whole" and not (model / "recipe.yaml").exists():
        raise UsageError(f"'{model}' is an exported model; calibrate the one that it was exported from, and export that again")
    if len(rows) < LEAST:
        raise UsageError(f"{data} has {len(rows)} labelled sentences; label {LEAST} or more")
    logits, labels = _read(manifest, rows, model)
    fitted = _fitted(manifest.model_copy(update={"name": target.resolve().name}), logits, labels)
    temperatures = (manifest.temperature, fitted.temperature)
    before, after = (expected_calibration_error(probabilities(logits, value), labels) for value in temperatures)
    with new_folder(target) as folder:
        shutil.copytree(model, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)
        write_manifest(folder, fitted)
        card = folder / "README.md"
        said = card.read_text(encoding="utf-8") if card.exists() else f"# {fitted.name}\n"
        note = NOTE.format(
            sentences=len(rows),
            data=fingerprint(rows)[:16],
            old=temperatures[0],
            new=temperatures[1],
            before=before,
            after=after,
            source=manifest.version,
            version=fitted.version,
        )
        card.write_text(said.rstrip() + "\n" + note, encoding="utf-8")
    return Recalibrated(len(rows), temperatures, (before, after))


def _read(manifest: Manifest, rows: Sequence[LabelledText], folder: Path) -> tuple[Floats, Ints]:
    logits = load_engine("auto", folder, manifest).read([row.text for row in rows]).logits
    return logits, np.array([LABEL_TO_ID[row.label] for row in rows])


def _fitted(manifest: Manifest, logits: Floats, labels: Ints) -> Manifest:
    temperature = fit_temperature(logits, labels)
    bounds = tuple(risk_bounds(probabilities(logits, temperature), labels))
    return manifest.model_copy(update={"temperature": temperature, "risk_bounds": bounds})
