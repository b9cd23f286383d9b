from __future__ import annotations

import numpy as np
import pytest
from export_models import CLASS_NAMES, make_card, random_images

from kt_tuning.core.errors import ExportError
from kt_tuning.export import NumericalCheck
from kt_tuning.export.export_source import Source
from kt_tuning.export.measurement import (
    FLOAT32,
    ROUNDING,
    Tolerance,
    check_tolerance,
    compare,
)
from kt_tuning.export.saved_model import check_files

EXPECTED = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]])


def test_equal_probabilities_have_no_difference():
    check = compare(EXPECTED, EXPECTED)
    assert (check.images, check.difference, check.agreement) == (4, 0.0, 1.0)
    check_tolerance(check, FLOAT32, "onnx")


def test_the_largest_difference_and_the_share_of_equal_labels():
    served = EXPECTED.copy()
    served[1] = [0.1, 0.4, 0.5]
    check = compare(served, EXPECTED)
    assert check.difference == pytest.approx(0.1)
    assert check.agreement == 0.75


def test_classes_as_probable_as_each_other_are_one_label():
    expected = np.array([[0.4, 0.4 - ROUNDING, 0.2 + ROUNDING]])
    assert compare(expected[:, [1, 0, 2]], expected).agreement == 1.0
    expected = np.array([[0.4, 0.4 - 3 * ROUNDING, 0.2 + 3 * ROUNDING]])
    assert compare(expected[:, [1, 0, 2]], expected).agreement == 0.0


def test_the_tolerance_is_just_allowed():
    check_tolerance(compare(EXPECTED + 0.9 * ROUNDING, EXPECTED), FLOAT32, "onnx")
    with pytest.raises(ExportError, match=r"\(onnx\).*on 4 images .* up to 0\.00011.* 0\.0001"):
        check_tolerance(compare(EXPECTED + 1.1 * ROUNDING, EXPECTED), FLOAT32, "onnx")


@pytest.mark.parametrize(("images", "others"), [(40, 1), (100, 1), (101, 2), (1000, 10)])
def test_a_hundredth_of_the_labels_and_one_of_few_may_differ(images, others):
    tolerance = Tolerance(0.2, 0.99)
    check_tolerance(NumericalCheck(images, 0.1, 1 - others / images), tolerance, "litert_int8")
    with pytest.raises(ExportError):
        check_tolerance(
            NumericalCheck(images, 0.1, 1 - (others + 1) / images), tolerance, "litert_int8"
        )


def test_too_many_other_labels_fail_with_the_figures():
    served = EXPECTED.copy()
    served[1:3] = [[0.1, 0.4, 0.5], [0.4, 0.3, 0.3]]
    with pytest.raises(ExportError, match=r"50\.00% of the labels agree.* at least 99%"):
        check_tolerance(compare(served, EXPECTED), Tolerance(0.2, 0.99), "litert_int8")


def test_nan_fails():
    check = compare(np.full_like(EXPECTED, np.nan), EXPECTED)
    with pytest.raises(ExportError, match="nan"):
        check_tolerance(check, Tolerance(1.0, 0.0), "onnx")


@pytest.fixture(scope="module")
def images():
    return random_images(5)


@pytest.fixture(scope="module")
def expected(model, images):
    return model.predict(images, verbose=0)


def test_files_are_served_as_pixels_are(loaded, model, images, expected):
    check_files(loaded, Source(model, make_card()), images, expected)


def test_other_probabilities_from_files_fail(loaded, model, images, expected):
    with pytest.raises(ExportError, match=r"saved_model, from files"):
        check_files(loaded, Source(model, make_card()), images, expected[::-1])


def test_wrong_labels_fail(loaded, model, images, expected):
    names = (CLASS_NAMES[1], CLASS_NAMES[0], CLASS_NAMES[2])
    assert set(expected.argmax(axis=1)) & {0, 1}
    with pytest.raises(
        ExportError, match=r"gives \d of 5 images a wrong label.*Expected: '(dog|cat)'"
    ):
        check_files(
            loaded,
            Source(model, make_card(class_names=names)),
            images,
            expected,
        )
