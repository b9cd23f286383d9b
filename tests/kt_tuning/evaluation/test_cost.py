"""Size, latency and throughput of a model."""

import keras
import numpy as np
import pytest

from kt_tuning.core.errors import OptionError, StorageError
from kt_tuning.core.records import DataCard, PixelFormat, SearchRecord, TrialRecord
from kt_tuning.evaluation import cost as latency_module
from kt_tuning.evaluation import cost as module
from kt_tuning.evaluation import measure_cost, measure_latency, measure_throughput
from kt_tuning.evaluation.cost import Cost, Throughput, stored_bytes, training_speed


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(latency_module, "_SECONDS_A_BATCH_SIZE", 0.001)
    monkeypatch.setattr(latency_module, "WARM_UP", 1)
    pixels = keras.Input((4, 4, 1), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    return keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(x))


def test_size_arithmetic_and_speed(model):
    found = measure_cost(model)
    assert found.parameters == 16 * 3 + 3
    assert found.weight_bytes == 4 * found.parameters
    assert found.multiply_adds == 16 * 3
    # rescaling 16 (times and plus), bias 3, softmax 15
    assert found.flops == 2 * 48 + 32 + 3 + 15
    assert 0 < found.latency_ms["p50"] <= found.latency_ms["p99"]
    assert found.throughput.images_per_second > 0


def test_an_ensemble_is_measured_as_what_it_is(model):
    class Pair:
        def to_keras(self):
            return model

        def predict_on_batch(self, images):
            sizes.append(images.shape)
            return np.full((len(images), 3), 1 / 3)

    sizes = []
    image = np.zeros((1, 4, 4, 1), np.uint8)
    assert measure_cost(Pair(), image).parameters == 51
    assert sizes[0] == (1, 4, 4, 1)


def test_arithmetic_is_unknown_on_other_backends(model, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    found = measure_cost(model)
    assert (found.multiply_adds, found.flops) == (None, None)


def test_not_a_model():
    with pytest.raises(OptionError, match="Received: function"):
        measure_cost(lambda images: images)


def test_round_trip(tmp_path):
    found = Cost(51, 204, 48, 160, {"p50": 1.0}, Throughput(32, 100.0, {1: 10.0, 32: 100.0}))
    found.save(tmp_path / "cost.json")
    assert Cost.load(tmp_path / "cost.json") == found


def test_stored_bytes(tmp_path):
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"12345")
    (tmp_path / "model" / "variables" / "data").write_bytes(b"123")
    assert stored_bytes(tmp_path / "model") == 8
    assert stored_bytes(tmp_path / "model" / "saved_model.pb") == 5
    with pytest.raises(StorageError, match="nothing_here"):
        stored_bytes(tmp_path / "nothing_here")


def trial(epochs, seconds, status="COMPLETED"):
    return TrialRecord("0", 0, status, {}, {}, 0, epochs, seconds, 1)


def search(folds=1):
    return SearchRecord("val_accuracy", "max", "random", 0, 9, 9, None, "ConvNet", {}, folds=folds)


CARD = DataCard(
    "abc",
    ("cat", "dog"),
    PixelFormat(8, 8, 1),
    {"train": [60, 40], "validation": [25, 25], "test": [1, 1]},
)


def test_training_speed_is_that_of_the_median_trial():
    trials = [trial(1, 1.0), trial(4, 2.0), trial(9, 1.0), trial(99, 1.0, "PRUNED")]
    assert training_speed(trials, CARD, search()) == 200.0


def test_training_speed_with_folds():
    # Four of five folds of 150 images.
    assert training_speed([trial(1, 1.0)], CARD, search(folds=5)) == 120.0


def test_training_speed_of_nothing():
    assert training_speed([trial(1, 1.0, "FAILED")], CARD, search()) is None


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
