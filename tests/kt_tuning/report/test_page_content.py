from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np

from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.evaluation import Interval, Scores
from kt_tuning.evaluation.selection_bias import EPOCH_CAVEAT, CorrectedBest
from kt_tuning.evaluation.test_uses import HeldOutUse, HeldOutUses
from kt_tuning.report.page_content import (
    metric_columns,
    model_line,
    notes,
    score_line,
    selection_line,
    summary_lines,
)
from kt_tuning.report.run_summary import load_run

SCORES = Scores(
    metrics={"accuracy": Interval(0.7128, 0.684, 0.741)},
    confusion=[[400, 100], [187, 313]],
    class_names=("cat", "dog"),
    images=1000,
    parameters=2000,
    latency_ms={"p50": 4.2171},
)


def _text(run) -> str:
    return "".join(f"{line.label}{line.value} {line.detail}\n" for line in summary_lines(run))


def test_there_are_five_lines(make_summary) -> None:
    labels = [line.label for line in summary_lines(make_summary([0.9], scores=SCORES))]
    assert labels == ["Test accuracy", "Best validation score", "Final model", "Search", "Data"]


def test_test_accuracy_goes_first(make_summary) -> None:
    line = score_line(make_summary([0.9], scores=SCORES))
    assert (line.label, line.value) == ("Test accuracy", "71.3%")
    detail = line.detail.replace("\u00a0", " ")
    assert detail == "of 1,000 test images correct; 95% interval 68.4% to 74.1%"


def test_validation_accuracy_is_marked_as_such(make_summary) -> None:
    confusion = np.array([[3, 1], [0, 4]])
    line = score_line(make_summary([0.9], validation_confusion=confusion))
    assert (line.label, line.value) == ("Validation accuracy", "87.5%")
    assert "optimistic, as the model was chosen by them" in line.detail


def test_the_objective_stands_in_without_predictions(make_summary) -> None:
    line = score_line(make_summary([0.5, 0.9]))
    assert (line.label, line.value) == ("Validation accuracy", "0.9000")
    assert "optimistic" in line.detail


def test_an_accuracy_without_interval_tells_the_images(make_summary) -> None:
    metrics = {"accuracy": Interval(0.5, math.nan, math.nan)}
    scores = Scores(metrics, [[4, 0], [4, 0]], ("cat", "dog"), 8, None, {})
    assert score_line(make_summary([0.9], scores=scores)).detail == "of 8 test images correct"


def test_the_best_validation_score_is_corrected(make_summary) -> None:
    found = CorrectedBest("accuracy", 0.91, Interval(0.88, 0.85, 0.9), 1, candidates=3, rows=100)
    line = selection_line(make_summary([0.9, 0.91, 0.7], correction=found))
    assert line.value == "0.9100"
    assert "the best of 3 trials; 0.8800 after correction for this selection" in line.detail
    assert "0.8500 to 0.9000" in line.detail
    assert "epoch" not in line.detail
    chosen = dataclasses.replace(found, best_epochs=True)
    line = selection_line(make_summary([0.9, 0.91, 0.7], correction=chosen))
    assert line.detail.endswith(f"0.9000; {EPOCH_CAVEAT}")


def test_a_best_score_that_cannot_be_corrected_is_said_to_be_optimistic(make_summary) -> None:
    line = selection_line(make_summary([0.1, 0.2, 0.3]))
    assert line.value == "0.3000"
    assert "best of 3 trials; optimistic" in line.detail


def test_the_final_model_is_named(make_summary) -> None:
    line = model_line(make_summary([0.1, 0.9]))
    assert (line.label, line.value, line.detail) == ("Final model", "Trial 1", "1,000 parameters")
    ensemble = EnsembleRecord(("0000", "0001"), (0.5, 0.5), "mean", {}, (0.1, 0.9))
    run = make_summary([0.1, 0.9], ensemble=ensemble, scores=SCORES, refitted=True)
    line = model_line(dataclasses.replace(run, export="2", export_bytes=2_500_000))
    assert (line.label, line.value) == ("Exported model", "Ensemble of 2")
    assert line.detail == (
        "2,000 parameters, 4.22 ms per image, trained again on training and validation images, "
        "in export/2, 2.5 MB"
    )


def test_figures_that_are_not_to_be_quoted(make_summary) -> None:
    (note,) = notes(make_summary([0.1]))
    assert "Do not quote scores from this page" in note
    assert notes(make_summary([0.1], scores=SCORES)) == []


def test_a_test_split_that_was_looked_at_is_told(make_summary) -> None:
    uses = HeldOutUses(
        tuple(HeldOutUse(0.0, "evaluate", "00", 4, judged=name) for name in ("one", "other"))
    )
    (note,) = notes(make_summary([0.1], scores=SCORES, uses=uses))
    assert note.startswith("The test split is no longer unseen: it has been opened 2 times")


def test_trials_time_and_data_are_counted(run_directory: Path) -> None:
    text = _text(load_run(run_directory))
    assert "12 trials of ConvNet by random: 10 completed, 1 pruned, 1 failed" in text
    assert "7 classes" in text
    assert "168 train, 56 validation, 56 test images; 32×32×3 pixels" in text


def test_unfinished_trials_are_counted(make_summary) -> None:
    assert "1 completed, 1 failed, 2 unfinished" in _text(make_summary([0.1, None], unfinished=2))


def test_columns_say_what_was_measured_in_training(make_summary) -> None:
    run = make_summary([0.9])
    metrics = {"auc": 0.9, "val_auc": 0.8, "loss": 0.1, "val_loss": 0.2}
    trial = dataclasses.replace(run.trials[0], metrics=metrics)
    columns = dict(metric_columns(dataclasses.replace(run, trials=(trial,))))
    assert (columns["auc"], columns["val_auc"]) == ("Training AUC", "AUC")
    assert (columns["loss"], columns["val_loss"]) == ("Training loss", "Loss")
