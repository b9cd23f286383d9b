"""What Pillow reads is read; what systems and programs put beside it is not."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_markers import write_marker

from kt_tuning.data import image_files, load_images
from kt_tuning.data.folder_layout import scan
from kt_tuning.run.layout import RUN_MARKERS

Save = Callable[..., Path]


def found(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in image_files(folder)}


@pytest.mark.parametrize(
    "name",
    ["a.jfif", "a.JPE", "a.ppm", "a.PGM", "a.tga", "a.ico", "a.jp2", "a.apng", "a.dib"],
)
def test_whatever_pillow_reads_is_read(save: Save, tmp_path: Path, name: str) -> None:
    for label in ("cat", "dog"):
        for number in range(5):
            save(f"photos/{label}/{number}_{name}", np.full((16, 16, 3), 20 * number, np.uint8))
    assert len(image_files(tmp_path / "photos")) == 10
    assert load_images(tmp_path / "photos", image_size=4).unreadable == []


def test_an_image_is_known_by_its_content_if_not_by_its_name(save: Save, tmp_path: Path) -> None:
    for kind in ("png", "jpg", "gif", "webp"):
        shutil.move(save(f"a.{kind}"), tmp_path / f"image_{kind}")
    (tmp_path / "notes").write_text("no image")
    assert found(tmp_path) == {"image_png", "image_jpg", "image_gif", "image_webp"}


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", ".thumbnails/a.jpg", "__MACOSX/a.jpg"),
        *("#recycle/a.jpg", ".ipynb_checkpoints/a.jpg", "@Recycle/a.jpg", "$RECYCLE.BIN/a.jpg"),
        *("._a.jpg", "Thumbs.db", ".DS_Store", "desktop.ini"),
    ],
)
def test_what_systems_and_programs_put_there_is_not_read(
    save: Save, tmp_path: Path, name: str
) -> None:
    save("cat.jpg")
    shutil.move(save("other.jpg"), tmp_path / "other")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(tmp_path / "other", tmp_path / name)
    assert found(tmp_path) == {"cat.jpg"}


def test_what_is_left_out_is_said_with_its_number(
    save: Save, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("cat/a.png", "dog/a.png", "cat/@eaDir/a.png"):
        save(name)
    for name in ("cat/a.txt", "cat/b.TXT", "dog/film.mp4", "dog/readme", "dog/Thumbs.db"):
        (tmp_path / name).write_text("no image")
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        scan(tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        f"Left out of {tmp_path}: 4 files that are not read as images (2 .txt, 1 .mp4, 1 without "
        "extension) and 1 hidden folders (1 @eaDir)"
    ]


@pytest.mark.parametrize("marker", RUN_MARKERS)
@pytest.mark.parametrize("place", ["runs/photos", "search", "cat/runs/photos"])
def test_runs_are_no_classes(save: Save, tmp_path: Path, marker: str, place: str) -> None:
    for name in ("cat/a.png", "dog/a.png", f"{place}/augmentation.png"):
        save(name)
    before = scan(tmp_path).class_names if place.startswith("cat") else ("cat", "dog")
    write_marker(tmp_path / place, marker)
    listing = scan(tmp_path)
    assert listing.class_names == before == ("cat", "dog")
    assert [file.path for file in listing.files] == ["cat/a.png", "dog/a.png"]


def test_runs_beside_other_files_are_no_class_and_are_said(
    save: Save, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("cat/a.png", "dog/a.png", "runs/first/a.png", "runs/second/a.png"):
        save(name)
    for name in ("first", "second"):
        write_marker(tmp_path / "runs" / name)
    (tmp_path / "runs" / "notes.txt").write_text("the second one was better")
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        assert scan(tmp_path).class_names == ("cat", "dog")
    assert f"folders of runs ({tmp_path}/runs)" in caplog.text


def test_a_class_with_a_run_inside_is_a_class(save: Save, tmp_path: Path) -> None:
    for name in ("cat/a.png", "dog/a.png", "dog/run/b.png"):
        save(name)
    write_marker(tmp_path / "dog" / "run")
    assert [file.path for file in scan(tmp_path).files] == ["cat/a.png", "dog/a.png"]


def test_what_a_run_writes_into_the_folder_of_images_is_no_class(
    save: Save, tmp_path: Path
) -> None:
    for name in ("cat/a.png", "dog/a.png", "trial_0/a.png", "export/1/a.png"):
        save(name)
    write_marker(tmp_path, "oracle.json")
    assert scan(tmp_path).class_names == ("cat", "dog")


def test_a_cache_in_the_folder_of_images_is_no_class(photos: Path) -> None:
    for _ in range(2):
        assert load_images(photos, cache=photos / "cache").class_names == ("cat", "dog")


def test_broken_and_empty_files_are_reported_not_lost(photos: Path) -> None:
    (photos / "cat" / "empty.jpg").write_bytes(b"")
    whole = (photos / "cat" / "0.png").read_bytes()
    (photos / "cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    data = load_images(photos, max_unreadable=0.1)
    assert [Path(path).name for path, _ in data.unreadable] == ["cut.png", "empty.jpg"]


def test_of_several_frames_the_first_is_read(tmp_path: Path) -> None:
    frames = [Image.new("L", (4, 4), level) for level in (10, 200)]
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(3):
            path = tmp_path / label / f"{number}.tiff"
            frames[0].save(path, save_all=True, append_images=frames[1:])
    assert (load_images(tmp_path).train.images == 10).all()
