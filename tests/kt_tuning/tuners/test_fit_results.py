"""What `HyperModel.fit` may do: its own loop, epochs and results; what Keras may log."""

import keras
import keras_tuner
import numpy as np
import pytest
from small_tables import TRAIN, VALIDATION, dense
from tiny_models import tiny

import kt_tuning as kt
from kt_tuning.core.errors import SearchError


def search(hypermodel, folder, objective="val_loss", **options):
    tuner = kt.RandomSearch(hypermodel, objective, max_trials=1, seed=1, directory=folder)
    arguments = {"epochs": 2, "validation_data": VALIDATION, "verbose": 0, **options}
    tuner.search(*TRAIN, **{k: v for k, v in arguments.items() if v is not None})
    return tuner


class Returning(keras_tuner.HyperModel):
    """Returns what it was made with, in place of training."""

    def __init__(self, returned):
        super().__init__()
        self.returned = returned

    def build(self, hp):
        return dense(hp)

    def fit(self, hp, model, *args, **kwargs):
        return self.returned


@pytest.mark.parametrize(
    ("returned", "score"),
    [
        (3, 3.0),
        (np.float32(0.5), 0.5),
        ({"val_loss": 0.25, "other": 1}, 0.25),
        ([1.0, {"val_loss": 2.0}], 1.5),
    ],
    ids=["number", "numpy", "dict", "list"],
)
def test_a_result_is_the_score(returned, score, tmp_path):
    assert search(Returning(returned), tmp_path).results()["val_loss"].iloc[0] == score


def test_without_an_objective_a_number_is_minimised(tmp_path):
    assert search(Returning(2.0), tmp_path, None).oracle.get_best_trials()[0].score == 2.0
    with pytest.raises(TypeError, match=r"HyperModel\.fit\(\) to be a single float"):
        search(Returning({"val_loss": 1.0}), tmp_path / "other", None)


def test_several_objectives_are_summed_with_their_directions(tmp_path):
    results = search(dense, tmp_path, ["val_loss", "val_accuracy"], epochs=1).results()
    summed = results["val_loss"] - results["val_accuracy"]
    assert results["multi_objective"].iloc[0] == pytest.approx(summed.iloc[0], abs=1e-6)


def test_epochs_come_from_the_hyperparameters(tmp_path):
    class Epochs(keras_tuner.HyperModel):
        def build(self, hp):
            return dense(hp)

        def fit(self, hp, model, *args, **kwargs):
            return model.fit(*args, epochs=hp.Int("epochs", 3, 3), **kwargs)

    assert list(search(Epochs(), tmp_path, epochs=None).results()["epochs"]) == [3]


def test_without_epochs_fit_trains_one(tmp_path):
    assert list(search(dense, tmp_path, epochs=None).results()["epochs"]) == [1]


def test_the_first_epoch_may_be_a_later_one(tmp_path):
    # Keras counts epochs from 0: those with index 2 and 3 are left of 4.
    tuner = search(dense, tmp_path, epochs=4, initial_epoch=2)
    assert list(tuner.results()["epochs"]) == [2]


def test_validation_may_be_measured_in_some_epochs_only(tmp_path):
    history = search(dense, tmp_path, epochs=4, validation_freq=2).history()
    assert list(history["val_loss"].notna()) == [False, True, False, True]


def test_an_objective_that_is_never_measured_is_named(tmp_path):
    # A callback of the user might log it.
    callbacks = [keras.callbacks.TerminateOnNaN()]
    with pytest.raises(SearchError, match="'val_loss' is not among what training measures"):
        search(dense, tmp_path, validation_data=None, callbacks=callbacks)


def test_the_mean_of_a_vector_metric_is_the_score(tmp_path):
    def build(hp):
        model = dense(hp)
        f1 = keras.metrics.F1Score(average=None, name="f1")
        model.compile("sgd", "categorical_crossentropy", metrics=[f1])
        return model

    one_hot = [(x, keras.utils.to_categorical(y)) for x, y in (TRAIN, VALIDATION)]
    objective = kt.Objective("val_f1", "max")
    tuner = kt.RandomSearch(build, objective, max_trials=1, seed=1, directory=tmp_path)
    tuner.search(*one_hot[0], validation_data=one_hot[1], verbose=0)
    model = tuner.get_best_models()[0]
    # By hand: F1 of a class is 2 tp / (2 tp + fp + fn).
    chosen, truth = np.argmax(model.predict(one_hot[1][0], verbose=0), axis=1), VALIDATION[1]
    hits = [np.sum((chosen == c) & (truth == c)) for c in (0, 1)]
    either = [np.sum(chosen == c) + np.sum(truth == c) for c in (0, 1)]
    expected = np.mean([2 * h / e for h, e in zip(hits, either, strict=True)])
    assert tuner.results()["val_f1"].iloc[0] == pytest.approx(expected, abs=1e-5)


class Subclassed(keras.Model):
    """A model that only a call builds."""

    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units, activation="softmax")

    def call(self, inputs):
        return self.dense(inputs)


def sequential(units):
    return keras.Sequential([keras.layers.Dense(units, activation="softmax")])


@pytest.mark.parametrize("make", [sequential, Subclassed])
def test_executions_of_a_model_that_learns_its_input_in_fit(tmp_path, make):
    def build(hp):
        model = make(hp.Int("units", 2, 2))
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    tuner = kt.RandomSearch(
        build, "val_loss", max_trials=1, executions_per_trial=2, directory=tmp_path
    )
    tuner.search(*TRAIN, validation_data=VALIDATION, verbose=0)
    assert tuner.get_best_models()[0].predict(VALIDATION[0], verbose=0).shape == (8, 2)


def test_names_of_the_recipe_are_free_in_users_hypermodels(tmp_path, make_tuner, stripes):

    def build(hp):
        for name in ("augment", "mixup", "balance"):
            hp.Boolean(name)
        hp.Choice("batch_size", ["few", "many"])
        return tiny(hp)

    tuner = make_tuner(build, max_trials=1, epochs=1)
    tuner.search(stripes)
    assert list(tuner.results()["status"]) == ["COMPLETED"]


def test_a_compiled_metric_is_the_objective_with_image_data(make_tuner, stripes):

    def build(hp):
        model = tiny(hp)
        top = keras.metrics.SparseTopKCategoricalAccuracy(1, name="top")
        model.compile("adam", "sparse_categorical_crossentropy", metrics=[top])
        return model

    tuner = make_tuner(build, objective=kt.Objective("val_top", "max"), max_trials=1)
    tuner.search(stripes)
    # the first of one is the predicted class
    assert tuner.results()["val_top"].iloc[0] == pytest.approx(
        tuner.results()["val_accuracy"].iloc[0], abs=1e-6
    )
