"""Methods that a subclass of a tuner overrides are called, as in KerasTuner."""

import warnings

import keras_tuner
import pytest
import tensorflow as tf
from small_tables import TRAIN, VALIDATION, dense

import kt_tuning as kt
from kt_tuning.core.errors import OptionError


def search(tuner, **options):
    tuner.search(*TRAIN, **{"epochs": 2, "validation_data": VALIDATION, "verbose": 0, **options})
    return tuner


def test_epoch_and_batch_methods_are_told_of_every_training(tmp_path):
    told = []

    class Told(kt.RandomSearch):
        def on_epoch_begin(self, trial, model, epoch, logs=None):
            told.append(("begin", trial.trial_id, epoch))

        def on_batch_end(self, trial, model, batch, logs=None):
            told.append(("batch", trial.trial_id, batch))

        def on_epoch_end(self, trial, model, epoch, logs=None):
            told.append(("end", trial.trial_id, "val_loss" in logs))

    search(Told(dense, "val_loss", max_trials=1, seed=1, directory=tmp_path), batch_size=16)
    first = [("begin", "0", 0), ("batch", "0", 0), ("end", "0", True)]
    assert told == [*first, ("begin", "0", 1), *first[1:]]


def test_the_search_s_own_methods_are_called_in_order(tmp_path):
    told = []

    class Told(kt.RandomSearch):
        def on_search_begin(self):
            told.append("search begins")

        def pre_create_trial(self):
            told.append("next")

        def on_trial_begin(self, trial):
            told.append(f"{trial.trial_id} begins")

        def on_trial_end(self, trial):
            told.append(f"{trial.trial_id} ends")
            super().on_trial_end(trial)

        def on_search_end(self):
            told.append("search ends")

        def run_trial(self, trial):
            return trial.hyperparameters.Float("x", 0, 1)

    Told(max_trials=1, directory=tmp_path).search()
    assert told == ["search begins", "next", "0 begins", "0 ends", "next", "search ends"]


def test_run_trial_may_change_the_arguments_and_train_as_the_tuner_does(tmp_path):
    class Longer(kt.RandomSearch):
        def run_trial(self, trial, *args, **kwargs):
            kwargs["epochs"] = trial.hyperparameters.Int("epochs", 3, 3)
            return super().run_trial(trial, *args, **kwargs)

    tuner = search(Longer(dense, "val_loss", max_trials=1, seed=1, directory=tmp_path))
    results, history = tuner.results(), tuner.history()
    assert list(results["epochs"]) == [3]
    assert results["val_loss"].iloc[0] == history["val_loss"].min()
    # the weights of the best epoch are kept
    score = tuner.get_best_models()[0].evaluate(*VALIDATION, verbose=0, return_dict=True)
    assert score["loss"] == pytest.approx(results["val_loss"].iloc[0], abs=1e-6)


def test_what_run_trial_returns_is_the_score(tmp_path):
    class Own(kt.RandomSearch):
        def run_trial(self, trial, *args, **kwargs):
            super().run_trial(trial, *args, **kwargs)
            return {"val_loss": 0.25, "seconds": 1.5}

    tuner = search(Own(dense, "val_loss", max_trials=1, seed=1, directory=tmp_path), epochs=1)
    assert tuner.results()["val_loss"].iloc[0] == 0.25
    assert tuner.oracle.trials["0"].metrics.get_best_value("seconds") == 1.5
    assert tuner.oracle.get_best_trials()[0].score == 0.25


def test_a_score_that_run_trial_reports_itself_is_taken(tmp_path):
    class Reports(kt.RandomSearch):
        def run_trial(self, trial):
            self.oracle.update_trial(trial.trial_id, {"cost": 2.0})

    tuner = Reports(objective=kt.Objective("cost", "min"), max_trials=1, directory=tmp_path)
    with pytest.warns(DeprecationWarning, match="remove the call"):
        tuner.search()
    assert tuner.oracle.get_best_trials()[0].score == 2.0


@pytest.mark.parametrize(("returned", "message"), [(None, "forget"), ("high", "to be one of")])
def test_a_result_that_is_no_score_is_named(returned, message, tmp_path):
    class Wrong(kt.RandomSearch):
        def run_trial(self, trial):
            return returned

    with pytest.raises(keras_tuner.errors.FatalTypeError, match=message):
        Wrong(objective="val_loss", max_trials=1, directory=tmp_path).search()


def test_overridden_methods_need_the_tuners_process(tmp_path):
    class Own(kt.RandomSearch):
        def run_trial(self, trial):
            return 1.0

    tuner = Own(max_trials=1, directory=tmp_path)
    with pytest.raises(OptionError, match=r"overrides run_trial.*workers=1"):
        tuner.search(workers=2)
    assert not (tmp_path / "untitled_project").exists()


def test_a_search_of_ours_calls_run_trial_too(tmp_path):
    class Parabola(kt.Tuner):
        def run_trial(self, trial):
            return (trial.hyperparameters.Float("x", -1, 1) - 0.5) ** 2

    objective = kt.Objective("cost", "min")
    tuner = Parabola(objective=objective, strategy="random", max_trials=4, directory=tmp_path)
    tuner.search()
    assert len(tuner.results()) == 4
    assert tuner.results()["cost"].notna().all()


def test_a_tuner_without_a_hypermodel_has_to_override_run_trial(tmp_path):
    with pytest.raises(ValueError, match="Received `hypermodel=None`"):
        kt.RandomSearch(objective="val_loss", directory=tmp_path)


def test_an_oracle_that_is_none_is_named(tmp_path):
    with pytest.raises(ValueError, match="`oracle` argument to be an instance of `Oracle`"):
        kt.Tuner("random", dense, directory=tmp_path)


def test_an_unknown_argument_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Unrecognized arguments \['max_trails'\]"):
        kt.RandomSearch(dense, "val_loss", max_trails=3, directory=tmp_path)


def test_the_logger_is_ignored_with_a_warning(tmp_path):
    with pytest.warns(DeprecationWarning, match="logger"):
        kt.RandomSearch(dense, "val_loss", directory=tmp_path, logger=object())


def test_a_model_over_max_model_size_is_skipped(tmp_path):
    tuner = kt.RandomSearch(dense, "val_loss", max_trials=3, max_model_size=1, directory=tmp_path)
    with warnings.catch_warnings(), pytest.raises(RuntimeError, match="Oversized model"):
        search(tuner)
    assert set(tuner.results()["status"]) == {"INFEASIBLE"}


def test_models_are_trained_under_a_distribution_strategy(tmp_path):
    strategy = tf.distribute.OneDeviceStrategy("cpu:0")
    tuner = kt.RandomSearch(
        dense, "val_loss", max_trials=1, distribution_strategy=strategy, directory=tmp_path
    )
    search(tuner)
    assert list(tuner.results()["status"]) == ["COMPLETED"]
    assert tuner.get_best_models()[0].predict(VALIDATION[0], verbose=0).shape == (8, 2)
