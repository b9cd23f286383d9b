"""First the head, then the top of the backbone."""

import keras
import pytest
from keras import layers

from hypermodels.compiling import CosineSchedule, FitSchedule
from hypermodels.two_speed import TwoSpeed
from hypermodels.unfreezing import Unfreezing, leave_top_trainable


class Trained:
    """Stands for a model: counts how often its training step is traced anew."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.retraced = 0

    def make_train_function(self, force=False):
        assert force
        self.retraced += 1


def phases(share, epochs, *, first_epoch=0):
    """Whether the backbone is frozen, epoch by epoch, and the model."""
    optimizer = TwoSpeed(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), 1)
    model = Trained(optimizer)
    callback = Unfreezing(FitSchedule(0.1), FitSchedule(0.01), share)
    callback.set_model(model)
    callback.set_params({"steps": 5, "epochs": epochs})
    callback.on_train_begin()
    frozen = []
    for epoch in range(first_epoch, epochs):
        callback.on_epoch_begin(epoch)
        frozen.append(optimizer.frozen)
        callback.on_epoch_end(epoch, {"loss": 1.0})
    return frozen, model


@pytest.mark.parametrize(
    ("share", "epochs", "first"),
    [(0.3, 10, 3), (0.1, 30, 3), (0.5, 3, 2), (0.3, 1, 1), (0.0, 4, 0)],
)
def test_the_first_phase_is_a_share_of_the_epochs(share, epochs, first):
    frozen, _ = phases(share, epochs)
    assert frozen == [epoch < first for epoch in range(epochs)]


def test_the_phase_follows_from_the_epoch_when_training_goes_on():
    frozen, model = phases(0.5, 6, first_epoch=2)
    assert frozen == [True, False, False, False]
    assert phases(0.5, 6, first_epoch=4)[0] == [False, False]
    # Into the first phase, and out of it.
    assert model.retraced == 2


def test_each_schedule_spans_its_part_of_the_training():
    head, backbone = CosineSchedule(1.0), CosineSchedule(0.1)
    callback = Unfreezing(FitSchedule(head), FitSchedule(backbone), 0.3)
    callback.stretch(7, 10)
    assert (head.steps, backbone.steps) == (70, 49)
    # A training that is shortened, and one that never leaves the first phase
    callback.stretch(7, 5)
    assert (head.steps, backbone.steps) == (35, 21)
    callback.stretch(7, 1)
    assert (head.steps, backbone.steps) == (7, 7)


def nested():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="a"), layers.ReLU(), layers.Dense(4, name="b")]
    )
    return keras.Sequential(
        [keras.Input((4,)), inner, layers.BatchNormalization(name="c"), layers.Dense(2, name="d")]
    )


@pytest.mark.parametrize(
    ("share", "trained"), [(0.0, ""), (0.1, "d"), (0.5, "cd"), (0.75, "bcd"), (1.0, "abcd")]
)
def test_the_last_layers_with_weights_stay_trainable(share, trained):
    model = nested()
    model.trainable = False
    leave_top_trainable(model, share)
    found = {variable.path.split("/")[-2] for variable in model.trainable_variables}
    assert found == set(trained)
