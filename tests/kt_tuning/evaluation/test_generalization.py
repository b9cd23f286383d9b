"""Gaps between splits, and bias and variance."""

import math

import numpy as np
import pytest

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.evaluation import bias_variance, generalization
from kt_tuning.evaluation.generalization import Generalization


class Rows:
    """A split whose first pixel is what the model predicts."""

    def __init__(self, labels, predicted):
        self.labels = np.asarray(labels)
        self.pixels = np.asarray(predicted, dtype=np.uint8)[:, None, None, None]

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        return self.pixels[indices]


def model(images):
    return np.eye(2)[images[:, 0, 0, 0]] * 0.8 + 0.1


def rows(right, wrong):
    return Rows([0] * (right + wrong), [0] * right + [1] * wrong)


@pytest.fixture
def splits():
    return {"train": rows(90, 10), "validation": rows(160, 40), "test": rows(140, 60)}


def test_scores_and_gaps(splits):
    found = generalization(model, splits, bootstrap=200)
    accuracies = {name: cells["accuracy"].value for name, cells in found.scores.items()}
    assert accuracies == pytest.approx({"train": 0.9, "validation": 0.8, "test": 0.7})
    assert list(found.gaps) == ["train to validation", "validation to test"]
    assert found.gaps["validation to test"]["accuracy"].value == pytest.approx(0.1)
    # A tenth of the rows more are wrong: log(0.9 / 0.1) nats each.
    loss = found.gaps["train to validation"]["log_loss"].value
    assert loss == pytest.approx(0.1 * math.log(9))


def test_interval_of_a_gap_is_that_of_a_difference(splits):
    found = generalization(model, splits, metrics=["accuracy"], bootstrap=2000)
    gap = found.gaps["validation to test"]["accuracy"]
    half = 1.96 * math.sqrt(0.8 * 0.2 / 200 + 0.7 * 0.3 / 200)
    assert gap.low == pytest.approx(0.1 - half, abs=half / 6)
    assert gap.high == pytest.approx(0.1 + half, abs=half / 6)


def test_round_trip_and_text(splits, tmp_path):
    found = generalization(model, splits, metrics=["accuracy"], bootstrap=5)
    found.save(tmp_path / "gaps.json")
    assert Generalization.load(tmp_path / "gaps.json") == found
    first, *_, last = str(found).splitlines()
    assert first.split()[:3] == ["train", "accuracy", "0.9000"]
    assert last.split()[:5] == ["validation", "to", "test", "accuracy", "0.1000"]


def test_refused(splits):
    with pytest.raises(OptionError, match="'acuracy'"):
        generalization(model, splits, metrics=["acuracy"])
    with pytest.raises(DataError, match="split is empty"):
        generalization(model, {"train": Rows(np.empty(0, int), np.empty(0, int))})


def test_equal_trainings_have_no_variance():
    member = np.random.default_rng(0).dirichlet(np.ones(3), size=20)
    labels = np.random.default_rng(1).integers(3, size=20)
    for part in bias_variance([member, member], labels).values():
        assert part.variance == pytest.approx(0.0, abs=1e-12)
        assert part.bias == pytest.approx(part.total)


def test_parts_by_hand():
    # One row of truth 0, predicted 0.8, 0.8 and 0.2.
    predictions = np.array([[[0.8, 0.2]], [[0.8, 0.2]], [[0.2, 0.8]]])
    found = bias_variance(predictions, [0])
    assert found["error"].total == pytest.approx(1 / 3)
    assert found["error"].bias == pytest.approx(0.0)
    # Mean probability 0.6: squared error 2 * 0.4^2; around it 2 * (0.2^2 + 0.2^2 + 0.4^2) / 3.
    assert found["brier"].bias == pytest.approx(0.32)
    assert found["brier"].variance == pytest.approx(0.16)
    assert found["brier"].total == pytest.approx((2 * 0.08 + 1.28) / 3)
    # Geometric means (0.64 * 0.2)^(1/3) and (0.04 * 0.8)^(1/3) are as 4^(1/3) to 1.
    assert found["log_loss"].bias == pytest.approx(-math.log(4 ** (1 / 3) / (4 ** (1 / 3) + 1)))
    assert found["log_loss"].total == pytest.approx(-math.log(0.8 * 0.8 * 0.2) / 3)
    assert found["log_loss"].variance > 0


def test_variance_of_a_majority_that_is_wrong_is_negative():
    predictions = np.array([[[0.9, 0.1]], [[0.2, 0.8]], [[0.3, 0.7]]])
    found = bias_variance(predictions, [0])["error"]
    assert (found.bias, found.total) == (1.0, pytest.approx(2 / 3))
    assert found.variance == pytest.approx(-1 / 3)


@pytest.mark.parametrize("shape", [(1, 4, 2), (4, 2)])
def test_one_training_has_no_variance_to_measure(shape):
    with pytest.raises(DataError, match="two or more trainings"):
        bias_variance(np.full(shape, 0.5), [0, 1, 0, 1])
