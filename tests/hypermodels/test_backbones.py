"""Where pre-trained networks come from."""

import keras
import numpy as np
import pytest
from keras import layers

from hypermodels.backbone import BackboneError, error_text
from hypermodels.backbone_files import SavedBackbone
from hypermodels.backbones import find_backbone
from hypermodels.model_backbone import ModelBackbone
from hypermodels.named_backbone import NamedBackbone


def network():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [keras.Input((6, 6, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5)]
    )


IMAGES = np.random.default_rng(0).random((2, 6, 6, 3))


def features(model):
    return layers.Flatten()(model.layers[0](IMAGES)).numpy()


def test_a_file_is_read_anew_each_time(tmp_path):
    model = network()
    model.save(tmp_path / "net.keras")
    found = find_backbone(str(tmp_path / "net.keras"), "imagenet", "tf")
    assert isinstance(found, SavedBackbone)
    assert (found.values, str(found)) == ("tf", str(tmp_path / "net.keras"))
    first, second = found.load(6, 6), found.load(6, 6)
    assert first.predict_on_batch(IMAGES) == pytest.approx(features(model), abs=1e-6)
    assert not {id(layer) for layer in first.layers} & {id(layer) for layer in second.layers}


def test_layers_get_names_that_tensorflow_takes_in_graphs():
    keras.utils.set_random_seed(1)
    inner = keras.Sequential([keras.Input((4, 4, 4)), layers.Conv2D(2, 1, name="größe")])
    names = ["a b", "a_b"]
    first, second = (layers.Conv2D(4, 3, name=name, padding="same") for name in names)
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, inner(second(first(inputs))))
    expected = model(IMAGES[:, :4, :4]).numpy().mean((1, 2))
    loaded = find_backbone(model, "imagenet", "tf").load(4, 4)
    assert [layer.name for layer in loaded.layers[1:3]] == ["a_b_", "a_b"]
    assert loaded.predict(IMAGES[:, :4, :4], verbose=0) == pytest.approx(expected, abs=1e-6)


def test_what_keras_adds_to_an_error_is_left_out():
    model = keras.Sequential([keras.Input((2, 2, 3)), layers.Lambda(lambda x: x.missing)])
    with pytest.raises(AttributeError, match="Exception encountered") as caught:
        model(np.zeros((1, 2, 2, 3)))
    text = error_text(caught.value)
    assert "\x1b" not in text
    assert "Arguments received" not in text
    assert not text.startswith("Exception")


def test_a_model_is_copied():
    model = network()
    model.compile("adam", "mse")
    found = find_backbone(model, "imagenet", None)
    expected = features(model)
    model.set_weights([0 * weights for weights in model.get_weights()])
    assert isinstance(found, ModelBackbone)
    for _ in range(2):
        assert found.load(6, 6).predict_on_batch(IMAGES) == pytest.approx(expected, abs=1e-6)
    # 3·9·4 + 4 and 64·5 + 5
    assert (found.values, str(found)) == ("raw", f"{model.name} (437 parameters)")


def test_a_named_network_is_at_least_as_large_as_it_must_be():
    found = find_backbone("MobileNet", None, None)
    assert isinstance(found, NamedBackbone)
    assert (found.pretrained, found.values, str(found)) == (False, "tf", "MobileNet (None)")
    assert found.load(8, 12).input_shape == (None, 32, 48, 3)


@pytest.mark.parametrize(
    "error", [Exception("URL fetch failure on https://…: None"), TimeoutError("timed out")]
)
def test_without_a_network_the_message_says_what_to_do(monkeypatch, error):
    def offline(**arguments):
        raise error

    offline.__module__ = "keras.src.applications.mobilenet"
    monkeypatch.setattr(keras.applications, "MobileNet", offline)
    with pytest.raises(BackboneError, match="weights of MobileNet cannot"):
        NamedBackbone("MobileNet", "imagenet").load(32, 32)


def test_a_silent_server_of_other_networks_is_asked_before_they_are_made(monkeypatch):
    monkeypatch.setattr("hypermodels.named_backbone.unreachable", lambda url: "no answer")
    with pytest.raises(BackboneError, match=r"weights of VGG16 cannot be downloaded .no answer"):
        NamedBackbone("VGG16", "imagenet").check()


def test_a_damaged_file_of_weights_is_refused_at_once(tmp_path):
    path = tmp_path / "mobilenet.weights.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(BackboneError, match="cannot be read as weights of MobileNet"):
        NamedBackbone("MobileNet", str(path)).check()


@pytest.mark.parametrize(
    ("source", "weights", "message"),
    [
        ("MobileNetV9", None, r"network 'MobileNetV9'\. Did you mean 'MobileNetV2'"),
        ("nowhere.keras", None, "no file nowhere.keras"),
        ("MobileNet", "nowhere.h5", "Received: weights='nowhere.h5'"),
        (keras.Sequential([layers.Dense(2)]), None, "is not built"),
    ],
)
def test_what_is_not_there_is_named(source, weights, message):
    with pytest.raises(ValueError, match=message):
        find_backbone(source, weights, None)
