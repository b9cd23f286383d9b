"""Bagging: the samples, and members that can be combined."""

import numpy as np
from stripe_models import configured, knowing

from kt_tuning.core.records import TrialRecord
from kt_tuning.ensembling import (
    Ensemble,
    candidates_of,
    join_candidates,
    read_candidates,
    take_best,
)
from kt_tuning.finalize import bag, member_training
from kt_tuning.finalize.bag_boost_snapshots import bootstrap_rows


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
