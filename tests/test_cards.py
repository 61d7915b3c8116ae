import json
import re
import shutil
from pathlib import Path

import pytest

from olivebranch.cards import CLOSE, OPEN, write_card, write_models_table, write_readme_table
from olivebranch.checkpoints import read_manifest
from olivebranch.errors import OlivebranchError
from olivebranch.recipe import load_recipe
from olivebranch.resources import shared_folder
from olivebranch.statements import fingerprint, load_statements

MODELS = shared_folder() / "models"
RELEASED = sorted(path.parent for path in MODELS.glob("*/olivebranch.json"))


@pytest.mark.parametrize("folder", RELEASED, ids=lambda path: path.name)
def test_the_card_says_what_its_model_folder_says(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / folder.name))
    write_card(copy)
    assert (copy / "README.md").read_text(encoding="utf-8") == (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", RELEASED, ids=lambda path: path.name)
def test_the_card_has_its_mandatory_parts_and_the_release_is_small(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    for heading in ("## Scores", "## Intended use", "## Limitations", "## Licence", "## How it was made"):
        assert heading in card
    assert "Synthetic training data" in card
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10e6


@pytest.mark.parametrize("folder", RELEASED, ids=lambda path: path.name)
def test_a_release_was_trained_from_what_the_repository_contains(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.name == folder.name
    assert manifest.data_sha256 == fingerprint(load_statements("train"))
    recipe = load_recipe(str(folder / "recipe.yaml"))
    assert recipe == load_recipe(recipe.name)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert {row["model"] for row in metrics.values()} == {manifest.version}
    assert metrics["test"]["data_sha256"] == fingerprint(load_statements("test"))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "data/README.md", "models/README.md"])
def test_links_of_the_documents_resolve(page: str) -> None:
    path = shared_folder() / page
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert missing == []


def test_the_tables_of_models_are_up_to_date(tmp_path: Path) -> None:
    models = Path(shutil.copytree(MODELS, tmp_path / "models"))
    write_models_table(models)
    assert (models / "README.md").read_text(encoding="utf-8") == (MODELS / "README.md").read_text(encoding="utf-8")
    readme = tmp_path / "README.md"
    shutil.copy(shared_folder() / "README.md", readme)
    write_readme_table(readme, MODELS)
    assert readme.read_text(encoding="utf-8") == (shared_folder() / "README.md").read_text(encoding="utf-8")


def test_a_readme_without_a_place_for_the_scores_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"# x\n{CLOSE}{OPEN}", encoding="utf-8")
    with pytest.raises(OlivebranchError, match="has no place for the scores"):
        write_readme_table(tmp_path / "README.md", MODELS)
