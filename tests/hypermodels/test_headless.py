"""A classifier becomes a network that makes features."""

import keras
import numpy as np
import pytest
from keras import layers

from hypermodels.headless import without_classifier


def body():
    return [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="maps")]


def test_the_last_dense_layer_is_cut_off():
    model = keras.Sequential(
        [*body(), layers.GlobalAveragePooling2D(name="mean"), layers.Dense(7), layers.Softmax()]
    )
    cut = without_classifier(model)
    assert cut.name == "backbone"
    assert cut.output_shape == (None, 4)
    images = np.random.default_rng(0).random((2, 8, 8, 3))
    expected = model.get_layer("maps")(images).numpy().mean(axis=(1, 2))
    assert cut.predict_on_batch(images) == pytest.approx(expected, abs=1e-6)


def test_feature_maps_and_sequences_are_averaged():
    assert without_classifier(keras.Sequential(body())).output_shape == (None, 4)
    sequence = keras.Sequential([*body(), layers.Reshape((36, 4))])
    assert without_classifier(sequence).output_shape == (None, 4)


def test_features_are_left_as_they_are():
    model = keras.Sequential([*body(), layers.GlobalMaxPooling2D()])
    assert without_classifier(model).outputs[0] is model.outputs[0]


def test_other_models_are_refused():
    class Mine(keras.Model):
        pass

    two = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    for model in (Mine(), keras.Model(two, layers.Add()(two)), keras.Sequential()):
        with pytest.raises(ValueError, match="functional or Sequential model that takes one batch"):
            without_classifier(model)
    with pytest.raises(ValueError, match="feature maps, sequences or vectors"):
        without_classifier(keras.Sequential([*body(), layers.Reshape((1, 6, 6, 4))]))
