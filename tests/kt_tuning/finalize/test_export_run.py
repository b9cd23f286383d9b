from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np
import pytest
from shipped_run import small_model

from kt_tuning.core.errors import MissingExtraError, OptionError
from kt_tuning.export import FORMATS
from kt_tuning.export.measurement import measurements
from kt_tuning.finalize.export import Pruning, export_run


def test_formats_lie_where_tensorflow_serving_does_not_look(run_directory, stripes, monkeypatch):
    # What is in the folders does not count here, and a Keras file is written in no time.
    quick = dataclasses.replace(FORMATS["keras"], name="saved_model")
    monkeypatch.setitem(FORMATS, "saved_model", quick)
    found = export_run(
        run_directory, small_model(), stripes, ("saved_model", "keras", "keras"), images=10
    )
    assert [row.folder for row in found] == ["export/1", "export/keras/1"]
    assert [row.images for row in found] == [10, 10]
    assert sorted(measurements(run_directory), key=lambda row: row.folder) == found
    for row in found:
        folder = run_directory / row.folder
        assert "# photos: an image classifier" in (folder / "MODEL_CARD.md").read_text()
        provenance = json.loads((folder / "provenance.json").read_text())
        assert provenance["model"]["search"]["hypermodel"] == "ConvNet"
        assert provenance["numerical_check"]["images"] == 10
    # Serving takes names that are numbers for versions.
    numbers = [path for path in (run_directory / "export").iterdir() if path.name.isdecimal()]
    assert [path.name for path in numbers] == ["1"]


def test_models_that_were_trained_again_have_no_validation_accuracy(run_directory, stripes):
    (run_directory / "refit.json").write_text("{}")
    (found,) = export_run(run_directory, small_model(), stripes, ("keras",), images=10)
    assert (found.accuracy, found.seen) == (None, True)
    card = (run_directory / found.folder / "MODEL_CARD.md").read_text()
    assert "accuracy is known of none" in card
    assert "were then trained again on training and validation images" in card


def test_a_pruned_model_is_exported_as_the_next_version(run_directory, stripes):
    model = small_model()
    for version, pruning in ((1, None), (2, Pruning(0.5, rounds=2))):
        (found,) = export_run(run_directory, model, stripes, ("keras",), pruning=pruning)
        assert found.folder == f"export/keras/{version}"
    assert found.sparsity == pytest.approx(0.5, abs=0.01)
    folder = run_directory / "export/keras/2"
    loaded = keras.models.load_model(folder / "model.keras")
    kernels = [w.numpy() for w in loaded.trainable_weights if w.name == "kernel"]
    zeros = sum(int((kernel == 0).sum()) for kernel in kernels)
    assert zeros / sum(kernel.size for kernel in kernels) == pytest.approx(found.sparsity)
    assert not loaded.compiled
    first = run_directory / "export/keras/1"
    sizes = [(path / "model.keras").stat().st_size for path in (first, folder)]
    assert sizes[1] < 1.1 * sizes[0]
    pruning = json.loads((folder / "provenance.json").read_text())["model"]["pruning"]
    assert (pruning["rounds"], pruning["epochs"]) == (2, 1)
    assert pruning["sparsity"] == pytest.approx(found.sparsity)


def test_the_test_split_is_left_alone(run_directory, stripes, monkeypatch):
    taken = []
    split = type(stripes.test)
    take = split.take

    def watched(self, indices):
        taken.append(self)
        return take(self, indices)

    monkeypatch.setattr(split, "take", watched)
    export_run(run_directory, small_model(), stripes, ("keras",))
    assert taken
    assert not any(part is stripes.test for part in taken)


def test_images_are_chosen_by_the_seed(run_directory, stripes, monkeypatch):
    seen = []
    row = FORMATS["keras"]

    def read(folder):
        predict = row.read(folder)

        def watched(images):
            seen.append(images)
            return predict(images)

        return watched

    monkeypatch.setitem(FORMATS, "keras", dataclasses.replace(row, read=read))
    for seed in (0, 0, 1):
        export_run(run_directory, small_model(), stripes, ("keras",), images=6, seed=seed)
    compared = [images for images in seen if len(images) == 6]
    np.testing.assert_array_equal(compared[0], compared[1])
    assert not np.array_equal(compared[0], compared[2])


@pytest.mark.parametrize(
    ("formats", "images", "message"),
    [((), 10, "at least 1 format"), (("keras",), 0, "images=0"), (("tflow",), 9, "'tflow'")],
)
def test_options_that_cannot_be_are_refused(run_directory, stripes, formats, images, message):
    with pytest.raises(OptionError, match=message):
        export_run(run_directory, small_model(), stripes, formats, images=images)
    assert not (run_directory / "export").exists()


def test_a_missing_package_stops_before_the_first_format(run_directory, stripes, monkeypatch):
    row = dataclasses.replace(FORMATS["onnx"], packages=("no_such_package",))
    monkeypatch.setitem(FORMATS, "onnx", row)
    with pytest.raises(MissingExtraError, match="no_such_package"):
        export_run(run_directory, small_model(), stripes, ("keras", "onnx"))
    assert not (run_directory / "export").exists()
