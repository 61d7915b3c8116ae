"""Plots of what `evaluate` measures; needs the extra `notebooks`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from olivebranch.errors import OlivebranchError, UsageError, reason_of

FORMATS: Final = (".svg", ".png", ".html")
PACKAGES: Final = ("altair", "pandas", "vl_convert")
BLUE: Final = "#0072b2"
SIDE: Final = 260


def check_plot(path: Path) -> None:
    """Raise what `draw_confidence` would, before the numbers are there.

    Raises:
        UsageError: the file exists, or ends otherwise than in .svg, .png or .html.
        OlivebranchError: its folder or a package is missing.
    """
    if path.exists():
        raise UsageError(f"'{path}' exists; choose another --plot")
    if not path.absolute().parent.is_dir():
        raise OlivebranchError(f"cannot write '{path}': no such folder; choose another --plot")
    if path.suffix not in FORMATS:
        raise UsageError(f"'{path}' is no {', '.join(FORMATS)} file; name one")
    missing = [package for package in PACKAGES if not find_spec(package)]
    if missing:
        raise OlivebranchError(f"a plot needs {missing[0].replace('_', '-')}; pip install olivebranch[notebooks]")


def draw_confidence(metrics: dict[str, Any], path: Path) -> None:
    """A reliability diagram and a risk-coverage curve.

    Args:
        metrics: of `evaluation.evaluate`.

    Raises:
        OlivebranchError: the file cannot be written.
    """
    import altair as alt
    import pandas as pd

    percent, whole = alt.Axis(format="%", tickCount=5), alt.Scale(domain=[0, 1])
    ideal = alt.Chart(pd.DataFrame({"at": [0, 1]})).mark_line(color="#999", strokeDash=[4, 3]).encode(x="at:Q", y="at:Q")
    bins = alt.Chart(pd.DataFrame(metrics["calibration"]["reliability"]), title="Reliability")
    right = bins.mark_circle(color=BLUE, opacity=1).encode(
        x=alt.X("confidence:Q", scale=whole, axis=percent, title="confidence"),
        y=alt.Y("accuracy:Q", scale=whole, axis=percent, title="accuracy"),
        size=alt.Size("share:Q", legend=alt.Legend(title="of all", format="%", orient="top-left", values=[0.05, 0.2, 0.5])),
    )
    surest = alt.Chart(pd.DataFrame(metrics["risk_coverage"]), title="Risk and coverage")
    wrong = surest.mark_line(color=BLUE, point=alt.OverlayMarkDef(color=BLUE)).encode(
        x=alt.X("coverage:Q", scale=whole, axis=percent, title="coverage: sentences kept, the most confident first"),
        y=alt.Y("error:Q", axis=alt.Axis(format="%"), title="error rate"),
    )
    sides = [side.properties(width=SIDE, height=SIDE) for side in (ideal + right, wrong)]
    try:
        alt.hconcat(*sides).configure_title(anchor="start", fontWeight="normal").save(str(path), inline=path.suffix == ".html")
    except OSError as error:
        raise OlivebranchError(f"cannot write '{path}': {reason_of(error)}") from None
