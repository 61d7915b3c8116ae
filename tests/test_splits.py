from hypothesis import given, settings
from hypothesis import strategies as st

from olivebranch.records import Annotation, Statement
from olivebranch.splits import assign_splits, near_duplicates

WORDS = [
    "army",
    "bridge",
    "council",
    "dawn",
    "envoy",
    "flour",
    "general",
    "harbour",
    "island",
    "judge",
    "king",
    "letter",
    "market",
    "night",
    "officer",
    "paper",
]


def statement(number: int, conflict: int, document: int, text: str) -> Statement:
    return Statement(
        id=f"s-{number}",
        text=text,
        label="none",
        conflict=f"conflict-{conflict}",
        document=f"conflict-{conflict}-{document}",
        register="reported",
        stream="natural",
        annotations=(Annotation(annotator="a", label="none", holder=None),),
    )


CASES = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.lists(st.sampled_from(WORDS), min_size=6, max_size=12)),
    min_size=2,
    max_size=60,
)


@given(CASES, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_documents_and_near_duplicates_stay_together_and_unseen_conflicts_are_test(
    cases: list[tuple[int, int, list[str]]], seed: int
) -> None:
    rows = [statement(n, conflict, document, " ".join(words)) for n, (conflict, document, words) in enumerate(cases)]
    splits = assign_splits(rows, frozenset({"conflict-0"}), seed=seed)
    home: dict[str, str] = {}
    for row, split in zip(rows, splits, strict=True):
        assert home.setdefault(row.document, split) == split
        assert split == "test" or row.conflict != "conflict-0"
    for left, right, _ in near_duplicates([row.text for row in rows]):
        assert splits[left] == splits[right]
    assert splits == assign_splits(rows, frozenset({"conflict-0"}), seed=seed)


def test_a_changed_word_is_a_near_duplicate_and_another_sentence_is_not() -> None:
    texts = [
        "The rebels in the northern hills turned the mediator's plan down on Tuesday.",
        "The rebels in the northern hills turned the mediator's plan down on Wednesday.",
        "Bread rose by a fifth in the capital, the statistics office said.",
    ]
    assert [(left, right) for left, right, _ in near_duplicates(texts)] == [(0, 1)]
