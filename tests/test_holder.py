import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olivebranch.holder import BEGIN, INSIDE, best_span, find_words, span_tags

TEXT = "The foreign minister of Varna said no to Varnans."


def offsets(text: str) -> list[tuple[int, int]]:
    """One token a word, between two special tokens."""
    spans, start = [(0, 0)], 0
    for word in text.split():
        start = text.index(word, start)
        spans.append((start, start + len(word)))
        start += len(word)
    return [*spans, (0, 0)]


def certain(tags: list[int]) -> np.ndarray:
    return np.eye(3)[tags] * 0.9 + 0.1 / 3


@given(st.integers(0, 8), st.integers(1, 9))
def test_a_tagged_holder_is_read_back(first: int, count: int) -> None:
    words = offsets(TEXT)[1:-1][first : first + count]
    holder = TEXT[words[0][0] : words[-1][1]].rstrip(".")
    tags = span_tags(TEXT, holder, offsets(TEXT))
    span = best_span(TEXT, certain(tags), offsets(TEXT))
    assert span is not None
    assert TEXT[span.start : span.end] == TEXT[find_words(TEXT, holder) :][: len(holder)]


def test_nobody_named_gives_no_span() -> None:
    assert best_span(TEXT, certain(span_tags(TEXT, None, offsets(TEXT))), offsets(TEXT)) is None


def test_the_surer_of_two_spans_wins() -> None:
    probs = certain([0, 0, BEGIN, INSIDE, 0, BEGIN, 0, 0, 0, 0, 0])
    probs[5] = [0.4, 0.6, 0.0]
    span = best_span(TEXT, probs, offsets(TEXT))
    assert span is not None
    assert TEXT[span.start : span.end] == "foreign minister"


def test_a_part_of_a_word_is_widened_to_the_word() -> None:
    span = best_span("Varnans wait.", certain([BEGIN]), [(0, 5)])
    assert span is not None
    assert (span.start, span.end) == (0, 7)


def test_punctuation_alone_is_nobody() -> None:
    assert best_span("- Yes", certain([BEGIN, 0]), [(0, 1), (2, 5)]) is None


@pytest.mark.parametrize(("part", "start"), [("Varna", 24), ("Varnans", 41), ("arna", 25)])
def test_whole_words_are_preferred(part: str, start: int) -> None:
    assert find_words(TEXT, part) == start


@pytest.mark.parametrize(("text", "token"), [("Protests across the U.S. go on.", (22, 23)), ("U.S. urges talks.", (0, 3))])
def test_an_abbreviation_is_taken_with_all_its_dots(text: str, token: tuple[int, int]) -> None:
    span = best_span(text, certain([BEGIN]), [token])
    assert span is not None
    assert text[span.start : span.end] == "U.S."
