"""A run never goes among the images that it is run on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import kt_tuning, write_photos
from run_markers import write_marker
from striped import striped_images

from kt_tuning.cli.run import recorded_size, run_directory, searches_backbone
from kt_tuning.core.errors import OptionError
from kt_tuning.data import load_images
from kt_tuning.finalize import load_run_data


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


def test_by_default_a_run_goes_to_runs_in_the_current_directory(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    assert run_directory(Path("photos"), None) == Path("runs/photos")


def test_the_run_of_a_table_has_its_name(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    assert run_directory(Path("labels.v2.csv"), None, photos) == Path("runs/labels.v2")
    with pytest.raises(OptionError, match="is inside the folder of images"):
        run_directory(Path("labels.csv"), photos / "run", photos)


def test_the_run_of_an_npz_file_has_its_name_and_its_images_are_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = striped_images(60)
    np.savez(
        "stripes.npz",
        x_train=images[:50],
        y_train=labels[:50],
        x_test=images[50:],
        y_test=labels[50:],
    )
    out = run_directory(Path("stripes.npz"), None)
    assert out == Path("runs/stripes")
    searched = load_images("stripes.npz")
    out.mkdir(parents=True)
    searched.card.save(out / "data.json")
    searched.save_split(out / "split.npz")
    data = load_run_data(out, progress=False)
    np.testing.assert_array_equal(data.test.images, images[50:])


def test_a_table_is_searched_and_read_again(
    photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    rows = ["image_id,kind,who"]
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        (flat / path.name).write_bytes(path.read_bytes())
        rows.append(f"{path.stem},{path.parent.name},p{number // 2}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    out = tmp_path / "run"
    command = ("run", tmp_path / "labels.csv", "--images", flat, "--column", "label=kind")
    more = ("--column", "group=who", "--out", out, "--max-trials", 1, "--epochs", 1, "-q")
    tiny = ("--hypermodel", "mlp", "--fix", "stages=1", "--fix", "units=8", "--workers", 1)
    assert kt_tuning(monkeypatch, *command, *more, *tiny) == 0
    data = load_run_data(out, progress=False)
    assert data.class_names == ("lying", "standing")
    assert data.groups is not None
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["images"] == str(flat)
    assert config["column"] == ["label=kind", "group=who"]


@pytest.mark.parametrize("below", [".", "lying"])
def test_beside_the_images_where_the_current_directory_is_among_them(
    photos: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, below: str
) -> None:
    monkeypatch.chdir(photos / below)
    assert run_directory(photos, None) == photos.parent / "runs" / "photos"
    assert str(photos.parent / "runs" / "photos") in caplog.text


@pytest.mark.parametrize("out", [".", "runs/photos", "lying/run"])
def test_an_out_among_the_images_is_refused(photos: Path, out: str) -> None:
    with pytest.raises(OptionError, match="is inside the folder of images"):
        run_directory(photos, photos / out)
    assert sorted(path.name for path in photos.iterdir()) == ["lying", "standing"]


def test_a_run_that_is_among_them_already_may_go_on(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = photos / "runs" / "photos"
    run.mkdir(parents=True)
    write_marker(run)
    monkeypatch.chdir(photos)
    assert run_directory(Path(), None) == Path("runs/photos")
    assert run_directory(photos, run) == run
    assert load_images(photos).class_names == ("lying", "standing")


def test_run_in_the_folder_of_images_leaves_it_as_it_was(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    arguments = ["--hypermodel", "convnet", "--fix", "filters=(8,)", "--max-trials", "1"]
    arguments += ["--epochs", "1", "--augment", "none"]
    arguments += ["--class", "standing", "--class", "lying", "--groups", r"(\d)\d\.png"]
    assert kt_tuning(monkeypatch, "run", ".", "--workers", "1", "--quiet", *arguments) == 0
    assert sorted(path.name for path in photos.iterdir()) == ["lying", "standing"]
    run = photos.parent / "runs" / "photos"
    assert (run / "report.html").is_file()
    # What comes after the run has the same images, labels, splits and groups.
    expected = load_images(photos, class_names=["standing", "lying"], groups=r"(\d)\d\.png")
    data = load_run_data(run)
    assert data.fingerprint == expected.fingerprint
    assert data.groups is not None
    assert expected.groups is not None
    np.testing.assert_array_equal(data.groups.of_image, expected.groups.of_image)
    written = yaml.safe_load((run / "config.yaml").read_text())
    assert written["class_names"] == ["standing", "lying"]
    assert written["groups"] == r"(\d)\d\.png"


@pytest.mark.parametrize(
    ("families", "expected"),
    [(None, True), (["ConvNet"], False), (["convnet", "Linear-Probe"], True)],
)
def test_a_search_of_pre_trained_networks_is_known(
    families: list[str] | None, expected: bool
) -> None:
    assert searches_backbone(families, None) is expected


def test_a_network_that_is_named_is_searched_by_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypermodels.backbones.at_hand", dict)
    assert not searches_backbone(None, None)
    assert searches_backbone(None, "MobileNetV2")
    assert not searches_backbone(["convnet"], "MobileNetV2")


def test_a_run_goes_on_with_images_of_its_size(photos: Path, tmp_path: Path) -> None:
    assert recorded_size(tmp_path / "new") is None
    load_images(photos, image_size=(9, 7)).card.save(tmp_path / "data.json")
    assert recorded_size(tmp_path) == (9, 7)
