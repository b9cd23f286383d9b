"""Conversion of spaces to Optuna's distributions, and fixing or narrowing them by name."""

import keras_tuner
import pytest
from keras_tuner.engine import hyperparameters as hps
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from search_spaces import conditional, space_of

from kt_tuning.core.errors import OptionError
from kt_tuning.search import narrow
from kt_tuning.search.distributions import SearchSpace


def parameter(kind, *args, **options):
    hp = keras_tuner.HyperParameters()
    getattr(hp, kind)("x", *args, **options)
    return SearchSpace(hp.space).parameters[0]


@pytest.mark.parametrize(
    ("kind", "args", "options", "distribution"),
    [
        ("Boolean", (), {}, CategoricalDistribution((False, True))),
        ("Choice", (["a", "b"],), {}, CategoricalDistribution(("a", "b"))),
        ("Choice", ([3, 1, 3],), {}, CategoricalDistribution((3, 1))),
        ("Choice", ([True, False],), {}, CategoricalDistribution((1, 0))),
        ("Int", (1, 9), {}, IntDistribution(1, 9)),
        ("Int", (6, 13), {"step": 3}, IntDistribution(6, 12, step=3)),
        ("Int", (1, 512), {"sampling": "log"}, IntDistribution(1, 512, log=True)),
        (
            "Int",
            (2, 33),
            {"sampling": "log", "step": 2},
            CategoricalDistribution((2, 4, 8, 16, 32)),
        ),
        ("Float", (0, 1), {}, FloatDistribution(0.0, 1.0)),
        ("Float", (0, 1), {"step": 0.2}, FloatDistribution(0.0, 1.0, step=0.2)),
        ("Float", (0, 0.7), {"step": 0.1}, FloatDistribution(0.0, 0.7, step=0.1)),
        ("Float", (1e-5, 1), {"sampling": "log"}, FloatDistribution(1e-5, 1.0, log=True)),
        ("Float", (0.1, 0.9), {"sampling": "reverse_log"}, FloatDistribution(0.1, 0.9, log=True)),
        (
            "Int",
            (1, 10),
            {"sampling": "reverse_log", "step": 2},
            # 10 + 1 - 2^k
            CategoricalDistribution((3, 7, 9, 10)),
        ),
    ],
)
def test_each_kind_has_its_distribution(kind, args, options, distribution):
    assert parameter(kind, *args, **options).distribution == distribution


def test_fixed_is_not_drawn():
    assert parameter("Fixed", 3).distribution is None


@pytest.mark.parametrize(
    ("kind", "args", "options"),
    [
        ("Boolean", (), {}),
        ("Choice", (["a", "b"],), {}),
        ("Choice", ([0.5, 0.1],), {}),
        ("Int", (1, 9), {"step": 2}),
        ("Int", (1, 512), {"sampling": "log"}),
        ("Int", (1, 512), {"sampling": "reverse_log"}),
        ("Int", (1, 512), {"sampling": "log", "step": 8}),
        ("Float", (0, 1), {}),
        ("Float", (0.1, 0.9), {"step": 0.1}),
        ("Float", (1e-5, 1), {"sampling": "log"}),
        ("Float", (0.1, 0.9), {"sampling": "reverse_log"}),
        ("Float", (1e-4, 1), {"sampling": "log", "step": 10}),
    ],
)
def test_what_kerastuner_draws_goes_to_the_study_and_back(kind, args, options):
    here = parameter(kind, *args, **options)
    for probability in (0.0, 0.25, 0.5, 0.75, 0.999):
        value = here.hp.prob_to_value(probability)
        back = here.to_keras(here.to_study(value))
        assert back == (pytest.approx(value, rel=1e-12) if type(value) is float else value)
        assert type(back) is type(value)


def test_stepped_floats_are_bit_for_bit_kerastuners():
    here = parameter("Float", 0, 1, step=0.1)
    assert here.to_keras(0.3) == 0.1 * 3 != 0.3


def test_reverse_log_is_dense_at_the_top():
    here = parameter("Float", 0.1, 0.9, sampling="reverse_log")
    assert here.name == "1 - x"
    # In the middle of the log range, KerasTuner has 1 - sqrt(0.1 * 0.9) = 0.7.
    assert here.to_keras(0.3) == pytest.approx(0.7)
    assert here.hp.prob_to_value(0.5) == pytest.approx(0.7)


def test_a_default_off_the_grid_has_a_nearest_value():
    here = parameter("Int", 0, 8, step=4, default=5)
    assert here.nearest(here.hp.default) == 4


def test_a_name_with_two_ranges_has_two_names_in_the_study():
    space = SearchSpace(space_of(conditional).space)
    names = [p.name for p in space.parameters if p.hp.name == "units"]
    assert names == ["units", "units [model=mlp]"]


def test_a_name_with_one_range_in_two_scopes_keeps_it():
    hp = keras_tuner.HyperParameters()
    hp.Choice("model", ["a", "b"])
    for model in "ab":
        with hp.conditional_scope("model", [model]):
            hp.Int("units", 1, 3)
    assert [p.name for p in SearchSpace(hp.space).parameters] == ["model", "units", "units"]


def test_a_walk_visits_active_parameters_only():
    space = SearchSpace(space_of(conditional).space)
    assert space.defaults() == {"model": "cnn", "units": 1, "norm": False}
    mlp = space.walk(lambda p: "mlp" if p.hp.name == "model" else p.hp.default)
    assert mlp == {"model": "mlp", "units": 100}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modell": "cnn"}, "no hyperparameter 'modell'. Did you mean 'model'"),
        ({"model": "rnn"}, "'model' should be one of 'cnn', 'mlp'. Received: 'rnn'"),
        ({"units": 2}, "'units' needs model in"),
        ({"model": "cnn", "momentum": 0.9}, "'momentum' needs model in .* and norm in"),
        ({"model": "cnn", "units": 9}, "a whole number from 1 to 4 in steps of 1. Received: 9"),
        ({"model": "mlp", "units": 150}, "in steps of 100. Received: 150"),
        ({"model": "cnn", "units": 2.5}, "a whole number"),
        ({"model": "cnn", "units": True}, "a whole number"),
    ],
)
def test_wrong_values_are_explained(values, message):
    with pytest.raises(OptionError, match=message):
        SearchSpace(space_of(conditional).space).check(values)


def test_checked_values_have_the_types_of_the_space():
    hp = keras_tuner.HyperParameters()
    hp.Choice("flag", [True, False])
    hp.Int("n", 1, 5)
    checked = SearchSpace(hp.space).check({"flag": True, "n": 3.0})
    assert [(type(v), v) for v in checked.values()] == [(int, 1), (int, 3)]


@pytest.fixture
def space():
    hp = keras_tuner.HyperParameters()
    hp.Int("units", 16, 128, step=16, default=64)
    hp.Float("rate", 1e-4, 1e-1, sampling="log", default=1e-2)
    hp.Choice("optimizer", ["adam", "sgd"], default="adam")
    hp.Boolean("residual", default=True)
    with hp.conditional_scope("optimizer", ["sgd"]):
        hp.Float("momentum", 0.0, 0.9, default=0.5)
    return hp


def entry(space, name):
    (found,) = [hp for hp in space.space if hp.name == name]
    return found


def test_a_value_fixes_and_all_else_stays(space):
    narrowed = narrow(space, {"optimizer": "sgd", "residual": False})
    assert isinstance(entry(narrowed, "optimizer"), hps.Fixed)
    assert entry(narrowed, "residual").value is False
    assert [hp.name for hp in narrowed.space] == [hp.name for hp in space.space]
    for name in ("units", "rate", "momentum"):
        assert entry(narrowed, name).get_config() == entry(space, name).get_config()


def test_a_build_gets_what_was_fixed(space):
    narrowed = narrow(space, {"optimizer": "sgd", "units": 32})
    assert narrowed.Choice("optimizer", ["adam", "sgd"], default="adam") == "sgd"
    assert narrowed.Int("units", 16, 128, step=16, default=64) == 32
    with narrowed.conditional_scope("optimizer", ["sgd"]):
        assert narrowed.Float("momentum", 0.0, 0.9, default=0.5) == 0.5
    assert len(narrowed.space) == len(space.space)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"min": 32, "max": 96}, (32, 96, 16, "linear", 64)),
        ({"max": 48}, (16, 48, 16, "linear", 48)),
        ({"min": 80}, (80, 128, 16, "linear", 80)),
        ({"min": 16, "max": 64, "step": 2, "sampling": "log"}, (16, 64, 2, "log", 64)),
        ({"max": 100, "step": 50}, (16, 100, 50, "linear", 66)),
    ],
)
def test_a_range_narrows_and_moves_the_default_into_it(space, wanted, expected):
    hp = entry(narrow(space, {"units": wanted}), "units")
    assert (hp.min_value, hp.max_value, hp.step, hp.sampling, hp.default) == expected


def test_another_sampling_has_no_step_of_the_old_one(space):
    hp = entry(narrow(space, {"units": {"sampling": "log"}}), "units")
    assert (hp.sampling, hp.step) == ("log", None)


def test_numbers_that_yaml_takes_for_text_are_numbers(space):
    narrowed = narrow(space, {"rate": {"min": "1e-3", "max": 0.01}})
    assert entry(narrowed, "rate").min_value == 1e-3
    assert entry(narrow(space, {"rate": "1e-3"}), "rate").value == 1e-3


def test_a_list_is_chosen_from(space):
    hp = entry(narrow(space, {"units": [32, 128]}), "units")
    assert isinstance(hp, hps.Choice)
    assert (list(hp.values), hp.default) == ([32, 128], 32)
    momentum = entry(narrow(space, {"momentum": [0, 0.5]}), "momentum")
    assert list(momentum.values) == [0.0, 0.5]
    assert momentum.default == 0.5
    assert momentum.conditions == entry(space, "momentum").conditions


@pytest.mark.parametrize(("wanted", "kind"), [([True], hps.Fixed), ([True, False], hps.Boolean)])
def test_lists_of_booleans(space, wanted, kind):
    assert isinstance(entry(narrow(space, {"residual": wanted}), "residual"), kind)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"unit": 32}, "no hyperparameter 'unit'. Did you mean 'units'?"),
        ({"quux": 1}, "Known: .'momentum', 'optimizer'"),
        ({"units": 40}, "'units' should be a whole number from 16 to 128 in steps of 16"),
        ({"units": "many"}, "'units' should be a whole number.*'many'"),
        ({"units": None}, "should have a value, a list of values, or a range"),
        ({"units": []}, "should have a value, a list of values, or a range"),
        ({"optimizer": "lion"}, "'optimizer' should be one of 'adam', 'sgd'"),
        ({"optimizer": ["sgd", "lion"]}, "Received: 'lion'"),
        ({"optimizer": {"min": 1}}, "is no number"),
        ({"units": {"minimum": 1}}, r"A range has min, max, step, sampling.*\['minimum'\]"),
        ({"units": {"max": 256}}, "should lie within 16 to 128"),
        ({"units": {"min": 64, "max": 32}}, "should lie within 16 to 128"),
        ({"units": {"min": "few"}}, "cannot be .'min': 'few'"),
        ({"rate": {"sampling": "cubic"}}, "cannot be .'sampling': 'cubic'"),
    ],
)
def test_what_the_space_does_not_have_is_refused(space, wanted, message):
    with pytest.raises(OptionError, match=message):
        narrow(space, wanted)
