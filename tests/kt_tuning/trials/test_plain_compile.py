"""Saved models load with plain Keras where Keras has all parts."""

import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import ConvNet
from kt_tuning.trials import save_with_keras_parts


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
