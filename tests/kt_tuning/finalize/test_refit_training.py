"""One training of a refit: learning rates for larger batches, and batches of one size."""

import types

import keras
import keras_tuner
import numpy as np
import pytest
from tiny_models import tiny

from hypermodels.compiling import CosineSchedule, ExponentialSchedule
from kt_tuning.data.batch_loader import Loader
from kt_tuning.data.batches import Batches
from kt_tuning.finalize.refit_training import WholeBatches, scale_rates, whole_batches


@pytest.fixture
def model(stripes):
    """It trains 3 steps an epoch."""
    made = tiny(keras_tuner.HyperParameters())

    def train(callbacks, epochs, initial_epoch=0):
        rates = []

        class Watch(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                rates.append(float(made.optimizer.learning_rate))

        made.fit(
            stripes.train.images,
            stripes.train.labels,
            batch_size=12,
            epochs=epochs,
            initial_epoch=initial_epoch,
            callbacks=[*callbacks, Watch()],
            verbose=0,
        )
        return rates

    def prepare(optimizer, ratio, warm_up):
        made.compile(optimizer, "sparse_categorical_crossentropy")
        return scale_rates(made, ratio, warm_up)

    return prepare, train


def test_a_constant_rate_rises_in_the_warm_up_and_stays(model):
    prepare, train = model
    sgd = keras.optimizers.SGD(0.1)
    rates = train(prepare(sgd, 3.0, 4), epochs=2)
    # From 1 to 3 times 0.1, in 4 steps.
    assert rates == pytest.approx([0.1, 0.15, 0.2, 0.25, 0.3, 0.3])


def test_a_warm_up_that_was_interrupted_goes_on(model):
    prepare, train = model
    sgd = keras.optimizers.SGD(0.1)
    callbacks = prepare(sgd, 3.0, 4)
    assert train(callbacks, epochs=1) == pytest.approx([0.1, 0.15, 0.2])
    assert train(callbacks, 2, initial_epoch=1) == pytest.approx([0.25, 0.3, 0.3])


def test_whoever_else_changes_a_constant_rate_is_heard(model):
    prepare, train = model
    adam = keras.optimizers.Adam(0.1)

    class Halve(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            adam.learning_rate = float(adam.learning_rate) / 2

    rates = train([*prepare(adam, 4.0, 4), Halve()], epochs=2)
    # Twice the rate for Adam, in 4 steps; all is halved after the third.
    wanted = [0.1, 0.125, 0.15, 0.175 / 2, 0.1, 0.1]
    assert rates == pytest.approx(wanted, rel=1e-5)


def test_a_lower_rate_applies_at_once(model):
    prepare, train = model
    sgd = keras.optimizers.SGD(0.1)
    assert train(prepare(sgd, 0.5, 4), epochs=1) == pytest.approx([0.05] * 3)


def test_a_schedule_is_multiplied_and_may_still_be_stretched(model):
    prepare, _ = model
    schedule = CosineSchedule(0.1)
    sgd = keras.optimizers.SGD(schedule)
    assert prepare(sgd, 3.0, 4) == []
    schedule.stretch(4, 2)
    steps = np.arange(8)
    cosine = 0.1 * (1 + np.cos(np.pi * steps / 8)) / 2
    factors = np.minimum(1 + 2 * steps / 4, 3)
    rates = [float(sgd._learning_rate(step)) for step in steps]
    assert rates == pytest.approx(cosine * factors, rel=1e-5)


def test_each_part_of_an_optimizer_follows_its_own_rule():
    slow, fast = ExponentialSchedule(0.1, 1.0), ExponentialSchedule(0.1, 1.0)
    first, second = keras.optimizers.SGD(slow), keras.optimizers.Adam(fast)
    both = types.SimpleNamespace(optimizer=types.SimpleNamespace(optimizers=[first, second]))
    scale_rates(both, 4.0, 1)
    assert float(first._learning_rate(5)) == pytest.approx(0.4)
    assert float(second._learning_rate(5)) == pytest.approx(0.2)


def test_batches_of_the_same_size_change_nothing(model):
    prepare, _ = model
    sgd = keras.optimizers.SGD(CosineSchedule(0.1))
    schedule = sgd._learning_rate
    assert prepare(sgd, 1.0, 4) == []
    assert sgd._learning_rate is schedule


@pytest.mark.parametrize("size", [12, 10, 25, 50, 80])
def test_the_last_batch_is_filled_up_from_the_first(stripes, size):
    batches = Batches(stripes.train, size, seed=1)
    with Loader(batches) as loader:
        whole = WholeBatches(loader)
        loader.begin_epoch(3)
        images = np.concatenate([whole[index][0] for index in range(len(whole))])
        labels = np.concatenate([whole[index][1] for index in range(len(whole))])
    assert len(whole) == -(-36 // size)
    order = np.random.default_rng((1, 3)).permutation(36)
    # 80 images a batch: all of them twice, and 8 a third time.
    wanted = np.resize(order, len(whole) * size)
    assert np.array_equal(images, stripes.train.take(wanted))
    assert np.array_equal(labels, stripes.train.labels[wanted])


def test_tensorflow_is_told_every_shape(stripes):
    with Loader(Batches(stripes.train, 10, seed=1)) as loader:
        dataset = whole_batches(loader)
        shapes = [tuple(part.shape) for part in dataset.element_spec]
        assert shapes == [(10, 8, 8, 1), (10,)]
        assert int(dataset.cardinality()) == len(list(dataset)) == 4
