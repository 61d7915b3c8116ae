"""The record types, and the one gate through which a record enters the program."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from olivebranch.errors import OlivebranchError
from olivebranch.labels import Label

Register = Literal["quote", "reported", "headline", "speech", "social", "analysis"]
Stream = Literal["natural", "stance", "border"]

REGISTERS: Final[tuple[Register, ...]] = get_args(Register)
STREAMS: Final[tuple[Stream, ...]] = get_args(Stream)

Text = Annotated[str, StringConstraints(pattern=r"\S")]
_STRICT = ConfigDict(extra="forbid")
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="ignore"))
class LabelledText:
    """The least that training and evaluation need: a sentence and its label.

    Columns beyond these are ignored, so that a user's own file needs no clean-up.
    """

    text: Text
    label: Label
    holder: Text | None = None

    @model_validator(mode="after")
    def _holder_fits(self) -> Self:
        _check_holder(self.text, self.label, self.holder)
        return self


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Annotation:
    """One reader's vote on a statement."""

    annotator: Slug
    label: Label
    holder: Text | None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Statement(LabelledText):
    """A line of `data/statements/*.jsonl`; the datasheet (`data/README.md`) documents every field."""

    id: Slug
    conflict: Slug
    document: Slug
    register: Register
    stream: Stream
    annotations: Annotated[tuple[Annotation, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _votes_support_the_label(self) -> Self:
        if len({vote.annotator for vote in self.annotations}) < len(self.annotations):
            raise ValueError("annotations: an annotator votes twice; keep one vote of each")
        for vote in self.annotations:
            _check_holder(self.text, vote.label, vote.holder)
        votes = [annotation.label for annotation in self.annotations]
        if 2 * votes.count(self.label) <= len(votes):
            raise ValueError(f"label: '{self.label}' has no majority among the votes {votes}")
        return self


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the tagger says about one sentence.

    `start` and `end` are character offsets into the document, `holder_start` and `holder_end` too;
    `text[start:end]` is the sentence. `confidence` is the calibrated probability of `label`;
    `probabilities` holds one per label, in the order of `LABELS`. `abstained` marks the review queue.
    """

    sentence_index: int
    start: int
    end: int
    sentence: str
    label: Label
    confidence: float
    probabilities: dict[str, float]
    abstained: bool
    holder: str | None = None
    holder_start: int | None = None
    holder_end: int | None = None
    holder_confidence: float | None = None


Record = TypeVar("Record")


def validate(kind: type[Record], row: Mapping[str, Any], where: str) -> Record:
    """Turn a raw row into a record, or say which row, which field, which value, and what is allowed.

    Raises:
        OlivebranchError: the row does not fit; the message starts with `where` ("file.jsonl line 7").
    """
    try:
        record: Record = _adapter(kind).validate_python(row)  # type: ignore[arg-type]  # mypy: a TypeVar's class is hashable
        return record
    except ValidationError as error:
        raise OlivebranchError(f"{where}: {_explain(error)}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _check_holder(text: str, label: str, holder: str | None) -> None:
    if holder is None:
        return
    if label == "none":
        raise ValueError(f"holder: {holder!r} given, but label 'none' has no holder; use null")
    if holder not in text:
        raise ValueError(f"holder: {holder!r} is not a part of the text; copy it exactly, or use null")


def _explain(error: ValidationError) -> str:
    """The first problem, in one line."""
    problem = error.errors()[0]
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] in {"missing", "missing_argument", "missing_keyword_only_argument"}:
        return f"{field}: missing; add it"
    if problem["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"{field}: no such field; remove it"
    if problem["type"] == "literal_error":
        return f"{field}: {problem['input']!r} is not allowed; use one of {problem['ctx']['expected']}"
    if problem["type"] == "string_pattern_mismatch":
        allowed = "text that is not blank" if problem["ctx"]["pattern"] == r"\S" else "a slug such as 'sudan-civil-war'"
        return f"{field}: {problem['input']!r} is not allowed; use {allowed}"
    return f"{field}: {problem['input']!r} is not allowed: {problem['msg'].lower()}"
