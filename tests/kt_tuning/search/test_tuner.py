import shutil

import keras
import keras_tuner
import numpy as np
import optuna
import pandas as pd
import pytest
from tiny_models import tiny

from hypermodels import ConvNet
from kt_tuning import ImageData, Recipe, Tuner
from kt_tuning.core.errors import SearchError, StorageError
from kt_tuning.search import STRATEGIES


@pytest.fixture(scope="module")
def searched(tmp_path_factory, stripes):
    """A search of three trials; it is only read."""
    directory = tmp_path_factory.mktemp("searched")
    tuner = Tuner(tiny, max_trials=3, epochs=3, directory=directory, project_name="run")
    tuner.search(stripes)
    return tuner


@pytest.fixture
def again(searched, make_tuner, tmp_path):
    """Make tuners on a copy of it."""
    shutil.copytree(searched.run_directory, tmp_path / "run")

    def make(**options):
        return make_tuner(**{"max_trials": 3, "epochs": 3, **options})

    return make


def test_a_search_keeps_curve_weights_and_predictions_of_each_trial(searched):
    folders = sorted(searched.run_directory.glob("trial_*"))
    assert len(folders) == 3
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == {
            "trial.json",
            "result.json",
            "history.csv",
            "val_predictions.npy",
            "val_predictions_mirrored.npy",
            "model.weights.h5",
        }


def test_results_has_a_row_a_trial_and_history_a_row_an_epoch(searched):
    results, history = searched.results(), searched.history()
    assert list(results["status"]) == ["COMPLETED"] * 3
    assert {"val_accuracy", "val_loss", "val_f1", "seconds", "hp/units"} <= set(results.columns)
    assert list(history["epoch"]) == [0, 1, 2] * 3
    best = history.loc[history["number"] == 0, "val_accuracy"].max()
    assert results["val_accuracy"].iloc[0] == pytest.approx(best)


def test_trial_zero_is_the_default_configuration(searched):
    results = searched.results()
    assert results.loc[results["number"] == 0, ["hp/units", "hp/rate"]].to_numpy().tolist() == [
        [4, 0.003]
    ]


def test_the_best_configurations_are_those_of_the_best_results(searched):
    results = searched.results()
    best = results.loc[results["val_accuracy"].idxmax()]
    values = searched.get_best_hyperparameters()[0].values
    assert values == {"units": best["hp/units"], "rate": best["hp/rate"]}


def test_the_best_model_makes_the_predictions_that_were_kept(searched, stripes):
    best = searched.results()["val_accuracy"].idxmax()
    kept = np.load(searched.run_directory / f"trial_{best}" / "val_predictions.npy")
    predicted = searched.best_model().predict_on_batch(stripes.validation.images)
    assert np.allclose(kept, predicted, atol=1e-6)


def test_the_study_knows_every_epoch(searched):
    curves = [list(trial.intermediate_values.values()) for trial in searched.study.trials]
    known = searched.history().groupby("number")["val_accuracy"].apply(list).tolist()
    assert np.allclose(curves, known)


def test_after_a_search_the_study_is_one_file_that_nothing_changes_later(make_tuner, stripes):
    tuner = make_tuner(max_trials=1, epochs=1)
    tuner.search(stripes, verbose=False)
    assert [path.name for path in tuner.run_directory.glob("study.db*")] == ["study.db"]
    assert len(tuner.study.trials) == 1


def test_an_ensemble_combines_the_best_trials(again, stripes):
    tuner = again()
    tuner.search(stripes)
    ensemble = tuner.ensemble(size=3, solver="mean")
    kept = [
        np.load(tuner.run_directory / f"trial_{trial}" / "val_predictions.npy")
        for trial in ensemble.record.trial_ids
    ]
    predicted = ensemble.predict(stripes.validation.images)
    assert len(kept) == 3
    assert np.allclose(predicted, ensemble.record.combination.predict(kept), atol=1e-5)
    assert (tuner.run_directory / "ensemble.json").exists()


def test_same_seed_same_trials_and_scores(make_tuner, stripes):
    frames = []
    for name in ("one", "two"):
        tuner = make_tuner(ConvNet((8, 8, 1), 2, filters=4, stages=1), project_name=name, seed=7)
        tuner.search(stripes)
        frames.append(tuner.results().drop(columns=["seconds", "began"]))
    pd.testing.assert_frame_equal(*frames)


def test_seeds_differ(searched, make_tuner, stripes):
    other = make_tuner(seed=1, max_trials=1, epochs=3)
    other.search(stripes)
    assert other.results()["val_loss"].iloc[0] != searched.results()["val_loss"].iloc[0]


def test_the_same_call_again_runs_nothing_and_more_trials_go_on(searched, again, stripes):
    tuner = again()
    tuner.search(stripes)
    pd.testing.assert_frame_equal(tuner.results(), searched.results())
    tuner = again(max_trials=4)
    tuner.search(stripes)
    assert len(tuner.results()) == 4
    pd.testing.assert_frame_equal(tuner.results().iloc[:3], searched.results())


def test_other_data_in_the_same_directory_are_refused(again, stripes):
    other = ImageData.from_arrays(255 - stripes.train.images, stripes.train.labels)
    with pytest.raises(StorageError, match="other data"):
        again(max_trials=4).search(other)


def test_overwrite_begins_anew_when_the_search_begins(again, stripes):
    tuner = again(overwrite=True, max_trials=1, objective="val_loss", seed=3)
    assert tuner.results().empty
    assert len(list(tuner.run_directory.glob("trial_*"))) == 3
    with pytest.raises(SearchError, match="is deleted when the new one begins"):
        _ = tuner.study
    tuner.search(stripes)
    assert [path.name for path in tuner.run_directory.glob("trial_*")] == ["trial_0"]
    assert len(tuner.results()) == len(tuner.study.trials) == 1


def test_overwrite_also_deletes_the_study_in_a_sqlite_url(make_tuner, stripes, tmp_path):
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    make_tuner(storage=url, max_trials=1, epochs=1).search(stripes)
    changed = {"storage": url, "max_trials": 1, "epochs": 1, "objective": "val_loss"}
    tuner = make_tuner(overwrite=True, **changed)
    tuner.search(stripes)
    assert len(tuner.results()) == len(tuner.study.trials) == 1
    assert len(make_tuner(**changed).results()) == 1


def test_a_trial_whose_build_raises_is_failed_and_the_search_goes_on(make_tuner, stripes):
    def moody(hp):
        units = hp.Int("units", 1, 4, default=1)
        if units > 1:
            raise ValueError(f"{units} are too many")
        return tiny(keras_tuner.HyperParameters())

    tuner = make_tuner(moody, max_trials=2, strategy="grid")
    tuner.search(stripes)
    results = tuner.results()
    assert list(results["status"]) == ["COMPLETED", "FAILED"]
    assert results["message"].iloc[1] == "ValueError: 2 are too many"
    assert len(tuner.get_best_models(5)) == 1


def test_if_every_trial_fails_the_first_cause_is_shown(make_tuner, stripes):
    class Late(keras_tuner.HyperModel):
        def build(self, hp):
            hp.Int("units", 1, 50)
            return tiny(keras_tuner.HyperParameters())

        def fit(self, hp, model, *args, **kwargs):
            raise RuntimeError("no such device")

    tuner = make_tuner(Late(), max_trials=30)
    with pytest.raises(SearchError, match=r"All 5 trials failed; .*no such device"):
        tuner.search(stripes)


def test_a_loss_that_is_not_a_number_fails_the_trial_once(make_tuner, stripes):
    def explode(hp):
        model = tiny(hp)
        model.compile("sgd", lambda y_true, y_pred: keras.ops.log(-keras.ops.sum(y_pred, -1)))
        return model

    tuner = make_tuner(explode, max_trials=1)
    with pytest.raises(SearchError, match="the loss became nan in epoch 1"):
        tuner.search(stripes)
    assert len(tuner.history()) == 1


def test_patience_stops_a_trial(make_tuner, stripes):
    def frozen(hp):
        model = tiny(hp)
        model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
        return model

    tuner = make_tuner(frozen, max_trials=1, recipe=Recipe(patience=2))
    tuner.search(stripes, epochs=9)
    assert tuner.results()["epochs"].iloc[0] == 3
    assert "2 epochs without improvement" in tuner.results()["message"].iloc[0]


def test_ctrl_c_keeps_what_is_done_and_the_next_call_goes_on(make_tuner, stripes, caplog):
    class Interrupt(keras.callbacks.Callback):
        began = 0

        def on_train_begin(self, logs=None):
            Interrupt.began += 1
            if Interrupt.began == 2:
                raise KeyboardInterrupt

    tuner = make_tuner(max_trials=2)
    with pytest.raises(KeyboardInterrupt):
        tuner.search(stripes, callbacks=[Interrupt()])
    assert len(tuner.results()) == 1
    assert "1 trial with a score is kept" in caplog.text
    tuner.search(stripes)
    assert list(tuner.results()["number"]) == [0, 1]


# What a strategy draws is a matter of `test_conformance.py`; the tuner has to do with its pruner.
ONE_WITH_EACH_PRUNER = {row.pruner: name for name, row in reversed(STRATEGIES.items())}


@pytest.mark.parametrize("strategy", ONE_WITH_EACH_PRUNER.values())
def test_strategies_search_the_recipe_too(strategy, make_tuner, stripes):
    tuner = make_tuner(strategy=strategy, max_trials=3, recipe=Recipe(batch_size=(8, 16)))
    tuner.search(stripes, epochs=3)
    results = tuner.results()
    assert len(results) == 3
    assert set(results["hp/batch_size"]) <= {8, 16}


def test_a_result_that_the_oracle_never_heard_of_is_not_trained_again(
    make_tuner, stripes, monkeypatch
):
    tuner = make_tuner(max_trials=1)

    def killed(trial):
        raise KeyboardInterrupt

    monkeypatch.setattr(tuner.oracle, "end_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        tuner.search(stripes)
    (result,) = tuner.run_directory.glob("trial_*/result.json")
    before = result.read_bytes()
    again = make_tuner(max_trials=1)
    again.search(stripes)
    assert result.read_bytes() == before
    assert list(again.results()["status"]) == ["COMPLETED"]
    assert [trial.state.name for trial in again.study.trials] == ["COMPLETE"]


class StopTheSecond(optuna.pruners.BasePruner):
    """Stops trial 1 after its second epoch."""

    def prune(self, study, trial):
        return trial.number == 1 and trial.last_step == 1


def test_a_pruned_trial_keeps_its_curve_and_its_predictions(make_tuner, stripes):
    tuner = make_tuner(max_trials=2, pruner=StopTheSecond())
    tuner.search(stripes, epochs=3)
    results = tuner.results()
    assert results["status"].iloc[1] == "PRUNED"
    assert results["message"].iloc[1] == "pruned after 2 epochs"
    assert len(tuner.history().query("number == 1")) == 2
    assert (tuner.run_directory / f"trial_{results.index[1]}" / "val_predictions.npy").exists()
    assert [trial.state.name for trial in tuner.study.trials] == ["COMPLETE", "PRUNED"]


@pytest.mark.parametrize("objective", ["val_f1", "val_loss", "val_log_loss", "val_roc_auc"])
def test_any_metric_is_an_objective(objective, make_tuner, stripes):
    tuner = make_tuner(objective=objective, max_trials=1, epochs=3)
    tuner.search(stripes)
    column = tuner.history().groupby("number")[objective]
    best = column.min() if "loss" in objective else column.max()
    assert np.allclose(tuner.results()[objective], best)


def test_results_of_nothing_are_empty(make_tuner):
    tuner = make_tuner()
    assert tuner.results().empty
    assert tuner.history().empty
    with pytest.raises(SearchError, match="has a score yet"):
        tuner.best_model()


def test_whole_numbers_may_be_those_of_numpy(make_tuner, stripes):
    recipe = Recipe(batch_size=np.int64(16), patience=np.int64(2))
    options = {"max_trials": np.int64(1), "epochs": np.int64(1), "seed": np.uint8(3)}
    limits = {"executions_per_trial": np.int32(1), "max_parameters": np.int64(10**6)}
    make_tuner(recipe=recipe, **options, **limits).search(
        stripes, workers=np.int64(1), max_stale_trials=np.int64(5)
    )
    plain = Recipe(batch_size=16, patience=2)
    again = make_tuner(max_trials=1, epochs=1, seed=3, max_parameters=10**6, recipe=plain)
    again.search(stripes)
    assert len(again.results()) == 1
