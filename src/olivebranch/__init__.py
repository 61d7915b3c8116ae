"""olivebranch: stance toward negotiation, sentence by sentence, and whose it is."""

from typing import TYPE_CHECKING, Any

from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.labels import LABELS, STANCES
from olivebranch.records import Prediction, Statement

if TYPE_CHECKING:
    from olivebranch.tagger import Tagger

__version__ = "0.1.0"
__all__ = ["LABELS", "STANCES", "OlivebranchError", "Prediction", "Statement", "Tagger", "UsageError"]


def __getattr__(name: str) -> Any:
    """Import `Tagger` on first use: torch takes seconds, and `olivebranch --help` does not need it."""
    if name == "Tagger":
        from olivebranch.tagger import Tagger

        return Tagger
    raise AttributeError(f"module 'olivebranch' has no attribute '{name}'")
