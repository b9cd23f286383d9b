import json

import keras_tuner
import numpy as np
import pytest
from smooth_images import smooth, uniforms

from kt_tuning.augment import (
    OPS,
    POLICIES,
    AugMix,
    OneOf,
    Policy,
    Step,
    augment,
    default_policy,
)
from kt_tuning.augment.policy import random_operations
from kt_tuning.core.errors import OptionError


@pytest.mark.parametrize("name", POLICIES)
def test_named_policies_round_trip_through_json(name):
    policy = Policy.named(name)
    assert Policy.from_json(json.loads(json.dumps(policy.to_json()))) == policy


def test_policies_written_before_there_were_borders_are_read():
    old = {"steps": [{"op": "flip", "magnitude": 1.0, "probability": 0.5}]}
    assert Policy.from_json(old) == Policy((Step("flip", 1.0, 0.5),))


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"steps": 3},
        {"steps": [{"operation": "flip"}]},
        {"steps": [{"op": "flip", "power": 1}]},
        {"steps": [{"choices": [{"op": "flip"}], "depth": 2}]},
    ],
)
def test_other_json_is_refused(content):
    with pytest.raises(OptionError, match=r"list of steps|Not a step"):
        Policy.from_json(content)


def test_draws_count_decisions_and_the_numbers_of_each_step():
    # flip 1 + 0, crop 1 + 2, rotate 1 + 1
    steps = (Step("flip"), Step("crop", 0.1), Step("rotate", 5))
    assert Policy(steps).draws == 1 + 3 + 2
    # one to choose, and as many as the neediest choice
    assert OneOf(steps).draws == 1 + 3
    # the image's weight; for each of 2 chains its weight, its length, and 3 choices
    assert AugMix(steps, width=2, depth=3).draws == 1 + 2 * (2 + 3 * 4)


def test_chain_weights_are_on_the_simplex_and_follow_their_numbers():
    chains = AugMix((Step("invert"),), width=2, depth=1)
    # image 0.25; exponential numbers -log(1 - u) of 1 and 3
    numbers = np.zeros((1, chains.draws))
    each = (chains.draws - 1) // 2
    numbers[0, [0, 1, 1 + each]] = [0.25, 1 - np.exp(-1), 1 - np.exp(-3)]
    assert chains.weights(numbers)[0] == pytest.approx([0.25, 0.75 / 4, 0.75 * 3 / 4])
    assert chains.weights(np.zeros((1, chains.draws))).sum() == pytest.approx(1)


@pytest.mark.parametrize(("number", "length"), [(0.0, 1), (0.4, 2), (0.99, 3)])
def test_chains_are_as_long_as_their_number_says(number, length):
    chains = AugMix((Step("invert"),), width=1, depth=3)
    numbers = np.zeros((1, chains.draws))
    numbers[0, 2] = number
    (drawn,) = chains.chains(np.arange(1), numbers)
    assert len(list(drawn)) == length


def test_label_preserving_leaves_out_or_limits_what_changes_a_digits_label():
    policy = Policy(
        (
            Step("flip"),
            Step("rotate", 90.0, 0.5),
            OneOf((Step("vertical_flip"), Step("brightness", 0.5))),
            OneOf((Step("turn"),)),
            AugMix((Step("turn"), Step("zoom", 1.0))),
        ),
        "edge",
    )
    kept = policy.label_preserving()
    assert kept == Policy(
        (
            Step("rotate", 15.0, 0.5),
            OneOf((Step("brightness", 0.5),)),
            AugMix((Step("zoom", 0.5),)),
        ),
        "edge",
    )
    assert kept.label_preserving() == kept


@pytest.mark.parametrize("name", ["flip", "vertical_flip", "turn"])
def test_text_is_never_mirrored_or_turned(name):
    assert OPS[name].label_preserving == 0
    assert POLICIES["text"].label_preserving() == POLICIES["text"]


def test_quarter_turns_need_square_images():
    policy = Policy((OneOf((Step("invert"), Step("turn"))),))
    policy.check((8, 8, 3))
    with pytest.raises(OptionError, match=r"'turn' needs images that are as wide as high.*8×9"):
        policy.check((8, 9, 3))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 2), (8, 8, 4), (0, 8, 3)])
def test_shapes_that_are_no_images_are_refused(shape):
    with pytest.raises(OptionError, match="1 \\(grey\\) or 3"):
        POLICIES["light"].check(shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Step("swirl"), "Unknown augmentation 'swirl'"),
        (lambda: Step("flip", 1, 1.5), "probability of 'flip'"),
        (lambda: Step("rotate", float("nan")), "magnitude of 'rotate'"),
        (lambda: Step("rotate", "15"), "magnitude of 'rotate'"),
        (lambda: OneOf(()), "`choices` are one `Step` or more"),
        (lambda: OneOf((OneOf((Step("flip"),)),)), "`choices` are one `Step` or more"),
        (lambda: OneOf((Step("flip"),), -0.1), "probability of `OneOf`"),
        (lambda: AugMix((Step("flip"),), width=0), "`width` is a whole number"),
        (lambda: AugMix((Step("flip"),), depth=1.5), "`depth` is a whole number"),
        (lambda: Policy(("flip",)), "steps of a policy are `Step`"),
        (lambda: Policy((), "reflect"), "`border` is one of mirror, edge, wrap, constant"),
        (lambda: Policy((), interpolation="lanczos"), "`interpolation` is one of auto, nearest"),
        (lambda: Policy.named("mild"), "Unknown.*none, light, photo, standard"),
    ],
)
def test_wrong_policies_are_refused(make, message):
    with pytest.raises(OptionError, match=message):
        make()


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


def test_images_with_an_orientation_are_not_mirrored():
    assert default_policy((28, 28, 1), mirrored=False) == "text"
    assert default_policy((224, 224, 3), mirrored=False) == "text"


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


def test_whatever_is_drawn_is_a_policy():
    hp = declared()
    rng = np.random.default_rng(0)
    for _ in range(20):
        for parameter in hp.space:
            hp.values[parameter.name] = parameter.random_sample(int(rng.integers(2**31)))
        policy = Policy.suggest(hp)
        assert Policy.from_json(policy.to_json()) == policy
