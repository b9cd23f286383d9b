"""Bayesian optimisation as KerasTuner calls it."""

import keras_tuner
import numpy as np
import pytest

from kt_tuning.tuners.gaussian_process_oracle import GaussianProcessOracle, Regressor


def run(trials, seed=1, direction="min", **options):
    """Search for (0.3, 0.7) in the unit square, without a tuner."""
    space = keras_tuner.HyperParameters()
    for name in "ab":
        space.Float(name, 0, 1)
    oracle = GaussianProcessOracle(
        keras_tuner.Objective("cost", direction),
        max_trials=trials,
        hyperparameters=space,
        seed=seed,
        **options,
    )
    oracle.verbose = 0
    sign = 1 if direction == "min" else -1
    for _ in range(trials):
        trial = oracle.create_trial("one")
        a, b = trial.hyperparameters.get("a"), trial.hyperparameters.get("b")
        oracle.update_trial(trial.trial_id, {"cost": sign * ((a - 0.3) ** 2 + (b - 0.7) ** 2)})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return oracle


@pytest.fixture(autouse=True)
def _project(monkeypatch):
    """An oracle without a tuner writes nothing."""
    for name in ("save", "_save_trial"):
        monkeypatch.setattr(keras_tuner.Oracle, name, lambda *args: None)


@pytest.mark.parametrize("direction", ["min", "max"])
def test_the_optimum_is_found(direction):
    best = run(20, direction=direction).get_best_trials()[0].hyperparameters
    # twenty random points come within 0.1 of it one time in two
    assert np.hypot(best.get("a") - 0.3, best.get("b") - 0.7) < 0.05


def test_a_seed_reproduces_the_trials():
    first, second = (
        [t.hyperparameters.values for t in run(10, num_initial_points=4).trials.values()]
        for _ in range(2)
    )
    assert first == second


def test_a_running_trial_is_not_tried_twice():
    oracle = run(8, num_initial_points=4)
    oracle.max_trials = 10
    one, other = (oracle.create_trial(name).hyperparameters.values for name in ("one", "two"))
    assert one != other


def test_no_configuration_is_repeated_and_the_end_of_the_space_is_noticed():
    space = keras_tuner.HyperParameters()
    space.Choice("a", [1, 2, 3, 4, 5])
    oracle = GaussianProcessOracle(
        "val_loss", max_trials=9, hyperparameters=space, num_initial_points=2, seed=1
    )
    oracle.verbose = 0
    tried = []
    while (trial := oracle.create_trial("one")).status == "RUNNING":
        tried.append(trial.hyperparameters.get("a"))
        oracle.update_trial(trial.trial_id, {"val_loss": float(tried[-1])})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert sorted(tried) == [1, 2, 3, 4, 5]


def test_before_any_value_the_prior_is_standard_normal():
    mean, deviation = Regressor(1e-4).predict(np.zeros((3, 2)), return_std=True)
    assert list(mean) == [0, 0, 0]
    assert list(deviation) == [1, 1, 1]


def test_the_mean_goes_through_the_values():
    x = np.linspace(0, 1, 8)[:, None]
    y = np.sin(5 * x[:, 0])
    regressor = Regressor(1e-8)
    regressor.fit(x, y)
    assert np.allclose(regressor.predict(x), y, atol=0.02)
