"""What an ensemble writes and reads: its Keras file, its record, an export."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from ensemble_models import CARD, saves

import kt_tuning.export
from kt_tuning.core.errors import OptionError, StorageError
from kt_tuning.ensembling import Combination, Ensemble, EnsembleRecord
from kt_tuning.ensembling.run_files import combination_digest, load_keras_model


def test_record_round_trip(models, fitting_data, tmp_path):
    record = Ensemble.fit(models, *fitting_data).record
    record.save(tmp_path / "ensemble.json")
    assert EnsembleRecord.load(tmp_path / "ensemble.json") == record


def test_a_record_of_an_earlier_version_is_read(tmp_path):
    EnsembleRecord(("0", "1"), (0.5, 0.5), "mean", {}, (0.1, 0.2)).save(tmp_path / "ensemble.json")
    record = EnsembleRecord.load(tmp_path / "ensemble.json")
    assert record.combination == Combination((0.5, 0.5))


def test_export_hands_over_model_card_and_provenance(models, tmp_path, monkeypatch):
    calls = []

    def export_model(model, path, *, card, provenance, check_images):
        calls.append((model, card, provenance))
        return SimpleNamespace(path=path)

    monkeypatch.setattr(kt_tuning.export, "export_model", export_model)
    record = EnsembleRecord(("3",), (1.0,), "single", {"single": 0.5}, (0.9,))
    ensemble = Ensemble(models[:1], [1.0], record=record, card=CARD, provenance={"x": 1})
    assert ensemble.export(tmp_path / "1") == tmp_path / "1"
    expected = {"x": 1, "ensemble": record.to_json()}
    assert calls == [(ensemble.to_keras(), CARD, expected)]
    assert ensemble.provenance == {"x": 1}


def test_export_needs_a_card(ensemble, tmp_path):
    with pytest.raises(OptionError, match=r"ensemble\.card = data\.card"):
        ensemble.export(tmp_path / "1")


def test_save_wants_a_keras_file(ensemble, tmp_path):
    with pytest.raises(OptionError, match=r"\.keras file"):
        ensemble.save(tmp_path / "ensemble.h5")


@saves
def test_a_saved_ensemble_is_loaded_with_all_that_it_knows(models, images, fitting_data, tmp_path):
    predictions, labels = fitting_data
    saved = Ensemble.fit(models, predictions, labels, solver="stack")
    saved.card, saved.provenance = CARD, {"search": {"seed": 3}}
    saved.save(tmp_path / "one.keras")
    loaded = Ensemble.load(tmp_path / "one.keras")
    assert np.array_equal(loaded.predict(images), saved.predict(images))
    assert repr(loaded) == repr(saved)
    assert (loaded.record, loaded.card, loaded.provenance) == (saved.record, CARD, saved.provenance)
    assert loaded.count_params() == saved.count_params()
    loaded.save(tmp_path / "two.keras")
    again = Ensemble.load(str(tmp_path / "two.keras"))
    assert np.array_equal(again.predict(images), saved.predict(images))
    assert again.record == saved.record
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.keras", "two.keras"]


@saves
def test_an_ensemble_without_record_and_card_is_loaded(ensemble, images, tmp_path):
    ensemble.save(tmp_path / "plain.keras")
    loaded = Ensemble.load(tmp_path / "plain.keras")
    assert (loaded.record, loaded.card, loaded.provenance) == (None, None, {})
    assert loaded.weights.tolist() == ensemble.weights.tolist()
    assert np.array_equal(loaded.predict(images), ensemble.predict(images))


@saves
def test_another_keras_file_is_no_ensemble(models, tmp_path):
    models[0].save(tmp_path / "model.keras")
    with pytest.raises(StorageError, match=r"was not written by `ensemble\.save`"):
        Ensemble.load(tmp_path / "model.keras")
    with pytest.raises(StorageError, match="No such file"):
        Ensemble.load(tmp_path / "none.keras")


def test_a_keras_file_with_code_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: 2 * x)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(StorageError, match=r"arbitrary code execution|is unsafe"):
        load_keras_model(tmp_path / "model.keras")


@saves
def test_the_present_ensemble_of_a_run_directory_is_loaded(models, images, fitting_data, tmp_path):
    predictions, labels = fitting_data
    for solver in ("single", "mean"):
        saved = Ensemble.fit(models, predictions, labels, solver=solver)
        saved.record.save(tmp_path / "ensemble.json")
        path = tmp_path / f"ensemble-{combination_digest(tmp_path)}.keras"
        saved.save(path)
    loaded = Ensemble.load(tmp_path)
    assert loaded.record.solver == "mean"
    assert np.array_equal(loaded.predict(images), saved.predict(images))
    path.unlink()
    with pytest.raises(StorageError, match="no Keras model of its ensemble"):
        Ensemble.load(tmp_path)
