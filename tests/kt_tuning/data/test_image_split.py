from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.data.image_split import ImageSplit, PixelFile

PIXELS = np.arange(1200, dtype=np.uint8).reshape(100, 2, 2, 3)


def in_memory() -> ImageSplit:
    return ImageSplit(PIXELS, np.array([5, 7, 90]), np.array([0, 1, 0]))


def on_disk(tmp_path: Path) -> ImageSplit:
    path = tmp_path / "a.pixels"
    path.write_bytes(PIXELS.tobytes())
    source = PixelFile(str(path), PIXELS.shape)
    return ImageSplit(source, np.array([5, 7, 90]), np.array([0, 1, 0]))


def test_images_are_those_of_the_index(tmp_path: Path) -> None:
    for split in (in_memory(), on_disk(tmp_path)):
        assert len(split) == 3
        np.testing.assert_array_equal(split.images, PIXELS[[5, 7, 90]])


def test_take_counts_within_the_split(tmp_path: Path) -> None:
    for split in (in_memory(), on_disk(tmp_path)):
        np.testing.assert_array_equal(split.take([2, 0, 2]), PIXELS[[90, 5, 90]])


def test_take_gives_a_contiguous_writable_copy_of_plain_type(tmp_path: Path) -> None:
    for split in (in_memory(), on_disk(tmp_path)):
        taken = split.take(np.array([1]))
        taken += 1
        assert type(taken) is np.ndarray
        assert taken.flags.c_contiguous
        np.testing.assert_array_equal(split.take([1]), PIXELS[[7]])


def test_take_of_nothing() -> None:
    assert in_memory().take([]).shape == (0, 2, 2, 3)


def test_take_outside_the_split() -> None:
    with pytest.raises(IndexError):
        in_memory().take([3])


def test_split_on_disk_is_pickled_without_pixels(tmp_path: Path) -> None:
    split = on_disk(tmp_path)
    content = pickle.dumps(split)
    assert len(content) < 1000
    np.testing.assert_array_equal(pickle.loads(content).images, split.images)


def test_split_in_memory_is_pickled_with_pixels() -> None:
    split = pickle.loads(pickle.dumps(in_memory()))
    np.testing.assert_array_equal(split.images, in_memory().images)
    np.testing.assert_array_equal(split.labels, [0, 1, 0])


def test_pixel_file_that_is_gone(tmp_path: Path) -> None:
    split = on_disk(tmp_path)
    content, before = pickle.dumps(split), split.images
    (tmp_path / "a.pixels").unlink()
    with pytest.raises(StorageError, match=r"deleted or changed.*Run the same command"):
        pickle.loads(content)
    # What has the file open goes on with it.
    np.testing.assert_array_equal(split.images, before)


@pytest.fixture
def split() -> ImageSplit:
    """The images 5, 2 and 7 of ten, whose pixels all have the number of the image."""
    pixels = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1) * np.ones((1, 2, 3, 1), np.uint8)
    return ImageSplit(pixels, np.array([5, 2, 7]), np.array([1, 0, 1]))


def test_one_place_is_an_image_and_its_label(split: ImageSplit) -> None:
    image, label = split[1]
    assert (image.shape, image.dtype, image[0, 0, 0]) == ((2, 3, 1), np.uint8, 2)
    assert (label, type(label)) == (0, int)
    assert split[-1][0][0, 0, 0] == 7
    assert split[np.int64(0)][1] == 1


@pytest.mark.parametrize(
    ("key", "numbers", "labels"),
    [
        (slice(2), [5, 2], [1, 0]),
        (slice(None, None, -1), [7, 2, 5], [1, 0, 1]),
        (slice(3, 9), [], []),
        ([2, 0], [7, 5], [1, 1]),
        (np.array([True, False, True]), [5, 7], [1, 1]),
    ],
)
def test_several_places_are_arrays_of_images_and_labels(
    split: ImageSplit, key: object, numbers: list[int], labels: list[int]
) -> None:
    images, found = split[key]
    assert images.shape == (len(numbers), 2, 3, 1)
    assert images[:, 0, 0, 0].tolist() == numbers
    assert found.tolist() == labels


def test_a_place_that_is_not_there(split: ImageSplit) -> None:
    with pytest.raises(IndexError):
        split[3]
    with pytest.raises(IndexError):
        split["first"]
    with pytest.raises(IndexError, match="one dimension"):
        split[[[0, 1]]]


def test_it_is_gone_through_pair_by_pair(split: ImageSplit) -> None:
    assert [(int(image[0, 0, 0]), label) for image, label in split] == [(5, 1), (2, 0), (7, 1)]


def test_as_an_array_it_is_its_images(split: ImageSplit) -> None:
    assert np.array_equal(np.asarray(split), split.images)
    assert np.asarray(split, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copies images"):
        np.array(split, copy=False)


def test_keras_predicts_a_split(split: ImageSplit) -> None:
    import keras

    mean = keras.Sequential([keras.Input((2, 3, 1)), keras.layers.GlobalAveragePooling2D()])
    assert mean.predict(split, verbose=0).ravel().tolist() == [5.0, 2.0, 7.0]


def test_what_it_is(split: ImageSplit) -> None:
    assert repr(split) == "ImageSplit(3 images, 2×3×1)"
