"""Members from outside: models, files, ensembles, functions and predictions."""

import keras
import keras_tuner
import numpy as np
import pytest
from tiny_models import tiny

from kt_tuning.core.errors import DataError, OptionError, StorageError
from kt_tuning.ensembling import Ensemble, candidates_of, join_candidates


def model_of(seed):
    keras.utils.set_random_seed(seed)
    return tiny(keras_tuner.HyperParameters())


@pytest.fixture(scope="module")
def models():
    return [model_of(0), model_of(1)]


def test_all_kinds_of_models(stripes, models, tmp_path):
    first, second = models
    first.save(tmp_path / "first.keras")
    images = stripes.validation.images
    given = {
        "model": first,
        "file": tmp_path / "first.keras",
        "ensemble": Ensemble([first, second], [0.5, 0.5]),
        "function": lambda pixels: np.full((len(pixels), 2), 0.5),
        "predictions": np.eye(2)[stripes.validation.labels] * 0.8 + 0.1,
    }
    found = candidates_of(given, stripes)
    assert found.members[0].name == "predictions", "the best one comes first"
    members = {member.name: member for member in found.members}
    plain = first.predict(images, verbose=0)
    np.testing.assert_allclose(members["model"].predictions, plain, atol=1e-6)
    np.testing.assert_allclose(members["file"].predictions, plain, atol=1e-6)
    mean = (plain + second.predict(images, verbose=0)) / 2
    np.testing.assert_allclose(members["ensemble"].predictions, mean, atol=1e-6)
    loads = {name for name, member in members.items() if member.load is not None}
    assert loads == {"model", "file", "ensemble"}
    for name in loads:
        predicted = members[name].load().predict(images, verbose=0)
        np.testing.assert_allclose(predicted, members[name].predictions, atol=1e-6)
    np.testing.assert_array_equal(found.labels, stripes.validation.labels)
    np.testing.assert_array_equal(found.rows, stripes.indices["validation"])


def test_they_join_others_and_are_combined(stripes, models):
    one = candidates_of({"first": models[0]}, stripes)
    other = candidates_of({"second": models[1]}, stripes)
    both = join_candidates([one, other])
    assert {member.name for member in both.members} == {"first", "second"}
    ensemble = Ensemble.from_members(both.members, both.labels, solver="mean")
    assert len(ensemble) == 2


def test_what_is_refused(stripes, tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(StorageError, match=r"text\.keras should be a Keras model"):
        candidates_of({"text": tmp_path / "text.keras"}, stripes)
    with pytest.raises(StorageError, match="missing"):
        candidates_of({"gone": tmp_path / "missing.keras"}, stripes)
    with pytest.raises(OptionError, match="callable"):
        candidates_of({"number": 3}, stripes)
    with pytest.raises(DataError, match="probabilities"):
        candidates_of({"logits": lambda pixels: np.full((len(pixels), 2), 3.0)}, stripes)
    with pytest.raises(DataError):
        candidates_of({"short": np.full((5, 2), 0.5)}, stripes)
    with pytest.raises(DataError, match="Expected predictions"):
        candidates_of({}, stripes)
