"""`tuner.evaluate`, and what is told of models that were trained on validation images."""

import dataclasses
import json

import numpy as np
import pytest
from tiny_models import tiny

from kt_tuning import Tuner
from kt_tuning.core.errors import SearchError
from kt_tuning.data import ImageData
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.ensembling.run_files import RunRecords, read_validated
from kt_tuning.evaluation import Scores, held_out_uses
from kt_tuning.evaluation.test_uses import model_digest
from kt_tuning.finalize import export_run
from kt_tuning.report.run_summary import load_run


@pytest.fixture(scope="module")
def data():
    """60 images of noise with labels of chance: only by heart can they be told apart."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    return ImageData.from_arrays(images, np.arange(60) % 2, class_names=("heads", "tails"))


def make(directory, **options):
    return Tuner(tiny, max_trials=1, epochs=2, directory=directory, seed=1, **options)


@pytest.fixture(scope="module")
def folded(tmp_path_factory, data):
    """A search with three folds that has been combined, evaluated and exported."""
    tuner = make(tmp_path_factory.mktemp("runs"), folds=3)
    tuner.search(data, verbose=False)
    scores = tuner.evaluate(parts=["generalization"], bootstrap=5)
    (exported,) = export_run(
        tuner.run_directory, tuner.ensemble().to_keras(), data, ["keras"], images=10
    )
    return tuner, scores, exported


def out_of_fold_accuracy(run):
    """By hand: the kept predictions of the only trial."""
    (path,) = run.glob("trial_*/val_predictions.npy")
    with np.load(run / "split.npz") as arrays:
        labels = arrays["labels"][arrays["predicted"]]
    assert len(labels) == 48
    return float((np.load(path).argmax(axis=1) == labels).mean())


def test_the_gaps_are_from_what_was_trained_on_to_what_was_not(folded):
    tuner, scores, _ = folded
    found = scores.generalization.scores
    assert list(found) == ["train", "out-of-fold", "test"]
    expected = out_of_fold_accuracy(tuner.run_directory)
    assert found["out-of-fold"]["accuracy"].value == pytest.approx(expected)


def test_the_accuracy_of_an_export_is_out_of_fold(folded):
    tuner, _, exported = folded
    assert exported.accuracy == pytest.approx(out_of_fold_accuracy(tuner.run_directory))
    assert exported.seen
    assert exported.agreement == 1.0


def test_the_report_and_the_card_say_so(folded):
    tuner, _, exported = folded
    run = load_run(tuner.run_directory)
    assert run.validation_kind == "out-of-fold"
    page = tuner.report().path.read_text(encoding="utf-8")
    card = (tuner.run_directory / exported.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for text in (page, card):
        assert "Accuracy is out of fold" in text
    assert "on out-of-fold predictions, each from the models of one fold" in card


def test_calibration_is_of_the_models_of_a_fold(folded):
    record = EnsembleRecord.load(folded[0].run_directory / "ensemble.json")
    assert record.folds == 3
    layers = folded[0].ensemble().to_keras().layers
    assert len([layer for layer in layers if layer.name.startswith("member_")]) == 3
    assert read_validated(folded[0].run_directory).kind == "out-of-fold"


def test_the_use_and_the_scores_are_of_the_very_model(folded, data):
    tuner, scores, _ = folded
    digest = model_digest(tuner.ensemble())
    assert scores.model == digest
    assert Scores.load(tuner.run_directory / "scores.json") == scores
    assert RunRecords.load(tuner.run_directory).scores == scores
    assert [use.judged for use in held_out_uses(tuner.run_directory).uses] == [digest]


def test_after_a_restart_it_is_the_same_ensemble(folded, data, caplog):
    again = make(folded[0].run_directory.parent, folds=3)
    assert again.evaluate(data=data, bootstrap=5).model == folded[1].model
    assert "unseen" not in caplog.text


def test_another_model_is_measured_with_a_caveat_and_not_kept(tmp_path, data, caplog):
    tuner = make(tmp_path)
    # Other tests have looked at this test split in another run, which the data remember.
    tuner.search(dataclasses.replace(data, runs=[]), verbose=False)
    kept = tuner.evaluate(bootstrap=5)
    assert list(load_run(tuner.run_directory).scores.metrics) == list(kept.metrics)
    assert "unseen" not in caplog.text
    other = tiny(tuner.get_best_hyperparameters()[0])
    assert tuner.evaluate(other, bootstrap=5).model == model_digest(other) != kept.model
    assert "opened 2 times" in caplog.text
    assert json.loads((tuner.run_directory / "scores.json").read_text())["model"] == kept.model


def test_without_images_there_is_no_test_split(tmp_path):
    with pytest.raises(SearchError, match="pass `data`"):
        make(tmp_path).evaluate()
