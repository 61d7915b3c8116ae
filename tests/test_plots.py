from pathlib import Path

import pytest

from olivebranch.errors import OlivebranchError, UsageError
from olivebranch.evaluation import evaluate
from olivebranch.plots import check_plot, draw_confidence
from olivebranch.records import LabelledText
from olivebranch.tagger import Tagger


@pytest.mark.parametrize("name", ["plot.svg", "plot.html", "plot.png"])
def test_the_confidence_of_a_model_is_drawn(name: str, tiny_model: Path, rows: list[LabelledText], tmp_path: Path) -> None:
    metrics = evaluate(Tagger.load(tiny_model), rows, floors=False)[0]
    draw_confidence(metrics, tmp_path / name)
    drawn = (tmp_path / name).read_bytes()
    assert drawn.startswith(b"\x89PNG") if name.endswith("png") else b"Reliability" in drawn


def test_other_files_and_missing_packages_are_told_before_the_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no \.svg, \.png, \.html file; name one"):
        check_plot(tmp_path / "plot.gif")
    monkeypatch.setattr("olivebranch.plots.find_spec", lambda name: None if name == "vl_convert" else name)
    with pytest.raises(OlivebranchError, match=r"a plot needs vl-convert; pip install olivebranch\[notebooks\]"):
        check_plot(tmp_path / "plot.svg")
    with pytest.raises(OlivebranchError, match=r"cannot write .*: no such folder"):
        check_plot(tmp_path / "nowhere" / "plot.svg")
    (tmp_path / "mine.svg").touch()
    with pytest.raises(UsageError, match="exists; choose another --plot"):
        check_plot(tmp_path / "mine.svg")
