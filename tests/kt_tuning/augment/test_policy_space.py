import keras_tuner
import numpy as np
import pytest
from smooth_images import smooth, uniforms

from kt_tuning.augment import POLICIES, Policy, augment


def declared():
    hp = keras_tuner.HyperParameters()
    Policy.suggest(hp)
    return hp


def suggested(**values):
    hp = declared()
    hp.values.update({f"augment_{name}": value for name, value in values.items()})
    return Policy.suggest(hp)


def test_the_defaults_are_the_best_fixed_policy():
    assert Policy.suggest(keras_tuner.HyperParameters()) == POLICIES["trivial"]


def test_the_standard_policy_is_in_the_space():
    standard = suggested(operations=0, rotate=10.0, colour=0.2)
    assert standard == POLICIES["standard"]


def test_few_hyperparameters_all_named_alike_are_declared_at_once():
    hp = declared()
    assert all(p.name.startswith("augment_") for p in hp.space)
    assert len(hp.space) <= 10
    Policy.suggest(hp)
    assert len(hp.space) == len(declared().space)


def test_the_magnitude_of_random_operations_exists_only_with_them():
    (magnitude,) = [p for p in declared().space if p.name == "augment_magnitude"]
    (condition,) = magnitude.conditions
    assert (condition.name, condition.values) == ("augment_operations", [1, 2, 3])


def test_everything_can_be_switched_off():
    off = suggested(flip=False, shift=0.0, operations=0)
    assert off == POLICIES["none"]


def test_random_operations_come_before_the_hole():
    policy = suggested(operations=2, magnitude=0.3, cutout=0.25, probability=0.75)
    *_, first, second, last = policy.steps
    assert first == second
    assert {step.op: step.magnitude for step in first.choices}["rotate"] == pytest.approx(9)
    assert (last.op, last.magnitude, last.probability) == ("cutout", 0.25, 0.75)


@pytest.mark.parametrize("end", [min, max])
def test_the_ends_of_the_space_are_policies(end):
    hp = declared()
    for parameter in hp.space:
        hp.values[parameter.name] = end(parameter.values)
    policy = Policy.suggest(hp)
    assert augment(policy, smooth(), uniforms(policy)).shape == (4, 32, 32, 3)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_drawn_is_a_policy(seed):
    hp = declared()
    rng = np.random.default_rng(seed)
    for parameter in hp.space:
        hp.values[parameter.name] = parameter.random_sample(int(rng.integers(2**31)))
    policy = Policy.suggest(hp)
    assert Policy.from_json(policy.to_json()) == policy
