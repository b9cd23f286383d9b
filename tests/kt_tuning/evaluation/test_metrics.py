"""The metric table, against scikit-learn and by hand."""

import itertools
import math

import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.metrics import average_precision_score, roc_auc_score

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.evaluation import METRICS, metric_of, metrics_for, score
from kt_tuning.evaluation.metric_functions import among_top, correct, pr_auc, roc_auc
from kt_tuning.evaluation.metrics import DEFAULT_METRICS


def random_predictions(rows, classes, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=rows)
    logits = rng.normal(size=(rows, classes))
    logits[np.arange(rows), labels] += 1.0
    exponentials = np.exp(logits)
    return labels, exponentials / exponentials.sum(axis=1, keepdims=True)


def top_k(labels, probabilities, k):
    classes = probabilities.shape[1]
    if k >= classes:
        return 1.0
    return reference.top_k_accuracy_score(labels, probabilities, k=k, labels=range(classes))


SCIKIT_LEARN = {
    "accuracy": lambda y, p: reference.accuracy_score(y, p.argmax(axis=1)),
    "balanced_accuracy": lambda y, p: reference.balanced_accuracy_score(y, p.argmax(axis=1)),
    "precision": lambda y, p: reference.precision_score(
        y, p.argmax(axis=1), average="macro", zero_division=0
    ),
    "recall": lambda y, p: reference.recall_score(
        y, p.argmax(axis=1), average="macro", zero_division=0
    ),
    "f1": lambda y, p: reference.f1_score(y, p.argmax(axis=1), average="macro", zero_division=0),
    "roc_auc": lambda y, p: (
        reference.roc_auc_score(y, p[:, 1])
        if p.shape[1] == 2
        else reference.roc_auc_score(y, p, multi_class="ovr", average="macro")
    ),
    "pr_auc": lambda y, p: (
        reference.average_precision_score(y, p[:, 1])
        if p.shape[1] == 2
        else reference.average_precision_score(np.eye(p.shape[1])[y], p, average="macro")
    ),
    "top_3_accuracy": lambda y, p: top_k(y, p, 3),
    "top_5_accuracy": lambda y, p: top_k(y, p, 5),
    "log_loss": lambda y, p: reference.log_loss(y, p),
    "brier": lambda y, p: ((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1).mean(),
}


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("name", METRICS)
def test_agrees_with_scikit_learn(name, classes):
    labels, probabilities = random_predictions(500, classes)
    expected = SCIKIT_LEARN[name](labels, probabilities)
    assert METRICS[name].function(labels, probabilities) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_counts_are_repeated_rows(name):
    labels, probabilities = random_predictions(60, 3)
    counts = np.random.default_rng(1).integers(0, 4, size=(60, 5))
    got = METRICS[name].counted(labels, probabilities, counts.astype(float))
    for column, value in zip(counts.T, got, strict=True):
        repeated = np.repeat(np.arange(60), column)
        expected = SCIKIT_LEARN[name](labels[repeated], probabilities[repeated])
        assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_macro_average_of_a_class_that_is_never_predicted(name):
    labels = np.array([0, 0, 1, 2])
    probabilities = np.eye(3)[[0, 1, 1, 0]] * 0.8 + 0.2 / 3
    expected = SCIKIT_LEARN[name](labels, probabilities)
    assert METRICS[name].function(labels, probabilities) == pytest.approx(expected, abs=1e-12)


def test_a_class_without_images_or_predictions_is_left_out():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]])
    got = score(labels, probabilities, ["balanced_accuracy", "precision", "recall"])
    assert got == pytest.approx(
        {"balanced_accuracy": 3 / 4, "precision": (1 + 2 / 3) / 2, "recall": 3 / 4}
    )


def test_balanced_accuracy_leaves_out_a_class_that_is_only_predicted():
    labels = np.array([0, 1])
    probabilities = np.eye(3)[[0, 2]]
    got = score(labels, probabilities, ["balanced_accuracy", "recall"])
    assert got == pytest.approx({"balanced_accuracy": 1 / 2, "recall": 1 / 3})


def test_log_loss_of_a_certain_error_is_finite():
    assert score([0], [[0.0, 1.0]], ["log_loss"])["log_loss"] == pytest.approx(-math.log(1e-7))


def test_best_and_worst_brier():
    assert score([0, 1], np.eye(2), ["brier"])["brier"] == 0.0
    assert score([1, 0], np.eye(2), ["brier"])["brier"] == 2.0


def test_roc_auc_of_one_class_is_undefined():
    assert math.isnan(score([1, 1], [[0.4, 0.6], [0.3, 0.7]], ["roc_auc"])["roc_auc"])


def test_score_measures_the_cheap_metrics_by_default():
    labels, probabilities = random_predictions(20, 3)
    assert tuple(score(labels, probabilities)) == DEFAULT_METRICS == ("accuracy", "log_loss")


def test_score_keeps_the_order_of_names():
    labels, probabilities = random_predictions(20, 3)
    assert list(score(labels, probabilities, ["f1", "accuracy"])) == ["f1", "accuracy"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_model_scores_nan(bad):
    probabilities = np.array([[0.9, 0.1], [bad, bad]])
    assert all(math.isnan(value) for value in score([0, 0], probabilities, METRICS).values())


def test_score_takes_float32_and_small_integers():
    labels, probabilities = random_predictions(300, 10)
    expected = score(labels, probabilities, METRICS)
    got = score(labels.astype(np.uint8), probabilities.astype(np.float32), METRICS)
    assert got == pytest.approx(expected, abs=1e-6)


def test_score_leaves_its_input_alone():
    labels, probabilities = random_predictions(20, 3)
    before = probabilities.copy()
    score(labels, probabilities, METRICS)
    np.testing.assert_array_equal(probabilities, before)


def test_unknown_name():
    with pytest.raises(OptionError, match=r"'acuracy'.*accuracy, balanced_accuracy"):
        score([0], [[0.5, 0.5]], ["acuracy"])


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0, 1], [[0.5, 0.5]], r"labels \(2,\), probabilities \(1, 2\)"),
        ([[1, 0]], [[0.5, 0.5]], r"labels \(1, 2\)"),
        ([0], [0.5], r"probabilities \(1,\)"),
        ([], np.empty((0, 2)), "0 rows"),
        ([2], [[0.5, 0.5]], r"in 2\.\.2"),
        ([-1], [[0.5, 0.5]], r"in -1\.\.-1"),
        ([1.0], [[0.5, 0.5]], "float64"),
    ],
)
def test_rows_that_do_not_belong_together(labels, probabilities, message):
    with pytest.raises(DataError, match=message):
        score(labels, probabilities)


def test_directions():
    assert {name for name, metric in METRICS.items() if metric.direction == "min"} == {
        "log_loss",
        "brier",
    }
    assert all(name == metric.name for name, metric in METRICS.items())


def test_metrics_that_say_something():
    assert set(METRICS) - set(metrics_for(2)) == {"top_3_accuracy", "top_5_accuracy"}
    assert set(METRICS) - set(metrics_for(3)) == {"top_3_accuracy", "top_5_accuracy"}
    assert set(METRICS) - set(metrics_for(4)) == {"top_5_accuracy"}
    assert metrics_for(6) == tuple(METRICS)


def test_the_top_1_is_the_prediction_with_ties_too():
    labels = np.array([0, 1, 2, 0, 1, 2])
    probabilities = np.array([[0.5, 0.5, 0.0]] * 3 + [[0.2, 0.4, 0.4]] * 3)
    expected = [1, 0, 0, 0, 1, 0]
    np.testing.assert_array_equal(correct(labels, probabilities), expected)
    np.testing.assert_array_equal(among_top(labels, probabilities, 1), expected)
    np.testing.assert_array_equal(among_top(labels, probabilities, 2), [1, 1, 0, 0, 1, 1])


@pytest.mark.parametrize("name", METRICS)
def test_a_mean_of_rows_is_the_mean_of_its_rows(name):
    labels, probabilities = random_predictions(100, 7)
    metric = METRICS[name]
    means = {"accuracy", "top_3_accuracy", "top_5_accuracy", "log_loss", "brier"}
    assert (metric.per_row is not None) == (name in means)
    if metric.per_row is not None:
        rows = metric.per_row(labels, probabilities)
        assert rows.shape == (100,)
        assert rows.mean() == pytest.approx(metric.function(labels, probabilities), abs=1e-12)


@pytest.mark.parametrize(
    ("objective", "metric"),
    [
        ("val_accuracy", "accuracy"),
        ("val_loss", "log_loss"),
        ("val_roc_auc", "roc_auc"),
        ("accuracy", None),
        ("loss", None),
        ("latency", None),
        ("val_mae", None),
    ],
)
def test_the_metric_of_an_objective(objective, metric):
    assert metric_of(objective) == metric


def plain(labels, probabilities):
    return roc_auc(labels, probabilities, np.ones((len(labels), 1)))[0]


def two_columns(scores):
    return np.stack([1.0 - np.asarray(scores), scores], axis=1)


def test_by_hand():
    # Pairs (0.8, 0.5), (0.8, 0.1), (0.5, 0.1) are right, (0.5, 0.5) is half right: 3.5 of 4.
    labels = np.array([1, 1, 0, 0])
    assert plain(labels, two_columns([0.8, 0.5, 0.5, 0.1])) == 3.5 / 4


@pytest.mark.parametrize("levels", [1, 2, 3, 10])
@pytest.mark.parametrize("seed", range(5))
def test_ties_agree_with_scikit_learn(levels, seed):
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, rng.integers(2, size=40)]
    scores = rng.integers(levels, size=42) / 10
    expected = roc_auc_score(labels, scores)
    assert plain(labels, two_columns(scores)) == pytest.approx(expected, abs=1e-12)


def test_every_order_of_five_rows():
    scores = np.array([0.1, 0.2, 0.2, 0.3, 0.4])
    for labels in itertools.product([0, 1], repeat=5):
        if 0 < sum(labels) < 5:
            got = plain(np.array(labels), two_columns(scores))
            assert got == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_two_classes_saturated_in_column_0_are_ranked_by_column_1():
    probabilities = np.array([[1.0, 1e-9], [1.0, 1e-8]], dtype=np.float32)
    assert plain(np.array([0, 1]), probabilities) == 1.0


def test_absent_class_is_left_out():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=50)
    probabilities = rng.dirichlet(np.ones(4), size=50)
    areas = [roc_auc_score(labels == label, probabilities[:, label]) for label in range(3)]
    assert plain(labels, probabilities) == pytest.approx(np.mean(areas), abs=1e-12)


def test_undefined_only_in_the_resample_that_lacks_a_class():
    counts = np.array([[1.0, 2.0], [1.0, 0.0]])
    got = roc_auc(np.array([0, 1]), two_columns([0.2, 0.7]), counts)
    np.testing.assert_array_equal(got, [1.0, np.nan])


def precise(labels, probabilities):
    return pr_auc(labels, probabilities, np.ones((len(labels), 1)))[0]


def test_average_precision_by_hand():
    # Precision at the two positives: 1/1 and 2/3.
    labels = np.array([1, 0, 1, 0])
    got = precise(labels, two_columns([0.9, 0.8, 0.7, 0.1]))
    assert got == pytest.approx((1 + 2 / 3) / 2, abs=1e-15)


@pytest.mark.parametrize("levels", [1, 2, 3, 10])
@pytest.mark.parametrize("seed", range(5))
def test_average_precision_with_ties_agrees_with_scikit_learn(levels, seed):
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, rng.integers(2, size=40)]
    scores = rng.integers(levels, size=42) / 10
    expected = average_precision_score(labels, scores)
    assert precise(labels, two_columns(scores)) == pytest.approx(expected, abs=1e-12)


def test_average_precision_of_every_order_of_five_rows():
    scores = np.array([0.1, 0.2, 0.2, 0.3, 0.4])
    for labels in itertools.product([0, 1], repeat=5):
        if 0 < sum(labels) < 5:
            got = precise(np.array(labels), two_columns(scores))
            assert got == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def test_average_precision_is_undefined_where_a_class_is_missing():
    counts = np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 2.0]])
    got = pr_auc(np.array([0, 1]), two_columns([0.2, 0.7]), counts)
    np.testing.assert_array_equal(got, [1.0, np.nan, np.nan])
