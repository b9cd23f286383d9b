"""What won is trained again, on all images that it may see."""

import csv
import dataclasses
import json
import shutil
import time

import keras
import keras_tuner
import numpy as np
import pytest
from striped import striped_images
from tiny_models import tiny

from kt_tuning import Recipe, RefitOptions, Tuner
from kt_tuning.core.errors import OptionError, SearchError, StorageError
from kt_tuning.core.progress import Task
from kt_tuning.data import ImageData
from kt_tuning.data.batches import Batches
from kt_tuning.devices import Devices
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.ensembling.run_files import combination_digest
from kt_tuning.evaluation import held_out_uses
from kt_tuning.evaluation.test_uses import HeldOutUse, add_uses, model_digest
from kt_tuning.finalize import load_final_model, save_final_model
from kt_tuning.finalize.refit_training import check_shareable

QUIET = RefitOptions(verbose=False)
BEST = RefitOptions(members="best", verbose=False)


def tuner_in(directory):
    return Tuner(
        tiny,
        strategy="random",
        max_trials=2,
        epochs=3,
        recipe=Recipe(batch_size=16, augment="none"),
        seed=1,
        directory=directory,
        project_name="run",
    )


pytestmark = pytest.mark.usefixtures("unused_test_split")


@pytest.fixture(scope="module")
def data():
    """60 images: 36 train, 12 validation, 12 test."""
    images, labels = striped_images(60)
    return ImageData.from_arrays(images, labels, class_names=("lying", "standing"))


@pytest.fixture(scope="module")
def searched(tmp_path_factory, data):
    base = tmp_path_factory.mktemp("searched")
    tuner = tuner_in(base)
    tuner.search(data, verbose=False)
    tuner.ensemble(size=2, solver="mean")
    return base


@pytest.fixture
def tuner(searched, tmp_path):
    """Two trials are done, and an ensemble of both."""
    shutil.copytree(searched, tmp_path / "runs")
    return tuner_in(tmp_path / "runs")


def best_row(tuner):
    return tuner.results().sort_values("val_accuracy", ascending=False, kind="stable").iloc[0]


def trained_by_keras(data, row, epochs):
    """The best trial's model after as many epochs on training and validation images."""
    hp = keras_tuner.HyperParameters()
    hp.values = {"units": int(row["hp/units"]), "rate": row["hp/rate"]}
    seed = int(np.random.SeedSequence((1, int(row["number"]))).generate_state(1)[0])
    keras.utils.set_random_seed(seed)
    model = tiny(hp)
    places = np.sort(np.concatenate([data.indices["train"], data.indices["validation"]]))
    joined = dataclasses.replace(data, indices={**data.indices, "train": places})
    batches = Batches(joined.train, 16, seed=seed)
    for epoch in range(epochs):
        for index in range(3):
            model.train_on_batch(*batches.read(epoch, index))
    return model


def losses(folder):
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(len(rows)))
    return [float(row["loss"]) for row in rows]


def test_the_best_trial_is_trained_on_all_images_for_its_best_number_of_epochs(tuner, data):
    row = best_row(tuner)
    made = tuner.refit(BEST, data)
    epochs = int(row["best_epoch"]) + 1
    assert made.record.trial_ids == (row.name,)
    assert (made.record.images, made.record.epochs) == (48, (epochs,))
    assert (made.record.batch_sizes, made.record.rate_ratios) == ((16,), (1.0,))
    model = trained_by_keras(data, row, epochs)
    wanted = model.predict(data.test.images, verbose=0)
    assert np.allclose(made.ensemble.predict(data.test.images), wanted, atol=1e-5)


def test_what_it_leaves_is_laid_out_like_a_run(tuner, data):
    made = tuner.refit(BEST, data)
    folder = tuner.run_directory / "refit"
    assert made.directory == folder
    (name,) = made.record.trial_ids
    result = json.loads((folder / f"trial_{name}/result.json").read_text())
    assert result["epochs"] == made.record.epochs[0] == len(losses(folder / f"trial_{name}"))
    assert not (folder / f"trial_{name}/checkpoint").exists()
    for file in ("data.json", "split.npz", "search.json"):
        assert (folder / file).read_bytes() == (tuner.run_directory / file).read_bytes()
    # Models that were trained again are others than those before, whatever their weights.
    assert combination_digest(folder) != combination_digest(tuner.run_directory)
    save_final_model(made.ensemble, folder)
    images = data.test.images
    kept = load_final_model(folder).predict(images, verbose=0)
    assert np.allclose(kept, made.ensemble.predict(images), atol=1e-6)


def test_members_of_an_ensemble_keep_their_weights(tuner, data):
    before = EnsembleRecord.load(tuner.run_directory / "ensemble.json")
    made = tuner.refit(dataclasses.replace(QUIET, epochs=1), data)
    assert made.record.trial_ids == before.trial_ids
    assert made.record.epochs == (1, 1)
    assert len(set(made.record.seeds)) == 2
    assert made.ensemble.weights.tolist() == list(before.weights) == [0.5, 0.5]
    after = EnsembleRecord.load(made.directory / "ensemble.json")
    assert after.combination == before.combination
    # What was measured of the models before is not told of those that were trained again.
    assert (after.cross_fitted, after.reliability) == ({}, None)
    assert after.model == model_digest(made.ensemble) != before.model


def test_one_that_was_interrupted_goes_on(tuner, data, monkeypatch):
    options = dataclasses.replace(BEST, epochs=3)

    def interrupted(task, done, note=""):
        if done == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Task, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tuner.refit(options, data)
    (folder,) = (tuner.run_directory / "refit").glob("trial_*")
    assert len(losses(folder)) == 2
    made = tuner.refit(options, data)
    assert len(losses(folder)) == 3
    model = trained_by_keras(data, best_row(tuner), 3)
    wanted = model.predict(data.test.images, verbose=0)
    assert np.allclose(made.ensemble.predict(data.test.images), wanted, atol=1e-5)


def test_one_that_is_done_is_kept_and_another_one_refused(tuner, data):
    first = tuner.refit(BEST, data)
    (weights,) = first.directory.glob("trial_*/model.weights.h5")
    written = weights.stat().st_mtime_ns
    again = tuner.refit(dataclasses.replace(BEST, overwrite=True), data)
    assert weights.stat().st_mtime_ns == written
    assert again.record == first.record
    other = dataclasses.replace(BEST, epochs=5)
    with pytest.raises(StorageError, match=r"epochs=\(\d,\), now \(5,\).*overwrite=True"):
        tuner.refit(other, data)
    assert tuner.refit(dataclasses.replace(other, overwrite=True), data).record.epochs == (5,)
    assert len(losses(weights.parent)) == 5


def test_that_the_test_images_were_used_before_is_said(tuner, data, caplog):
    run = tuner.run_directory
    add_uses(run, [HeldOutUse(time.time(), "evaluate", data.fingerprint, 12)])
    add_uses(run, [HeldOutUse(time.time(), "evaluate", "of other images", 12)])
    made = tuner.refit(BEST, data)
    assert len(made.record.test_uses) == 1
    assert f"opened once before this refit, first on {made.record.test_uses[0]}" in caplog.text
    assert held_out_uses(made.directory) == held_out_uses(run)
    # The refit has not looked at them.
    assert len(json.loads((run / "test_uses.json").read_text())["uses"]) == 2


def test_images_that_were_not_used_before_are_no_news(tuner, data, caplog):
    assert tuner.refit(BEST, data).record.caveat is None
    assert "test split" not in caplog.text


def test_larger_batches_have_a_higher_rate(tuner, data):
    made = tuner.refit(dataclasses.replace(BEST, batch_size=48, epochs=10), data)
    assert made.record.rate_ratios == (3.0,)
    (history,) = made.directory.glob("trial_*/history.csv")
    with history.open(newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    # Adam: √3 times; the one step of the warm-up is the first of ten epochs.
    assert rates == pytest.approx([best_row(tuner)["hp/rate"] * 3**0.5] * 10, rel=1e-5)


def test_what_cannot_be_refitted_is_refused(tuner, data, tmp_path):
    images, labels = striped_images(60, seed=1)
    with pytest.raises(StorageError, match="other data"):
        tuner.refit(BEST, ImageData.from_arrays(images, labels))
    with pytest.raises(SearchError, match="pass `data`"):
        tuner.refit()
    with pytest.raises(OptionError, match=r"at most the number of devices, here 1.*devices=2"):
        tuner.refit(dataclasses.replace(BEST, devices=2), data)
    path = tuner.run_directory / "ensemble.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "trial_ids": ["bag/0000", record["trial_ids"][1]]}))
    with pytest.raises(OptionError, match="Received: bag/0000"):
        tuner.refit(QUIET, data)
    path.unlink()
    with pytest.raises(SearchError, match="no ensemble yet"):
        tuner.refit(dataclasses.replace(QUIET, members="ensemble"), data)


def test_batches_that_are_gathered_for_a_step_are_for_one_device():
    model = tiny(keras_tuner.HyperParameters())
    model.compile(keras.optimizers.SGD(gradient_accumulation_steps=4))
    two = Devices("gpu", ("/device:GPU:0", "/device:GPU:1"), 2)
    check_shareable(model, two.take(1))
    with pytest.raises(OptionError, match=r"steps=4\. .*devices=1"):
        check_shareable(model, two)


@pytest.mark.parametrize(
    ("options", "told"),
    [({"members": "all"}, "auto, ensemble, best"), ({"epochs": 0}, "epochs=0")],
)
def test_options_are_checked(options, told):
    with pytest.raises(OptionError, match=told):
        RefitOptions(**options)
