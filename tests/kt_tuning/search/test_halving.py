"""Asynchronous successive halving: the rule, and searches that pause."""

import logging

import keras
import keras_tuner
import pytest

from kt_tuning.search import OptunaOracle
from kt_tuning.search.halving import AshaPruner, Halving

RULE = Halving((1, 3), maximise=True)


@pytest.mark.parametrize(
    ("epochs", "rungs"), [(1, ()), (2, (1,)), (3, (1,)), (9, (1, 3)), (12, (1, 4)), (30, (3, 10))]
)
def test_trials_pause_after_a_ninth_and_a_third(epochs, rungs):
    assert Halving.of(epochs, maximise=True).rungs == rungs


def test_the_next_rung_is_the_first_that_is_ahead():
    assert [RULE.next_rung(done) for done in (0, 1, 2, 3)] == [1, 3, 3, None]


def test_a_trial_stands_on_the_last_rung_that_it_has_passed():
    assert [RULE.last_rung(done) for done in (0, 1, 2, 3, 7)] == [0, 1, 1, 3, 3]


def test_the_best_third_goes_on():
    curves = {"a": [0.1], "b": [0.3], "c": [0.2]}
    paused = dict.fromkeys(curves, 1)
    assert RULE.best_paused({"a": [0.1], "b": [0.3]}, paused, closing=False) is None
    assert RULE.best_paused(curves, paused, closing=False) == "b"
    assert Halving((1, 3), maximise=False).best_paused(curves, paused, closing=False) == "a"


def test_a_trial_that_went_on_keeps_its_place_on_the_rung():
    curves = {"a": [0.1], "b": [0.3, 0.4], "c": [0.2]}
    assert RULE.best_paused(curves, {"a": 1, "c": 1}, closing=False) is None


def test_the_highest_rung_comes_first_and_counts_what_was_best_until_then():
    low = {str(n): [n / 10] for n in range(3)}
    high = {"x": [0.9, 0.9, 0.5], "y": [0.1, 0.1, 0.8], "z": [0.1, 0.1, 0.1]}
    paused = {**dict.fromkeys(low, 1), **dict.fromkeys(high, 3)}
    assert RULE.best_paused({**low, **high}, paused, closing=False) == "x"


def test_when_no_more_trials_come_the_best_of_every_rung_goes_on():
    assert RULE.best_paused({"a": [0.1], "b": [0.3]}, {"a": 1, "b": 1}, closing=True) == "b"
    assert RULE.best_paused({"b": [0.3, 0.1, 0.2]}, {"b": 3}, closing=True) == "b"
    assert RULE.best_paused({"a": [0.1], "b": [0.3, 0.4]}, {"a": 1}, closing=True) is None


class Count(keras.callbacks.Callback):
    """Counts the epochs that are trained; it may stop everything after some."""

    trained = 0
    stop_after = None

    def on_epoch_begin(self, epoch, logs=None):
        if Count.trained == Count.stop_after:
            Count.stop_after = None
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        Count.trained += 1


@pytest.fixture
def counted():
    Count.trained, Count.stop_after = 0, None
    return Count()


def search(make_tuner, data, callback, **options):
    options = {"strategy": "asha", **options}
    tuner = make_tuner(objective="val_loss", max_trials=3, epochs=9, seed=3, **options)
    tuner.search(data, callbacks=[callback])
    return tuner


def test_the_best_goes_on_and_ends_as_if_it_had_never_paused(make_tuner, stripes, counted):
    tuner = search(make_tuner, stripes, counted)
    results = tuner.results().sort_values("epochs")
    # Three for one epoch, then the best for two more and for six more.
    assert list(results["epochs"]) == [1, 1, 9]
    assert Count.trained == 11
    assert list(results["status"]) == ["PRUNED", "PRUNED", "COMPLETED"]
    assert sorted(t.state.name for t in tuner.study.trials) == ["COMPLETE", "PRUNED", "PRUNED"]
    assert not list(tuner.run_directory.glob("trial_*/checkpoint"))
    assert not list(tuner.run_directory.glob("trial_*/paused.json"))
    best = results.index[-1]
    whole = search(make_tuner, stripes, counted, strategy="random", project_name="whole").results()
    assert whole.loc[best, "val_loss"] == pytest.approx(results.loc[best, "val_loss"], rel=1e-5)


def test_a_search_that_is_interrupted_goes_on_with_what_was_paused(make_tuner, stripes, counted):
    Count.stop_after = 4
    first = search(make_tuner, stripes, counted).results()
    assert list(first["status"]) == ["PAUSED"] * 3
    assert first["val_loss"].notna().all()
    results = search(make_tuner, stripes, counted).results()
    assert Count.trained == 11
    assert sorted(results["status"]) == ["COMPLETED", "PRUNED", "PRUNED"]


def test_killed_before_its_second_pause_was_noted_a_trial_pauses_at_once(
    make_tuner, stripes, counted, caplog
):
    caplog.set_level(logging.INFO, "kt_tuning")
    Count.stop_after = 6
    first = search(make_tuner, stripes, counted).results()
    best = first["epochs"].idxmax()
    # Its checkpoint is after 4 epochs; a kill could have left the note of its first pause, at 1.
    note = make_tuner().run_directory / f"trial_{best}" / "paused.json"
    note.write_text(note.read_text().replace('"epochs": 3', '"epochs": 1'))
    caplog.clear()
    results = search(make_tuner, stripes, counted).results()
    assert Count.trained == 11
    assert sorted(results["epochs"]) == [1, 1, 9]
    assert any("in 4 epochs" in line and "paused" in line for line in caplog.messages)


def test_a_search_without_halving_takes_up_what_was_paused(make_tuner, stripes, counted):
    Count.stop_after = 4
    search(make_tuner, stripes, counted)
    results = search(make_tuner, stripes, counted, strategy="random").results()
    assert list(results["epochs"]) == [9, 9, 9]
    assert set(results["status"]) == {"COMPLETED"}


def test_two_workers_pause_too(make_tuner, stripes):
    tuner = make_tuner(strategy="asha", max_trials=3, epochs=3)
    tuner.search(stripes, workers=2)
    epochs = tuner.results()["epochs"]
    # Which of them ends first decides whether the best one of two goes on, or of three as well.
    assert sorted(epochs) in ([1, 1, 3], [1, 3, 3])


def test_several_trainings_are_pruned_between_them_and_never_pause(make_tuner, stripes):
    tuner = make_tuner(strategy="asha", max_trials=2, epochs=1, folds=2)
    tuner.search(stripes)
    assert set(tuner.results()["status"]) <= {"PRUNED", "COMPLETED"}


@pytest.mark.parametrize(
    ("options", "pauses"),
    [
        ({}, True),
        ({"max_trials": 9}, True),
        ({"max_trials": 8}, False),
        ({"objective": [keras_tuner.Objective(name, "min") for name in "ab"]}, False),
    ],
)
def test_auto_halves_if_there_are_enough_trials_and_one_objective(options, pauses):
    options = {"objective": "val_loss", **options}
    assert isinstance(OptunaOracle("auto", **options).pruner, AshaPruner) == pauses
