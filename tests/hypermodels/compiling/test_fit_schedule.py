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


@pytest.mark.parametrize("kind", ["sgd", "lion", "muon"])
def test_the_schedule_spans_the_training(kind):
    net = MLP((8, 8, 1), 2, optimizer=kind, stages=1, units=4, schedule="cosine")
    hp = keras_tuner.HyperParameters()
    model = net.build(hp)
    images = np.zeros((8, 8, 8, 1), np.uint8)
    net.fit(hp, model, images, np.arange(8) % 2, batch_size=4, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 4
    assert float(model.optimizer.learning_rate) == pytest.approx(0, abs=1e-7)
