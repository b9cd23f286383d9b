"""Keras models in the folder of backbones."""

import json
import re

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from hypermodels import FineTune, LinearProbe
from hypermodels.backbone import BackboneError, file_digest
from hypermodels.backbone_files import backbone_folder, pixel_values
from hypermodels.backbones import at_hand, find_backbone
from kt_tuning.data.pixel_cache import cache_folder


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("KT_TUNING_BACKBONES", str(tmp_path))
    return tmp_path


def save(path, *first):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8, 8, 3)), *first, layers.Conv2D(4, 3)])
    model.save(path)
    return path


@pytest.mark.parametrize("variable", ["KT_TUNING_CACHE", "XDG_CACHE_HOME", None])
def test_the_folder_is_where_images_are_cached(monkeypatch, tmp_path, variable):
    for name in ("KT_TUNING_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if variable is not None:
        monkeypatch.setenv(variable, str(tmp_path))
    assert backbone_folder() == cache_folder() / "backbones"


def test_values_are_told_by_json_by_the_name_or_by_a_layer(folder):
    plain = save(folder / "plain.keras")
    assert pixel_values(plain) == ""
    assert pixel_values(save(folder / "a.torch.keras")) == "torch"
    assert pixel_values(save(folder / "b.v2.keras")) == ""
    assert pixel_values(save(folder / "c.keras", layers.Rescaling(1 / 255))) == "raw"
    nested = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 127.5, -1)])
    assert pixel_values(save(folder / "d.keras", nested)) == "raw"
    # This one takes what has been rescaled already.
    assert pixel_values(save(folder / "e.keras", layers.Rescaling(2.0))) == ""
    (folder / "a.json").write_text('{"values": "caffe"}')
    assert pixel_values(folder / "a.torch.keras") == "caffe"


def test_files_are_searched_with_what_is_installed(folder):
    save(folder / "own.tf.keras")
    space = LinearProbe((16, 16, 3), 2).hyperparameters()
    (backbone,) = [entry for entry in space.space if entry.name == "backbone"]
    assert (backbone.values, backbone.default) == (
        ["EfficientNetLite0", "own"],
        "EfficientNetLite0",
    )
    hp = keras_tuner.HyperParameters()
    hp.values = {"backbone": "own"}
    hypermodel = LinearProbe((16, 16, 3), 2, size=96)
    model = hypermodel.build(hp)
    assert model.get_layer("backbone").input_shape == (None, 8, 8, 3)
    assert not FineTune((16, 16, 3), 2).allows_mixed_precision
    origin = hypermodel.backbone_origin(hp)
    assert (origin.name, origin.licence) == ("own", None)
    assert origin.digest == f"sha256:{file_digest(folder / 'own.tf.keras')}"


def test_a_trial_keeps_its_network_when_another_one_comes(folder):
    before = LinearProbe((16, 16, 3), 2).hyperparameters()
    assert before.values["backbone"] == "EfficientNetLite0"
    save(folder / "a.tf.keras")
    after = LinearProbe((16, 16, 3), 2).hyperparameters()
    after.values = dict(before.values)
    assert LinearProbe((16, 16, 3), 2).backbone_origin(after).name == "EfficientNetLite0"


def test_what_a_json_file_says_is_kept(folder):
    path = save(folder / "own.keras")
    told = {"values": "raw", "licence": "MIT", "data": "leaves", "sha256": file_digest(path)}
    (folder / "own.json").write_text(json.dumps(told))
    origin = at_hand()["own"].origin
    assert (origin.licence, origin.data, origin.source) == ("MIT", "leaves", str(path))


def broken(folder):
    (folder / "own.tf.keras").write_bytes(b"no archive")


def cut(folder):
    content = save(folder / "own.tf.keras").read_bytes()
    (folder / "own.tf.keras").write_bytes(content[: len(content) // 2])


def untold(folder):
    save(folder / "own.keras")


def other_digest(folder):
    save(folder / "own.tf.keras")
    (folder / "own.json").write_text(json.dumps({"sha256": "0" * 64}))


def wrong_json(folder):
    save(folder / "own.tf.keras")
    (folder / "own.json").write_text('{"value": "tf"}')


def known_name(folder):
    save(folder / "efficientnetlite0.tf.keras")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (broken, "cannot be read as a Keras model"),
        (cut, "cannot be read as a Keras model"),
        (untold, r"pixels of .*own.keras look like is not known. .*own.tf.keras"),
        (other_digest, "is damaged or another version: its SHA256 is"),
        (wrong_json, r"Received: \{'value': 'tf'\}"),
        (known_name, "another network is called efficientnetlite0"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_one_line(folder, caplog, spoil, message):
    spoil(folder)
    assert list(at_hand()) == list(at_hand()) == ["EfficientNetLite0"]
    (said,) = caplog.messages
    assert "is not used" in said
    assert "\n" not in said
    assert re.search(message, said)


def test_a_file_that_was_named_is_taken_to_be_raw_and_that_is_said(folder, caplog):
    path = save(folder / "own.keras")
    assert find_backbone(str(path), "imagenet", None).values == "raw"
    assert "nothing tells what its pixels look like" in caplog.text
    caplog.clear()
    assert find_backbone(str(path), "imagenet", "tf").values == "tf"
    assert find_backbone(str(save(folder / "b.tf.keras")), "imagenet", None).values == "tf"
    assert not caplog.messages


def test_a_broken_file_that_was_named_is_refused_at_once(folder):
    broken(folder)
    with pytest.raises(BackboneError, match="cannot be read as a Keras model"):
        FineTune((16, 16, 3), 2, backbone=folder / "own.tf.keras")


def test_a_name_in_the_folder_can_be_passed(folder):
    save(folder / "own.tf.keras")
    model = find_backbone("own", "imagenet", None).load(8, 8)
    assert model.predict(np.zeros((1, 8, 8, 3)), verbose=0).shape == (1, 4)
