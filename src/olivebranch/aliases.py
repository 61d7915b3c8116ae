"""Names of one party: the table that lets a report count Moscow and the Kremlin as one holder."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from olivebranch.errors import UsageError
from olivebranch.recipe import read_yaml
from olivebranch.resources import shared_path

Aliases = Mapping[str, str]
"""What a text calls a party, as `key` writes it -> the party."""

_ARTICLE: Final = re.compile(r"^(the|a|an) ", re.IGNORECASE)
_LONGEST_ACRONYM: Final = 4


def load_aliases(own: Path | None = None) -> Aliases:
    """The project's table, and over it a user's: YAML, each party with a list of what else it is called.

    A party of the project's that the user's table puts under another one takes its names along.

    Raises:
        UsageError: a table is not of that form, or gives one name to two parties.
        OlivebranchError: it cannot be read.
    """
    known, mine = _read(shared_path("data/aliases.yaml")), _read(own) if own else {}
    return {**{name: mine.get(key(whose), whose) for name, whose in known.items()}, **mine}


def party(holder: str, aliases: Aliases) -> str:
    """The party that a holder is a name of; the holder itself where the table does not know it."""
    name = key(holder)
    return aliases.get(name) or aliases.get(name.casefold()) or holder


def key(name: str) -> str:
    """A name without what does not tell parties apart: spacing, a leading article, and case, but for acronyms (US, not us)."""
    bare = _ARTICLE.sub("", " ".join(name.split()))
    return bare if bare.isupper() and len(bare.replace(".", "")) <= _LONGEST_ACRONYM else bare.casefold()


def _read(path: Path) -> dict[str, str]:
    table = read_yaml(path)
    if not isinstance(table, dict):
        raise UsageError(f"{path} holds {type(table).__name__}, not a mapping of parties to lists of names")
    found: dict[str, str] = {}
    for name, others in table.items():
        if not isinstance(others, list) or not all(isinstance(other, str) and other.strip() for other in [name, *others]):
            raise UsageError(f"{path}: {name}: {others!r} is not a list of names; write {name}: [one, another]")
        for other in [name, *others]:
            if found.setdefault(key(other), name) != name:
                raise UsageError(f"{path}: '{other}' stands under {found[key(other)]} and under {name}; leave it with one")
    return found
