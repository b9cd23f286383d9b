import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels.mlp import MLP


def build(hypermodel, **values):
    hp = keras_tuner.HyperParameters()
    hp.values = values
    return hypermodel.build(hp)


def dense(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def test_one_hidden_layer_has_the_parameters_worked_out_by_hand():
    model = build(MLP((28, 28, 1), 10, stages=1, units=500, norm="none"))
    assert model.count_params() == 784 * 500 + 500 + 500 * 10 + 10 == 397_510


@pytest.mark.parametrize(
    ("shape", "features"),
    [
        ((8, 8, 1), 8 * 8),
        ((32, 32, 3), 32 * 32 * 3),
        ((48, 80, 3), 48 * 80 * 3),
        ((96, 96, 3), 48 * 48 * 3),
        ((224, 224, 3), 28 * 28 * 3),
        ((3, 3, 1), 3 * 3),
    ],
)
def test_large_images_are_averaged_down_by_default(shape, features):
    model = build(MLP(shape, 2, units=8))
    assert dense(model)[0].kernel.shape[0] == features
    assert model.output_shape == (None, 2)


def test_shrinking_averages_pixels():
    model = build(MLP((8, 8, 1), 2, shrink=2, units=8))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1), dtype=np.uint8)
    flat = keras.Model(model.input, dense(model)[0].input).predict_on_batch(pixels)
    averaged = pixels.reshape(4, 2, 4, 2).mean(axis=(1, 3)) / 127.5 - 1
    assert flat.reshape(4, 4) == pytest.approx(averaged, abs=1e-6)


def test_no_shrinking_leaves_less_than_four_pixels():
    space = MLP((9, 30, 1), 2).hyperparameters().space
    assert next(hp for hp in space if hp.name == "shrink").values == [1, 2]


def test_a_tuple_fixes_the_layers_one_by_one():
    model = build(MLP((8, 8, 1), 3, stages=2, units=(50, 20)))
    assert [layer.units for layer in dense(model)] == [50, 20, 3]


def test_shapes_and_fixed_values_may_be_numbers_of_numpy():
    shape = tuple(np.array([8, 8, 1]))
    hypermodel = MLP(shape, np.int64(3), stages=np.int64(2), units=np.array([50, 20]))
    assert [layer.units for layer in dense(build(hypermodel))] == [50, 20, 3]
    assert repr(hypermodel) == "MLP((8, 8, 1), 3, stages=2, units=[50, 20])"


def test_layers_can_be_searched_one_by_one():
    model = build(MLP((8, 8, 1), 3, per_stage=("units",)), stages=3, units_1=256, units_3=64)
    assert [layer.units for layer in dense(model)] == [256, 512, 64, 3]


def test_dropout_follows_each_hidden_layer():
    def rates(dropout):
        model = build(MLP((8, 8, 1), 2, stages=3, units=8, dropout=dropout))
        return [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]

    assert rates(0.3) == [0.3] * 3
    assert rates(0.0) == []
