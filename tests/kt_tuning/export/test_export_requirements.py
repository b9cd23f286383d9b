from __future__ import annotations

import pytest

from kt_tuning.core.errors import MissingExtraError
from kt_tuning.core.extras import check_installed
from kt_tuning.export import FORMATS


def test_what_is_installed_passes():
    check_installed("The format 'keras'", None, ())
    check_installed("The format 'x'", "x", ("numpy", "json"))


def test_what_is_missing_is_named_with_the_line_that_installs_it():
    with pytest.raises(
        MissingExtraError,
        match=r"'onnx' needs the packages no_such, nor_this: pip install 'kt-tuning\[onnx\]'",
    ):
        check_installed("The format 'onnx'", "onnx", ("numpy", "no_such", "nor_this"))


def test_formats_that_need_packages_name_the_extra():
    for row in FORMATS.values():
        assert bool(row.packages) == (row.extra is not None)
