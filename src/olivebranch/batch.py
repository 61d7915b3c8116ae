"""Tag a corpus: documents stream in, a table of sentences streams out, and nothing is lost on the way.

The input is cut into chunks. Each tagged chunk is a part, written in one step into a folder beside the output; a run
that was interrupted goes on after its last part, and the parts become the output only when all of them are there.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from olivebranch import sentences as segmentation
from olivebranch.errors import OlivebranchError, UsageError, reason_of
from olivebranch.labels import LABELS
from olivebranch.parts import PLAN, check_replaceable, finish, part_path, parts_folder, write_part
from olivebranch.tables import ROW_FORMATS, STDIN, Chunk, Source, find_sources, read_chunks
from olivebranch.tagger import Tagger

COLUMNS: Final = (
    *("doc_id", "sentence_index", "start", "end", "sentence", "label", "confidence"),
    *(f"p_{label}" for label in LABELS),
    *("abstained", "holder", "holder_start", "holder_end", "holder_confidence", "model"),
)
"""The columns that follow those of the input, in every output."""


@dataclass(frozen=True)
class Options:
    """How the input is to be read."""

    text_column: str = "text"
    id_column: str | None = None
    split: bool = True
    """False: every row, or line of a text file, is one sentence already."""


@dataclass(frozen=True)
class Summary:
    """What a run did. Counts are of this run; parts that `resume` found done are not counted again."""

    documents: int
    sentences: int
    blank: int
    """Documents without text, which give no rows."""
    resumed_parts: int


Progress = Callable[[float, int], None]
"""Told after each chunk: the share of the input that is done, and the sentences tagged so far."""


def tag_stream(inputs: Sequence[str], tagger: Tagger, options: Options) -> Iterator[pa.Table]:
    """Tagged chunks, one after the other, in the order of the input.

    Raises:
        UsageError, OlivebranchError: as `tables.find_sources` and `tables.read_chunks`.
    """
    for source in find_sources(inputs):
        for chunk in _chunks(source, options):
            yield tag_chunk(chunk, tagger, options)


def tag_corpus(
    inputs: Sequence[str],
    output: Path,
    tagger: Tagger,
    options: Options,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda done, sentences: None,
) -> Summary:
    """Tag the inputs into a `.jsonl`, `.csv` or `.parquet` file, or a folder of Parquet shards.

    Memory does not grow with the input, and the output appears whole or not at all.

    Raises:
        UsageError: the output exists, has an unknown format, or there are parts of another run.
        OlivebranchError: an input or the output cannot be read or written.
    """
    sources = _outside(find_sources(inputs), output)
    parts = _prepare(output, _plan(sources, tagger, options), resume, overwrite)
    try:
        summary = _write_parts(sources, parts, tagger, options, progress)
    except BaseException:
        if not any(parts.glob("part-*")):
            shutil.rmtree(parts, ignore_errors=True)  # nothing to resume, and nothing to stand in the way of a corrected call
        raise
    finish(parts, output)
    return summary


def _write_parts(sources: Sequence[Source], parts: Path, tagger: Tagger, options: Options, progress: Progress) -> Summary:
    total = sum(source.size for source in sources) or 1
    number = documents = found = blank = resumed = before = 0
    for source in sources:
        for chunk in _chunks(source, options):
            path = part_path(parts, number)
            number += 1
            if path.exists():
                resumed += 1
            else:
                table = tag_chunk(chunk, tagger, options)
                write_part(path, table)
                documents += len(chunk.table)
                found += len(table)
                blank += _blank(chunk, options)
            progress((before + chunk.done * source.size) / total, found)
        before += source.size
    if number == 0:
        write_part(part_path(parts, 0), _result({}, [], tagger))
    return Summary(documents, found, blank, resumed)


def tag_chunk(chunk: Chunk, tagger: Tagger, options: Options) -> pa.Table:
    """One row for each sentence of a chunk: the input row's columns, then `COLUMNS`."""
    rows: list[int] = []
    places: list[tuple[int, int, int]] = []
    sentences: list[str] = []
    for row, text in enumerate(chunk.table[options.text_column].to_pylist()):
        for index, (start, end) in enumerate(_spans(text or "", options.split)):
            rows.append(row)
            places.append((index, start, end))
            sentences.append(text[start:end])
    ids = _document_ids(chunk, options)
    taken = _input_columns(chunk).take(pa.array(rows, pa.int64()))
    indices, starts, ends = zip(*places, strict=True) if places else ((), (), ())
    front = {"doc_id": [ids[row] for row in rows], "sentence_index": indices, "start": starts, "end": ends}
    result = _result(front, sentences, tagger)
    for name in reversed(taken.column_names):
        result = result.add_column(0, _free_name(name, taken.column_names), taken[name])
    return result


def _free_name(name: str, others: Sequence[str]) -> str:
    """An input column that bears one of our names is kept under another."""
    if name not in COLUMNS:
        return name
    name = f"input_{name}"
    while name in others:
        name = f"input_{name}"
    return name


def _result(front: dict[str, Sequence[Any]], sentences: Sequence[str], tagger: Tagger) -> pa.Table:
    reading = tagger.read(sentences)
    probs, classes, abstained = tagger.score(reading)
    spans = [span if label else None for span, label in zip(reading.holders, classes, strict=True)]
    offsets = front.get("start", ())
    places = list(zip(sentences, offsets, spans, strict=True))
    integers = {name: pa.array(front.get(name, ()), pa.int32()) for name in ("sentence_index", "start", "end")}
    columns = {
        "doc_id": pa.array(front.get("doc_id", ()), pa.string()),
        **integers,
        "sentence": pa.array(sentences, pa.string()),
        "label": pa.array([LABELS[index] for index in classes], pa.string()),
        "confidence": pa.array(probs.max(axis=1).round(6), pa.float64()),
        **{f"p_{label}": pa.array(probs[:, index].round(6), pa.float64()) for index, label in enumerate(LABELS)},
        "abstained": pa.array(abstained, pa.bool_()),
        "holder": pa.array([span and text[span.start : span.end] for text, _, span in places], pa.string()),
        "holder_start": pa.array([span and offset + span.start for _, offset, span in places], pa.int32()),
        "holder_end": pa.array([span and offset + span.end for _, offset, span in places], pa.int32()),
        "holder_confidence": pa.array([span and round(span.confidence, 6) for span in spans], pa.float64()),
        "model": pa.array([tagger.version] * len(sentences), pa.string()),
    }
    return pa.table({name: columns[name] for name in COLUMNS})


def _chunks(source: Source, options: Options) -> Iterator[Chunk]:
    return read_chunks(source, options.text_column, options.id_column, lines_are_rows=not options.split)


def _spans(text: str, split: bool) -> list[segmentation.Span]:
    if split:
        return segmentation.split(text)
    span = segmentation.trim(text, 0, len(text))
    return [span] if span[0] < span[1] else []


def _document_ids(chunk: Chunk, options: Options) -> list[str]:
    if options.id_column and options.id_column in chunk.table.column_names:
        ids = chunk.table[options.id_column].to_pylist()
        return [f"{chunk.source.name}:{n}" if i is None else str(i) for i, n in zip(ids, chunk.numbers, strict=True)]
    if chunk.source.is_text and options.split:
        return [chunk.source.name]
    return [f"{chunk.source.name}:{number}" for number in chunk.numbers]


def _input_columns(chunk: Chunk) -> pa.Table:
    """A text file has no columns of its own."""
    return chunk.table.select([]) if chunk.source.is_text else chunk.table


def _blank(chunk: Chunk, options: Options) -> int:
    return sum(not (text and text.strip()) for text in chunk.table[options.text_column].to_pylist())


def _plan(sources: Sequence[Source], tagger: Tagger, options: Options) -> str:
    """What a run does, in words that tell whether another run would do the same."""
    files = [
        [source.path, source.size, Path(source.path).stat().st_mtime_ns if source.path != STDIN else 0] for source in sources
    ]
    model = {"model": tagger.version, "abstain_below": tagger.abstain_below}
    return json.dumps({"inputs": files, **model, "options": asdict(options)}, indent=1)


def _outside(sources: Sequence[Source], output: Path) -> list[Source]:
    """The sources without the parts of an interrupted run.

    Raises:
        UsageError: the output is, or lies among, the inputs.
    """
    parts, place = parts_folder(output).resolve(), output.resolve()
    kept = []
    for source in sources:
        path = Path(source.path).resolve()
        if source.path != STDIN and (path == place or place in path.parents):
            raise UsageError(f"output '{output}' is among the inputs ('{source.path}'); choose another place for it")
        if source.path == STDIN or parts not in path.parents:
            kept.append(source)
    return kept


def _prepare(output: Path, plan: str, resume: bool, overwrite: bool) -> Path:
    """Check the output and make the folder of its parts, empty or as an interrupted run left it."""
    if output.suffix and output.suffix not in ROW_FORMATS:
        raise UsageError(
            f"output '{output}' has an unknown format; use {', '.join(ROW_FORMATS)}, or a folder for Parquet shards"
        )
    if resume and f'"{STDIN}"' in plan:
        raise UsageError("standard input cannot be resumed; write it to a file first")
    check_replaceable(output, overwrite)
    parts = parts_folder(output)
    unfinished = (parts / PLAN).exists()
    if unfinished and not resume and not overwrite:
        raise UsageError(f"'{parts}' holds an unfinished run; add --resume to go on, or --overwrite to start anew")
    if unfinished and resume and (parts / PLAN).read_text(encoding="utf-8") != plan:
        raise UsageError(
            f"'{parts}' was made from other inputs, options or another model; repeat that call, or leave --resume out"
        )
    try:
        if unfinished and not resume:
            shutil.rmtree(parts)
        parts.mkdir(parents=True, exist_ok=True)
        (parts / PLAN).write_text(plan, encoding="utf-8")
    except OSError as error:
        raise OlivebranchError(f"cannot write '{output}': {reason_of(error)}; choose another --output") from None
    return parts
