"""Add new statements to the dataset and assign the splits anew: grouped by document, near-duplicates together.

    python training/split.py new.jsonl
    python training/split.py                  # only assign again

Statements of the conflicts that are held out (`--unseen`) all go to the test split. Running it twice changes nothing.
"""

import argparse
from collections import Counter
from pathlib import Path

from olivebranch.resources import shared_path
from olivebranch.splits import assign_splits
from olivebranch.statements import SPLITS, load_statements, read_statements, split_path, write_statements

UNSEEN = (
    "angola-unita",
    "catalonia",
    "el-salvador-fmln",
    "fiji-coup-crisis",
    "kashmir",
    "nagorno-karabakh",
    "northern-ireland",
    "yemen-houthi",
)


def main() -> None:
    """Read, assign, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("new", nargs="*", type=Path, help="files of statements to add")
    parser.add_argument("--unseen", nargs="*", default=UNSEEN, help="conflicts that only the test split has")
    arguments = parser.parse_args()
    known = [row for split in SPLITS if split_path(split).exists() for row in load_statements(split)]
    added = [row for path in arguments.new for row in read_statements(path)]
    rows = sorted([*known, *added], key=lambda row: row.id)
    splits = assign_splits(rows, frozenset(arguments.unseen))
    shared_path("data/statements").mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        write_statements(split_path(split), [row for row, name in zip(rows, splits, strict=True) if name == split])
    print(f"{len(added)} added; now {dict(Counter(splits))}")


if __name__ == "__main__":
    main()
