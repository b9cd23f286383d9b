"""The arithmetic of combining, by hand."""

import numpy as np
import pytest
from member_cases import make_members, softmax

from kt_tuning.core.errors import OptionError
from kt_tuning.ensembling import Combination
from kt_tuning.ensembling.calibration import Calibration, temper

TWO = np.array([[[0.9, 0.1]], [[0.5, 0.5]]])


def test_arithmetic_mean():
    np.testing.assert_allclose(Combination((0.25, 0.75)).predict(TWO), [[0.6, 0.4]])


def test_geometric_mean():
    # sqrt(0.9 * 0.5) : sqrt(0.1 * 0.5) = 3 : 1.
    found = Combination((0.5, 0.5), pool="geometric").predict(TWO)
    np.testing.assert_allclose(found, [[0.75, 0.25]], atol=1e-12)


def test_each_member_has_its_temperature():
    found = Combination((0.5, 0.5), temperatures=(0.5, 1.0)).predict(TWO)
    # 0.9^2 : 0.1^2 = 81 : 1.
    np.testing.assert_allclose(found, [[(81 / 82 + 0.5) / 2, (1 / 82 + 0.5) / 2]], atol=1e-12)


def test_a_geometric_mean_is_of_tempered_members():
    predictions, _ = make_members([1.0, 2.0, 0.5], rows=30)
    found = Combination((0.2, 0.5, 0.3), (0.5, 2.0, 1.5), "geometric").predict(predictions)
    tempered = [
        temper(member, heat) for member, heat in zip(predictions, (0.5, 2.0, 1.5), strict=True)
    ]
    expected = softmax(np.tensordot([0.2, 0.5, 0.3], np.log(tempered), axes=1))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("pool", ["arithmetic", "geometric"])
def test_calibrations_follow_one_another(pool):
    first = Calibration(scales=(2.0,), shifts=(0.0, 1.0))
    second = Calibration(scales=(0.5, 1.5))
    plain = Combination((0.5, 0.5), pool=pool).predict(TWO)
    found = Combination((0.5, 0.5), pool=pool, calibrations=(first, second)).predict(TWO)
    np.testing.assert_allclose(found, second.apply(first.apply(plain)), atol=1e-12)


def test_members_without_weight_are_not_looked_at():
    spoilt = np.stack([TWO[0], np.full((1, 2), np.nan)])
    for pool in ("arithmetic", "geometric"):
        found = Combination((1.0, 0.0), pool=pool).predict(spoilt)
        np.testing.assert_allclose(found, TWO[0], atol=1e-12)


def test_certain_members_stay_finite():
    found = Combination((0.5, 0.5), pool="geometric").predict(np.array([[[1.0, 0]], [[0, 1.0]]]))
    np.testing.assert_allclose(found, [[0.5, 0.5]])


def test_members_with_a_weight_are_kept():
    assert Combination((0.5, 0.0, 0.5), (1.0, 2.0, 3.0)).kept() == [0, 2]


def test_round_trip(tmp_path):
    combination = Combination((0.5, 0.5), (1.0, 2.0), "geometric", (Calibration((2.0,)),))
    combination.save(tmp_path / "combination.json")
    assert Combination.load(tmp_path / "combination.json") == combination


@pytest.mark.parametrize(
    "weights", [(0.5, 0.6, -0.1), (0.5, 0.4), (float("nan"), 1.0), (), ((0.5, 0.5),)]
)
def test_weights_off_the_simplex(weights):
    with pytest.raises(OptionError, match="Received"):
        Combination(weights)


@pytest.mark.parametrize("temperatures", [(1.0,), (1.0, 0.0), (1.0, float("nan"))])
def test_temperatures_that_do_not_fit(temperatures):
    with pytest.raises(OptionError, match="temperature above 0"):
        Combination((0.5, 0.5), temperatures)


def test_an_unknown_pool():
    with pytest.raises(OptionError, match=r"'harmonic'\. Known pools: arithmetic, geometric"):
        Combination((1.0,), pool="harmonic")
