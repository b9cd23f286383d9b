from __future__ import annotations

from pathlib import Path

import numpy as np

from kt_tuning.ensembling import CombinationRecord
from kt_tuning.report.load import load_run
from kt_tuning.report.sections.headline import headline, headline_score
from kt_tuning.report.summary import Interval, SplitScores

SCORES = SplitScores(
    split="test",
    images=1000,
    metrics={"accuracy": Interval(0.7128, 0.684, 0.741)},
    confusion=None,
    class_names=("cat", "dog"),
    parameters=2000,
    latency_ms={},
)


def _text(run) -> str:
    return "".join(headline(run).itertext())


def test_test_accuracy_goes_first(make_summary) -> None:
    score = headline_score(make_summary([0.9], scores=SCORES))
    assert (score.label, score.value) == ("Test accuracy", "71.3%")
    assert score.detail.replace("\u00a0", " ") == "95% interval 68.4% to 74.1%"


def test_validation_accuracy_is_marked_as_such(make_summary) -> None:
    confusion = np.array([[3, 1], [0, 4]])
    score = headline_score(make_summary([0.9], validation_confusion=confusion))
    assert (score.label, score.value) == ("Validation accuracy", "87.5%")
    assert "not test" in score.detail
    assert "has not been judged on the test split" in score.sentence


def test_the_objective_stands_in_without_predictions(make_summary) -> None:
    score = headline_score(make_summary([0.5, 0.9]))
    assert (score.label, score.value) == ("Validation accuracy", "0.9000")
    assert "not test" in score.detail


def test_an_accuracy_without_interval_tells_the_images(make_summary) -> None:
    metrics = {"accuracy": Interval(0.5, None, None)}
    scores = SplitScores("test", 8, metrics, None, ("cat", "dog"), None, {})
    assert headline_score(make_summary([0.9], scores=scores)).detail == "on the 8 test images"


def test_the_winner_is_told(make_summary) -> None:
    assert "A single model, the outcome of 2 trials of ConvNet" in _text(make_summary([0.1, 0.9]))
    ensemble = CombinationRecord(("0000", "0001"), (0.5, 0.5), "mean", {}, (0.1, 0.9))
    text = _text(make_summary([0.1, 0.9], ensemble=ensemble))
    assert "An ensemble of 2 models" in text
    assert "2,000 parameters" in text


def test_the_honest_note_names_the_figure_to_quote(make_summary) -> None:
    assert "best of 3 trials are optimistic" in _text(make_summary([0.1, 0.2, 0.3]))
    assert "Quote no figure of this page" in _text(make_summary([0.1]))
    assert "the test score is the figure to quote" in _text(make_summary([0.1], scores=SCORES))


def test_trials_time_and_data_are_counted(run_directory: Path) -> None:
    text = _text(load_run(run_directory))
    assert "11 completed, 1 failed" in text
    assert "7 classes" in text
    assert "168 train, 56 validation, 56 test; 32×32×3 pixels" in text


def test_unfinished_trials_are_counted(make_summary) -> None:
    assert "1 completed, 1 failed, 2 unfinished" in _text(make_summary([0.1, None], unfinished=2))
