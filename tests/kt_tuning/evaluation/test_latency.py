"""Latency, on a clock that the test moves."""

import numpy as np
import pytest

from kt_tuning.evaluation import cost as module
from kt_tuning.evaluation import measure_latency, measure_throughput

IMAGE = np.zeros((1, 2, 2, 3), dtype=np.uint8)


class Clock:
    """A clock that only a call of `predict` moves."""

    def __init__(self, durations):
        self.now = 0.0
        self.durations = iter(durations)
        self.images = []

    def perf_counter(self):
        return self.now

    def predict(self, image):
        self.images.append(image)
        self.now += next(self.durations)


def test_percentiles_in_milliseconds_without_the_warm_up(monkeypatch):
    # After a slow warm-up, 1 to 100 ms: percentiles interpolate between neighbours.
    clock = Clock([9.0] * module.WARM_UP + [index / 1000 for index in range(1, 101)])
    monkeypatch.setattr(module, "time", clock)
    found = measure_latency(clock.predict, IMAGE)
    assert found == pytest.approx({"p50": 50.5, "p95": 95.05, "p99": 99.01})


def test_one_image_a_call(monkeypatch):
    clock = Clock([0.001] * 1000)
    monkeypatch.setattr(module, "time", clock)
    measure_latency(clock.predict, IMAGE)
    assert len(clock.images) == module.WARM_UP + module.REPEATS
    assert all(image is IMAGE for image in clock.images)
    assert module.REPEATS >= 50


def test_as_many_calls_as_asked(monkeypatch):
    clock = Clock([0.001] * 1000)
    monkeypatch.setattr(module, "time", clock)
    measure_latency(clock.predict, IMAGE, repeats=7)
    assert len(clock.images) == module.WARM_UP + 7


def test_slow_models_are_called_less_often(monkeypatch):
    clock = Clock([0.125] * 1000)
    monkeypatch.setattr(module, "time", clock)
    measure_latency(clock.predict, IMAGE, repeats=300, seconds=8.75)
    assert len(clock.images) == module.WARM_UP + 70
    measure_latency(clock.predict, IMAGE, repeats=300, seconds=1.0)
    assert len(clock.images) == module.WARM_UP + 70 + module.WARM_UP + module.FEWEST


class Machine:
    """A clock moved by a machine that takes `base + images * each` seconds a call."""

    def __init__(self, base, each):
        self.now = 0.0
        self.base, self.each = base, each
        self.sizes = []

    def perf_counter(self):
        return self.now

    def predict(self, images):
        self.sizes.append(len(images))
        self.now += self.base + len(images) * self.each


def test_throughput_grows_with_the_batch_until_it_does_not(monkeypatch):
    # 1 / (base / n + each) images a second: 91 at 8, 95 at 16, 98 at 32, 99 at 64.
    machine = Machine(base=0.008, each=0.01)
    monkeypatch.setattr(module, "time", machine)
    found = measure_throughput(machine.predict, IMAGE)
    assert list(found.by_batch_size) == [1, 2, 4, 8, 16, 32]
    assert found.batch_size == 32
    assert found.images_per_second == pytest.approx(32 / (0.008 + 0.32))


def test_throughput_ends_with_the_largest_batch(monkeypatch):
    machine = Machine(base=0.01, each=0.0)
    monkeypatch.setattr(module, "time", machine)
    found = measure_throughput(machine.predict, IMAGE, largest=16)
    assert found.batch_size == max(machine.sizes) == 16
    assert found.images_per_second == pytest.approx(1600)


def test_throughput_ends_when_a_call_takes_seconds(monkeypatch):
    machine = Machine(base=1.5, each=0.4)
    monkeypatch.setattr(module, "time", machine)
    measure_throughput(machine.predict, IMAGE)
    assert set(machine.sizes) == {1, 2}
