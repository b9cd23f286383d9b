from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from export_models import CLASS_NAMES, PIXELS, random_images
from PIL import Image

from kt_tuning.core.errors import DataError, ExportError, OptionError, StorageError
from kt_tuning.core.records import PixelFormat
from kt_tuning.data import decode_image
from kt_tuning.export import load_served


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Five image files of different formats and sizes."""
    paths = []
    for number, suffix in enumerate(["jpg", "png", "gif", "bmp", "webp"]):
        pixels = random_images(1, PixelFormat(40 + number, 30, 3))[0]
        paths.append(tmp_path / f"{number}.{suffix}")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def test_what_is_loaded_describes_itself(served):
    assert served.class_names == CLASS_NAMES
    assert served.input_shape == PIXELS.shape


@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_images_get_the_models_probabilities(served, model, batch_size):
    images = random_images(7)
    probabilities = served.predict(images, batch_size=batch_size)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, model.predict(images, verbose=0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch_size", [2, 32])
def test_files_get_the_models_probabilities(served, model, photos, batch_size):
    predictions = served.predict_files(photos, batch_size=batch_size)
    decoded = np.stack([decode_image(path, PIXELS) for path in photos])
    expected = model.predict(decoded, verbose=0)
    assert [prediction.path for prediction in predictions] == photos
    for prediction, row in zip(predictions, expected, strict=True):
        np.testing.assert_allclose(prediction.probabilities, row, rtol=0, atol=1e-6)
        assert prediction.label == CLASS_NAMES[row.argmax()]
        assert prediction.probability == pytest.approx(row.max(), abs=1e-6)


def test_paths_may_be_strings(served, photos):
    (prediction,) = served.predict_files([str(photos[0])])
    assert prediction.path == photos[0]


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (random_images(2).astype(np.float32), r"float32 of shape \(2, 8, 12, 3\)"),
        (random_images(2)[0], r"uint8 of shape \(8, 12, 3\)"),
        (random_images(2)[:, :4], r"uint8 of shape \(2, 4, 12, 3\)"),
        (random_images(2)[:0], r"uint8 of shape \(0, 8, 12, 3\)"),
    ],
)
def test_images_that_do_not_fit_are_refused(served, images, received):
    with pytest.raises(DataError, match=rf"shape \(N, 8, 12, 3\).*Received: {received}"):
        served.predict(images)


def test_files_that_cannot_be_decoded_are_named(served, photos, tmp_path):
    text, cut = tmp_path / "notes.txt", tmp_path / "cut.jpg"
    text.write_text("not an image")
    cut.write_bytes(photos[0].read_bytes()[:300])
    with pytest.raises(DataError) as error:
        served.predict_files([*photos, text, cut])
    assert f"Cannot decode {text}, {cut}. " in str(error.value)
    assert not any(str(photo) in str(error.value) for photo in photos)


def test_no_files_are_an_error(served):
    with pytest.raises(DataError, match="at least one path"):
        served.predict_files([])


def test_a_missing_file_is_named_before_any_work(served, tmp_path):
    with pytest.raises(StorageError, match=r"Cannot read .*gone\.jpg: there is no such file"):
        served.predict_files([tmp_path / "gone.jpg"])
    with pytest.raises(StorageError, match="it is a folder"):
        served.predict_files([tmp_path])


def test_a_file_that_cannot_be_read_is_named(served, photos, monkeypatch):
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StorageError, match=r"Cannot read .*0\.jpg: Permission denied"):
        served.predict_files(photos)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batches_hold_something(served, photos, batch_size):
    with pytest.raises(OptionError, match=f"at least 1. Received: {batch_size}"):
        served.predict_files(photos, batch_size=batch_size)
    with pytest.raises(OptionError, match="at least 1"):
        served.predict(random_images(2), batch_size=batch_size)


# --- Loading -------------------------------------------------------------------------------


def test_a_folder_that_is_no_export_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(StorageError, match=r"is not an exported model: .*saved_model\.pb\.$"):
            load_served(path)


def test_the_folder_of_all_versions_leads_to_the_newest(exported, tmp_path):
    for version in ("2", "10", "old"):
        (tmp_path / version).mkdir()
        shutil.copy(exported / "saved_model.pb", tmp_path / version)
    with pytest.raises(StorageError, match=rf"Did you mean {tmp_path}/10\?"):
        load_served(tmp_path)


def test_a_saved_model_from_elsewhere_is_refused(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "1", ignore=shutil.ignore_patterns("labels.txt"))
    with pytest.raises(StorageError, match=r"it has no labels\.txt"):
        load_served(tmp_path / "1")


@pytest.mark.parametrize(
    "broken",
    ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"],
)
def test_a_damaged_export_is_refused(exported, tmp_path, broken):
    shutil.copytree(exported, tmp_path / "1")
    (tmp_path / "1" / broken).write_bytes(b"\xff damaged")
    with pytest.raises(ExportError, match="export the model again"):
        load_served(tmp_path / "1")


def test_labels_must_fit(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "1")
    (tmp_path / "1" / "labels.txt").write_text("cat\ndog\n")
    with pytest.raises(ExportError, match=r"should name 3 classes, one a line\. Received: 2"):
        load_served(tmp_path / "1")


def test_labels_are_read_as_people_write_them(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "1")
    (tmp_path / "1" / "labels.txt").write_bytes(b"x\r\ny\r\nz")
    assert load_served(tmp_path / "1").class_names == ("x", "y", "z")
