"""The whole path once, in a few minutes: train `quick`, compare it with the release, tag the examples, draw the report.

make demo
python training/demo.py --folder demo
"""

import argparse
import shutil
from pathlib import Path

from rich.console import Console
from rich.table import Table

from olivebranch.batch import Options, tag_corpus
from olivebranch.console import progress_bar
from olivebranch.evaluation import evaluate
from olivebranch.report import write_report
from olivebranch.resources import shared_path
from olivebranch.runs import train_run
from olivebranch.statements import load_statements
from olivebranch.tagger import Tagger


def main() -> None:
    """Run the demonstration into a folder, which is made anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("demo"))
    folder = parser.parse_args().folder
    console = Console(highlight=False)
    if folder.exists() and not (folder / "quick").is_dir():
        parser.error(f"'{folder}' exists and is not a demonstration's; choose another --folder")
    shutil.rmtree(folder, ignore_errors=True)

    console.rule("1  fine-tune the recipe quick (under four minutes on two cores)")
    with progress_bar("training", "interrupted") as bar:
        quick = train_run("quick", folder / "quick", progress=bar.note)
    assert quick is not None

    console.rule("2  compare it with the released model, on the test split")
    released = Tagger.load()
    table = Table("", "macro-F1", "95 % interval", box=None)
    for name, tagger in (("quick, just trained", Tagger.load(quick)), ("the released model", released)):
        score = evaluate(tagger, load_statements("test"), floors=False)[0]["macro_f1"]
        table.add_row(name, f"{score['value']:.3f}", f"{score['low']:.3f}–{score['high']:.3f}")
    console.print(table)

    console.rule("3  tag the example texts with the released model, and draw them")
    examples = shared_path("data/examples")
    for name in ("report.txt", "corpus.jsonl"):
        tagged, page = folder / f"{Path(name).stem}.parquet", folder / f"{Path(name).stem}.html"
        options = Options(id_column="id" if name.endswith(".jsonl") else None)
        summary = tag_corpus([str(examples / name)], tagged, released, options)
        write_report(tagged, page, "A war in two languages" if name == "report.txt" else "Five months of a war")
        console.print(f"{name}: {summary.sentences} sentences tagged -> {tagged}\n  open {page.resolve().as_uri()}")


if __name__ == "__main__":
    main()
