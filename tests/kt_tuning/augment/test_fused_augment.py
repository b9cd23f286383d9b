import numpy as np
import pytest
from PIL import Image
from smooth_images import smooth, uniforms

from kt_tuning.augment import POLICIES, OneOf, Policy, Step, augment, fused
from kt_tuning.augment.resampling import BORDERS
from kt_tuning.core.errors import OptionError


@pytest.fixture
def resamplings(monkeypatch):
    """How many images each call resamples, by PIL or several small ones at once."""
    calls = []
    transform, interpolate = Image.Image.transform, fused.interpolate

    def one(*args, **kwargs):
        calls.append(1)
        return transform(*args, **kwargs)

    def several(images, *args):
        calls.append(len(images))
        return interpolate(images, *args)

    monkeypatch.setattr(Image.Image, "transform", one)
    monkeypatch.setattr(fused, "interpolate", several)
    return calls


def test_probability_decides_image_by_image():
    images = smooth(3)
    result = augment(Policy((Step("flip", 1, 0.5),)), images, np.array([[0.6], [0.4], [0.9]]))
    flipped = [not np.array_equal(a, b) for a, b in zip(result, images, strict=True)]
    assert flipped == [False, True, False]


def test_geometry_is_composed_in_order():
    images = smooth(3)
    flip_then_shift = Policy((Step("flip"), Step("crop", 0.125)))
    numbers = np.tile([0.0, 0.0, 0.99, 0.5], (3, 1))
    both = augment(flip_then_shift, images, numbers)
    flipped = images[:, :, ::-1]
    padded = np.pad(flipped, ((0, 0), (0, 0), (4, 4), (0, 0)), mode="symmetric")
    assert np.array_equal(both, padded[:, :, 8:])


def test_all_geometry_is_one_resampling_of_all_small_images(resamplings):
    steps = (Step("rotate", 20.0), Step("brightness", 0.2), Step("shear_x", 0.2), Step("zoom", 0.2))
    policy = Policy(steps)
    augment(policy, smooth(8), uniforms(policy, 8))
    assert len(resamplings) == 1


def test_large_images_are_resampled_once_each(resamplings):
    policy = Policy((Step("rotate", 20.0), Step("contrast", 0.2), Step("invert")))
    augment(policy, smooth(3, 100, 100), uniforms(policy, 3))
    assert len(resamplings) == 3


def test_flips_and_shifts_are_never_resampled(resamplings):
    policy = POLICIES["light"]
    augment(policy, smooth(), uniforms(policy))
    assert not resamplings


def test_a_table_stays_before_a_resampling(resamplings):
    """Solarising has a jump that must not be interpolated first."""
    policy = Policy((Step("rotate", 20.0), Step("solarise", 0.3), Step("rotate", 20.0)))
    augment(policy, smooth(), uniforms(policy))
    assert len(resamplings) == 2


def test_contrast_before_a_shift_takes_the_mean_before_it():
    images = np.zeros((1, 8, 8, 3), np.uint8)
    images[:, :, 4:] = 200
    policy = Policy((Step("contrast", 0.5), Step("translate_x", 0.5)), "constant")
    # contrast ±50%: with 0 it is 0.5, and the mean is 100; then 4 pixels to the right
    result = augment(policy, images, np.array([[0.0, 0.0, 0.0, np.nextafter(1.0, 0.0)]]))
    assert result[0, 0, :, 0].tolist() == [0, 0, 0, 0, 50, 50, 50, 50]


def test_values_are_clipped_once_at_the_end():
    images = np.full((1, 4, 4, 3), 200, np.uint8)
    policy = Policy((Step("brightness", 0.5), Step("brightness", 0.5)))
    # 200 · 1.5 is more than white, and half of it is not
    result = augment(policy, images, np.array([[0.0, np.nextafter(1.0, 0.0), 0.0, 0.0]]))
    assert np.array_equal(result, np.full((1, 4, 4, 3), 150))


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("shape", [(32, 32, 1), (28, 20, 3), (100, 96, 3)])
def test_named_policies_keep_shape_and_input(name, shape):
    images = smooth(3, *shape)
    before = images.copy()
    policy = POLICIES[name]
    numbers = uniforms(policy, 3)
    result = augment(policy, images, numbers)
    assert (result.shape, result.dtype) == (images.shape, np.uint8)
    assert np.array_equal(images, before)
    assert np.array_equal(result, augment(policy, images, numbers))
    assert not np.shares_memory(result, images)
    assert name == "none" or not np.array_equal(result, images)


@pytest.mark.parametrize("name", POLICIES)
def test_the_stream_depends_on_the_numbers_alone(name):
    """Not on what else is in the batch."""
    policy, images = POLICIES[name], smooth(7)
    numbers = uniforms(policy, 7, seed=1)
    together = augment(policy, images, numbers)
    order = [4, 0, 6, 2]
    assert np.array_equal(augment(policy, images[order], numbers[order]), together[order])


@pytest.mark.parametrize("side", [32, 120])
def test_a_crop_shows_what_is_beyond_the_border(side):
    images = smooth(2, side, side)
    # 4 pixels either way, always: with 0 and 0.99 the columns begin at -4 and the rows at 4.
    crop = Policy((Step("crop", 4 / side),), "edge")
    corner = augment(crop, images, np.tile([0.0, 0.0, 0.99], (2, 1)))
    expected = np.pad(images, ((0, 0), (0, 4), (4, 0), (0, 0)), mode="edge")
    assert np.array_equal(corner, expected[:, 4:, :side])


@pytest.mark.parametrize("first", ["blur", "flip", "posterise", "contrast"])
def test_what_comes_before_a_crop_is_done_to_the_whole_image(first):
    images = smooth(3, 40, 40)
    before = Policy((Step(first, {"blur": 0.05, "posterise": 4.0}.get(first, 1.0)),))
    crop = Policy((Step("crop", 0.1),))
    numbers, places = uniforms(before, 3, 1), uniforms(crop, 3, 2)
    both = Policy((*before.steps, *crop.steps))
    fused = augment(both, images, np.concatenate([numbers, places], axis=1))
    apart = augment(crop, augment(before, images, numbers), places)
    assert np.array_equal(fused, apart)
    assert np.array_equal(images, smooth(3, 40, 40))


def test_every_choice_is_equally_likely():
    policy = Policy((OneOf((Step("flip"), Step("vertical_flip"), Step("invert")), 0.75),))
    images = smooth(1)
    numbers = np.zeros((4, policy.draws))
    numbers[:, 0] = [0.2, 0.3, 0.6, 0.8]
    results = augment(policy, np.repeat(images, 4, axis=0), numbers)
    expected = [images[0, :, ::-1], images[0, ::-1], 255 - images[0], images[0]]
    assert np.array_equal(results, np.stack(expected))


def test_grey_images_are_coloured_as_grey_rgb_ones():
    grey = smooth(channels=1)
    policy = Policy((Step("contrast", 0.3), Step("gains", 0.3), Step("hue", 60.0)))
    numbers = uniforms(policy)
    rgb = augment(policy, np.repeat(grey, 3, axis=3), numbers)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    assert np.abs(augment(policy, grey, numbers)[..., 0] - luma).max() <= 1


def test_an_empty_batch_is_fine():
    policy = POLICIES["augmix"]
    empty = augment(policy, np.empty((0, 8, 8, 3), np.uint8), np.empty((0, policy.draws)))
    assert empty.shape == (0, 8, 8, 3)


@pytest.mark.parametrize("side", [1, 2, 5])
def test_borders_reach_any_distance(side):
    image = smooth(1, side, side)
    for border in BORDERS:
        policy = Policy((Step("zoom", 2.0), Step("translate_x", 1.0)), border)
        assert augment(policy, image, np.zeros((1, 4))).shape == image.shape


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), r"uint8 images .*float32 \(2, 8, 8, 3\)"),
        (np.zeros((8, 8, 3), np.uint8), r"uint8 images .*\(8, 8, 3\)"),
        (np.zeros((2, 8, 8, 2), np.uint8), r"1 \(grey\) or 3 .*\(8, 8, 2\)"),
    ],
)
def test_other_input_is_refused(images, message):
    with pytest.raises(OptionError, match=message):
        augment(POLICIES["light"], images, np.zeros((2, POLICIES["light"].draws)))


def test_wrong_number_of_draws_is_refused():
    with pytest.raises(OptionError, match="uniforms of shape"):
        augment(POLICIES["light"], smooth(3), np.zeros((3, 1)))
