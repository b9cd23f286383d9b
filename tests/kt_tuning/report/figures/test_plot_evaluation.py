"""Figures of the test scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kt_tuning.core.errors import SearchError
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.evaluation import Interval, Scores
from kt_tuning.evaluation.diagnostics import ClassCurves, Reliability
from kt_tuning.evaluation.robustness import Robustness
from kt_tuning.report import Plots
from kt_tuning.report.figures.evaluation import (
    ClassCurvesData,
    ReliabilityData,
    by_kind,
    class_curves_data,
    reliability_data,
)
from kt_tuning.report.run_summary import load_run


def _curve(label: int, area: float) -> ClassCurves:
    return ClassCurves(label, (0.0, 0.5, 1.0), (0.0, area, 1.0), area, (0.0, 1.0), (1.0, 0.5), 0.75)


DATA = ClassCurvesData("test", (_curve(1, 0.625), _curve(0, 0.875)), ("cat", "_dog"))


def test_curves_in_words() -> None:
    assert DATA.description == (
        "Curves of 2 classes on the test split: area under the ROC 0.7500 on average, average "
        "precision 0.7500. Hardest class: _dog, 0.6250 and 0.7500."
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


def test_no_curves_to_draw(make_summary) -> None:
    assert class_curves_data(make_summary([0.5])) is None
    with pytest.raises(SearchError, match="Evaluate the run first"):
        Plots(make_summary([0.5])).roc()


# 20 images, 70% sure and 60% right; 80 images, 90% sure and 95% right
BINS = Reliability((0.5, 0.8), (0.8, 1.0), (20, 80), (0.7, 0.9), (0.6, 0.95))


def test_reliability_in_words() -> None:
    assert ReliabilityData("test", BINS).description == (
        "Reliability on 100 images of the test split: mean confidence 86.0%, accuracy 88.0%, "
        "expected calibration error 6.0%, largest error of a bin 10.0%."
    )


def test_test_images_are_preferred(make_summary) -> None:
    ensemble = EnsembleRecord(("0000",), (1.0,), "single", {}, (0.5,), reliability=BINS)
    scores = Scores({"accuracy": Interval(0.5, 0.4, 0.6)}, [[1]], ("cat",), 1, None, {})
    run = make_summary([0.5], ensemble=ensemble, scores=scores)
    assert reliability_data(run).split == "validation"
    tested = dataclasses.replace(scores, reliability=BINS)
    assert reliability_data(dataclasses.replace(run, scores=tested)).split == "test"


def test_bars_are_as_high_as_the_accuracy_and_the_share(make_summary) -> None:
    ensemble = EnsembleRecord(("0000",), (1.0,), "single", {}, (0.5,), reliability=BINS)
    plots = Plots(make_summary([0.5], ensemble=ensemble))
    right, images = plots.reliability().axes[0], plots.confidence().axes[0]
    np.testing.assert_allclose([bar.get_height() for bar in right.patches], [0.6, 0.95])
    np.testing.assert_allclose([bar.get_height() for bar in images.patches], [0.2, 0.8])


def test_no_reliability_to_draw(make_summary) -> None:
    assert reliability_data(make_summary([0.5])) is None
    with pytest.raises(SearchError, match="with neither"):
        Plots(make_summary([0.5])).reliability()


TABLE = Robustness(
    metric="accuracy",
    images=50,
    clean=0.75,
    severities=(1, 5),
    corrupted={
        "gaussian_noise": (0.5, 0.25),
        "shot_noise": (0.75, 0.5),
        "fog": (0.5, 0.125),
        "of_another_version": (0.5, 0.5),
    },
    adversarial={"fgsm": {8.0: 0.25, 1.0: 0.5}},
)


def test_corruptions_of_a_kind_are_averaged() -> None:
    assert by_kind(TABLE) == {
        "noise": (0.625, 0.375),
        "weather": (0.5, 0.125),
        "other": (0.5, 0.5),
    }


def test_lines_begin_at_the_clean_score_and_words_say_where_they_end(
    shared_run: Path,
) -> None:
    run = load_run(shared_run)
    assert run.scores is not None
    scores = dataclasses.replace(run.scores, robustness=TABLE)
    plots = Plots(dataclasses.replace(run, scores=scores))
    assert plots.corruptions().description == (
        "Accuracy on 50 images by severity of corruption: 0.7500 clean; at severity 5 noise "
        "0.3750, weather 0.1250, other 0.5000."
    )
    assert plots.attacks().description == (
        "Accuracy under attack on 50 images: 0.7500 clean; FGSM 0.2500 at 8 of 255."
    )
    corruptions, attacks = plots.corruptions().axes[0], plots.attacks().axes[0]
    noise = corruptions.lines[0]
    assert list(noise.get_xdata()) == [0, 1, 5]
    assert list(noise.get_ydata()) == [0.75, 0.625, 0.375]
    assert list(attacks.lines[0].get_xdata()) == [0, 1, 8]
    assert list(attacks.lines[0].get_ydata()) == [0.75, 0.5, 0.25]


def test_what_was_not_measured_is_not_drawn(shared_run: Path, make_summary) -> None:
    run = load_run(shared_run)
    assert run.scores is not None
    table = dataclasses.replace(TABLE, corrupted={}, severities=())
    plots = Plots(
        dataclasses.replace(run, scores=dataclasses.replace(run.scores, robustness=table))
    )
    assert plots.attacks().axes
    for draw in (plots.corruptions, Plots(make_summary([0.5])).attacks):
        with pytest.raises(SearchError, match="kt-tuning evaluate"):
            draw()
