"""What models compute with, on a CPU."""

import keras
import keras_tuner
import numpy as np
import pytest
from tiny_models import tiny

from hypermodels import ConvNet
from kt_tuning import Recipe, devices
from kt_tuning.errors import OptionError
from kt_tuning.trials.building import new_model
from kt_tuning.trials.precision import computing


def policy():
    return keras.config.dtype_policy().name


@pytest.fixture
def bfloat16_by_the_user():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("float32", "float32"),
        ("auto", "float32"),
        ("mixed_bfloat16", "mixed_bfloat16"),
        ("mixed_float16", "mixed_float16"),
    ],
)
def test_a_policy_is_set_and_restored(precision, expected):
    with computing(precision):
        assert policy() == expected
    assert policy() == "float32"


def test_a_policy_is_restored_after_an_error():
    with pytest.raises(ZeroDivisionError), computing("mixed_bfloat16"):
        _ = 1 / 0
    assert policy() == "float32"


@pytest.mark.usefixtures("bfloat16_by_the_user")
def test_what_the_user_has_set_is_left_as_it_is():
    for precision in ("float32", "auto"):
        with computing(precision):
            assert policy() == "mixed_bfloat16"
    assert policy() == "mixed_bfloat16"


def test_auto_is_what_the_device_is_fastest_in(monkeypatch):
    turing = devices.Devices("gpu", ("/device:GPU:0",), 1, (7, 5))
    monkeypatch.setattr(devices, "unasked_devices", lambda: turing)
    with computing("auto"):
        assert policy() == "mixed_float16"
    with computing("float32"):
        assert policy() == "float32"


def test_a_search_trains_in_mixed_precision_and_returns_float32(make_tuner, stripes, tmp_path):
    computed = []

    class Noted(ConvNet):
        def build(self, hp):
            computed.append(policy())
            return super().build(hp)

    tuner = make_tuner(
        Noted(stripes.input_shape, stripes.classes, stages=1, filters=4),
        recipe=Recipe(batch_size=8, precision="mixed_bfloat16"),
        max_trials=1,
    )
    built = len(computed)
    tuner.search(stripes, verbose=False)
    assert "mixed_bfloat16" in computed[built:]
    assert list(tuner.results()["status"]) == ["COMPLETED"]
    assert policy() == "float32"
    kept = np.load(next(tuner.run_directory.glob("trial_*")) / "val_predictions.npy")
    assert kept.dtype == np.float32
    assert kept.sum(axis=1) == pytest.approx(np.ones(len(kept)), abs=1e-6)
    model = tuner.best_model()
    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"float32"}
    predicted = model.predict_on_batch(stripes.validation.images)
    # bfloat16 has 8 bits of mantissa
    assert np.abs(predicted - kept).max() < 0.05


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_weights_and_probabilities_are_float32(precision):
    model = new_model(
        ConvNet((8, 8, 1), 2, stages=1, filters=4), keras_tuner.HyperParameters(), precision
    )
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.outputs[0].dtype == "float32"
    assert precision.removeprefix("mixed_") in {layer.compute_dtype for layer in model.layers}


def test_probabilities_of_half_precision_are_refused():
    hypermodel = type("Tiny", (keras_tuner.HyperModel,), {"build": lambda self, hp: tiny(hp)})()
    with pytest.raises(OptionError, match=r"dtype='float32'.*Received: bfloat16"):
        new_model(hypermodel, keras_tuner.HyperParameters(), "mixed_bfloat16")
