"""Groups and copies stay on one side of every split."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.data import Groups, ImageData, load_images
from kt_tuning.data.groups import groups_of_paths, keep_together
from kt_tuning.data.stratified_split import complete

Save = Callable[..., Path]


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)


def torn(data: ImageData, of_image: np.ndarray) -> int:
    """How many groups have images in two of the three splits."""
    parts = [set(of_image[index].tolist()) for index in data.indices.values()]
    return len(set().union(*(a & b for a, b in itertools.combinations(parts, 2))))


@pytest.mark.parametrize("count", [30, 9, 300])
def test_no_group_is_in_two_parts_and_shares_stay_about_right(count: int) -> None:
    rng = np.random.default_rng(0)
    groups, labels = rng.integers(0, count, 600), rng.integers(0, 3, 600)
    data = ImageData.from_arrays(pictures(600), labels, groups=groups)
    assert torn(data, groups) == 0
    sizes = [len(index) for index in data.indices.values()]
    assert sum(sizes) == 600
    assert np.abs(np.array(sizes) - [360, 120, 120]).max() <= 600 / count
    assert min(min(counts) for counts in data.card.counts.values()) > 0


def test_groups_of_one_image_change_nothing() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 100)
    part = np.arange(100) % 3
    alone = Groups(np.arange(100))
    kept = keep_together(part, labels, alone, "abc", np.random.default_rng(0))
    np.testing.assert_array_equal(kept, part)


def test_single_images_fill_up_what_a_group_leaves() -> None:
    # One group of 30 of the 100 images of a class; 60, 20 and 20 are wanted, and met.
    groups = np.r_[np.zeros(30, int), np.arange(1, 71)]
    labels = np.zeros(100, int)
    parts = complete(
        labels,
        {"train": np.arange(100)},
        split=(0.6, 0.2, 0.2),
        seed=0,
        class_names=["a"],
        groups=Groups(groups),
    )
    assert [len(index) for index in parts.values()] == [60, 20, 20]
    assert set(range(30)) <= set(parts["train"].tolist())


def test_each_part_has_each_class_if_groups_allow_it() -> None:
    labels, groups = np.repeat([0, 1], 30), np.repeat(np.arange(6), 10)
    data = ImageData.from_arrays(pictures(60), labels, groups=groups)
    assert data.card.counts == {"train": [10, 10], "validation": [10, 10], "test": [10, 10]}


def test_too_few_groups_are_an_error_that_names_the_class() -> None:
    labels, groups = np.repeat([0, 1], 30), np.repeat(["p", "q", "r"], 20)
    with pytest.raises(DataError, match=r"'0' has images in 2 groups\. Expected: enough"):
        ImageData.from_arrays(pictures(60), labels, groups=groups)


@pytest.mark.parametrize("groups", [[1, 2], np.zeros((20, 2)), "patients"])
def test_groups_are_one_an_image(groups: object) -> None:
    with pytest.raises(DataError, match=r"one number or string per image of x, \(20,\)"):
        ImageData.from_arrays(pictures(20), [0, 1] * 10, groups=groups)


def test_images_of_no_group_are_on_their_own() -> None:
    numbers = [*range(10), *[None] * 30, *[float("nan")] * 19, pd.NA]
    data = ImageData.from_arrays(pictures(60), [0, 1] * 30, groups=np.array(numbers, object))
    assert data.groups is not None
    assert len(np.unique(data.groups.of_image)) == 60


def test_groups_stay_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    groups, labels = rng.integers(0, 40, 200), rng.integers(0, 2, 200)
    folds = ImageData.from_arrays(pictures(200), labels, groups=groups).folds(4)
    for fold in folds:
        assert torn(fold, groups) == 0
    places = np.concatenate([fold.indices["validation"] for fold in folds])
    assert len(np.unique(places)) == len(places)


def test_copies_of_an_image_stay_on_one_side_and_are_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    images, rng = pictures(200), np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)  # drawn by lot: only by remembering images can they be known
    images[100:] = images[:100]
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        data = ImageData.from_arrays(images, labels)
    assert torn(data, np.arange(200) % 100) == 0
    assert all(torn(fold, np.arange(200) % 100) == 0 for fold in data.folds(3))
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith(
        "Found 100 duplicates among 200 images: 100 have the same pixels as another one, 0 show"
    )
    assert "Examples: image 0 and image 100; image 1 and image 101" in said[0]
    other = int((labels[:100] != labels[100:]).sum())
    assert said[1].startswith(f"{other} images have another label than a copy of them")


def test_without_copies_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        data = ImageData.from_arrays(pictures(40), np.arange(40) % 2)
    assert not caplog.records
    assert data.groups is None


def test_a_class_of_one_picture_only_is_split_all_the_same_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    images, labels = pictures(40), np.arange(40) % 2
    images[1::2] = images[1]
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        data = ImageData.from_arrays(images, labels)
    assert data.card.counts == {"train": [12, 12], "validation": [4, 4], "test": [4, 4]}
    assert "'1' has so few different images" in caplog.text


def test_training_images_that_a_ready_test_split_has_too_are_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = pictures(60)
    images[40:44] = images[:4]
    labels = np.arange(60) % 2
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        data = ImageData.from_arrays(images[:40], labels[:40], test=(images[40:], labels[40:]))
    assert len(data.test) == 20
    assert len(data.train) + len(data.validation) == 36
    assert "4 training images are left out" in caplog.text


def test_pictures_in_ready_validation_and_test_splits_are_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    images, labels = pictures(60), np.arange(60) % 2
    images[50:53] = images[40:43]
    pairs = {"validation": (images[40:50], labels[40:50]), "test": (images[50:], labels[50:])}
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        data = ImageData.from_arrays(images[:40], labels[:40], **pairs)
    assert [len(index) for index in data.indices.values()] == [40, 10, 10]
    assert "3 pictures are in both the validation and the test folder" in caplog.text


def test_splits_that_are_copies_of_each_other_stay_as_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    images, labels = pictures(40), np.arange(40) % 2
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        data = ImageData.from_arrays(
            images, labels, validation=(images, labels), split=(0.8, 0.2, 0)
        )
    assert len(data.train) == 40
    assert "40 training images are copies" in caplog.text


def write(folder: Path, name: str, pixels: np.ndarray) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0]).save(folder / name)


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Each of 10 patients has two images of either class."""
    for number, pixels in enumerate(pictures(40)):
        patient, shot = divmod(number, 4)
        name = f"{('sick', 'well')[shot % 2]}/patient{patient}/patient{patient}_{shot}.png"
        write(tmp_path / "scans", name, pixels)
    return tmp_path / "scans"


@pytest.mark.parametrize("groups", ["folder", r"patient(\d+)_", lambda path: path.split("/")[1]])
def test_images_of_a_folder_by_their_paths(patients: Path, groups: object) -> None:
    data = load_images(patients, groups=groups)  # type: ignore[arg-type]
    of_image = np.tile(np.arange(10).repeat(2), 2)  # sorted by class, then by patient
    assert torn(data, of_image) == 0
    assert torn(load_images(patients), of_image) > 0


def test_groups_are_kept_with_the_split_of_a_run(patients: Path, tmp_path: Path) -> None:
    data = load_images(patients, groups="folder")
    data.save_split(tmp_path / "split.npz")
    with np.load(tmp_path / "split.npz") as saved:
        assert data.groups is not None
        np.testing.assert_array_equal(saved["groups"], data.groups.of_image)


@pytest.mark.parametrize("groups", ["folder", "(p\u00e9)", "(pe\u0301)"])
def test_paths_may_be_composed_in_either_way(groups: str) -> None:
    paths = ["caf\u00e9/p\u00e9/1.png", "cafe\u0301/pe\u0301/2.png"]
    assert groups_of_paths(paths, ["caf\u00e9"] * 2, groups).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda path: [path[0], [path[1]]], [0, 0, 2]),
        (lambda path: np.array([ord(path[0])]), [0, 0, 2]),
        (lambda path: np.array(ord(path[0])), [0, 0, 2]),
        (lambda path: [*path.split("1")[1:]], [0, 1, 2]),  # as re.findall returns it
        (lambda path: float("nan") if path < "b" else 7, [0, 1, 2]),
        (lambda path: pd.NA if path < "b" else 7, [0, 1, 2]),
    ],
)
def test_what_functions_return_as_groups(
    function: Callable[[str], object], expected: list[int]
) -> None:
    paths = ["ab1", "ab2", "b3"]
    assert groups_of_paths(paths, [""] * 3, function).tolist() == expected  # type: ignore[arg-type]


def test_groups_that_are_not_hashable(patients: Path) -> None:
    with pytest.raises(OptionError, match=r"a tuple or list of these, .*Received: \{'sick"):
        load_images(patients, groups=lambda path: {path: 1})  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("groups", ["patient", "(a)(b)", "(", 3, np.arange(40)])
def test_groups_that_cannot_be_used(patients: Path, groups: object) -> None:
    with pytest.raises(OptionError, match=r"groups (should be|is no)"):
        load_images(patients, groups=groups)  # type: ignore[arg-type]


def test_a_pattern_that_fits_no_path(patients: Path) -> None:
    with pytest.raises(DataError, match=r"finds no group in any of 40 paths, e\.g\. sick/patient0"):
        load_images(patients, groups=r"scene(\d+)")


def test_paths_without_a_group_are_counted(
    patients: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(patients, "sick/other.png", pictures(1, seed=1)[0])
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        load_images(patients, groups=r"patient(\d+)")
    assert "finds no group in 1 of 41 paths, e.g. sick/other.png" in caplog.text


def test_a_group_in_two_ready_splits_is_an_error(tmp_path: Path) -> None:
    for number, pixels in enumerate(pictures(24)):
        part = "test" if number >= 16 else "train"
        write(tmp_path, f"{part}/{('a', 'b')[number % 2]}/p{number // 6}_{number}.png", pixels)
    with pytest.raises(
        DataError, match="1 groups have images in both the train and the test split"
    ):
        load_images(tmp_path, groups=r"p(\d)_")


def test_copies_in_a_folder_are_found_and_named_on_each_load(
    photos: Path, save: Save, caplog: pytest.LogCaptureFixture
) -> None:
    save("photos/dog/again.png", 3)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "kt_tuning"):
            data = load_images(photos)
        assert data.duplicates.exact == [[3, 20]]
        assert "cat/3.png and dog/again.png" in caplog.text
        assert "dog/again.png (dog)" in caplog.text
