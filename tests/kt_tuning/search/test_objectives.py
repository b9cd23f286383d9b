"""Which direction of a metric is good, and that KerasTuner's tracker knows it."""

import keras_tuner
import pytest
from keras_tuner.engine.trial import Trial

from kt_tuning.evaluation import METRICS
from kt_tuning.search.objectives import find_objectives, measure, metric_direction

LOSSES = {"log_loss", "brier"}
"""The only metrics of ours of which less is better."""


@pytest.mark.parametrize("prefix", ["", "val_"])
@pytest.mark.parametrize("name", METRICS)
def test_the_tracker_knows_the_best_value_of_each_metric(name, prefix):
    trial = Trial(keras_tuner.HyperParameters())
    for step, value in enumerate((0.2, 0.9, 0.5)):
        measure(trial, {f"{prefix}{name}": value}, step, [])
    best = 0.2 if name in LOSSES else 0.9
    assert trial.metrics.get_best_value(f"{prefix}{name}") == best


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("val_loss", "min"),
        ("loss", "min"),
        ("parameters", "min"),
        ("flops", "min"),
        ("latency", "min"),
        ("val_mean_absolute_error", "min"),
        ("val_auc_1", "max"),
        ("val_f1_score", "max"),
        ("val_mean_io_u", "max"),
        ("val_r2_score", "max"),
        ("val_sensitivity_at_specificity", "max"),
        ("val_top_3_accuracy", "max"),
        ("val_kappa_of_mine", None),
    ],
)
def test_directions(name, direction):
    assert metric_direction(name) == direction


def test_an_objective_says_which_direction_is_good():
    trial = Trial(keras_tuner.HyperParameters())
    mine = keras_tuner.Objective("val_kappa_of_mine", "max")
    for step, value in enumerate((0.1, 0.3)):
        measure(trial, {"val_kappa_of_mine": value}, step, [mine])
    assert trial.metrics.get_best_value("val_kappa_of_mine") == 0.3


def test_f1_of_keras_is_maximised():
    (objective,) = find_objectives("val_f1_score")
    assert objective.direction == "max"
