"""The parts of the recipe that are about training rather than images."""

import keras_tuner
import pytest

from kt_tuning.core.errors import OptionError
from kt_tuning.recipe import BALANCES, PRECISIONS, Recipe


def declared(recipe):
    hp = keras_tuner.HyperParameters()
    recipe.declare(hp)
    return {entry.name: list(entry.values) for entry in hp.space}


def test_batches_do_not_grow_unless_they_are_allowed_to():
    plan = Recipe(batch_size=32).plan({})
    assert (plan.batch_size, plan.max_batch_size, plan.grows) == (32, 32, False)


def test_the_largest_batch_is_searched_like_everything_else():
    recipe = Recipe(batch_size=[32, 64], max_batch_size=[64, 256], balance=["none", "sampling"])
    assert declared(recipe) == {
        "batch_size": [32, 64],
        "max_batch_size": [64, 256],
        "balance": ["none", "sampling"],
    }
    assert recipe.plan({}).grows
    # a trial may draw a largest batch that its batches have already
    assert not recipe.plan({"batch_size": 64, "max_batch_size": 64}).grows
    assert recipe.plan({"balance": "sampling"}).balance == "sampling"


def test_what_is_fixed_is_not_searched():
    assert declared(Recipe(32, max_batch_size=128, balance="weights", precision="auto")) == {}


@pytest.mark.parametrize("name", BALANCES)
def test_any_way_to_balance_goes_with_mixing(name):
    plan = Recipe(balance=name, mixup=0.2).plan({})
    assert (plan.balance, plan.mixing.mixup) == (name, 0.2)


@pytest.mark.parametrize("name", PRECISIONS)
def test_every_precision_is_taken(name):
    assert Recipe(precision=name).precision == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_batch_size": 64}, "more than `batch_size`.*max_batch_size=64, batch_size=64"),
        ({"batch_size": (32, 64), "max_batch_size": 16}, "max_batch_size=16"),
        ({"max_batch_size": 0}, "`max_batch_size` is a positive whole number"),
        ({"max_batch_size": ()}, "max_batch_size=()"),
        ({"max_batch_size": (None, 128)}, "`max_batch_size` is a positive whole number"),
        ({"balance": "both"}, "Unknown balance 'both'. Known: none, weights, sampling"),
        ({"balance": True}, "Unknown balance True"),
        ({"balance": ("weights", "all")}, "Unknown balance 'all'"),
        ({"precision": "float8"}, "Unknown precision 'float8'.*Known: float32"),
        ({"precision": ("float32", "auto")}, "Unknown precision"),
    ],
)
def test_wrong_values_are_refused(arguments, message):
    with pytest.raises(OptionError, match=message.replace("(", r"\(").replace(")", r"\)")):
        Recipe(**arguments)
