import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.txt"
    path.write_text("The rebels turned the plan down. Rain is expected until Friday.", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "command", ["predict", "train", "evaluate", "calibrate", "export", "report", "data", "data check", "data agreement"]
)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    code, out, _ = cli(*command.split(), "--help")
    assert code == 0
    assert "Usage: olivebranch" in out


def test_predict_into_a_pipe_is_json_lines_and_nothing_else(cli: Cli, report: Path, tiny_model: Path) -> None:
    code, out, err = cli("predict", report, "--model", tiny_model)
    assert (code, err) == (0, "")
    assert [json.loads(line)["sentence_index"] for line in out.splitlines()] == [0, 1]


def test_predict_evaluate_report_and_export_run_end_to_end(
    cli: Cli, report: Path, tiny_model: Path, tmp_path: Path, write_rows: Callable[..., Path]
) -> None:
    assert cli("predict", report, "-o", tmp_path / "out.csv", "-m", tiny_model)[0] == 0
    assert cli("report", tmp_path / "out.csv", "--html", tmp_path / "page.html")[0] == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "The rebels turned the plan down." in re.sub(r"</?b[^>]*>", "", page)  # a holder is marked with <b>
    gold = write_rows([{"text": "The rebels turned the plan down.", "label": "rejection"}, {"text": "Rain.", "label": "none"}])
    code, out, _ = cli("evaluate", "--data", gold, "-m", tiny_model, "--json", "--misread", tmp_path / "misread.jsonl")
    assert code == 0
    assert 0 <= json.loads(out)["macro_f1"]["value"] <= 1
    assert (tmp_path / "misread.jsonl").exists()
    code, out, _ = cli("evaluate", "--data", gold, "-m", tiny_model, "--by", "label")
    assert "macro-F1" in out
    assert "apart" in out
    assert "majority" in out
    assert cli("export", "-m", tiny_model, "--hf", tmp_path / "hf")[0] == 0
    code, _, err = cli("calibrate", "-d", gold, "-m", tiny_model, "-o", tmp_path / "calibrated")
    assert (code, "has 2 labelled sentences; label 120 or more" in err) == (2, True)
    many = write_rows([{"text": f"Talks went on, day {day}.", "label": "none"} for day in range(120)], "many.jsonl")
    code, _, err = cli("calibrate", "-d", many, "-m", tiny_model, "-o", tmp_path / "calibrated")
    assert (code, "on 120 sentences; model -> " in err) == (0, True)
    assert (tmp_path / "hf" / "model.safetensors").exists()


def test_data_commands_read_the_projects_statements(cli: Cli) -> None:
    folder = Path(__file__).parents[1] / "data" / "statements"
    assert "are valid" in cli("data", "check", folder)[2]
    assert json.loads(cli("data", "stats", folder, "--json")[1])["statements"] > 2000
    assert "kappa" in cli("data", "agreement", folder)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["predict", "nowhere.txt"], 1, "'nowhere.txt' does not exist"),
        (["predict", "{report}", "-m", "nowhere"], 1, "model folder 'nowhere' does not exist"),
        (["predict", "{report}", "-o", "out.xlsx"], 2, "unknown format"),
        (["predict", "{report}", "--resume"], 2, "need an --output"),
        (["predict", "{report}", "--engine", "jax"], 2, "engine 'jax' is unknown"),
        (["predict", "{report}", "--max-error", "0.001"], 2, "cannot promise an error of 0.001; ask for"),
        (["predict", "{rows}", "--text-column", "body"], 2, "no column 'body'; its columns are text, label"),
        (["predict", "{rows}", "--id-column", "nr"], 2, "no column 'nr'"),
        (["evaluate", "--data", "{rows}"], 1, "label: 'maybe' is not allowed; use one of 'none'"),
        (["evaluate", "--data", "{report}"], 2, "is not a table"),
        (["train", "--recipe", "nope"], 2, "recipe 'nope' not found"),
        (["train", "--validation", "{rows}"], 2, "--validation needs --data"),
        (["train", "--data", "{rows}", "--output", "run"], 1, "rows.jsonl line 1: label: 'maybe'"),
        (["export"], 2, "name one of --hf DIR and --onnx DIR"),
        (["report", "{rows}", "--html", "p.html"], 2, "has no column 'doc_id'"),
        (["data", "check", "{rows}"], 1, "rows.jsonl line 1: "),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    cli: Cli,
    report: Path,
    write_rows: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    rows = write_rows([{"text": "Rain.", "label": "maybe"}])
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    filled = [argument.format(report=report, rows=rows) for argument in arguments]
    if "-m" not in filled and filled[0] in {"predict", "evaluate"}:
        filled += ["-m", str(tiny_model)]
    found, out, err = cli(*filled)
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert words in err
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_option_is_wrong_usage(cli: Cli) -> None:
    assert cli("predict", "--nope")[0] == 2


def test_no_socket_is_opened(report: Path, tmp_path: Path) -> None:
    """The released model answers with the network forbidden."""
    script = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise RuntimeError('a socket was opened')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from olivebranch.cli import main\n"
        f"sys.argv = ['olivebranch', 'predict', {str(report)!r}]\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_the_version_and_help_need_no_torch() -> None:
    script = "import sys; import olivebranch.cli; assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
