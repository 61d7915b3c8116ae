"""Splits that do not leak: grouped by document, with near-duplicates tied together, whole conflicts held out."""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer

from olivebranch.records import Statement

NEAR_DUPLICATE: Final = 0.8
"""Cosine of character n-gram tf-idf vectors from which two texts count as one."""


def near_duplicates(texts: Sequence[str], threshold: float = NEAR_DUPLICATE) -> list[tuple[int, int, float]]:
    """Pairs (i, j, cosine) with i < j whose character 3- to 5-gram tf-idf vectors are closer than `threshold`."""
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32).fit_transform(texts)
    pairs: list[tuple[int, int, float]] = []
    for start in range(0, len(texts), 512):
        block = (vectors[start : start + 512] @ vectors.T).tocoo()
        close = (block.data >= threshold) & (block.row + start < block.col)
        pairs += zip((block.row[close] + start).tolist(), block.col[close].tolist(), block.data[close].tolist(), strict=True)
    return pairs


def assign_splits(
    statements: Sequence[Statement],
    unseen_conflicts: frozenset[str],
    shares: tuple[float, float] = (0.12, 0.08),
    seed: int = 0,
) -> list[str]:
    """A split name for each statement.

    Statements of one document, and documents that share a near-duplicate, stay together. Documents of
    `unseen_conflicts` go to test; of the others about `shares[0]` to validation and `shares[1]` to test.
    """
    components = _components(statements)
    unseen = {part for part, row in zip(components, statements, strict=True) if row.conflict in unseen_conflicts}
    sizes = Counter(components)
    rest = sorted(set(sizes) - unseen)
    Random(seed).shuffle(rest)
    split_of = dict.fromkeys(unseen, "test")
    wanted = {"validation": shares[0] * len(statements), "test": shares[1] * len(statements)}
    for part in rest:
        name = next((name for name in wanted if wanted[name] >= sizes[part] / 2), "train")
        split_of[part] = name
        if name in wanted:
            wanted[name] -= sizes[part]
    return [split_of[part] for part in components]


def _components(statements: Sequence[Statement]) -> list[int]:
    """The number of the group that each statement belongs to."""
    first_of: dict[str, int] = {}
    links = [(index, first_of.setdefault(row.document, index)) for index, row in enumerate(statements)]
    links += [(left, right) for left, right, _ in near_duplicates([row.text for row in statements])]
    left, right = np.array(links).T
    graph = csr_matrix((np.ones(len(links)), (left, right)), shape=(len(statements), len(statements)))
    return [int(part) for part in connected_components(graph, directed=False)[1]]
