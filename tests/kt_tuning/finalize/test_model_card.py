"""The model card: what is read for it, what it says, and how it is escaped."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
from markupsafe import Markup
from shipped_run import write_search, write_winner

from kt_tuning.core.errors import StorageError
from kt_tuning.data import ImageData
from kt_tuning.ensembling.run_files import RunRecords
from kt_tuning.evaluation import Scores
from kt_tuning.evaluation.test_uses import HeldOutUse, add_uses
from kt_tuning.export import Measurement
from kt_tuning.finalize import write_model_card
from kt_tuning.finalize.model_card import code, escape_markdown

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


pytestmark = pytest.mark.usefixtures("unused_test_split")


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
        "On 12 test images that were used neither in training nor in the search.",
        "| accuracy | 0.7500 | 0.6000 to 0.9000 |",
        "- Best validation score: not corrected for selection, as the run does not have the "
        "predictions for that.",
        "- Expected calibration error 0.2000, cross-fitted on validation images. The epoch of "
        "each member was chosen on the same images, which is not corrected.",
        "| export/onnx/1 (onnx) | 1.23 | 1.00 | 0.50 | 0.8750 | 100.00% | 2.0e-08 |",
        "- Classes with fewer than 100 training images: lying, standing.",
        "- Classes with the lowest recall: standing (50%).",
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
    assert "The run does not record which trials were combined." in text
    assert "has not been evaluated on test images" in text
    assert "Its accuracy on new images is not known." in text
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
    names = ("<script>alert(1)</script>", "a|b")
    data = ImageData.from_arrays(
        stripes.train.images, stripes.train.labels, class_names=names, seed=1
    )
    write_search(tmp_path / "<b>run", data)
    text = card(tmp_path / "<b>run", folder)
    assert "<script>" not in text
    assert text.startswith("# &lt;b&gt;run")
    assert "a\\|b" in text


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


def test_everything_is_read(run_directory):
    records = RunRecords.load(run_directory)
    assert records.name == "photos"
    assert [trial.trial_id for trial in records.trials] == ["00", "01", "02"]
    assert [(t.trial_id, weight, heat) for t, weight, heat in records.members] == [
        ("00", 0.25, 1.5),
        ("01", 0.75, 0.8),
    ]
    assert records.scores["accuracy"] == 0.75
    provenance = records.provenance()
    assert provenance["trials"]["01"]["values"] == {"filters": 32, "activation": "relu"}
    assert provenance["search"]["seed"] == 7
    assert provenance["ensemble"]["solver"] == "convex"
    assert provenance["scores"]["images"] == 12


def test_stages_that_have_not_run_are_missing(tmp_path, stripes):
    write_search(tmp_path / "run", stripes)
    records = RunRecords.load(tmp_path / "run")
    assert (records.ensemble, records.scores, records.correction) == (None, None, None)
    assert records.members == []
    assert records.provenance()["scores"] is None


def test_scores_of_an_earlier_winner_are_left_out(run_directory):
    path = run_directory / "ensemble.json"
    path.write_text(path.read_text().replace("convex", "greedy"))
    assert RunRecords.load(run_directory).scores is None
    assert Scores.load(run_directory / "scores.json").images == 12


def test_members_from_elsewhere_have_no_record_here(run_directory, tmp_path, stripes):
    path = run_directory / "ensemble.json"
    path.write_text(path.read_text().replace('"00"', '"last_week/00"'))
    assert [trial.trial_id for trial, _, _ in RunRecords.load(run_directory).members] == ["01"]


def test_a_folder_without_a_search_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"search\.json"):
        RunRecords.load(tmp_path)
    write_winner(tmp_path)
    with pytest.raises(StorageError, match=r"search\.json"):
        RunRecords.load(tmp_path)


def test_markup_of_users_is_shown_as_it_is():
    assert escape_markdown("<script>alert(1)</script>") == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert escape_markdown("a|b *c* _d_ [e](f) `g` #h") == (r"a\|b \*c\* \_d\_ \[e\](f) \`g\` \#h")
    assert escape_markdown("two\nlines") == "two lines"


def test_markup_is_not_escaped_twice():
    assert escape_markdown(Markup("a\\|b")) == "a\\|b"


def test_code_has_a_fence_longer_than_any_inside():
    assert code("val_accuracy") == "`val_accuracy`"
    assert code("a``b") == "``` a``b ```"
