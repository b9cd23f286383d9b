"""A project directory of stock KerasTuner is opened, read and gone on with."""

import keras_tuner
import pytest
from small_tables import TRAIN, VALIDATION, dense

import kt_tuning as kt


def make(package, folder, max_trials=2):
    return package.RandomSearch(
        dense, "val_loss", max_trials=max_trials, seed=1, directory=folder, project_name="p"
    )


def search(tuner):
    tuner.search(*TRAIN, validation_data=VALIDATION, epochs=2, verbose=0)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A stock search of two trials, and the folder it is in."""
    folder = tmp_path_factory.mktemp("stock")
    tuner = make(keras_tuner, folder)
    search(tuner)
    return tuner, folder


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_its_trials_and_best_models_are_read_and_nothing_is_changed(project):
    stock, folder = project
    before = contents(folder)
    tuner = make(kt, folder)
    results, best = tuner.results(), stock.oracle.get_best_trials()[0]
    assert results["val_loss"].min() == pytest.approx(best.score)
    units = [trial.hyperparameters.get("units") for trial in stock.oracle.trials.values()]
    assert list(results["hp/units"]) == units
    measured = tuner.get_best_models()[0].evaluate(*VALIDATION, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(best.score, abs=1e-6)
    assert tuner.best_model().count_params() == tuner.get_best_models()[0].count_params()
    assert contents(folder) == before


def test_its_search_goes_on(project, capsys):
    stock, folder = project
    tuner = make(kt, folder, max_trials=3)
    search(tuner)
    assert len(tuner.results()) == 3
    for trial_id, trial in stock.oracle.trials.items():
        assert tuner.results().loc[trial_id, "val_loss"] == pytest.approx(trial.score)
