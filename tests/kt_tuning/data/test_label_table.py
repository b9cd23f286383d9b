"""Tables of file names and labels."""

import importlib.util
import logging

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kt_tuning.core.errors import DataError, MissingExtraError, OptionError, StorageError
from kt_tuning.core.records import PARTS, TableSource
from kt_tuning.data import load_images
from kt_tuning.data.label_table import read_table
from kt_tuning.data.load_data import is_table

FILES = ("a1.jpg", "a2.jpg", "sub/b1.jpg", "sub/b2.png")


@pytest.fixture
def folder(tmp_path):
    """Four files that nobody decodes here."""
    root = tmp_path / "photos"
    for name in FILES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def table(files=FILES, labels="aabb", **more):
    return pd.DataFrame({"filename": list(files), "label": list(labels), **more})


def paths(found):
    """Paths by split and class."""
    listing = found.listing
    return {
        part: {
            name: [file.path for file in files]
            for name, files in zip(listing.class_names, classes, strict=True)
        }
        for part, classes in listing.parts.items()
    }


BY_FILE = list(zip(FILES, "aabb", strict=True))
BOTH = {"a": ["a1.jpg", "a2.jpg"], "b": ["sub/b1.jpg", "sub/b2.png"]}


@pytest.mark.parametrize(
    "names",
    [
        FILES,
        ("a1", "a2", "sub/b1", "sub/b2"),
        ("a1", "a2.jpg", "b1.jpg", "b2"),
        ("./a1.jpg", "sub/../a2.jpg", " b1 ", "sub//b2.png"),
        ("a1.jpg", "a2", "sub\\b1.jpg", ".\\sub\\b2"),
        tuple(f"photos/{name}" for name in FILES),
        tuple(f"/home/another/photos/{name}" for name in FILES),
        tuple(f"/home/another/pictures/{name}" for name in FILES),
        tuple(f"gs://bucket/pictures/{name}" for name in FILES),
        tuple(f"D:\\pictures\\{name}".replace("/", "\\") for name in FILES),
        ("A1.JPG", "a2.JPG", "Sub/b1", "B2.png"),
        ("C:\\photos\\a1.jpg", "C:\\photos\\a2", "sub/b1", "C:\\photos\\sub\\b2"),
    ],
)
def test_files_are_found_with_or_without_folder_and_extension(folder, names):
    assert paths(read_table(table(names), folder)) == {"train": BOTH}


def test_absolute_paths_are_found(folder):
    absolute = [str(folder / name) for name in FILES]
    (folder / "a2.jpg").rename(folder.parent / "a2.jpg")
    (folder / "a2.jpg").symlink_to(folder.parent / "a2.jpg")
    assert paths(read_table(table(absolute), folder)) == {"train": BOTH}


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_text_file_is_read_as_it_is_written(folder, suffix):
    for number in range(4):
        (folder / f"00{number}.jpg").touch()
    rows = [("ID", "Breed"), *((f"00{number}", str(number // 2)) for number in range(4))]
    separator = "," if suffix == ".csv" else "\t"
    path = folder / f"labels{suffix}"
    path.write_text("\n".join(separator.join(row) for row in rows), encoding="utf-8-sig")
    assert is_table(path)
    expected = {"0": ["000.jpg", "001.jpg"], "1": ["002.jpg", "003.jpg"]}
    assert paths(read_table(path)) == {"train": expected}


def test_accents_may_be_written_in_either_way(folder):
    (folder / "a1.jpg").rename(folder / "e\u0301.jpg")
    rows = table(("\u00e9.jpg", *FILES[1:]))
    found = read_table(rows, folder).listing.parts["train"]
    assert "e\u0301.jpg" in [file.path for file in found[0]]


@pytest.mark.parametrize("names", [("label", "label"), ("Label", "label")])
def test_columns_of_one_name_are_refused(folder, names):
    twice = table(more=1).set_axis(["filename", *names], axis=1)
    with pytest.raises(DataError, match=f"the same name: {names[0]}, {names[1]}"):
        read_table(twice, folder)


def test_files_of_another_folder_of_the_same_name_are_missing(folder):
    names = [f"{part}/photos/{name}" for part in ("train", "test") for name in FILES]
    with pytest.raises(DataError, match=r"4 name a file that is missing .test/photos/a1"):
        read_table(table(names, "aabbaabb"), folder)


def test_files_of_another_folder_of_this_machine_are_missing(folder, tmp_path):
    names = [str(tmp_path / name) for name in FILES]
    with pytest.raises(DataError, match="4 name a file that is missing"):
        read_table(table(names), folder)
    names = [str(folder / "gone" / name) for name in FILES]
    with pytest.raises(DataError, match="4 name a file that is missing"):
        read_table(table(names), folder)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_first_line_tells_the_separator(folder, suffix, separator):
    cells = [("file", "label"), *((name, f'"{letter}, b;c"') for name, letter in BY_FILE)]
    path = folder / f"labels{suffix}"
    path.write_text("\n".join(separator.join(row) for row in cells))
    expected = {f"{letter}, b;c": names for letter, names in BOTH.items()}
    assert paths(read_table(path)) == {"train": expected}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_text_of_any_usual_encoding_is_read(folder, encoding, caplog):
    rows = "".join(f"{name},{letter}ä\n" for name, letter in BY_FILE)
    (folder / "labels.csv").write_bytes(f"file,label\n{rows}".encode(encoding))
    with caplog.at_level(logging.WARNING, logger="kt_tuning"):
        found = read_table(folder / "labels.csv")
    assert found.listing.class_names == ("aä", "bä")
    assert ("words such as 'aä'" in caplog.text) == (encoding == "latin-1")


def test_a_class_may_be_called_none_but_not_na(folder):
    rows = "a1,None\na2,None\nb1,x\nb2,x\n"
    (folder / "labels.csv").write_text(f"file,label\n{rows}")
    assert read_table(folder / "labels.csv").listing.class_names == ("None", "x")
    (folder / "labels.csv").write_text(f"file,label\n{rows}".replace("None", "NA"))
    with pytest.raises(DataError, match=r"2 have no label .a1, a2"):
        read_table(folder / "labels.csv")


def test_longer_rows_are_refused(folder):
    (folder / "labels.csv").write_text("file,label\na1,x,0.9\na2,y,0.8\n")
    with pytest.raises(StorageError, match="rows have more cells than its first line"):
        read_table(folder / "labels.csv")


@pytest.mark.parametrize(
    "names", [("File Name", "Class Label"), ("file-name", "CLASS"), ("ImageID", "dx")]
)
def test_columns_are_found_whatever_their_case_and_punctuation(folder, names, caplog):
    odd = table(age=1).set_axis([*names, "age"], axis=1)
    with caplog.at_level(logging.INFO, logger="kt_tuning"):
        assert paths(read_table(odd, folder)) == {"train": BOTH}
    assert f"file = {names[0]}, label = {names[1]}; not used: age" in caplog.text


def test_numbers_are_sorted_as_numbers_and_floats_are_whole(folder):
    found = read_table(table(labels=[10.0, 10.0, 9.0, 9.0]), folder)
    assert found.listing.class_names == ("9", "10")


def test_splits_have_their_usual_names(folder):
    for name in ("a3.jpg", "a4.jpg", "b3.jpg", "b4.jpg"):
        (folder / name).touch()
    names = [*FILES, "a3.jpg", "b3.jpg", "a4.jpg", "b4.jpg"]
    split = ["", "Training", "", None, "val", "val", "test", "TEST"]
    found = read_table(table(names, "aabbabab", split=split), folder)
    assert paths(found) == {
        "train": BOTH,
        "validation": {"a": ["a3.jpg"], "b": ["b3.jpg"]},
        "test": {"a": ["a4.jpg"], "b": ["b4.jpg"]},
    }


def test_groups_are_by_path(folder):
    found = read_table(table(patient=["p1", "p2", "p1", ""]), folder)
    assert found.groups == {"a1.jpg": "p1", "a2.jpg": "p2", "sub/b1.jpg": "p1"}


def test_columns_can_be_named(folder):
    odd = table().rename(columns={"filename": "where", "label": "what"})
    named = {"file": "where", "label": "what"}
    assert paths(read_table(odd, folder, columns=named)) == {"train": BOTH}


def test_the_only_other_column_is_the_label(folder):
    odd = table().rename(columns={"label": "healthy?"})
    assert paths(read_table(odd, folder)) == {"train": BOTH}


def test_columns_that_cannot_be_told_are_asked_for(folder):
    odd = table(more=1).rename(columns={"filename": "where", "label": "what"})
    message = "Cannot tell which column has the file and which the label.*where, what, more"
    with pytest.raises(DataError, match=message):
        read_table(odd, folder)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": "klass"}, "no column 'klass'"),
        ({"images": "filename"}, "images=filename"),
        ({"file": "filename", "label": "filename"}, "to a column each"),
        (["filename", "label"], "to a column each"),
    ],
)
def test_wrong_columns_are_refused(folder, columns, message):
    with pytest.raises(OptionError, match=message):
        read_table(table(), folder, columns=columns)


FAULTS = [
    (table(("a1", "a2", "b1", "b2", "c3"), "aabba"), "1 name a file that is missing .c3."),
    (table(("a1", "a2", "b1", "b2", ""), "aabba"), "1 name a file that is missing"),
    (table(("a1", "a2", "b1", "b2", "b2"), ["a", "a", "b", "b", None]), "1 have no label .b2."),
    (table(("a1", "a2", "b1", "b2", "e1"), "aabbe"), "1 are the only image of their class .e: e1."),
]


@pytest.mark.parametrize(("rows", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_rows_that_cannot_be_used_are_counted_and_named(folder, rows, message, caplog):
    if "e1" in message:
        (folder / "e1.jpg").touch()
    with pytest.raises(DataError, match=f"1 of 5 rows cannot be used: {message}"):
        read_table(rows, folder)
    with caplog.at_level(logging.WARNING, logger="kt_tuning"):
        assert paths(read_table(rows, folder, max_missing=0.2)) == {"train": BOTH}
    assert "They are left out." in caplog.text
    assert "in no row" not in caplog.text


def test_contradicting_rows_leave_the_file_out(folder):
    for name in ("c1.jpg", "c2.jpg"):
        (folder / name).touch()
    rows = table((*FILES, "c1.jpg", "c1.jpg"), "aabbab")
    with pytest.raises(DataError, match=r"1 give a file another label than an earlier row .c1.jpg"):
        read_table(rows, folder)
    assert paths(read_table(rows, folder, max_missing=0.5)) == {"train": BOTH}


def test_a_name_of_several_files_is_refused(folder):
    (folder / "sub" / "a1.jpg").touch()
    rows = table(("a1", "a1.jpg", "a2", "b1", "b2"), "aaabb")
    # "a1.jpg" and "a1" are the path of one file, but "sub/a1.jpg" must be written so.
    assert paths(read_table(rows, folder))["train"] == BOTH
    (folder / "other").mkdir()
    (folder / "other" / "b1.jpg").touch()
    with pytest.raises(DataError, match=r"1 match several files .b1."):
        read_table(rows, folder)


def test_the_same_row_twice_counts_once(folder):
    rows = table((*FILES, "a1.jpg"), "aabba")
    assert paths(read_table(rows, folder)) == {"train": BOTH}


def test_files_without_a_row_are_counted(folder, caplog):
    (folder / "c.jpg").touch()
    with caplog.at_level(logging.WARNING, logger="kt_tuning"):
        read_table(table(), folder)
    assert "1 image files in" in caplog.text
    assert "e.g. c.jpg" in caplog.text


def test_labels_may_be_composed_in_either_way(folder):
    found = read_table(table(labels=["\u00e9", "e\u0301", "b", "b"]), folder)
    assert found.listing.class_names == ("b", "\u00e9")


def test_the_separator_line_of_excel_is_no_header(folder):
    rows = "".join(f"{name};{label}\n" for name, label in BY_FILE)
    (folder / "labels.csv").write_text(f"sep=;\nfile;label\n{rows}")
    assert paths(read_table(folder / "labels.csv")) == {"train": BOTH}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (table(FILES[:3], "aab"), "1 are the only image of their class .b: sub/b1.jpg"),
        (table(FILES, "aaaa"), "The table has only: a"),
        (table()[:0], "has no rows"),
        (table(split=["train", "train", "train", "fold 3"]), "Received: 'fold 3'"),
        (table(split=["train", "train", "train", "test"]), "The test split has no image of: a"),
    ],
)
def test_what_cannot_be_split_is_refused(folder, rows, message):
    with pytest.raises(DataError, match=message):
        read_table(rows, folder)


def test_what_cannot_be_read_is_refused(folder, tmp_path):
    with pytest.raises(StorageError, match="No such file"):
        read_table(tmp_path / "no.csv")
    (tmp_path / "binary.csv").write_bytes(b"\x00\xff\xfe")
    with pytest.raises(StorageError, match="Cannot read the table"):
        read_table(tmp_path / "binary.csv")
    with pytest.raises(OptionError, match="`images` is the folder"):
        read_table(table())
    with pytest.raises(StorageError, match="Expected a folder of images"):
        read_table(table(), tmp_path / "nowhere")


def test_a_table_is_loaded_with_its_groups_together(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = rng.integers(0, 256, (8, 8, 3)).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    names = [str(number) for number in range(24)]
    patients = [f"p{number // 4}" for number in range(24)]
    rows = table(names, "ab" * 12, patient=patients)
    data = load_images(rows, images=tmp_path, cache=tmp_path / "cache", progress=False)
    assert data.class_names == ("a", "b")
    assert len(data.labels) == 24
    # Images are in the order of label and path.
    paths = sorted(names[::2], key=lambda n: f"{n}.png") + sorted(
        names[1::2], key=lambda n: f"{n}.png"
    )
    sides = {part: {int(paths[place]) // 4 for place in data.indices[part]} for part in PARTS}
    assert sum(map(len, sides.values())) == 6
    assert data.table == TableSource("")


def test_options_of_a_table_are_refused_with_a_folder(folder):
    with pytest.raises(OptionError, match="belong to a table"):
        load_images(folder, images=folder)
    with pytest.raises(OptionError, match="`class_names` names folders"):
        load_images(table(), images=folder, class_names=["a", "b"])


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is not None, reason="pyarrow is here")
def test_what_parquet_needs_is_named(folder):
    (folder / "labels.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtraError, match=r"kt-tuning\[parquet\]"):
        read_table(folder / "labels.parquet")
