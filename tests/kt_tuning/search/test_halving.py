"""Searches whose trials pause: asynchronous successive halving."""

import contextlib
import shutil

import keras
import keras_tuner
import pytest
from tiny_models import tiny

from kt_tuning import Tuner
from kt_tuning.search import OptunaOracle
from kt_tuning.search.loop import SearchLoop
from kt_tuning.search.pruning import AshaPruner

OPTIONS = {"objective": "val_loss", "max_trials": 3, "epochs": 9, "seed": 3}


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


def search(make_tuner, data, callback, time_limit=None, **options):
    tuner = make_tuner(**{**OPTIONS, "strategy": "asha", **options})
    with contextlib.suppress(KeyboardInterrupt):
        tuner.search(data, time_limit=time_limit, callbacks=[callback])
    return tuner


# That it ends as if it had never paused is in `test_workers.py`.
def test_the_best_goes_on_to_the_end(make_tuner, stripes, counted):
    # With ample time trials pause as without a limit.
    tuner = search(make_tuner, stripes, counted, time_limit="10h")
    results = tuner.results().sort_values("epochs")
    # Three for one epoch, then the best for two more and for six more.
    assert list(results["epochs"]) == [1, 1, 9]
    assert Count.trained == 11
    assert list(results["status"]) == ["PRUNED", "PRUNED", "COMPLETED"]
    assert sorted(t.state.name for t in tuner.study.trials) == ["COMPLETE", "PRUNED", "PRUNED"]
    assert not list(tuner.run_directory.glob("trial_*/checkpoint"))
    assert not list(tuner.run_directory.glob("trial_*/paused.json"))


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, stripes):
    """A search that was interrupted after four epochs."""
    directory = tmp_path_factory.mktemp("interrupted")
    Count.trained, Count.stop_after = 0, 4
    options = {**OPTIONS, "strategy": "asha", "directory": directory, "project_name": "run"}
    tuner = Tuner(tiny, **options)
    with pytest.raises(KeyboardInterrupt):
        tuner.search(stripes, callbacks=[Count()])
    return tuner


@pytest.fixture
def copied(interrupted, tmp_path, counted):
    """The same where `make_tuner` takes it up."""
    shutil.copytree(interrupted.run_directory, tmp_path / "run")
    return counted


def test_a_search_that_is_interrupted_goes_on_with_what_was_paused(
    interrupted, copied, make_tuner, stripes
):
    first = interrupted.results()
    assert list(first["status"]) == ["PAUSED"] * 3
    assert first["val_loss"].notna().all()
    results = search(make_tuner, stripes, copied).results()
    # Halving takes eleven epochs, of which four were there.
    assert Count.trained == 11 - 4
    assert sorted(results["status"]) == ["COMPLETED", "PRUNED", "PRUNED"]


def test_killed_before_its_second_pause_was_noted_a_trial_loses_no_epoch(
    make_tuner, stripes, counted, tmp_path
):
    Count.stop_after = 6
    first = search(make_tuner, stripes, counted).results()
    best = first["epochs"].idxmax()
    # Its checkpoint is after 4 epochs; a kill could have left the note of its first pause, at 1.
    note = tmp_path / "run" / f"trial_{best}" / "paused.json"
    note.write_text(note.read_text().replace('"epochs": 3', '"epochs": 1'))
    results = search(make_tuner, stripes, counted).results()
    assert Count.trained == 11
    assert sorted(results["epochs"]) == [1, 1, 9]


def test_a_search_without_halving_takes_up_what_was_paused(copied, make_tuner, stripes):
    results = search(make_tuner, stripes, copied, strategy="random").results()
    assert list(results["epochs"]) == [9, 9, 9]
    assert set(results["status"]) == {"COMPLETED"}


class Lasting(keras.callbacks.Callback):
    """Makes each epoch last; it may stop everything when a second trial gets to its fifth."""

    stops = False
    fifths = 0

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def on_epoch_begin(self, epoch, logs=None):
        Lasting.fifths += epoch == 4
        if Lasting.stops and Lasting.fifths == 2:
            Lasting.stops = False
            raise KeyboardInterrupt
        self.clock.sleep(100)


def test_with_little_time_long_trainings_pause_early(make_tuner, stripes, clock):
    tuner = make_tuner(**{**OPTIONS, "max_trials": 4, "epochs": 45}, strategy="asha")
    tuner.search(stripes, time_limit=15_000, callbacks=[Lasting(clock)])
    results = tuner.results()
    assert len(results) == 4
    # A ninth of all epochs would be five; the first rung is 238 s above the ground.
    assert results["epochs"].min() == 3


def test_auto_trains_the_defaults_to_their_end(make_tuner, stripes, counted):
    Count.stop_after = 2
    tuner = search(make_tuner, stripes, counted, strategy="auto", max_trials=9)
    # With a pause after its first epoch it would be there.
    assert tuner.results().empty
    Count.stop_after = 10
    assert list(
        search(make_tuner, stripes, counted, strategy="auto", max_trials=9).results()["epochs"]
    ) == [9, 1]


@pytest.mark.parametrize("interrupted", [False, True])
def test_auto_ends_with_a_neighbour_of_the_best_that_does_not_pause(
    interrupted, make_tuner, stripes, clock
):
    def widened(hp):
        hp.Float("unused", 0.0, 1.0, default=0.5)
        hp.Boolean("unused too")
        return tiny(hp)

    Lasting.stops, Lasting.fifths = interrupted, 0
    for _ in range(1 + interrupted):
        tuner = make_tuner(
            widened, objective="val_loss", epochs=9, max_trials=None, strategy="auto", seed=3
        )
        # 900 s for the defaults, and time for another such training when 990 to 1,575 s are left.
        with contextlib.suppress(KeyboardInterrupt):
            tuner.search(stripes, time_limit=2700, callbacks=[Lasting(clock)])
    (neighbour,) = tuner.oracle.perturbations()
    first, last = (tuner.results().loc[trial] for trial in ("0000", neighbour))
    assert (first["epochs"], last["epochs"], last["status"]) == (9, 9, "COMPLETED")
    assert first["hp/unused"] == 0.5
    assert 0 < abs(last["hp/unused"] - 0.5) < 0.25
    assert first["hp/unused too"] == last["hp/unused too"]
    tuner.search(stripes, time_limit=5400, callbacks=[Lasting(clock)])
    assert tuner.oracle.perturbations() > {neighbour}


def test_where_no_neighbour_may_begin_paused_trials_go_on(copied, make_tuner, stripes, monkeypatch):
    # All three trials that are allowed have begun.
    monkeypatch.setattr(SearchLoop, "_near_best", lambda starter: "0")
    search(make_tuner, stripes, copied)
    assert Count.trained == 11 - 4


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
