"""`Tagger`: text in, predictions out."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from olivebranch import sentences as segmentation
from olivebranch.calibration import MAX_ERROR, abstention_threshold, probabilities
from olivebranch.checkpoints import Manifest, read_manifest
from olivebranch.engines import Engine, Reading, load_engine
from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.holder import HolderSpan
from olivebranch.labels import LABELS
from olivebranch.records import Prediction
from olivebranch.resources import shared_path

RELEASED: Final = "olivebranch-minilm"


def model_folder(model: str | Path | None) -> Path:
    """The folder of a model: a path, the name of a released model, or None for the default release."""
    if model is None:
        return shared_path(f"models/{RELEASED}")
    released = shared_path(f"models/{model}")
    return released if not Path(model).exists() and released.is_dir() else Path(model)


class Tagger:
    """Tags sentences with a label and a holder.

    >>> from olivebranch import Tagger
    >>> tagger = Tagger.load()
    >>> tagger.tag(["The rebels turned the plan down."])[0].label
    'rejection'
    """

    def __init__(self, engine: Engine, manifest: Manifest, max_error: float | None = None) -> None:
        self._engine = engine
        self.manifest = manifest
        self.abstain_below = _threshold(manifest, max_error)

    @classmethod
    def load(cls, model: str | Path | None = None, engine: str = "auto", max_error: float | None = None) -> Self:
        """Load a model folder, a released model by name, or with no argument the default release. Opens no network.

        Args:
            max_error: abstain so that at most this share of the other sentences is wrong; it held on validation with
                95 % confidence. Without it 0.1, or as near to it as the model comes.

        Raises:
            OlivebranchError: the folder is missing, incomplete, altered, or holds a pickle.
            UsageError: an unknown engine, or a `max_error` that this model cannot promise.
        """
        folder = model_folder(model)
        manifest = read_manifest(folder)
        return cls(load_engine(engine, folder, manifest), manifest, max_error)

    @property
    def version(self) -> str:
        """Name and content hash of the model."""
        return self.manifest.version

    def tag(self, sentences: Sequence[str]) -> list[Prediction]:
        """One prediction for each text, which is taken as one sentence. Offsets count within each text.

        Raises:
            OlivebranchError: a text is not a string, or blank.
        """
        if isinstance(sentences, str):
            raise OlivebranchError("tag() takes a list of sentences; use tag_document() for one text")
        for index, sentence in enumerate(sentences):
            if not isinstance(sentence, str) or not sentence.strip():
                raise OlivebranchError(f"sentence {index} is {sentence!r}; each must be text that is not blank")
        return list(self._predictions(sentences, [(index, 0) for index in range(len(sentences))]))

    def tag_document(self, text: str) -> list[Prediction]:
        """Split a document into sentences and tag each. A blank document gives an empty list."""
        spans = segmentation.split(text)
        found = [text[start:end] for start, end in spans]
        return list(self._predictions(found, [(index, start) for index, (start, _) in enumerate(spans)]))

    def read(self, sentences: Sequence[str]) -> Reading:
        """Raw scores, for evaluation and for batch work; see `Reading`."""
        return self._engine.read(sentences)

    def score(self, reading: Reading) -> tuple[NDArray[np.floating], NDArray[np.integer], NDArray[np.bool_]]:
        """Calibrated probabilities (n, labels), class indices (n,), and which are abstained on (n,)."""
        probs = probabilities(reading.logits, self.manifest.temperature)
        return probs, probs.argmax(axis=1), probs.max(axis=1) < self.abstain_below

    def _predictions(self, sentences: Sequence[str], places: list[tuple[int, int]]) -> Iterator[Prediction]:
        reading = self.read(sentences)
        probs, classes, abstained = self.score(reading)
        for row, (sentence, (index, offset)) in enumerate(zip(sentences, places, strict=True)):
            yield Prediction(
                sentence_index=index,
                start=offset,
                end=offset + len(sentence),
                sentence=sentence,
                label=LABELS[classes[row]],
                confidence=float(probs[row].max()),
                probabilities=dict(zip(LABELS, probs[row].tolist(), strict=True)),
                abstained=bool(abstained[row]),
                **_holder_fields(sentence, offset, reading.holders[row] if classes[row] else None),
            )


def _threshold(manifest: Manifest, max_error: float | None) -> float:
    """The confidence under which a sentence goes to the review queue."""
    bounds = manifest.risk_bounds
    if max_error is None:
        found = abstention_threshold(bounds, MAX_ERROR)
        return found if found is not None else min(bounds, key=lambda pair: pair[1], default=(0.0, 1.0))[0]
    if not 0 < max_error < 1:
        raise UsageError(f"max error {max_error} is not allowed; use a share between 0 and 1, such as 0.1")
    if not bounds:
        raise UsageError(
            f"model '{manifest.name}' knows no error rates; use one that olivebranch trained, or leave the max error out"
        )
    threshold = abstention_threshold(bounds, max_error)
    if threshold is None:
        least = math.ceil(bounds[0][1] * 1000) / 1000
        raise UsageError(f"model '{manifest.name}' cannot promise an error of {max_error:g}; ask for {least:g} or more")
    return threshold


def _holder_fields(sentence: str, offset: int, span: HolderSpan | None) -> dict[str, Any]:
    if span is None:
        return {}
    return {
        "holder": sentence[span.start : span.end],
        "holder_start": offset + span.start,
        "holder_end": offset + span.end,
        "holder_confidence": span.confidence,
    }
