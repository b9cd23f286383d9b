"""Cross-validation and repeated trainings in a search."""

import numpy as np
import pytest
from tiny_models import tiny

from kt_tuning import Tuner, evaluate
from kt_tuning.core.errors import DataError, OptionError


@pytest.fixture(scope="module")
def searched(tmp_path_factory, stripes):
    """A search with three folds, and its data."""
    directory = tmp_path_factory.mktemp("runs")
    tuner = Tuner(tiny, max_trials=2, epochs=2, folds=3, directory=directory, seed=1)
    tuner.search(stripes)
    return tuner, stripes


def test_scores_are_means_with_their_deviation(searched):
    results = searched[0].results()
    assert list(results["status"]) == ["COMPLETED"] * 2
    assert list(results["epochs"]) == [6, 6]
    curves = searched[0].history()
    best = curves.groupby(["number", "run"])["val_accuracy"].max()
    assert results["val_accuracy"].to_numpy() == pytest.approx(best.groupby("number").mean())
    assert results["deviation"].to_numpy() == pytest.approx(best.groupby("number").std())


def test_the_best_model_is_the_mean_of_all_folds_models(searched):
    tuner, data = searched
    model = tuner.best_model()
    members = [layer for layer in model.layers if layer.name.startswith("member_")]
    assert len(members) == 3
    images = data.test.images
    mean = np.mean([member.predict_on_batch(images) for member in members], axis=0)
    assert np.allclose(model.predict_on_batch(images), mean, atol=1e-6)


def test_the_ensemble_is_fitted_on_out_of_fold_predictions(searched, tmp_path):
    tuner, data = searched
    ensemble = tuner.ensemble(size=2)
    scores = evaluate(ensemble, data.test)
    assert scores.images == 12
    ensemble.save(tmp_path / "ensemble.keras")
    with np.load(tuner.run_directory / "split.npz") as arrays:
        labels, predicted = arrays["labels"], arrays["predicted"]
    known = np.concatenate([data.indices["train"], data.indices["validation"]])
    assert sorted(predicted) == sorted(known)
    best = tuner.results()["val_accuracy"].idxmax()
    kept = np.load(tuner.run_directory / f"trial_{best}" / "val_predictions.npy")
    accuracy = (kept.argmax(axis=1) == labels[predicted]).mean()
    assert accuracy == pytest.approx(tuner.results().loc[best, "val_accuracy"])


def test_a_pruner_is_asked_after_each_fold(make_tuner, stripes):
    from optuna.pruners import ThresholdPruner

    pruner = ThresholdPruner(lower=2.0)
    tuner = make_tuner(folds=3, pruner=pruner, max_trials=1)
    tuner.search(stripes)
    assert list(tuner.results()["status"]) == ["PRUNED"]
    assert list(tuner.results()["epochs"]) == [2]
    assert [len(trial.intermediate_values) for trial in tuner.study.trials] == [1]


def test_executions_without_folds_for_any_data(make_tuner, stripes):
    tuner = make_tuner(executions_per_trial=2, max_trials=1)
    train, validation = stripes.train, stripes.validation
    tuner.search(train.images, train.labels, validation_data=(validation.images, validation.labels))
    assert list(tuner.results()["epochs"]) == [4]
    assert tuner.history()["run"].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("option", [{"folds": 1}, {"folds": 2.0}, {"executions_per_trial": 0}])
def test_wrong_numbers(option, make_tuner):
    (name,) = option
    with pytest.raises(OptionError, match=f"`{name}` is a whole number, at least"):
        make_tuner(**option)


def test_folds_need_images_that_can_be_split(make_tuner, stripes):
    with pytest.raises(OptionError, match="`folds` needs an ImageData"):
        make_tuner(folds=2).search(stripes.train.images, stripes.train.labels)
    with pytest.raises(DataError, match="99 folds need at least 99 images per class"):
        make_tuner(folds=99).search(stripes)
