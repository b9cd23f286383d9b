from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.data.stratified_split import check_split, complete, generator, subset


def split_of(
    labels: np.ndarray, split: tuple[float, float, float] = (0.6, 0.2, 0.2), seed: int = 0
) -> dict[str, np.ndarray]:
    names = [f"c{label}" for label in range(labels.max() + 1)]
    places = {"train": np.arange(len(labels))}
    return complete(labels, places, split=split, seed=seed, class_names=names)


def counts(labels: np.ndarray, parts: dict[str, np.ndarray]) -> dict[str, list[int]]:
    return {part: np.bincount(labels[index]).tolist() for part, index in parts.items()}


def test_each_class_is_split_in_the_shares() -> None:
    labels = np.repeat([0, 1], [50, 10])
    assert counts(labels, split_of(labels)) == {
        "train": [30, 6],
        "validation": [10, 2],
        "test": [10, 2],
    }


def test_parts_are_disjoint_ascending_and_hold_everything() -> None:
    labels = np.random.default_rng(0).integers(0, 5, 333)
    parts = split_of(labels)
    assert all((np.diff(index) > 0).all() for index in parts.values())
    np.testing.assert_array_equal(np.sort(np.concatenate([*parts.values()])), np.arange(333))


def test_counts_agree_with_scikit_learn() -> None:
    labels = np.random.default_rng(0).choice(7, 1000, p=np.arange(1, 8) / 28)
    ours = counts(labels, split_of(labels))["test"]
    _, theirs = train_test_split(labels, test_size=0.2, stratify=labels, random_state=0)
    assert sum(ours) == 200
    assert np.abs(np.array(ours) - np.bincount(theirs)).max() <= 1


def test_remainders_are_shared_out_among_small_classes() -> None:
    labels = np.repeat(np.arange(100), 7)  # 1.4 of each class in validation and in test
    found = {part: len(index) for part, index in split_of(labels).items()}
    assert found == {"train": 420, "validation": 140, "test": 140}


def test_same_seed_same_split() -> None:
    labels = np.repeat([0, 1], 50)
    first, again, other = (
        split_of(labels, seed=3),
        split_of(labels, seed=3),
        split_of(labels, seed=4),
    )
    np.testing.assert_array_equal(first["test"], again["test"])
    assert not np.array_equal(first["test"], other["test"])


def test_smallest_class_has_an_image_in_every_part() -> None:
    labels = np.repeat([0, 1], [100, 3])
    assert [found[1] for found in counts(labels, split_of(labels)).values()] == [1, 1, 1]


def test_train_keeps_an_image_when_its_share_is_small() -> None:
    labels = np.repeat([0, 1], 3)
    found = counts(labels, split_of(labels, (0.1, 0.45, 0.45)))
    assert found == {"train": [1, 1], "validation": [1, 1], "test": [1, 1]}


def test_test_split_is_empty_only_when_asked_for() -> None:
    labels = np.repeat([0, 1], 10)
    parts = split_of(labels, (0.8, 0.2, 0.0))
    assert {part: len(index) for part, index in parts.items()} == {
        "train": 16,
        "validation": 4,
        "test": 0,
    }


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        (("train", "test"), {"train": 80, "validation": 20, "test": 100}),
        (("train", "validation"), {"train": 80, "validation": 100, "test": 20}),
    ],
)
def test_missing_part_takes_its_share_of_the_train_images(
    given: tuple[str, str], sizes: dict[str, int]
) -> None:
    labels = np.tile([0, 1], 100)
    places = dict(zip(given, (np.arange(100), np.arange(100, 200)), strict=True))
    parts = complete(labels, places, split=(0.6, 0.2, 0.2), seed=0, class_names=("a", "b"))
    assert {part: len(index) for part, index in parts.items()} == sizes
    np.testing.assert_array_equal(parts[given[1]], np.arange(100, 200))


def test_too_few_images_names_class_and_count() -> None:
    labels = np.repeat([0, 1], [10, 2])
    with pytest.raises(DataError, match=r"Found: 'c1' 2\. Expected: at least 3 per class"):
        split_of(labels)


def test_ready_split_needs_one_image_a_class() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1])
    places = dict(zip(("train", "validation", "test"), np.arange(6).reshape(3, 2), strict=True))
    parts = complete(labels, places, split=(0.6, 0.2, 0.2), seed=0, class_names=("a", "b"))
    assert {part: index.tolist() for part, index in parts.items()} == {
        "train": [0, 1],
        "validation": [2, 3],
        "test": [4, 5],
    }


@pytest.mark.parametrize(
    "split",
    [
        (0.6, 0.2),
        (0.6, 0.2, 0.3),
        (1.2, -0.1, -0.1),
        (0.8, 0, 0.2),
        (0, 0.5, 0.5),
        0.8,
        "abc",
        None,
    ],
)
def test_bad_split(split: object) -> None:
    with pytest.raises(OptionError, match="split should be three shares"):
        check_split(split)  # type: ignore[arg-type]


def test_split_may_be_off_by_rounding() -> None:
    assert check_split([0.7, 0.2, 0.1]) == (0.7, 0.2, 0.1)


@pytest.mark.parametrize("seed", [-1, "abc", None])
def test_bad_seed(seed: object) -> None:
    with pytest.raises(OptionError, match="seed should be"):
        generator(seed)  # type: ignore[arg-type]


def test_subset_keeps_proportions_and_every_class() -> None:
    labels = np.repeat([0, 1, 2], [80, 18, 2])
    chosen = subset(labels, 10, 3, np.random.default_rng(0))
    assert len(np.unique(chosen)) == 10
    np.testing.assert_array_equal(np.bincount(labels[chosen]), [8, 1, 1])  # exactly 8, 1.8, 0.2
