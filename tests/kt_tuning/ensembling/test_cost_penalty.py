"""Members that are worth their serving cost."""

import numpy as np
import pytest
from member_cases import make_members

from kt_tuning.core.errors import OptionError
from kt_tuning.ensembling import Combination, Member, solve
from kt_tuning.ensembling.members import costs_of
from kt_tuning.ensembling.problem import Problem, ServingCosts, drop_costly_members


def mean(problem):
    return Combination((1 / problem.members,) * problem.members)


def of_truth(*rows):
    """A problem of two classes: probabilities of the truth, which is 0."""
    rows = np.array(rows)
    return Problem(np.stack([rows, 1 - rows], axis=2), np.zeros(rows.shape[1], dtype=int))


def test_costs_are_told_in_those_of_the_cheapest():
    serving = ServingCosts(np.array([300.0, 100.0, 200.0]))
    assert serving.cost(Combination((0.5, 0.0, 0.5))) == 5
    assert serving.cost(Combination((0.0, 1.0, 0.0))) == 1


def test_each_doubling_has_its_price():
    serving = ServingCosts(np.ones(2), cost_penalty=0.1)
    assert serving.factor(1) == 1
    assert serving.factor(2) == pytest.approx(1 / 0.9)
    assert serving.factor(8) == pytest.approx(1 / 0.9**3)


@pytest.mark.parametrize(("cost_penalty", "weights"), [(0.05, (0.5, 0.5)), (0.06, (1.0, 0.0))])
def test_a_member_is_worth_its_cost_up_to_a_price(cost_penalty, weights):
    # Alone each has (-log 0.9 - log 0.5) / 2 = 0.3993 nats, both -log 0.7 = 0.3567: 10.7% less, for
    # two doublings, as the second costs three times what the first does.
    problem = of_truth([0.9, 0.5], [0.5, 0.9])
    serving = ServingCosts(np.array([1.0, 3.0]), cost_penalty)
    assert drop_costly_members(mean, problem, serving).weights == weights


def test_free_members_all_stay():
    problem = of_truth([0.8] * 4, [0.5] * 4)
    serving = ServingCosts(np.array([1.0, 99.0]), 0.0)
    assert drop_costly_members(mean, problem, serving).kept() == [0, 1]


def test_what_hurts_is_left_out_at_any_price():
    problem = of_truth([0.9] * 4, [0.5] * 4, [0.9] * 4)
    found = drop_costly_members(mean, problem, ServingCosts(np.array([1.0, 1.0, 1.0]), 1e-9))
    assert found.weights[1] == 0


def test_the_others_are_fitted_anew():
    seen = []

    def fit(problem):
        seen.append(problem.members)
        return mean(problem)

    problem = of_truth([0.9] * 4, [0.5] * 4, [0.4] * 4, [0.95, 0.85, 0.95, 0.85])
    found = drop_costly_members(fit, problem, ServingCosts(np.ones(4), 0.01))
    assert seen[0] == 4
    assert seen[-1] == len(found.kept()) < 4
    assert found.temperatures == (1.0,) * 4


def test_scores_count_by_what_they_lack():
    # 3 of 4 right against 2 of 4: half of what is wrong is worth any cost_penalty below a half.
    first, second = [0.9, 0.9, 0.1, 0.1], [0.9, 0.9, 0.9, 0.4]
    problem = Problem(of_truth(first, second).predictions, np.zeros(4, dtype=int), "accuracy")
    kept = [
        drop_costly_members(mean, problem, ServingCosts(np.array([1.0, 1.0]), cost_penalty)).kept()
        for cost_penalty in (0.0, 0.3)
    ]
    assert kept == [[0, 1], [1]]


@pytest.fixture
def dear():
    """Three good members, and one that is twenty times as large and adds next to nothing."""
    predictions, labels = make_members([1.5, 1.5, 1.5, 0.25], rows=400)
    return predictions, labels, [1e6, 1.2e6, 1e6, 24e6]


def test_a_large_weak_member_is_not_worth_its_cost(dear):
    predictions, labels, costs = dear
    taken = solve(predictions, labels)
    assert taken.combination.weights[3] > 0
    found = solve(predictions, labels, costs=costs)
    assert found.combination.weights[3] == 0
    assert len(found.combination.kept()) == 3
    # From 3.2 to 27.2 million parameters, at a percent for each doubling.
    gain = 1 - taken.cross_fitted["auto"] / found.cross_fitted["auto"]
    assert 0 < gain < 1 - 0.99 ** np.log2(27.2 / 3.2)


def test_for_nothing_it_is_taken(dear):
    predictions, labels, costs = dear
    found = solve(predictions, labels, costs=costs, cost_penalty=0.0)
    assert len(found.combination.kept()) == 4


def test_a_solver_that_is_asked_for_keeps_all_that_it_takes(dear):
    predictions, labels, costs = dear
    assert solve(predictions, labels, solver="mean", costs=costs).combination.kept() == [0, 1, 2, 3]


def test_at_a_high_price_the_cheapest_good_one_is_left(dear):
    predictions, labels, costs = dear
    found = solve(predictions, labels, costs=costs, cost_penalty=0.6)
    assert len(found.combination.kept()) == 1
    assert found.combination.weights[1] == found.combination.weights[3] == 0


def test_where_a_cost_is_not_known_none_counts(dear):
    predictions, _, costs = dear
    members = [Member(str(cost), predictions[0], cost=cost) for cost in costs]
    assert costs_of(members) == costs
    assert costs_of([*members, Member("theirs", predictions[0])]) is None


@pytest.mark.parametrize("cost_penalty", [-0.1, 1.0, float("nan")])
def test_a_price_is_a_share(cost_penalty):
    with pytest.raises(OptionError, match=r"`cost_penalty`.*Received: cost_penalty="):
        solve(*make_members([1.0]), cost_penalty=cost_penalty)


@pytest.mark.parametrize("costs", [[1.0, 0.0], [1.0, float("nan")], [[1.0]]])
def test_costs_are_more_than_nothing(costs):
    with pytest.raises(OptionError, match="cost should be a number above 0"):
        solve(*make_members([1.0, 1.0]), costs=costs)


def test_as_many_costs_as_members():
    with pytest.raises(OptionError, match=r"each of the 2 members\. Received: 3"):
        solve(*make_members([1.0, 1.0]), costs=[1, 1, 1])
