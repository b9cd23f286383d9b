from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from export_models import CLASS_NAMES, PIXELS, random_images
from PIL import Image

from kt_tuning.core.errors import DataError, ExportError, StorageError
from kt_tuning.core.records import PixelFormat
from kt_tuning.data import decode_image
from kt_tuning.export import load_saved_model
from kt_tuning.export.decode import DECODES_WEBP


def test_a_loaded_model_describes_itself(loaded):
    assert loaded.class_names == CLASS_NAMES
    assert loaded.pixels == PIXELS
    assert repr(loaded) == "LoadedModel(8×12×3, 3 classes)"


@pytest.mark.parametrize("count", [1, 7, 300])
def test_images_get_the_models_probabilities(loaded, model, count):
    images = random_images(count)
    probabilities = loaded.predict(images)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, model.predict(images, verbose=0), rtol=0, atol=1e-6)


def test_files_of_every_kind_get_the_models_probabilities(loaded, model):
    contents = []
    for number, kind in enumerate(["JPEG", "PNG", "GIF", "BMP"] + ["WEBP"] * DECODES_WEBP):
        buffer = io.BytesIO()
        Image.fromarray(random_images(1, PixelFormat(40 + number, 30, 3))[0]).save(buffer, kind)
        contents.append(buffer.getvalue())
    found = loaded.predict_bytes(contents)
    decoded = np.stack([decode_image(content, PIXELS) for content in contents])
    expected = model.predict(decoded, verbose=0)
    np.testing.assert_allclose(found["probabilities"], expected, rtol=0, atol=1e-6)
    names = [CLASS_NAMES[index] for index in expected.argmax(axis=1)]
    assert [label.decode() for label in found["label"]] == names
    assert set(found["error"]) == {b""}
    mixed = loaded.predict_bytes([b"text", *contents])
    # Another number of images may be multiplied in another order.
    np.testing.assert_allclose(
        mixed["probabilities"][1:], found["probabilities"], rtol=0, atol=1e-6
    )
    assert not mixed["probabilities"][0].any()
    assert mixed["label"].tolist() == [b"", *found["label"]]
    assert mixed["error"][0].startswith(b"Not an image file that can be served")


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (random_images(2).astype(np.float32), r"float32 of shape \(2, 8, 12, 3\)"),
        (random_images(2)[0], r"uint8 of shape \(8, 12, 3\)"),
        (random_images(2)[:, :4], r"uint8 of shape \(2, 4, 12, 3\)"),
        (random_images(2)[:0], r"uint8 of shape \(0, 8, 12, 3\)"),
    ],
)
def test_images_that_do_not_fit_are_refused(loaded, images, received):
    with pytest.raises(DataError, match=rf"shape \(N, 8, 12, 3\).*Received: {received}"):
        loaded.predict(images)


# --- Loading -------------------------------------------------------------------------------


def test_images_of_several_shapes_are_refused(loaded):
    with pytest.raises(DataError, match="images of one shape"):
        loaded.predict([np.zeros((8, 12, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)])


@pytest.mark.parametrize(
    ("contents", "received"),
    [([], "list of nothing"), ([b"", "a"], "list of bytes, str"), (b"GIF89a", "bytes of int")],
)
def test_what_is_no_content_of_files_is_refused(loaded, contents, received):
    with pytest.raises(DataError, match=f"Received: {received}"):
        loaded.predict_bytes(contents)


def test_a_folder_that_is_no_export_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(StorageError, match=r"is not an exported model: .*saved_model\.pb\.$"):
            load_saved_model(path)


@pytest.mark.parametrize("folder", ["", "export"])
def test_the_folder_of_all_versions_and_that_of_a_run_lead_to_the_newest(
    exported, tmp_path, folder
):
    for version in ("2", "10", "old"):
        (tmp_path / folder / version).mkdir(parents=True)
        shutil.copy(exported / "saved_model.pb", tmp_path / folder / version)
    newest = tmp_path / folder / "10"
    with pytest.raises(StorageError, match=rf"Did you mean {newest}\?"):
        load_saved_model(tmp_path)


def test_a_saved_model_from_elsewhere_is_refused(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "1", ignore=shutil.ignore_patterns("labels.txt"))
    with pytest.raises(StorageError, match=r"it has no labels\.txt"):
        load_saved_model(tmp_path / "1")


@pytest.mark.parametrize(
    "broken",
    ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"],
)
def test_a_damaged_export_is_refused(exported, tmp_path, broken):
    shutil.copytree(exported, tmp_path / "1")
    (tmp_path / "1" / broken).write_bytes(b"\xff damaged")
    with pytest.raises(ExportError, match="export the model again"):
        load_saved_model(tmp_path / "1")


def test_labels_must_fit(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "1")
    (tmp_path / "1" / "labels.txt").write_text("cat\ndog\n")
    with pytest.raises(ExportError, match=r"should name 3 classes, one per line\. Received: 2"):
        load_saved_model(tmp_path / "1")


def test_labels_are_read_as_people_write_them(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "1")
    (tmp_path / "1" / "labels.txt").write_bytes(b"x\r\ny\r\nz")
    assert load_saved_model(tmp_path / "1").class_names == ("x", "y", "z")
