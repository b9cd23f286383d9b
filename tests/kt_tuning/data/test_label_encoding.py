from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from kt_tuning.core.errors import DataError
from kt_tuning.data.label_encoding import encode_labels


@pytest.mark.parametrize(
    ("y", "names", "labels"),
    [
        ([0, 1, 2, 1], ("0", "1", "2"), [0, 1, 2, 1]),
        (np.array([0, 1, 0], np.uint8), ("0", "1"), [0, 1, 0]),
        ([[0], [1], [0]], ("0", "1"), [0, 1, 0]),
        ([0.0, 1.0, 2.0], ("0", "1", "2"), [0, 1, 2]),
        (np.array([0, 1, 2], np.float16), ("0", "1", "2"), [0, 1, 2]),
        ([7, 3, -1, 7], ("-1", "3", "7"), [2, 1, 0, 2]),
        (["dog", "cat", "dog"], ("cat", "dog"), [1, 0, 1]),
        ([True, False], ("False", "True"), [1, 0]),
        ([[0, 1, 0], [1, 0, 0]], ("0", "1", "2"), [1, 0]),
        (np.eye(3, dtype=np.float32), ("0", "1", "2"), [0, 1, 2]),
        (pd.Series(["dog", "cat"]), ("cat", "dog"), [1, 0]),
        (np.array(["dog", "cat"], object), ("cat", "dog"), [1, 0]),
        (np.array([b"dog", "größe".encode()], object), ("dog", "größe"), [0, 1]),
    ],
)
def test_usual_forms(y: Any, names: tuple[str, ...], labels: list[int]) -> None:
    (found,), class_names = encode_labels([y])
    assert class_names == names
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, labels)


def test_class_names_for_integers() -> None:
    (_, found), names = encode_labels([[5, 2, 5], [2, 5]], ["owl", "emu"])
    assert names == ("owl", "emu")
    np.testing.assert_array_equal(found, [0, 1])


def test_class_names_give_the_order_of_strings() -> None:
    (found,), _ = encode_labels([["cat", "dog"]], ["dog", "cat"])
    np.testing.assert_array_equal(found, [1, 0])


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"], ["a", "a"]])
def test_class_names_that_do_not_fit(names: list[str]) -> None:
    with pytest.raises(DataError, match="class_names should hold 2 different names"):
        encode_labels([[0, 1]], names)


@pytest.mark.parametrize("names", ["ab", {0: "a", 1: "b"}])
def test_class_names_that_are_no_sequence(names: Any) -> None:
    with pytest.raises(DataError, match="a sequence of names, the name of label 0 first"):
        encode_labels([[0, 1]], names)


def test_class_names_that_are_other_strings() -> None:
    with pytest.raises(DataError, match="own strings in the order wanted"):
        encode_labels([["cat", "dog"]], ["Cat", "Dog"])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.0, np.nan], "1 others, the first nan in row 1"),
        ([[1.0, 0.0], [np.nan, 0.0]], "the first nan in row 1"),
        ([0, 0.5], "the first 0.5 in row 1"),
        ([[0.2, 0.8], [0.5, 0.5]], "Expected whole numbers"),
        ([[1, 1], [0, 1]], "one-hot"),
        ([["a", "b"]], "one-hot"),
        ([], r"Received: .* \(0,\)"),
        ([[[1]]], r"Received: int64 \(1, 1, 1\)"),
        (np.array(["cat", 3.5], object), "Expected labels of one type. Received: float, str"),
        (np.array(["cat", None, np.nan, pd.NA], object), "3 of 4 labels are missing"),
        ([[1], [0, 1]], "Expected one label per image"),
        (np.nan, r"Received: float64 \(\)"),
        ([1e20, 0.0], "the first 1e\\+20 in row 0"),
        (np.ma.array([0, 1, 1], mask=[0, 0, 1]), "y has masked values"),
        ([b"\xff", b"a"], "should be text in UTF-8"),
        ([1j, 2j], "complex"),
        ([3, 3, 3], r"at least 2 classes\. Received: \[3\] only"),
    ],
)
def test_bad_labels(y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode_labels([y])


def test_unknown_label() -> None:
    with pytest.raises(DataError, match=r"cat, dog.*Received also: cow"):
        encode_labels([["cat", "dog"], ["dog", "cow"]])


def test_one_hot_with_other_columns() -> None:
    with pytest.raises(DataError, match=r"2 columns\. Received: 3"):
        encode_labels([[0, 1], np.eye(3)])


def test_one_hot_means_positions_whatever_the_fitted_labels_are() -> None:
    (_, found), _ = encode_labels([[3, 8], [[0, 1], [1, 0]]])
    np.testing.assert_array_equal(found, [1, 0])


def test_strings_may_be_composed_in_either_way() -> None:
    labels, names = encode_labels([["\u00e9", "b"], ["e\u0301", "b"]], ["e\u0301", "b"])
    assert names == ("\u00e9", "b")
    assert [each.tolist() for each in labels] == [[0, 1], [0, 1]]
