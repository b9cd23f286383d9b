"""Two optimizers share the variables of a model."""

import keras
import numpy as np
import pytest

from hypermodels.two_speed import TwoSpeed


def variables():
    return [keras.Variable([1.0, 2.0]), keras.Variable([3.0])]


GRADIENTS = [np.array([1.0, -4.0], np.float32), np.array([2.0], np.float32)]


def values(found):
    return [np.array(variable).tolist() for variable in found]


def test_each_part_takes_its_own_step():
    both, found = TwoSpeed(keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.1), 1), variables()
    both.build(found)
    both.apply(GRADIENTS, found)
    assert values(found)[0] == pytest.approx([0.99, 2.04])
    assert values(found)[1] == pytest.approx([2.8])
    assert int(both.iterations) == 1


def test_frozen_variables_stay_and_are_not_decayed():
    slow = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    both, found = TwoSpeed(slow, keras.optimizers.SGD(0.1), 1), variables()
    both.build(found)
    both.frozen = True
    both.apply([None, GRADIENTS[1]], found)
    assert values(found) == [[1.0, 2.0], pytest.approx([2.8])]
    assert (int(slow.iterations), int(both.iterations)) == (0, 1)


def test_what_starts_later_starts_like_a_new_optimizer():
    both = TwoSpeed(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.1), 1)
    found = variables()
    both.build(found)
    both.frozen = True
    for _ in range(50):
        both.apply(GRADIENTS, found)
    both.frozen = False
    both.apply(GRADIENTS, found)
    # Adam's first step is the learning rate; with 50 steps counted it would be twice as long.
    assert values(found)[0] == pytest.approx([0.99, 2.01], abs=1e-5)


def test_setting_the_rate_keeps_the_ratio():
    both = TwoSpeed(keras.optimizers.SGD(0.02), keras.optimizers.SGD(0.1), 1, ratio=0.2)
    both.learning_rate = 0.05
    assert float(both.learning_rate) == pytest.approx(0.05)
    assert float(both.slow.learning_rate) == pytest.approx(0.01)


def test_averages_that_were_never_filled_are_not_used():
    slow, fast = (keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5) for _ in range(2))
    both, found = TwoSpeed(slow, fast, 1), variables()
    both.build(found)
    both.frozen = True
    both.apply(GRADIENTS, found)
    both.apply(GRADIENTS, found)
    both.finalize_variable_values(found)
    # 2.8, then halfway to 2.6
    assert values(found) == [[1.0, 2.0], pytest.approx([2.7])]
    both.frozen = False
    both.apply(GRADIENTS, found)
    both.finalize_variable_values(found)
    assert values(found)[0] == pytest.approx([0.9, 2.4])


def test_its_variables_are_those_of_both():
    both = TwoSpeed(keras.optimizers.Adam(), keras.optimizers.SGD(0.1, momentum=0.9), 1)
    both.build(variables())
    assert both.variables == [*both.slow.variables, *both.fast.variables]
    # iteration, rate, two moments; iteration, rate, one momentum
    assert len(both.variables) == 4 + 3


def test_it_is_made_anew_from_its_configuration():
    both = TwoSpeed(keras.optimizers.Adam(0.5), keras.optimizers.SGD(0.25), 3, 2.0, name="mine")
    again = keras.optimizers.deserialize(keras.optimizers.serialize(both))
    assert isinstance(again, TwoSpeed)
    assert again.get_config() == both.get_config()
    assert (again.count, again.ratio, again.name) == (3, 2.0, "mine")
