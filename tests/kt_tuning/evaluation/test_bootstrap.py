"""Intervals: against the formula, against a loop over resamples, and against the clock."""

import math
import time

import numpy as np
import pytest

from kt_tuning.evaluation import METRICS, bootstrap_intervals, metrics_for
from kt_tuning.evaluation import bootstrap as bootstrap_module


def predictions(rows, classes, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=rows)
    probabilities = rng.dirichlet(np.ones(classes), size=rows)
    probabilities = 0.9 * probabilities + 0.1 * np.eye(classes)[labels]
    return labels, probabilities


def intervals(labels, probabilities, resamples=500, seed=0):
    rng = np.random.default_rng(seed)
    return bootstrap_intervals(labels, probabilities, resamples=resamples, rng=rng)


def test_value_is_the_metric_and_lies_in_its_interval():
    labels, probabilities = predictions(400, 4)
    measured = intervals(labels, probabilities)
    assert tuple(measured) == metrics_for(4)
    for name, found in measured.items():
        assert found.value == METRICS[name].function(labels, probabilities)
        assert found.low < found.value < found.high


def test_accuracy_interval_is_the_binomial_one():
    rows, right = 1000, 700
    labels = np.zeros(rows, dtype=int)
    probabilities = np.eye(2)[(np.arange(rows) >= right).astype(int)]
    found = intervals(labels, probabilities, resamples=2000)["accuracy"]
    half = 1.96 * math.sqrt(0.7 * 0.3 / rows)
    # The percentile itself has a standard error of about half / 25.
    assert found.low == pytest.approx(0.7 - half, abs=half / 6)
    assert found.high == pytest.approx(0.7 + half, abs=half / 6)


def test_same_as_measuring_each_resample_by_itself():
    labels, probabilities = predictions(50, 3)
    draws = np.random.default_rng(7).integers(50, size=(40, 50))
    found = intervals(labels, probabilities, resamples=40, seed=7)
    for name in metrics_for(3):
        metric = METRICS[name]
        values = [metric.function(labels[rows], probabilities[rows]) for rows in draws]
        expected = np.percentile(values, [2.5, 97.5])
        assert (found[name].low, found[name].high) == pytest.approx(tuple(expected), abs=1e-12)


def test_the_size_of_a_block_does_not_matter(monkeypatch):
    labels, probabilities = predictions(50, 3)
    expected = intervals(labels, probabilities, resamples=23)
    monkeypatch.setattr(bootstrap_module, "_BLOCK_CELLS", 250)
    found = intervals(labels, probabilities, resamples=23)
    for name, interval in expected.items():
        got = found[name]
        # Sums of a matrix product depend on its shape in the last digit.
        assert (got.low, got.high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_same_seed_same_result():
    labels, probabilities = predictions(100, 3)
    assert intervals(labels, probabilities) == intervals(labels, probabilities)
    assert intervals(labels, probabilities) != intervals(labels, probabilities, seed=1)


def test_some_metrics_only():
    labels, probabilities = predictions(50, 7)
    rng = np.random.default_rng(0)
    found = bootstrap_intervals(
        labels, probabilities, resamples=5, rng=rng, names=["f1", "accuracy"]
    )
    assert list(found) == ["f1", "accuracy"]


def test_undefined_resamples_are_left_out():
    labels = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.2, 0.8]])
    found = intervals(labels, probabilities)["roc_auc"]
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)


def test_undefined_everywhere_is_nan():
    labels = np.zeros(5, dtype=int)
    found = intervals(labels, np.full((5, 2), 0.5))["roc_auc"]
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_ten_thousand_rows_are_affordable():
    labels, probabilities = predictions(10_000, 10)
    start = time.process_time()
    intervals(labels, probabilities, resamples=100)
    # A tenth of the resamples: the whole takes a few seconds at most.
    assert time.process_time() - start < 0.5
