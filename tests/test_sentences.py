import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivebranch.sentences import split

AWKWARD = st.sampled_from(list('aZé.?!…"“”‘’()\n\r\t \u00a0\u200b\u2028\x00\x0b\x851,;:-😀'))
TEXTS = st.text(alphabet=AWKWARD | st.characters(exclude_categories=["Cs"]), max_size=300)


@given(TEXTS)
@settings(max_examples=300)
def test_sentences_are_in_order_trimmed_and_cover_all_that_is_not_blank(text: str) -> None:
    spans = split(text)
    covered = set()
    last = 0
    for start, end in spans:
        assert last <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        covered.update(range(start, end))
        last = end
    assert all(index in covered for index, letter in enumerate(text) if not letter.isspace())


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in split(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t ", []),
        ("Gen. Okoro met Dr. Ruiz. They talked.", ["Gen. Okoro met Dr. Ruiz.", "They talked."]),
        ("Junta walks out\n\nIt left at noon.", ["Junta walks out", "It left at noon."]),
        ("First headline\nSecond headline\nThird headline", ["First headline", "Second headline", "Third headline"]),
        (
            "The army said that it\nwould go on. The rebels\ndid not reply.",
            ["The army said that it\nwould go on.", "The rebels\ndid not reply."],
        ),
        ("1. The guns fall silent.", ["1. The guns fall silent."]),
        ("They said “no.” Then they left.", ["They said “no.”", "Then they left."]),
    ],
)
def test_known_cases(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected
