from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from olivebranch.aliases import load_aliases
from olivebranch.batch import Options, tag_corpus
from olivebranch.errors import UsageError
from olivebranch.labels import LABELS
from olivebranch.report import Document, read_documents, render, sentence_parts, write_report
from olivebranch.tagger import Tagger

HOSTILE = '<script>alert(1)</script> & "quotes" \'n <img src=x onerror=alert(2)> rebels turned the plan down'


@pytest.fixture
def tagged(tiny_model: Path, write_rows: Callable[..., Path], tmp_path: Path) -> Path:
    rows = [
        {"id": "one", "title": "<b>First</b>", "date": "2025-01-31", "text": "The rebels turned the plan down. Rain."},
        {"id": "two", "title": "Second", "date": "2025-03-01", "text": HOSTILE},
    ]
    tag_corpus([str(write_rows(rows))], tmp_path / "out.parquet", Tagger.load(tiny_model), Options(id_column="id"))
    return tmp_path / "out.parquet"


class Tags(HTMLParser):
    """Counts the elements of a page and keeps its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, int] = {}
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag] = self.found.get(tag, 0) + 1

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_self_contained_and_text_stays_text(tagged: Path, tmp_path: Path) -> None:
    write_report(tagged, tmp_path / "page.html", "A & B", None)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    tags = Tags(page)
    assert tags.found["script"] == 1
    assert "img" not in tags.found
    assert HOSTILE in " ".join(tags.text.split())
    assert "http://" not in page
    assert "https://" not in page
    assert tags.found["article"] == 2


def test_all_output_formats_give_the_same_documents(tiny_model: Path, write_rows: Callable[..., Path], tmp_path: Path) -> None:
    source = write_rows([{"id": "one", "date": "2025-01-31", "text": "The rebels turned the plan down. Rain."}])
    pages = []
    for name in ("o.jsonl", "o.csv", "o.parquet", "shards"):
        tag_corpus([str(source)], tmp_path / name, Tagger.load(tiny_model), Options(id_column="id"))
        pages.append(render(read_documents(tmp_path / name), "t", "s", {}))
    assert len(set(pages)) == 1


def refusal(holder: str) -> dict[str, Any]:
    """A row of the output, in a document where the sentence begins at 10."""
    sentence = f"The {holder} said no."
    return {
        **{"doc_id": "d", "sentence_index": 0, "start": 10, "end": 10 + len(sentence), "sentence": sentence, "model": "m@1"},
        **{"label": "rejection", "confidence": 0.9, "abstained": False},
        **{f"p_{label}": 0.2 for label in LABELS},
        **{"holder": holder, "holder_start": 14, "holder_end": 14 + len(holder)},
    }


def test_holders_are_counted_and_marked() -> None:
    row = refusal("rebels")
    assert sentence_parts(row) == "The <b class=holder>rebels</b> said no."
    page = Tags(render([Document("d", "d", None, [row])], "t", "s", {})).text
    assert "rebels" in page
    assert "nobody named" not in page


def test_names_of_one_party_are_counted_together() -> None:
    rows = [refusal(holder) for holder in ("Moscow", "Kremlin", "Moscow", "Hargeisa")]
    page = " ".join(Tags(render([Document("d", "d", None, rows)], "t", "s", load_aliases())).text.split())
    assert "as Moscow, Kremlin" in page
    assert "as Hargeisa" in page


def test_an_empty_result_gives_a_page() -> None:
    assert "0 sentences in 0 documents" in " ".join(Tags(render([], "t", "s", {})).text.split())


def test_what_is_no_output_of_ours_is_refused(tagged: Path, write_rows: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no column 'doc_id'"):
        write_report(write_rows([{"text": "a"}]), tmp_path / "p.html", "t")
    with pytest.raises(UsageError, match="has no column 'day'"):
        write_report(tagged, tmp_path / "p.html", "t", "day")
    (tmp_path / "p.html").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="exists"):
        write_report(tagged, tmp_path / "p.html", "t")
