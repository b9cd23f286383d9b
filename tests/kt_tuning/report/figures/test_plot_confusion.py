from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kt_tuning.core.errors import SearchError, StorageError
from kt_tuning.report import Plots
from kt_tuning.report.figures.confusion import ConfusionData, confusion_data
from kt_tuning.report.run_summary import load_run

COUNTS = np.array([[6, 2, 0], [1, 3, 4], [0, 0, 0]])
DATA = ConfusionData("test", COUNTS, ("cat", "dog", "emu"))


def test_shares_are_of_the_row() -> None:
    np.testing.assert_allclose(DATA.shares, [[0.75, 0.25, 0], [0.125, 0.375, 0.5], [0, 0, 0]])


def test_accuracy_is_the_diagonal() -> None:
    assert DATA.accuracy == 9 / 16


def test_largest_mistakes_are_off_the_diagonal() -> None:
    assert DATA.largest_mistakes(2) == [(1, 2), (0, 1)]
    assert DATA.largest_mistakes(9) == [(1, 2), (0, 1), (1, 0)]


def test_description() -> None:
    assert DATA.description == (
        "Confusion matrix of 3 classes on 16 images of the test split: 56.2% of them are on the "
        "diagonal. "
        "The most frequent mistake: dog predicted as emu, 4 of 8."
    )


def test_a_matrix_of_another_size_is_refused() -> None:
    with pytest.raises(StorageError, match=r"\(2, 2\)\. Received shape: \(3, 3\)"):
        ConfusionData("test", COUNTS, ("cat", "dog"))


def test_the_test_split_goes_before_validation(run_directory: Path, make_summary) -> None:
    data = confusion_data(load_run(run_directory))
    assert data is not None
    assert data.split == "test"
    validation = make_summary([0.5], validation_confusion=np.eye(2, dtype=np.int64))
    data = confusion_data(validation)
    assert data is not None
    assert (data.split, data.class_names) == ("validation", ("cat", "dog"))


def test_without_predictions_there_is_none(make_summary) -> None:
    assert confusion_data(make_summary([0.5])) is None
    with pytest.raises(SearchError, match="Received: a run with neither"):
        Plots(make_summary([0.5])).confusion()


def test_cells_are_blue_right_and_orange_wrong_by_share(make_summary) -> None:
    counts = np.array([[3, 1], [0, 0]])
    axes = Plots(make_summary([0.5], validation_confusion=counts)).confusion().axes[0]
    cells = np.asarray(axes.images[0].get_array())
    right, wrong = cells[0, 0], cells[0, 1]
    assert right[2] > right[0]
    assert wrong[0] > wrong[2]
    assert right[3] == pytest.approx(0.75)
    assert wrong[3] == pytest.approx(0.5)  # the square root of a quarter
    assert cells[1, 0, 3] == 0
    assert [text.get_text() for text in axes.texts] == ["3", "1"]


def test_counts_are_printed_for_twenty_classes_and_not_for_more(make_run) -> None:
    for classes, printed in ((20, True), (21, False)):
        names = tuple(f"class {index}" for index in range(classes))
        run = make_run(trials=1, classes=names, name=f"run{classes}")
        axes = Plots(run).confusion().axes[0]
        assert bool(axes.texts) is printed
        assert [label.get_text() for label in axes.get_yticklabels()] == list(names)
