"""Which sentence splitter? Boundary precision, recall, F1 and speed of maintained libraries on hand-set documents.

    pip install sentencex pysbd syntok nupunkt blingfire
    python -m benchmarks.segmentation                      # our documents: quotes, abbreviations, headlines …
    python -m benchmarks.segmentation --pool POOL.jsonl    # also: real sentences, joined by spaces at random

Each library is called as its documentation says; whatever offsets it gives are mapped to the end of the last
character that is not blank, so that only the boundaries count. A blank line is a boundary for all of them.
"""

import argparse
import importlib
import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

Ends = set[int]
Splitter = Callable[[str], list[str]]


def splitters() -> dict[str, Splitter]:
    """The candidates that are installed: text in, pieces in order out."""

    def sentencex() -> Splitter:
        module = importlib.import_module("sentencex")
        return lambda text: list(module.segment("en", text))

    def pysbd() -> Splitter:
        segmenter = importlib.import_module("pysbd").Segmenter(language="en", clean=False)
        return lambda text: list(segmenter.segment(text))

    def syntok() -> Splitter:
        module = importlib.import_module("syntok.segmenter")
        return lambda text: [
            text[sentence[0].offset : sentence[-1].offset + len(sentence[-1].value)]
            for paragraph in module.process(text)
            for sentence in paragraph
        ]

    def nupunkt() -> Splitter:
        return importlib.import_module("nupunkt").sent_tokenize

    def blingfire() -> Splitter:
        module = importlib.import_module("blingfire")
        return lambda text: module.text_to_sentences(text).split("\n")

    def ours() -> Splitter:
        module = importlib.import_module("olivebranch.sentences")
        return lambda text: [text[start:end] for start, end in module.split(text)]

    found = {}
    for make in (sentencex, pysbd, syntok, nupunkt, blingfire, ours):
        try:
            found[make.__name__] = make()
        except ImportError:
            print(f"{make.__name__}: not installed, left out")
    return found


def letters_before_ends(pieces: list[str]) -> Ends:
    """Boundaries, counted in characters that are not blank, so that no library's trimming matters."""
    ends, total = set(), 0
    for piece in pieces:
        total += len(re.sub(r"\s", "", piece))
        ends.add(total)
    return ends


def documents(pool: Path | None) -> dict[str, list[tuple[str, Ends]]]:
    """Kind of document -> texts with their true boundaries."""
    kinds: dict[str, list[tuple[str, Ends]]] = {}
    for line in Path(__file__).with_suffix(".jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = row.get("joiner", " ").join(row["sentences"])
        kinds.setdefault(row["kind"], []).append((text, letters_before_ends(row["sentences"])))
    if pool:
        rows = [json.loads(line) for line in pool.read_text(encoding="utf-8").splitlines()]
        real = [row["text"].strip() for row in rows if row["text"].strip()[-1:] in ".?!" and "headline" not in row["source"]]
        random.Random(0).shuffle(real)
        kinds["real pool"] = [
            (" ".join(real[start : start + 20]), letters_before_ends(real[start : start + 20]))
            for start in range(0, len(real), 20)
        ]
    return kinds


def main() -> None:
    """Print a table: one row a library, F1 for each kind of document, characters per second over all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, help="JSONL with real sentences in the column text")
    kinds = documents(parser.parse_args().pool)
    print("| library | " + " | ".join(kinds) + " | all: precision / recall | million characters/s |")
    for name, split in splitters().items():
        cells, sums, seconds, characters = [], [0, 0, 0], 0.0, 0
        for rows in kinds.values():
            counts = [0, 0, 0]
            for text, gold in rows:
                start = time.perf_counter()
                pieces = split(text)
                seconds += time.perf_counter() - start
                characters += len(text)
                found = letters_before_ends(pieces)
                counts = [a + b for a, b in zip(counts, (len(found & gold), len(found), len(gold)), strict=True)]
            cells.append(f"{2 * counts[0] / (counts[1] + counts[2]):.3f}")
            sums = [a + b for a, b in zip(sums, counts, strict=True)]
        rate = characters / seconds / 1e6
        print(f"| {name} | " + " | ".join(cells) + f" | {sums[0] / sums[1]:.3f} / {sums[0] / sums[2]:.3f} | {rate:.2f} |")


if __name__ == "__main__":
    main()
