"""A tuner that is made again on a finished run does all that the one that searched does."""

import numpy as np
import pytest
from command_line import write_photos
from tiny_models import tiny

import kt_tuning
from kt_tuning import Ensemble, RefitOptions, load_images
from kt_tuning.core.errors import SearchError
from kt_tuning.finalize.configuration import Configuration


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A finished run on a folder, the tuner that searched and its images."""
    folder = tmp_path_factory.mktemp("restart")
    data = load_images(write_photos(folder / "photos"), progress=False)
    tuner = make(folder)
    tuner.search(data, verbose=False)
    return folder, tuner, data


def make(folder, **options):
    return kt_tuning.Tuner(
        tiny, max_trials=3, epochs=2, seed=1, directory=folder, project_name="run", **options
    )


@pytest.fixture
def again(searched):
    return make(searched[0])


def test_the_ensemble(searched, again):
    _, tuner, data = searched
    before, after = tuner.ensemble(), again.ensemble()
    assert after.record == before.record
    assert after.card == data.card
    assert np.array_equal(after.predict(data.test.images), before.predict(data.test.images))


def test_an_ensemble_that_was_saved(searched, tmp_path):
    _, tuner, data = searched
    ensemble = tuner.ensemble()
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = Ensemble.load(tmp_path / "ensemble.keras")
    assert np.array_equal(loaded.predict(data.test.images), ensemble.predict(data.test.images))
    exported = loaded.export(tmp_path / "export/1")
    assert (exported / "labels.txt").read_text().split() == ["lying", "standing"]


def test_models_hyperparameters_and_tables(searched, again):
    _, tuner, data = searched
    images = data.test.images
    for one, two in (
        (tuner.best_model(), again.best_model()),
        (tuner.get_best_models(1)[0], again.get_best_models(1)[0]),
    ):
        assert np.array_equal(one.predict(images, verbose=0), two.predict(images, verbose=0))
    best, same = tuner.get_best_hyperparameters(1)[0], again.get_best_hyperparameters(1)[0]
    assert same.values == best.values
    assert again.results().equals(tuner.results())
    assert again.history().equals(tuner.history())
    assert again.pareto().equals(tuner.pareto())
    assert Configuration.of(again).values == Configuration.of(tuner).values


def test_figures_and_the_report(again):
    assert again.plot.history().axes
    assert len(again.study.trials) == 3
    assert again.report().path.exists()


def test_a_refit_loads_the_images_from_their_folder(searched, again):
    _, _, data = searched
    made = again.refit(options=RefitOptions(members="best", epochs=1, verbose=False))
    assert made.record.fingerprint == data.fingerprint
    assert made.record.images == len(data.train) + len(data.validation)


def test_a_refit_of_arrays_asks_for_them(stripes, make_tuner):
    make_tuner(max_trials=1, epochs=1).search(stripes, verbose=False)
    with pytest.raises(SearchError, match="pass `data`"):
        make_tuner(max_trials=1, epochs=1).refit()
    assert make_tuner(max_trials=1, epochs=1).ensemble().card.source == "arrays"


def test_without_a_search_on_images_there_is_no_ensemble(make_tuner):
    with pytest.raises(SearchError, match="An ensemble needs a search on an ImageData"):
        make_tuner().ensemble()
