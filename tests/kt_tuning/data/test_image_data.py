from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from kt_tuning.core.errors import DataError, OptionError, StorageError
from kt_tuning.core.records import DataCard, PixelFormat
from kt_tuning.data import ImageData


def arrays(images: int = 100, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Images whose pixels are all their own number."""
    x = np.arange(images, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(5, 2)
    return x.repeat(3, 3), np.arange(images) % classes


def test_splits_pair_images_with_their_labels() -> None:
    data = ImageData.from_arrays(*arrays())
    assert [len(data.train), len(data.validation), len(data.test)] == [60, 20, 20]
    for split in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(split.images[:, 0, 0, 0] % 2, split.labels)


def test_pixel_statistics_are_those_of_the_training_split() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (3000, 4, 5, 3), np.uint8)
    x[..., 1], x[..., 2] = x[..., 1] // 4, 7
    data = ImageData.from_arrays(x, np.arange(3000) % 2)
    means, deviations = data.pixel_statistics()
    train = data.train.images
    assert means == pytest.approx(train.mean(axis=(0, 1, 2)), rel=1e-12)
    assert deviations == pytest.approx([*train.std(axis=(0, 1, 2))[:2], 1.0], rel=1e-12)


def test_shape_classes_and_names() -> None:
    data = ImageData.from_arrays(*arrays(), class_names=["even", "odd"])
    assert data.input_shape == (4, 5, 3)
    assert data.classes == 2
    assert data.class_names == ("even", "odd")
    assert repr(data) == "ImageData(4×5×3, 2 classes: train 60, validation 20, test 20)"


def test_given_validation_and_test_are_kept_whole() -> None:
    x, y = arrays()
    pairs: dict[str, Any] = {"validation": (x[60:70], y[60:70]), "test": (x[70:], y[70:])}
    data = ImageData.from_arrays(x[:60], y[:60], **pairs)
    assert len(data.train) == 60
    np.testing.assert_array_equal(data.validation.images, x[60:70])
    np.testing.assert_array_equal(data.test.images, x[70:])
    np.testing.assert_array_equal(data.test.labels, y[70:])


def test_given_test_alone_leaves_validation_to_the_split() -> None:
    x, y = arrays()
    data = ImageData.from_arrays(x[:50], y[:50], test=(x[50:], y[50:]))
    assert [len(data.train), len(data.validation), len(data.test)] == [40, 10, 50]


def test_range_found_in_the_training_images_serves_all() -> None:
    x, y = np.full((10, 2, 2), 255.0), np.arange(10) % 2
    data = ImageData.from_arrays(x, y, validation=(x * 0 + 2, y), split=(0.8, 0.2, 0.0))
    assert (data.validation.images == 2).all()


@pytest.mark.parametrize(
    ("train", "test", "remedy"),
    [
        (1.0, 255.0, "Divide the test images by 255, or"),
        (255.0, 1.0, "Multiply the test images by 255, or"),
        (1.0, 255, "Divide the test images by 255, or"),
        (255, 1.0, "Multiply the test images by 255 and convert them to int64, or"),
        (255, True, "Multiply the test images by 255, or"),
        (255.0, 255, "Convert one of them, or pass value_range"),
    ],
)
def test_splits_of_different_ranges(train: Any, test: Any, remedy: str) -> None:
    x, y = np.arange(10)[:, None, None].repeat(4, 1) % 2, np.arange(10) % 2
    x_train, x_test = (x * train).astype(type(train)), (x * test).astype(type(test))
    message = rf"images \({x_train.dtype}, 0..{train:g}\). Received: {x_test.dtype}, 0..{test:g}. "
    with pytest.raises(DataError, match=message + remedy):
        ImageData.from_arrays(x_train, y, test=(x_test, y))


def test_value_range_is_applied_to_all() -> None:
    x, y = np.full((10, 2, 2), 16), np.arange(10) % 2
    data = ImageData.from_arrays(
        x, y, validation=(x / 2.0, y), split=(0.8, 0.2, 0.0), value_range=(0, 16)
    )
    assert (data.train.images == 255).all()
    assert (data.validation.images == 128).all()


def test_strings_become_class_names() -> None:
    x, _ = arrays(10)
    y = ["cat", "dog"] * 5
    data = ImageData.from_arrays(x, y, validation=(x, y[::-1]), split=(0.8, 0.2, 0))
    assert data.class_names == ("cat", "dog")
    np.testing.assert_array_equal(data.validation.labels, [1, 0] * 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": [0, 1]}, "x and y: expected one label per image. Received: 100 images, 2 labels"),
        ({"validation": 3}, r"validation should be a pair \(x, y\). Received: int"),
        ({"test": (np.zeros((2, 8, 8, 3), np.uint8), [0, 1])}, r"Received: \(8, 8, 3\)"),
        ({"test": (np.zeros((2, 4, 5, 3), np.uint8), [0, 7])}, "Received also: 7"),
        ({"test": (np.zeros((3, 4, 5, 3), np.uint8), [0, 1])}, "test: expected one label"),
        ({"test": (np.zeros((2, 4, 5, 3)), [0, 1])}, "uint8, 0..99.. Received: float64"),
        ({"test": (np.zeros((0, 4, 5, 3), np.uint8), [])}, r"test\[0\] should hold"),
        ({"class_names": ["a", "b", "c"]}, "class_names should hold 2"),
        ({"class_names": ["even", "o\ndd"]}, r"on one line.*Received: 'o\\ndd'"),
        ({"class_names": ["even", "o\x1b[31mdd"]}, r"control characters.*Received: 'o\\x1b"),
        ({"class_names": ["even", "caf\udce9"]}, r"in Unicode.*Received: 'caf\\udce9'"),
        ({"x": np.full((100, 4, 5), np.nan)}, "NaN"),
    ],
)
def test_mismatches(change: dict[str, Any], message: str) -> None:
    x, y = arrays()
    with pytest.raises(DataError, match=message):
        ImageData.from_arrays(**{"x": x, "y": y, **change})


def test_equal_data_equal_fingerprint() -> None:
    x, y = arrays()
    assert (
        ImageData.from_arrays(x, y).fingerprint
        == ImageData.from_arrays(x / 255.0, y[:, None]).fingerprint
    )


def test_fingerprint_changes_with_anything_that_matters() -> None:
    x, y = arrays()
    brighter = x.copy()
    brighter[0, 0, 0, 0] += 1
    data = ImageData.from_arrays(x, y)
    variants = [
        data,
        ImageData.from_arrays(brighter, y),
        ImageData.from_arrays(x, 1 - y),
        ImageData.from_arrays(x.reshape(100, 5, 4, 3), y),
        ImageData.from_arrays(x, y, class_names=["even", "odd"]),
        ImageData.from_arrays(x, y, seed=1),
        ImageData.from_arrays(x, y, split=(0.5, 0.3, 0.2)),
        data.limit(40),
        data.limit(40, seed=1),
    ]
    assert len({variant.fingerprint for variant in variants}) == len(variants)


def test_card_says_what_the_data_are(tmp_path: Path) -> None:
    data = ImageData.from_arrays(*arrays())
    expected = DataCard(
        fingerprint=data.fingerprint,
        class_names=("0", "1"),
        pixels=PixelFormat(4, 5, 3),
        counts={"train": [30, 30], "validation": [10, 10], "test": [10, 10]},
        source="arrays",
    )
    data.card.save(tmp_path / "data.json")
    assert DataCard.load(tmp_path / "data.json") == expected


def test_limit_keeps_ratio_classes_and_test() -> None:
    data = ImageData.from_arrays(*arrays(200, 4), split=(0.4, 0.1, 0.5))
    small = data.limit(50)
    assert small.card.counts["train"] == [10] * 4
    assert sum(small.card.counts["validation"]) == 10
    assert set(small.indices["train"]) < set(data.indices["train"])
    np.testing.assert_array_equal(small.indices["test"], data.indices["test"])


def test_limit_keeps_exactly_that_many_of_rare_classes_too() -> None:
    y = np.repeat([0, 1, 2], [180, 10, 10])
    data = ImageData.from_arrays(arrays(200)[0], y)
    small = data.limit(7)
    assert len(small.train) + len(small.validation) == 7
    assert min(small.card.counts["train"] + small.card.counts["validation"]) == 1


def test_limit_above_what_there_is_changes_nothing() -> None:
    data = ImageData.from_arrays(*arrays())
    assert data.limit(1000) is data


def test_limit_below_two_a_class() -> None:
    with pytest.raises(OptionError, match=r"at least 4.*2 classes\. Received: 3"):
        ImageData.from_arrays(*arrays()).limit(3)


def test_class_weights_are_scikit_learns_balanced() -> None:
    y = np.repeat([0, 1, 2], [70, 20, 10])
    data = ImageData.from_arrays(arrays()[0], y)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=data.train.labels)
    weights = data.class_weights()
    assert list(weights) == [0, 1, 2]
    np.testing.assert_allclose([*weights.values()], expected)


def test_saved_split_holds_labels_and_index_sets(tmp_path: Path) -> None:
    data = ImageData.from_arrays(*arrays())
    data.save_split(tmp_path / "split.npz")
    with np.load(tmp_path / "split.npz") as saved:
        assert sorted(saved) == ["labels", "test", "train", "validation"]
        np.testing.assert_array_equal(saved["labels"], data.labels)
        np.testing.assert_array_equal(saved["validation"], data.indices["validation"])


def test_split_that_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        ImageData.from_arrays(*arrays()).save_split(tmp_path / "none" / "split.npz")


@pytest.fixture
def data():
    """100 images of 60, 30 and 10 a class: 80 outside the test split."""
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    images = np.arange(100, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    return ImageData.from_arrays(images, labels)


def test_each_image_is_validated_in_one_fold(data):
    folds = data.folds(4)
    known = sorted([*data.indices["train"], *data.indices["validation"]])
    assert sorted(np.concatenate([fold.indices["validation"] for fold in folds])) == known
    for fold in folds:
        both = [*fold.indices["train"], *fold.indices["validation"]]
        assert sorted(both) == known
        assert np.array_equal(fold.indices["test"], data.indices["test"])
        assert np.array_equal(fold.validation.images[:, 0, 0, 0], fold.indices["validation"])


def test_folds_are_stratified(data):
    # 48, 24 and 8 images of the classes
    for fold in data.folds(4):
        assert np.bincount(fold.validation.labels).tolist() == [12, 6, 2]


def test_sizes_differ_by_at_most_one(data):
    sizes = [len(fold.validation) for fold in data.folds(3)]
    assert sorted(sizes) == [26, 27, 27]


def test_same_seed_same_folds(data):
    def places(seed):
        return [fold.indices["validation"].tolist() for fold in data.folds(3, seed=seed)]

    assert places(1) == places(1) != places(2)


@pytest.mark.parametrize("count", [1, 0, 2.0, True])
def test_a_fold_is_no_fold(count, data):
    with pytest.raises(OptionError, match="`folds` is a whole number, at least 2"):
        data.folds(count)


def test_a_class_with_fewer_images_than_folds(data):
    with pytest.raises(DataError, match=r"9 folds need at least 9 images per class.*'2' 8"):
        data.folds(9)
