"""Snapshots: a member a cycle, each from where the one before it ended."""

import numpy as np
import pandas as pd
import pytest
from stripe_models import configured, knowing

from hypermodels import MLP
from kt_tuning.core.errors import OptionError
from kt_tuning.core.records import TrialRecord
from kt_tuning.finalize import snapshots
from kt_tuning.finalize.bag_boost_snapshots import _annealed
from kt_tuning.trials.weights import save_weights


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
