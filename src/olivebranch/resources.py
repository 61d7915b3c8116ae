"""Where the files that ship with the project lie: in the checkout, or beside the installed package."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def shared_folder() -> Path:
    """The folder that holds `models/`, `training/recipes/` and `data/`."""
    return _CHECKOUT if (_CHECKOUT / "training" / "recipes").is_dir() else _PACKAGE / "share"


def shared_path(relative: str) -> Path:
    """A shipped file or folder, such as `data/statements/train.jsonl`."""
    return shared_folder() / relative
