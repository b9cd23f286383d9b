from __future__ import annotations

import concurrent.futures
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib.colors import to_rgb

from kt_tuning.report import (
    plot_class_curves,
    plot_confusion,
    plot_importances,
    plot_learning_curves,
    plot_parallel,
    plot_reliability,
    plot_robustness,
    plot_search_history,
    plot_slices,
)
from kt_tuning.report.figures.style import ReportFigure, new_figure, spans_decades

PLOTS = {
    plot_confusion: 1,
    plot_learning_curves: 2,
    plot_search_history: 1,
    plot_slices: 7,
    plot_class_curves: 2,
    plot_importances: 1,
    plot_parallel: 1,
    plot_reliability: 2,
    plot_robustness: 2,
}


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_a_notebook_shows_the_figure(shared_run: Path, plot) -> None:
    figure = plot(shared_run)
    assert isinstance(figure, ReportFigure)
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_the_style_of_the_user_is_kept_out(shared_run: Path, plot) -> None:
    with matplotlib.rc_context({"axes.facecolor": "black", "text.usetex": True}):
        figure = plot(shared_run)
        assert matplotlib.rcParams["axes.facecolor"] == "black"
    assert {to_rgb(axes.get_facecolor()) for axes in figure.axes} == {(1.0, 1.0, 1.0)}
    assert not figure.axes[0].title.get_usetex()


def test_figures_can_be_made_in_threads(shared_run: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        figures = list(pool.map(lambda plot: plot(shared_run), PLOTS))
    assert [len(figure.axes) for figure in figures] == list(PLOTS.values())


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
