from pathlib import Path

import pytest

from olivebranch.errors import UsageError
from olivebranch.recipe import Recipe, dump_recipe, load_recipe, recipe_names

SHIPPED = {"minilm", "minilm-lora", "minilm-frozen", "tfidf", "quick", "modernbert-base", "deberta-v3-base", "xlm-roberta-base"}


def test_the_promised_recipes_ship_and_load() -> None:
    assert set(recipe_names()) >= SHIPPED
    for name in recipe_names():
        assert load_recipe(name).name == name


def test_a_dumped_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = load_recipe("minilm")
    path = tmp_path / "copy.yaml"
    path.write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(str(path)) == recipe


def test_the_defaults_live_in_the_dataclass() -> None:
    assert "learning_rate" in dump_recipe(Recipe(name="empty"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rat: 1", ["learning_rat", "did you mean 'learning_rate'"]),
        ("epochs: -1", ["epochs", "-1"]),
        ("lora: {rank: 0}", ["lora.rank", "0"]),
        ("method: magic", ["method", "'magic'"]),
        ("- a list", ["list", "mapping"]),
        ("a: [", ["not valid YAML"]),
        ("!!python/object/apply:os.system ['true']", ["not valid YAML"]),
    ],
)
def test_a_bad_recipe_is_one_line_with_key_and_value(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_recipe(str(path))
    assert "\n" not in str(caught.value)
    for word in ["bad.yaml", *words]:
        assert word in str(caught.value)


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"recipe 'nope' not found; .*minilm"):
        load_recipe("nope")
