"""The learning curve: a recipe on nested samples of the training statements, several seeds each, as a table and a plot.

python training/curve.py --real ../shared/real/dev.jsonl
python training/curve.py --recipe minilm --seeds 0 1 2 --output runs/curve --plot docs/learning-curve.svg

Runs that are finished in --output are not run again, so that an interrupted curve goes on where it stopped.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from olivebranch.errors import OlivebranchError
from olivebranch.recipe import Recipe, load_recipe
from olivebranch.records import LabelledText
from olivebranch.runs import measure_once
from olivebranch.statements import read_labelled
from olivebranch.training import load_data

Scores = dict[str, float]


def main() -> None:
    """Run what is missing, then print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="minilm")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2000, 4000, 8000], help="the whole is added")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--real", type=Path, help="labelled real sentences, which stay outside the project")
    parser.add_argument("--output", type=Path, default=Path("runs/curve"))
    parser.add_argument("--plot", type=Path, help="write a picture here (.svg or .png)")
    given = parser.parse_args()
    try:
        follow(given)
    except OlivebranchError as error:
        parser.error(str(error))


def follow(given: argparse.Namespace) -> None:
    """Every size with every seed, then the table and the plot."""
    recipe = load_recipe(given.recipe)
    whole = len(load_data(replace(recipe, limit=None)).train)
    sizes = [size for size in given.sizes if size < whole] + [whole]
    real = read_labelled(given.real) if given.real else None
    points = []
    for seed in given.seeds:
        for size in sizes:
            scores = run(replace(recipe, seed=seed, limit=size), given.output / f"{size}-seed{seed}", real)
            print(f"{size} statements, seed {seed}: {scores}", flush=True)
            points += [{"statements": size, "seed": seed, "text": text, "score": score} for text, score in scores.items()]
    print(table(points))
    if given.plot:
        draw(points, given.plot)


def run(recipe: Recipe, folder: Path, real: Sequence[LabelledText] | None) -> Scores:
    """Macro-F1 on validation and on the real sentences."""
    data = load_data(recipe)
    return measure_once(recipe, data, folder, {"validation": data.validation, **({"real dev": real} if real else {})})


def table(points: Sequence[dict[str, Any]]) -> str:
    """Mean over the seeds, with the least and the most, in Markdown."""
    texts = _values(points, "text")
    lines = [f"| statements | {' | '.join(texts)} |", "|---" * (1 + len(texts)) + "|"]
    for size in _values(points, "statements"):
        cells = []
        for text in texts:
            scores = [point["score"] for point in points if point["statements"] == size and point["text"] == text]
            cells.append(f"{np.mean(scores):.3f} ({min(scores):.3f}–{max(scores):.3f})")
        lines.append(f"| {size:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(points: Sequence[dict[str, Any]], path: Path) -> None:
    """A line through the means and a dot for each run; needs the extra `notebooks`."""
    import altair as alt
    import pandas as pd

    base = alt.Chart(pd.DataFrame(points)).encode(
        x=alt.X(
            "statements:Q",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(values=_values(points, "statements")),
            title="training statements (logarithmic)",
        ),
        color=alt.Color("text:N", title=None, scale=alt.Scale(range=["#0072b2", "#d55e00"])),
    )
    line = base.mark_line().encode(y=alt.Y("mean(score):Q", scale=alt.Scale(zero=False), title="macro-F1"))
    dots = base.mark_circle(size=45).encode(y="score:Q", tooltip=["statements", "seed", "score"])
    (line + dots).properties(width=480, height=300).save(str(path))


def _values(points: Iterable[dict[str, Any]], key: str) -> list[Any]:
    return list(dict.fromkeys(point[key] for point in points))


if __name__ == "__main__":
    main()
