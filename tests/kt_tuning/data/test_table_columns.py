"""The columns, and the index, in which a table has file names and labels."""

import pandas as pd
import pytest

from kt_tuning.core.errors import OptionError
from kt_tuning.data.label_table import read_table

FILES = ("a1.jpg", "a2.jpg", "b1.jpg", "b2.jpg")


@pytest.fixture
def folder(tmp_path):
    """Four files that nobody decodes here."""
    for name in FILES:
        (tmp_path / name).touch()
    return tmp_path


def table():
    return pd.DataFrame({"filename": FILES, "label": list("aabb")})


def labelled(found):
    """Whether each file has its label."""
    classes = found.listing.parts["train"]
    return [[file.path for file in files] for files in classes] == [[*FILES[:2]], [*FILES[2:]]]


def test_names_of_columns_may_be_composed_in_either_way(folder):
    rows = table().rename(columns={"label": "e\u0301tat"})
    found = read_table(rows, folder, columns={"label": "\u00e9tat"})
    assert labelled(found)


@pytest.mark.parametrize(
    ("index", "columns"), [(None, {}), ("photo", {}), ("which", {"file": "which"})]
)
def test_file_names_may_be_the_index(folder, index, columns):
    rows = pd.DataFrame({"tame": list("aabb")}, pd.Index(FILES, name=index))
    assert labelled(read_table(rows, folder, columns=columns))


def test_an_index_is_not_taken_before_a_column_of_files(folder):
    assert labelled(read_table(table().set_axis(list("wxyz")), folder))


@pytest.mark.parametrize("columns", ["label", {"label": ["a"]}, {"label": "x", "file": "x"}])
def test_columns_that_cannot_be_used(folder, columns):
    with pytest.raises(OptionError, match=r"`columns` maps|There is no column"):
        read_table(table(), folder, columns=columns)
