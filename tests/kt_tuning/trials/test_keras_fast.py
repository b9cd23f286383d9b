"""Our training loop and memory do what Keras' do."""

import contextlib

import keras
import numpy as np
import pytest
from tensorflow.python.framework import ops

from hypermodels import ConvNet
from kt_tuning.augment import Mixing, mix
from kt_tuning.data.batch_loader import DATA_WAIT, FollowEpochs, Loader
from kt_tuning.data.batches import Batches, Random
from kt_tuning.trials.building import new_model
from kt_tuning.trials.keras_fast import forget_gradients, is_prepared, prepare_classifier


def mixed(images, labels, uniforms, weights):
    return mix(Mixing(1, 1), images, labels, uniforms, weights, classes=2)


MIXED = Random(mixed, Mixing().draws)


@pytest.fixture
def make(stripes):
    """Make models that are alike, and their loaders: the last batch of an epoch is smaller."""
    loaders = contextlib.ExitStack()

    def model(**options):
        keras.utils.set_random_seed(5)
        options = {"stages": 1, "filters": 4, "dropout": 0.2, **options}
        hypermodel = ConvNet(stripes.input_shape, stripes.classes, **options)
        import keras_tuner

        return new_model(hypermodel, keras_tuner.HyperParameters())

    def load(**options):
        return loaders.enter_context(Loader(Batches(stripes.train, 10, seed=1, **options)))

    with loaders:
        yield model, load


class Diary(keras.callbacks.Callback):
    """Notes everything that it is told."""

    def __init__(self):
        super().__init__()
        self.events = []

    def on_train_begin(self, logs=None):
        self.events.append(("begin", self.params["epochs"], self.params["steps"]))

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append(("epoch", epoch))

    def on_train_batch_end(self, batch, logs=None):
        self.events.append(("batch", batch, logs["loss"]))

    def on_epoch_end(self, epoch, logs=None):
        self.events.append(("end", epoch))


WEIGHTS = {0: 0.5, 1: 2.0}


@pytest.mark.parametrize(
    "options",
    [{}, {"class_weight": WEIGHTS}, {"mix": MIXED}, {"mix": MIXED, "class_weight": WEIGHTS}],
    ids=lambda options: "-".join(options) or "plain",
)
def test_weights_history_and_callbacks_are_those_of_keras(options, make):
    build, load = make
    results = []
    for prepare in (False, True):
        model, loader, diary = build(), load(**options), Diary()
        if prepare:
            prepare_classifier(model, 2)
        history = model.fit(
            loader,
            epochs=3,
            initial_epoch=1,
            callbacks=[FollowEpochs(loader), diary],
            verbose=0,
            shuffle=False,
        )
        results.append((model.get_weights(), history, diary.events))
    (weights, history, events), (our_weights, our_history, our_events) = results
    for theirs, ours in zip(weights, our_weights, strict=True):
        assert np.allclose(theirs, ours, rtol=1e-4, atol=1e-6)
    assert our_history.epoch == history.epoch == [1, 2]
    waits = our_history.history.pop(DATA_WAIT)
    assert all(0 <= wait <= 1 for wait in waits)
    assert our_history.history.keys() == history.history.keys()
    for name, values in history.history.items():
        assert our_history.history[name] == pytest.approx(values, rel=1e-4)
    assert [event[:2] for event in our_events] == [event[:2] for event in events]
    numbers = [
        [event[2] for event in found if event[0] == "batch"] for found in (events, our_events)
    ]
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-4)


def test_a_callback_stops_training_within_an_epoch(make):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    model, diary = make[0](), Diary()
    prepare_classifier(model, 2)
    history = model.fit(make[1](), epochs=5, callbacks=[diary, Stop()], verbose=0)
    assert [event[0] for event in diary.events] == ["begin", "epoch", "batch", "batch", "end"]
    assert history.epoch == [0]


def test_a_metric_of_several_values_is_logged_as_its_mean(make):
    class Shares(keras.metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            pass

        def result(self):
            return keras.ops.array([0.25, 0.75])

    model, diary = make[0](), Diary()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=[Shares(name="shares")])
    prepare_classifier(model, 2)
    history = model.fit(make[1](), callbacks=[diary], verbose=0)
    assert history.history["shares"] == [0.5]


def test_an_error_in_the_data_is_raised(make):
    def broken(images, uniforms):
        raise OSError("disk on fire")

    model = make[0]()
    prepare_classifier(model, 2)
    with pytest.raises(OSError, match="disk on fire"):
        model.fit(make[1](augment=Random(broken, 0)), verbose=0)


def test_what_the_loop_does_not_know_is_left_to_keras(make, stripes):
    model = make[0](schedule="constant")
    prepare_classifier(model, 2)
    images, labels = stripes.train.images, stripes.train.labels
    history = model.fit(images, labels, validation_data=(images, labels), epochs=1, verbose=0)
    assert "val_loss" in history.history
    history = model.fit(make[1](), steps_per_epoch=2, verbose=0)
    assert history.epoch == [0]


def test_a_step_that_the_user_wrote_is_used(make):
    class Doubled(keras.Model):
        def train_step(self, data):
            return {**super().train_step(data), "mine": 7.0}

    plain = make[0]()
    model = Doubled(plain.inputs[0], plain.outputs)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    prepare_classifier(model, 2)
    history = model.fit(make[1](), verbose=0)
    assert history.history["mine"] == [7.0]


def test_accuracy_on_soft_labels_is_that_of_the_likelier_class(stripes):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy", metrics=["accuracy"])
    prepare_classifier(model, 2)
    batches = Batches(stripes.train, 10, seed=1, mix=MIXED)
    with Loader(batches) as loader:
        history = model.fit(loader, verbose=0).history
    parts = [batches.read(0, index) for index in range(len(batches))]
    images, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    right = model.predict_on_batch(images).argmax(axis=1) == targets.argmax(axis=1)
    assert history["accuracy"] == pytest.approx([right.mean()])


def freeze_and_unfreeze(model, loader):
    """Two phases of transfer learning, as Keras' guide writes them; weights after each."""
    body = [layer for layer in model.layers[:-2] if layer.weights]
    weights = [model.get_weights()]
    for trainable, optimizer in ((False, "adam"), (True, keras.optimizers.SGD(0.05))):
        for layer in body:
            layer.trainable = trainable
        metrics = ["accuracy", *([] if trainable else ["sparse_top_k_categorical_accuracy"])]
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=metrics)
        following = [FollowEpochs(loader)]
        history = model.fit(loader, epochs=2, callbacks=following, verbose=0, shuffle=False)
        weights.append(model.get_weights())
        assert len(history.history) == 2 + len(metrics) - 1 + (DATA_WAIT in history.history)
    return weights


def test_a_model_that_is_compiled_anew_is_trained_as_it_is_compiled(make):
    build, load = make
    options = {"schedule": "constant", "dropout": 0.0}
    keras_trained = freeze_and_unfreeze(build(**options), load())
    model = build(**options)
    prepare_classifier(model, 2)
    # The step is traced.
    model.fit(load(), verbose=0)
    model.set_weights(build(**options).get_weights())
    ours = freeze_and_unfreeze(model, load())
    for theirs, mine in zip(keras_trained, ours, strict=True):
        for one, other in zip(theirs, mine, strict=True):
            assert np.allclose(one, other, rtol=1e-3, atol=1e-5)
    # The first kernel is frozen in the first phase, and learns in the second one.
    first = [weights[0] for weights in ours]
    assert np.array_equal(first[0], first[1])
    assert not np.allclose(first[1], first[2])


def test_trainable_takes_effect_when_it_is_compiled(make):
    model = make[0]()
    prepare_classifier(model, 2)
    loader = make[1]()
    model.fit(loader, verbose=0)
    model.trainable = False
    before = model.get_weights()
    model.fit(loader, verbose=0)
    assert any(map(np.any, map(np.subtract, before, model.get_weights())))


def test_one_that_is_compiled_to_run_eagerly_does(make):
    eager = []

    class Look(keras.layers.Layer):
        def call(self, x):
            import tensorflow as tf

            eager.append(tf.executing_eagerly())
            return x

    plain = make[0]()
    model = keras.Model(plain.inputs[0], Look()(plain.outputs[0]))
    model.compile("sgd", "sparse_categorical_crossentropy")
    prepare_classifier(model, 2)
    assert is_prepared(model)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    assert not is_prepared(model)
    eager.clear()
    model.fit(make[1](), verbose=0)
    assert set(eager) == {True}


def train():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.zeros((4, 2)), np.zeros(4), verbose=0)
    return model


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow has one")
def test_a_trained_model_leaves_nothing_and_still_works():
    registry = ops.gradient_registry._registry
    train()
    before = set(registry)
    with forget_gradients():
        model = train()
        assert registry.keys() > before
    assert set(registry) == before
    model.fit(np.zeros((4, 2)), np.zeros(4), verbose=0)
