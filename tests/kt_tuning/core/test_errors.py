"""Optional packages: what is missing is named with the command that installs it."""

import pytest

from kt_tuning.core.errors import MissingExtraError, require_extra


def test_packages_that_are_there():
    require_extra("The format 'x'", "x", "numpy", "json")
    require_extra("The format 'x'", "numpy")


@pytest.mark.parametrize(
    ("packages", "named"),
    [((), "package no_such"), (("numpy", "no_such", "nor_this"), "packages no_such, nor_this")],
)
def test_missing_packages_are_named_with_the_command(packages, named):
    with pytest.raises(MissingExtraError) as caught:
        require_extra("The format 'x'", "no_such", *packages)
    assert (
        str(caught.value) == f"The format 'x' needs the {named}: pip install 'kt-tuning[no_such]'"
    )
