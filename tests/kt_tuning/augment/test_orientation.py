import numpy as np
import pytest
from sklearn.datasets import load_digits

from kt_tuning import Recipe
from kt_tuning.augment import loses_class_mirrored
from kt_tuning.data import ImageData


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    return (found.images[..., None] * 15).astype(np.uint8), found.target


def bars(*, columns, images=200, side=40):
    """White bars on noise: class 1 is at the second of two columns."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 100, (images, side, side, 3)).astype(np.uint8)
    labels = rng.integers(0, 2, images)
    for image, label in zip(pixels, labels, strict=True):
        image[:, columns[label]] = 255
    return pixels, labels


def test_digits_lose_their_class_mirrored(digits):
    images, labels = digits
    assert loses_class_mirrored(images[:300], labels[:300])


def test_left_and_right_lose_their_class_mirrored():
    assert loses_class_mirrored(*bars(columns=(slice(0, 8), slice(32, 40))))


def test_symmetric_images_keep_their_class_mirrored():
    assert not loses_class_mirrored(*bars(columns=(slice(16, 24), [*range(4), *range(36, 40)])))


def test_images_that_nobody_can_tell_apart_keep_theirs():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (300, 16, 16, 1)).astype(np.uint8)
    assert not loses_class_mirrored(noise, rng.integers(0, 3, 300))


@pytest.mark.parametrize("labels", [[], [0], [0, 0, 0, 0], [0, 1]])
def test_too_few_images_or_classes_keep_theirs(labels):
    assert not loses_class_mirrored(np.zeros((len(labels), 9, 9, 1), np.uint8), labels)


def test_the_default_recipe_suits_the_images(digits):
    images, labels = digits
    data = ImageData.from_arrays(images[:600], labels[:600])
    assert Recipe.for_images(data).augment == "text"
    assert Recipe.for_images(data, augment="strong", batch_size=8) == Recipe(
        augment="strong", batch_size=8
    )
    symmetric = bars(columns=(slice(16, 24), [*range(4), *range(36, 40)]))
    assert Recipe.for_images(ImageData.from_arrays(*symmetric)).augment == "light"
    assert Recipe.for_images(None) == Recipe()
