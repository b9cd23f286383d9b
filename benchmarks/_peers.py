"""Searches of other tools around the beginner's network, for `race.py`: Optuna and AutoKeras.

Neither is needed to import this module.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import keras
from _beginner import (
    BATCH_SIZE,
    ENDLESS,
    EPOCHS,
    PATIENCE,
    Arrays,
    Deadline,
    Found,
    TimeIsUpError,
    build,
)


class Suggestions:
    """Answers what `_beginner.build` asks `keras_tuner.HyperParameters` by an Optuna trial."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def Choice(self, name, values, default):  # noqa: N802 (as in KerasTuner)
        return self._trial.suggest_categorical(name, values)

    def Int(self, name, low, high, default):  # noqa: N802
        return self._trial.suggest_int(name, low, high)

    def Float(self, name, low, high, default, step=None, sampling=None):  # noqa: N802
        return self._trial.suggest_float(name, low, high, step=step, log=sampling == "log")


class Report(keras.callbacks.Callback):
    """Reports each epoch, and ends trials that are pruned."""

    def __init__(self, trial: Any) -> None:
        super().__init__()
        self._trial = trial

    def on_epoch_end(self, epoch, logs=None):
        import optuna

        self._trial.report(logs["val_accuracy"], epoch)
        if self._trial.should_prune():
            raise optuna.TrialPruned


def search_optuna(arrays: Arrays, until: float, seed: int, directory: Path) -> Found:
    """Search the space around the beginner's network with Optuna, in a loop over `fit`."""
    import optuna

    def weights(number: int) -> Path:
        return directory / f"{number}.weights.h5"

    def objective(trial: optuna.Trial) -> float:
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed + trial.number)
        model = build(Suggestions(trial), arrays.shape, arrays.classes)
        best = keras.callbacks.ModelCheckpoint(
            weights(trial.number),
            "val_accuracy",
            mode="max",
            save_best_only=True,
            save_weights_only=True,
        )
        early = keras.callbacks.EarlyStopping("val_accuracy", mode="max", patience=PATIENCE)
        history = model.fit(
            *arrays.train,
            validation_data=arrays.validation,
            batch_size=BATCH_SIZE,
            epochs=EPOCHS,
            callbacks=[best, early, Report(trial), Deadline(until)],
            verbose=0,
        )
        return float(max(history.history["val_accuracy"]))

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS),
    )
    with contextlib.suppress(TimeIsUpError):
        study.optimize(objective)
    fixed = optuna.trial.FixedTrial(study.best_params)
    model = build(Suggestions(fixed), arrays.shape, arrays.classes)
    model.load_weights(weights(study.best_trial.number))
    return Found(model, study.best_value, len(study.trials))


def search_auto_keras(arrays: Arrays, until: float, seed: int, directory: Path) -> Found:
    """Search with AutoKeras' image classifier and its defaults."""
    import autokeras

    keras.utils.set_random_seed(seed)
    search = autokeras.ImageClassifier(
        max_trials=ENDLESS, objective="val_accuracy", directory=directory, seed=seed
    )
    with contextlib.suppress(TimeIsUpError):
        search.fit(
            *arrays.train,
            validation_data=arrays.validation,
            callbacks=[Deadline(until)],
            verbose=0,
        )
    oracle = search.tuner.oracle
    score = oracle.get_best_trials(1)[0].score
    return Found(search.tuner.get_best_models(1)[0], score, len(oracle.start_order))
