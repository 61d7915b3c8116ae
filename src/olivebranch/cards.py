"""Model cards and tables of models, generated from what stands in the model folder."""

import json
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from olivebranch.backbones import public_name
from olivebranch.calibration import abstention_threshold
from olivebranch.checkpoints import Manifest, read_manifest
from olivebranch.errors import OlivebranchError
from olivebranch.labels import QUESTIONS
from olivebranch.recipe import load_recipe

OPEN: Final = "<!-- scores: written by make cards -->"
CLOSE: Final = "<!-- /scores -->"
PLOT: Final = "confidence.svg"
PROMISES: Final = (0.02, 0.05, 0.1, 0.15)
NAMES: Final = {"validation": "validation split", "test": "test split", "real_dev": "real sentences (dev)"}


def templates() -> Environment:
    """Templates of the package; HTML is escaped, a missing value is an error."""
    return Environment(
        loader=PackageLoader("olivebranch"),
        autoescape=select_autoescape(["html.jinja"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def write_card(folder: Path) -> None:
    """Write `README.md` of a model folder from its manifest, recipe and metrics.

    Raises:
        OlivebranchError: a file that the card needs is missing.
    """
    manifest = read_manifest(folder)
    metrics = read_json(folder / "metrics.json")
    values = {
        "manifest": manifest,
        "recipe": load_recipe(str(folder / "recipe.yaml")),
        "environment": read_json(folder / "environment.json"),
        "metrics": {name: metrics[name] for name in NAMES if name in metrics},
        "challenge": metrics.get("challenge"),
        "promises": [
            (error, found) for error in PROMISES if (found := abstention_threshold(manifest.risk_bounds, error)) is not None
        ],
        "names": NAMES,
        "questions": QUESTIONS,
        "folder": folder.name,
        "base": public_name(manifest.base) if manifest.base else "none",
        "own_data": "test" in metrics,
        "plot": PLOT if (folder / PLOT).exists() else None,
    }
    card = templates().get_template("card.md.jinja").render(values)
    (folder / "README.md").write_text(card, encoding="utf-8")


def write_models_table(models: Path) -> None:
    """Write `models/README.md`: one row for each released model."""
    folders = sorted(path.parent for path in models.glob("*/olivebranch.json"))
    rows = [_row(folder) for folder in folders]
    page = templates().get_template("models.md.jinja").render(rows=rows, names=NAMES)
    (models / "README.md").write_text(page, encoding="utf-8")


def write_readme_table(readme: Path, models: Path) -> None:
    """Put the scores of the released models and of the floors between the markers in a README.

    Raises:
        OlivebranchError: the README has no markers.
    """
    text = readme.read_text(encoding="utf-8")
    before, opened, rest = text.partition(OPEN)
    _, closed, after = rest.partition(CLOSE)
    if not (opened and closed):
        raise OlivebranchError(f"{readme} has no place for the scores; put {OPEN} and {CLOSE} where the table goes")
    folders = sorted(path.parent for path in models.glob("*/olivebranch.json"))
    all_metrics = {folder.name: read_json(folder / "metrics.json") for folder in folders}
    table = templates().get_template("scores.md.jinja").render(all_metrics=all_metrics, names=NAMES, score=score)
    readme.write_text(f"{before}{OPEN}\n{table}{CLOSE}{after}", encoding="utf-8")


def score(cell: dict[str, float]) -> str:
    """`0.512 [0.480, 0.540]`."""
    return f"{cell['value']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"


def _row(folder: Path) -> dict[str, Any]:
    manifest: Manifest = read_manifest(folder)
    size = sum(path.stat().st_size for path in folder.glob("*") if path.is_file()) / 1e6
    metrics = read_json(folder / "metrics.json")
    return {
        "name": manifest.name,
        "base": manifest.base or "-",
        "kind": manifest.kind,
        "megabytes": f"{size:.1f}",
        "scores": {name: score(metrics[name]["macro_f1"]) if name in metrics else "-" for name in NAMES},
    }


def read_json(path: Path) -> Any:
    """A JSON file of a model folder.

    Raises:
        OlivebranchError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise OlivebranchError(f"cannot read {path}: {error}; train the model again") from None
