from __future__ import annotations

import concurrent.futures
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib.colors import to_rgb

from kt_tuning.report import Plots
from kt_tuning.report.figures.style import ReportFigure, new_figure, spans_decades

AXES = {
    "history": 1,
    "importances": 1,
    "slice": 7,
    "parallel_coordinates": 1,
    "intermediate_values": 1,
    "losses": 1,
    "confusion": 1,
    "roc": 1,
    "precision_recall": 1,
    "reliability": 1,
    "confidence": 1,
    "corruptions": 1,
    "attacks": 1,
}


@pytest.fixture(scope="module")
def plots(shared_run: Path) -> Plots:
    return Plots(shared_run)


def test_a_notebook_shows_the_figure(plots: Plots) -> None:
    assert plots.history()._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", AXES)
def test_the_settings_of_the_user_are_kept_out(plots: Plots, name: str) -> None:
    with matplotlib.rc_context({"axes.facecolor": "black", "text.usetex": True}):
        figure = getattr(plots, name)()
        assert matplotlib.rcParams["axes.facecolor"] == "black"
    assert {to_rgb(axes.get_facecolor()) for axes in figure.axes} == {(1.0, 1.0, 1.0)}
    assert not figure.axes[0].title.get_usetex()


def test_figures_can_be_made_in_threads(plots: Plots) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        figures: list[ReportFigure] = list(pool.map(lambda name: getattr(plots, name)(), AXES))
    assert [len(figure.axes) for figure in figures] == list(AXES.values())
    assert all(figure.description for figure in figures)


@pytest.mark.parametrize("name", AXES)
def test_nothing_is_cut_off_at_the_margins(plots: Plots, name: str) -> None:
    figure = getattr(plots, name)()
    figure.draw_without_rendering()
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    assert min(drawn.x0, drawn.y0) >= 0
    assert drawn.x1 <= page.x1
    assert drawn.y1 <= page.y1


def test_neither_pyplot_nor_keras_is_imported() -> None:
    code = (
        "import sys, kt_tuning.report; "
        "print({'matplotlib.pyplot', 'keras', 'tensorflow', 'sklearn', 'pandas'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_natural_size_is_in_css_pixels() -> None:
    assert new_figure(480, 240).get_size_inches().tolist() == [5.0, 2.5]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 50.0], True),
        ([1.0, 49.0], False),
        ([0.0, 50.0], False),
        ([-1.0, 100.0], False),
        ([1.0, float("nan"), float("inf")], False),
        ([], False),
    ],
)
def test_spans_decades(values: list[float], expected: bool) -> None:
    assert spans_decades(values) is expected
