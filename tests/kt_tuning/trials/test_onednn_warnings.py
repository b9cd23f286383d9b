"""Warnings of layers that can crash the process, and of a training without oneDNN."""

import logging

import keras
import keras_tuner
import pytest
from keras import layers

from kt_tuning import devices
from kt_tuning.trials import onednn_warnings
from kt_tuning.trials.building import build_model

AVX512, AVX2 = 16, 8


def names(layer, shape, block=AVX512, **compiling):
    model = keras.Sequential([keras.Input(shape), layer])
    if compiling:
        model.compile(**compiling)
    return onednn_warnings.unsafe_layers(model, block)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Conv2D(4, 1, strides=2, name="thin"), (8, 8, 3)),
        (layers.Conv2D(4, 1, strides=(2, 1), name="thin"), (8, 9, 15)),
        (layers.Conv2D(4, 1, strides=3, padding="same", name="thin"), (None, None, 1)),
        (layers.Conv1D(4, 1, strides=2, name="thin"), (8, 3)),
        (layers.Conv2DTranspose(3, 1, strides=2, name="thin"), (4, 4, 32)),
        (layers.Conv1DTranspose(3, 1, strides=2, name="thin"), (4, 32)),
        (layers.ConvLSTM2D(4, 1, strides=2, name="thin"), (2, 8, 8, 3)),
    ],
)
def test_strided_pointwise_convolutions_of_few_channels_are_unsafe(layer, shape):
    assert names(layer, shape) == ["thin"]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Conv2D(4, 1), (8, 8, 3)),
        (layers.Conv2D(4, 2, strides=2), (8, 8, 3)),
        (layers.Conv2D(4, (1, 3), strides=2), (8, 8, 3)),
        (layers.Conv2D(4, 1, strides=2), (8, 8, 16)),
        # oneDNN takes another way where strides leave pixels over.
        (layers.Conv2D(4, 1, strides=2), (9, 9, 3)),
        (layers.Conv2D(4, 1, strides=2, groups=2), (8, 8, 4)),
        (layers.Conv2DTranspose(16, 1, strides=2), (4, 4, 3)),
        (layers.Conv3D(4, 1, strides=2), (8, 8, 8, 3)),
        (layers.DepthwiseConv2D(1, strides=2), (8, 8, 3)),
        (layers.SeparableConv2D(4, 1, strides=2), (8, 8, 3)),
        (layers.MaxPooling2D(1, strides=2), (8, 8, 3)),
    ],
)
def test_others_are_safe(layer, shape):
    assert names(layer, shape) == []


def test_eight_channels_are_safe_without_avx512():
    made = [layers.Conv2D(4, 1, strides=2, name=f"of_{n}") for n in (7, 8)]
    shapes = [(8, 8, n) for n in (7, 8)]
    assert [names(*pair, AVX2) for pair in zip(made, shapes, strict=True)] == [["of_7"], []]
    assert names(layers.Conv2D(4, 1, strides=2), (8, 8, 1), block=0) == []


def test_what_xla_compiles_is_safe():
    assert names(layers.Conv2D(4, 1, strides=2), (8, 8, 3), loss="mse", jit_compile=True) == []


def test_layers_in_other_layers_are_found():
    inputs = keras.Input((8, 8, 3))
    thin = layers.Conv2D(4, 1, strides=2, name="thin")(inputs)
    encoder = keras.Model(inputs, thin, name="encoder")
    stacked = keras.Sequential([keras.Input((8, 8, 3)), encoder], name="stacked")
    frames = keras.Input((2, 8, 8, 3))
    each = layers.TimeDistributed(layers.Conv2D(4, 1, strides=2, name="frame"), name="each")
    for outer, expected in [
        (keras.Model(inputs, stacked(inputs)), ["stacked/encoder/thin"]),
        (keras.Model(frames, each(frames)), ["each/frame"]),
    ]:
        assert onednn_warnings.unsafe_layers(outer, AVX512) == expected


@pytest.fixture
def _avx512(monkeypatch):
    monkeypatch.setattr(onednn_warnings, "onednn_channel_block", lambda: AVX512)


def unsafe(hp):
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 1, strides=2, name="thin")])


@pytest.mark.usefixtures("_avx512")
def test_building_a_model_for_training_warns_by_name(caplog):
    class Unsafe(keras_tuner.HyperModel):
        def build(self, hp):
            return unsafe(hp)

    build_model(Unsafe(), keras_tuner.HyperParameters())
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("kt_tuning", logging.WARNING)
    assert "layer 'thin' can crash the process" in record.getMessage()
    assert "fewer than 16 channels" in record.getMessage()


def test_a_process_whose_tensorflow_lacks_onednn_is_told(caplog, monkeypatch):
    monkeypatch.setattr(onednn_warnings, "lacks_onednn", lambda: True)
    onednn_warnings.warn_of_missing_onednn()
    (record,) = caplog.records
    assert "import kt_tuning first" in record.getMessage()
    monkeypatch.setattr(devices, "unasked_devices", lambda: devices.Devices("gpu", ("gpu",), 1))
    onednn_warnings.warn_of_missing_onednn()
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("_avx512")
def test_no_warning_where_tensorflow_computes_on_a_gpu(caplog, monkeypatch):
    monkeypatch.setattr(devices, "unasked_devices", lambda: devices.Devices("gpu", ("gpu",), 1))
    onednn_warnings.warn_of_unsafe_layers(unsafe(None))
    assert caplog.records == []


@pytest.mark.usefixtures("_avx512")
def test_layers_that_the_training_builds_are_warned_of_when_it_begins(caplog):
    model = keras.Sequential([layers.Conv2D(1, 1, strides=2, name="thin")])
    (callback,) = onednn_warnings.warnings_when_built(model)
    onednn_warnings.warn_of_unsafe_layers(model)
    assert caplog.records == []
    model.build((None, 8, 8, 3))
    callback.on_train_begin(None)
    assert "'thin'" in caplog.records[0].getMessage()
    assert onednn_warnings.warnings_when_built(model) == []
