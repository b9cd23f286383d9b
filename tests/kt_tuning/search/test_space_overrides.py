import keras_tuner
import pytest
from keras_tuner.engine import hyperparameters as hps

from kt_tuning.core.errors import OptionError
from kt_tuning.search import narrow


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
