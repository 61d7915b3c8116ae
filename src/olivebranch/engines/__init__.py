"""Engines: sentences in, scores out. All of them answer to one small interface."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from olivebranch.checkpoints import Manifest
from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.holder import HolderSpan


@dataclass(frozen=True)
class Reading:
    """What an engine makes of n sentences: logits (n, labels) in fp32, and the best holder span of each or None."""

    logits: NDArray[np.float32]
    holders: list[HolderSpan | None]


class Engine(Protocol):
    """Reads sentences with the weights of one model folder."""

    def read(self, sentences: Sequence[str]) -> Reading:
        """Score sentences; the result is in their order."""
        ...


ENGINES: Final = ("auto", "torch", "onnx")


def load_engine(name: str, folder: Path, manifest: Manifest) -> Engine:
    """The engine for a model folder; `auto` is the one that fits its kind.

    Raises:
        UsageError: an unknown engine, or one that cannot run this kind of model.
    """
    if name not in ENGINES:
        raise UsageError(f"engine '{name}' is unknown; use one of {', '.join(ENGINES)}")
    if manifest.kind in {"frozen", "tfidf"} and name != "onnx":
        from olivebranch.engines.linear import LinearEngine

        return LinearEngine(folder, manifest)
    if manifest.kind == "onnx" and name != "torch":
        try:
            from olivebranch.engines.onnx import OnnxEngine
        except ImportError:
            raise OlivebranchError("the quantised engine needs onnxruntime; pip install 'olivebranch[onnx]'") from None
        return OnnxEngine(folder, manifest)
    if manifest.kind == "onnx":
        raise UsageError(
            f"'{folder}' holds a quantised graph; use --engine onnx or auto, or name the model it was exported from"
        )
    if name == "onnx":
        raise UsageError(
            f"engine 'onnx' needs exported files; run olivebranch export --model {folder} --onnx DIR and use --model DIR"
        )
    from olivebranch.engines.torch import TorchEngine

    return TorchEngine(folder, manifest)
