"""Draw a tagged corpus as one self-contained page."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from markupsafe import Markup

from olivebranch.aliases import Aliases, load_aliases, party
from olivebranch.batch import COLUMNS
from olivebranch.cards import templates
from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.labels import LABELS, QUESTIONS, STANCES
from olivebranch.parts import in_one_step
from olivebranch.tables import find_sources, read_chunks

MOST_DOCUMENTS: Final = 200
"""Documents that are shown in full, those with most stances first; the counts are over all of them."""
MOST_HOLDERS: Final = 20
QUOTES: Final = 3
MARKS: Final = {"pro_negotiation": "P", "rejection": "R", "skepticism": "S", "maximalist_demand": "M"}


@dataclass
class Document:
    """The sentences of a document in order, and what is shown above them."""

    id: str
    heading: str
    day: date | None
    sentences: list[dict[str, Any]] = field(default_factory=list)

    @property
    def stances(self) -> int:
        """How many of its sentences convey a stance."""
        return sum(row["label"] != "none" for row in self.sentences)


def write_report(
    tagged: Path,
    html: Path,
    title: str,
    date_column: str | None = None,
    aliases: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Write the page for what `olivebranch predict` wrote.

    Args:
        aliases: a table of names of one party, over the project's (see `aliases`).

    Raises:
        UsageError: the page exists, the file is not such an output or has no such date column, `aliases` is no such table.
        OlivebranchError: a file cannot be read or written.
    """
    if html.exists() and not overwrite:
        raise UsageError(f"'{html}' exists; choose another --html, or add --overwrite")
    names = load_aliases(aliases)
    documents = read_documents(tagged, date_column)
    page = render(documents, title, str(tagged), names)
    with in_one_step(html, "choose another --html") as partial:
        partial.write_text(page, encoding="utf-8")


def read_documents(tagged: Path, date_column: str | None = None) -> list[Document]:
    """Documents in the order of the file.

    Without `date_column` a column `date` is used where there is one.
    """
    documents: dict[str, Document] = {}
    for table in _tables(tagged):
        missing = [name for name in COLUMNS if name not in table.column_names]
        if missing:
            raise UsageError(f"'{tagged}' has no column '{missing[0]}'; name a file that olivebranch predict wrote")
        if date_column and date_column not in table.column_names:
            raise UsageError(f"'{tagged}' has no column '{date_column}'; its columns are {', '.join(table.column_names)}")
        for number, raw in enumerate(table.to_pylist(), 1):
            row = _checked(raw, f"{tagged} row {number}")
            name = str(row["doc_id"])
            if name not in documents:
                documents[name] = Document(name, str(row.get("title") or name), _day(row.get(date_column or "date")))
            documents[name].sentences.append(row)
    return list(documents.values())


def render(documents: list[Document], title: str, source: str, aliases: Aliases) -> str:
    """The page as HTML; all text from the documents is escaped."""
    rows = [row for document in documents for row in document.sentences]
    shown = sorted(documents, key=lambda document: -document.stances)[:MOST_DOCUMENTS]
    kept = {document.id for document in shown}
    holders = _holders(rows, aliases)
    return (
        templates()
        .get_template("report.html.jinja")
        .render(
            title=title,
            source=source,
            documents=[document for document in documents if document.id in kept],
            hidden=len(documents) - len(kept),
            totals={
                "documents": len(documents),
                "sentences": len(rows),
                "abstained": sum(row["abstained"] for row in rows),
            },
            counts=Counter(row["label"] for row in rows),
            holders=holders[:MOST_HOLDERS],
            more_holders=len(holders[MOST_HOLDERS:]),
            timeline=_timeline(documents),
            model=rows[0]["model"] if rows else "",
            stances=STANCES,
            labels=LABELS,
            marks=MARKS,
            questions=QUESTIONS,
            parts=sentence_parts,
            names={label: label.replace("_", " ").replace("pro negotiation", "pro-negotiation") for label in LABELS},
        )
    )


def sentence_parts(row: dict[str, Any]) -> Markup | str:
    """The sentence with its holder marked; everything is escaped."""
    text = str(row["sentence"])
    start, end = row.get("holder_start"), row.get("holder_end")
    if start is None or end is None or row["label"] == "none":
        return text
    first, last = start - row["start"], end - row["start"]
    return Markup("{}<b class=holder>{}</b>{}").format(text[:first], text[first:last], text[last:])


def _holders(rows: Iterable[dict[str, Any]], aliases: Aliases) -> list[dict[str, Any]]:
    """Stances by party, the most frequent first, each with the names it goes by and its most confident sentences."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["label"] != "none":
            groups[party(row["holder"] or "", aliases)].append(row)
    ordered = sorted(groups.items(), key=lambda item: (item[0] == "", -len(item[1])))
    return [
        {
            "name": name or "nobody named",
            "names": [called for called, _ in Counter(row["holder"] for row in group if row["holder"]).most_common()],
            "total": len(group),
            "counts": Counter(row["label"] for row in group),
            "quotes": sorted(group, key=lambda row: -row["confidence"])[:QUOTES],
        }
        for name, group in ordered
    ]


def _timeline(documents: Iterable[Document]) -> list[dict[str, Any]]:
    """Stances by month, oldest first; empty where no document has a date."""
    months: dict[str, Counter[str]] = defaultdict(Counter)
    for document in documents:
        if document.day:
            month = document.day.strftime("%Y-%m")
            months[month].update(row["label"] for row in document.sentences)
    if not months:
        return []
    first, last = min(months), max(months)
    return [{"month": month, "counts": months[month]} for month in _months(first, last)]


def _months(first: str, last: str) -> Iterator[str]:
    """All months from the first to the last, those without a document too."""
    year, month = map(int, first.split("-"))
    while f"{year}-{month:02d}" <= last:
        yield f"{year}-{month:02d}"
        year, month = year + month // 12, month % 12 + 1


def _tables(tagged: Path) -> Iterator[pa.Table]:
    if tagged.name.endswith(".parts"):
        raise UsageError(f"'{tagged}' is an unfinished run; finish it with olivebranch predict … --resume")
    if tagged.is_dir():
        files = sorted(tagged.glob("part-*.parquet"))
        if not files:
            raise UsageError(f"'{tagged}' holds no shards; name what olivebranch predict wrote")
        yield from (pq.read_table(file) for file in files)
        return
    for source in find_sources([str(tagged)]):
        if source.is_text:
            raise UsageError(f"'{tagged}' is not a table; name what olivebranch predict wrote")
        yield from (chunk.table for chunk in read_chunks(source, ""))


def _checked(row: dict[str, Any], where: str) -> dict[str, Any]:
    """The row with numbers as numbers: a CSV knows only text, and other programs write 3 as 3.0."""
    if row["label"] not in LABELS:
        raise OlivebranchError(f"{where}: label: {row['label']!r} is not allowed; use one of {', '.join(LABELS)}")
    try:
        for name in ("start", "end", "holder_start", "holder_end"):
            row[name] = None if row[name] in (None, "") else int(float(row[name]))
        for name in ("confidence", *(f"p_{label}" for label in LABELS)):
            row[name] = float(row[name])
    except (TypeError, ValueError):
        raise OlivebranchError(f"{where}: {name}: {row[name]!r} is not a number; tag the documents again") from None
    row["abstained"] = row["abstained"] in (True, "true", "True")
    return row


def _day(value: Any) -> date | None:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
