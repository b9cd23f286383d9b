"""Cross-validation: every image outside the test split is validated once."""

import numpy as np
import pytest

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.data import ImageData


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
    with pytest.raises(DataError, match=r"9 folds need at least 9 images a class.*'2' 8"):
        data.folds(9)
