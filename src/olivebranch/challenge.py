"""The behavioural suite: minimal pairs that differ in the one feature that a rule of the codebook decides by.

A model that reads the rule gets both sentences of a pair right; one that reads a word gets one of them wrong. After
contrast sets (Gardner et al. 2020, arXiv:2004.02709) and CheckList (Ribeiro et al. 2020, arXiv:2005.04118).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from olivebranch.errors import OlivebranchError
from olivebranch.recipe import read_yaml
from olivebranch.records import LabelledText, validate
from olivebranch.resources import shared_path
from olivebranch.tagger import Tagger

Pair = tuple[LabelledText, LabelledText]


@dataclass(frozen=True)
class Rule:
    """The pairs of one rule; a file of the suite."""

    name: str
    says: str
    pairs: tuple[Pair, ...]


def load_challenge(path: Path | None = None) -> list[Rule]:
    """The project's suite; or a user's own: a YAML file, or a folder of them.

    Raises:
        OlivebranchError: names the file, the pair, the field, the value and what is allowed.
    """
    path = path or shared_path("data/challenge")
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    if not path.is_dir() and path.suffix not in {".yaml", ".yml"}:
        raise OlivebranchError(f"'{path}' is no .yaml file of pairs; leave --challenge out to measure labelled sentences")
    if not files:
        raise OlivebranchError(f"'{path}' holds no .yaml file; write one for each rule, like those in data/challenge")
    return [_rule(file) for file in files]


def challenge(tagger: Tagger, rules: Sequence[Rule]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Pass rate per rule and in all, with 95 % Wilson intervals, and the pairs that failed.

    A pair passes where both labels are right; `sentences` is the share of single sentences that are.
    """
    texts = [row.text for rule in rules for pair in rule.pairs for row in pair]
    labels = iter([prediction.label for prediction in tagger.tag(texts)])
    results: dict[str, Any] = {}
    failed: list[dict[str, Any]] = []
    every: list[list[bool]] = []
    for rule in rules:
        found = [(next(labels), next(labels)) for _ in rule.pairs]
        hits = [[row.label == label for row, label in zip(*both, strict=True)] for both in zip(rule.pairs, found, strict=True)]
        failed += [
            _failure(rule.name, pair, said) for pair, said, hit in zip(rule.pairs, found, hits, strict=True) if not all(hit)
        ]
        results[rule.name] = {"says": rule.says, **_rates(hits)}
        every += hits
    return {"model": tagger.version, "all": _rates(every), "rules": results}, failed


def _rates(hits: Sequence[Sequence[bool]]) -> dict[str, Any]:
    passed = sum(map(all, hits))
    interval = binomtest(passed, len(hits)).proportion_ci(method="wilson")
    return {
        "pairs": len(hits),
        "passed": {"value": passed / len(hits), "low": float(interval.low), "high": float(interval.high)},
        "sentences": sum(map(sum, hits)) / (2 * len(hits)),
    }


def _failure(rule: str, pair: Pair, found: Sequence[str]) -> dict[str, Any]:
    sides = {
        side: {"text": row.text, "label": row.label, "predicted": label}
        for side, row, label in zip("ab", pair, found, strict=True)
    }
    return {"rule": rule, **sides}


def _rule(file: Path) -> Rule:
    content = read_yaml(file, invalid=OlivebranchError)
    if not isinstance(content, dict) or set(content) != {"says", "pairs"} or not isinstance(content["pairs"], list):
        raise OlivebranchError(f"{file} needs the keys 'says' (the rule) and 'pairs' (a list), like those in data/challenge")
    pairs = tuple(_pair(pair, f"{file} pair {number}") for number, pair in enumerate(content["pairs"], start=1))
    if not pairs:
        raise OlivebranchError(f"{file} holds no pairs; write one or leave the file out")
    return Rule(file.stem, str(content["says"]), pairs)


def _pair(pair: Any, where: str) -> Pair:
    if not isinstance(pair, dict) or set(pair) != {"a", "b"} or not all(isinstance(side, dict) for side in pair.values()):
        raise OlivebranchError(f"{where}: a pair has the sides 'a' and 'b', each with text, label and holder")
    first, second = (validate(LabelledText, pair[side], f"{where} {side}") for side in "ab")
    if first.text == second.text:
        raise OlivebranchError(f"{where}: both sides are the same text; change the one feature of the rule")
    return first, second
