from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.report import plot_parallel
from kt_tuning.report.figures import parallel_data

VALUES = [
    {"rate": 0.001, "optimizer": "adam"},
    {"rate": 0.01, "optimizer": "sgd"},
    {"rate": 0.1, "optimizer": "sgd", "momentum": 0.9},
    {"rate": 0.1, "optimizer": "sgd", "momentum": 0.5},
    {"rate": 0.001, "optimizer": "adam"},
    {"rate": 0.01, "optimizer": "rmsprop"},
]
SCORES = [0.5, 0.6, 0.9, 0.8, 0.4, 0.7]


@pytest.fixture
def run(make_summary):
    return make_summary([*SCORES, None], values=[*VALUES, {}])


@pytest.fixture
def columns(run):
    return {column.name: column for column in parallel_data(run).columns}


def test_numbers_over_decades_are_placed_by_their_logarithm(columns) -> None:
    np.testing.assert_allclose(columns["rate"].places, [0, 0.5, 1, 1, 0, 0.5])
    assert [label for _, label in columns["rate"].ticks] == ["0.001", "0.01", "0.1"]


def test_pruned_trials_are_no_lines(run) -> None:
    first = run.trials[0]
    pruned = dataclasses.replace(first, record=dataclasses.replace(first.record, status="PRUNED"))
    shown = parallel_data(dataclasses.replace(run, trials=(pruned, *run.trials[1:])))
    assert len(shown.order) == len(parallel_data(run).order) - 1


def test_categories_are_placed_in_order(columns) -> None:
    np.testing.assert_allclose(columns["optimizer"].places, [0, 1, 1, 1, 0, 0.5])
    assert columns["optimizer"].ticks == ((0.0, "adam"), (0.5, "rmsprop"), (1.0, "sgd"))


def test_a_trial_without_the_value_has_no_place(columns) -> None:
    np.testing.assert_allclose(columns["momentum"].places, [np.nan, np.nan, 1, 0, np.nan, np.nan])


def test_the_score_comes_last_and_the_best_trial_on_top(run) -> None:
    data = parallel_data(run)
    assert data.columns[-1].name == "Accuracy"
    np.testing.assert_allclose(data.columns[-1].places, [0.2, 0.4, 1, 0.8, 0, 0.6], atol=1e-12)
    assert data.order == (4, 0, 1, 5, 3, 2)


def test_many_numbers_have_three_labels(make_summary) -> None:
    values = [{"dropout": 0.1 * place} for place in range(8)]
    data = parallel_data(make_summary([0.1 * place for place in range(8)], values=values))
    assert data.columns[0].ticks == ((0.0, "0"), (0.5, "0.35"), (1.0, "0.7"))


def test_narrowed_keeps_the_score(run) -> None:
    narrow = parallel_data(run).narrowed(1)
    assert len(narrow.columns) == 2
    assert narrow.columns[-1].name == "Accuracy"


def test_a_line_a_trial(run) -> None:
    axes = plot_parallel(run).axes[0]
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 4]
    assert len(drawn) == 6
    assert max(drawn, key=lambda line: line.get_linewidth()) is drawn[-1]


def test_too_few_trials(make_summary) -> None:
    with pytest.raises(StorageError, match="Parallel coordinates need"):
        plot_parallel(make_summary([0.5]))
