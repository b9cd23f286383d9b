"""`search(x, y, validation_data=…)`, as in KerasTuner."""

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from tiny_models import tiny

from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.trials import onednn_warnings


@pytest.fixture
def arrays(stripes):
    train, validation = stripes.train, stripes.validation
    return (train.images, train.labels), (validation.images, validation.labels)


def test_arrays(make_tuner, arrays):
    (x, y), validation = arrays
    tuner = make_tuner(epochs=2, max_trials=1)
    tuner.search(x, y, validation_data=validation, batch_size=8)
    assert len(tuner.history()) == 2
    # how long Keras waits for data of its own only Keras knows
    assert tuner.history()["data_wait"].isna().all()
    assert {"val_accuracy", "val_loss", "accuracy", "loss"} <= set(tuner.results().columns)
    best = tuner.results()["val_accuracy"].idxmax()
    kept = np.load(tuner.run_directory / f"trial_{best}" / "val_predictions.npy")
    assert np.allclose(kept, tuner.best_model().predict_on_batch(validation[0]), atol=1e-6)


def test_tf_data_sets(make_tuner, arrays):
    train, validation = (tf.data.Dataset.from_tensor_slices(pair).batch(8) for pair in arrays)
    tuner = make_tuner(max_trials=1)
    tuner.search(train, validation_data=validation)
    assert list(tuner.results()["status"]) == ["COMPLETED"]


def test_a_metric_of_the_users_own_is_an_objective(make_tuner, arrays):
    def with_auc(hp):
        model = tiny(hp)
        loss = "sparse_categorical_crossentropy"
        model.compile("adam", loss, metrics=[keras.metrics.SparseTopKCategoricalAccuracy(1, "top")])
        return model

    tuner = make_tuner(with_auc, max_trials=1, objective=keras_tuner.Objective("val_top", "max"))
    tuner.search(*arrays[0], validation_data=arrays[1])
    assert tuner.results()["val_top"].notna().all()


def test_a_fit_that_returns_its_own_number(make_tuner, arrays):
    class Own(keras_tuner.HyperModel):
        def build(self, hp):
            return tiny(hp)

        def fit(self, hp, model, *args, **kwargs):
            return 0.25 if hp.get("units") == 4 else {"val_loss": 0.5}

    tuner = make_tuner(Own(), objective="val_loss", max_trials=3)
    tuner.search(*arrays[0], validation_data=arrays[1])
    assert tuner.results()["val_loss"].iloc[0] == 0.25
    assert tuner.get_best_hyperparameters()[0].get("units") == 4


def test_users_callbacks_are_copied_for_each_trial(make_tuner, arrays):
    class Count(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1
            logs["val_accuracy"] = float(self.epochs == 1)

    tuner = make_tuner(epochs=1)
    counter = Count()
    tuner.search(*arrays[0], validation_data=arrays[1], callbacks=[counter])
    assert counter.epochs == 0


def test_a_missing_metric_is_found_after_one_epoch_of_one_trial(make_tuner, arrays):
    tuner = make_tuner(objective="val_f1")
    with pytest.raises(SearchError, match=r"'val_f1' is not among .* val_accuracy, val_loss"):
        tuner.search(*arrays[0], validation_data=arrays[1])
    assert len(tuner.results()) == 0


def test_no_data_at_all_is_refused(make_tuner):
    with pytest.raises(OptionError, match="needs data"):
        make_tuner().search(epochs=3)


def test_an_ensemble_needs_image_data(make_tuner, arrays):
    tuner = make_tuner(max_trials=1, epochs=1)
    tuner.search(*arrays[0], validation_data=arrays[1])
    with pytest.raises(SearchError, match="ImageData"):
        tuner.ensemble()


def test_a_layer_that_can_crash_the_process_is_named_once_a_search(
    make_tuner, arrays, caplog, monkeypatch
):
    class Untrained(keras_tuner.HyperModel):
        def build(self, hp):
            hp.Int("units", 1, 9)
            thin = keras.layers.Conv2D(4, 1, strides=2, name="thin")
            return keras.Sequential([keras.Input((8, 8, 1)), thin])

        def fit(self, hp, model, *args, **kwargs):
            return 1.0

    monkeypatch.setattr(onednn_warnings, "onednn_channel_block", lambda: 8)
    tuner = make_tuner(Untrained(), objective="val_loss", max_trials=3)
    tuner.search(*arrays[0], validation_data=arrays[1])
    assert len(tuner.results()) == 3
    assert sum("'thin'" in record.getMessage() for record in caplog.records) == 1


class Forgetful(keras.layers.Layer):
    """Has an argument that no configuration can hold."""

    def __init__(self, unused):
        super().__init__()

    def call(self, x):
        return x


def with_own_layer(hp):
    head = [keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), Forgetful(object()), *head])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_what_keeps_models_from_being_exported_is_said_once_a_run(make_tuner, stripes, caplog):
    for more in range(2):
        tuner = make_tuner(with_own_layer, max_trials=1 + more, epochs=1)
        tuner.search(stripes, verbose=False)
        tuner.ensemble()
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "cannot be exported in the format keras" in record.getMessage()


def test_nothing_is_said_of_exports_of_models_for_other_data(make_tuner, arrays, caplog):
    tuner = make_tuner(with_own_layer, max_trials=1, epochs=1)
    tuner.search(*arrays[0], validation_data=arrays[1])
    assert "cannot be exported" not in caplog.text
