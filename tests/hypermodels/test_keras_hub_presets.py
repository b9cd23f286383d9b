"""Backbones of KerasHub; a stand-in for the package, which reads and writes presets as it does."""

import json
import sys
import types

import keras
import numpy as np
import pytest
from keras import layers

from hypermodels import LinearProbe
from hypermodels.backbone import BackboneError
from hypermodels.backbones import at_hand, find_backbone

HANDLE = "hf://keras/tiny.1"


class Network(keras.Model):
    """What `keras_hub.models.Backbone` makes: pixels -> feature maps."""

    @classmethod
    def from_preset(cls, preset):
        if preset != HANDLE:
            with open(f"{preset}/config.json", encoding="utf-8") as file:
                assert json.load(file) == {"made": "by the stand-in"}
        keras.utils.set_random_seed(2)
        inputs = keras.Input((None, None, 3))
        return cls(inputs, layers.Conv2D(4, 3, name="convolution")(inputs))

    def save_to_preset(self, folder):
        with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
            json.dump({"made": "by the stand-in"}, file)


class Converter:
    scale, offset = [0.5, 0.25, 0.125], [1.0, 2.0, 3.0]

    @classmethod
    def from_preset(cls, preset):
        return cls()

    def save_to_preset(self, folder):
        pass


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("KT_TUNING_BACKBONES", str(tmp_path))
    monkeypatch.setattr("hypermodels.keras_hub_presets.unreachable", lambda url: None)
    return tmp_path


@pytest.fixture
def keras_hub(monkeypatch, folder):
    """A module that knows one handle."""
    found = types.SimpleNamespace(
        models=types.SimpleNamespace(Backbone=Network),
        layers=types.SimpleNamespace(ImageConverter=Converter),
    )
    monkeypatch.setitem(sys.modules, "keras_hub", found)
    return found


def test_without_the_package_it_says_what_to_install(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(BackboneError, match=r"pip install 'kt-tuning\[keras-hub\]'"):
        LinearProbe((8, 8, 3), 2, backbone=HANDLE)


def test_the_scaling_is_that_of_the_preset(keras_hub):
    backbone = find_backbone(HANDLE, "imagenet", None)
    backbone.check()
    images = np.random.default_rng(0).uniform(0, 255, (2, 6, 6, 3)).astype("float32")
    scaled = images * [0.5, 0.25, 0.125] + [1, 2, 3]
    expected = np.array(Network.from_preset(HANDLE)(scaled)).mean((1, 2))
    assert backbone.values == "raw"
    assert backbone.load(6, 6).predict(images, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_what_was_fetched_is_at_hand_and_its_source_is_known(keras_hub, folder):
    find_backbone(HANDLE, "imagenet", None).check()
    found = at_hand()
    assert list(found) == ["EfficientNetLite0", "keras-tiny-1"]
    assert found["keras-tiny-1"].origin.source == HANDLE
    assert sorted(path.name for path in folder.iterdir()) == ["keras-tiny-1", "keras-tiny-1.json"]


def test_it_is_fetched_once(keras_hub, monkeypatch):
    find_backbone(HANDLE, "imagenet", None).check()
    monkeypatch.setattr("hypermodels.keras_hub_presets.unreachable", lambda url: "no network")
    assert find_backbone(HANDLE, "imagenet", None).load(6, 6).output_shape == (None, 4)


def test_without_a_network_it_is_refused_in_one_line(keras_hub, folder, monkeypatch):
    monkeypatch.setattr("hypermodels.keras_hub_presets.unreachable", lambda url: "no network")
    with pytest.raises(BackboneError, match=f"^{HANDLE} cannot be downloaded: no network$"):
        LinearProbe((8, 8, 3), 2, backbone=HANDLE)
    assert not list(folder.iterdir())


def test_what_the_hub_does_not_know_leaves_nothing_behind(keras_hub, folder):
    with pytest.raises(BackboneError, match="hf://keras/other cannot be downloaded"):
        LinearProbe((8, 8, 3), 2, backbone="hf://keras/other")
    assert not list(folder.iterdir())


def test_a_damaged_preset_is_left_out(keras_hub, folder, caplog):
    (folder / "damaged").mkdir()
    (folder / "damaged" / "config.json").write_text("{}")
    assert list(at_hand()) == ["EfficientNetLite0"]
    assert "cannot be read as a preset of images" in caplog.text
