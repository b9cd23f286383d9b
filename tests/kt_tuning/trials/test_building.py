"""Precision of models, and layers that can crash the process."""

import logging

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers
from tiny_models import tiny

import kt_tuning as kt
from hypermodels import ConvNet, Families, FineTune
from kt_tuning import Recipe, devices
from kt_tuning.core.errors import OptionError
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.trials import building
from kt_tuning.trials.building import computing, new_model, training_precision, warnings_when_built


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


@pytest.fixture
def with_units_for_bfloat16(monkeypatch):
    """A processor with units for matrices of bfloat16, or what takes itself for one."""
    found = devices.Devices("cpu", ("/device:CPU:0",), 1, bfloat16=True)
    monkeypatch.setattr(devices, "unasked_devices", lambda: found)


@pytest.mark.usefixtures("with_units_for_bfloat16")
def test_auto_is_bfloat16_on_a_processor_with_units_for_it():
    with computing("auto") as computed:
        assert policy() == computed == "mixed_bfloat16"
    assert policy() == "float32"


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
    assert np.array_equal(model.predict_on_batch(stripes.validation.images), kept)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_weights_and_probabilities_are_float32(precision):
    model = new_model(
        ConvNet((8, 8, 1), 2, stages=1, filters=4), keras_tuner.HyperParameters(), precision
    )
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.outputs[0].dtype == "float32"
    assert precision.removeprefix("mixed_") in {layer.compute_dtype for layer in model.layers}


SHAPE = (8, 8, 3)


class OwnBuild(ConvNet):
    def build(self, hp):
        return super().build(hp)


def own_backbone():
    pixels = keras.Input(SHAPE)
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(pixels))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: ConvNet(SHAPE, 2), "auto"),
        (lambda: Families.named(["convnet", "mlp"], SHAPE, 2), "auto"),
        (lambda: FineTune(SHAPE, 2, weights=None), "auto"),
        (lambda: FineTune(SHAPE, 2, backbone=own_backbone()), "float32"),
        (lambda: OwnBuild(SHAPE, 2), "float32"),
        (lambda: tiny, "float32"),
        (lambda: keras_tuner.applications.HyperResNet(input_shape=SHAPE, classes=2), "float32"),
    ],
    ids=[
        "ours",
        "families",
        "named backbone",
        "own backbone",
        "own build",
        "function",
        "keras_tuner.applications",
    ],
)
def test_auto_is_float32_for_all_but_our_own_models(make, expected):
    hypermodel = RecipeHyperModel(make(), Recipe())
    assert training_precision(hypermodel, "auto", {}) == expected
    assert training_precision(hypermodel, "mixed_bfloat16", {}) == "mixed_bfloat16"


@pytest.mark.parametrize(("family", "expected"), [("ours", "auto"), ("own", "float32")])
def test_of_several_families_the_chosen_one_decides(family, expected):
    members = {"ours": ConvNet(SHAPE, 2), "own": OwnBuild(SHAPE, 2)}
    hypermodel = RecipeHyperModel(Families(members), Recipe())
    assert training_precision(hypermodel, "auto", {"family": family}) == expected


class Built(keras_tuner.HyperModel):
    """Builds what a function makes."""

    def __init__(self, build):
        super().__init__()
        self.build = build


def from_tensor(hp):
    """What returns its outputs is no layer."""
    model = tiny(hp)
    scaled = keras.Model(model.inputs[0], model.outputs[0] * 1)
    scaled.compile("sgd", model.loss)
    return scaled


def dislikes_bfloat16(hp):
    if policy() != "float32":
        raise TypeError("float32 only")
    return tiny(hp)


def test_the_last_layer_is_made_to_return_float32():
    model = new_model(Built(tiny), keras_tuner.HyperParameters(), "mixed_bfloat16")
    assert model.layers[-1].compute_dtype == "float32"
    assert "bfloat16" in {layer.compute_dtype for layer in model.layers}
    x = np.zeros((2, *model.input_shape[1:]), "float32")
    assert model(x).dtype == "float32"


def test_probabilities_of_half_precision_are_refused():
    with pytest.raises(OptionError, match="dtype='float32'"):
        new_model(Built(from_tensor), keras_tuner.HyperParameters(), "mixed_bfloat16")


@pytest.mark.usefixtures("with_units_for_bfloat16")
@pytest.mark.parametrize("build", [from_tensor, dislikes_bfloat16])
def test_what_cannot_be_built_in_bfloat16_is_left_in_float32_by_auto(build, caplog):
    with caplog.at_level("INFO", "kt_tuning"):
        model = new_model(Built(build), keras_tuner.HyperParameters(), "auto")
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert "The model is built in float32; building it in mixed_bfloat16 failed: " in caplog.text


@pytest.mark.parametrize(
    ("name", "accepted"),
    [("_net", "net"), ("my model!", "my_model_"), ("_", "model"), ("net-2", "net-2")],
)
def test_a_name_that_tensorflow_refuses_is_replaced(name, accepted):
    def named(hp):
        model = keras.Sequential([keras.Input((2,)), layers.Dense(2)], name=name)
        model.compile("adam", "mse")
        return model

    hypermodel = RecipeHyperModel(named, Recipe())
    model = new_model(hypermodel, keras_tuner.HyperParameters())
    assert model.name == accepted
    assert model.predict(np.zeros((1, 2)), verbose=0).shape == (1, 2)


@pytest.mark.usefixtures("with_units_for_bfloat16")
def test_an_error_of_the_users_own_is_raised():
    with pytest.raises(ZeroDivisionError):
        new_model(Built(lambda hp: 1 / 0), keras_tuner.HyperParameters(), "auto")


AVX512, AVX2 = 16, 8


def names(layer, shape, block=AVX512, **compiling):
    model = keras.Sequential([keras.Input(shape), layer])
    if compiling:
        model.compile(**compiling)
    return building.unsafe_layers(model, block)


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
        assert building.unsafe_layers(outer, AVX512) == expected


@pytest.fixture
def _avx512(monkeypatch):
    monkeypatch.setattr(building, "onednn_channel_block", lambda: AVX512)


def unsafe(hp):
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 1, strides=2, name="thin")])


@pytest.mark.usefixtures("_avx512")
def test_building_a_model_for_training_warns_by_name(caplog):
    class Unsafe(keras_tuner.HyperModel):
        def build(self, hp):
            return unsafe(hp)

    building.build_model(Unsafe(), keras_tuner.HyperParameters())
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("kt_tuning", logging.WARNING)
    assert "layer 'thin' can crash the process" in record.getMessage()
    assert "fewer than 16 channels" in record.getMessage()


def test_a_process_whose_tensorflow_lacks_onednn_is_told_once(caplog, monkeypatch):
    monkeypatch.setattr(building, "onednn_came_late", lambda: True)
    building.warn_of_missing_onednn()
    (record,) = caplog.records
    assert "import kt_tuning first" in record.getMessage()
    monkeypatch.setattr(devices, "unasked_devices", lambda: devices.Devices("gpu", ("gpu",), 1))
    building.warn_of_missing_onednn()
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("_avx512")
def test_no_warning_where_tensorflow_computes_on_a_gpu(caplog, monkeypatch):
    monkeypatch.setattr(devices, "unasked_devices", lambda: devices.Devices("gpu", ("gpu",), 1))
    building.warn_of_unsafe_layers(unsafe(None))
    assert caplog.records == []


@pytest.mark.usefixtures("_avx512")
def test_layers_that_the_training_builds_are_warned_of_when_it_begins(caplog):
    model = keras.Sequential([layers.Conv2D(1, 1, strides=2, name="thin")])
    (callback,) = warnings_when_built(model)
    building.warn_of_unsafe_layers(model)
    assert caplog.records == []
    model.build((None, 8, 8, 3))
    callback.on_train_begin(None)
    assert "'thin'" in caplog.records[0].getMessage()
    assert warnings_when_built(model) == []


def test_without_data_what_builds_no_model_is_named_as_in_keras_tuner(tmp_path):
    tuner = kt.RandomSearch(lambda hp: None, objective="val_accuracy", directory=tmp_path)
    with pytest.raises(keras_tuner.errors.FatalTypeError, match="Expected the model-building"):
        tuner.search()
