from __future__ import annotations

from pathlib import Path

import pytest

from kt_tuning.core.errors import SearchError
from kt_tuning.evaluation import ClassCurves
from kt_tuning.report import Plots
from kt_tuning.report.figures.evaluation import ClassCurvesData, class_curves_data
from kt_tuning.report.run_summary import load_run


def _curve(label: int, area: float) -> ClassCurves:
    return ClassCurves(label, (0.0, 0.5, 1.0), (0.0, area, 1.0), area, (0.0, 1.0), (1.0, 0.5), 0.75)


DATA = ClassCurvesData("test", (_curve(1, 0.625), _curve(0, 0.875)), ("cat", "_dog"))


def test_description() -> None:
    assert DATA.description == (
        "Curves of 2 classes on the test split: area under the ROC 0.7500 on average, average "
        "precision 0.7500. Hardest to tell: _dog, 0.6250 and 0.7500."
    )


def test_the_hardest_class_comes_first(shared_run: Path) -> None:
    data = class_curves_data(load_run(shared_run))
    assert data is not None
    areas = [curve.roc_auc for curve in data.curves]
    assert areas == sorted(areas)
    assert data.split == "test"


def test_both_curves_are_drawn_and_the_hardest_is_named(shared_run: Path) -> None:
    plots = Plots(shared_run)
    roc, precision = plots.roc().axes[0], plots.precision_recall().axes[0]
    assert len(roc.lines) == 1 + 7
    assert len(precision.lines) == 7
    (label,) = roc.get_legend().get_texts()
    assert label.get_text().startswith("hardest: ")


def test_nothing_to_draw(make_summary) -> None:
    assert class_curves_data(make_summary([0.5])) is None
    with pytest.raises(SearchError, match="evaluate it first"):
        Plots(make_summary([0.5])).roc()
