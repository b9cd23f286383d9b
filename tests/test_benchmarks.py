"""Rules of the benchmarks whose figures would be wrong unnoticed."""

import importlib
from pathlib import Path

import keras_tuner
import numpy as np
import pytest


@pytest.fixture
def benchmark_of(monkeypatch):
    """Import a module of `benchmarks/`."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module


def test_the_beginners_network_is_that_of_keras(benchmark_of):
    model = benchmark_of("_beginner").build(keras_tuner.HyperParameters(), (28, 28, 1), 10)
    # 3·3·32 + 32, 3·3·32·64 + 64, and 5·5·64·10 + 10.
    assert model.count_params() == 320 + 18_496 + 16_010 == 34_826


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_space_around_it_fits_small_images(benchmark_of, kernel):
    hp = keras_tuner.HyperParameters()
    hp.values = {"stages": 4, "kernel_size": kernel}
    assert benchmark_of("_beginner").build(hp, (8, 8, 1), 10).output_shape == (None, 10)


def test_a_race_is_run_in_turns_and_photos_alone_have_the_backbone(benchmark_of):
    race = benchmark_of("race")
    tools = ("kt-tuning", race.FINE_TUNE, "Optuna")
    assert race.order("photos", tools, 0) == list(tools)
    assert race.order("photos", tools, 1) == list(tools[::-1])
    assert race.order("digits", tools, 1) == ["Optuna", "kt-tuning"]


def test_a_race_counts_medians_of_what_succeeded(benchmark_of):
    rows = [
        {"set_name": "digits", "tool": tool, "test": test, "wall": 60.0, "trials": 3}
        for tool, test in (("a", 0.5), ("a", 0.7), ("a", 0.9), ("b", 0.8), ("b", None))
    ]
    table = benchmark_of("race").summarise(rows)["digits"]
    assert list(table) == ["b", "a"]
    assert (table["a"]["median"], table["a"]["least"], table["a"]["most"]) == (0.7, 0.5, 0.9)
    assert (table["b"]["seeds"], table["b"]["failed"]) == (1, 1)


def test_drawn_digits_have_other_originals_in_the_test_split(benchmark_of, monkeypatch):
    sets, drawn = benchmark_of("_image_sets"), []
    monkeypatch.setattr(
        sets, "_distort", lambda image, rng: drawn.append(image.tobytes()) or next(blank)
    )
    rng = np.random.default_rng(0)
    blank = iter(rng.integers(0, 256, (260, 28, 28), dtype=np.uint8))
    data = sets.drawn_digits(200, 60)
    assert not set(drawn[:200]) & set(drawn[200:])
    assert (len(data.train), len(data.validation), len(data.test)) == (160, 40, 60)


def test_pruned_networks_of_a_simulated_search_stop_at_their_rungs(benchmark_of):
    # Of 6 networks the best 2 after the first epoch go on, and the best one after the third.
    scores = np.tile(np.array([[0.1], [0.6], [0.2], [0.5], [0.3], [0.4]]), 9)
    scores[3, 1:3] = 0.9
    epochs = benchmark_of("winners_curse").trained_epochs(scores)
    assert epochs.tolist() == [1, 3, 1, 9, 1, 1]
