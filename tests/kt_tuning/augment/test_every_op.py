"""What holds for every row of `OPS`: a new operation is tested without a new test."""

import json

import numpy as np
import pytest
from op_by_op import op_by_op
from smooth_images import smooth, uniforms

from kt_tuning.augment import OPS, Policy, Step, augment
from kt_tuning.core.errors import OptionError

# At a magnitude of 0 these do something all the same: they have none.
WITHOUT_MAGNITUDE = {name for name, op in OPS.items() if op.low == 1}
every_op = pytest.mark.parametrize("name", OPS)
carried_out = pytest.mark.parametrize("carry_out", [augment, op_by_op])


def alone(name, magnitude=None, probability=1.0, **options):
    largest = OPS[name].high if magnitude is None else magnitude
    return Policy((Step(name, largest, probability, **options),))


@every_op
@carried_out
def test_shape_type_and_input_are_kept(name, carry_out):
    for channels in (1, 3):
        images = smooth(channels=channels)
        before = images.copy()
        result = carry_out(alone(name), images, uniforms(alone(name)))
        assert (result.shape, result.dtype) == (images.shape, np.uint8)
        assert np.array_equal(images, before)
        assert not np.shares_memory(result, images)


@every_op
def test_same_numbers_same_result(name):
    policy, images = alone(name), smooth()
    first, second = (augment(policy, images, uniforms(policy)) for _ in range(2))
    assert np.array_equal(first, second)


@every_op
def test_it_does_something(name):
    policy, images = alone(name), smooth()
    assert not np.array_equal(augment(policy, images, uniforms(policy)), images)


@every_op
@carried_out
def test_a_probability_of_zero_is_the_identity(name, carry_out):
    policy, images = alone(name, probability=0.0), smooth()
    assert np.array_equal(carry_out(policy, images, uniforms(policy)), images)


@pytest.mark.parametrize("name", sorted(set(OPS) - WITHOUT_MAGNITUDE))
@carried_out
def test_a_magnitude_of_zero_is_the_identity(name, carry_out):
    policy, images = alone(name, 0.0), smooth()
    assert np.array_equal(carry_out(policy, images, uniforms(policy)), images)


@every_op
@pytest.mark.parametrize("shape", [(32, 32, 3), (1, 1, 1), (3, 3, 3)])
def test_extreme_draws_are_carried_out(name, shape):
    for fixed in (False, True):
        policy = alone(name, fixed=fixed)
        for edge in (0.0, np.nextafter(1.0, 0.0)):
            numbers = np.full((2, policy.draws), edge)
            # The first number decides whether: it always does.
            numbers[:, 0] = 0.0
            assert augment(policy, smooth(2, *shape), numbers).shape == (2, *shape)


@every_op
def test_each_image_is_augmented_alone(name):
    policy, images = alone(name), smooth()
    numbers = uniforms(policy)
    together = augment(policy, images, numbers)
    for row in range(len(images)):
        single = augment(policy, images[row : row + 1], numbers[row : row + 1])
        assert np.array_equal(single[0], together[row])


@every_op
def test_fused_and_by_pil_agree(name):
    """Alone and at half its strength, away from the border."""
    row = OPS[name]
    policy, images = alone(name, max(row.low, row.high / 2)), smooth(height=40, width=40)
    numbers = uniforms(policy, seed=3)
    fused = augment(policy, images, numbers).astype(int)
    difference = np.abs(fused - op_by_op(policy, images, numbers))
    assert difference.mean() <= 1
    if row.kind in ("pointwise", "filter"):
        assert difference.max() == 0


@every_op
def test_steps_go_through_json(name):
    policy = Policy((Step(name, OPS[name].high, 0.25, fixed=True),), "edge", "nearest")
    assert Policy.from_json(json.loads(json.dumps(policy.to_json()))) == policy


@every_op
@pytest.mark.parametrize("beyond", [-1.0, 1.0])
def test_magnitudes_outside_the_range_are_refused(name, beyond):
    row = OPS[name]
    wrong = row.low + beyond if beyond < 0 else row.high + beyond
    with pytest.raises(OptionError, match=f"magnitude of '{name}'.*Received: {wrong}"):
        Step(name, wrong)


@every_op
def test_the_largest_magnitude_for_digits_is_in_range(name):
    row = OPS[name]
    assert row.label_preserving == 0 or row.low <= row.label_preserving <= row.high
