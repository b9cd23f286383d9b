"""Fuzzed data sets: image files, folders, tables and arrays."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_inputs import LARGE, edited, edits, names, picture_bytes, pictures, texts
from fuzz_kind import Kind
from hypothesis import strategies as st
from image_bytes import encode
from PIL import Image

from kt_tuning.core.names import is_one_line
from kt_tuning.core.records import PixelFormat
from kt_tuning.data import decode_image, load_images


class Images(Kind):
    """The content of one file is decoded, twice, to a size."""

    cases = st.tuples(
        pictures(), st.sampled_from(((8, 8, 3, 16), (224, 160, 1, 16), (29, 41, 3, 12)))
    )
    share = 8
    heavy = tuple(((name, None, [], False), (224, 224, 3, 12)) for name in LARGE)

    def feed(self, case: Any, folder: Path) -> None:
        picture, (height, width, channels, bits) = case
        content, target = picture_bytes(picture), PixelFormat(height, width, channels, bits)
        pixels = decode_image(content, target)
        assert pixels.dtype == np.uint8
        assert pixels.shape == target.shape
        np.testing.assert_array_equal(decode_image(io.BytesIO(content), target), pixels)


class Folders(Kind):
    """A tree of folders and files of any names is loaded, and the labels are compared with it."""

    _CONTENTS = st.one_of(
        st.tuples(st.just("images"), st.integers(1, 6)),
        st.tuples(st.just("bytes"), st.binary(max_size=20)),
        st.tuples(st.just("picture"), pictures()),
        st.tuples(
            st.just("link"), st.sampled_from((".", "..", "../..", "missing", "cat", "/dev/null"))
        ),
        st.tuples(st.just("pipe"), st.none()),
        st.tuples(st.just("folder"), st.none()),
    )
    cases = st.fixed_dictionaries(
        {
            "splits": st.sampled_from(
                ((), (), ("train",), ("train", "test"), ("Train", "val", "test"))
            ),
            "classes": st.just(["cat", "dog"])
            | st.lists(names(), min_size=1, max_size=3, unique=True),
            "others": st.lists(
                st.tuples(st.lists(names() | st.just("cat"), min_size=1, max_size=3), _CONTENTS),
                max_size=4,
            ),
            "options": st.fixed_dictionaries(
                {
                    "image_size": st.sampled_from((None, None, 8, (5, 9))),
                    "channels": st.sampled_from((None, 1)),
                    "max_unreadable": st.sampled_from((0.0, 0.3, 1.0)),
                    "groups": st.sampled_from((None, None, "folder", r"(\d)", r"(cat|dog)")),
                }
            ),
        }
    )

    def feed(self, case: Any, folder: Path) -> None:
        root = folder / "images"
        root.mkdir()
        counter = iter(range(10**6))
        for split in case["splits"] or ("",):
            for name in case["classes"]:
                _write(root / split / name, ("images", 5), root, counter)
        for parts, content in case["others"]:
            _write(root.joinpath(*parts), content, root, counter)
        data = load_images(root, cache=folder / "cache", progress=False, **case["options"])
        assert len(data.class_names) >= 2
        assert all(map(is_one_line, data.class_names))
        if any(kind == "link" for _, (kind, _) in case["others"]):
            return  # images may be in a folder by a link
        for split in (data.train, data.validation, data.test):
            for image, label in zip(split.take(np.arange(len(split))), split.labels, strict=True):
                rows = image[..., 0]
                if rows.shape == (8, 8) and (rows[7] == 7).all():
                    assert _shade(data.class_names[label]) in rows[:6, 0]


def _shade(name: str) -> int:
    return zlib.crc32(os.fsencode(name)) % 256


def _write(path: Path, content: tuple[str, Any], root: Path, counter: Iterator[int]) -> None:
    """Write what can be written; images show the names of their folders, a row of pixels each."""
    kind, value = content
    if ".." in path.parts or any("\0" in part for part in path.parts):
        return
    with contextlib.suppress(OSError):
        (path if kind in ("images", "folder") else path.parent).mkdir(parents=True, exist_ok=True)
        if kind == "images":
            for _ in range(value):
                number = next(counter)
                pixels = np.zeros((8, 8), np.uint8)
                for row, part in enumerate(path.relative_to(root).parts[-6:]):
                    pixels[row] = _shade(part)
                pixels[6] = np.unpackbits(np.uint8(number % 256)) * 255
                pixels[7] = 7
                (path / f"{number}.png").write_bytes(encode(Image.fromarray(pixels), "PNG"))
        elif kind in ("bytes", "picture") and not path.exists():
            path.write_bytes(value if kind == "bytes" else picture_bytes(value))
        elif kind == "link":
            path.symlink_to(value)
        elif kind == "pipe":
            os.mkfifo(path)


class Tables(Kind):
    """A text file of file names and labels is read, and the labels are compared with its rows."""

    share = 3
    _FILES = st.sampled_from([f"{number}.png" for number in range(12)])
    _CELLS = _FILES | _FILES | texts()
    cases = st.fixed_dictionaries(
        {
            "head": st.lists(
                st.sampled_from(("file", "label", "label", "split", "patient", "")) | texts(),
                max_size=4,
            )
            | st.just(["file", "label"])
            | st.just(["file", "label"]),
            "rows": st.just(
                [[f"{number}.png", ("cat", "dog")[number % 2]] for number in range(12)]
            ),
            "others": st.lists(
                st.lists(_CELLS, min_size=1, max_size=4)
                | st.lists(_FILES, min_size=2, max_size=2)
                | st.tuples(_FILES, st.sampled_from(("cat", "dog", " dog", "nan", "1"))),
                max_size=3,
            ),
            "first": st.integers(0, 12),
            "separator": st.sampled_from((",", ",", ";", "\t", "|", " ")),
            "encoding": st.sampled_from(
                ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252")
            ),
            "suffix": st.sampled_from((".csv", ".CSV", ".tsv")),
            "edits": st.just([]) | edits(2),
            "options": st.fixed_dictionaries(
                {
                    "max_missing": st.sampled_from((0.0, 0.5, 1.0)),
                    "columns": st.none()
                    | st.none()
                    | st.dictionaries(
                        st.sampled_from(("file", "label", "group", "x")), texts(), max_size=2
                    ),
                }
            ),
        }
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "photos").mkdir()
        for number in range(12):
            pixels = np.full((8, 8), number * 20, np.uint8)
            pixels[1] = np.unpackbits(np.uint8(number)) * 255
            Image.fromarray(pixels).save(folder / f"photos/{number}.png")

    def feed(self, case: Any, folder: Path) -> None:
        rows = [tuple(row) for row in [*case["rows"][case["first"] :], *case["others"]]]
        lines = [case["separator"].join(row) for row in (case["head"], *rows)]
        content = "\n".join(lines).encode(case["encoding"], "replace")
        path = folder / f"table{case['suffix']}"
        path.write_bytes(edited(content, case["edits"]))
        options = {"cache": self.folder / "cache", "progress": False, "image_size": 8}
        data = load_images(path, images=self.folder / "photos", **options, **case["options"])
        simple = case["head"] == ["file", "label"] and not case["edits"]
        plain = case["options"]["columns"] is None and case["separator"] in ",;\t|"
        if simple and plain and all(len(row) == 2 and row[1].isalnum() for row in rows):
            for split in (data.train, data.validation, data.test):
                images = split.take(np.arange(len(split)))
                for image, label in zip(images, split.labels, strict=True):
                    name, named = str(image[0, 0, 0] // 20), data.class_names[label]
                    assert {(name, named), (f"{name}.png", named)} & set(rows)


class Arrays(Kind):
    """An `.npz` file of arrays of any shapes and types is read; nothing is unpickled."""

    share = 2
    _KEYS = st.sampled_from(
        ("x", "y", "x_train", "y_train", "images", "labels", "x_test", "class_names", "z")
    )
    _TYPES = (
        "uint8",
        "uint8",
        "float32",
        "int64",
        "bool",
        "uint16",
        "float16",
        "complex64",
        "S3",
        "U3",
    )
    _ARRAYS = st.tuples(
        st.lists(st.sampled_from((0, 1, 2, 3, 8, 12)), max_size=5),
        st.sampled_from((*_TYPES, "datetime64[s]", "V3", "O")),
        st.sampled_from(("zeros", "random", "alternating", "nan")),
    )
    _IMAGES = st.tuples(st.just([12, 8, 8]), st.sampled_from(_TYPES[:7]), st.just("random"))
    _LABELS = st.tuples(
        st.sampled_from(([12], [12, 1], [12, 2])), st.sampled_from(_TYPES), st.just("alternating")
    )
    cases = st.fixed_dictionaries(
        {
            "arrays": st.dictionaries(_KEYS, _ARRAYS, max_size=4)
            | st.fixed_dictionaries({"x": _IMAGES | _ARRAYS, "y": _LABELS | _ARRAYS})
            | st.fixed_dictionaries({"x": _IMAGES, "y": _LABELS, "class_names": _ARRAYS})
            | st.fixed_dictionaries({"x": _IMAGES, "y": _LABELS})
            | st.fixed_dictionaries(
                {"x": _IMAGES, "y": _LABELS, "x_test": _IMAGES, "y_test": _LABELS}
            ),
            "claimed": st.none()
            | st.none()
            | st.lists(st.sampled_from((-1, 0, 3, 2**20, 2**40, 2**62, 10**30)), max_size=4),
            "compressed": st.booleans(),
            "edits": st.just([]) | edits(2),
        }
    )
    unpickled = False

    def feed(self, case: Any, folder: Path) -> None:
        path = folder / "arrays.npz"
        kind = zipfile.ZIP_DEFLATED if case["compressed"] else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, spec in case["arrays"].items():
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, _array(*spec))
                content = buffer.getvalue()
                if case["claimed"] is not None and name.startswith("x") and spec[1] != "O":
                    content = _claiming(content, tuple(case["claimed"]))
                archive.writestr(f"{name}.npy", content)
        path.write_bytes(edited(path.read_bytes(), case["edits"]))
        data = load_images(path)
        assert not Arrays.unpickled
        assert data.train.take(np.arange(1)).dtype == np.uint8
        assert max(data.train.labels) < len(data.class_names)


class _Opened:
    """An object that notes when it is unpickled."""

    def __reduce__(self) -> Any:
        return setattr, (Arrays, "unpickled", True)


def _array(shape: list[int], kind: str, fill: str) -> Any:
    if kind == "O":
        return np.full(shape, _Opened(), object)
    size = int(np.prod(shape))
    numbers = {
        "zeros": np.zeros(size),
        "random": np.random.default_rng(0).integers(0, 256, size),
        "alternating": np.arange(size) % 2,
        "nan": np.full(size, np.nan),
    }[fill]
    with np.errstate(all="ignore"):
        if kind == "V3":
            return np.zeros(shape, "V3")
        whole = np.nan_to_num(numbers).astype(np.int64)
        return (
            (whole if kind.startswith(("date", "u", "i")) else numbers).astype(kind).reshape(shape)
        )


def _claiming(content: bytes, shape: tuple[int, ...]) -> bytes:
    """Return a `.npy` file whose header states another shape."""
    kind = np.lib.format.read_array(io.BytesIO(content)).dtype
    header = io.BytesIO()
    fields = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue() + content[-64:]
