import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import MLP
from hypermodels.compiling import around

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1), dtype=np.uint8)
LABELS = np.arange(12) % 2


class Watch(keras.callbacks.Callback):
    """Notes a weight where it changes: after each step, and as callbacks see it."""

    def __init__(self):
        super().__init__()
        self.trained, self.seen, self.saved = [], [], []

    def weight(self):
        return float(np.array(self.model.trainable_variables[0]).sum())

    def on_train_batch_end(self, batch, logs=None):
        self.trained.append(self.weight())

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.weight())
        values = [*self.model.variables, *self.model.optimizer.variables]
        self.saved.append([np.array(value) for value in values])


def make(**fixed):
    keras.utils.set_random_seed(1)
    fixed = {"stages": 1, "units": 4, "norm": "none", "dropout": 0.0, **fixed}
    net = MLP((8, 8, 1), 2, schedule="constant", sgd_learning_rate=0.2, **fixed)
    hp = keras_tuner.HyperParameters()
    model = net.build(hp)
    model.optimizer.build(model.trainable_variables)
    return lambda **more: net.fit(
        hp, model, IMAGES, LABELS, batch_size=4, shuffle=False, verbose=0, **more
    ), model


def average(weights, momentum):
    """v_t = m v_(t-1) + (1 - m) w_t, beginning at w_1."""
    value = weights[0]
    for weight in weights[1:]:
        value = momentum * value + (1 - momentum) * weight
    return value


def test_callbacks_see_the_average_and_training_does_not():
    watch, plain = Watch(), Watch()
    fit, model = make(ema=0.9)
    fit(epochs=2, callbacks=[watch])
    make()[0](epochs=2, callbacks=[plain])
    assert watch.trained == pytest.approx(plain.trained, rel=1e-5)
    assert watch.seen[0] == pytest.approx(average(plain.trained[:3], 0.9), rel=1e-5)
    assert watch.seen[1] == pytest.approx(average(plain.trained, 0.9), rel=1e-5)
    watch.set_model(model)
    assert watch.weight() == pytest.approx(watch.seen[1], rel=1e-6)


def test_validation_measures_the_average():
    fit, model = make(ema=0.99)
    history = fit(epochs=1, validation_data=(IMAGES, LABELS))
    loss, _ = model.evaluate(IMAGES, LABELS, verbose=0)
    assert history.history["val_loss"][0] == pytest.approx(loss, rel=1e-5)


def test_a_training_goes_on_from_what_a_callback_saved():
    through, resumed = Watch(), Watch()
    make(ema=0.9)[0](epochs=2, callbacks=[through])
    fit, model = make(ema=0.9)
    variables = [*model.variables, *model.optimizer.variables]
    for variable, value in zip(variables, through.saved[0], strict=True):
        variable.assign(value)
    fit(epochs=2, initial_epoch=1, callbacks=[resumed])
    assert resumed.trained == pytest.approx(through.trained[3:], rel=1e-5)
    assert resumed.seen[-1] == pytest.approx(through.seen[-1], rel=1e-5)


def test_without_averages_nothing_is_put_around():
    model, callback = make()[1], Watch()
    assert around(model, [callback]) == [callback]
