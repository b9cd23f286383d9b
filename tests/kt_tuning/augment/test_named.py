import pytest

from kt_tuning.augment import POLICIES, Chains, OneOf
from kt_tuning.augment.named import random_operations


def test_the_names():
    assert list(POLICIES) == [
        "none",
        "light",
        "standard",
        "strong",
        "text",
        "randaugment",
        "trivial",
        "augmix",
    ]


@pytest.mark.parametrize("name", ["randaugment", "trivial", "augmix"])
def test_random_policies_mirror_and_shift_first(name):
    assert POLICIES[name].steps[:2] == POLICIES["light"].steps


def test_randaugment_draws_twice_at_half_strength():
    first, second = POLICIES["randaugment"].steps[2:]
    assert first == second == random_operations(0.5, 1, fixed=True)[0]
    magnitudes = {step.op: (step.magnitude, step.fixed) for step in first.choices}
    assert magnitudes["rotate"] == (15.0, True)
    assert magnitudes["posterise"] == (2.0, True)
    # the fourteenth operation is none
    assert first.probability == pytest.approx(13 / 14)
    assert len(first.choices) == 13


def test_trivial_draws_once_and_uniformly_up_to_full_strength():
    (only,) = POLICIES["trivial"].steps[2:]
    assert isinstance(only, OneOf)
    assert {step.op: step.magnitude for step in only.choices}["rotate"] == 30.0
    assert not any(step.fixed for step in only.choices)


def test_augmix_has_no_operation_of_imagenet_c():
    (chains,) = POLICIES["augmix"].steps[2:]
    assert isinstance(chains, Chains)
    corruptions = {"brightness", "contrast", "saturation", "sharpness", "noise", "blur", "jpeg"}
    assert not chains.operations & corruptions
