"""Reading a `tf.data.Dataset` of images and labels into arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError
from kt_tuning.data.from_arrays import (
    Values,
    check_range,
    check_same_range,
    find_range,
    to_pixels,
)

_INFINITE = -1  # tf.data.INFINITE_CARDINALITY
_CHUNK = 256
_EXPECTED = "a tf.data.Dataset of pairs (image, label), batched or not"


def read_dataset(
    dataset: Any,
    *,
    name: str,
    value_range: tuple[float, float] | None = None,
    train: Values | None = None,
) -> tuple[NDArray[np.uint8], NDArray[Any], tuple[float, float], Values]:
    """Read all images of a dataset once, holding only one batch as floating-point numbers.

    The result does not depend on the order of the dataset, which may be shuffled each time:
    images are sorted by a digest of their pixels and labels.

    Messages call the dataset `name`. Without a `value_range`, it is guessed from the first batch.
    If it was guessed for the training images, `train` are the values of their first batch.

    Returns:
        Pixels, uint8 (N, height, width, 1 or 3); labels as the dataset has them, (N,), (N, 1) or
        (N, classes); its values of black and white; and the values of the first batch.

    Raises:
        DataError: if it is no such dataset, is infinite or empty, its images differ in shape, or
            their values do not fit `train`.
        OptionError: if `value_range` is not two ascending numbers.
    """
    pixel_range = None if value_range is None else check_range(value_range)
    pixels: list[NDArray[np.uint8]] = []
    labels: list[NDArray[Any]] = []
    first: Values | None = None
    for images, their_labels in _batches(dataset, name):
        if first is None:
            first = Values.of(images, name)
            if train is not None:
                check_same_range(train, first, name)
        pixel_range = pixel_range or find_range(images)
        pixels.append(to_pixels(images, pixel_range, name=name))
        # TensorFlow's strings are objects, which have no bytes of their own.
        labels.append(their_labels.astype("S") if their_labels.dtype == object else their_labels)
        if pixels[-1].shape[1:] != pixels[0].shape[1:]:
            raise _different_shapes(name, pixels[0].shape[1:], pixels[-1].shape[1:])
    if pixel_range is None or first is None:
        raise DataError(f"{name} is empty: expected {_EXPECTED}.")
    all_pixels, all_labels = np.concatenate(pixels), np.concatenate(labels)
    digests = [
        hashlib.blake2b(image.tobytes() + label.tobytes(), digest_size=16).digest()
        for image, label in zip(all_pixels, all_labels, strict=True)
    ]
    order = sorted(range(len(digests)), key=digests.__getitem__)
    return all_pixels[order], all_labels[order], pixel_range, first


def _batches(dataset: Any, name: str) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield images (n, height, width[, channels]) and labels (n, …)."""
    if not hasattr(dataset, "as_numpy_iterator"):
        hint = ""
        if isinstance(dataset, (list, tuple)):
            hint = " Pass several one by one: from_dataset(train, validation, test)."
        raise DataError(f"{name} should be {_EXPECTED}. Received: {type(dataset).__name__}.{hint}")
    if int(dataset.cardinality()) == _INFINITE:
        raise DataError(f"{name} never ends. Pass the dataset without `.repeat()`.")
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or isinstance(spec[0], (tuple, dict)):
        raise DataError(
            f"{name} should be {_EXPECTED}. Its elements are: {spec}. Map them to pairs, such as "
            "dataset.map(lambda element: (element['image'], element['label'])). "
            "image_dataset_from_directory with label_mode=None leaves labels out."
        )
    single: list[tuple[Any, Any]] = []
    for image, label in dataset.as_numpy_iterator():
        shape, labels = np.shape(image), np.shape(label)
        # Three axes are one image or several grey ones.
        several_grey = labels and shape[0] == labels[0] and shape[-1] not in (1, 3, 4)
        if len(shape) > 3 or (len(shape) == 3 and several_grey):
            yield np.asarray(image), np.asarray(label)
            continue
        if single and np.shape(image) != np.shape(single[0][0]):
            raise _different_shapes(name, np.shape(single[0][0]), np.shape(image))
        single.append((image, label))
        if len(single) == _CHUNK:
            yield _stacked(single)
            single = []
    if single:
        yield _stacked(single)


def _stacked(pairs: list[tuple[Any, Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    images, labels = zip(*pairs, strict=True)
    return np.stack(images), np.stack(labels)


def _different_shapes(name: str, first: tuple[int, ...], other: tuple[int, ...]) -> DataError:
    return DataError(
        f"The images of {name} should all have one shape. Received: {first} and {other}. Resize "
        "them, such as dataset.map(lambda image, label: (tf.image.resize(image, (height, width)), "
        "label)) before `.batch`."
    )
