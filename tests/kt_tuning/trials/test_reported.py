"""What a search reports is what the models that it returns score, to the last digit."""

import keras
import keras_tuner
import numpy as np
import pytest
from tiny_models import tiny

from hypermodels import ConvNet, Families, FineTune
from kt_tuning import Recipe
from kt_tuning.core.errors import OptionError
from kt_tuning.core.records import TrialRecord
from kt_tuning.evaluation import score
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.trials import (
    Decision,
    ImageTask,
    KerasTask,
    TrialSpec,
    has_own_fit,
    new_model,
    run_trial,
)
from kt_tuning.trials.weights import load_weights

BFLOAT16 = Recipe(batch_size=8, precision="mixed_bfloat16")


def conv_net(stripes):
    """Batch normalisation and averaged weights: what is measured must be what is kept."""
    return ConvNet(stripes.input_shape, 2, stages=1, filters=4, norm="batch", ema=0.9)


def normalized(hp):
    """A model of the user's own."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(hp.Int("filters", 2, 8), 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    metrics = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(1, name="top")]
    model.compile("adam", "sparse_categorical_crossentropy", metrics=metrics)
    return model


@pytest.mark.parametrize(
    ("hypermodel", "precision"),
    [(conv_net, "mixed_bfloat16"), (lambda data: normalized, "float32")],
    ids=["bfloat16", "float32"],
)
def test_every_metric_is_that_of_the_returned_model(hypermodel, precision, make_tuner, stripes):
    recipe = Recipe(batch_size=8, precision=precision)
    tuner = make_tuner(hypermodel(stripes), recipe=recipe)
    tuner.search(stripes, verbose=False)
    ordered = tuner.results().sort_values("val_accuracy", ascending=False, kind="stable")
    images, labels = stripes.validation.images, stripes.validation.labels
    for (trial, reported), model in zip(ordered.iterrows(), tuner.get_best_models(2), strict=True):
        # Batches of 32 here, of 256 in the trial.
        predictions = model.predict(images, verbose=0)
        kept = np.load(tuner.run_directory / f"trial_{trial}" / "val_predictions.npy")
        assert np.array_equal(kept, predictions)
        measured = score(labels, predictions, ["log_loss", "accuracy", "f1", "roc_auc", "brier"])
        assert reported["val_loss"] == measured.pop("log_loss")
        for name, value in measured.items():
            assert reported[f"val_{name}"] == value
        assert tuner.study.trials[reported["number"]].value == reported["val_accuracy"]


@pytest.mark.parametrize("hypermodel", [conv_net, lambda data: normalized], ids=["ours", "own"])
def test_what_keras_measures_is_that_of_the_returned_model(hypermodel, make_tuner, stripes):
    tuner = make_tuner(hypermodel(stripes), recipe=BFLOAT16, max_trials=1, epochs=1)
    validation = (stripes.validation.images, stripes.validation.labels)
    tuner.search(
        stripes.train.images, stripes.train.labels, validation_data=validation, batch_size=5
    )
    (reported,) = tuner.results().to_dict("records")
    model = tuner.best_model()
    measured = model.evaluate(*validation, batch_size=5, verbose=0, return_dict=True)
    assert {name: reported[f"val_{name}"] for name in measured} == measured


def test_fine_tuning_in_16_bits_is_returned_in_float32(make_tuner, stripes):
    network = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3), keras.layers.Conv2D(4, 3)]
    )
    hypermodel = FineTune(stripes.input_shape, 2, backbone=network, values="tf", unfreeze=0.5)
    tuner = make_tuner(hypermodel, recipe=BFLOAT16, max_trials=1, epochs=1)
    tuner.search(stripes, verbose=False)
    (reported,) = tuner.results().to_dict("records")
    predictions = tuner.best_model().predict(stripes.validation.images, verbose=0)
    accuracy = (predictions.argmax(1) == stripes.validation.labels).mean()
    assert reported["val_accuracy"] == accuracy


def test_16_bits_cannot_be_measured_on_a_part_of_the_training_data(make_tuner, stripes):
    x, y = stripes.train.images, stripes.train.labels
    tuner = make_tuner(recipe=BFLOAT16)
    with pytest.raises(OptionError, match="`validation_data` in place of `validation_split`"):
        tuner.search(x, y, validation_split=0.5)


def paused_after_an_epoch(directory, stripes):
    directory.mkdir()
    wrapped = RecipeHyperModel(conv_net(stripes), BFLOAT16)
    hp = keras_tuner.HyperParameters()
    spec = TrialSpec(
        trial_id="0",
        number=0,
        hp=hp,
        epochs=2,
        seed=3,
        directory=directory,
    )
    task = ImageTask(wrapped, stripes, BFLOAT16, objectives=["val_loss"])
    objectives = [keras_tuner.Objective("val_loss", "min")]
    run_trial(spec, lambda news: Decision.PAUSE, tasks=[task], objectives=objectives)
    model = new_model(wrapped, hp)
    load_weights(model, directory / "model.weights.h5")
    return TrialRecord.load(directory / "paused.json"), model


def test_a_paused_trial_too(tmp_path, stripes):
    record, model = paused_after_an_epoch(tmp_path / "trial", stripes)
    predictions = model.predict(stripes.validation.images, verbose=0)
    assert record.metrics["val_loss"] == score(stripes.validation.labels, predictions)["log_loss"]
    assert record.scores == (record.metrics["val_loss"],)


def test_a_users_own_model_is_not_trained_in_16_bits_unasked(make_tuner, stripes, monkeypatch):
    """A year is a multiple of 8 in bfloat16: what tells two of them apart would be lost."""
    from kt_tuning import devices

    found = devices.Devices("cpu", ("/device:CPU:0",), 1, bfloat16=True)
    monkeypatch.setattr(devices, "unasked_devices", lambda: found)
    computed = []

    def build(hp):
        computed.append(keras.config.dtype_policy().name)
        return tiny(hp)

    make_tuner(build, max_trials=1, epochs=1).search(stripes)
    assert set(computed) == {"float32"}


def test_a_fit_that_may_change_the_data_is_not_trained_in_16_bits_unasked(stripes):
    class Own(ConvNet):
        def fit(self, hp, model, x, y, **options):
            return super().fit(hp, model, x[::2], y[::2], **options)

    for kind, own in ((ConvNet, False), (Own, True)):
        hypermodel = kind(stripes.input_shape, 2)
        for one in (
            hypermodel,
            Families({"one": hypermodel}),
            RecipeHyperModel(hypermodel, BFLOAT16),
        ):
            assert has_own_fit(one) == own
        task = KerasTask(hypermodel, (), {}, precision="auto")
        assert (task.precision == "float32") == own


def test_the_fit_of_a_users_wrapper_is_its_own(stripes):
    class Wrapper(keras_tuner.HyperModel):
        def __init__(self, wrapped):
            super().__init__()
            self.wrapped = wrapped

        def build(self, hp):
            return self.wrapped.build(hp)

        def fit(self, hp, model, *args, **options):
            return model.fit(*args, **options)

    assert has_own_fit(Wrapper(ConvNet(stripes.input_shape, 2)))
