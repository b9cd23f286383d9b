"""Judging the winner of a run directory, and finding what it takes."""

import dataclasses
import json
import logging
import shutil
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest
from PIL import Image
from striped import striped_images

from kt_tuning.core.errors import DataError, OptionError, StorageError
from kt_tuning.core.records import SearchRecord, TrialRecord
from kt_tuning.data import ImageData, load_images
from kt_tuning.ensembling import Ensemble, EnsembleRecord
from kt_tuning.ensembling.run_files import RunRecords, read_scores
from kt_tuning.evaluation import Parts, Scores, evaluate, generalization, held_out_uses
from kt_tuning.evaluation.test_uses import HeldOutUse, HeldOutUses, model_digest
from kt_tuning.finalize import evaluate_run, load_final_model, load_run_data, save_final_model
from kt_tuning.finalize.evaluate import _as_before
from kt_tuning.search.run_directory import RunDirectory

RECORD = EnsembleRecord(("0",), (1.0,), "single", {}, (0.5,))
SEARCH = SearchRecord("val_accuracy", "max", "tpe", 0, 1, 1, None, "tiny", {})


def make_model(seed=0):
    keras.utils.set_random_seed(seed)
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


@pytest.fixture(scope="module")
def other():
    return make_model(seed=1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Keep uses without a run apart from those of other tests."""
    monkeypatch.setenv("KT_TUNING_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def data():
    """60 images that no other test has looked at."""
    images, labels = striped_images(60)
    return ImageData.from_arrays(images, labels, class_names=("lying", "standing"), seed=5)


@pytest.fixture
def run(tmp_path, data, model):
    """A run directory whose ensemble is the model, searched on arrays."""
    dataclasses.replace(RECORD, model=model_digest(model)).save(tmp_path / "ensemble.json")
    data.card.save(tmp_path / "data.json")
    data.save_split(tmp_path / "split.npz", predicted=data.indices["validation"])
    SEARCH.save(tmp_path / "search.json")
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


def test_scores_gallery_and_the_use_are_written(run, data, model):
    scores = evaluate_run(model, data, run, bootstrap=5)
    assert Scores.load(run / "scores.json") == scores
    assert scores.model == model_digest(model)
    assert scores.class_names == ("lying", "standing")
    assert len(json.loads((run / "gallery.json").read_text())["examples"]) == 2
    (use,) = held_out_uses(run).uses
    assert (use.fingerprint, use.images, use.judged) == (data.fingerprint, 12, scores.model)


def test_the_use_is_noted_before_the_model_sees_an_image(run, data):
    def model(images):
        assert len(held_out_uses(run).uses) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_run(model, data, run)


def test_what_was_measured_of_the_same_model_is_kept(run, data, model, caplog):
    evaluate_run(model, data, run, parts=["cost"], bootstrap=5)
    again = evaluate_run(model, data, run, parts=["generalization"], bootstrap=5)
    assert again.cost is not None
    assert again.generalization is not None
    assert "unseen" not in caplog.text


def test_scores_of_another_model_are_not_filed_as_the_ensembles(run, data, model, other, caplog):
    kept = evaluate_run(model, data, run, bootstrap=5)
    with caplog.at_level(logging.WARNING):
        scores = evaluate_run(other, data, run, bootstrap=5)
    assert scores.model == model_digest(other) != kept.model
    assert Scores.load(run / "scores.json") == kept
    assert [use.judged for use in held_out_uses(run).uses] == [kept.model, scores.model]
    assert "opened 2 times" in caplog.text


def test_a_model_that_was_not_the_ensemble_leaves_no_scores(run, data, other):
    evaluate_run(other, data, run, bootstrap=5)
    assert not (run / "scores.json").exists()
    assert not (run / "gallery.json").exists()


def test_scores_of_the_ensemble_before_are_not_read(run, data, model):
    evaluate_run(model, data, run, bootstrap=5)
    assert read_scores(run) is not None
    dataclasses.replace(RECORD, model="another").save(run / "ensemble.json")
    assert read_scores(run) is None


def test_a_search_that_went_on_is_told(run, data, model, caplog):
    use = HeldOutUse(100.0, "evaluate", data.fingerprint, 12, model_digest(model))
    HeldOutUses((use,)).save(run / "test_uses.json")
    (run / "trial_0").mkdir()
    trial = TrialRecord("0", 0, "COMPLETED", {}, {}, 0, 1, 1.0, 1, began=101.0)
    trial.save(run / "trial_0/result.json")
    evaluate_run(model, data, run, bootstrap=5)
    assert "1 trial began after it was first opened" in caplog.text


def test_other_data_than_the_runs_are_refused(run, data, model):
    with pytest.raises(DataError, match="was run on other data"):
        evaluate_run(model, data.limit(20), run)
    assert held_out_uses(run).uses == ()


def test_evaluate_by_itself_is_noted_in_the_run_that_knows_the_data(run, data, model):
    data.runs.append(run)
    evaluate(model, data, bootstrap=5)
    evaluate(model, data.test, bootstrap=5)
    assert [use.judged for use in held_out_uses(run).uses] == [model_digest(model)] * 2


def test_validation_images_are_free(run, data, model):
    data.runs.append(run)
    evaluate(model, data.validation, bootstrap=5)
    assert held_out_uses(run).uses == ()


def test_gaps_that_somebody_measures_are_noted(run, data, model):
    data.runs.append(run)
    generalization(model, {"train": data.train, "test": data.test}, bootstrap=5)
    assert [use.by for use in held_out_uses(run).uses] == ["generalization"]


def test_a_use_before_there_is_a_run_is_taken_over_by_the_search(
    data, model, other, tmp_path, caplog
):
    evaluate(model, data, bootstrap=5)
    assert "unseen" not in caplog.text
    evaluate(other, data, bootstrap=5)
    assert "opened 2 times" in caplog.text
    objective = keras_tuner.Objective("val_accuracy", "max")
    (tmp_path / "later").mkdir()
    directory = RunDirectory(tmp_path / "later", objective, overwrite=False)
    directory.claim(data, [data.indices["validation"]])
    digests = [model_digest(one) for one in (model, other)]
    assert [use.judged for use in held_out_uses(tmp_path / "later").uses] == digests
    evaluate(model, data, bootstrap=5)
    assert len(held_out_uses(tmp_path / "later").uses) == 3


def test_uses_by_processes_that_do_not_know_of_the_run_count(run, data, model, other, caplog):
    evaluate(other, data, bootstrap=5)
    evaluate(make_model(seed=2), data, bootstrap=5)
    assert "opened 2 times" in RunRecords.load(run).caveat
    caplog.clear()
    evaluate_run(model, data, run, bootstrap=5)
    assert "opened 3 times" in caplog.text
    assert len(held_out_uses(run).of(data.fingerprint).uses) == 3


def test_the_test_split_of_folds_is_that_of_the_data(run, data, model):
    data.runs.append(run)
    evaluate(model, data.folds(3)[1], bootstrap=5)
    assert [use.judged for use in held_out_uses(run).of(data.fingerprint).uses] == [
        model_digest(model)
    ]


def test_a_use_in_a_folder_of_a_run_counts_in_both(run, data, other):
    folder = run / "bag"
    folder.mkdir()
    for name in ("data.json", "search.json"):
        shutil.copyfile(run / name, folder / name)
    evaluate_run(other, data, folder, bootstrap=5)
    assert held_out_uses(folder) == held_out_uses(run)
    assert len(held_out_uses(run).uses) == 1


def test_the_winner_is_found_again(run, data, model):
    path = save_final_model(Ensemble([model], [1.0]), run)
    images = data.validation.images
    np.testing.assert_allclose(
        load_final_model(run).predict_on_batch(images), model.predict_on_batch(images), atol=1e-6
    )
    assert [found.name for found in run.glob("*.keras")] == [path.name]


def test_a_damaged_winner_is_written_anew(run, model):
    path = save_final_model(Ensemble([model], [1.0]), run)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StorageError, match=r"damaged.*kt-tuning finalize"):
        load_final_model(run)
    save_final_model(Ensemble([model], [1.0]), run)
    assert load_final_model(run).output_shape == model.output_shape


def test_an_earlier_winner_is_not_taken_for_it(run, model):
    save_final_model(Ensemble([model], [1.0]), run)
    dataclasses.replace(RECORD, member_scores=(0.75,)).save(run / "ensemble.json")
    with pytest.raises(StorageError, match="no Keras model of its ensemble"):
        load_final_model(run)
    save_final_model(Ensemble([model], [1.0]), run)
    assert len(list(run.glob("*.keras"))) == 1


def test_a_run_without_an_ensemble(tmp_path):
    with pytest.raises(StorageError, match="is no run directory"):
        load_final_model(tmp_path)
    SearchRecord("val_accuracy", "max", "tpe", 0, 1, 1, None, "build", {}).save(
        tmp_path / "search.json"
    )
    with pytest.raises(StorageError, match=r"not been combined.*kt-tuning finalize"):
        load_final_model(tmp_path)


def test_the_images_of_a_run_are_split_as_they_were(photos):
    run, data = photos
    found = load_run_data(run, progress=False)
    assert found.fingerprint == data.fingerprint
    assert found.test.index.tolist() == data.test.index.tolist()
    assert len(found.train) + len(found.validation) == 20


def test_a_folder_that_has_moved(photos, tmp_path):
    run, data = photos
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match=r"not there any more.*--data"):
        load_run_data(run, progress=False)
    assert (
        load_run_data(run, tmp_path / "elsewhere", progress=False).fingerprint == data.fingerprint
    )


def test_a_table_that_has_moved(photos, tmp_path):
    labels = tmp_path / "labels.csv"
    files = sorted((tmp_path / "photos").glob("*/*.png"))
    labels.write_text(
        "file,label\n" + "".join(f"{f.parent.name}/{f.name},{f.parent.name}\n" for f in files)
    )
    data = load_images(labels, images=tmp_path / "photos", progress=False)
    run = tmp_path / "tabled"
    run.mkdir()
    data.card.save(run / "data.json")
    data.save_split(run / "split.npz")
    moved = labels.rename(tmp_path / "photos/moved.csv")
    with pytest.raises(StorageError, match=r"is not there any more.*--data labels\.csv"):
        load_run_data(run, progress=False)
    assert load_run_data(run, moved, progress=False).fingerprint == data.fingerprint
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    moved = tmp_path / "elsewhere/moved.csv"
    assert load_run_data(run, moved, progress=False).fingerprint == data.fingerprint


def test_other_images_are_refused(photos, tmp_path):
    run, _ = photos
    (tmp_path / "photos/lying/00.png").unlink()
    with pytest.raises(DataError, match="holds other images than the search of"):
        load_run_data(run, progress=False)


def test_arrays_are_asked_for(run):
    with pytest.raises(OptionError, match="searched on arrays"):
        load_run_data(run)


@pytest.mark.parametrize(
    ("parts", "model", "images"),
    [
        (Parts(("corruptions",)), "the same", 20),
        (Parts(("cost", "attacks")), "the same", 20),
        # Both are measured anew, on the same images.
        (Parts(("corruptions", "attacks")), "the same", None),
        (Parts(("corruptions",), images="all"), "the same", "all"),
        (Parts(("corruptions",)), "another", None),
        (Parts(("cost",)), "the same", None),
    ],
)
def test_one_of_corruptions_and_attacks_is_measured_on_the_images_of_the_other(
    parts, model, images, monkeypatch, tmp_path
):
    earlier = SimpleNamespace(model="the same", robustness=SimpleNamespace(images=20))
    monkeypatch.setattr("kt_tuning.finalize.evaluate.read_scores", lambda directory: earlier)
    monkeypatch.setattr("kt_tuning.finalize.evaluate.model_digest", lambda model: model)
    assert _as_before(parts, tmp_path, model).images == images
