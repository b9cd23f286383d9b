"""A folder for each way that images are laid out, and what becomes of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kt_tuning.core.errors import DataError, StorageError
from kt_tuning.data.folder_layout import scan

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
        (("imagesTr", "imagesTs"), ["train", "test"]),
        (("Tr", "Te"), ["train", "test"]),
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


@pytest.mark.parametrize("names", [("de", "tr"), ("en", "te")])
def test_two_letters_alone_are_a_class(save: Save, tmp_path: Path, names: tuple[str, ...]) -> None:
    make(save, *names)
    assert scan(tmp_path).class_names == names


@pytest.mark.parametrize("folders", [("fold1", "fold2"), ("images", "annotations")])
def test_classes_that_are_probably_one_level_below_are_said(
    save: Save, tmp_path: Path, caplog: pytest.LogCaptureFixture, folders: tuple[str, str]
) -> None:
    classes_in(save, folders[0])
    if folders[1] == "fold2":
        classes_in(save, folders[1])
    else:
        make(save, folders[1])
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        scan(tmp_path)
    assert "The classes are the folders" in caplog.text
    assert "the folders inside them, such as cat, dog" in caplog.text


def test_other_sub_folders_of_classes_are_no_riddle(
    save: Save, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(save, "cat/anna", "cat/ben", "dog/anna", "dog/cleo")
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        scan(tmp_path)
    assert not caplog.records


def test_images_beside_splits_are_said(
    save: Save, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classes_in(save, "train", "test")
    save("cover.png")
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        scan(tmp_path)
    assert "Skipped 1 images" in caplog.text
    assert "cover.png" in caplog.text


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


def test_options_that_are_named_can_be_pasted_into_a_shell(save: Save, tmp_path: Path) -> None:
    make(save, "it's fine", "NG", "test")
    with pytest.raises(DataError, match="--class NG --class 'it'\"'\"'s fine' --class test"):
        scan(tmp_path)


def test_a_split_of_classes_beside_classes_is_an_error(save: Save, tmp_path: Path) -> None:
    classes_in(save, "train")
    make(save, "cat", "dog")
    with pytest.raises(DataError, match="either class folders only"):
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
    with pytest.raises(DataError, match=r"Missing: cow\. Found: cat, dog"):
        scan(tmp_path, class_names=["cat", "cow"])


def paths(folder: Path, part: str = "train") -> list[list[str]]:
    return [[file.path for file in files] for files in scan(folder).parts[part]]


def test_one_sub_folder_a_class_in_sorted_order(save: Save, tmp_path: Path) -> None:
    for name in ("dog/b.png", "dog/a.png", "Cat/c.png"):
        save(name)
    listing = scan(tmp_path)
    assert listing.class_names == ("Cat", "dog")
    assert paths(tmp_path) == [["Cat/c.png"], ["dog/a.png", "dog/b.png"]]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validation"])
def test_ready_splits_are_recognised(save: Save, tmp_path: Path, name: str) -> None:
    for part in ("train", name, "test"):
        save(f"{part}/cat/a.png")
        save(f"{part}/dog/a.png")
    assert list(scan(tmp_path).parts) == ["train", "validation", "test"]
    assert paths(tmp_path, "validation") == [[f"{name}/cat/a.png"], [f"{name}/dog/a.png"]]


def test_train_beside_other_classes_is_a_class(save: Save, tmp_path: Path) -> None:
    for name in ("train", "bus", "car"):
        save(f"{name}/a.png")
    assert scan(tmp_path).class_names == ("bus", "car", "train")


def test_train_alone_is_a_split(save: Save, tmp_path: Path) -> None:
    save("train/cat/a.png")
    save("train/dog/a.png")
    assert scan(tmp_path).class_names == ("cat", "dog")


def test_nested_folders_belong_to_their_class(save: Save, tmp_path: Path) -> None:
    save("cat/2024/may/a.png")
    save("dog/a.png")
    assert paths(tmp_path)[0] == ["cat/2024/may/a.png"]


def test_hidden_files_and_other_extensions_are_ignored(save: Save, tmp_path: Path) -> None:
    for name in ("cat/a.JPG", "cat/.b.png", "cat/.git/c.png", "dog/a.webp", ".cache/d.png"):
        save(name)
    save("__MACOSX/cat/a.png")
    (tmp_path / "cat" / "notes.txt").write_text("hello")
    assert paths(tmp_path) == [["cat/a.JPG"], ["dog/a.webp"]]


def test_symbolic_links_are_followed(save: Save, tmp_path: Path) -> None:
    save("elsewhere/cats/a.png")
    save("photos/dog/a.png")
    (tmp_path / "photos" / "cat").symlink_to(tmp_path / "elsewhere" / "cats")
    (tmp_path / "photos" / "dog" / "b.png").symlink_to(tmp_path / "elsewhere" / "cats" / "a.png")
    assert paths(tmp_path / "photos") == [["cat/a.png"], ["dog/a.png", "dog/b.png"]]


def test_link_to_a_folder_above_is_followed_once(save: Save, tmp_path: Path) -> None:
    save("cat/a.png")
    save("dog/a.png")
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat")
    assert paths(tmp_path)[0] == ["cat/a.png"]


def test_broken_link_is_listed(save: Save, tmp_path: Path) -> None:
    save("cat/a.png")
    save("dog/a.png")
    (tmp_path / "cat" / "b.png").symlink_to(tmp_path / "gone.png")
    assert paths(tmp_path)[0] == ["cat/a.png", "cat/b.png"]


def test_images_outside_class_folders_are_named(
    save: Save, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("cat/a.png", "dog/a.png", "cover.png"):
        save(name)
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        scan(tmp_path)
    assert "1 images" in caplog.text
    assert "cover.png" in caplog.text


def test_digest_changes_with_settings_files_and_their_dates(photos: Path) -> None:
    digests = [scan(photos).digest("a"), scan(photos).digest("a"), scan(photos).digest("b")]
    os.utime(photos / "cat" / "0.png", ns=(1, 1))
    digests.append(scan(photos).digest("a"))
    (photos / "cat" / "0.png").rename(photos / "cat" / "zero.png")
    digests.append(scan(photos).digest("a"))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_digest_sees_a_file_replaced_with_its_size_and_date_kept(photos: Path, save: Save) -> None:
    path = photos / "cat" / "0.png"
    before, digest = path.stat(), scan(photos).digest("")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert scan(photos).digest("") != digest


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nothing there"):
        scan(tmp_path / "none")


def test_a_file_in_place_of_the_folder(save: Save) -> None:
    with pytest.raises(StorageError, match="a file"):
        scan(save("a.png"))


def test_no_class_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Found: no folder"):
        scan(tmp_path)


def test_images_directly_in_the_folder(save: Save, tmp_path: Path) -> None:
    save("a.png")
    save("b.png")
    with pytest.raises(DataError, match="no folder and 2 images outside class folders"):
        scan(tmp_path)


def test_one_class(save: Save, tmp_path: Path) -> None:
    save("cat/a.png")
    with pytest.raises(DataError, match=r"at least 2 classes.*Found: cat"):
        scan(tmp_path)


def test_empty_class(save: Save, tmp_path: Path) -> None:
    save("cat/a.png")
    save("dog/a.png")
    (tmp_path / "eel").mkdir()
    with pytest.raises(DataError, match="Found none in: eel"):
        scan(tmp_path)


def test_splits_with_different_classes(save: Save, tmp_path: Path) -> None:
    for name in ("train/cat", "train/dog", "test/cat", "test/cow", "val/cat", "val/dog"):
        save(f"{name}/a.png")
    with pytest.raises(DataError, match="train lacks cow; val lacks cow; test lacks dog"):
        scan(tmp_path)


@pytest.mark.parametrize(
    "parts",
    [("train", "val", "extra"), ("train", "val", "validation"), ("val", "test"), ("test",)],
)
def test_ready_splits_that_are_not_clear(
    save: Save, tmp_path: Path, parts: tuple[str, ...]
) -> None:
    for part in parts:
        save(f"{part}/cat/a.png")
        save(f"{part}/dog/a.png")
    with pytest.raises(DataError, match="at most one of each of val and test"):
        scan(tmp_path)
