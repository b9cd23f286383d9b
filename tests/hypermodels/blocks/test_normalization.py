"""Each norm against its formula."""

import keras
import numpy as np
import pytest

from hypermodels.blocks import MISSING_NORMS, NORMS, needs_bias, normalize

USABLE = [kind for kind in NORMS if kind not in MISSING_NORMS]
RNG = np.random.default_rng(0)
MAPS = RNG.normal(2, 3, (4, 5, 6, 32)).astype(np.float32)


def layer_of(kind, shape=MAPS.shape[1:], **options):
    inputs = keras.Input(shape)
    return keras.Model(inputs, normalize(inputs, kind, **options))


def standardised(x, axis):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 1e-5)


def test_batch_norm_standardises_each_channel_of_the_batch():
    found = layer_of("batch")(MAPS, training=True)
    assert np.array(found) == pytest.approx(standardised(MAPS, (0, 1, 2)), abs=1e-4)


def test_layer_norm_standardises_each_position():
    assert np.array(layer_of("layer")(MAPS)) == pytest.approx(standardised(MAPS, 3), abs=1e-4)


def test_layer_norm_takes_sequences():
    steps = MAPS[:, 0]
    found = layer_of("layer", steps.shape[1:], epsilon=1e-6)(steps)
    assert np.array(found) == pytest.approx(standardised(steps, 2), abs=1e-4)


@pytest.mark.parametrize(("channels", "groups"), [(32, 2), (24, 3), (8, 1), (10, 5)])
def test_group_norm_standardises_sixteen_channels_of_an_image(channels, groups):
    maps = MAPS[..., :channels]
    grouped = maps.reshape(4, 5, 6, groups, channels // groups)
    expected = standardised(grouped, (1, 2, 4)).reshape(maps.shape)
    assert np.array(layer_of("group", maps.shape[1:])(maps)) == pytest.approx(expected, abs=1e-4)


def test_local_response_norm_follows_krizhevsky():
    squares = np.square(MAPS)
    activity = np.stack(
        [squares[..., max(0, i - 2) : i + 3].sum(axis=-1) for i in range(32)], axis=-1
    )
    expected = MAPS / (2 + 1e-4 * activity) ** 0.75
    assert np.array(layer_of("local_response")(MAPS)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.skipif("batch_renorm" in MISSING_NORMS, reason="Keras has it since 3.14")
def test_batch_renorm_corrects_towards_the_moving_statistics():
    model = layer_of("batch_renorm")
    model(MAPS, training=True)
    moments = {v.name: np.array(v) for v in model.non_trainable_variables}
    x = MAPS[:2] * 1.5 + 1
    mean, deviation = x.mean((0, 1, 2)), np.sqrt(x.var((0, 1, 2)) + 1e-5)
    r = np.clip(deviation / moments["renorm_stddev"], 1 / 3, 3)
    d = np.clip((mean - moments["renorm_mean"]) / moments["renorm_stddev"], -5, 5)
    expected = (x - mean) / deviation * r + d
    assert np.array(model(x, training=True)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", USABLE)
def test_every_norm_is_saved_with_its_model(kind, tmp_path):
    model = layer_of(kind)
    model.save(tmp_path / "norm.keras")
    again = keras.models.load_model(tmp_path / "norm.keras")
    assert np.array(again(MAPS)) == pytest.approx(np.array(model(MAPS)), abs=1e-6)


@pytest.mark.parametrize("kind", USABLE)
def test_a_bias_is_needed_where_the_norm_has_none(kind):
    betas = [v for v in layer_of(kind).trainable_variables if v.name == "beta"]
    assert needs_bias(kind) == (not betas)


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="Received: norm='instance'"):
        layer_of("instance")


def test_a_norm_that_keras_lacks_is_refused(monkeypatch):
    monkeypatch.setitem(MISSING_NORMS, "group", "Keras 9.0 or newer. Installed: 3.8.0")
    with pytest.raises(ValueError, match=r"norm='group' needs Keras 9\.0 or newer"):
        layer_of("group")
