import keras_tuner
import pytest

from hypermodels import Space


def names(hp):
    return [entry.name for entry in hp.space]


@pytest.fixture
def hp():
    return keras_tuner.HyperParameters()


def test_a_fixed_value_is_answered_and_never_registered(hp):
    space = Space(hp, {"width": 7})
    assert space.choice("width", [1, 2], default=1) == 7
    assert names(hp) == []


def test_a_rare_value_can_be_fixed_but_is_not_searched(hp):
    assert (
        Space(hp, {"norm": "layer"}).choice("norm", ["batch"], "batch", rare=["layer"]) == "layer"
    )
    assert Space(hp, {}).choice("norm", ["batch", "none"], "batch", rare=["layer"]) == "batch"
    assert hp.space[0].values == ["batch", "none"]


def test_a_choice_of_one_value_is_not_registered(hp):
    space = Space(hp, {})
    assert space.choice("groups", [1], default=1, rare=[2, 4]) == 1
    assert space.boolean("nesterov", default=True, rare=True) is True
    assert space.number("drop", 0.0, 1.0, default=0.5, rare=True) == 0.5
    assert space.integer("depth", 1, 1, default=1) == 1
    assert names(hp) == []


def test_a_wide_space_searches_what_is_rare(hp):
    space = Space(hp, {}, wide=True)
    space.choice("groups", [1], default=1, rare=[2, 4])
    space.boolean("nesterov", default=True, rare=True)
    assert names(hp) == ["groups", "nesterov"]
    assert hp.space[0].values == [1, 2, 4]


def test_naming_it_by_stage_searches_what_is_rare(hp):
    space = Space(hp, {"stages": 2}, per_stage=("groups",))
    space.stages(3, default=3)
    for stage in range(3):
        space.choice("groups", [1], default=1, stage=stage, rare=[2, 4])
    assert names(hp) == ["groups_1", "groups_2"]


def test_a_default_of_the_familys_own_is_among_the_options(hp):
    space = Space(hp, {}, defaults={"optimizer": "lion", "rate": 0.3})
    assert space.choice("optimizer", ["sgd", "adam"], default="sgd", rare=["lion"]) == "lion"
    assert hp.space[0].values == ["lion", "sgd", "adam"]
    assert space.number("rate", 0.0, 1.0, default=0.5) == 0.3


def test_a_range_of_the_familys_own_is_searched(hp):
    Space(hp, {}, ranges={"rate": (0.1, 2.0)}).number("rate", 0.0, 1.0, default=0.5)
    assert (hp.space[0].min_value, hp.space[0].max_value) == (0.1, 2.0)


def test_children_exist_for_the_values_of_their_parent(hp):
    space = Space(hp, {})
    space.choice("optimizer", ["sgd", "adam"], default="sgd")
    with space.when("optimizer", ["adam", "lion"]) as active:
        assert not active
        assert space.number("rate", 0.0, 1.0, default=0.5) is None
    assert [condition.values for condition in hp.space[1].conditions] == [["adam"]]


def test_a_child_of_a_value_that_cannot_occur_is_not_registered(hp):
    space = Space(hp, {"drops": 3})
    space.choice("schedule", ["constant", "cosine"], default="cosine", rare=["step"])
    with space.when("schedule", ["step"]) as active:
        assert not active
        assert space.choice("drops", [1, 2], default=1) is None
    assert names(hp) == ["schedule"]
    space.check_names("Net")


def test_scopes_lie_within_each_other(hp):
    space = Space(hp, {"inner": "a"})
    space.choice("outer", ["a", "b"], default="b")
    with space.when("outer", ["a"]):
        assert space.choice("inner", ["a", "b"], default="b") is None
        with space.when("inner", ["a"]) as active:
            assert not active
            assert space.choice("leaf", [1, 2], default=1) is None
        with space.when("inner", ["b"]):
            space.choice("dead", [1, 2], default=1)
    assert names(hp) == ["outer", "leaf"]
    assert space.choice("after", [1, 2], default=2) == 2


def test_unknown_values_and_names_are_refused(hp):
    space = Space(hp, {"norm": "batc", "widht": 2})
    with pytest.raises(
        ValueError, match=r"`norm` is one of 'batch', 'layer'. Received: norm='batc'"
    ):
        space.choice("norm", ["batch"], default="batch", rare=["layer"])
    with pytest.raises(ValueError, match="Net has no hyperparameter 'widht'"):
        space.check_names("Net")
