"""A pre-trained network learns something new, from the solved classifier on."""

import pickle

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from striped import striped_images

from hypermodels.finetune import FineTune
from hypermodels.frozen import extract
from hypermodels.logistic_regression import fit_classifier

FIXED = {
    "values": "tf",
    "unfreeze": 0.5,
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


class Batches(keras.utils.PyDataset):
    """Batches from a list."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


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


def test_the_classifier_and_the_top_learn_together(trained):
    weights = trained[-1]
    assert [weights.changed(epoch) for epoch in range(4)] == [{"logits", "top"}] * 4
    assert weights.losses[-1] < weights.losses[0]


def test_training_begins_with_the_solved_classifier(network):
    hypermodel = FineTune((8, 8, 1), 2, backbone=network, **FIXED)
    model, found = build(hypermodel), []
    images, labels = striped_images(16)
    expected = fit_classifier(extract(model.start, images, labels), 2)
    fit(
        hypermodel,
        model,
        epochs=1,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_train_begin=lambda logs: found.extend(model.get_layer("logits").get_weights())
            )
        ],
    )
    for ours, solved in zip(found, expected, strict=True):
        assert ours == pytest.approx(solved, rel=1e-5)


def test_few_steps_change_the_weights_little(network):
    hypermodel = FineTune((8, 8, 1), 2, backbone=network, **FIXED)
    model = build(hypermodel)
    before = model.get_layer("backbone_top").get_weights()
    fit(hypermodel, model, epochs=2)
    after = model.get_layer("backbone_top").get_weights()
    # 4 of 100 steps: each changes a weight by 4% of the rate at most, and decays it.
    change = max(float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True))
    assert 0 < change < 1.1 * 4 * 0.04 * 3e-4


def test_normalisation_keeps_the_statistics_it_came_with(network):
    expected = keras.Model(network.inputs[0], network.layers[-2].output)
    model = build(FineTune((8, 8, 3), 2, backbone=network, values="tf", unfreeze=0.5))
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    features = expected.predict_on_batch(images / 127.5 - 1)
    assert model.start.features(images) == pytest.approx(features, abs=1e-5)


def test_both_parts_make_the_whole(trained):
    model, (images, _) = trained[2], striped_images(4)
    parts = model.frozen.classify(model.frozen.features(images))
    assert parts == pytest.approx(model.predict_on_batch(images), abs=1e-6)


def test_on_features_of_its_frozen_part_it_learns_what_it_learns_on_images(network):
    images, labels = striped_images(16)
    weights = []
    for frozen in (False, True):
        keras.utils.set_random_seed(2)
        hypermodel = FineTune((8, 8, 1), 2, backbone=network, dropout=0.0, **FIXED)
        model, seen = build(hypermodel), Weights()
        batches = [(images[i : i + 8], labels[i : i + 8]) for i in (0, 8)]
        start = extract(model.start, images, labels)
        if frozen:
            batches = [(model.frozen.features(x), y) for x, y in batches]
        hypermodel.fit(
            keras_tuner.HyperParameters(),
            model,
            Batches(batches),
            start=start,
            frozen=frozen,
            epochs=2,
            shuffle=False,
            verbose=0,
            callbacks=[seen],
        )
        assert len(seen.epochs) == 3
        weights.append(model.get_weights())
    for images_, features in zip(*weights, strict=True):
        assert features == pytest.approx(images_, abs=1e-5)


def test_the_model_that_was_passed_is_not_changed(trained):
    network = trained[0]
    assert network.trainable
    for expected, ours in zip(make_network().get_weights(), network.get_weights(), strict=True):
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
    assert backbone.input_shape == (None, 96, 96, 3)
    assert model.count_params() == backbone.count_params() + 1024 * 2 + 2
    assert len(backbone.trainable_variables) == len(model.trainable_variables) - 2
    names = {hp.name for hp in hypermodel.hyperparameters().space}
    assert {"size", "dropout"} <= names
    assert "unfreeze" not in names


def test_a_sketch_has_the_same_space_without_a_download():
    sketch = FineTune.sketch((8, 8, 1), 2, backbone="MobileNet", size=128)
    names = {hp.name for hp in sketch.hyperparameters().space}
    assert "unfreeze" in names
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
    # Three times 40 and 32 pixels: the shorter side is 96
    assert model.get_layer("backbone").input_shape == (None, 120, 96, 3)
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 32, 1)).astype(np.uint8)
    large = keras.ops.image.resize(np.repeat(images, 3, axis=3).astype("float32"), (120, 96))
    larger = keras.applications.MobileNet(
        input_shape=(120, 96, 3), include_top=False, weights=weights, pooling="avg"
    )
    expected = larger.predict_on_batch(np.asarray(large) / 127.5 - 1)
    assert model.start.features(images) == pytest.approx(expected, abs=1e-4)
    assert model.get_layer("backbone_top").trainable_variables


def test_with_random_weights_networks_of_keras_are_searched():
    hypermodel = FineTune((32, 32, 3), 2, weights=None, size=32, space="wide")
    hypermodel.backbone_origin(space := keras_tuner.HyperParameters())
    (backbone,) = space.space
    assert backbone.values[:3] == ["EfficientNetB0", "MobileNetV2", "ResNet50V2"]
    assert len(backbone.values) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"normalization": ([0.0] * 3, [1.0] * 3)}, "has its own preprocessing"),
        ({"values": "pytorch"}, "`values` is one of raw, tf, torch, caffe"),
        ({"unfreeze": 3}, "share of the backbone's layers, 0 to 1. Received: unfreeze=3"),
        ({"unfreze": 0.5}, "no hyperparameter 'unfreze'"),
    ],
)
def test_wrong_arguments_are_refused(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(FineTune((8, 8, 3), 2, backbone=network, **arguments))


def test_an_impossible_size_is_refused():
    with pytest.raises(ValueError, match="size=8"):
        build(FineTune((8, 8, 3), 2, backbone="MobileNet", weights=None, size=8))
