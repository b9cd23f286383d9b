"""Intervals: against the formula, against a loop over resamples, and against the clock."""

import math

import numpy as np
import pytest

from kt_tuning.evaluation import METRICS, bootstrap_intervals, metrics_for
from kt_tuning.evaluation import intervals as intervals_module
from kt_tuning.evaluation.intervals import share_interval


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
    found = intervals(labels, probabilities)["accuracy"]
    assert (found.low, found.high) == share_interval(right, rows)


def test_balanced_accuracy_of_equally_hard_and_large_classes_is_as_sure_as_accuracy():
    labels, right = np.repeat([0, 1], 500), np.tile(np.arange(500) < 350, 2)
    probabilities = np.eye(2)[np.where(right, labels, 1 - labels)]
    found = intervals(labels, probabilities, resamples=4000)
    plain, balanced = found["accuracy"], found["balanced_accuracy"]
    assert balanced.low == pytest.approx(plain.low, abs=0.002)
    assert balanced.high == pytest.approx(plain.high, abs=0.002)


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("classes", [2, 10])
def test_all_right_and_all_wrong_leave_room_for_what_was_not_seen(classes, right):
    labels = np.arange(60) % classes
    predicted = labels if right else (labels + 1) % classes
    probabilities = 0.05 / classes + 0.95 * np.eye(classes)[predicted]
    for name, found in intervals(labels, probabilities, resamples=50).items():
        assert found.low <= found.value <= found.high
        assert 0 <= found.low < found.high <= METRICS[name].largest


def test_an_interval_contains_its_value_with_few_images_of_many_classes():
    # Percentiles of 120 classes with three images each lay above the area itself.
    labels = np.arange(360) % 120
    rng = np.random.default_rng(0)
    logits = rng.gumbel(size=(360, 120)) + 6.0 * np.eye(120)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for found in intervals(labels, probabilities, resamples=20).values():
        assert found.low < found.value < found.high


def test_macro_averages_have_no_interval_where_a_class_has_no_images():
    labels, probabilities = predictions(60, 4)
    found = intervals(labels % 3, probabilities)
    without = {name for name, interval in found.items() if math.isnan(interval.low)}
    assert without == {"precision", "recall", "f1"}
    assert all(not math.isnan(interval.value) for interval in found.values())
    assert str(found["f1"]).endswith("n/a (a class has no images)")


def test_coverage_of_the_log_loss_of_a_model_that_is_too_sure_of_itself():
    # One image in 300 is wrong, and believed nearly as firmly as the others: 7 nats each. Weighted
    # by what the model believes of itself, intervals contained the truth in 88%.
    rng = np.random.default_rng(2)
    wrong = rng.random((300, 359)) < 1 / 300
    doubt = 10.0 ** -rng.uniform(2, 6, size=wrong.shape)
    doubt[rng.random(wrong.shape) < 0.01] = 0.3
    truth = METRICS["log_loss"].function(
        wrong.ravel().astype(int), np.stack([1 - doubt.ravel(), doubt.ravel()], axis=1)
    )
    covered = []
    for labels, second in zip(wrong.astype(int), doubt, strict=True):
        found = bootstrap_intervals(
            labels,
            np.stack([1 - second, second], axis=1),
            resamples=1,
            rng=rng,
            names=["log_loss"],
        )["log_loss"]
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) >= 0.93


def test_a_class_without_images_and_a_single_row():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]])
    found = intervals(np.array([0, 1, 0]), probabilities, resamples=20)
    assert found["balanced_accuracy"].value == 1.0
    # Classes of two rows and one weigh as much as 2^2 / (1/2 + 1) rows.
    assert found["balanced_accuracy"].low == pytest.approx(0.025 ** (1 / (8 / 3)))
    alone = intervals(np.array([0]), probabilities[:1], resamples=20)
    assert alone["accuracy"].low == pytest.approx(0.05, abs=1e-6)
    assert alone["log_loss"].low < alone["log_loss"].value < alone["log_loss"].high


def test_a_loss_reaches_as_far_as_a_mistake_would_take_it():
    # No mistake among 100 rows; one would cost -log(0.1), and 3.7 of them may have been missed.
    probabilities = np.tile([0.9, 0.1], (100, 1))
    found = intervals(np.zeros(100, dtype=int), probabilities)["log_loss"]
    assert found.high > -3.5 * math.log(0.1) / 100
    assert found.low < -math.log(0.9) < found.high


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1", "roc_auc", "log_loss"])
def test_coverage_of_a_nearly_perfect_classifier(name):
    # Percentiles of resamples reach 60 to 75%.
    rng = np.random.default_rng(1)
    labels = rng.integers(2, size=20_000)
    logit = rng.logistic(size=20_000) + 4.0
    sure = 1 / (1 + np.exp(-logit))
    probabilities = np.where(labels[:, None] == [0, 1], sure[:, None], 1 - sure[:, None])
    truth, covered = METRICS[name].function(labels, probabilities), []
    for _ in range(60):
        rows = rng.integers(20_000, size=100)
        found = bootstrap_intervals(
            labels[rows], probabilities[rows], resamples=50, rng=rng, names=[name]
        )[name]
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) >= 0.93


def test_the_size_of_a_block_does_not_matter(monkeypatch):
    labels, probabilities = predictions(50, 3)
    expected = intervals(labels, probabilities, resamples=23)
    monkeypatch.setattr(intervals_module, "_BLOCK_CELLS", 250)
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
    assert found.value == found.high == 1.0
    # No defined resample differs: twice Kish's 2^2 / (1/3 + 1) rows, all right.
    assert found.low == pytest.approx(0.025 ** (1 / 6))


def test_undefined_everywhere_is_nan():
    labels = np.zeros(5, dtype=int)
    found = intervals(labels, np.full((5, 2), 0.5))["roc_auc"]
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
