"""KerasTuner's oracles have the interface of ours, so that no loop tells them apart."""

import inspect

import keras_tuner
import pytest

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
