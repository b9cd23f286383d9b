"""What every strategy holds to, whatever it knows; a new one is tested without a new line."""

import importlib.util

import optuna
import pytest
from search_spaces import (
    assorted,
    conditional,
    finish,
    finite,
    make_oracle,
    mixed,
    run,
    space_of,
)

from kt_tuning.core.errors import SearchError
from kt_tuning.search import STRATEGIES
from kt_tuning.search.distributions import SearchSpace

INSTALLED = [name for name in STRATEGIES if name != "cmaes" or importlib.util.find_spec("cmaes")]
every_strategy = pytest.mark.parametrize("strategy", INSTALLED)

TRIALS = 24
"""More than any strategy draws at random to begin with."""


@every_strategy
def test_every_kind_of_hyperparameter_has_a_value_that_kerastuner_may_draw(strategy):
    space = space_of(assorted)
    check = SearchSpace(space.space).check
    for values in run(make_oracle(strategy, hyperparameters=space), assorted, TRIALS):
        checked = check(values)
        assert list(map(type, checked.values())) == list(map(type, values.values()))
        assert checked == pytest.approx(values)
        assert values["dropout"] in (0.0, 0.2, 0.4, 0.6)
        assert values["width"] in (8, 16, 32, 64, 128, 256, 512)
        assert values["constant"] == 3


@every_strategy
def test_a_conditional_value_is_drawn_while_its_parents_are_active(strategy):
    oracle = make_oracle(strategy, hyperparameters=space_of(conditional))
    for values in run(oracle, conditional, TRIALS):
        cnn = values["model"] == "cnn"
        assert values["units"] in ((1, 2, 3, 4) if cnn else (100, 200, 300, 400))
        assert ("norm" in values) == cnn
        assert ("momentum" in values) == values.get("norm", False)


@every_strategy
def test_equal_seeds_are_equal_and_others_are_not(strategy):
    one, two, other = (
        run(make_oracle(strategy, hyperparameters=space_of(mixed), seed=seed), mixed, TRIALS)
        for seed in (0, 0, 1)
    )
    assert one == two
    assert one[0] == other[0]
    # A grid has one order.
    assert (one == other) == (strategy == "grid")


@every_strategy
def test_a_killed_search_goes_on_with_the_configurations_it_would_have_had(strategy):
    undisturbed = run(make_oracle(strategy, hyperparameters=space_of(mixed)), mixed, TRIALS)
    storage = optuna.storages.InMemoryStorage()

    def start():
        return make_oracle(strategy, storage=storage, hyperparameters=space_of(mixed))

    killed = start()
    done = run(killed, mixed, TRIALS - 3)
    running = killed.create_trial("tuner")
    killed.report(running.trial_id, 0, 9.0)

    resumed = start()
    again = resumed.create_trial("another")
    assert again.trial_id == running.trial_id
    values = dict(again.hyperparameters.values)
    finish(resumed, again, mixed(again.hyperparameters))
    rest = run(resumed, mixed, 2)
    assert [*done, values, *rest] == undisturbed
    assert len(resumed.study.trials) == TRIALS


@every_strategy
def test_an_exhausted_space_ends_the_search(strategy):
    oracle = make_oracle(strategy, hyperparameters=space_of(finite))
    configurations = run(oracle, finite, 20)
    assert sorted(map(str, configurations)) == sorted(
        [
            *(str({"model": "cnn", "n": n, "norm": False}) for n in (0, 1)),
            *(
                str({"model": "cnn", "n": n, "norm": True, "size": size})
                for n in (0, 1)
                for size in (10, 20)
            ),
            *(str({"model": "mlp", "width": width}) for width in (0.5, 1.0)),
        ]
    )


@every_strategy
def test_what_failed_is_never_proposed_again(strategy):
    oracle = make_oracle(strategy, hyperparameters=space_of(finite))
    tried = []
    while (trial := oracle.create_trial("tuner")).status == "RUNNING":
        tried.append(str(trial.hyperparameters.values))
        bad = trial.hyperparameters.values["model"] == "cnn"
        finish(oracle, trial, None if bad else 1.0, status="FAILED" if bad else "COMPLETED")
    assert len(tried) == len(set(tried)) == 8


@every_strategy
def test_a_search_whose_trials_all_fail_ends_with_the_first_cause(strategy):
    oracle = make_oracle(strategy, hyperparameters=space_of(mixed))
    tried = set()
    for number in range(10):
        trial = oracle.create_trial("tuner")
        tried.add(str(trial.hyperparameters.values))
        trial.message = f"cause {number}"
        finish(oracle, trial, status="FAILED")
    assert len(tried) == 10
    with pytest.raises(SearchError, match="All 10 trials failed; the first one: cause 0"):
        oracle.create_trial("tuner")
