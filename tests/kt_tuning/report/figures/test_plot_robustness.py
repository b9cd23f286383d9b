from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from kt_tuning.core.errors import SearchError
from kt_tuning.evaluation import Robustness
from kt_tuning.report import Plots
from kt_tuning.report.figures.evaluation import by_kind
from kt_tuning.report.run_summary import load_run

TABLE = Robustness(
    metric="accuracy",
    images=50,
    clean=0.75,
    severities=(1, 5),
    corrupted={
        "gaussian_noise": (0.5, 0.25),
        "shot_noise": (0.75, 0.5),
        "fog": (0.5, 0.125),
        "of_another_version": (0.5, 0.5),
    },
    adversarial={"fgsm": {8.0: 0.25, 1.0: 0.5}},
)


def test_corruptions_of_a_kind_are_averaged() -> None:
    assert by_kind(TABLE) == {
        "noise": (0.625, 0.375),
        "weather": (0.5, 0.125),
        "other": (0.5, 0.5),
    }


def test_lines_begin_at_the_clean_score_and_words_say_where_they_end(
    shared_run: Path,
) -> None:
    run = load_run(shared_run)
    assert run.scores is not None
    scores = dataclasses.replace(run.scores, robustness=TABLE)
    plots = Plots(dataclasses.replace(run, scores=scores))
    assert plots.corruptions().description == (
        "Accuracy on 50 images by severity of corruption: 0.7500 clean; at severity 5 noise "
        "0.3750, weather 0.1250, other 0.5000."
    )
    assert plots.attacks().description == (
        "Accuracy under attack on 50 images: 0.7500 clean; FGSM 0.2500 at 8 of 255."
    )
    corruptions, attacks = plots.corruptions().axes[0], plots.attacks().axes[0]
    noise = corruptions.lines[0]
    assert list(noise.get_xdata()) == [0, 1, 5]
    assert list(noise.get_ydata()) == [0.75, 0.625, 0.375]
    assert list(attacks.lines[0].get_xdata()) == [0, 1, 8]
    assert list(attacks.lines[0].get_ydata()) == [0.75, 0.5, 0.25]


def test_what_was_not_measured_is_not_drawn(shared_run: Path, make_summary) -> None:
    run = load_run(shared_run)
    assert run.scores is not None
    table = dataclasses.replace(TABLE, corrupted={}, severities=())
    plots = Plots(
        dataclasses.replace(run, scores=dataclasses.replace(run.scores, robustness=table))
    )
    assert plots.attacks().axes
    for draw in (plots.corruptions, Plots(make_summary([0.5])).attacks):
        with pytest.raises(SearchError, match="kt-tuning evaluate"):
            draw()
