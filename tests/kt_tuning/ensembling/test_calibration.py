import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from kt_tuning.core.errors import OptionError
from kt_tuning.ensembling.calibration import (
    CALIBRATIONS,
    Calibration,
    cross_entropy,
    fit_temperature,
    temper,
)
from kt_tuning.evaluation import score


@pytest.fixture(scope="module")
def calibrated():
    """Logits (5000, 4) and labels that were drawn from their softmax."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (5000, 4))
    labels = (softmax(logits, axis=1).cumsum(1) < rng.random((5000, 1))).sum(1)
    return logits, labels


# Temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_tempering_divides_the_logits(temperature, calibrated):
    logits, _ = calibrated
    tempered = temper(softmax(logits, axis=1), temperature)
    assert np.allclose(tempered, softmax(logits / temperature, axis=1), atol=1e-12)


@pytest.mark.parametrize("distortion", [0.4, 1.0, 2.5])
def test_the_distortion_is_found_again(distortion, calibrated):
    logits, labels = calibrated
    distorted = softmax(logits * distortion, axis=1)
    assert fit_temperature(distorted, labels) == pytest.approx(distortion, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [0.3, 1.0, 8.0])
def test_agrees_with_a_bounded_search_of_scipy(seed, scale):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, scale, (60, 3))
    labels = np.where(rng.random(60) < 0.6, logits.argmax(axis=1), rng.integers(3, size=60))
    expected = minimize_scalar(
        lambda inverse: (
            -log_softmax(inverse * logits, axis=1)[np.arange(60), labels].mean()
            + (inverse - 1) ** 2 / 120
        ),
        bounds=(0.05, 20),
        method="bounded",
        options={"xatol": 1e-10},
    )
    found = fit_temperature(softmax(logits, axis=1), labels)
    assert 1 / found == pytest.approx(expected.x, rel=1e-4)


def test_predictions_stay_the_same(calibrated):
    logits, labels = calibrated
    probabilities = softmax(logits, axis=1)
    tempered = temper(probabilities, 2.0)
    assert score(labels, tempered)["accuracy"] == score(labels, probabilities)["accuracy"]


def test_certainty_stays_finite():
    tempered = temper(np.array([[1.0, 0.0]], np.float32), 3.0)
    assert np.isfinite(tempered).all()
    assert tempered.sum() == pytest.approx(1)


def perfect(rows):
    labels = np.arange(rows) % 2
    return np.where(np.eye(2)[labels] == 1, 0.9, 0.1), labels


def test_a_few_rows_without_an_error_do_not_make_a_member_sure_of_everything():
    assert 0.3 < fit_temperature(*perfect(12)) < 1
    assert fit_temperature(*perfect(12_000)) < fit_temperature(*perfect(120)) < 0.5


def test_a_member_that_is_always_wrong_is_made_modest():
    probabilities, labels = perfect(10_000)
    assert fit_temperature(probabilities, 1 - labels) == 20.0


def test_a_member_that_says_nothing_is_left_alone():
    assert fit_temperature(np.full((6, 3), 1 / 3), np.array([0, 1, 2, 0, 1, 2])) == pytest.approx(1)


@pytest.mark.parametrize("labels", [[0, 1], [1, 0]])
def test_absolute_certainty_ends_at_a_bound(labels):
    found = fit_temperature(np.eye(2, dtype=np.float32), np.array(labels))
    assert 0.05 <= found <= 20


# The record


def test_neutral_calibration_changes_nothing():
    probabilities = np.array([[0.2, 0.8]])
    assert Calibration().apply(probabilities) is probabilities


def test_applied_by_hand():
    found = Calibration(scales=(2.0,), shifts=(0.0, np.log(3))).apply(np.array([[0.5, 0.5]]))
    np.testing.assert_allclose(found, [[0.25, 0.75]], atol=1e-12)


def test_round_trip(tmp_path):
    calibration = Calibration(scales=(1.5,), shifts=(0.0, 1.0))
    calibration.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == calibration


@pytest.mark.parametrize("scales", [(), (-0.1,), (float("nan"),), (float("inf"), 1.0)])
def test_impossible_scales_are_refused(scales):
    with pytest.raises(OptionError, match="scales should be finite numbers"):
        Calibration(scales=scales)


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_no_calibration_raises_the_log_loss_it_is_fitted_on(name, calibrated):
    logits, labels = calibrated
    plain = softmax(3 * logits, axis=1)
    fitted = CALIBRATIONS[name](plain, labels).apply(plain)
    assert score(labels, fitted)["log_loss"] <= score(labels, plain)["log_loss"] + 1e-9


def test_cross_entropy_and_its_slope(calibrated):
    logits, labels = calibrated[0][:5], calibrated[1][:5]
    value, residuals = cross_entropy(logits, labels)
    assert value == pytest.approx(-log_softmax(logits, axis=1)[np.arange(5), labels].mean())
    moved = logits.copy()
    moved[2, 1] += 1e-6
    assert (cross_entropy(moved, labels)[0] - value) / 1e-6 == pytest.approx(
        residuals[2, 1] / 5, abs=1e-5
    )
