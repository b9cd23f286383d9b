"""Of a model with a frozen part a trial keeps the weights of the rest."""

import h5py
import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import LinearProbe
from kt_tuning.core.errors import StorageError
from kt_tuning.trials import load_weights
from kt_tuning.trials.weights import save_weights


def build(seed):
    """A probe on a network with random weights."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(4, 3)(inputs)
    network = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(maps))
    hypermodel = LinearProbe((8, 8, 3), 2, backbone=network, values="tf")
    return hypermodel.build(keras_tuner.HyperParameters())


def test_the_frozen_part_is_not_in_the_file(tmp_path):
    model, path = build(1), tmp_path / "model.weights.h5"
    model.get_layer("logits").set_weights([np.full((4, 2), 3.0), np.array([1.0, 2.0])])
    save_weights(model, path)
    sizes = []
    with h5py.File(path) as file:
        file.visititems(lambda name, node: sizes.append(getattr(node, "size", 0)))
    assert sum(sizes) == 4 * 2 + 2
    again = build(1)
    load_weights(again, path)
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        assert (ours == theirs).all()


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "model.weights.h5"
    save_weights(build(1), path)
    with pytest.raises(StorageError, match="belong to another pre-trained network"):
        load_weights(build(2), path)
