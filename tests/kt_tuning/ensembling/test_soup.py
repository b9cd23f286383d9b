"""Model soup: what is kept, and that it is never worse than the best model alone."""

import dataclasses

import keras
import numpy as np
import pytest

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.ensembling import Ensemble, candidates_of, soup
from kt_tuning.ensembling.candidates import greedy_soup
from kt_tuning.evaluation import METRICS


def linear(kernel, bias=(0.0, 0.0)):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.set_weights([np.asarray(kernel, np.float32), np.asarray(bias, np.float32)])
    return model


@pytest.fixture(scope="module")
def templates():
    """The kernel of a good model, and noise of the same shape."""
    wave = np.arange(8) // 2 % 2 - 0.5
    lying = (wave[:, None] - wave[None, :]).ravel()
    noise = np.random.default_rng(0).normal(scale=0.5, size=(64, 2))
    return np.stack([lying, -lying], axis=1) * 0.2, noise


def test_each_must_not_make_the_mean_worse():
    tried = []

    def distance_to_3(weights):
        tried.append(float(weights[0][0]))
        return abs(weights[0][0] - 3.0)

    pots = [[np.array([value]), np.array([index])] for index, value in enumerate([2.0, 4, 10, 3])]
    average, kept, costs = greedy_soup(iter(pots), distance_to_3)
    assert kept == [0, 1, 3]
    assert costs == [1.0, 0.0, 0.0]
    np.testing.assert_allclose(tried, [2, 3, 16 / 3, 3])
    np.testing.assert_allclose(average[0], [3])
    assert average[1] == [0], "counts are not averaged"


def test_the_mean_of_models_around_a_good_one(stripes, templates):
    good, noise = templates
    models = {"over": linear(good + noise), "under": linear(good - noise)}
    candidates = candidates_of(models, stripes)
    found = soup(candidates, stripes)
    assert sorted(found.ingredients) == ["over", "under"]
    assert found.score < found.best_alone
    weights = found.member.load().get_weights()
    np.testing.assert_allclose(weights[0], good, atol=1e-6)
    expected = linear(good).predict(stripes.validation.images, verbose=0)
    np.testing.assert_allclose(found.member.predictions, expected, atol=1e-5)
    options = {"solver": "single", "calibration": "none"}
    ensemble = Ensemble.from_members([found.member], candidates.labels, **options)
    np.testing.assert_allclose(ensemble.predict(stripes.validation.images), expected, atol=1e-5)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "f1"])
def test_never_worse_than_the_best_alone(stripes, metric):
    rng = np.random.default_rng(3)
    models = {str(index): linear(rng.normal(size=(64, 2))) for index in range(4)}
    candidates = candidates_of(models, stripes)
    found = soup(candidates, stripes, metric=metric)
    function, labels = METRICS[metric].function, stripes.validation.labels
    alone = [function(labels, member.predictions) for member in candidates.members]
    better = min if METRICS[metric].direction == "min" else max
    assert found.best_alone == pytest.approx(better(alone))
    assert better(found.score, found.best_alone) == pytest.approx(found.score)
    assert found.score == pytest.approx(function(labels, found.member.predictions))
    predicted = found.member.load().predict(stripes.validation.images, verbose=0)
    np.testing.assert_allclose(found.member.predictions, predicted, atol=1e-6)


def test_models_built_otherwise_are_left_out(stripes, templates):
    good, noise = templates
    deep = keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    models = {"good": linear(good), "noisy": linear(good + noise), "deep": deep}
    candidates = candidates_of({**models, "predictions": np.full((12, 2), 0.5)}, stripes)
    assert "deep" not in soup(candidates, stripes).ingredients


def test_what_is_refused(stripes):
    candidates = candidates_of({"predictions": np.full((12, 2), 0.5)}, stripes)
    with pytest.raises(OptionError, match="without a `load`"):
        soup(candidates, stripes)
    with pytest.raises(OptionError, match="'acuracy'"):
        soup(candidates, stripes, metric="acuracy")
    other = dataclasses.replace(candidates, fingerprint="f00d")
    with pytest.raises(DataError, match="f00d"):
        soup(other, stripes)
