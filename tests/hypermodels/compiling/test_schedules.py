"""Every schedule against its formula, at every step."""

import math

import keras
import numpy as np
import pytest

from hypermodels.compiling import (
    CosineSchedule,
    ExponentialSchedule,
    OneCycleSchedule,
    StepSchedule,
)

STEPS, EPOCHS = 7, 20
TOTAL = STEPS * EPOCHS


def rates(schedule, upto=TOTAL):
    """The rate at each step of 20 epochs of 7 steps, and after the last one."""
    schedule.stretch(STEPS, EPOCHS)
    return [float(schedule(step)) for step in range(upto + 1)]


def test_exponential_schedule_multiplies_by_gamma_each_epoch():
    found = rates(ExponentialSchedule(0.1, 0.9))
    assert found == pytest.approx([0.1 * 0.9 ** (s / STEPS) for s in range(TOTAL + 1)], rel=1e-5)
    assert round(found[10 * STEPS], 4) == 0.0349


def test_step_schedule_drops_after_equal_parts():
    # 140 steps in 4 parts of 35.
    found = rates(StepSchedule(0.2, drops=3, drop_factor=0.1), TOTAL - 1)
    assert found == pytest.approx([0.2 * 0.1 ** (s // 35) for s in range(TOTAL)], rel=1e-5)


def test_cosine_schedule_rises_linearly_then_falls_as_half_a_cosine():
    found = rates(CosineSchedule(0.2, warmup=0.2))
    rise, fall = 28, 112
    expected = [0.2 * s / rise for s in range(rise)]
    expected += [0.1 * (1 + math.cos(math.pi * s / fall)) for s in range(fall + 1)]
    assert found == pytest.approx(expected, abs=1e-7)
    assert (found[0], found[rise], found[TOTAL]) == pytest.approx((0, 0.2, 0), abs=1e-7)


def test_cosine_schedule_agrees_with_keras():
    theirs = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=112, warmup_target=0.2, warmup_steps=28
    )
    expected = [float(theirs(step)) for step in range(TOTAL + 1)]
    assert rates(CosineSchedule(0.2, warmup=0.2)) == pytest.approx(expected, abs=1e-7)


def test_each_cycle_after_a_restart_is_twice_as_long():
    # 140 steps in 1 + 2 + 4 parts of 20.
    found = rates(CosineSchedule(0.2, restarts=2), TOTAL - 1)
    expected = [
        0.1 * (1 + math.cos(math.pi * s / length)) for length in (20, 40, 80) for s in range(length)
    ]
    assert found == pytest.approx(expected, abs=1e-7)


def test_one_cycle_goes_up_and_down_and_then_out():
    found = rates(OneCycleSchedule(0.5))
    corners = np.interp(range(TOTAL + 1), [0, 63, 126, 140], [0.05, 0.5, 0.05, 0.0005])
    assert found == pytest.approx(corners, abs=1e-6)


def test_only_what_matters_counts_as_a_change():
    exponential, cosine = ExponentialSchedule(0.1, 0.9), CosineSchedule(0.1)
    assert exponential.stretch(10, 10)
    assert not exponential.stretch(10, 5)
    assert cosine.stretch(10, 10)
    assert not cosine.stretch(10, 10)
    assert cosine.stretch(10, 5)


@pytest.mark.parametrize(
    "schedule",
    [
        ExponentialSchedule(0.1, 0.8),
        StepSchedule(0.1, 2, 0.5),
        CosineSchedule(0.1, 0.1, 1),
        OneCycleSchedule(0.1),
    ],
)
def test_a_schedule_comes_back_from_its_config(schedule):
    schedule.stretch(3, 4)
    serialize = keras.optimizers.schedules.serialize
    again = keras.optimizers.schedules.deserialize(serialize(schedule))
    assert [float(again(step)) for step in range(13)] == [
        float(schedule(step)) for step in range(13)
    ]


def test_a_training_of_one_step_has_a_rate():
    for schedule in (StepSchedule(0.1, 3, 0.1), CosineSchedule(0.1, 0.2, 2), OneCycleSchedule(0.1)):
        assert 0 <= float(schedule(0)) <= np.float32(0.1)
