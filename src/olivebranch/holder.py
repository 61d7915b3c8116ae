"""From a score for each token to the words that name the holder."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

OUTSIDE, BEGIN, INSIDE = range(3)
_ABBREVIATION = re.compile(r"\b(?:[A-Za-z]\.){2,}")


@dataclass(frozen=True)
class HolderSpan:
    """Character offsets into the sentence, and the mean probability of its tokens to name the holder."""

    start: int
    end: int
    confidence: float


def best_span(sentence: str, probs: NDArray[np.floating], offsets: Sequence[tuple[int, int]]) -> HolderSpan | None:
    """The most likely holder, widened to whole words; None where every token is outside.

    Args:
        probs: (tokens, 3) probabilities of outside, begin, inside.
        offsets: character span of each token; special tokens have an empty one.
    """
    tags = probs.argmax(axis=1)
    tags[[start == end for start, end in offsets]] = OUTSIDE
    if not tags.any():
        return None
    spans = []
    for tokens in _runs(tags):
        start, end = _without_punctuation(sentence, offsets[tokens[0]][0], offsets[tokens[-1]][1])
        if start == end:
            continue
        start, end = _whole_abbreviations(sentence, *_whole_words(sentence, start, end))
        spans.append(HolderSpan(start, end, float(1 - probs[tokens, OUTSIDE].mean())))
    return max(spans, key=lambda span: span.confidence, default=None)


def span_tags(text: str, holder: str | None, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The target tag of each token; the first place where the holder stands as whole words counts."""
    if holder is None:
        return [OUTSIDE] * len(offsets)
    begin = find_words(text, holder)
    end = begin + len(holder)
    inside = [start < end and stop > begin and start < stop for start, stop in offsets]
    first = inside.index(True) if True in inside else -1
    return [BEGIN if index == first else INSIDE if flag else OUTSIDE for index, flag in enumerate(inside)]


def find_words(text: str, part: str) -> int:
    """Where `part` stands in `text` as whole words, else where it stands at all."""
    start = text.find(part)
    while start >= 0:
        if _whole_words(text, start, start + len(part)) == (start, start + len(part)):
            return start
        start = text.find(part, start + 1)
    return text.find(part)


def _runs(tags: NDArray[np.integer]) -> list[list[int]]:
    """Token indices of each span; a begin tag opens a new one."""
    runs: list[list[int]] = []
    for is_holder, group in groupby(range(len(tags)), key=lambda index: tags[index] != OUTSIDE):
        for position, index in enumerate(group if is_holder else ()):
            if position == 0 or tags[index] == BEGIN:
                runs.append([])
            runs[-1].append(index)
    return runs


def _without_punctuation(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not text[end - 1].isalnum():
        end -= 1
    return start, end


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    while start > 0 and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end].isalnum() and text[end - 1].isalnum():
        end += 1
    return start, end


def _whole_abbreviations(text: str, start: int, end: int) -> tuple[int, int]:
    """A span that touches "U.S." takes all of it, the last dot too."""
    for found in _ABBREVIATION.finditer(text):
        if found.start() < end and start < found.end():
            start, end = min(start, found.start()), max(end, found.end())
    return start, end
