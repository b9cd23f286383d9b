"""Searches whose trials pause: asynchronous successive halving."""

import keras
import keras_tuner
import pytest

from kt_tuning.search import OptunaOracle
from kt_tuning.search.halving import AshaPruner


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


def test_killed_before_its_second_pause_was_noted_a_trial_loses_no_epoch(
    make_tuner, stripes, counted
):
    Count.stop_after = 6
    first = search(make_tuner, stripes, counted).results()
    best = first["epochs"].idxmax()
    # Its checkpoint is after 4 epochs; a kill could have left the note of its first pause, at 1.
    note = make_tuner().run_directory / f"trial_{best}" / "paused.json"
    note.write_text(note.read_text().replace('"epochs": 3', '"epochs": 1'))
    results = search(make_tuner, stripes, counted).results()
    assert Count.trained == 11
    assert sorted(results["epochs"]) == [1, 1, 9]


def test_a_search_without_halving_takes_up_what_was_paused(make_tuner, stripes, counted):
    Count.stop_after = 4
    search(make_tuner, stripes, counted)
    results = search(make_tuner, stripes, counted, strategy="random").results()
    assert list(results["epochs"]) == [9, 9, 9]
    assert set(results["status"]) == {"COMPLETED"}


def test_with_ample_time_trials_pause_as_without_a_limit(make_tuner, stripes, counted):
    tuner = make_tuner(objective="val_loss", strategy="asha", max_trials=3, epochs=9, seed=3)
    tuner.search(stripes, time_limit="10h", callbacks=[counted])
    assert sorted(tuner.results()["epochs"]) == [1, 1, 9]


def test_with_little_time_long_trainings_pause_early(make_tuner, stripes, counted):
    tuner = make_tuner(objective="val_loss", strategy="asha", max_trials=4, epochs=900, seed=3)
    tuner.search(stripes, time_limit=12, callbacks=[counted])
    results = tuner.results()
    # A ninth of 900 epochs is 100; four trials of so many would not fit.
    assert len(results) == 4
    assert results["epochs"].min() < 100


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
