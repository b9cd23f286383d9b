import math
import types

import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import MLP, Space
from hypermodels.compiling import PlateauSchedule, StretchedSchedule, choose_schedule

SCHEDULES = ("constant", "exponential", "cosine", "step", "one_cycle", "plateau")


def schedule(**fixed):
    return choose_schedule(Space(keras_tuner.HyperParameters(), fixed), 0.1)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_is_chosen_by_name(kind):
    fit = schedule(schedule=kind)
    assert isinstance(fit, PlateauSchedule) == (kind == "plateau")
    if kind in ("constant", "plateau"):
        assert fit.schedule == 0.1
    else:
        assert isinstance(fit.schedule, StretchedSchedule)
        assert type(fit.schedule).__name__.lower() == f"{kind.replace('_', '')}schedule"


def test_constant_schedule_needs_no_length():
    fit = schedule(schedule="constant")
    fit.stretch(None, 3)
    assert fit.schedule == 0.1


def test_unknown_length_is_refused_where_it_matters():
    with pytest.raises(ValueError, match="steps_per_epoch"):
        schedule(schedule="cosine").stretch(None, 3)


@pytest.mark.parametrize("kind", ["constant", "cosine"])
def test_rates_are_lower_in_proportion_where_steps_are_few(kind):
    fit = schedule(schedule=kind)
    fit.full_steps = 40
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(fit.schedule))
    fit.set_model(model)
    peaks = []
    for steps in (5, 5, 19, 50):
        fit.set_params({"steps": steps, "epochs": 2})
        fit.on_train_begin()
        constant = kind == "constant"
        peaks.append(float(model.optimizer.learning_rate) if constant else fit.schedule.peak)
    assert peaks == pytest.approx([0.025, 0.025, 0.095, 0.1])


class Traced:
    """Stands for a model: counts how often its training step is traced anew."""

    def __init__(self):
        self.retraced = 0

    def make_train_function(self, force=False):
        assert force
        self.retraced += 1


def test_a_schedule_of_another_length_is_traced_anew():
    fit, model = schedule(schedule="cosine"), Traced()
    fit.set_model(model)
    fit.stretch(10, 10)
    fit.stretch(10, 10)
    assert model.retraced == 1
    fit.stretch(10, 5)
    assert model.retraced == 2


def plateau_rates(losses, name="loss"):
    """The rate after each epoch: halved after two epochs without a lower loss."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.8))
    callback = PlateauSchedule(0.8, factor=0.5, patience=2)
    callback.set_params({"steps": 1, "epochs": len(losses)})
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"loss": 1.0, name: loss})
        rates.append(float(model.optimizer.learning_rate))
    return rates


def test_plateau_lowers_the_rate_when_the_loss_stalls():
    losses = [3, 2, 2, 2, 1, 1.5, 1, 1, 1]
    expected = [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2, 0.1]
    assert plateau_rates(losses) == pytest.approx(expected)


def test_plateau_watches_the_validation_loss_where_there_is_one():
    assert plateau_rates([4, 3, 2, 1], "val_loss") == pytest.approx([0.8] * 4)
    assert plateau_rates([1, 1, 1, 1], "val_loss") == pytest.approx([0.8, 0.8, 0.4, 0.4])


def test_the_rate_of_a_plateau_is_saved_with_the_optimizer():
    net = MLP((8, 8, 1), 2, stages=1, schedule="plateau")
    model = net.build(keras_tuner.HyperParameters())
    model.optimizer.build(model.trainable_variables)
    model.optimizer.learning_rate = 0.125
    values = [float(np.sum(v)) for v in model.optimizer.variables if v.name == "learning_rate"]
    assert values == [0.125]


@pytest.mark.parametrize("kind", ["sgd", "lion"])
def test_the_schedule_spans_the_training(kind):
    net = MLP((8, 8, 1), 2, optimizer=kind, stages=1, units=4, schedule="cosine")
    hp = keras_tuner.HyperParameters()
    model = net.build(hp)
    images = np.zeros((8, 8, 8, 1), np.uint8)
    net.fit(hp, model, images, np.arange(8) % 2, batch_size=4, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 4
    assert float(model.optimizer.learning_rate) == pytest.approx(0, abs=1e-7)


# Batches grow: a schedule goes on with fewer steps an epoch.


class Trained:
    """Stands for a model: its optimizer has counted steps."""

    def __init__(self, optimizer, steps):
        self.optimizer = optimizer
        optimizer.iterations.assign(steps)
        self.retraced = 0

    def make_train_function(self, force=False):
        self.retraced += 1


def cosine(**fixed):
    fit = schedule(schedule="cosine", warmup=0.0, **fixed)
    fit.stretch(10, 6)
    return fit


def test_the_rate_goes_on_where_it_was():
    fit = cosine()
    model = Trained(keras.optimizers.SGD(fit.schedule), 40)
    fit.set_model(model)
    before = float(model.optimizer.learning_rate)
    fit.change_steps(5)
    assert int(model.optimizer.iterations) == 20
    assert float(model.optimizer.learning_rate) == pytest.approx(before)
    assert before == pytest.approx(0.1 * (1 + math.cos(math.pi * 4 / 6)) / 2)
    assert fit.schedule.steps == 30
    assert model.retraced == 1


def test_both_parts_of_an_optimizer_go_on():
    fit = cosine()
    parts = [keras.optimizers.SGD(0.1), keras.optimizers.SGD(fit.schedule)]
    model = Trained(parts[1], 40)
    parts[0].iterations.assign(20)
    model.optimizer = types.SimpleNamespace(optimizers=parts)
    fit.set_model(model)
    fit.change_steps(5)
    assert [int(part.iterations) for part in parts] == [10, 20]


@pytest.mark.parametrize("batches", [30, 31, 33])
def test_a_step_that_is_made_from_several_batches_stays_as_complete_as_it_was(batches):
    fit = cosine()
    optimizer = keras.optimizers.SGD(fit.schedule, gradient_accumulation_steps=4)
    optimizer._iterations.assign(batches)
    model = Trained.__new__(Trained)
    model.optimizer, model.retraced = optimizer, 0
    fit.set_model(model)
    fit.change_steps(5)
    now = int(optimizer._iterations)
    assert now % 4 == batches % 4
    assert now - batches / 2 < 4


def test_a_constant_rate_needs_nothing():
    fit = schedule(schedule="constant")
    fit.change_steps(5)
    assert fit.schedule == 0.1


def test_a_shortened_training_stays_shortened():
    hypermodel = MLP((4, 4, 1), 2, stages=1, units=4, schedule="cosine")
    model = hypermodel.build(keras_tuner.HyperParameters())
    model.fit_schedule.set_model(model)
    model.fit_schedule.stretch(10, 4)
    model.fit_schedule.change_steps(5)
    assert (model.fit_schedule.schedule.steps_per_epoch, model.fit_schedule.schedule.epochs) == (
        5,
        4,
    )
