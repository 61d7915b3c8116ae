"""One experiment is one recipe: a YAML file, read into a validated dataclass."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from olivebranch.backbones import MINILM
from olivebranch.errors import OlivebranchError, UsageError, reason_of
from olivebranch.resources import shared_path

_STRICT = ConfigDict(extra="forbid")
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=_STRICT, kw_only=True)
class Lora:
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685), by peft."""

    rank: Positive = 32
    alpha: Positive = 64
    dropout: Share = 0.0
    targets: str | list[str] = "all-linear"
    """Module names that get an adapter, or `all-linear`."""
    bias: Literal["none", "all", "lora_only"] = "none"
    train_also: list[str] = Field(default_factory=list)
    """Modules that are trained whole and saved in the adapter, beside the classification head (such as `LayerNorm`)."""


@dataclass(frozen=True, config=_STRICT, kw_only=True)
class Recipe:
    """Everything that a training run depends on, besides the data files themselves."""

    name: str
    description: str = ""
    method: Literal["finetune", "frozen", "tfidf"] = "finetune"
    """`finetune` trains the encoder; `frozen` a logistic regression on its embeddings; `tfidf` one on word n-grams."""
    base: str = MINILM
    seed: Annotated[int, Field(ge=0)] = 0
    max_length: Annotated[int, Field(ge=8)] = 128
    """Longest input in tokens; what is longer is cut."""
    limit: Positive | None = None
    """Train on a random sample of this many statements (for demonstrations and learning curves)."""

    pooling: Literal["first", "mean"] = "first"
    """Read the label from the first token, or from the mean over all tokens (bases of the BERT and RoBERTa families)."""
    epochs: Annotated[float, Field(gt=0)] = 6
    batch_size: Positive = 32
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    scheduler: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup: Share = 0.1
    """Share of the steps in which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    label_prior: Literal["natural", "training"] = "natural"
    """How often each label is expected in the texts that are read: as in the statements of the natural stream, which
    follow the world's mix, or as in all training statements. Rows without a stream have only the second."""
    class_weight_power: Share = 0.0
    """Loss weight of a class: (its share of the training data) to the power of minus this; 0 weighs all alike, 1 balances."""
    dropout: Share | None = None
    """Share of the activations that the base's dropout layers drop; without it, as the base was made. (ModernBERT's attention
    has a share of its own, which stays.) Without dropout a batch takes less time."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    holder_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the holder loss beside the label loss; 0 trains no holder head."""
    frozen_embeddings: bool = False
    frozen_layers: Annotated[int, Field(ge=0)] = 0
    """The first n layers of the encoder stay as they are."""
    lora: Lora | None = None
    soup: Positive = 1
    """Train this many times from the same first weights, each time in another order, and average the weights
    (Wortsman et al. 2022, arXiv:2203.05482). An adapter's rank grows by as much. Not with --init."""
    patience: Positive = 3
    """Stop after this many epochs without a better macro-F1 on validation."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto`: bf16 where the GPU has it, else fp32."""
    report_to: list[str] = Field(default_factory=list)
    """Trackers that transformers knows (tensorboard, mlflow, wandb); their packages must be installed."""
    regularization: Annotated[float, Field(gt=0)] = 1.0
    """Inverse strength C of the logistic regression (`frozen`, `tfidf`)."""


_ADAPTER = TypeAdapter(Recipe)


def load_recipe(source: str) -> Recipe:
    """Read a recipe from a YAML file, or by the name of one that ships with the project.

    Raises:
        UsageError: no such recipe, a key that no recipe has, or a value that is not allowed.
    """
    path = Path(source)
    if not path.suffix:
        path = shared_path("training/recipes") / f"{source}.yaml"
    if not path.is_file():
        raise UsageError(f"recipe '{source}' not found; use a YAML file or one of {', '.join(recipe_names())}")
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UsageError(f"{path} holds {type(values).__name__}, not a mapping of recipe keys to values")
    return parse_recipe({"name": path.stem, **values}, str(path))


def read_yaml(path: Path, invalid: type[OlivebranchError] = UsageError) -> Any:
    """What a YAML file holds.

    Raises:
        OlivebranchError: the file cannot be read; or, as `invalid`, it is not valid YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise invalid(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise OlivebranchError(f"cannot read '{path}': {reason_of(error)}") from None


def parse_recipe(values: dict[str, object], where: str) -> Recipe:
    """Check raw values; see `load_recipe` for the errors."""
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        raise UsageError(f"{where}: {_explain(error)}") from None


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default written out."""
    return yaml.safe_dump(_ADAPTER.dump_python(recipe, mode="json"), sort_keys=False, allow_unicode=True, width=100)


def recipe_names() -> list[str]:
    """Names of the recipes that ship with the project."""
    return sorted(path.stem for path in shared_path("training/recipes").glob("*.yaml"))


def _explain(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        known = [*Recipe.__dataclass_fields__, *(f"lora.{name}" for name in Lora.__dataclass_fields__)]
        close = difflib.get_close_matches(key, known, n=1)
        return f"unknown key '{key}'; " + (f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}")
    return f"{key}: {problem['input']!r} is not allowed: {problem['msg'].lower()}"
