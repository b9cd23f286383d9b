"""Exports of a linear probe predict as its features and its head do."""

from __future__ import annotations

import importlib.util

import keras
import keras_tuner
import numpy as np
import pytest
from export_models import PIXELS, make_card, random_images
from keras import layers

from hypermodels import LinearProbe
from hypermodels.frozen import Features
from kt_tuning.export import FORMATS, export_model

IMAGES = random_images(200)


@pytest.fixture(scope="module")
def probe() -> keras.Model:
    """Solved for labels that say little: probabilities far from 0 and 1."""
    keras.utils.set_random_seed(0)
    backbone = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, strides=2, use_bias=False),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
        ]
    )
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_mean.assign([0.1, -0.2, 0.3, 0.0])
            layer.moving_variance.assign([0.5, 2.0, 1.0, 0.1])
    hypermodel = LinearProbe(PIXELS.shape, 3, backbone=backbone, values="tf", mirror=True)
    hp = keras_tuner.HyperParameters()
    model = hypermodel.build(hp)
    labels = IMAGES[:, :, :, 0].mean((1, 2)).argsort().argsort() * 3 // len(IMAGES)
    hypermodel.fit(hp, model, Features(model.frozen.features(IMAGES), labels))
    return model


@pytest.mark.parametrize("name", ["saved_model", "litert", "onnx"])
def test_features_and_head_are_what_is_served(name, probe, tmp_path):
    row = FORMATS[name]
    if any(importlib.util.find_spec(package) is None for package in row.packages):
        pytest.skip(f"needs the extra {row.extra!r}")
    expected = probe.frozen.classify(probe.frozen.features(IMAGES))
    assert len(np.unique(expected.argmax(1))) == 3
    exported = export_model(
        probe, tmp_path / "1", format=name, card=make_card(), check_images=IMAGES
    )
    assert exported.probabilities == pytest.approx(expected, abs=1e-4)
    assert (exported.probabilities.argmax(1) == expected.argmax(1)).all()
