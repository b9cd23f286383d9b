"""Scripts of the kinds that courses, blogs and KerasTuner's guides have, with either import.

Each is run as `import keras_tuner as kt` and as `import kt_tuning as kt`. What must be the same:
the number of trials, their states, the configurations that the seed decides, and the kind of what
the tuner returns.
"""

import math
import pickle

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from sklearn import linear_model, model_selection
from small_tables import TRAIN, VALIDATION, dense, small_table

import kt_tuning


def quick_start(kt, folder):
    """Random search over a dense network; the best configuration is trained again."""
    tuner = kt.RandomSearch(dense, "val_accuracy", 3, seed=1, directory=folder, project_name="q")
    tuner.search_space_summary()
    tuner.search(*TRAIN, epochs=2, validation_data=VALIDATION, verbose=0)
    tuner.results_summary(2)
    best = tuner.get_best_hyperparameters(1)[0]
    model = tuner.hypermodel.build(best)
    model.fit(*TRAIN, epochs=1, verbose=0)
    score = tuner.get_best_models()[0].evaluate(*VALIDATION, verbose=0, return_dict=True)
    best_trial = tuner.oracle.get_best_trials()[0]
    assert score["accuracy"] == pytest.approx(best_trial.score, abs=1e-6)
    return tuner


class Shuffled(keras_tuner.HyperModel):
    """A hypermodel that searches arguments of `fit` as well."""

    def build(self, hp):
        return dense(hp)

    def fit(self, hp, model, *args, **kwargs):
        size = hp.Choice("batch_size", [4, 8])
        return model.fit(*args, batch_size=size, shuffle=hp.Boolean("shuffle"), **kwargs)


def tuned_fit(kt, folder):
    """Batch size, shuffling and epochs chosen in `HyperModel.fit`."""
    tuner = kt.RandomSearch(
        Shuffled(), kt.Objective("val_loss", "min"), max_trials=2, seed=3, directory=folder
    )
    tuner.search(*TRAIN, epochs=1, validation_data=VALIDATION, verbose=0)
    assert {"batch_size", "shuffle"} <= set(tuner.oracle.get_space().values)
    return tuner


class OwnLoop(keras_tuner.HyperModel):
    """Gradient steps by hand; callbacks are told the metric of each epoch."""

    def build(self, hp):
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(hp.Int("units", 2, 4))])

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        optimizer = keras.optimizers.SGD(hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"))
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        for callback in callbacks:
            callback.set_model(model)
        best = math.inf
        for epoch in range(2):
            with tf.GradientTape() as tape:
                loss = loss_of(y, model(x, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            measured = float(loss_of(validation_data[1], model(validation_data[0])))
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"own_loss": measured})
            best = min(best, measured)
        return best


def own_loop(kt, folder):
    """A training loop of one's own that returns a number; the best epoch's weights are kept."""
    objective = kt.Objective("own_loss", "min")
    tuner = kt.RandomSearch(OwnLoop(), objective, max_trials=2, seed=2, directory=folder)
    tuner.search(x=TRAIN[0], y=TRAIN[1], validation_data=VALIDATION)
    model = tuner.get_best_models()[0]
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    best = float(loss_of(VALIDATION[1], model(VALIDATION[0])))
    assert best == pytest.approx(tuner.oracle.get_best_trials()[0].score, abs=1e-5)
    return tuner


def black_box(kt, folder):
    """Any function minimised: no model, no objective."""

    class Parabola(kt.RandomSearch):
        def run_trial(self, trial, *args, **kwargs):
            x = trial.hyperparameters.Float("x", min_value=-1.0, max_value=1.0)
            return x * x + 1

    tuner = Parabola(max_trials=5, seed=4, directory=folder, overwrite=True)
    tuner.search()
    assert 1 <= tuner.oracle.get_best_trials()[0].score < 2
    return tuner


def scikit_learn(kt, folder):
    """A scikit-learn model, cross-validated in `run_trial`, saved and loaded by the subclass."""

    class Classifiers(kt.BayesianOptimization):
        def run_trial(self, trial, x, y):
            model = self.hypermodel.build(trial.hyperparameters)
            folds = model_selection.KFold(2)
            scores = [
                model.fit(x[fit], y[fit]).score(x[held], y[held]) for fit, held in folds.split(x)
            ]
            self.save_model(trial.trial_id, model)
            return {"score": float(np.mean(scores))}

        def save_model(self, trial_id, model, step=0):
            with open(f"{self.get_trial_dir(trial_id)}/model.pickle", "wb") as file:
                pickle.dump(model, file)

        def load_model(self, trial):
            with open(f"{self.get_trial_dir(trial.trial_id)}/model.pickle", "rb") as file:
                return pickle.load(file)

    def build(hp):
        return linear_model.LogisticRegression(C=hp.Float("c", 0.01, 10, sampling="log"))

    tuner = Classifiers(
        hypermodel=build,
        objective=kt.Objective("score", "max"),
        max_trials=3,
        seed=5,
        directory=folder,
    )
    tuner.search(*TRAIN)
    assert isinstance(tuner.get_best_models()[0], linear_model.LogisticRegression)
    return tuner


def grid_with_conditions(kt, folder):
    """Every combination of a space in which one value has a choice of its own."""

    def build(hp):
        model = keras.Sequential([keras.Input((3,))])
        if hp.Choice("kind", ["plain", "wide"]) == "wide":
            with hp.conditional_scope("kind", ["wide"]):
                model.add(keras.layers.Dense(hp.Choice("width", [2, 3])))
        model.add(keras.layers.Dense(1))
        model.compile("sgd", "mse")
        return model

    tuner = kt.GridSearch(build, objective="val_loss", directory=folder, seed=7)
    x, y = small_table(8)
    tuner.search(x, y.astype(np.float32), validation_split=0.5, epochs=1, verbose=0)
    return tuner


def halving(kt, folder):
    """Hyperband with early stopping; later rounds go on from earlier weights."""
    tuner = kt.Hyperband(
        dense, objective="val_accuracy", max_epochs=3, factor=3, seed=6, directory=folder
    )
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=2)
    tuner.search(*TRAIN, validation_data=VALIDATION, callbacks=[stop], verbose=0)
    assert {trial.hyperparameters.get("tuner/epochs") for trial in trials_of(tuner)} == {1, 3}
    return tuner


def failing(kt, folder):
    """A configuration that the build refuses, and one whose training fails."""

    def build(hp):
        if hp.Choice("size", ["small", "large", "broken"]) == "large":
            raise kt.errors.FailedTrialError("too large")
        if hp.get("size") == "broken":
            raise ValueError("broken")
        return dense(keras_tuner.HyperParameters())

    tuner = kt.GridSearch(
        build,
        "val_loss",
        directory=folder,
        max_retries_per_trial=1,
        max_consecutive_failed_trials=5,
    )
    tuner.search(*TRAIN, epochs=1, validation_data=VALIDATION, verbose=0)
    return tuner


class Scaled(keras_tuner.HyperModel):
    """Preprocesses in `fit`, by a layer that is searched."""

    def build(self, hp):
        model = keras.Sequential([keras.layers.Dense(2, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    def fit(self, hp, model, x, y, validation_data, **kwargs):
        width = 1 + hp.Boolean("squares")
        x, x_val = (
            np.concatenate([rows, rows**2][:width], axis=1) for rows in (x, validation_data[0])
        )
        return model.fit(x, y, validation_data=(x_val, validation_data[1]), **kwargs)


def preprocessing(kt, folder):
    """Data prepared in `fit`, for a Sequential model that learns its input there."""
    tuner = kt.GridSearch(Scaled(), "val_loss", directory=folder)
    tuner.search(*TRAIN, validation_data=VALIDATION, epochs=1, verbose=0)
    assert [model.built for model in tuner.get_best_models(2)] == [True, True]
    return tuner


def executions_and_compile(kt, folder):
    """Several executions of each trial, compiled by the arguments of the tuner."""
    tuner = kt.Tuner(
        oracle=kt.oracles.RandomSearchOracle("val_mae", max_trials=1, seed=8),
        hypermodel=dense,
        optimizer=keras.optimizers.Adam(0.01),
        loss="mse",
        metrics=["mae"],
        executions_per_trial=2,
        directory=folder,
    )
    one_hot = [(x, keras.utils.to_categorical(y)) for x, y in (TRAIN, VALIDATION)]
    tuner.search(*one_hot[0], validation_data=one_hot[1], epochs=1, verbose=0)
    assert tuner.get_best_models()[0].loss == "mse"
    return tuner


def own_oracle(kt, folder):
    """An oracle of one's own behind a plain tuner."""

    class Descending(kt.Oracle):
        def populate_space(self, trial_id):
            values = {p.name: p.default for p in self.hyperparameters.space}
            return {"status": "RUNNING", "values": {**values, "units": 8 - 2 * int(trial_id)}}

    tuner = kt.Tuner(Descending("val_accuracy", max_trials=2), dense, directory=folder)
    tuner.search(*TRAIN, epochs=1, validation_data=VALIDATION, verbose=0)
    assert [t.hyperparameters.get("units") for t in trials_of(tuner)] == [8, 6]
    return tuner


def endless_validation(kt, folder):
    """Endless data sets, whose epochs and validations are counted in steps."""
    train, validation = (
        tf.data.Dataset.from_tensor_slices(pair).repeat().batch(4) for pair in (TRAIN, VALIDATION)
    )
    tuner = kt.RandomSearch(dense, "val_loss", max_trials=1, seed=9, directory=folder)
    tuner.search(
        train,
        steps_per_epoch=2,
        epochs=2,
        validation_data=validation,
        validation_steps=2,
        verbose=0,
    )
    return tuner


SCRIPTS = [
    *(quick_start, tuned_fit, own_loop, black_box, scikit_learn, grid_with_conditions, halving),
    *(failing, preprocessing, executions_and_compile, own_oracle, endless_validation),
]


def trials_of(tuner):
    return [tuner.oracle.trials[name] for name in tuner.oracle.start_order]


def outcome(script, kt, folder):
    """What has to be the same: states, configurations, and whether there is a score."""
    trials = trials_of(script(kt, folder))
    # Which configurations go on depends on scores, and so on the initial weights.
    names = {"tuner/epochs"} if script is halving else None
    return [
        (
            trial.status,
            {
                name: value
                for name, value in trial.hyperparameters.values.items()
                if names is None or name in names
            },
            trial.score is not None,
        )
        for trial in trials
    ]


@pytest.mark.filterwarnings("ignore:.*lbfgs failed to converge")
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_script_does_the_same_with_the_import_changed(script, tmp_path, capsys):
    stock = outcome(script, keras_tuner, tmp_path / "stock")
    ours = outcome(script, kt_tuning, tmp_path / "ours")
    assert ours == stock
