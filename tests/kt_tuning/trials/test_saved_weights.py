"""Models that are saved: weights without a frozen part, and models that plain Keras loads."""

import h5py
import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import ConvNet, LinearProbe
from kt_tuning.core.errors import StorageError
from kt_tuning.trials import load_weights, save_with_keras_parts
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


def test_a_layer_that_is_attached_to_a_functional_model_is_kept(tmp_path):
    path, models = tmp_path / "model.weights.h5", []
    for _ in range(2):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
        model.projection = keras.layers.Dense(4)
        model.projection.build((None, 2))
        model.compile("adam", "mse")
        models.append(model)
    if len(models[0].get_weights()) == 2:
        pytest.skip("this version of Keras does not track the attached layer")
    save_weights(models[0], path)
    load_weights(models[1], path)
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        assert (ours == theirs).all()


@pytest.fixture
def without_hypermodels(monkeypatch):
    """Keras as it is before `import hypermodels`."""
    registered = keras.saving.get_custom_objects()
    for name in [name for name in registered if name.startswith("hypermodels>")]:
        monkeypatch.delitem(registered, name)


def save(folder, **fixed):
    hypermodel = ConvNet((8, 8, 1), 2, stages=1, filters=4, optimizer="adam", **fixed)
    model = hypermodel.build(keras_tuner.HyperParameters())
    save_with_keras_parts(model)
    model.save(folder / "model.keras")
    return model


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_schedule_and_cross_entropy_are_saved_as_keras_parts(tmp_path, without_hypermodels):
    images = np.zeros((2, 8, 8, 1), np.uint8)
    model = save(tmp_path, schedule="cosine", adaptive_learning_rate=0.01, loss="cross_entropy")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.allclose(loaded(images), model(images), atol=1e-6)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.01)
    assert isinstance(loaded.loss, keras.losses.SparseCategoricalCrossentropy)
    assert type(model.loss).__name__ == "CrossEntropy"


def test_a_part_that_keras_lacks_is_named_with_its_module(tmp_path, without_hypermodels):
    save(tmp_path, loss="focal")
    with pytest.raises(TypeError, match=r"FocalLoss(.|\n)*hypermodels\.compiling\.losses"):
        keras.saving.load_model(tmp_path / "model.keras")
