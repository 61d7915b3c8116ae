"""How results look on a terminal. Text from outside is shown as it is: never as markup, never as control codes."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from olivebranch.errors import OlivebranchError


class Bar:
    """A progress bar with a note; shares of the work run from 0 to 1."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=1.0, note="")

    def note(self, done: float, note: str) -> None:
        """Move the bar and say what was reached."""
        self._progress.update(self._task, completed=done, note=note)

    def rate(self, done: float, sentences: int) -> None:
        """Move the bar and say how fast it goes."""
        seconds = self._progress.tasks[self._task].elapsed or 0
        self.note(done, f"{sentences / seconds:,.0f} sentences/s" if seconds else "")


@contextmanager
def progress_bar(what: str, interrupted: str) -> Iterator[Bar]:
    """A bar with time spent and time left on stderr, where a terminal is there.

    Raises:
        OlivebranchError: with the text `interrupted`, on Ctrl-C.
    """
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}"))
    progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal)
    try:
        with progress:
            yield Bar(progress, what)
    except KeyboardInterrupt:
        raise OlivebranchError(interrupted) from None


_OUT = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def plain(value: object) -> Text:
    """Text without control characters, so that no input can move the cursor or colour the screen."""
    return Text("".join(letter if letter.isprintable() else " " for letter in str(value)))


def show_predictions(tables: Iterable[pa.Table], most: int, colours: Mapping[str, str]) -> None:
    """The first `most` sentences: label, confidence, holder, sentence. A question mark: the model abstains."""
    table = Table("label", "conf.", "holder", "sentence", box=None, pad_edge=False)
    shown = total = 0
    for chunk in tables:
        total += len(chunk)
        for row in chunk.slice(0, max(0, most - shown)).to_pylist():
            label = Text(row["label"] + (" ?" if row["abstained"] else ""), style=colours.get(row["label"], "dim"))
            sentence = plain(row["sentence"])
            sentence.stylize(colours.get(row["label"], "dim"))
            table.add_row(label, f"{row['confidence']:.2f}", plain(row["holder"] or ""), sentence)
            shown += 1
    _OUT.print(table)
    if total > shown:
        _OUT.print(f"… {total - shown} more sentences; use --output to keep them all", style="dim")


def show_metrics(metrics: Mapping[str, Any]) -> None:
    """The numbers of an evaluation, the headline first."""
    _OUT.print(f"{metrics['model']} on {metrics['sentences']} sentences")
    scores = Table("", "macro-F1", "95 % interval", box=None, pad_edge=False)
    scores.add_row("this model", *_interval(metrics["macro_f1"]), style="bold")
    for name, score in metrics.get("floors", {}).items():
        scores.add_row(name, *_interval(score))
    _OUT.print(scores)
    columns = ("label", "precision", "recall", "F1", "95 % interval", "sentences", "ECE", "Brier")
    classes = Table(*columns, box=None, pad_edge=False)
    for label, row in metrics["per_class"].items():
        found = (f"{row['precision']:.3f}", f"{row['recall']:.3f}", *_interval(row["f1"]))
        classes.add_row(label, *found, str(row["support"]), f"{row['ece']:.3f}", f"{row['brier']:.3f}")
    _OUT.print("\nper class")
    _OUT.print(classes)
    _show_confusion(metrics["confusion"])
    _show_confidence(metrics)
    for name, groups in metrics.get("by", {}).items():
        _show_groups(name, groups)


def _show_groups(name: str, groups: Mapping[str, Any]) -> None:
    table = Table(escape(name), "sentences", "labels", "error", "macro-F1", "95 % interval", box=None, pad_edge=False)
    for group, row in groups.items():
        value, interval = _interval(row["macro_f1"])
        table.add_row(plain(group), str(row["sentences"]), str(row["labels"]), f"{row['error']:.3f}", value, interval)
    _OUT.print("\napart; macro-F1 over the labels that each group has")
    _OUT.print(table)


def _show_confusion(confusion: Mapping[str, Any]) -> None:
    short = [label.split("_")[0] for label in confusion["labels"]]
    table = Table("true \\ predicted", *short, box=None, pad_edge=False)
    for label, row in zip(confusion["labels"], confusion["rows_true_columns_predicted"], strict=True):
        table.add_row(label, *map(str, row))
    _OUT.print("\nconfusion")
    _OUT.print(table)


def _show_confidence(metrics: Mapping[str, Any]) -> None:
    before, after = metrics["calibration"]["before"], metrics["calibration"]["after"]
    rest = metrics["abstention"]
    table = Table("calibration", "ECE", "Brier", box=None, pad_edge=False)
    table.add_row("before temperature scaling", f"{before['ece']:.3f}", f"{before['brier']:.3f}")
    table.add_row(f"after (T = {metrics['calibration']['temperature']:.2f})", f"{after['ece']:.3f}", f"{after['brier']:.3f}")
    _OUT.print()
    _OUT.print(table)
    error = "all abstained" if rest["error_of_the_rest"] is None else f"error of the rest {rest['error_of_the_rest']:.1%}"
    _OUT.print(f"abstains on {rest['abstained']:.1%} (confidence below {rest['threshold']:.2f}); {error}")
    at_80 = next(row for row in metrics["risk_coverage"] if row["coverage"] == 0.8)
    _OUT.print(f"on the most confident 80 %: macro-F1 {at_80['macro_f1']:.3f}, error {at_80['error']:.1%}")
    holder = metrics["holder"]
    named = f"; F1 {holder['exact']['f1']:.3f} exact, {holder['partial']['f1']:.3f} partial" if "exact" in holder else ""
    _OUT.print(
        f"holder (or nobody) exactly right on {holder['exact_match']:.1%} of {holder['sentences']} stance sentences{named}"
    )


def show_challenge(found: Mapping[str, Any]) -> None:
    """Pass rate per rule of the behavioural suite."""
    _OUT.print(f"{found['model']} on {found['all']['pairs']} minimal pairs; a pair passes where both sentences are right")
    table = Table("rule", "pairs", "passed", "95 % interval", "sentences right", box=None, pad_edge=False)
    for name, row in [*found["rules"].items(), ("all", found["all"])]:
        value, interval = _interval(row["passed"])
        style = "bold" if name == "all" else ""
        table.add_row(plain(name), str(row["pairs"]), value, interval, f"{row['sentences']:.3f}", style=style)
    _OUT.print(table)


def show_probe(found: Mapping[str, Mapping[str, float]]) -> None:
    """How far the label can be told without the text."""
    table = Table("seen", "statements", "accuracy", "majority", "difference", box=None, pad_edge=False)
    for name, row in found.items():
        accuracy, majority = row["accuracy"], row["majority"]
        table.add_row(name, str(row["statements"]), f"{accuracy:.3f}", f"{majority:.3f}", f"{accuracy - majority:+.3f}")
    _OUT.print(table)


def show_suspects(found: Iterable[Mapping[str, Any]]) -> None:
    """Likely label errors, the worst first."""
    table = Table("id", "label", "p", "rather", "text", box=None, pad_edge=False)
    for row in found:
        table.add_row(row["id"], row["label"], f"{row['quality']:.2f}", row["suggested"], plain(row["text"]))
    _OUT.print(table)
    _OUT.print(f"{table.row_count} suspects; read each again, a suspect is not yet an error", style="dim")


def show_stats(counts: Mapping[str, Any]) -> None:
    """Counts of a dataset."""
    splits = counts["labels"]
    table = Table("label", *splits, "all", box=None, pad_edge=False)
    for label in next(iter(splits.values())):
        row = [split[label] for split in splits.values()]
        table.add_row(label, *map(str, row), f"{sum(row)} ({sum(row) / counts['statements']:.1%})")
    table.add_row("all", *(str(sum(split.values())) for split in splits.values()), str(counts["statements"]), style="bold")
    _OUT.print(table)
    for name in ("registers", "streams", "largest_conflicts"):
        _OUT.print(f"{name.replace('_', ' ')}: " + ", ".join(f"{key} {value}" for key, value in counts[name].items()))
    _OUT.print(f"conflicts: {counts['conflicts']}; only in test: {', '.join(counts['unseen_conflicts']) or 'none'}")
    _OUT.print("words: {shortest} to {longest}, median {median:.0f}".format(**counts["words"]))
    _OUT.print(f"stances that name no holder: {counts['stances_without_holder']:.1%}")


def show_agreement(found: Mapping[str, Any]) -> None:
    """Agreement by group, each measure with its interval."""
    table = Table("group", "statements", "raw", "95 %", "kappa", "95 %", "alpha", "95 %", box=None, pad_edge=False)
    for name, row in found["groups"].items():
        cells = [cell for measure in ("raw", "kappa", "alpha") for cell in _interval(row[measure])]
        table.add_row(name, str(row["statements"]), *cells)
    _OUT.print(table)
    holder = found["holder"]
    _OUT.print(f"equal holders on {holder['equal']:.1%} of the {holder['statements']} statements where both see a stance")


def _interval(score: Mapping[str, float]) -> tuple[str, str]:
    return f"{score['value']:.3f}", f"{score['low']:.3f}–{score['high']:.3f}"
