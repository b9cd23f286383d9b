import json

import numpy as np
import pytest

from kt_tuning.augment import OPS, POLICIES, AugMix, OneOf, Policy, Step
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


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 2), (8, 8, 5), (0, 8, 3)])
def test_shapes_that_are_no_images_are_refused(shape):
    with pytest.raises(OptionError, match="1 \\(grey\\), 3 \\(RGB\\) or 4"):
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
        (lambda: AugMix((Step("flip"),), width=0), "`width` of `AugMix`"),
        (lambda: AugMix((Step("flip"),), depth=1.5), "`depth` of `AugMix`"),
        (lambda: Policy(("flip",)), "steps of a policy are `Step`"),
        (lambda: Policy((), "reflect"), "`border` is one of mirror, edge, wrap, constant"),
        (lambda: Policy((), interpolation="lanczos"), "`interpolation` is one of auto, nearest"),
        (lambda: Policy.named("mild"), "Unknown.*none, light, photo, standard"),
    ],
)
def test_wrong_policies_are_refused(make, message):
    with pytest.raises(OptionError, match=message):
        make()
