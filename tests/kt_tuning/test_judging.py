"""Judging the winner of a run directory, and finding what it takes."""

import dataclasses
import json
import logging

import keras
import numpy as np
import pytest
from PIL import Image
from striped import striped_images

from kt_tuning.data import load_images
from kt_tuning.ensembling import Ensemble, EnsembleRecord
from kt_tuning.errors import DataError, OptionError, StorageError
from kt_tuning.evaluation import HeldOutUse, HeldOutUses, Scores, held_out_uses
from kt_tuning.judging import judge, load_data, load_winner, save_winner, winner_digest
from kt_tuning.records import TrialRecord

RECORD = EnsembleRecord(("0",), (1.0,), "single", {}, (0.5,))


def make_model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture
def run(tmp_path, stripes):
    """A run directory with an ensemble, searched on arrays."""
    RECORD.save(tmp_path / "ensemble.json")
    stripes.card.save(tmp_path / "data.json")
    stripes.save_split(tmp_path / "split.npz")
    return tmp_path


@pytest.fixture
def photos(tmp_path):
    """The same images in a folder, and a run directory of a search on 20 of them."""
    images, labels = striped_images(60)
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "photos" / ("lying", "standing")[label] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    data = load_images(tmp_path / "photos", seed=3, progress=False).limit(20)
    run = tmp_path / "run"
    run.mkdir()
    data.card.save(run / "data.json")
    data.save_split(run / "split.npz")
    return run, data


def test_scores_gallery_and_the_use_are_written(run, stripes, model):
    scores = judge(model, stripes, run, bootstrap=5)
    assert Scores.load(run / "scores.json") == scores
    assert scores.model == winner_digest(run)
    assert scores.class_names == ("lying", "standing")
    assert len(json.loads((run / "gallery.json").read_text())["examples"]) == 2
    (use,) = held_out_uses(run).uses
    assert (use.fingerprint, use.images) == (stripes.fingerprint, 12)
    assert use.judged == winner_digest(run)


def test_the_use_is_noted_before_the_model_sees_an_image(run, stripes):
    def model(images):
        assert len(held_out_uses(run).uses) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(model, stripes, run)


def test_what_was_measured_of_the_same_winner_is_kept(run, stripes, model, caplog):
    judge(model, stripes, run, parts=["cost"], bootstrap=5)
    again = judge(model, stripes, run, parts=["generalization"], bootstrap=5)
    assert again.cost is not None
    assert again.generalization is not None
    assert caplog.messages == []


def test_another_winner_starts_anew_and_is_told(run, stripes, model, caplog):
    judge(model, stripes, run, parts=["cost"], bootstrap=5)
    dataclasses.replace(RECORD, member_scores=(0.75,)).save(run / "ensemble.json")
    with caplog.at_level(logging.WARNING):
        assert judge(model, stripes, run, bootstrap=5).cost is None
    assert "opened 2 times" in caplog.text


def test_a_search_that_went_on_is_told(run, stripes, model, caplog):
    use = HeldOutUse(100.0, "evaluate", stripes.fingerprint, 12, winner_digest(run))
    HeldOutUses((use,)).save(run / "test_uses.json")
    (run / "trial_0").mkdir()
    trial = TrialRecord("0", 0, "COMPLETED", {}, {}, 0, 1, 1.0, 1, began=101.0)
    trial.save(run / "trial_0/result.json")
    judge(model, stripes, run, bootstrap=5)
    assert "1 trial began after it was first opened" in caplog.text


def test_the_winner_is_found_again(run, stripes, model):
    path = save_winner(Ensemble([model], [1.0]), run)
    images = stripes.test.images
    np.testing.assert_allclose(
        load_winner(run).predict_on_batch(images), model.predict_on_batch(images), atol=1e-6
    )
    assert [found.name for found in run.glob("*.keras")] == [path.name]


def test_an_earlier_winner_is_not_taken_for_it(run, model):
    save_winner(Ensemble([model], [1.0]), run)
    dataclasses.replace(RECORD, member_scores=(0.75,)).save(run / "ensemble.json")
    with pytest.raises(StorageError, match="no Keras model of its ensemble"):
        load_winner(run)
    save_winner(Ensemble([model], [1.0]), run)
    assert len(list(run.glob("*.keras"))) == 1


def test_a_run_without_an_ensemble(tmp_path):
    with pytest.raises(StorageError, match=r"ensemble\.json"):
        load_winner(tmp_path)


def test_the_images_of_a_run_are_split_as_they_were(photos):
    run, data = photos
    found = load_data(run, progress=False)
    assert found.fingerprint == data.fingerprint
    assert found.test.index.tolist() == data.test.index.tolist()
    assert len(found.train) + len(found.validation) == 20


def test_a_folder_that_has_moved(photos, tmp_path):
    run, data = photos
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        load_data(run, progress=False)
    assert load_data(run, tmp_path / "elsewhere", progress=False).fingerprint == data.fingerprint


def test_other_images_are_refused(photos, tmp_path):
    run, _ = photos
    (tmp_path / "photos/lying/00.png").unlink()
    with pytest.raises(DataError, match="holds other images than the search of"):
        load_data(run, progress=False)


def test_arrays_are_asked_for(run):
    with pytest.raises(OptionError, match="searched on arrays"):
        load_data(run)
