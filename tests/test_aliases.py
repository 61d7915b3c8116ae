from pathlib import Path

import pytest

from olivebranch.aliases import load_aliases, party
from olivebranch.errors import OlivebranchError


@pytest.mark.parametrize(
    ("holder", "expected"),
    [
        ("the Kremlin", "Russia"),
        ("U.S.", "United States"),
        ("white  house", "United States"),
        ("mayor of Aru", "mayor of Aru"),
        ("us", "us"),
        ("IRAN", "Iran"),
    ],
)
def test_a_name_leads_to_its_party(holder: str, expected: str) -> None:
    assert party(holder, load_aliases()) == expected


def test_a_table_of_ones_own_wins(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("Front: [FPL, Washington]\n", encoding="utf-8")
    aliases = load_aliases(tmp_path / "mine.yaml")
    assert [party(name, aliases) for name in ("the FPL", "Washington", "Pentagon")] == ["Front", "Front", "United States"]


def test_a_party_that_is_put_under_another_takes_its_names_along(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("The West: [United States, France]\n", encoding="utf-8")
    aliases = load_aliases(tmp_path / "mine.yaml")
    assert {party(name, aliases) for name in ("the White House", "US", "Paris", "France", "the West")} == {"The West"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- Front", "holds list, not a mapping"),
        ("Front: FPL", r"Front: 'FPL' is not a list of names; write Front: \[one, another\]"),
        ("Norway: [no]", "Norway: \\[False\\] is not a list of names"),
        ("Front: [FPL]\nParty: [the FPL]", "'the FPL' stands under Front and under Party; leave it with one"),
        ("Front: ['']", "is not a list of names"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_table_of_another_form_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(OlivebranchError, match=message):
        load_aliases(tmp_path / "mine.yaml")
