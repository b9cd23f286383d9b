import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from kt_tuning.search.samplers.encoding import Encoding
from kt_tuning.search.samplers.gaussian_process import condition, fit, log_expected_improvement

SPACE = {
    "model": CategoricalDistribution(["cnn", "mlp"]),
    "rate": FloatDistribution(1e-4, 1e-2, log=True),
    "layers": IntDistribution(1, 4),
    "batch": CategoricalDistribution([64, 16, 32]),
}


@pytest.mark.parametrize("z", [-15.0, -3.0, -0.5, 0.0, 0.5, 4.0])
def test_log_expected_improvement_is_the_integral(z):
    deviation = 0.5
    density = norm(-z * deviation, deviation)
    improvement, _ = quad(
        lambda f: -f * density.pdf(f), -40 * deviation, 0.0, epsabs=0.0, points=[-0.1, -0.01, -1e-3]
    )
    here = log_expected_improvement(np.array([-z * deviation]), np.array([deviation]), 0.0)
    assert here[0] == pytest.approx(np.log(improvement), rel=1e-4)


def test_log_expected_improvement_orders_hopeless_candidates():
    here = log_expected_improvement(np.linspace(1.0, 60.0, 200), np.ones(200), 0.0)
    assert np.isfinite(here).all()
    assert (np.diff(here) < 0).all()


def test_the_posterior_is_scikit_learns():
    rng = np.random.default_rng(0)
    points, queries = rng.random((12, 3)), rng.random((5, 3))
    values = np.sin(5 * points[:, 0]) + points[:, 1]
    scales, noise, nothing = np.array([0.5, 0.8, 2.0]), 1e-3, np.zeros((12, 1))
    parameters = np.append(np.log(scales), [-30.0, np.log(noise)])
    here = condition(points, nothing, values, np.arange(3), parameters)
    mean, deviation = here.predict(queries, nothing[:5])
    peer = GaussianProcessRegressor(Matern(scales, nu=2.5), alpha=noise, optimizer=None)
    peer.fit(points, values - values.mean())
    expected, spread = peer.predict(queries, return_std=True)
    assert mean == pytest.approx(expected + values.mean(), rel=1e-5)
    assert deviation == pytest.approx(spread * np.sqrt(here.variance), rel=1e-3)


def test_what_matters_gets_the_shorter_length_scale():
    rng = np.random.default_rng(0)
    points = rng.random((40, 2))
    values = np.sin(9 * points[:, 0] * (1 + points[:, 0]))
    lengths = fit(points, np.zeros((40, 1)), values, np.arange(2))[:2]
    assert lengths[0] < lengths[1]


def test_points_are_configurations_and_back():
    encoding = Encoding(SPACE)
    configurations = [
        {"model": "mlp", "rate": 1e-3, "layers": 3, "batch": 16},
        {"model": "cnn", "rate": 1e-4, "layers": 1, "batch": 64},
    ]
    points = encoding.encode(configurations)
    # Log-warped; the middle of the third of four shares; the lowest of three choices.
    assert points[0] == pytest.approx([1, 0.5, 0.625, 1 / 6])
    for point, configuration in zip(points, configurations, strict=True):
        decoded = encoding.decode(point)
        assert decoded == {**configuration, "rate": pytest.approx(configuration["rate"])}


def test_categories_are_one_apart():
    encoding = Encoding(SPACE)
    features = encoding.features(np.array([[0, 0.5, 0.5, 0.5], [1, 0.5, 0.5, 0.5]]))
    assert ((features[0] - features[1]) ** 2).sum() == pytest.approx(1.0)


def test_effects_are_about_one_long():
    encoding = Encoding(SPACE)
    points = encoding.random(50, np.random.default_rng(0))
    assert (encoding.effects(points) ** 2).sum(1) == pytest.approx(1.0, abs=0.01)


def test_what_switches_a_parameter_off_is_found_out():
    space = {"model": SPACE["model"], "rate": SPACE["rate"], "layers": SPACE["layers"]}
    encoding = Encoding(space)
    points = encoding.encode(
        [{"model": "cnn", "rate": 1e-3, "layers": 2}, {"model": "mlp", "rate": 1e-3}]
    )
    encoding.learn_activity(points)
    other = encoding.deactivate(np.array([[0, 0.1, 0.625], [1, 0.1, 0.625]]))
    assert np.isnan(other).tolist() == [[False, False, False], [False, False, True]]


def test_neighbours_differ_in_one_parameter():
    encoding = Encoding(SPACE)
    point = encoding.encode([{"model": "cnn", "rate": 1e-3, "layers": 2, "batch": 32}])[0]
    near = encoding.neighbours(point, 0.1, np.random.default_rng(0))
    assert ((near != point).sum(1) == 1).all()
    # One other model, four rates, three other depths within two steps, two other batch sizes.
    assert len(near) == 1 + 4 + 3 + 2
