"""Samplers: what they draw, and how good it is."""

import keras_tuner
import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.integrate import quad
from scipy.stats import norm
from search_spaces import finish, make_oracle, mixed, run, space_of
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from kt_tuning.core.errors import MissingExtraError, OptionError
from kt_tuning.search.samplers import SAMPLERS, find_strategy
from kt_tuning.search.samplers.base import from_unit, to_unit
from kt_tuning.search.samplers.encoding import Encoding
from kt_tuning.search.samplers.gaussian_process import condition, fit, log_expected_improvement
from kt_tuning.search.samplers.mutation import PERTURBATION, PriorBandSampler
from kt_tuning.search.samplers.space_filling import grid_values


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (CategoricalDistribution(("a", "b")), ("a", "b")),
        (IntDistribution(3, 9, step=3), (3, 6, 9)),
        (FloatDistribution(0.0, 0.5, step=0.25), (0.0, 0.25, 0.5)),
        # The middles of ten equal shares; of ten log-equal ones, 10 ** (0.05 + 0.1 k).
        (FloatDistribution(0.0, 1.0), tuple(0.05 + 0.1 * k for k in range(10))),
        (FloatDistribution(1.0, 10.0, log=True), tuple(10 ** (0.05 + 0.1 * k) for k in range(10))),
        # 9 ** (0.05 + 0.1 k) rounded down, each once.
        (IntDistribution(1, 8, log=True), (1, 2, 3, 4, 5, 6, 8)),
    ],
)
def test_a_grid_takes_every_value_or_ten(distribution, values):
    grid = tuple(grid_values(distribution))
    assert grid == (pytest.approx(values) if isinstance(values[0], float) else values)
    for value in grid:
        back = from_unit(distribution, to_unit(distribution, value))
        assert back == (pytest.approx(value) if isinstance(value, float) else value)


def test_a_grid_of_many_values_is_not_made_at_once():
    values = grid_values(IntDistribution(0, 10**12))
    assert [next(values) for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("strategy", ["auto", "gp", "tpe", "evolution"])
def test_learning_beats_chance(strategy):
    def best(name, seed):
        oracle = make_oracle(name, hyperparameters=space_of(mixed), seed=seed)
        run(oracle, mixed, 40)
        return oracle.get_best_trials(1)[0].score

    assert np.mean([best(strategy, seed) for seed in range(3)]) < np.mean(
        [best("random", seed) for seed in range(3)]
    )


def ten_with_good_defaults(hp):
    """Where each of ten parameters has a right value, its default, and four wrong ones."""
    return sum(hp.Int(f"p{index}", 0, 4, default=3) != 3 for index in range(10))


def wrong_ones(strategy, seed, trials):
    oracle = make_oracle(strategy, hyperparameters=space_of(ten_with_good_defaults), seed=seed)
    run(oracle, ten_with_good_defaults, trials)
    return [oracle.trials[name].score for name in oracle.start_order]


def test_auto_begins_with_the_defaults_and_stays_near_them_seven_times_in_ten():
    # A random configuration has 8 of 10 wrong; one near the defaults, about two of them.
    drawn = [wrong for seed in range(10) for wrong in wrong_ones("auto", seed, 10)]
    assert drawn[::10] == [0] * 10
    rest = [wrong for index, wrong in enumerate(drawn) if index % 10]
    assert 0.55 < np.mean([1 <= wrong <= 4 for wrong in rest]) < 0.8
    assert 0.1 < np.mean([wrong >= 7 for wrong in rest]) < 0.4


def with_a_branch(hp):
    optimizer = hp.Choice("optimizer", ["sgd", "adam", "muon"])
    for name in ("adam", "muon"):
        with hp.conditional_scope("optimizer", [name]):
            hp.Float(f"{name}_rate", 1e-4, 1.0, sampling="log", default=1e-3)
    return float(optimizer != "sgd")


def test_what_a_change_opens_has_its_default():
    opened = []
    for seed in range(10):
        oracle = make_oracle("auto", hyperparameters=space_of(with_a_branch), seed=seed)
        run(oracle, with_a_branch, 3)
        values = [trial.hyperparameters.values for trial in oracle.trials.values()]
        opened += [rate for one in values for name, rate in one.items() if name != "optimizer"]
    # Of random configurations none has exactly the default.
    assert len(opened) >= 10
    assert np.mean([rate == 1e-3 for rate in opened]) > 0.6


def test_the_best_trial_with_what_is_given_is_changed():
    study = optuna.create_study(direction="maximize")
    family = optuna.distributions.CategoricalDistribution(["probe", "network"])
    size = optuna.distributions.IntDistribution(1, 100)
    for kind, number, value in [("network", 90, 0.9), ("probe", 20, 0.5), ("probe", 30, 0.7)]:
        params = {"family": kind, "size": number}
        spaces = {"family": family, "size": size}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=spaces, value=value))
    changed = set()
    for seed in range(40):
        sampler = PriorBandSampler(seed, optuna.samplers.RandomSampler(0))
        sampler.given = {"family": "probe"}
        study.sampler = sampler
        trial = study.ask()
        if sampler.near(trial) is not None:
            changed.add(trial.suggest_int("size", 1, 100))
    assert len(changed) > 5
    assert 30 not in changed
    assert max(abs(number - 30) for number in changed) < 60  # four standard deviations


def with_bad_defaults(hp):
    return sum(abs(hp.Float(f"p{index}", 0.0, 1.0, default=0.0) - 0.9) for index in range(4))


def test_bad_defaults_are_left():
    def best(strategy, seed):
        oracle = make_oracle(strategy, hyperparameters=space_of(with_bad_defaults), seed=seed)
        run(oracle, with_bad_defaults, 40)
        return oracle.get_best_trials(1)[0].score

    seeds = range(5)
    assert np.mean([best("auto", s) for s in seeds]) < np.mean([best("random", s) for s in seeds])


TWO = [keras_tuner.Objective("loss", "min"), keras_tuner.Objective("size", "max")]


@pytest.mark.parametrize("strategy", [name for name, row in SAMPLERS.items() if row.several])
def test_several_objectives(strategy):
    oracle = make_oracle(strategy, objective=TWO, pruner="none", hyperparameters=space_of(mixed))
    run(oracle, lambda hp: (mixed(hp), hp.get("units")), 16)
    assert len(oracle.study.best_trials) >= 1


@pytest.mark.parametrize("strategy", ["random", "auto"])
def test_a_neighbour_has_the_same_categories_and_numbers_close_by(strategy):
    oracle = make_oracle(strategy, hyperparameters=space_of(mixed), seed=1)
    run(oracle, mixed, 3)
    (anchor,) = (oracle.trials[name].hyperparameters.values for name in oracle.start_order[-1:])
    changed = set()
    for index in range(12):
        trial = oracle.create_trial(f"tuner{index}", near=oracle.start_order[2])
        values = trial.hyperparameters.values
        assert (values["kind"], values["flag"]) == (anchor["kind"], anchor["flag"])
        assert abs(np.log10(values["rate"] / anchor["rate"])) < 5 * 3 * PERTURBATION
        assert abs(values["units"] - anchor["units"]) <= 16
        changed |= {name for name in anchor if values[name] != anchor[name]}
    assert "rate" in changed


def test_a_neighbour_differs_even_if_there_are_no_numbers():
    def choices(hp):
        return sum(hp.Choice(f"c{index}", ["a", "b"]) == "a" for index in range(4))

    oracle = make_oracle("auto", hyperparameters=space_of(choices), seed=1)
    run(oracle, choices, 1)
    values = oracle.create_trial("tuner", near=oracle.start_order[0]).hyperparameters.values
    assert sorted(values.values()) == ["a", "a", "a", "b"]


def test_what_was_enqueued_comes_before_a_neighbour_and_is_none():
    oracle = make_oracle("auto", hyperparameters=space_of(mixed), seed=1)
    run(oracle, mixed, 1)
    oracle.enqueue({"units": 32})
    first = oracle.start_order[0]
    wished, near = (oracle.create_trial(seat, near=first) for seat in "ab")
    assert wished.hyperparameters.get("units") == 32
    assert oracle.perturbations() == {near.trial_id}


def test_cmaes_is_not_for_several():
    with pytest.raises(OptionError, match=r"'cmaes' takes one objective. Received 2.*: random, "):
        make_oracle("cmaes", objective=TWO)


def test_infeasible_configurations_repel_the_gaussian_process():
    oracle = make_oracle("gp", hyperparameters=space_of(mixed))
    over = 0
    for number in range(40):
        trial = oracle.create_trial("tuner")
        if trial.hyperparameters.get("units") > 24:
            over += number >= 20
            finish(oracle, trial, status="INFEASIBLE")
        else:
            finish(oracle, trial, mixed(trial.hyperparameters))
    # Five of eight sizes are over the limit, and the cost alone would draw it to 32.
    assert over <= 6


def test_running_trials_are_not_proposed_again():
    oracle = make_oracle("gp", hyperparameters=space_of(mixed))
    run(oracle, mixed, 12)
    together = [oracle.create_trial(f"tuner{n}").hyperparameters.values for n in range(4)]
    rates = [values["rate"] for values in together]
    assert len({str(values) for values in together}) == 4
    assert max(rates) > 1.01 * min(rates)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(OptionError, match=r"Unknown strategy 'tree'\. Known: auto, random, grid"):
        find_strategy("tree")


def test_cmaes_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kt-tuning\[cmaes\]'"):
        find_strategy("cmaes").sampler(0, 0)


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
