from __future__ import annotations

import dataclasses
import json
import time

import pytest
from shipped_run import write_search

from kt_tuning.core.errors import StorageError
from kt_tuning.data import ImageData
from kt_tuning.evaluation.test_uses import HeldOutUse, add_uses
from kt_tuning.export import Measurement
from kt_tuning.finalize import RunRecords, write_model_card

MEASUREMENT = Measurement(
    format="onnx",
    folder="export/onnx/1",
    size=1_234_567,
    zipped=1_000_000,
    latency_ms={"p50": 0.5, "p95": 1.0, "p99": 2.0},
    accuracy=0.875,
    images=12,
    agreement=1.0,
    difference=2e-8,
)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "1"
    path.mkdir()
    content = {"created": "2026-11-22T10:00:00+00:00", "versions": {"keras": "3.15.1"}}
    (path / "provenance.json").write_text(json.dumps(content))
    return path


def card(records, folder, measurement=None):
    path = write_model_card(records, folder, measurement)
    assert path == folder / "MODEL_CARD.md"
    return path.read_text(encoding="utf-8")


def test_every_section_tells_what_the_records_say(run_directory, folder):
    text = card(run_directory, folder, MEASUREMENT)
    assert text.startswith("# photos: an image classifier\n")
    sections = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert sections == [
        "Data",
        "Search",
        "Model",
        "Scores",
        "Corrections",
        "This export",
        "Limits",
        "Versions",
    ]
    for line in (
        "(n, 8, 8, 1), and returns calibrated probabilities, (n, 2)",
        "| images | train | validation | test |",
        "| standing | 18 | 6 | 6 |",
        "| all | 36 | 12 | 12 |",
        "- trials: 2 completed, 1 failed; at most 15 epochs",
        "| 00 | 0.250 | 1.500 | 1,234 | 5 |",
        "| filters | 16 | 32 |",
        "On 12 test images that neither training nor search has seen.",
        "| accuracy | 0.7500 | 0.6000 to 0.9000 |",
        "- Best validation score: the run kept nothing to correct it by.",
        "- Expected calibration error 0.2000, cross-fitted on validation images; each member's "
        "epoch was chosen on these images, too, which is not corrected.",
        "| export/onnx/1 (onnx) | 1.23 | 1.00 | 0.50 | 0.8750 | 100.00% | 2.0e-08 |",
        "- Fewer than 100 training images: lying, standing.",
        "- Classes recognised least often, and how often: standing (50%).",
        "Exported 2026-11-22T10:00:00+00:00 with",
        "- keras 3.15.1",
    ):
        assert line in text


def test_pretrained_networks_inside_are_named_once_with_licence_data_and_digest(
    run_directory, folder
):
    records = RunRecords.load(run_directory)
    origin = {"name": "Lite0", "licence": "MIT", "data": "photos", "source": "a|b", "digest": None}
    trials = tuple(dataclasses.replace(trial, backbone=origin) for trial in records.trials)
    shipped = dataclasses.replace(records, trials=trials)
    text = card(shipped, folder)
    told = r"licence: MIT; data: photos; source: a\|b; digest: not known"
    assert text.count(f"- Lite0 (trial 00, 01): {told}\n") == 1
    assert shipped.provenance()["trials"]["01"]["backbone"] == origin
    assert "Pre-trained networks" not in card(records, folder)


def test_what_is_missing_is_said(tmp_path, stripes, folder):
    write_search(tmp_path / "run", stripes)
    text = card(tmp_path / "run", folder)
    assert "The run has no record of which trials were combined." in text
    assert "has not been evaluated on test images" in text
    assert "How good it is on new images is not known." in text
    assert "This export" not in text
    assert "temperature" not in text


def test_the_caveat_of_the_test_split_is_told(run_directory, folder, stripes):
    for judged in ("one", "other"):
        add_uses(
            run_directory, [HeldOutUse(time.time(), "evaluate", stripes.fingerprint, 12, judged)]
        )
    assert "no longer unseen: it has been opened 2 times" in card(run_directory, folder)


def test_pruning_is_a_limit(run_directory, folder):
    pruned = dataclasses.replace(MEASUREMENT, sparsity=0.8)
    text = card(RunRecords.load(run_directory), folder, pruned)
    assert "80% of the weights were pruned after the test scores were measured" in text
    assert "(onnx, 80% zeros)" in text


def test_what_users_named_is_escaped(tmp_path, folder, stripes):
    names = ("<script>alert(1)</script>", "a|b\udcff")
    data = ImageData.from_arrays(
        stripes.train.images, stripes.train.labels, class_names=names, seed=1
    )
    write_search(tmp_path / "<b>run", data)
    text = card(tmp_path / "<b>run", folder)
    assert "<script>" not in text
    assert text.startswith("# &lt;b&gt;run")
    assert "a\\|b?" in text


def test_uneven_classes_are_a_limit(run_directory, folder):
    records = RunRecords.load(run_directory)
    counts = {**records.data.counts, "train": [900, 300]}
    uneven = dataclasses.replace(records.data, counts=counts)
    text = card(dataclasses.replace(records, data=uneven), folder)
    assert "900 training images of lying, 300 of standing." in text
    assert "Fewer than" not in text


def test_a_folder_that_is_no_export_is_refused(run_directory, tmp_path):
    with pytest.raises(StorageError, match=r"provenance\.json"):
        write_model_card(run_directory, tmp_path / "nowhere")
