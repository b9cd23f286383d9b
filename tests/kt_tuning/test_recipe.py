import keras_tuner
import numpy as np
import pytest

from kt_tuning.augment import OPS, POLICIES, Mixing, Policy, Step
from kt_tuning.core.errors import OptionError
from kt_tuning.recipe import Recipe


def space(recipe):
    hp = keras_tuner.HyperParameters()
    recipe.declare(hp)
    return hp.space


def declared(recipe):
    return {entry.name: list(entry.values) for entry in space(recipe)}


def test_fixed_values_are_not_searched():
    assert declared(Recipe(batch_size=32, augment="strong")) == {}


def test_several_values_are_searched():
    recipe = Recipe(batch_size=[32, 64], augment=["none", "light"])
    assert declared(recipe) == {"batch_size": [32, 64], "augment": ["none", "light"]}


def test_search_means_a_policy_of_its_own():
    names = {entry.name for entry in space(Recipe(augment="search"))}
    assert names
    assert all(name.startswith("augment_") for name in names)
    assert Recipe(augment="search").plan({}).policy == Policy.suggest(keras_tuner.HyperParameters())


def test_a_searched_policy_is_that_of_the_trials_values():
    hp = keras_tuner.HyperParameters()
    recipe = Recipe(augment="search")
    recipe.declare(hp)
    first = hp.space[0]
    hp.values[first.name] = next(value for value in first.values if value != first.default)
    assert recipe.plan(hp.values).policy == Policy.suggest(hp)
    assert recipe.plan(hp.values).policy != recipe.plan({}).policy


def test_mixing_is_searched_like_everything_else():
    recipe = Recipe(mixup=[0, 0.4], cutmix=1)
    assert declared(recipe) == {"mixup": [0.0, 0.4]}
    assert recipe.plan({"mixup": 0.4}).mixing == Mixing(0.4, 1)
    assert recipe.plan({}).mixing == Mixing(0, 1)


def test_labels_are_soft_in_every_trial_or_in_none():
    assert Recipe(mixup=(0.0, 0.4)).plan({"mixup": 0.0}).mixing == Mixing()
    assert Recipe().plan({}).mixing is None
    assert Recipe(mixup=0, cutmix=(0, 0.0)).plan({}).mixing is None


def test_plan_takes_the_trials_values():
    recipe = Recipe(batch_size=(32, 64), augment=tuple(POLICIES))
    plan = recipe.plan({"batch_size": 64, "augment": "text"})
    assert (plan.batch_size, plan.policy) == (64, POLICIES["text"])


def test_plan_falls_back_to_the_first_value():
    own = Policy((Step("flip", 1.0, 0.5),))
    plan = Recipe(batch_size=(32, 64), augment=own).plan({})
    assert (plan.batch_size, plan.policy) == (32, own)


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"batch_size": ()},
        {"augment": "mild"},
        {"augment": ("light", "mild")},
        {"augment": ("light", Policy())},
        {"patience": 0},
        {"mixup": -1},
        {"cutmix": (0.0, "much")},
        {"mixup": ()},
    ],
)
def test_wrong_values_are_refused(arguments):
    with pytest.raises(OptionError):
        Recipe(**arguments)


def test_images_that_a_policy_cannot_take_are_refused():
    turning = next(name for name, op in OPS.items() if op.square)
    recipe = Recipe(augment=Policy((Step(turning),)))
    recipe.check((8, 8, 3))
    with pytest.raises(OptionError, match="as wide as high"):
        recipe.check((8, 12, 3))
    with pytest.raises(OptionError, match="channels"):
        Recipe(augment="search").check((8, 8, 2))


def test_numbers_of_numpy_become_those_of_python():
    recipe = Recipe(batch_size=[np.int64(8), np.int64(16)], mixup=np.float32(0.25))
    assert [type(size) for size in recipe.batch_size] == [int, int]
    assert recipe == Recipe(batch_size=[8, 16], mixup=0.25)
    assert type(recipe.mixup) is float
