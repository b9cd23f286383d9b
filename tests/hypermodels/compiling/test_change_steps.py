"""Batches grow: a schedule goes on with fewer steps an epoch."""

import math
import types

import keras
import keras_tuner
import pytest

from hypermodels import MLP, Space
from hypermodels.compiling import choose_schedule


class Trained:
    """Stands for a model: its optimizer has counted steps."""

    def __init__(self, optimizer, steps):
        self.optimizer = optimizer
        optimizer.iterations.assign(steps)
        self.retraced = 0

    def make_train_function(self, force=False):
        self.retraced += 1


def cosine(**fixed):
    space = Space(keras_tuner.HyperParameters(), {"schedule": "cosine", "warmup": 0.0, **fixed})
    fit = choose_schedule(space, 0.1)
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
    fit = choose_schedule(Space(keras_tuner.HyperParameters(), {"schedule": "constant"}), 0.1)
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
