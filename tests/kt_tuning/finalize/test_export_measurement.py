from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import pytest

from kt_tuning.export import Exported, Measurement, NumericalCheck, accuracy_note, measurements
from kt_tuning.finalize import format_table, measure_export


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
        (False, 0.9, "Accuracy is of up to 10 validation images, and so optimistic."),
        (True, 0.9, "Accuracy is out of fold"),
        (True, None, "accuracy is known of none"),
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
