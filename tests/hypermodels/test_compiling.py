import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import ConvNet, Space
from hypermodels.compiling import CrossEntropy, FitSchedule, optimizer


def schedule(**fixed) -> FitSchedule:
    return optimizer(Space(keras_tuner.HyperParameters(), fixed))[1]


def test_smoothed_cross_entropy_follows_its_formula():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], np.float32)
    targets = 0.9 * np.eye(3)[[0, 2]] + 0.1 / 3
    expected = -(targets * np.log(probabilities)).sum(axis=1).mean()
    assert float(CrossEntropy(0.1)(np.array([0, 2]), probabilities)) == pytest.approx(
        expected, abs=1e-6
    )


def test_integer_column_and_one_hot_labels_give_the_same_loss():
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6]], np.float32)
    loss = CrossEntropy(0.05)
    values = [
        float(loss(labels, probabilities))
        for labels in (np.array([0, 1]), np.array([[0], [1]]), np.eye(2, dtype=np.float32))
    ]
    assert values == pytest.approx([values[0]] * 3, abs=1e-7)


def test_smoothing_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="label_smoothing=1"):
        CrossEntropy(1)


def test_exponential_schedule_multiplies_by_gamma_each_epoch():
    fit = schedule(optimizer="sgd", sgd_learning_rate=0.1, schedule="exponential", decay=0.9)
    fit.stretch(steps_per_epoch=7, epochs=20)
    # η·γ^t
    assert float(fit.schedule(7 * 10)) == pytest.approx(0.1 * 0.9**10, rel=1e-5)
    assert round(0.1 * 0.9**10, 4) == 0.0349


def test_cosine_schedule_rises_peaks_and_ends_at_zero():
    fit = schedule(sgd_learning_rate=0.2, warmup=0.2)
    fit.stretch(steps_per_epoch=10, epochs=10)
    assert float(fit.schedule(0)) == 0
    assert float(fit.schedule(10)) == pytest.approx(0.1)
    assert float(fit.schedule(20)) == pytest.approx(0.2)
    assert float(fit.schedule(60)) == pytest.approx(0.1)
    assert float(fit.schedule(100)) == pytest.approx(0, abs=1e-7)


def test_constant_schedule_needs_no_length():
    fit = schedule(schedule="constant", optimizer="adam", adaptive_learning_rate=0.01)
    fit.stretch(None, 3)
    assert fit.schedule == 0.01


def test_unknown_length_is_refused_where_it_matters():
    with pytest.raises(ValueError, match="steps_per_epoch"):
        schedule(schedule="cosine").stretch(None, 3)


def test_biases_and_scales_are_not_decayed():
    fixed = {"weight_decay": 0.1, "schedule": "constant", "sgd_learning_rate": 1.0}
    made, _ = optimizer(Space(keras_tuner.HyperParameters(), fixed))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.add(keras.layers.BatchNormalization(beta_initializer="ones"))
    dense, norm = model.layers
    dense.bias.assign(np.ones(3))
    kernel = np.array(dense.kernel)
    made.apply(
        [np.zeros(v.shape, np.float32) for v in model.trainable_variables],
        model.trainable_variables,
    )
    assert np.array(dense.kernel) == pytest.approx(0.9 * kernel)
    assert np.array([dense.bias, norm.gamma, norm.beta]) == pytest.approx(np.ones((3, 3)))


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw", "rmsprop"])
def test_the_schedule_spans_the_training(kind):
    net = ConvNet((8, 8, 1), 2, optimizer=kind, stages=1, filters=4, schedule="cosine")
    hp = keras_tuner.HyperParameters()
    model = net.build(hp)
    images = np.zeros((8, 8, 8, 1), np.uint8)
    net.fit(hp, model, images, np.arange(8) % 2, batch_size=4, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 4
    assert float(model.optimizer.learning_rate) == pytest.approx(0, abs=1e-7)


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
