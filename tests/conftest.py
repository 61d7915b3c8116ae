"""Tiny models and statements, made on the spot; nothing here touches a network."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    DebertaV2Config,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    set_seed,
)
from transformers.models.auto.modeling_auto import AutoModel

from olivebranch.checkpoints import Manifest
from olivebranch.finetuning import TrainingData
from olivebranch.recipe import Recipe, parse_recipe
from olivebranch.records import LabelledText
from olivebranch.training import train

STATEMENTS = [
    ("Varna is ready to sit down with the rebels.", "pro_negotiation", "Varna"),
    ("The premier offered a truce on Monday.", "pro_negotiation", "premier"),
    ("Monks call for talks.", "pro_negotiation", "Monks"),
    ("The rebels accepted the plan.", "pro_negotiation", "rebels"),
    ("The rebels turned the plan down.", "rejection", "rebels"),
    ("Varna will not meet the envoy.", "rejection", "Varna"),
    ("The premier walked out of the talks.", "rejection", "premier"),
    ("Nothing to discuss, says the army.", "rejection", "army"),
    ("The army doubts that the offer is serious.", "skepticism", "army"),
    ("A ploy to buy time, says Varna.", "skepticism", "Varna"),
    ("Little will come of it, the monks fear.", "skepticism", "monks"),
    ("The premier sees no sign of goodwill.", "skepticism", "premier"),
    ("No truce until they leave our land, says Varna.", "maximalist_demand", "Varna"),
    ("The rebels must lay down their arms first.", "maximalist_demand", None),
    ("The army wants the border recognised before any talks.", "maximalist_demand", "army"),
    ("Our goals have not changed and will be met.", "maximalist_demand", None),
    ("Shells fell on the market at noon.", "none", None),
    ("The envoy arrived on Tuesday.", "none", None),
    ("Bread rose by a fifth.", "none", None),
    ("The talks will be held in the old hotel.", "none", None),
    ("Rain is expected until Friday.", "none", None),
    ("He thanked the nurses of the town.", "none", None),
    ("The war began in October.", "none", None),
    ("Two drivers were killed on the road.", "none", None),
]
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "pad_token_id": 0,
    "initializer_range": 0.2,  # so small a model learns nothing from the usual, smaller start
}
BASES = {"bert": BertConfig, "modernbert": ModernBertConfig, "deberta": DebertaV2Config, "xlm-roberta": XLMRobertaConfig}


@pytest.fixture(scope="session")
def rows() -> list[LabelledText]:
    return [LabelledText(text=text, label=label, holder=holder) for text, label, holder in STATEMENTS]


@pytest.fixture(scope="session")
def make_base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with an untrained model of a few thousand weights and a word tokenizer."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            tokenizer = _tokenizer()
            tokenizer.save_pretrained(folder)
            set_seed(0)
            AutoModel.from_config(BASES[kind](vocab_size=len(tokenizer), **SIZES)).save_pretrained(folder)
            made[kind] = folder
        return made[kind]

    return make


@pytest.fixture(scope="session")
def tiny_base(make_base: Callable[[str], Path]) -> Path:
    return make_base("bert")


@pytest.fixture(scope="session")
def make_recipe(tiny_base: Path) -> Callable[..., Recipe]:
    def make(**values: object) -> Recipe:
        defaults: dict[str, object] = {"name": "tiny", "base": str(tiny_base), "epochs": 1, "batch_size": 8, "max_length": 32}
        return parse_recipe({**defaults, **values}, "test")

    return make


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, make_recipe: Callable[..., Recipe], rows: list[LabelledText]) -> Path:
    """A fine-tuned adapter folder."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    recipe = make_recipe(learning_rate=5e-3, epochs=2, pooling="mean", lora={"rank": 2, "train_also": ["LayerNorm"]})
    train(recipe, TrainingData(rows, rows), folder)
    return folder


@pytest.fixture
def linear_manifest() -> Manifest:
    return Manifest(name="floor", kind="tfidf", base=None)


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as JSON lines and return the path."""

    def write(rows: list[dict[str, object]], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: exit code, stdout, stderr."""
    from olivebranch.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["olivebranch", *map(str, arguments)])
        try:
            main()
            code: object = 0
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return int(str(code or 0)), out, err

    return run


def _tokenizer() -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    split = pre_tokenizers.BertPreTokenizer()
    words = sorted({word.lower() for text, *_ in STATEMENTS for word, _ in split.pre_tokenize_str(text)})
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate([*special, *words])}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = split
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names)
