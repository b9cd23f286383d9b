"""Bagging, boosting and snapshots: what members are trained on, and how they are combined."""

import math

import numpy as np
import pandas as pd
import pytest
from stripe_models import clueless, configured, knowing
from striped import striped_images

from hypermodels import MLP
from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.records import TrialRecord
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble, candidates_of, join_candidates, read_candidates
from kt_tuning.ensembling.members import take_best
from kt_tuning.finalize import bag, boost, member_training, snapshots
from kt_tuning.finalize.repeated_training import (
    _annealed,
    boosting_round,
    bootstrap_rows,
    draw_rows,
)
from kt_tuning.trials.weights import save_weights


def test_each_class_keeps_its_number_of_images():
    labels = np.repeat([0, 1, 2], [5, 50, 500])
    rows = bootstrap_rows(labels, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(labels[rows]), [5, 50, 500])
    again = bootstrap_rows(labels, np.random.default_rng(0))
    np.testing.assert_array_equal(rows, again)


def test_a_sample_leaves_out_one_in_e():
    labels = np.zeros(100_000, dtype=np.int64)
    left_out = 1 - len(np.unique(bootstrap_rows(labels, np.random.default_rng(0)))) / 100_000
    assert abs(left_out - np.exp(-1)) < 0.01


def test_members_that_can_be_combined(stripes, tmp_path):
    found = bag(configured(), stripes, tmp_path, members=2, verbose=False)
    assert {member.name for member in found.members} == {"bag/0000", "bag/0001"}
    images = stripes.validation.images
    predictions = [member.predictions for member in found.members]
    for member in found.members:
        predicted = member.load().predict(images, verbose=0)
        np.testing.assert_allclose(predicted, member.predictions, atol=1e-6)
    assert not np.array_equal(predictions[0], predictions[1])
    scores = [member.score for member in found.members]
    assert scores == sorted(scores)

    # One configuration, and yet no copies of each other.
    assert len(take_best(found.members, found.labels, 2)) == 2
    ensemble = Ensemble.from_members(found.members, found.labels, solver="mean", calibration="none")
    np.testing.assert_allclose(ensemble.predict(images), np.mean(predictions, axis=0), atol=1e-6)

    # They are where the trials of a search would be.
    read = read_candidates(tmp_path, prefix="bag/")
    assert [member.name for member in read.members] == [member.name for member in found.members]
    outside = candidates_of({"flat": np.full((12, 2), 0.5)}, stripes)
    assert len(join_candidates([found, outside]).members) == 3
    record = TrialRecord.load(tmp_path / "trial_0001" / "result.json")
    assert record.values == {"rate": 0.03, "units": 4, "bag/bootstrap": True, "bag/member": 1}


def test_the_samples_are_what_is_trained_on(stripes, tmp_path, monkeypatch):
    rows = []
    plain = member_training.ImageTask

    def spy(hypermodel, data, recipe, **options):
        rows.append(data.indices["train"])
        np.testing.assert_array_equal(data.indices["validation"], stripes.indices["validation"])
        return plain(hypermodel, data, recipe, **options)

    monkeypatch.setattr(member_training, "ImageTask", spy)
    train = stripes.indices["train"]
    for bootstrap in (True, False):
        bag(
            configured(knowing),
            stripes,
            tmp_path / str(bootstrap),
            members=1,
            bootstrap=bootstrap,
            verbose=False,
        )
    assert len(rows[0]) == len(train)
    assert set(rows[0]) < set(train)
    np.testing.assert_array_equal(rows[1], train)


def test_rows_are_drawn_by_weight():
    labels = np.repeat([0, 1], 500)
    weights = np.where(np.arange(1000) % 10 == 0, 5.0, 1.0)
    weights /= weights.sum()
    rows = draw_rows(weights, labels, np.random.default_rng(0))
    assert len(rows) == 1000
    heavy = np.mean(rows % 10 == 0)
    assert abs(heavy - 5 / 14) < 0.05


def test_no_class_is_left_out():
    labels = np.repeat([0, 1, 2], 4)
    weights = np.where(labels == 1, 0.25, 0.0)
    weights[10] = 1e-9
    rows = draw_rows(weights / weights.sum(), labels, np.random.default_rng(0))
    assert set(labels[rows]) == {0, 1, 2}
    assert 10 in rows, "the heaviest of its class"


@pytest.fixture
def mislabelled():
    """Stripes of which every sixth has the wrong label: 100 to train on."""
    images, labels = striped_images(140)
    labels = np.where(np.arange(140) % 6 == 0, 1 - labels, labels)
    split = slice(0, 100), slice(100, 120), slice(120, 140)
    train, validation, test = ((images[part], labels[part]) for part in split)
    return ImageData.from_arrays(*train, validation=validation, test=test)


def test_two_rounds(mislabelled, tmp_path):
    # A model that knows stripes gets the wrong labels wrong, and learns nothing from them.
    found = boost(configured(knowing), mislabelled, tmp_path, rounds=2, verbose=False)
    wrong = np.arange(100) % 6 == 0
    assert wrong.sum() == 17
    first = boosting_round(np.ones(100), wrong, 2)
    assert found.votes["boost/0000"] == pytest.approx(math.log(0.83 / 0.17))
    np.testing.assert_array_equal(np.load(tmp_path / "trial_0000" / "train_errors.npy"), wrong)
    # To the second member, the same model, half the weight is wrong: it has no vote.
    assert boosting_round(first.weights, wrong, 2).vote == pytest.approx(0, abs=1e-9)
    assert (tmp_path / "trial_0001" / "result.json").exists()
    assert [member.name for member in found.members] == ["boost/0000"]
    assert found.combination.weights == (1.0,)


def test_members_that_learn_are_weighted_by_their_votes(mislabelled, tmp_path):
    found = boost(configured(epochs=8), mislabelled, tmp_path, rounds=2, verbose=False)
    assert len(found.members) > 1
    assert all(vote > 0 for vote in found.votes.values())
    votes = np.array([found.votes[member.name] for member in found.members])
    np.testing.assert_allclose(found.combination.weights, votes / votes.sum())
    ensemble = Ensemble([member.load() for member in found.members], found.combination)
    predictions = np.stack([member.predictions for member in found.members])
    np.testing.assert_allclose(
        ensemble.predict(mislabelled.validation.images),
        np.tensordot(votes / votes.sum(), predictions, axes=1),
        atol=1e-5,
    )


def test_it_ends_when_nothing_is_wrong(stripes, tmp_path):
    found = boost(configured(knowing), stripes, tmp_path, rounds=3, verbose=False)
    assert found.votes == {"boost/0000": pytest.approx(math.log(71))}, "half of 36 images"
    assert not (tmp_path / "trial_0001").exists()


def test_the_first_member_has_to_know_something(stripes, tmp_path):
    with pytest.raises(SearchError, match="50% of them wrong"):
        boost(configured(clueless), stripes, tmp_path, rounds=2, verbose=False)


def rates(folder):
    return pd.read_csv(folder / "history.csv")["learning_rate"].tolist()


def test_the_rate_falls_in_each_cycle_and_is_raised_again(stripes, tmp_path):
    hypermodel = MLP(
        stripes.input_shape, stripes.classes, stages=1, units=4, norm="none", dropout=0, warmup=0.0
    )
    values = {"schedule": "exponential", "optimizer": "sgd", "sgd_learning_rate": 0.1}
    configuration = configured(hypermodel, values=values, epochs=7)
    found = snapshots(configuration, stripes, tmp_path, cycles=2, verbose=False)
    assert {member.name for member in found.members} == {"snapshot/0000", "snapshot/0001"}
    for index in range(2):
        folder = tmp_path / f"trial_{index:04d}"
        record = TrialRecord.load(folder / "result.json")
        assert record.epochs == 3, "half of 7, in whole epochs"
        assert record.values["schedule"] == "cosine"
        # After each of 3 epochs of 3 steps: half a cosine from 0.1 down to 0.
        expected = [0.1 * (1 + np.cos(np.pi * epoch / 3)) / 2 for epoch in (1, 2, 3)]
        np.testing.assert_allclose(rates(folder), expected, atol=1e-7)


def test_each_cycle_starts_from_the_one_before_it(stripes, tmp_path):
    # `knowing` learns nothing; without the origin's weights the second cycle would know stripes.
    taught = configured(knowing, epochs=2)
    first = snapshots(taught, stripes, tmp_path, cycles=1, epochs=1, verbose=False).members[0]
    model = first.load()
    model.set_weights([array * 0.5 for array in model.get_weights()])
    save_weights(model, tmp_path / "trial_0000" / "model.weights.h5")
    found = snapshots(taught, stripes, tmp_path, cycles=2, epochs=1, verbose=False)
    second = next(member for member in found.members if member.name == "snapshot/0001")
    expected = model.predict(stripes.validation.images, verbose=0)
    np.testing.assert_allclose(second.predictions, expected, atol=1e-6)
    assert np.abs(second.predictions - first.predictions).max() > 0.01


def test_a_cosine_takes_the_place_of_any_schedule():
    values = {"schedule": "step", "resnet/schedule": "plateau", "restarts": 2, "filters": 8}
    assert _annealed(values) == {
        "schedule": "cosine",
        "resnet/schedule": "cosine",
        "restarts": 0,
        "filters": 8,
    }


def test_what_is_refused(stripes, tmp_path):
    for options in ({"cycles": 0}, {"epochs": 0}):
        with pytest.raises(OptionError, match=next(iter(options))):
            snapshots(configured(), stripes, tmp_path, verbose=False, **options)
