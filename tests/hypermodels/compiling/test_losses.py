import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import Space
from hypermodels.compiling import BrierScore, CrossEntropy, FocalLoss, choose_loss

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], np.float32)
SOFT = np.array([[0.5, 0.5, 0.0], [0.0, 0.2, 0.8]], np.float32)


def test_smoothed_cross_entropy_follows_its_formula():
    targets = 0.9 * np.eye(3)[[0, 2]] + 0.1 / 3
    expected = -(targets * np.log(PROBABILITIES)).sum(axis=1).mean()
    loss = CrossEntropy(0.1)(np.array([0, 2]), PROBABILITIES)
    assert float(loss) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("focusing", [0.5, 2.0])
def test_focal_loss_follows_its_formula_for_soft_labels(focusing):
    terms = SOFT * (1 - PROBABILITIES) ** focusing * np.log(PROBABILITIES)
    loss = FocalLoss(focusing)(SOFT, PROBABILITIES)
    assert float(loss) == pytest.approx(-terms.sum(axis=1).mean(), abs=1e-6)


def test_focal_loss_that_does_not_focus_is_the_cross_entropy():
    labels = np.array([0, 2])
    focal = FocalLoss(0.0, label_smoothing=0.1)(labels, PROBABILITIES)
    assert float(focal) == pytest.approx(float(CrossEntropy(0.1)(labels, PROBABILITIES)), abs=1e-6)


def test_brier_score_sums_squared_errors():
    # 0.3² + 0.2² + 0.1² and 0.1² + 0.1² + 0.2²
    assert float(BrierScore()(np.array([0, 2]), PROBABILITIES)) == pytest.approx((0.14 + 0.06) / 2)


@pytest.mark.parametrize("loss", [CrossEntropy(0.05), FocalLoss(2.0), BrierScore(0.1)])
def test_integer_column_and_one_hot_labels_give_the_same_loss(loss):
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6]], np.float32)
    values = [
        float(loss(labels, probabilities))
        for labels in (np.array([0, 1]), np.array([[0], [1]]), np.eye(2, dtype=np.float32))
    ]
    assert values == pytest.approx([values[0]] * 3, abs=1e-7)


def test_smoothing_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="label_smoothing=1"):
        CrossEntropy(1)


@pytest.mark.parametrize(
    "loss", [CrossEntropy(0.1), FocalLoss(3.0, label_smoothing=0.2), BrierScore(0.05)]
)
def test_a_loss_comes_back_from_its_config(loss):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("cross_entropy", CrossEntropy), ("focal", FocalLoss), ("mse", BrierScore)],
)
def test_a_loss_is_chosen_by_name(kind, expected):
    fixed = {"loss": kind, "focusing": 1.5} if kind == "focal" else {"loss": kind}
    assert type(choose_loss(Space(keras_tuner.HyperParameters(), fixed))) is expected
