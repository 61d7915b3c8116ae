"""Write the cards of the released models, the table of models and the table in README.md anew, from their metrics.

make cards
python training/cards.py --real ../shared/real/dev.jsonl     # measure the released models on real sentences first
"""

import argparse
import json
from pathlib import Path

from olivebranch.cards import PLOT, read_json, write_card, write_models_table, write_readme_table
from olivebranch.evaluation import evaluate
from olivebranch.plots import draw_confidence
from olivebranch.resources import shared_folder
from olivebranch.statements import length_group, read_groups, read_labelled
from olivebranch.tagger import Tagger


def main() -> None:
    """Regenerate every card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, help="labelled real sentences with their source, which stay outside the project")
    real = parser.parse_args().real
    models = shared_folder() / "models"
    for manifest in sorted(models.glob("*/olivebranch.json")):
        if real:
            measure(manifest.parent, real)
        write_card(manifest.parent)
    write_models_table(models)
    write_readme_table(shared_folder() / "README.md", models)


def measure(folder: Path, real: Path) -> None:
    """Put the scores on real sentences into the model's metrics."""
    path = folder / "metrics.json"
    metrics, rows = read_json(path), read_labelled(real)
    groups = {"source": read_groups(real, "source"), "length": [length_group(row.text) for row in rows]}
    metrics["real_dev"] = evaluate(Tagger.load(folder), rows, by=groups)[0]
    path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    draw_confidence(metrics["real_dev"], folder / PLOT)


if __name__ == "__main__":
    main()
