import numpy as np
import pytest
from member_cases import make_members, softmax

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.ensembling import MEMBER_CHOICES, Member, selection
from kt_tuning.ensembling.calibration import fit_temperature, temper
from kt_tuning.ensembling.members import distinct, stack_predictions, take_best, take_diverse


def named(predictions, configurations=None):
    configurations = configurations or [None] * len(predictions)
    return [
        Member(str(index), member, configuration=configuration)
        for index, (member, configuration) in enumerate(
            zip(predictions, configurations, strict=True)
        )
    ]


def names(members):
    return [member.name for member in members]


def test_equal_configurations_count_once():
    predictions, labels = make_members([1.0] * 5, rows=10)
    members = named(predictions, [{"filters": 8}, {"filters": 16}, {"filters": 8}, None, None])
    assert names(distinct(members)) == ["0", "1", "3", "4"]
    assert names(take_best(members, labels, 3)) == ["0", "1", "3"]


def test_a_copy_of_the_best_comes_after_a_weaker_member_that_errs_elsewhere():
    predictions, labels = make_members([1.6, 1.2], rows=2000)
    twin = softmax(np.log(predictions[0]) + 1e-3 * np.random.default_rng(1).normal(size=(2000, 4)))
    members = named([predictions[0], twin, predictions[1]])
    assert names(take_best(members, labels, 2)) == ["0", "1"]
    assert names(take_diverse(members, labels, 2))[1] == "2"


def test_diverse_members_by_hand():
    predictions, labels = make_members([0.8, 1.0, 1.3, 0.2, 1.1], rows=80)
    found = names(take_diverse(named(predictions), labels, 3))
    tempered = np.stack([temper(p, fit_temperature(p, labels)) for p in predictions])
    of_truth = tempered[:, np.arange(80), labels]
    chosen = []
    for _ in range(3):
        left = [index for index in range(5) if index not in chosen]
        chosen.append(
            max(left, key=lambda index: np.log(of_truth[[*chosen, index]].mean(axis=0)).mean())
        )
    assert found == [str(index) for index in chosen]


def test_a_sure_member_is_judged_at_its_temperature():
    predictions, labels = make_members([1.5, 0.2], rows=1000)
    sure = temper(predictions[0], 0.1)
    assert names(take_diverse(named([predictions[1], sure]), labels, 1)) == ["1"]


@pytest.mark.parametrize("name", MEMBER_CHOICES)
def test_no_more_than_there_are(name):
    predictions, labels = make_members([1.0, 1.5], rows=30)
    chosen = MEMBER_CHOICES[name](named(predictions), labels, 9)
    assert sorted(names(chosen)) == ["0", "1"]


@pytest.mark.parametrize("name", MEMBER_CHOICES)
def test_at_least_one(name):
    predictions, labels = make_members([1.0], rows=30)
    with pytest.raises(OptionError, match="size=0"):
        MEMBER_CHOICES[name](named(predictions), labels, 0)


def test_predictions_of_members():
    predictions, labels = make_members([1.0, 1.5], rows=30)
    stacked, truth = stack_predictions(named(predictions), labels)
    np.testing.assert_array_equal(stacked, predictions)
    np.testing.assert_array_equal(truth, labels)


def test_names_are_unique():
    predictions, labels = make_members([1.0, 1.5], rows=30)
    with pytest.raises(OptionError, match=r"\['a'\]"):
        stack_predictions([Member("a", member) for member in predictions], labels)


def test_members_of_different_rows():
    predictions, labels = make_members([1.0, 1.5], rows=30)
    with pytest.raises(DataError, match="different shapes"):
        stack_predictions([Member("a", predictions[0]), Member("b", predictions[1, :20])], labels)


def test_a_selection_goes_by_the_rows_that_it_is_given():
    labels = np.array([0, 0, 1, 1])
    right_first = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    right_last = np.array([[0.4, 0.6], [0.4, 0.6], [0.1, 0.9], [0.1, 0.9]])
    members = named([right_first, right_last])
    predictions = np.stack([right_first, right_last])
    by_accuracy = selection(members, "best", 1, metric="accuracy")
    assert by_accuracy(predictions[:, :2], labels[:2]) == [0]
    assert by_accuracy(predictions[:, 2:], labels[2:]) == [1]
    in_order = selection(members, "best", 1, metric=None)
    assert in_order(predictions[:, 2:], labels[2:]) == [0]
