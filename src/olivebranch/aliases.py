"""Names of one party: the table that lets a report count Moscow and the Kremlin as one holder."""

import re
from collections.abc import Mapping
from pathlib import Path

from olivebranch.errors import UsageError
from olivebranch.recipe import read_yaml
from olivebranch.resources import shared_path

Aliases = Mapping[str, str]
"""What a text calls a party, as `key` writes it -> the party."""

_ARTICLE = re.compile(r"^(the|a|an) ", re.IGNORECASE)


def load_aliases(own: Path | None = None) -> Aliases:
    """The project's table, and over it a user's: YAML, each party with a list of what else it is called.

    Raises:
        UsageError: a table is not of that form, or gives one name to two parties.
        OlivebranchError: it cannot be read.
    """
    return {**_read(shared_path("data/aliases.yaml")), **(_read(own) if own else {})}


def party(holder: str, aliases: Aliases) -> str:
    """The party that a holder is a name of; the holder itself where the table does not know it."""
    return aliases.get(key(holder), holder)


def key(name: str) -> str:
    """A name without what does not tell parties apart: case, spacing, a leading article."""
    return _ARTICLE.sub("", " ".join(name.split())).casefold()


def _read(path: Path) -> dict[str, str]:
    table = read_yaml(path)
    if not isinstance(table, dict):
        raise UsageError(f"{path} holds {type(table).__name__}, not a mapping of parties to lists of names")
    found: dict[str, str] = {}
    for name, others in table.items():
        if not isinstance(others, list) or not all(isinstance(other, str) for other in [name, *others]):
            raise UsageError(f"{path}: {name}: {others!r} is not a list of names; write {name}: [one, another]")
        for other in [name, *others]:
            if found.setdefault(key(other), name) != name:
                raise UsageError(f"{path}: '{other}' stands under {found[key(other)]} and under {name}; leave it with one")
    return found
