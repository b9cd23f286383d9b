"""`open_run`: the tuner of an earlier search, from its run directory alone."""

import json
import shutil

import keras
import numpy as np
import pytest
from command_line import kt_tuning, write_photos
from shipped_run import write_definition
from tiny_models import tiny

from hypermodels import MLP, Families, FineTune, ResNet
from kt_tuning import Recipe, RefitOptions, Tuner, load_images, open_run
from kt_tuning.core.errors import OptionError, SearchError, StorageError
from kt_tuning.core.records import SearchRecord
from kt_tuning.recorded_tuner import recorded_hypermodel, tuner_arguments
from kt_tuning.run import Run
from kt_tuning.search.definition import read_definition

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("opened") / "photos")


@pytest.fixture(scope="module")
def searched(photos):
    """The run of a search in Python for the best of two MLPs, and its tuner."""
    data = load_images(photos, progress=False)
    tuner = Tuner(
        MLP(SHAPE, 2, units=8),
        max_trials=2,
        epochs=1,
        recipe=Recipe(batch_size=(16, 32), augment="none"),
        seed=1,
        directory=photos.parent,
        project_name="mlp",
    )
    tuner.search(data, verbose=False)
    tuner.ensemble()
    return tuner.run_directory, tuner


@pytest.fixture(scope="module")
def own(photos):
    """The run of a search with a hypermodel that no other process knows."""
    data = load_images(photos, progress=False)
    tuner = Tuner(tiny, max_trials=1, epochs=1, seed=1, directory=photos.parent, project_name="own")
    tuner.search(data, verbose=False)
    tuner.ensemble()
    return tuner.run_directory, tuner


def test_the_tuner_has_the_results_models_and_figures_of_the_search(searched):
    run, before = searched
    after = open_run(run)
    assert repr(after) == repr(before)
    assert after.recipe == before.recipe
    assert after.results().equals(before.results())
    assert after.history().equals(before.history())
    assert after.plot.history().axes
    assert after.oracle.get_space().get_config() == before.oracle.get_space().get_config()
    images = np.zeros((1, *SHAPE), np.uint8)
    one, two = (tuner.best_model().predict(images, verbose=0) for tuner in (before, after))
    assert np.array_equal(one, two)


def test_a_run_that_cannot_be_written_is_read(searched, photos, monkeypatch):
    run, before = searched
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    after = open_run(run)
    assert after.results().equals(before.results())
    assert after.best_model().count_params() == before.best_model().count_params()
    with pytest.raises(StorageError, match="read-only"):
        after.search(load_images(photos, progress=False), verbose=False)


def test_a_search_in_python_is_used_from_the_shell(searched, monkeypatch, capsys):
    run, _ = searched
    assert kt_tuning(monkeypatch, "refit", run, "--epochs", 1, "--quiet") == 0
    assert (run / "refit/export/1/saved_model.pb").exists()
    assert kt_tuning(monkeypatch, "export", run, "--format", "keras", "--quiet") == 0
    assert (run / "export/keras/1/model.keras").exists()
    assert kt_tuning(monkeypatch, "evaluate", run, "--part", "none", "--quiet") == 0
    assert (run / "scores.json").exists()
    assert kt_tuning(monkeypatch, "report", run) == 0
    assert capsys.readouterr().out.endswith(f"{run / 'report.html'}\n")


def test_methods_train_export_and_evaluate(searched, tmp_path):
    run, _ = searched
    tuner = open_run(run)
    bagged = tuner.bag(2, epochs=1, verbose=False)
    assert bagged.directory == run / "bag"
    assert len(list((run / "bag").glob("trial_*/result.json"))) == 2
    place = tuner.export(tmp_path / "model", "keras", images=4)
    assert place == tmp_path / "model"
    names = {path.name for path in place.iterdir()}
    assert {"model.keras", "labels.txt", "measurement.json", "MODEL_CARD.md"} <= names
    with pytest.raises(OptionError, match="which exists"):
        tuner.export(place, "keras")
    assert tuner.evaluate(bootstrap=5).images == 12


def test_without_the_hypermodel_everything_but_training_is_there(own, tmp_path):
    run, before = own
    after = open_run(run)
    assert after.results().equals(before.results())
    assert len(after.study.trials) == 1
    assert after.report(tmp_path / "page.html").path.exists()
    assert after.evaluate(bootstrap=5).images == 12
    assert (after.export(tmp_path / "model", "keras", images=4) / "model.keras").exists()
    message = r"tiny, is code .* open_run\(path, hypermodel=…\)"
    for train in (after.refit, after.bag, after.distill, after.search):
        with pytest.raises(SearchError, match=message):
            train()
    assert not (run / "refit").exists()


def test_a_hypermodel_whose_name_is_no_text_is_refused(own, tmp_path):
    run = shutil.copytree(own[0], tmp_path / "run")
    content = json.loads((run / "definition.json").read_text())
    content["hypermodel"]["name"] = 1.5
    (run / "definition.json").write_text(json.dumps(content))
    with pytest.raises(StorageError, match=r"definition\.json is damaged .* not 1\.5"):
        open_run(run)


def test_a_hypermodel_of_ones_own_is_passed(own):
    run, before = own
    tuner = open_run(run, hypermodel=tiny)
    images = np.zeros((1, *SHAPE), np.uint8)
    one, two = (each.best_model().predict(images, verbose=0) for each in (before, tuner))
    assert np.array_equal(one, two)
    made = tuner.refit(RefitOptions(members="best", epochs=1, verbose=False))
    assert made.directory == run / "refit"
    with pytest.raises(StorageError, match="hypermodel: was tiny, now MLP"):
        open_run(run, hypermodel=MLP(SHAPE, 2))


def write_records(path, hypermodel, **definition):
    SearchRecord("val_accuracy", "max", "tpe", 0, 1, 1, None, "x", {}).save(path / "search.json")
    write_definition(path, hypermodel, **definition)


@pytest.mark.parametrize(
    "hypermodel",
    [
        MLP(SHAPE, 2, units=8, per_stage=("units",), space="wide"),
        ResNet(SHAPE, 2, normalization=((127.0,), (64.0,))),
        FineTune((32, 32, 3), 2, backbone="MobileNetV2", weights=None),
        Families({"small": MLP(SHAPE, 2), "large": ResNet(SHAPE, 2, width=0.5)}),
    ],
    ids=lambda hypermodel: type(hypermodel).__name__,
)
def test_hypermodels_are_made_again_from_their_description(hypermodel, tmp_path):
    write_records(tmp_path, hypermodel)
    run = Run(tmp_path)
    assert repr(recorded_hypermodel(run, read_definition(run))) == repr(hypermodel)


def test_what_cannot_be_made_again_is_asked_for(tmp_path):
    from kt_tuning import Policy

    recipe = Recipe(augment=Policy())
    write_records(tmp_path, MLP(SHAPE, 2), recipe=recipe)
    with pytest.raises(StorageError, match=r"open_run\(path, recipe="):
        open_run(tmp_path)
    run = Run(tmp_path)
    options = tuner_arguments(run, run.read_search(), read_definition(run), recipe)
    assert options["recipe"] == recipe
    write_records(tmp_path, MLP(SHAPE, 2), oracle="RandomSearchOracle")
    with pytest.raises(StorageError, match="searched with RandomSearchOracle"):
        open_run(tmp_path)


def test_a_run_whose_pretrained_network_is_gone_is_read(tmp_path, caplog):
    inputs = keras.Input((32, 32, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, pooled).save(tmp_path / "net.tf.keras")
    write_records(tmp_path, FineTune((32, 32, 3), 2, backbone=tmp_path / "net.tf.keras"))
    (tmp_path / "net.tf.keras").unlink()
    tuner = open_run(tmp_path)
    assert "cannot be made again" in caplog.text
    assert len(tuner.results()) == 0
    with pytest.raises(SearchError, match="pre-trained network is missing"):
        tuner.refit()


def test_what_is_no_run_directory_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"which has no search\.json"):
        open_run(tmp_path)


@pytest.mark.parametrize("url", ["postgresql://user@127.0.0.1:1/name", "sqlite:///theirs.db"])
def test_a_recorded_storage_is_not_opened_unless_it_is_named(searched, tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KT_TUNING_STORAGE_PASSWORD", "secret")
    monkeypatch.delenv("KT_TUNING_STORAGE", raising=False)
    run = tmp_path / "theirs"
    shutil.copytree(searched[0], run)
    (run / "options.json").write_text(json.dumps({"storage": url}))
    with pytest.raises(StorageError, match=r"options\.json names the storage .* not opened"):
        open_run(run)
    assert not (tmp_path / "theirs.db").exists()
    monkeypatch.setenv("KT_TUNING_STORAGE", url)
    assert open_run(run).oracle.storage == url
