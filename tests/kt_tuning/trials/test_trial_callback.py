"""Deadlines: a training that would not end in time is shortened, and still ends annealed."""

import time

import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import ConvNet
from kt_tuning import Recipe
from kt_tuning.trials import Decision, KerasTask
from kt_tuning.trials.checkpoint import TrainingState
from kt_tuning.trials.trial_callback import TrialCallback
from kt_tuning.trials.trial_files import TrialFiles


class SlowEpochs(keras.callbacks.Callback):
    """Makes each epoch last."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def on_epoch_begin(self, epoch, logs=None):
        self.clock.sleep(self.seconds)


def small(stripes, **fixed):
    return ConvNet(stripes.input_shape, stripes.classes, stages=1, filters=4, **fixed)


def test_a_training_that_does_not_fit_is_shortened_and_annealed(make_tuner, stripes, clock):
    tuner = make_tuner(small(stripes), max_trials=1)
    # Time for 7 of 50 epochs of 100 s, and 99 s for what really passes.
    tuner.search(stripes, epochs=50, time_limit=799, callbacks=[SlowEpochs(clock, 100)])
    record = tuner.results().iloc[0]
    assert record["epochs"] == 7
    assert "shortened from 50 to 7" in record["message"]
    rates = tuner.history()["learning_rate"].to_numpy()
    assert rates[-1] == pytest.approx(0, abs=1e-6)


class SlowBatches(keras.callbacks.Callback):
    """Makes each step last."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def on_train_batch_begin(self, batch, logs=None):
        self.clock.sleep(self.seconds)


def test_time_that_is_up_ends_an_epoch_in_its_middle(make_tuner, stripes, clock):
    tuner = make_tuner(small(stripes), max_trials=5, recipe=Recipe(batch_size=1))
    # An epoch has 36 steps; a fifth of it is left for measuring.
    tuner.search(stripes, epochs=2, time_limit=1400, callbacks=[SlowBatches(clock, 100)])
    assert clock.slept == 700
    assert list(tuner.results()["epochs"]) == [1]
    assert list(tuner.results()["message"]) == ["cut short by the time limit after 7 steps"]
    assert tuner.results()["val_accuracy"].notna().all()


class SlowAfterTheFirstTrial(SlowBatches):
    """Makes each step of every trial but the first last."""

    trials = 0

    def on_train_begin(self, logs=None):
        type(self).trials += 1

    def on_train_batch_begin(self, batch, logs=None):
        if self.trials > 1:
            super().on_train_batch_begin(batch)


def test_a_trial_too_slow_for_the_time_left_is_cut_short_and_kept(make_tuner, stripes, clock):
    tuner = make_tuner(small(stripes), max_trials=2, recipe=Recipe(batch_size=1))
    # Five epochs of 36 steps would take five times as long.
    slow = SlowAfterTheFirstTrial(clock, 100)
    tuner.search(stripes, epochs=5, time_limit=3600, callbacks=[slow])
    results = tuner.results()
    assert list(results["status"]) == ["COMPLETED", "COMPLETED"]
    # 29 steps and the fifth of the epoch that measuring may take are 3,620 s.
    assert results["message"].iloc[1] == "cut short by the time limit after 29 steps"
    assert clock.slept == 2900
    assert results["val_accuracy"].notna().all()


def test_no_time_at_all_still_keeps_the_first_epoch(make_tuner, stripes):
    tuner = make_tuner(small(stripes), max_trials=3)
    tuner.search(stripes, epochs=50, time_limit=0.01)
    assert list(tuner.results()["epochs"]) == [1]


def test_a_finished_search_does_not_start_again_within_the_same_limit(make_tuner, stripes):
    tuner = make_tuner(small(stripes), max_trials=None)
    tuner.search(stripes, epochs=2, time_limit=0.01)
    make_tuner(small(stripes), max_trials=None).search(stripes, epochs=2, time_limit=0.01)
    assert len(tuner.results()) == 1


class Patient(KerasTask):
    """Measures nothing itself."""

    def __init__(self, epochs):
        super().__init__(keras_tuner.HyperModel(), (), {})
        self.epochs = epochs

    def patience(self, values):
        return self.epochs


@pytest.fixture
def monitor(tmp_path):
    def make(direction="max", epochs=3, **options):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        made = TrialCallback(
            model,
            Patient(options.get("patience")),
            keras_tuner.Objective("score", direction),
            values={},
            state=TrainingState(0, epochs, 0),
            best=None,
            files=TrialFiles(tmp_path),
            deadline=None,
            report=lambda *args: Decision.CONTINUE,
            began=time.monotonic(),
        )
        made.set_model(model)
        made.set_params({"steps": 1})
        made.on_train_begin()
        return made

    return make


def feed(monitor, scores):
    for epoch, score in enumerate(scores):
        monitor.model.set_weights([np.full((1, 1), epoch), np.zeros(1)])
        monitor.on_epoch_begin(epoch)
        monitor.on_train_batch_end(0)
        monitor.on_epoch_end(epoch, {"score": score})


@pytest.mark.parametrize(("direction", "best"), [("max", 1), ("min", 2)])
def test_the_weights_of_the_best_epoch_are_kept(direction, best, monitor):
    made = monitor(direction)
    feed(made, [0.5, 0.9, 0.2])
    assert made.best.epoch == best
    assert made.best.weights[0].item() == best


def test_of_equal_epochs_the_first_is_kept(monitor):
    made = monitor()
    feed(made, [0.5, 0.5])
    assert made.best.epoch == 0


def test_patience_counts_epochs_since_the_best_one(monitor):
    made = monitor(epochs=9, patience=2)
    feed(made, [0.1, 0.5, 0.4, 0.3])
    assert made.state.over
    assert made.model.stop_training
    assert made.state.message == "stopped after 2 epochs without improvement"
