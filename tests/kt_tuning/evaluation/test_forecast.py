"""The forecast of the best score of a longer search."""

import dataclasses

import numpy as np
import pytest

from kt_tuning.core.records import SearchRecord, TrialRecord
from kt_tuning.evaluation import forecast_best, forecast_of_run
from kt_tuning.evaluation.forecast import Forecast

TIMES = np.geomspace(1.0, 64.0, 400)
SEARCH = SearchRecord(
    objective="val_accuracy",
    direction="max",
    strategy="random",
    seed=0,
    epochs=8,
    max_trials=None,
    time_limit=60.0,
    hypermodel="ConvNet",
    versions={},
)


def test_a_power_law_is_continued():
    # 0.1 + 0.4 / sqrt(128) is 0.1354 of error.
    found = forecast_best(TIMES, 0.9 - 0.4 * TIMES**-0.5, "val_accuracy")
    assert found.seconds == 64.0
    assert found.best == pytest.approx(0.85)
    assert found.expected == pytest.approx(0.8646, abs=5e-4)
    assert found.expected <= found.limit < 0.867


def test_a_loss_falls_to_its_floor():
    # 0.5 + 2 / 128.
    found = forecast_best(TIMES, 0.5 + 2.0 / TIMES, "val_loss", "min")
    assert found.best == pytest.approx(0.53125)
    assert found.expected == pytest.approx(0.5156, abs=1e-3)
    assert 0.5 < found.limit <= found.expected


def test_worse_scores_order_and_missing_scores_change_nothing():
    scores = 0.9 - 0.4 * TIMES**-0.5
    worse, gone = np.full(50, 0.3), np.full(50, np.nan)
    times = np.concatenate([TIMES, np.linspace(2, 60, 50), np.linspace(2, 60, 50)])
    order = np.random.default_rng(0).permutation(len(times))
    mixed = forecast_best(times[order], np.concatenate([scores, worse, gone])[order], "val_f1")
    assert mixed == forecast_best(TIMES, scores, "val_f1")


@pytest.mark.parametrize(
    ("seconds", "scores", "objective"),
    [
        ([1, 2, 4, 8, 16], [0.5, 0.6, 0.7, 0.7, 0.8], "val_accuracy"),  # 4 improvements
        ([10, 11, 12, 13, 39], [0.5, 0.6, 0.7, 0.8, 0.9], "val_accuracy"),  # less than 4 times 10
        ([1, 2, 4, 8, 16], [0.5, 0.6, 0.7, 0.8, 1.0], "val_accuracy"),  # nothing is left to gain
        ([1, 2, 4, 8, 16], [5.0, 6.0, 7.0, 8.0, 9.0], "val_profit"),  # of unknown best value
        ([], [], "val_accuracy"),
    ],
)
def test_nothing_is_said_without_ground(seconds, scores, objective):
    assert forecast_best(np.array(seconds, float), np.array(scores), objective) is None


def random_search(rng, horizon=2.0):
    """Times and scores of trials of random ability, 5 to 40 of them until time 1."""
    speed, top, spread = rng.uniform(5, 40), rng.uniform(0.7, 0.99), rng.uniform(0.05, 0.3)
    times, scores = [0.0], []
    while times[-1] < horizon:
        ability, rate = top - spread * rng.beta(2, 3), rng.uniform(0.2, 0.8)
        for epoch in range(10):
            times.append(times[-1] + rng.lognormal(0, 0.5) / speed / 10)
            noise = rng.normal(0, 0.005)
            scores.append(min(1.0, ability * (1 - 0.7 * np.exp(-rate * (epoch + 1))) + noise))
    return np.array(times[1:]), np.array(scores)


def test_random_searches_stay_within_the_limit():
    # 90% are meant to; fewer than 47 of 60 then have a probability below 1%.
    held, rng = 0, np.random.default_rng(0)
    for _ in range(60):
        times, scores = random_search(rng)
        now = times <= 1.0
        found = forecast_best(times[now], scores[now], "val_accuracy")
        assert found.best <= found.expected <= found.limit <= 1.0
        held += scores[times <= 2.0].max() <= found.limit
    assert held >= 47


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (0.874, "would probably bring val_accuracy from 0.8680 to 0.8740"),
        (0.86801, "would probably leave val_accuracy at 0.8680"),
    ],
)
def test_it_is_said_in_a_sentence(expected, said):
    text = str(Forecast("val_accuracy", 200.0, 0.868, expected, 0.886))
    assert text == f"Twice the search time of 3:20 {said} (with 90% probability not beyond 0.8860)."


def write_trial(folder, number, began, seconds, scores, final=None):
    """A trial of epochs of one second each, after `seconds - len(scores)` of building."""
    path = folder / f"trial_{number}"
    path.mkdir()
    best = final or max(scores)
    TrialRecord(
        *(str(number), number, "COMPLETED", {}, {"val_accuracy": best}, 0, len(scores), seconds, 1),
        began=began,
    ).save(path / "result.json")
    rows = [f"{epoch},1.0,{score}" for epoch, score in enumerate(scores)]
    (path / "history.csv").write_text("\n".join(["epoch,seconds,val_accuracy", *rows, ""]))


def test_of_a_run_only_the_time_of_trials_counts(tmp_path):
    SEARCH.save(tmp_path / "search.json")
    write_trial(tmp_path, 0, 1000.0, 4.0, [0.3, 0.5])
    # Overlaps by two seconds; then the search rested until 9000.
    write_trial(tmp_path, 1, 1002.0, 6.0, [0.4, 0.55, 0.6])
    write_trial(tmp_path, 2, 9000.0, 8.0, [0.7, 0.72, 0.9], final=0.71)
    found = forecast_of_run(tmp_path)
    seconds = np.array([3, 4, 6, 7, 8, 14, 15, 16])
    # No epoch counts for more than the model that the trial returned.
    scores = np.array([0.3, 0.5, 0.4, 0.55, 0.6, 0.7, 0.71, 0.71])
    assert found == forecast_best(seconds.astype(float), scores, "val_accuracy")
    assert (found.seconds, found.best) == (16.0, pytest.approx(0.71))


def test_of_a_run_with_folds_the_mean_scores_count(tmp_path):
    dataclasses.replace(SEARCH, folds=2).save(tmp_path / "search.json")
    for number in range(6):
        write_trial(tmp_path, number, 100.0 + 3 * number, 3.0, [0.95], final=0.5 + number / 20)
    found = forecast_of_run(tmp_path)
    assert (found.seconds, found.best) == (18.0, pytest.approx(0.75))


def test_of_a_run_without_trials_there_is_none(tmp_path):
    SEARCH.save(tmp_path / "search.json")
    assert forecast_of_run(tmp_path) is None
