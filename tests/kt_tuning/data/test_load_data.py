from __future__ import annotations

import logging
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kt_tuning.core.errors import DataError, OptionError, StorageError
from kt_tuning.data import ImageData, decode_folder, load_images

Save = Callable[..., Path]


def shades(data: ImageData) -> list[int]:
    """Return the grey value of every image."""
    splits = (data.train, data.validation, data.test)
    return [int(image[0, 0, 0]) for split in splits for image in split.images]


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_folder, "decode_folder", None)


def ready_splits(save: Save, tmp_path: Path, *parts: str) -> Path:
    """Make splits of two classes, 10 images a class; grey value 10 · part + number."""
    for position, part in enumerate(parts):
        for number in range(10):
            save(f"ready/{part}/cat/{number}.png", 10 * position + number)
            save(f"ready/{part}/dog/{number}.png", 100 + 10 * position + number)
    return tmp_path / "ready"


def test_folder_of_classes(photos: Path) -> None:
    data = load_images(photos)
    assert data.class_names == ("cat", "dog")
    assert data.input_shape == (4, 4, 1)
    assert data.card.counts == {"train": [6, 6], "validation": [2, 2], "test": [2, 2]}
    assert data.card.source == str(photos)
    assert sorted(shades(data)) == [*range(10), *range(100, 110)]


def test_images_keep_their_labels(photos: Path) -> None:
    data = load_images(photos)
    for split in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(split.labels, split.images[:, 0, 0, 0] >= 100)


def test_ready_splits_are_kept(save: Save, tmp_path: Path) -> None:
    data = load_images(ready_splits(save, tmp_path, "train", "val", "test"))
    assert data.train.images[:, 0, 0, 0].tolist() == [*range(10), *range(100, 110)]
    assert data.validation.images[:, 0, 0, 0].tolist() == [*range(10, 20), *range(110, 120)]
    assert data.test.images[:, 0, 0, 0].tolist() == [*range(20, 30), *range(120, 130)]


def test_missing_validation_is_taken_from_train(save: Save, tmp_path: Path) -> None:
    data = load_images(ready_splits(save, tmp_path, "train", "test"))
    assert data.card.counts == {"train": [8, 8], "validation": [2, 2], "test": [10, 10]}
    assert data.validation.images.max() < 110


def test_missing_test_is_taken_from_train(save: Save, tmp_path: Path) -> None:
    data = load_images(ready_splits(save, tmp_path, "train", "valid"))
    assert data.card.counts == {"train": [8, 8], "validation": [10, 10], "test": [2, 2]}


def test_size_and_channels_as_asked(photos: Path) -> None:
    assert load_images(photos, image_size=(8, 6), channels=3).input_shape == (8, 6, 3)
    assert load_images(photos, image_size=8).input_shape == (8, 8, 1)


def test_one_colour_image_makes_all_rgb(photos: Path, save: Save) -> None:
    save("photos/cat/0.png", np.zeros((4, 4, 3), np.uint8))
    assert load_images(photos).input_shape == (4, 4, 3)
    assert load_images(photos, image_size=5).input_shape == (5, 5, 3)


def test_same_seed_same_split(photos: Path) -> None:
    first, again, other = (load_images(photos, seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint
    assert shades(first) == shades(again)
    assert shades(first) != shades(other)


def test_second_load_decodes_nothing(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_images(photos)
    forbid_decoding(monkeypatch)
    second = load_images(photos, seed=5, split=(0.8, 0.2, 0))
    assert second.content == first.content
    assert sorted(shades(second)) == sorted(shades(first))


def test_changed_file_is_decoded_again(photos: Path, save: Save) -> None:
    before = load_images(photos)
    save("photos/cat/0.png", 77)
    after = load_images(photos)
    assert 77 in shades(after)
    assert after.fingerprint != before.fingerprint


def test_fingerprint_knows_neither_place_nor_date(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "copy", copy_function=shutil.copyfile)
    os.utime(tmp_path / "copy" / "cat" / "0.png", (1, 1))
    assert load_images(tmp_path / "copy").fingerprint == load_images(photos).fingerprint


def test_fingerprint_is_that_of_the_same_arrays(photos: Path) -> None:
    x = np.array([*range(10), *range(100, 110)], np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    same = ImageData.from_arrays(x, ["cat"] * 10 + ["dog"] * 10)
    assert load_images(photos).fingerprint == same.fingerprint


def test_cache_argument_names_the_folder(photos: Path, tmp_path: Path, cache: Path) -> None:
    load_images(photos, cache=tmp_path / "here")
    assert sorted(path.suffix for path in (tmp_path / "here").iterdir()) == [".json", ".pixels"]
    assert not cache.exists()


def test_cache_that_cannot_be_written(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="KT_TUNING_CACHE"):
        load_images(photos, cache=tmp_path / "file")


def test_loaded_data_are_pickled_without_pixels(photos: Path) -> None:
    data = load_images(photos, image_size=64)
    content = pickle.dumps(data)
    assert len(content) < 20 * 64 * 64
    assert shades(pickle.loads(content)) == shades(data)


def test_unreadable_files_are_skipped_and_listed(
    photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "dog" / "3.png").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        data = load_images(photos, max_unreadable=0.1)
    reason = "not an image in a supported format"
    assert data.unreadable == [(str(photos / "dog" / "3.png"), reason)]
    assert sorted(shades(data)) == [*range(10), 100, 101, 102, *range(104, 110)]
    assert [record.getMessage() for record in caplog.records] == [
        f"Skipped 1 of 20 image files that cannot be read: {photos}/dog/3.png ({reason})"
    ]


def test_unreadable_files_are_listed_on_the_second_load_too(photos: Path) -> None:
    (photos / "dog" / "3.png").write_bytes(b"no image")
    first = load_images(photos, max_unreadable=0.1)
    assert load_images(photos, max_unreadable=0.1).unreadable == first.unreadable


def test_too_many_unreadable_files(photos: Path) -> None:
    (photos / "dog" / "3.png").write_bytes(b"no image")
    (photos / "dog" / "4.png").unlink()
    (photos / "dog" / "4.png").symlink_to(photos / "gone.png")
    with pytest.raises(DataError, match=r"2 of 20 image files cannot be read: .*dog/3\.png"):
        load_images(photos)


def test_nothing_readable(photos: Path) -> None:
    for path in photos.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"20 of 20 .* and 15 more"):
        load_images(photos)
    with pytest.raises(DataError, match=r"Too few images .*'cat' 0, 'dog' 0"):
        load_images(photos, max_unreadable=1)


def test_ready_split_that_loses_a_class_to_unreadable_files(save: Save, tmp_path: Path) -> None:
    folder = ready_splits(save, tmp_path, "train", "test")
    for path in (folder / "test" / "dog").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"every class in the test split\. Found none of: dog"):
        load_images(folder, max_unreadable=0.5)


def test_class_with_too_few_images(save: Save, tmp_path: Path) -> None:
    for number in range(5):
        save(f"few/cat/{number}.png")
    save("few/dog/0.png")
    with pytest.raises(DataError, match=r"Found: 'dog' 1\. Expected: at least 3 per class"):
        load_images(tmp_path / "few")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"image_size": 0}, "image_size"),
        ({"channels": 2}, "channels"),
        ({"split": (0.5, 0.5, 0.5)}, "split"),
        ({"seed": -1}, "seed"),
        ({"max_unreadable": 5}, "max_unreadable"),
        ({"max_unreadable": "5%"}, "max_unreadable"),
    ],
)
def test_bad_options_are_found_before_any_file_is_read(
    tmp_path: Path, options: dict[str, Any], name: str
) -> None:
    with pytest.raises(OptionError, match=f"{name}`? should be"):
        load_images(tmp_path / "none", **options)


def test_workers_give_the_same_as_one_process(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "dog" / "3.png").write_bytes(b"no image")
    alone = load_images(photos, max_unreadable=0.1, cache=tmp_path / "alone")
    monkeypatch.setattr(decode_folder, "_SECONDS_A_FILE", 1)
    monkeypatch.setattr(decode_folder, "_FILES", 3)
    monkeypatch.setattr(decode_folder, "count_processors", lambda: 2)
    helped = load_images(photos, max_unreadable=0.1, cache=tmp_path / "helped")
    assert helped.fingerprint == alone.fingerprint
    assert helped.unreadable == alone.unreadable


def test_progress_is_drawn_on_the_error_stream_only(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    load_images(photos)
    shown = capsys.readouterr()
    assert "Decoding images" in shown.err
    assert shown.out == ""


def test_progress_can_be_switched_off(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    load_images(photos, progress=False)
    assert capsys.readouterr() == ("", "")


def test_loading_imports_nothing_heavy(photos: Path) -> None:
    load_images(photos)
    script = (
        "import sys; from kt_tuning.data import load_images; "
        f"load_images({str(photos)!r}); "
        "print({'tensorflow', 'keras', 'sklearn', 'pandas', 'rich'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "set()\n"


def test_files_that_an_exported_model_cannot_decode_are_counted_on_each_load(
    photos: Path, save: Save, caplog: pytest.LogCaptureFixture
) -> None:
    save("photos/cat/x.tif", 50)
    save("photos/dog/y.webp", 60, save_all=True, append_images=[Image.new("L", (4, 4))])
    save("photos/dog/z.bmp", Image.new("RGB", (4, 4), "red").quantize())
    save("photos/dog/w.gif", Image.new("P", (4, 4), 2), transparency=2)
    save("photos/dog/v.bmp", 70)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "kt_tuning"):
            load_images(photos)
        assert "4 of 25 images are files that an exported model cannot decode" in caplog.text
        kinds = "1 BMP with a palette, masks, 16 bits or run lengths, 1 GIF with transparency, "
        assert f"({kinds}1 TIFF, 1 animated WebP)" in caplog.text


def test_what_ready_splits_lack_is_said(
    save: Save, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "kt_tuning"):
        load_images(ready_splits(save, tmp_path, "train", "test"))
    assert "has no validation images: they are taken from the training images." in caplog.text


def test_a_short_time_limit_makes_large_images_smaller(tmp_path: Path, save: Any) -> None:
    for number in range(4):
        for name in ("a", "b"):
            content = np.full((240, 250 + number), 10 * number + (name == "b"), np.uint8)
            save(f"large/{name}/{number}.png", content)
    folder = tmp_path / "large"
    assert load_images(folder, time_limit="10s").input_shape == (224, 224, 1)
    assert load_images(folder, time_limit=0.1).input_shape == (128, 128, 1)
    assert load_images(folder, time_limit=0.1, backbone=True).input_shape == (224, 224, 1)
    assert load_images(folder).input_shape == (224, 224, 1)


@pytest.mark.parametrize("source", [None, 3, b"/tmp", ["a", "b"], np.zeros((2, 4, 4))])
def test_what_is_no_path_is_refused(source: object) -> None:
    with pytest.raises(OptionError, match=r"Expected the path .* Received: .*from_arrays"):
        load_images(source)  # type: ignore[arg-type]


def test_class_names_are_checked_before_any_file_is_read(
    save: Save, tmp_path: Path, cache: Path
) -> None:
    for name in ("a\nb/1.png", "c/1.png"):
        save(f"photos/{name}")
    with pytest.raises(DataError, match=r"each on one line.*'a\\nb'"):
        load_images(tmp_path / "photos")
    assert not cache.exists()
