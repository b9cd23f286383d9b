from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kt_tuning.core.errors import SearchError
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.evaluation import Interval, Reliability, Scores
from kt_tuning.report import Plots
from kt_tuning.report.figures.evaluation import ReliabilityData, reliability_data

# 20 images, 70% sure and 60% right; 80 images, 90% sure and 95% right
BINS = Reliability((0.5, 0.8), (0.8, 1.0), (20, 80), (0.7, 0.9), (0.6, 0.95))


def test_description() -> None:
    assert ReliabilityData("test", BINS).description == (
        "Reliability on 100 images of the test split: predictions are 86.0% sure on average and "
        "88.0% right; expected calibration error 6.0%, in the worst bin 10.0%."
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


def test_nothing_to_draw(make_summary) -> None:
    assert reliability_data(make_summary([0.5])) is None
    with pytest.raises(SearchError, match="with neither"):
        Plots(make_summary([0.5])).reliability()
