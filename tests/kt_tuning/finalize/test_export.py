"""Exports of a run: checked, measured, described, and pruned before."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import threading
import zlib

import keras
import numpy as np
import pytest
from shipped_run import small_model

from kt_tuning.core.errors import MissingExtraError, OptionError, StorageError
from kt_tuning.export import (
    FORMATS,
    Exported,
    Measurement,
    NumericalCheck,
    accuracy_note,
    measurements,
)
from kt_tuning.finalize.export import Pruning, export_run, fine_tuning, format_table, measure_export
from kt_tuning.run import run_lock


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
    assert "so no accuracy is given" in card
    assert "were then trained again on training and validation images" in card


def test_the_same_model_is_exported_once(run_directory, stripes):
    model = small_model()
    (first,) = export_run(run_directory, model, stripes, ("keras",), images=10)
    (again,) = export_run(run_directory, model, stripes, ("keras",), images=10)
    assert again == first
    assert [path.name for path in (run_directory / "export/keras").iterdir()] == ["1"]
    model.set_weights([weights + 1 for weights in model.get_weights()])
    (other,) = export_run(run_directory, model, stripes, ("keras",), images=10)
    assert other.folder == "export/keras/2"


def test_an_export_that_is_stopped_before_its_card_is_absent(run_directory, stripes, monkeypatch):
    def stopped(*arguments):
        raise KeyboardInterrupt

    abandoned = run_directory / "export/keras" / f".1.{'0' * 32}.tmp"
    abandoned.mkdir(parents=True)
    os.utime(abandoned, (0, 0))
    monkeypatch.setattr("kt_tuning.finalize.export.write_model_card", stopped)
    with pytest.raises(KeyboardInterrupt):
        export_run(run_directory, small_model(), stripes, ("keras",), images=10)
    assert not list((run_directory / "export/keras").iterdir())


def test_an_export_waits_for_no_other_writer_of_the_run(run_directory, stripes):
    refused = []

    def elsewhere():
        try:
            export_run(run_directory, small_model(), stripes, ("keras",), images=10)
        except StorageError as error:
            refused.append(str(error))

    with run_lock(run_directory):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert "is in use by process" in refused[0]
    assert not (run_directory / "export").exists()


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
        shutil.rmtree(run_directory / "export")
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


@pytest.fixture
def exported(tmp_path):
    """An export to which every image shows class 1."""
    folder = tmp_path / "run" / "export" / "keras" / "2"
    folder.mkdir(parents=True)
    (folder / "model.keras").write_bytes(bytes(5000))
    for name in ("labels.txt", "provenance.json", "MODEL_CARD.md"):
        (folder / name).write_bytes(bytes(100))
    answers = np.tile(np.float32([0.2, 0.8]), (4, 1))
    return Exported(
        folder,
        "keras",
        NumericalCheck(4, 1e-7, 0.75),
        lambda images: answers[: len(images)],
        answers,
    )


def test_size_is_that_of_the_model_and_accuracy_that_of_the_reader(exported, tmp_path):
    images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.array([1, 1, 1, 0])
    found = measure_export(exported, images, labels, folder="export/keras/2", sparsity=0.5)
    assert found.size == 5000
    assert found.zipped == len(zlib.compress(bytes(5000)))
    assert found.accuracy == 0.75
    assert (found.images, found.agreement, found.difference) == (4, 0.75, 1e-7)
    assert 0 < found.latency_ms["p50"] <= found.latency_ms["p99"]
    assert measurements(tmp_path / "run") == [found]


@pytest.mark.parametrize(
    ("agreement", "sparsity", "accuracy"), [(1.0, None, 0.7), (0.75, None, None), (1.0, 0.5, None)]
)
def test_images_that_the_model_was_trained_on_tell_no_accuracy(
    exported, agreement, sparsity, accuracy
):
    # Out of fold is known of the Keras model: of an export that labels alike, and is not pruned.
    alike = dataclasses.replace(exported, check=NumericalCheck(4, 1e-7, agreement))
    images = np.zeros((4, 8, 8, 1), np.uint8)
    found = measure_export(alike, images, None, folder="f", sparsity=sparsity, out_of_fold=0.7)
    assert (found.accuracy, found.seen) == (accuracy, True)


@pytest.mark.parametrize(
    ("seen", "accuracy", "note"),
    [
        (False, 0.9, "Accuracy was measured on up to 10 validation images, so it is optimistic."),
        (True, 0.9, "Accuracy is out of fold"),
        (True, None, "so no accuracy is given"),
    ],
)
def test_the_table_says_what_accuracies_are_of(seen, accuracy, note):
    row = Measurement(
        "onnx", "export/onnx/1", 1, 1, {"p50": 1.5}, accuracy, 10, 1.0, 0.0, seen=seen
    )
    assert note in accuracy_note([row])
    cell = format_table([row]).splitlines()[1].split()[5]
    assert cell == ("–" if accuracy is None else "0.9000")


def test_a_run_without_exports_has_no_measurements(tmp_path):
    assert measurements(tmp_path) == []


def test_the_table_has_a_line_an_export():
    row = Measurement("onnx", "export/onnx/1", 2_000_000, 1, {"p50": 1.5}, 0.5, 10, 0.99, 0.01)
    lines = format_table([row]).splitlines()
    assert lines[0].split("  ")[0] == "export"
    assert lines[1].split() == [
        "export/onnx/1",
        "(onnx)",
        "2.00",
        "0.00",
        "1.50",
        "0.5000",
        "99.00%",
        "1.0e-02",
    ]
    assert len({len(line) for line in lines}) == 1


def test_a_round_trains_on_the_training_images(stripes):
    model = small_model()

    def loss():
        probabilities = model.predict(stripes.train.images, verbose=0)
        return -np.log(probabilities[np.arange(len(stripes.train)), stripes.train.labels]).mean()

    fit = fine_tuning(model, stripes, epochs=5, learning_rate=0.02)
    before = loss()
    fit(model, 0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)
    fit(model, 1)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
    assert loss() < 0.9 * before


def test_the_same_seed_trains_the_same(stripes):
    weights = []
    for _ in range(2):
        model = small_model()
        fine_tuning(model, stripes, seed=5)(model, 0)
        weights.append(model.get_weights()[0])
    np.testing.assert_array_equal(*weights)


def test_a_round_without_epochs_is_refused(stripes):
    with pytest.raises(OptionError, match="at least 1 epoch"):
        fine_tuning(small_model(), stripes, epochs=0)
