"""Searches with KerasTuner's own oracles, which have the interface of ours."""

import inspect

import keras
import keras_tuner
import numpy as np
import pytest
from keras_tuner import oracles

from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.search import OptunaOracle
from kt_tuning.search.stock_oracle import StockOracle, adapt, make_oracle

PUBLIC = [name for name in vars(StockOracle) if not name.startswith("_")]


@pytest.fixture
def stock():
    return adapt(keras_tuner.oracles.RandomSearchOracle("val_accuracy", max_trials=1, seed=1))


@pytest.mark.parametrize("name", PUBLIC)
def test_each_attribute_is_one_of_an_optuna_oracle(name):
    ours = inspect.getattr_static(StockOracle, name)
    theirs = getattr(OptunaOracle, name, getattr(OptunaOracle(objective="val_loss"), name, None))
    if inspect.isfunction(ours):
        assert len(inspect.signature(ours).parameters) == len(inspect.signature(theirs).parameters)
    else:
        assert hasattr(OptunaOracle(objective="val_loss"), name)


def test_an_optuna_oracle_needs_no_adapter():
    oracle = OptunaOracle(objective="val_loss")
    assert adapt(oracle) is oracle


def test_without_a_study_nothing_is_enqueued(stock):
    with pytest.raises(SearchError, match="RandomSearchOracle keeps no Optuna study, which `enq"):
        stock.enqueue({"units": 3})
    with pytest.raises(SearchError, match="which `warm_start` needs"):
        stock.prepare("run", overwrite=False, warm_start="runs/earlier")


def test_a_strategy_is_a_name_a_sampler_or_an_oracle():
    with pytest.raises(OptionError, match="Received: 3"):
        make_oracle(3, objective="val_loss")


OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")
ORACLES = {
    "random": lambda: oracles.RandomSearchOracle(OBJECTIVE, max_trials=3, seed=3),
    "grid": lambda: oracles.GridSearchOracle(OBJECTIVE, max_trials=3, seed=3),
    "bayesian": lambda: oracles.BayesianOptimizationOracle(
        OBJECTIVE, max_trials=3, num_initial_points=2, seed=3
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_a_stock_oracle_chooses_the_trials(name, make_tuner, stripes):
    oracle = ORACLES[name]()
    tuner = make_tuner(strategy=oracle)
    tuner.search(stripes)
    results = tuner.results()
    assert list(results["status"]) == ["COMPLETED"] * 3
    # KerasTuner's Bayesian optimisation may try a configuration twice.
    assert len(results[["hp/units", "hp/rate"]].drop_duplicates()) >= 2
    assert oracle.get_best_trials(1)[0].score == pytest.approx(results["val_accuracy"].max())
    assert {trial.metrics.get_direction("val_f1") for trial in oracle.trials.values()} == {"max"}


def test_a_grid_of_keras_tuners_ends_when_it_is_exhausted(make_tuner, stripes):
    space = keras_tuner.HyperParameters()
    space.Fixed("units", 4)
    oracle = oracles.GridSearchOracle(OBJECTIVE, hyperparameters=space)
    tuner = make_tuner(strategy=oracle, epochs=1)
    tuner.search(stripes)
    assert sorted(tuner.results()["hp/rate"]) == [0.003, 0.01, 0.03]


def test_keras_tuners_hyperband_trains_its_survivors_further(make_tuner, stripes):
    oracle = keras_tuner.oracles.HyperbandOracle(objective="val_accuracy", max_epochs=3, seed=1)
    oracle.max_trials = 4
    tuner = make_tuner(strategy=oracle, epochs=3)
    tuner.search(stripes)
    # three configurations for one epoch, the best of them for two more
    assert list(tuner.results()["epochs"]) == [1, 1, 1, 2]
    assert list(tuner.history().query("number == 3")["epoch"]) == [1, 2]


@pytest.mark.parametrize("form", ["arrays", "image data"])
def test_a_hypermodel_of_keras_tuners_is_searched(form, make_tuner, stripes):
    space = keras_tuner.HyperParameters()
    for name, value in {"sep_num_filters": 16, "conv2d_num_filters": 8}.items():
        space.Fixed(name, value)
    space.Int("num_residual_blocks", 1, 2)  # one by default
    hypermodel = keras_tuner.applications.HyperXception(input_shape=(8, 8, 1), classes=2)
    tuner = make_tuner(hypermodel, strategy="tpe", hyperparameters=space, max_trials=1, epochs=1)
    train, validation = (
        (split.images.astype(np.float32), keras.utils.to_categorical(split.labels))
        for split in (stripes.train, stripes.validation)
    )
    if form == "arrays":
        tuner.search(*train, validation_data=validation)
    else:
        tuner.search(stripes)
    assert list(tuner.results()["status"]) == ["COMPLETED"]
    assert list(tuner.results()["hp/conv2d_num_filters"]) == [8]
