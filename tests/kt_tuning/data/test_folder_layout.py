"""A folder for each way that images are laid out, and what becomes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from kt_tuning.core.errors import DataError
from kt_tuning.data.folder_listing import scan

Save = Callable[..., Path]


def make(save: Save, *folders: str) -> None:
    for folder in folders:
        save(f"{folder}/a.png")


def classes_in(save: Save, *folders: str) -> None:
    make(save, *(f"{folder}/{name}" for folder in folders for name in ("cat", "dog")))


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("Training", "Testing"), ["train", "test"]),
        (("training_set", "test_set"), ["train", "test"]),
        (("seg_train", "seg_test"), ["train", "test"]),
        (("train", "dev"), ["train", "validation"]),
        (("TRAIN", "VAL", "TEST"), ["train", "validation", "test"]),
        (("seg_train/seg_train", "seg_test/seg_test"), ["train", "test"]),
        (("images/train", "images/val"), ["train", "validation"]),
        (("train/images", "val/images"), ["train", "validation"]),
    ],
)
def test_ready_splits(
    save: Save, tmp_path: Path, folders: tuple[str, ...], parts: list[str]
) -> None:
    classes_in(save, *folders)
    listing = scan(tmp_path)
    assert listing.class_names == ("cat", "dog")
    assert list(listing.parts) == parts
    files = {part: files[0][0].path for part, files in listing.parts.items()}
    assert files == {p: f"{f}/cat/a.png" for p, f in zip(parts, folders, strict=True)}


def test_labels_may_lie_beside_images(save: Save, tmp_path: Path) -> None:
    classes_in(save, "images/train", "images/val")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 1 1")
    assert list(scan(tmp_path).parts) == ["train", "validation"]


@pytest.mark.parametrize("name", ["test", "val", "Testing", "dev"])
def test_a_split_beside_classes_is_an_error_that_says_how_to_go_on(
    save: Save, tmp_path: Path, name: str
) -> None:
    make(save, "OK", "NG", name)
    with pytest.raises(DataError) as error:
        scan(tmp_path)
    assert f"read as splits: {name} (" in str(error.value)
    assert f"--class NG --class OK --class {name}" in str(error.value)
    assert scan(tmp_path, class_names=["OK", "NG", name]).class_names == ("OK", "NG", name)
    assert scan(tmp_path, class_names=["OK", "NG"]).class_names == ("OK", "NG")


def test_a_split_of_classes_beside_classes_is_an_error(save: Save, tmp_path: Path) -> None:
    classes_in(save, "train")
    make(save, "cat", "dog")
    with pytest.raises(DataError, match="and no other"):
        scan(tmp_path)


def test_splits_inside_class_folders_are_an_error(save: Save, tmp_path: Path) -> None:
    make(save, "cat/train", "cat/Test", "dog/train", "dog/Test")
    with pytest.raises(DataError, match=r"splits inside .*cat: Test, train.*--class cat --class"):
        scan(tmp_path)
    assert scan(tmp_path, class_names=["cat", "dog"]).class_names == ("cat", "dog")


def test_images_without_labels_are_left_out_and_said(
    save: Save, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classes_in(save, "train")
    for name in ("test/1.png", "test/2.png", "pred/3.png"):
        save(name)
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        assert list(scan(tmp_path).parts) == ["train"]
    assert f"{tmp_path}/test is left out: its 2 images" in caplog.text
    assert f"{tmp_path}/pred is left out: its 1 images" in caplog.text


def test_images_without_labels_in_a_folder_of_their_own(save: Save, tmp_path: Path) -> None:
    classes_in(save, "train")
    save("test/unknown/1.png")
    assert list(scan(tmp_path).parts) == ["train"]


def test_a_folder_of_one_class_is_not_looked_into(save: Save, tmp_path: Path) -> None:
    make(save, "cat/2024", "cat/2025")
    with pytest.raises(DataError, match=r"at least 2 classes.*Found: cat"):
        scan(tmp_path)


def test_class_names_give_the_order_of_labels_in_splits_too(save: Save, tmp_path: Path) -> None:
    classes_in(save, "train", "test")
    save("train/eel/a.png")
    listing = scan(tmp_path, class_names=["dog", "cat"])
    assert listing.class_names == ("dog", "cat")
    assert [files[0].path for files in listing.parts["test"]] == [
        "test/dog/a.png",
        "test/cat/a.png",
    ]


@pytest.mark.parametrize("names", [["cat"], ["cat", "cat"], []])
def test_class_names_are_at_least_two(save: Save, tmp_path: Path, names: list[str]) -> None:
    classes_in(save, ".")
    with pytest.raises(DataError, match="at least 2 sub-folders"):
        scan(tmp_path, class_names=names)


def test_class_names_that_are_not_there(save: Save, tmp_path: Path) -> None:
    classes_in(save, ".")
    with pytest.raises(DataError, match=r"Not there: cow\. Found: cat, dog"):
        scan(tmp_path, class_names=["cat", "cow"])
