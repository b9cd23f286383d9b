"""Images and labels in datasets of TensorFlow."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kt_tuning.core.errors import DataError
from kt_tuning.data import ImageData

DATASETS = tf.data.Dataset


def arrays(images=20, first=0):
    """Images whose pixels are all their own number, as floats; odd ones are of class 1."""
    numbers = np.arange(first, first + images)
    x = np.broadcast_to(numbers[:, None, None, None].astype(np.float32), (images, 4, 5, 3))
    return x, numbers % 2


def numbers(split):
    return sorted(split.images[:, 0, 0, 0].tolist())


@pytest.mark.parametrize("label_mode", ["int", "categorical", "binary"])
@pytest.mark.parametrize("batch_size", [None, 8])
def test_a_directory_as_keras_reads_it(photos, label_mode, batch_size):
    dataset = keras.utils.image_dataset_from_directory(
        photos, label_mode=label_mode, batch_size=batch_size, image_size=(4, 4), verbose=False
    )
    data = ImageData.from_dataset(dataset)
    assert data.class_names == ("cat", "dog")
    assert data.input_shape == (4, 4, 3)
    assert data.card.counts == {"train": [6, 6], "validation": [2, 2], "test": [2, 2]}
    np.testing.assert_array_equal(data.pixels[:, 0, 0, 0] >= 100, data.labels == 1)


def test_a_ready_validation_and_test_split_are_kept(photos):
    pair = keras.utils.image_dataset_from_directory(
        photos, validation_split=0.4, subset="both", seed=1, image_size=(4, 5), verbose=False
    )
    x, y = arrays(6, first=200)
    data = ImageData.from_dataset(*pair, test=DATASETS.from_tensor_slices((x, y)))
    assert [len(data.train), len(data.validation), len(data.test)] == [12, 8, 6]
    assert numbers(data.test) == list(range(200, 206))


def test_the_order_makes_no_difference():
    x, y = arrays()
    shuffled = DATASETS.from_tensor_slices((x, y)).shuffle(20).batch(3)
    data, again = ImageData.from_dataset(shuffled), ImageData.from_dataset(shuffled)
    assert data.fingerprint == again.fingerprint
    assert numbers(data.test) == numbers(again.test)


@pytest.mark.parametrize(
    ("x", "batched"),
    [
        (np.zeros((6, 4, 5)), True),
        (np.zeros((6, 4, 5)), False),
        (np.zeros((6, 4, 5, 4)), False),
        (np.zeros((6, 3, 3, 3)), True),
    ],
)
def test_grey_and_transparent_images_in_batches_or_not(x, batched):
    x = x + 40 * np.arange(6).reshape(-1, *[1] * (x.ndim - 1))
    dataset = DATASETS.from_tensor_slices((x, np.eye(2)[np.arange(6) % 2]))
    data = ImageData.from_dataset(dataset.batch(2) if batched else dataset)
    assert data.pixels.shape == (*x.shape[:3], 3 if x.ndim == 4 else 1)


def test_values_from_0_to_1_are_told_by_the_first_batch_or_given():
    x, y = arrays()
    first = DATASETS.from_tensor_slices((x / 255, y)).batch(5)
    assert ImageData.from_dataset(first).pixels.max() == 19
    given = ImageData.from_dataset(first, value_range=(0, 0.5))
    assert given.pixels.max() == 38


def test_class_names_can_be_given():
    dataset = DATASETS.from_tensor_slices(arrays())
    assert ImageData.from_dataset(dataset, class_names=["e", "o"]).class_names == ("e", "o")


def test_strings_are_labels():
    x, y = arrays()
    words = DATASETS.from_tensor_slices((x, np.array(["a", "ä"])[y]))
    data = [ImageData.from_dataset(each) for each in (words, words.shuffle(20).batch(8))]
    assert data[0].class_names == ("a", "ä")
    assert data[0].fingerprint == data[1].fingerprint
    np.testing.assert_array_equal(data[0].pixels[:, 0, 0, 0] % 2, data[0].labels)


@pytest.mark.parametrize(("train", "test"), [(1.0, 255.0), (255.0, 1.0)])
def test_splits_of_different_ranges(train, test):
    x, y = np.arange(20)[:, None, None, None].repeat(4, 1) % 2, np.arange(20) % 2
    datasets = [DATASETS.from_tensor_slices((x * white, y)) for white in (train, test)]
    message = rf"\(float64, 0..{train:g}\). Received: float64, 0..{test:g}."
    with pytest.raises(DataError, match=message):
        ImageData.from_dataset(datasets[0], test=datasets[1])


def test_floats_and_integers_have_no_range_in_common():
    train = DATASETS.from_tensor_slices(arrays())
    x, y = arrays(4, first=100)
    other = DATASETS.from_tensor_slices((x.astype(np.uint8), y))
    with pytest.raises(DataError, match="should have the type and the range of the training"):
        ImageData.from_dataset(train, other)
    assert len(ImageData.from_dataset(train, other, value_range=(0, 255)).validation) == 4


def ragged():
    return DATASETS.from_generator(
        lambda: ((np.zeros((side, 4, 3), np.uint8), side % 2) for side in (4, 5)),
        output_signature=(tf.TensorSpec((None, 4, 3), tf.uint8), tf.TensorSpec((), tf.int64)),
    )


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (arrays, r"train should be a tf.data.Dataset of pairs .* Received: tuple\. Pass several"),
        (lambda: 5, r"Received: int\.$"),
        (lambda: DATASETS.from_tensor_slices(arrays()).repeat(), r"never ends.*\.repeat"),
        (lambda: DATASETS.from_tensor_slices(arrays()[0]), "Its elements are: TensorSpec"),
        (lambda: DATASETS.from_tensor_slices({"image": arrays()[0]}), "Its elements are: .*image"),
        (lambda: DATASETS.from_tensor_slices((*arrays(), arrays()[1])), "Its elements are: "),
        (lambda: DATASETS.from_tensor_slices(arrays()).take(0), "train is empty"),
        (ragged, r"one shape. Received: \(4, 4, 3\) and \(5, 4, 3\)"),
        (lambda: ragged().batch(1), r"one shape. Received: \(4, 4, 3\) and \(5, 4, 3\)"),
    ],
)
def test_anything_else_is_refused(dataset, message):
    with pytest.raises(DataError, match=message):
        ImageData.from_dataset(dataset())
