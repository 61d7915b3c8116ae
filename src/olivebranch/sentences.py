"""Sentence segmentation with exact offsets.

sentencex (Wikimedia, MIT) does the work: of the maintained libraries it lost the fewest boundaries on real text
and is twenty times faster than the next; `benchmarks/segmentation.py` has the comparison.
"""

import re
from collections.abc import Iterator

from sentencex import get_sentence_boundaries

Span = tuple[int, int]

_LINE = re.compile(r"[^\r\n]+")
_BLOCK = re.compile(r"(?:[^\r\n]|\r?\n(?!\s*\r?\n)|\r(?!\n))+")
_BREAK = re.compile(r"\S[ \t]*\r?\n[ \t]*(?=\S)")
_WRAPPED = 0.2


def split(text: str) -> list[Span]:
    """Sentences of a document as (start, end) character offsets, in order.

    `text[start:end]` is the sentence without surrounding blanks; together they cover all that is not blank.
    A blank line always ends a sentence. A single line break does so too (headlines, one sentence a line),
    unless the document looks hard-wrapped: at least a fifth of its lines go on in lower case.
    """
    return _with_list_numbers([span for start, end in _blocks(text) for span in _sentences(text, start, end)], text)


def trim(text: str, start: int, end: int) -> Span:
    """The span without the blanks at its ends."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _blocks(text: str) -> Iterator[Span]:
    pattern = _BLOCK if _is_wrapped(text) else _LINE
    for match in pattern.finditer(text):
        yield match.span()


def _is_wrapped(text: str) -> bool:
    following = [text[match.end()] for match in _BREAK.finditer(text)]
    return bool(following) and sum(letter.islower() for letter in following) >= _WRAPPED * len(following)


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    for piece in get_sentence_boundaries("en", text[start:end]):
        span = trim(text, start + piece["start_index"], start + piece["end_index"])
        if span[0] < span[1]:
            yield span


def _with_list_numbers(spans: list[Span], text: str) -> list[Span]:
    """Join a piece without letters ("1.", "…") to the sentence that follows it on its line."""
    joined: list[Span] = []
    held: int | None = None
    for index, (start, end) in enumerate(spans):
        begin = start if held is None else held
        last = index + 1 == len(spans) or "\n" in text[end : spans[index + 1][0]]
        if last or any(letter.isalpha() for letter in text[start:end]):
            joined.append((begin, end))
            held = None
        else:
            held = begin
    return joined
