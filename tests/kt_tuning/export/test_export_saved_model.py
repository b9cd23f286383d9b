from __future__ import annotations

import dataclasses
import datetime
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from export_models import CLASS_NAMES, PIXELS, make_card, make_model, random_images
from PIL import Image

from kt_tuning.core.errors import DataError, ExportError, StorageError
from kt_tuning.core.records import PixelFormat
from kt_tuning.data import decode_image
from kt_tuning.export import FORMATS, export_model

# Run as if neither Keras nor this package were installed.
SERVER = """
import sys

class Hide:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "tf_keras", "kt_tuning", "hypermodels", "PIL"):
            return None
        return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Hide(finder) for finder in sys.meta_path]
import numpy as np
import tensorflow as tf

folder, inputs, outputs = sys.argv[1:]
loaded = tf.saved_model.load(folder)
given = np.load(inputs)
files = tf.constant([given[name].tobytes() for name in ("jpeg", "png")])
from_pixels = loaded.signatures["serving_default"](images=tf.constant(given["images"]))
from_bytes = loaded.signatures["serve_bytes"](image_bytes=files)
assert "keras" not in sys.modules and "kt_tuning" not in sys.modules
np.savez(
    outputs,
    from_pixels=from_pixels["probabilities"],
    from_bytes=from_bytes["probabilities"],
    labels=[label.decode() for label in from_bytes["label"].numpy()],
)
"""


def test_plain_tensorflow_serves_both_signatures(exported, model, tmp_path):
    images = random_images(6)
    photo = Image.fromarray(random_images(1, PixelFormat(90, 70, 3))[0])
    files = {}
    for kind in ("jpeg", "png"):
        buffer = io.BytesIO()
        photo.save(buffer, kind)
        files[kind] = buffer.getvalue()
    arrays = {kind: np.frombuffer(content, np.uint8) for kind, content in files.items()}
    np.savez(tmp_path / "in.npz", images=images, **arrays)

    subprocess.run(
        [sys.executable, "-c", SERVER, exported, tmp_path / "in.npz", tmp_path / "out.npz"],
        check=True,
        cwd=tmp_path,
    )

    served = np.load(tmp_path / "out.npz")
    np.testing.assert_allclose(
        served["from_pixels"], model.predict(images, verbose=0), rtol=0, atol=1e-5
    )
    decoded = np.stack([decode_image(content, PIXELS) for content in files.values()])
    expected = model.predict(decoded, verbose=0)
    np.testing.assert_allclose(served["from_bytes"], expected, rtol=0, atol=1e-5)
    assert list(served["labels"]) == [CLASS_NAMES[index] for index in expected.argmax(axis=1)]


def guide_code(fence: str, text: str, exported: Path) -> str:
    """Return the block of the guide on serving that has a text, for the exported model."""
    guide = (Path(__file__).parents[3] / "docs/guides/serving.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"```{fence}\n(.*?)```", guide, re.DOTALL)
    (code,) = [block for block in blocks if text in block]
    return code.replace("runs/photos/export/1", str(exported))


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def test_the_code_of_the_guide_serves(exported, model):
    images = random_images(3)
    code = guide_code("python", "tf.saved_model.load", exported)
    names = {"pixels": images, "jpeg": png(images[0])}
    exec(code.partition('answer["probabilities"]')[0], names)
    np.testing.assert_allclose(
        names["answer"]["probabilities"], model.predict(images, verbose=0), rtol=0, atol=1e-5
    )
    exec(code, names)
    expected = CLASS_NAMES[model.predict(images[:1], verbose=0).argmax()]
    assert names["answer"]["label"].numpy()[0].decode() == expected


def test_the_service_of_the_guide_answers(exported, model):
    for package in ("python_multipart", "fastapi", "httpx"):
        pytest.importorskip(package, reason="FastAPI is not installed, with what it needs")
    from fastapi.testclient import TestClient

    names = {}
    exec(guide_code("python no-run", "FastAPI()", exported), names)
    client = TestClient(names["app"])
    images = random_images(1)
    answer = client.post("/classify", files={"image": png(images[0])}).json()
    expected = model.predict(images, verbose=0)[0]
    assert answer["label"] == CLASS_NAMES[expected.argmax()]
    assert answer["probability"] == pytest.approx(expected.max(), abs=1e-5)
    assert set(client.post("/classify", files={"image": b"no image"}).json()) == {"error"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda images: images.astype(np.float32), "expected to be a uint8 tensor but is a float"),
        (lambda images: images.astype(np.int64), "expected to be a uint8 tensor but is a int64"),
        (lambda images: images[:, :4], r"\[3,4,12,3\] is not compatible with expected .*8,12,3\]"),
    ],
)
def test_pixels_of_another_type_or_size_are_refused(exported, wrong, message):
    served = tf.saved_model.load(str(exported)).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served(tf.constant(wrong(random_images(3))))


def test_labels_stand_beside_the_model(exported):
    assert (exported / "labels.txt").read_bytes().decode() == "cat\ndog\nSüßer Igel\n"


def test_provenance_stands_beside_the_model(exported):
    provenance = json.loads((exported / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["model"] == {"hyperparameters": {"filters": 4}}
    assert provenance["data"]["fingerprint"] == "abc123"
    assert provenance["data"]["class_names"] == list(CLASS_NAMES)
    pixels = {"height": 8, "width": 12, "channels": 3, "bits": 16}
    assert provenance["data"]["pixels"] == pixels
    assert provenance["versions"]["keras"] == keras.__version__
    assert provenance["numerical_check"]["images"] == 16
    assert provenance["numerical_check"]["difference"] <= 1e-5
    assert provenance["numerical_check"]["agreement"] == 1.0
    assert provenance["format"] == "saved_model"
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(
        provenance["created"]
    )
    assert datetime.timedelta(0) <= age < datetime.timedelta(hours=1)


def test_grey_model_is_exported_in_silence_into_an_empty_folder(tmp_path, capfd):
    pixels = PixelFormat(8, 8, 1)
    (tmp_path / "deep" / "er" / "7").mkdir(parents=True)
    path = export_model(
        make_model(pixels, classes=2),
        tmp_path / "deep" / "er" / "7",
        card=make_card(pixels, ("a", "b")),
        check_images=random_images(3, pixels),
    ).path
    assert capfd.readouterr().out == ""
    assert path == tmp_path / "deep" / "er" / "7"
    assert [folder.name for folder in path.parent.iterdir()] == ["7"]
    assert json.loads((path / "provenance.json").read_text())["numerical_check"]["images"] == 3


class Restless(keras.layers.Layer):
    """Draws random numbers when it predicts too."""

    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs):
        return inputs + keras.random.uniform(keras.ops.shape(inputs), seed=self.seed_generator)


def test_a_model_that_predicts_at_random_is_not_exported(tmp_path):
    inputs = keras.Input(PIXELS.shape, dtype="uint8")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Softmax()(Restless()(x)))
    with pytest.raises(ExportError, match=r"not the trained one.*draws random numbers"):
        export_model(model, tmp_path / "1", card=make_card())
    assert list(tmp_path.iterdir()) == []


def writes_with(write, monkeypatch):
    row = dataclasses.replace(FORMATS["saved_model"], write=write)
    monkeypatch.setitem(FORMATS, "saved_model", row)


@pytest.mark.parametrize("problem", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_export_leaves_nothing(model, tmp_path, monkeypatch, problem):
    def interrupted(source, folder):
        (folder / "saved_model.pb").write_bytes(b"half")
        raise problem

    writes_with(interrupted, monkeypatch)
    with pytest.raises(problem):
        export_model(model, tmp_path / "1", card=make_card())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_storage_error(model, tmp_path, monkeypatch):
    def full(source, folder):
        raise OSError(28, "No space left on device")

    writes_with(full, monkeypatch)
    with pytest.raises(StorageError, match=r"Cannot write .*1: No space left on device"):
        export_model(model, tmp_path / "1", card=make_card())
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_never_overwritten(model, tmp_path):
    (tmp_path / "3").mkdir()
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"mine")
    with pytest.raises(StorageError, match=rf"1 is there already\. Export to {tmp_path}/4"):
        export_model(model, tmp_path / "1", card=make_card())
    assert (tmp_path / "1" / "saved_model.pb").read_bytes() == b"mine"


def test_a_file_is_never_overwritten(model, tmp_path):
    (tmp_path / "best").write_text("mine")
    with pytest.raises(StorageError, match=rf"Export to {tmp_path}/best-2"):
        export_model(model, tmp_path / "best", card=make_card())


def test_a_folder_below_a_file_cannot_be_written(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"Cannot write .*file/1: File exists"):
        export_model(model, tmp_path / "file" / "1", card=make_card())


def test_another_backend_does_not_export(model, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ExportError, match=r"Received: 'jax'\. .*KERAS_BACKEND=tensorflow"):
        export_model(model, tmp_path / "1", card=make_card())


@pytest.mark.parametrize(
    ("options", "card", "message"),
    [
        ({"classes": 4}, make_card(), r"shape \(16, 4\) for 16 images.*the data's 3"),
        ({"pixels": PixelFormat(9, 9, 3)}, make_card(), r"takes images of \(9, 9, 3\)"),
        ({"last": "linear"}, make_card(), "End the model with a softmax"),
        ({}, make_card(class_names=("a", "b\nc", "d")), "one line"),
    ],
    ids=["classes", "pixels", "logits", "names"],
)
def test_a_model_that_does_not_fit_is_refused(tmp_path, options, card, message):
    with pytest.raises(ExportError, match=message):
        export_model(make_model(**options), tmp_path / "1", card=card)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_several_outputs_is_refused(model, tmp_path):
    twice = keras.Model(model.inputs[0], [model.outputs[0], model.outputs[0]])
    with pytest.raises(ExportError, match=r"shape \[\(16, 3\), \(16, 3\)\]"):
        export_model(twice, tmp_path / "1", card=make_card())


@pytest.mark.parametrize(
    "images",
    [random_images(2)[:0], random_images(2) / 255, random_images(2, PixelFormat(8, 8, 3))],
    ids=["none", "floats", "shape"],
)
def test_check_images_that_do_not_fit_are_refused(model, tmp_path, images):
    with pytest.raises(DataError, match=r"check_images should be uint8 of shape \(N, 8, 12, 3\)"):
        export_model(model, tmp_path / "1", card=make_card(), check_images=images)
