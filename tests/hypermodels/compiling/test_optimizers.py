import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import Space
from hypermodels.compiling import choose_optimizer
from hypermodels.compiling.optimizers import MUON_SINCE
from hypermodels.space import missing_before

CLASSES = {
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "lion": keras.optimizers.Lion,
}
HAS_MUON = not missing_before(MUON_SINCE, "muon")
if HAS_MUON:
    CLASSES["muon"] = keras.optimizers.Muon
needs_muon = pytest.mark.skipif(not HAS_MUON, reason="Keras has no such Muon before 3.13")


def optimizer(**fixed):
    fixed.setdefault("schedule", "constant")
    return choose_optimizer(Space(keras_tuner.HyperParameters(), fixed))[0]


def registered(wide=False, **fixed):
    hp = keras_tuner.HyperParameters()
    choose_optimizer(Space(hp, fixed, wide=wide))
    return {entry.name: entry for entry in hp.space}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_optimizer_is_chosen_by_name(kind):
    made = optimizer(optimizer=kind)
    assert type(made) is CLASSES[kind]
    decay = None if kind in ("adam", "rmsprop") else 5e-3
    assert made.weight_decay == decay
    assert (made.use_ema, made.global_clipnorm, made.gradient_accumulation_steps) == (
        False,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("sgd", "sgd_learning_rate"),
        ("lion", "lion_learning_rate"),
        pytest.param("muon", "adaptive_learning_rate", marks=needs_muon),
    ],
)
def test_each_kind_has_the_rate_of_its_own_range(kind, name):
    made = optimizer(optimizer=kind, **{name: 0.03125})
    assert float(made.learning_rate) == 0.03125


def test_hyperparameters_exist_for_the_optimizers_that_have_them():
    space = registered()
    conditions = {
        name: [condition.values for condition in space[name].conditions]
        for name in ("momentum", "adaptive_learning_rate", "weight_decay", "warmup", "decay")
    }
    assert conditions == {
        "momentum": [["sgd"]],
        "adaptive_learning_rate": [["adam", "adamw", "rmsprop"]],
        "weight_decay": [["sgd", "adamw"]],
        "warmup": [["cosine"]],
        "decay": [["exponential"]],
    }


def test_what_is_rare_is_searched_in_a_wide_space_only():
    rare = {
        "lion_learning_rate",
        "nesterov",
        "restarts",
        "drops",
        "drop_factor",
        "plateau_factor",
        "plateau_patience",
        "ema",
        "clip_norm",
        "accumulation",
    }
    assert registered(wide=True).keys() - registered().keys() == rare


def test_momentum_is_plain_or_nesterovs():
    assert optimizer(momentum=0.9).nesterov
    assert not optimizer(momentum=0.9, nesterov=False).nesterov
    assert not optimizer(momentum=0).nesterov


def test_biases_and_scales_are_not_decayed():
    made = optimizer(weight_decay=0.1, sgd_learning_rate=1.0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.add(keras.layers.BatchNormalization(beta_initializer="ones"))
    dense, norm = model.layers
    dense.bias.assign(np.ones(3))
    kernel = np.array(dense.kernel)
    made.apply(
        [np.zeros(v.shape, np.float32) for v in model.trainable_variables],
        model.trainable_variables,
    )
    assert np.array(dense.kernel) == pytest.approx(0.9 * kernel)
    assert np.array([dense.bias, norm.gamma, norm.beta]) == pytest.approx(np.ones((3, 3)))


def test_gradients_are_clipped_by_the_norm_of_all_together():
    made = optimizer(clip_norm=1.0, sgd_learning_rate=1.0, momentum=0.0, weight_decay=0.0)
    variables = [keras.Variable([0.0]), keras.Variable([0.0])]
    made.apply([np.array([3.0], np.float32), np.array([4.0], np.float32)], variables)
    assert np.ravel(variables) == pytest.approx([-0.6, -0.8])


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_accumulated_batches_equal_one_large_batch(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 5)).astype(np.float32)
    y = rng.integers(0, 3, 24)

    def trained(batches):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, "tanh")])
        model.add(keras.layers.Dense(3, "softmax"))
        made = optimizer(optimizer=kind, accumulation=batches)
        model.compile(made, "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=12 // batches, epochs=3, shuffle=False, verbose=0)
        return np.concatenate([weights.ravel() for weights in model.get_weights()])

    assert np.abs(trained(4) - trained(1)).max() < 1e-5


@needs_muon
def test_muon_leaves_the_logits_to_adamw():
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(8, name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(hidden))
    made = optimizer(optimizer="muon")
    made.build(model.trainable_variables)
    adamw = {v.path.split("/")[-1] for v in made.variables if "velocity" in v.path}
    assert any("logits_kernel" in name for name in adamw)
    assert not any("hidden_kernel" in name for name in adamw)


def test_an_older_keras_has_no_muon(monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.12.4")
    assert registered(wide=True)["optimizer"].values == ["sgd", "adam", "adamw", "rmsprop", "lion"]
    with pytest.raises(
        ValueError, match=r"'muon' needs Keras 3\.13 or newer\. Installed: 3\.12\.4"
    ):
        optimizer(optimizer="muon")
