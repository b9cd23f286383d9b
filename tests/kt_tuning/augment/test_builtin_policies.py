import numpy as np
import pytest

from kt_tuning.augment import POLICIES, AugMix, OneOf, augment, default_policy
from kt_tuning.augment.builtin_policies import random_operations


def test_the_names():
    assert list(POLICIES) == [
        "none",
        "light",
        "photo",
        "standard",
        "strong",
        "text",
        "randaugment",
        "trivial",
        "augmix",
    ]


@pytest.mark.parametrize(
    ("shape", "name"),
    [((95, 300, 3), "light"), ((300, 95, 1), "light"), ((96, 96, 3), "photo"), ((32, 32), "light")],
)
def test_photographs_have_a_default_of_their_own(shape, name):
    assert default_policy(shape) == name


def test_photo_keeps_at_least_half_of_the_area_and_its_shape_within_4_to_3():
    across = np.zeros((500, 96, 96, 1), np.uint8)
    across[:] = np.arange(96)[:, None] * 2  # twice the number of the column
    policy = POLICIES["photo"]
    drawn = np.random.default_rng(0).random((500, policy.draws))
    widths = augment(policy, across, drawn)[:, 48, [10, 85], 0].astype(int)
    heights = augment(policy, across.swapaxes(1, 2), drawn)[:, [10, 85], 48, 0].astype(int)
    width, height = (np.abs(np.diff(seen))[:, 0] / 150 for seen in (widths, heights))
    areas, ratios = width * height, width / height
    assert 0.47 < areas.min() < 0.55
    assert 0.95 < areas.max() < 1.03
    assert 0.73 < ratios.min() < 0.85
    assert 1.18 < ratios.max() < 1.37


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
    assert isinstance(chains, AugMix)
    corruptions = {"brightness", "contrast", "saturation", "sharpness", "noise", "blur", "jpeg"}
    assert not chains.operations & corruptions
