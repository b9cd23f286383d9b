"""Building models: precision, names, what is no model."""

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
from kt_tuning.trials.building import computing, new_model, own_families, training_precision


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


def test_without_data_what_builds_no_model_is_named_as_in_keras_tuner(tmp_path):
    tuner = kt.RandomSearch(lambda hp: None, objective="val_accuracy", directory=tmp_path)
    with pytest.raises(keras_tuner.errors.FatalTypeError, match="Expected the model-building"):
        tuner.search()


def test_networks_are_shared_only_where_nobody_else_can_train_them():
    shape = (8, 8, 3)

    class Own(ConvNet):
        pass

    convnet, families = ConvNet(shape, 2), Families({"a": ConvNet(shape, 2)})
    assert own_families(convnet) == [convnet]
    assert own_families(RecipeHyperModel(families, Recipe())) == [families.members["a"]]
    for other in (
        Own(shape, 2),
        Families({"a": ConvNet(shape, 2), "b": Own(shape, 2)}),
        RecipeHyperModel(lambda hp: convnet.build(hp), Recipe()),
    ):
        assert own_families(other) == []
