"""The command line: parses, calls one function, prints. No logic lives here."""

import json
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from olivebranch import __version__
from olivebranch.errors import OlivebranchError, UsageError, reason_of

if TYPE_CHECKING:
    import pyarrow as pa

app = typer.Typer(
    name="olivebranch",
    help="Tags each sentence of text about a conflict with its stance toward negotiation, and names the holder of the stance.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Check, count and compare labelled statements.", no_args_is_help=True)
app.add_typer(data_app, name="data")

PREVIEW_ROWS: Final = 200
_COLOURS: Final = {"pro_negotiation": "green", "rejection": "red", "skepticism": "yellow", "maximalist_demand": "magenta"}

Model = Annotated[
    str | None, typer.Option("--model", "-m", help="Model folder, or name of a released model.", show_default="the release")
]
Engine = Annotated[str, typer.Option(help="auto, torch or onnx.")]
MaxError = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Abstain so that at most this share of the other sentences is wrong.", show_default="0.1"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def main(command: str | None = None) -> None:
    """Run the command line; every expected error is one line on stderr.

    Args:
        command: what to run where the arguments name no command, for the scripts in `training/`.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", category=FutureWarning)  # notes from one library to another
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        app([command, *sys.argv[1:]] if command else None, prog_name="olivebranch")
    except OlivebranchError as error:
        Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"error: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
            f"error: {error.filename or 'a file'}: {reason_of(error)}"
        )
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"olivebranch {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Files, folders, globs, or - for stdin: .txt .md .jsonl .csv .parquet (also .gz, .zst)."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A .jsonl, .csv or .parquet file, or a folder for Parquet shards.",
            show_default="the terminal",
        ),
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column with the text.")] = "text",
    id_column: Annotated[str | None, typer.Option(help="Column that names a document.", show_default="file and row")] = None,
    no_split: Annotated[
        bool, typer.Option("--no-split", help="A row (or a line of a text file) is one sentence already.")
    ] = False,
    model: Model = None,
    engine: Engine = "auto",
    max_error: MaxError = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
) -> None:
    """Tag every sentence of the inputs.

    Each row of the output is a sentence: the columns of its document, then the label, the calibrated confidence, one
    probability per label, whether the model abstains (worth a human look), and the holder of the stance.

    Without --output the result goes to the terminal as a table, or as JSON lines when piped.
    """
    from olivebranch.batch import Options, tag_corpus, tag_stream
    from olivebranch.console import progress_bar
    from olivebranch.tagger import Tagger

    options = Options(text_column=text_column, id_column=id_column, split=not no_split)
    if output is None and (resume or overwrite):
        raise UsageError("--resume and --overwrite need an --output file")
    tagger = Tagger.load(model, engine, max_error)
    if output is None:
        _print_stream(tag_stream(inputs, tagger, options))
        return
    with progress_bar("tagging", f"interrupted; the same command with --resume goes on, '{output}' is not written yet") as bar:
        summary = tag_corpus(inputs, output, tagger, options, resume, overwrite, bar.rate)
    note = f", {summary.blank} without text" if summary.blank else ""
    note += f", after {summary.resumed_parts} parts that were done" if summary.resumed_parts else ""
    _say(f"{summary.sentences} sentences of {summary.documents} documents{note} -> {output}")


@app.command()
def train(
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="A recipe's name or YAML file.", show_default="minilm")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder.", show_default="runs/<recipe>-seed<seed>")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Your own statements: text and label, perhaps holder.", show_default="the project's")
    ] = None,
    validation: Annotated[Path | None, typer.Option(help="Statements to choose by.", show_default="a fifth of --data")] = None,
    init: Annotated[
        str | None, typer.Option(help="Go on from this model (folder or released name) instead of from the base.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed.", show_default="the recipe's")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Fine-tune a model by a recipe, and write it with its card, scores, environment and data hash."""
    from olivebranch.console import progress_bar
    from olivebranch.runs import train_run

    with progress_bar("training", "interrupted; the same command with --resume goes on from the last epoch") as bar:
        folder = train_run(recipe, output, data, validation, init, seed, resume, bar.note)
    if folder is not None:
        _say(f"trained -> {folder}; scores in {folder / 'metrics.json'}, card in {folder / 'README.md'}")


@app.command()
def evaluate(
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Labelled sentences: .jsonl, .csv or .parquet with text and label."),
    ] = None,
    model: Model = None,
    challenge: Annotated[
        bool, typer.Option("--challenge", help="Minimal pairs instead: pass rate per rule (--data: your own .yaml pairs).")
    ] = False,
    by: Annotated[
        str | None, typer.Option(help="Score each value of this column apart (source, register, ...), or `words`: by length.")
    ] = None,
    engine: Engine = "auto",
    max_error: MaxError = None,
    as_json: Json = False,
    misread: Annotated[
        Path | None, typer.Option(help="Write the misread sentences, or the failed pairs, to this .jsonl file.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw a reliability diagram and a risk-coverage curve (.svg, .png or .html).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    no_floors: Annotated[bool, typer.Option("--no-floors", help="Leave the majority and tf-idf floors out.")] = False,
) -> None:
    """Measure a model: macro-F1, each class, confusion, calibration, abstention, holders, with 95 % intervals.

    With --challenge: the share of minimal pairs that it gets right, rule by rule of the codebook.
    """
    from olivebranch import console
    from olivebranch.challenge import challenge as measure_pairs
    from olivebranch.challenge import load_challenge
    from olivebranch.evaluation import evaluate as measure
    from olivebranch.evaluation import write_misread
    from olivebranch.plots import check_plot, draw_confidence
    from olivebranch.statements import read_groups, read_labelled
    from olivebranch.tagger import Tagger

    if misread and misread.exists():
        raise UsageError(f"'{misread}' exists; choose another --misread")
    if challenge:
        if seed or no_floors or by or plot or max_error is not None:
            other = "--seed, --by, --plot, --max-error and --no-floors"
            raise UsageError(f"{other} are for labelled sentences; leave them out with --challenge")
        rules = load_challenge(data)
        metrics, wrong = measure_pairs(Tagger.load(model, engine), rules)
    elif data:
        if plot:
            check_plot(plot)
        rows, groups = read_labelled(data), {by: read_groups(data, by)} if by else None
        metrics, wrong = measure(Tagger.load(model, engine, max_error), rows, seed, floors=not no_floors, by=groups)
    else:
        raise UsageError("name the labelled sentences with --data FILE, or use --challenge")
    if misread:
        write_misread(misread, wrong)
    if plot:
        draw_confidence(metrics, plot)
    if as_json:
        typer.echo(json.dumps(metrics, indent=2))
    elif challenge:
        console.show_challenge(metrics)
    else:
        console.show_metrics(metrics)
    if misread:
        _say(f"{len(wrong)} misread {'pairs' if challenge else 'sentences'} -> {misread}")


@app.command()
def calibrate(
    data: Annotated[Path, typer.Option("--data", "-d", help="Labelled sentences of your own text, 120 or more.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the copy of the model.")],
    model: Model = None,
) -> None:
    """Copy a model with its confidence, and so what it abstains on, fitted on your own text. The labels stay the same."""
    from olivebranch.recalibration import recalibrate
    from olivebranch.tagger import model_folder

    found = recalibrate(model_folder(model), data, output)
    (old, new), (before, after) = found.temperatures, found.errors
    _say(
        f"temperature {old:.2f} -> {new:.2f}, ECE {before:.3f} -> {after:.3f} on {found.sentences} sentences; model -> {output}"
    )


@app.command()
def export(
    hf: Annotated[Path | None, typer.Option(help="Folder for a plain Hugging Face model.")] = None,
    onnx: Annotated[Path | None, typer.Option(help="Folder for the quantised ONNX files.")] = None,
    model: Model = None,
) -> None:
    """Write a model in another form: a plain Hugging Face folder, or the files of the quantised engine."""
    from olivebranch.exports import export_hf, export_onnx
    from olivebranch.tagger import model_folder

    if (hf is None) == (onnx is None):
        raise UsageError("name one of --hf DIR and --onnx DIR")
    if hf:
        export_hf(model_folder(model), hf)
        _say(f'plain Hugging Face model -> {hf}; load it with transformers.pipeline("text-classification", model="{hf}")')
    if onnx:
        export_onnx(model_folder(model), onnx)
        _say(f"quantised ONNX model -> {onnx}; use it with --model {onnx} --engine onnx")


@app.command()
def report(
    tagged: Annotated[
        Path, typer.Argument(metavar="OUT", help="What olivebranch predict wrote: a file, or a folder of shards.")
    ],
    html: Annotated[Path, typer.Option(help="The page to write.")],
    date_column: Annotated[
        str | None, typer.Option(help="Column with the date of a document.", show_default="date, if there")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Stances toward negotiation",
    aliases: Annotated[
        Path | None,
        typer.Option(help="Names of one party, to be counted together: a .yaml file like data/aliases.yaml, added to it."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that exists.")] = False,
) -> None:
    """Draw a self-contained page of a tagged corpus: highlighted documents, stances by holder, timeline."""
    from olivebranch.report import write_report

    write_report(tagged, html, title, date_column, aliases, overwrite)
    _say(f"report -> {html}")


@data_app.command("check")
def data_check(
    file: Annotated[Path, typer.Argument(help="Statements (.jsonl, .csv, .parquet), or a folder of splits.")],
) -> None:
    """Run the validation gate over statements: fields, labels, holders, votes, leaks between splits."""
    from olivebranch.inspection import check

    _say(check(file))


@data_app.command("stats")
def data_stats(file: Annotated[Path, typer.Argument(help="Statements, or a folder of splits.")], as_json: Json = False) -> None:
    """Count statements by label, register, stream, conflict and length."""
    from olivebranch.console import show_stats
    from olivebranch.inspection import stats

    counts = stats(file)
    typer.echo(json.dumps(counts, indent=2)) if as_json else show_stats(counts)


@data_app.command("agreement")
def data_agreement(
    file: Annotated[Path, typer.Argument(help="Statements, or a folder of splits.")], as_json: Json = False
) -> None:
    """Agreement of independent readers: raw, Cohen's kappa, Krippendorff's alpha, per label, register and stream."""
    from olivebranch.console import show_agreement
    from olivebranch.inspection import agreement

    found = agreement(file)
    typer.echo(json.dumps(found, indent=2)) if as_json else show_agreement(found)


@data_app.command("probe")
def data_probe(file: Annotated[Path, typer.Argument(help="Statements, or a folder of splits.")], as_json: Json = False) -> None:
    """Try to tell the label without the text: from conflict, register and holder alone, out of fold."""
    from olivebranch.console import show_probe
    from olivebranch.inspection import read_all
    from olivebranch.probes import partial_input

    found = partial_input(read_all(file))
    typer.echo(json.dumps(found, indent=2)) if as_json else show_probe(found)


@data_app.command("suspects")
def data_suspects(
    file: Annotated[Path, typer.Argument(help="Statements, or a folder of splits.")], as_json: Json = False
) -> None:
    """List likely label errors, the worst first: statements whose label the others deny (confident learning)."""
    from dataclasses import asdict

    from olivebranch.console import show_suspects
    from olivebranch.inspection import read_all
    from olivebranch.probes import suspects

    found = [asdict(row) for row in suspects(read_all(file))]
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False)) if as_json else show_suspects(found)


def _say(message: str) -> None:
    """News for a person go to stderr, so that stdout stays data."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(message)


def _print_stream(tables: "Iterator[pa.Table]") -> None:
    from olivebranch.parts import json_lines

    if not sys.stdout.isatty():
        for table in tables:
            for line in json_lines(table):
                sys.stdout.write(line)
        return
    from olivebranch.console import show_predictions

    show_predictions(tables, PREVIEW_ROWS, _COLOURS)


if __name__ == "__main__":
    main()
