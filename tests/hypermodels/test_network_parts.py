"""Networks without their classifier, in two parts, and with the features of all stages."""

import keras
import numpy as np
import pytest
from keras import layers

from hypermodels.network_parts import (
    signed_root,
    split_network,
    with_all_stages,
    without_classifier,
)


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


@pytest.fixture(scope="module")
def network():
    """Two residual blocks of two convolutions each between a first and a last convolution."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    for block in "ab":
        y = layers.Conv2D(4, 3, padding="same", activation="relu", name=f"{block}1")(x)
        y = layers.Conv2D(4, 3, padding="same", name=f"{block}2")(y)
        x = layers.Add(name=f"{block}_sum")([x, y])
    x = layers.Conv2D(5, 1, name="last")(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def weighted(model):
    return [layer.name for layer in model.layers if layer.weights]


@pytest.mark.parametrize(
    ("share", "first", "second"),
    [
        # Of six layers with weights.
        (1 / 6, ["first", "a1", "a2", "b1", "b2"], ["last"]),
        # Two or three are inside the second block.
        (2 / 6, ["first", "a1", "a2"], ["b1", "b2", "last"]),
        (3 / 6, ["first", "a1", "a2"], ["b1", "b2", "last"]),
        (4 / 6, ["first"], ["a1", "a2", "b1", "b2", "last"]),
    ],
)
def test_it_is_split_between_blocks(network, share, first, second):
    bottom, top = split_network(network, share)
    assert (weighted(bottom), weighted(top)) == (first, second)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    again = top.predict_on_batch(bottom.predict_on_batch(images))
    assert again == pytest.approx(network.predict_on_batch(images), abs=1e-6)


def test_one_part_may_be_empty(network):
    assert split_network(network, 0.0) == (network, None)
    assert split_network(network, 1.0) == (None, network)


def with_strides(strides):
    """Each stage is a convolution with an activation; a skip goes around the second."""
    x = inputs = keras.Input((16, 16, 3))
    for index, stride in enumerate(strides):
        x = layers.Conv2D(index + 2, 3, strides=stride, padding="same", name=f"c{index}")(x)
        x = layers.ReLU(name=f"a{index}")(x)
    x = layers.Add()([x, layers.Conv2D(len(strides) + 1, 1)(x)])
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def test_the_last_map_of_each_earlier_resolution_is_averaged_and_appended():
    plain = with_strides((2, 1, 2, 2))
    images = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    wanted = [plain.output, *(plain.get_layer(name).output for name in ("a1", "a2"))]
    expected = [np.asarray(part) for part in keras.Model(plain.input, wanted)(images)]
    expected[1:] = [part.mean((1, 2)) for part in expected[1:]]
    found = with_all_stages(plain)(images)
    assert np.asarray(found) == pytest.approx(np.concatenate(expected, 1), abs=1e-6)


def test_maps_of_full_size_are_left_out_and_without_others_nothing_changes():
    plain = with_strides((1, 1, 2))
    assert with_all_stages(plain) is plain


def test_roots_keep_the_sign_and_are_about_the_square_roots():
    x = np.array([[-4.0, -1e-6, 0.0, 1.0, 9.0]], np.float32)
    found = np.asarray(signed_root(keras.ops.convert_to_tensor(x)))[0]
    assert found[2] == 0
    # (sqrt(x + 0.01) - 0.1), by hand.
    assert found[[0, 3, 4]] == pytest.approx([-1.902498, 0.904988, 2.901666], abs=1e-5)
    # The slope at 0 is 1 / 0.2.
    assert found[1] == pytest.approx(-5e-6, rel=1e-3)
