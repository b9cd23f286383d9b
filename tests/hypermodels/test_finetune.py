"""A pre-trained network learns something new in two phases."""

import pickle

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from striped import striped_images

from hypermodels.finetune import FineTune
from hypermodels.two_speed import TwoSpeed

FIXED = {
    "values": "tf",
    "unfreeze": 0.5,
    "frozen_epochs": 0.5,
    "fine_tune_rate": 0.5,
    "schedule": "constant",
}


def make_network():
    """Two convolutions with batch normalisation, and a classifier of five other classes."""
    keras.utils.set_random_seed(1)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, name="bottom"),
            layers.BatchNormalization(name="bottom_norm"),
            layers.ReLU(),
            layers.Conv2D(6, 3, name="top"),
            layers.BatchNormalization(name="top_norm"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    network.get_layer("top_norm").moving_mean.assign(np.arange(6.0) / 10)
    return network


@pytest.fixture
def network():
    return make_network()


def build(hypermodel):
    return hypermodel.build(keras_tuner.HyperParameters())


def fit(hypermodel, model, count=16, **options):
    images, labels = striped_images(count)
    hp = keras_tuner.HyperParameters()
    return hypermodel.fit(hp, model, images, labels, verbose=0, batch_size=8, **options)


class Weights(keras.callbacks.Callback):
    """Keeps the weights after each epoch, by their paths."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_train_begin(self, logs=None):
        self.on_epoch_end(-1)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append({v.path: np.array(v) for v in self.model.weights})

    def changed(self, epoch):
        """The layers that this epoch has changed."""
        before, after = self.epochs[epoch], self.epochs[epoch + 1]
        return {path.split("/")[-2] for path in after if (before[path] != after[path]).any()}


@pytest.fixture(scope="module")
def trained():
    """A network, a hypermodel on it, and its model with its weights after each of four epochs."""
    network, weights = make_network(), Weights()
    hypermodel = FineTune((8, 8, 1), 2, backbone=network, **FIXED)
    model = build(hypermodel)
    weights.losses = fit(hypermodel, model, 64, epochs=4, callbacks=[weights]).history["loss"]
    return network, hypermodel, model, weights


def test_the_head_learns_first_and_then_the_top_with_it(trained):
    weights = trained[-1]
    phases = [weights.changed(epoch) for epoch in range(4)]
    assert phases[:2] == [{"logits"}] * 2
    assert phases[2:] == [{"logits", "top", "top_norm"}] * 2
    assert weights.losses[-1] < weights.losses[0]


def test_normalisation_keeps_the_statistics_it_came_with(trained):
    norm = trained[2].get_layer("backbone").get_layer("top_norm")
    assert np.array(norm.moving_mean) == pytest.approx(np.arange(6) / 10)
    assert (np.array(norm.moving_variance) == 1).all()


def test_the_model_that_was_passed_is_not_changed(trained):
    network, hypermodel = trained[:2]
    fresh, again = make_network(), build(hypermodel).get_layer("backbone")
    assert network.trainable
    for expected, ours in zip(fresh.get_weights(), network.get_weights(), strict=True):
        assert (expected == ours).all()
    # The backbone lacks the classifier, the last two.
    for expected, ours in zip(fresh.get_weights()[:-2], again.get_weights(), strict=True):
        assert (expected == ours).all()


def test_an_export_predicts_the_same(trained, tmp_path):
    images, _ = striped_images(8)
    trained[2].export(tmp_path / "export", verbose=False)
    # What was loaded owns the variables: it must live until they are read.
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    assert loaded.serve(tf.constant(images)).numpy() == pytest.approx(
        trained[2].predict_on_batch(images), abs=1e-5
    )


def test_with_nothing_unfrozen_only_the_head_ever_learns(network):
    hypermodel = FineTune((8, 8, 1), 2, backbone=network, values="tf", unfreeze=0.0)
    model, weights = build(hypermodel), Weights()
    fit(hypermodel, model, epochs=2, callbacks=[weights])
    assert weights.changed(1) == {"logits"}
    assert not isinstance(model.optimizer, TwoSpeed)
    assert "fine_tune_rate" not in {hp.name for hp in hypermodel.hyperparameters().space}


@pytest.mark.parametrize("schedule", ["constant", "cosine", "exponential"])
def test_the_top_learns_at_a_lower_rate(network, schedule):
    fixed = {**FIXED, "schedule": schedule, "fine_tune_rate": 0.25, "warmup": 0.0}
    if schedule != "cosine":
        del fixed["warmup"]
    model = build(FineTune((8, 8, 1), 2, backbone=network, **fixed))
    slow, fast = model.optimizer.optimizers
    assert float(slow.learning_rate) == pytest.approx(0.25 * float(fast.learning_rate))
    assert float(fast.learning_rate) > 0


def test_it_goes_to_other_processes(network):
    hypermodel = FineTune((8, 8, 1), 2, backbone=network, **FIXED)
    sent = pickle.loads(pickle.dumps(hypermodel))
    ours, theirs = (build(each).get_layer("backbone").get_weights() for each in (hypermodel, sent))
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))


def test_a_saved_model_predicts_and_goes_on_alike(network, tmp_path):
    # Keras forgets what is left out of weight decay.
    fixed = {**FIXED, "dropout": 0.0, "optimizer": "adam"}
    hypermodel = FineTune((8, 8, 1), 2, backbone=network, **fixed)
    model = build(hypermodel)
    images, labels = striped_images(8)
    model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.predict_on_batch(images) == model.predict_on_batch(images)).all()
    for each in (model, loaded):
        each.train_on_batch(images, labels)
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert theirs == pytest.approx(ours, abs=1e-6)


def test_random_weights_are_all_trained_from_the_start():
    hypermodel = FineTune((8, 8, 1), 2, backbone="MobileNet", weights=None)
    model = build(hypermodel)
    backbone = model.get_layer("backbone")
    assert backbone.input_shape == (None, 32, 32, 3)
    assert model.count_params() == backbone.count_params() + 1024 * 2 + 2
    assert len(backbone.trainable_variables) == len(model.trainable_variables) - 2
    names = {hp.name for hp in hypermodel.hyperparameters().space}
    assert {"enlarge", "dropout"} <= names
    assert not names & {"unfreeze", "frozen_epochs", "fine_tune_rate"}


def test_a_sketch_has_the_same_space_without_a_download():
    sketch = FineTune.sketch((8, 8, 1), 2, backbone="MobileNet", enlarge=4)
    names = {hp.name for hp in sketch.hyperparameters().space}
    assert {"unfreeze", "frozen_epochs", "fine_tune_rate"} <= names
    assert FineTune.sketch((8, 8, 1), 2, backbone="MobileNet", weights=None).weights is None


def test_its_default_rate_is_inside_the_range_that_is_searched(network):
    (rate,) = [
        hp
        for hp in FineTune((8, 8, 1), 2, backbone=network).hyperparameters().space
        if hp.name == "adaptive_learning_rate"
    ]
    assert rate.min_value < rate.default < rate.max_value


def test_small_images_are_enlarged_for_a_network_that_has_learned(tmp_path):
    weights = tmp_path / "mobilenet.weights.h5"
    trained = keras.applications.MobileNet(
        input_shape=(32, 32, 3), include_top=False, weights=None, pooling="avg"
    )
    trained.save_weights(weights)
    model = build(FineTune((40, 32, 1), 2, backbone="MobileNet", weights=weights, unfreeze=0.1))
    backbone = model.get_layer("backbone")
    # Three times 40 and 32 pixels: the shorter side is 96
    assert backbone.input_shape == (None, 120, 96, 3)
    loaded = backbone.get_weights()
    assert all((a == b).all() for a, b in zip(trained.get_weights(), loaded, strict=True))
    assert len(backbone.trainable_variables) > 0


def test_with_random_weights_networks_of_keras_are_searched():
    hypermodel = FineTune((32, 32, 3), 2, weights=None, enlarge=1, space="wide")
    hypermodel.backbone_origin(space := keras_tuner.HyperParameters())
    (backbone,) = space.space
    assert backbone.values[:3] == ["EfficientNetB0", "MobileNetV2", "ResNet50V2"]
    assert len(backbone.values) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"normalization": ([0.0] * 3, [1.0] * 3)}, "brings its own preprocessing"),
        ({"values": "pytorch"}, "`values` is one of raw, tf, torch, caffe"),
        ({"unfreeze": 3}, "share of the backbone's layers, 0 to 1. Received: unfreeze=3"),
        ({"unfreze": 0.5}, "no hyperparameter 'unfreze'"),
    ],
)
def test_wrong_arguments_are_refused(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(FineTune((8, 8, 3), 2, backbone=network, **arguments))


def test_an_impossible_enlargement_is_refused():
    with pytest.raises(ValueError, match="enlarge=0"):
        build(FineTune((8, 8, 3), 2, backbone="MobileNet", weights=None, enlarge=0))
