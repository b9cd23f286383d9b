"""Occlusion maps of a model that looks at one place."""

import numpy as np
import pytest

from kt_tuning.core.errors import OptionError
from kt_tuning.evaluation import occlusion_map


def corner(images):
    """How bright the upper left 4 by 4 pixels are."""
    bright = images[:, :4, :4].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - bright, bright], axis=1)


@pytest.fixture
def image():
    pixels = np.zeros((12, 16, 3), dtype=np.uint8)
    pixels[:4, :4] = 255
    return pixels


def test_what_matters_is_found(image):
    got = occlusion_map(corner, image, 1, patch=4, stride=4)
    assert got.shape == (12, 16)
    # Covered by the mean colour: 16 of 192 pixels are white.
    assert got[:4, :4] == pytest.approx(1 - round(255 * 16 / 192) / 255)
    assert (got[4:] == 0).all()
    assert (got[:, 4:] == 0).all()


def test_speaking_against_a_class_is_negative(image):
    assert (occlusion_map(corner, image, 0, patch=4)[:4, :4] < 0).all()


def test_the_predicted_class_by_default(image):
    np.testing.assert_array_equal(
        occlusion_map(corner, image, patch=4), occlusion_map(corner, image, 1, patch=4)
    )


def test_every_place_is_covered_whatever_the_sizes(image):
    seen = np.zeros((12, 16), dtype=bool)

    def predict(images):
        seen[(images != image).any(axis=(0, 3))] = True
        return corner(images)

    got = occlusion_map(predict, image, patch=5, stride=3)
    assert seen.all()
    assert np.isfinite(got).all()


@pytest.mark.parametrize("options", [{"patch": 13}, {"patch": 4, "stride": 5}, {"stride": 0}])
def test_squares_that_do_not_fit(image, options):
    with pytest.raises(OptionError, match="image 12 x 16"):
        occlusion_map(corner, image, **options)
