"""Recurrent networks over rows and patches."""

import keras_tuner
import numpy as np
import pytest

from hypermodels.recurrent import Recurrent


def build(hypermodel):
    return hypermodel.build(keras_tuner.HyperParameters())


def lstm(units, features):
    return 4 * (units * (units + features) + units)


def gru(units, features):
    return 3 * (units * (units + features) + 2 * units)


@pytest.mark.parametrize(("cell", "formula"), [("lstm", lstm), ("gru", gru)])
@pytest.mark.parametrize("both_ways", [False, True])
def test_layers_have_the_parameters_of_their_formula(cell, formula, both_ways):
    ways = 2 if both_ways else 1
    net = Recurrent(
        (28, 20, 3),
        10,
        stem="pixels",
        cell=cell,
        stages=2,
        units=(16, 8),
        bidirectional=both_ways,
    )
    expected = ways * (formula(16, 60) + formula(8, ways * 16)) + (ways * 8 + 1) * 10
    assert build(net).count_params() == expected


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (96, 96, 3)])
def test_a_step_is_a_row(shape):
    fixed = {"stem": "pixels", "stages": 1, "units": 4, "bidirectional": False}
    model = build(Recurrent(shape, 2, **fixed))
    layer = next(layer for layer in model.layers if hasattr(layer, "units"))
    assert layer.input.shape == (None, shape[0], shape[1] * shape[2])


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [((8, 8, 1), 8, 8), ((28, 28, 1), 14, 14), ((32, 48, 3), 8, 12), ((5, 9, 1), 5, 9)],
)
def test_a_step_is_a_row_of_what_convolutions_make(shape, rows, columns):
    net = Recurrent(shape, 2, stem_filters=32, stages=1, units=4, bidirectional=False)
    layer = next(layer for layer in build(net).layers if hasattr(layer, "units"))
    assert layer.input.shape == (None, rows, columns * 32)


def test_a_step_is_a_patch():
    net = Recurrent((32, 32, 3), 2, sequence="patches", patch_size=8, stages=1, units=4)
    layer = next(layer for layer in build(net).layers if "bidirectional" in layer.name)
    assert layer.input.shape == (None, 16, 8 * 8 * 3)


def test_the_patch_exists_only_for_patches():
    names = {hp.name for hp in Recurrent((8, 8, 1), 2, sequence="rows").hyperparameters().space}
    assert "patch_size" not in names
    patch = next(
        hp for hp in Recurrent((8, 8, 1), 2).hyperparameters().space if hp.name == "patch_size"
    )
    assert [condition.values for condition in patch.conditions] == [["patches"]]


def test_convolutions_exist_only_for_rows():
    names = {hp.name for hp in Recurrent((8, 8, 1), 2, sequence="patches").hyperparameters().space}
    assert not names & {"stem", "stem_filters"}
    space = Recurrent((8, 8, 1), 2).hyperparameters().space
    filters = next(hp for hp in space if hp.name == "stem_filters")
    assert [condition.name for condition in filters.conditions] == ["sequence", "stem"]


def test_the_last_step_alone_knows_all_rows():
    fixed = {"stem": "pixels", "stages": 1, "units": 4, "bidirectional": False, "dropout": 0.0}
    models = [build(Recurrent((6, 5, 1), 2, readout=kind, **fixed)) for kind in ("last", "average")]
    models[1].set_weights(models[0].get_weights())
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 1), dtype=np.uint8)
    last, average = (model.predict_on_batch(images) for model in models)
    assert abs(last - average).max() > 1e-4


def test_an_impossible_patch_is_refused():
    with pytest.raises(ValueError, match="patch_size=16"):
        build(Recurrent((8, 8, 1), 2, sequence="patches", patch_size=16))
