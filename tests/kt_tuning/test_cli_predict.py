"""`kt-tuning predict`: whatever training reads, in files and folders; a table, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import os

import keras
import numpy as np
import pytest
from command_line import kt_tuning
from PIL import Image

from kt_tuning.core.records import DataCard, PixelFormat
from kt_tuning.data import decode_image
from kt_tuning.export import export_model, load_saved_model

PIXELS = PixelFormat(8, 6, 1, bits=12)
NAMES = ("dark", "light")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model that knows dark images from light ones, for scans of 12 bits."""
    images = keras.Input(PIXELS.shape, dtype="uint8")
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255, -0.5)(images))
    dense = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(images, dense(mean))
    dense.set_weights([np.array([[-6.0, 6.0]]), np.zeros(2)])
    counts = {part: [1, 1] for part in ("train", "validation", "test")}
    card = DataCard("0" * 32, NAMES, PIXELS, counts)
    path = tmp_path_factory.mktemp("export") / "1"
    export_model(model, path, card=card)
    return path


@pytest.fixture
def folder(tmp_path):
    """Files of formats that the graph reads and of others, at two depths; one is broken."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(["a.png", "b.jpg", "c.tif", "in/d.webp", "in/e.ppm"]):
        path = tmp_path / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = Image.fromarray(rng.integers(0, 100, (16, 12), np.uint8) + 130 * (number % 2))
        more = {"save_all": True, "append_images": [Image.new("L", (12, 16))]}
        shade.convert("RGB").save(path, **(more if path.suffix == ".webp" else {}))
    Image.fromarray(np.full((8, 6), 3000, np.uint16)).save(tmp_path / "new" / "z.png")
    (tmp_path / "new" / "in" / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "new" / "notes.txt").write_text("no image")
    (tmp_path / "new" / "@eaDir").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "new" / "@eaDir" / "thumb.jpg")
    return tmp_path / "new"


FILES = ["a.png", "b.jpg", "c.tif", "in/broken.jpg", "in/d.webp", "in/e.ppm", "z.png"]


def test_csv_of_a_folder_has_what_the_model_says_of_the_pixels_of_training(
    exported, folder, monkeypatch, capsys
):
    assert kt_tuning(monkeypatch, "predict", exported, folder, "--format", "csv") == 0
    shown = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    assert list(rows[0]) == ["path", "label", "probability", *NAMES, "error"]
    assert [row["path"] for row in rows] == [str(folder / name) for name in FILES]
    assert "1 of 7 image files cannot be read." in shown.err
    served = load_saved_model(exported)
    assert served.pixels == PIXELS
    for row in rows:
        if row["path"].endswith("broken.jpg"):
            assert "not an image" in row["error"]
            assert row["label"] == row["probability"] == row["dark"] == ""
            continue
        (expected,) = served.predict(decode_image(row["path"], PIXELS)[None])
        assert [float(row[name]) for name in NAMES] == pytest.approx(expected.tolist(), abs=1e-6)
        assert row["label"] == NAMES[expected.argmax()]
        assert float(row["probability"]) == pytest.approx(expected.max(), abs=1e-6)
    # 3000 of 4095 is light; of 65535 it would be almost black
    assert rows[-1]["label"] == "light"


def test_json_in_a_file_whose_name_says_so(exported, folder, monkeypatch, capsys, tmp_path):
    out = tmp_path / "answers.json"
    files = [folder / "a.png", folder / "gone.png", folder / "b.jpg"]
    assert kt_tuning(monkeypatch, "predict", exported, *files, "--out", out) == 0
    assert capsys.readouterr().out == ""
    rows = json.loads(out.read_text())
    assert [row["path"] for row in rows] == list(map(str, files))
    assert [row["label"] for row in rows] == ["dark", None, "light"]
    assert "No such file" in rows[1]["error"]
    assert rows[1]["probabilities"] is None
    assert rows[0]["error"] is None
    assert rows[0]["probabilities"]["dark"] == rows[0]["probability"]


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_earlier_predictions_are_replaced(form, exported, folder, monkeypatch, tmp_path):
    out, arguments = tmp_path / "answers", ("predict", exported, folder / "[ab].*")
    for _ in range(2):
        assert kt_tuning(monkeypatch, *arguments, "--format", form, "--out", out) == 0
        assert [name in out.read_text() for name in ("a.png", "b.jpg", "z.png")] == [1, 1, 0]


def test_table_by_default(exported, folder, monkeypatch, capsys):
    assert kt_tuning(monkeypatch, "predict", exported, folder / "in") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{folder / 'in/broken.jpg'}\terror: Cannot decode")
    assert lines[1].startswith(f"{folder / 'in/d.webp'}\tlight\t0.")


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_file_name_that_is_no_unicode(form, exported, tmp_path, monkeypatch, capsys):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.new("L", (12, 16)).save(path)
    assert kt_tuning(monkeypatch, "predict", exported, path, "--format", form) == 0
    assert "caf\\udce9.png" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_terminal_gets_no_escape_sequence_of_a_file_name(
    form, exported, tmp_path, monkeypatch, capsys
):
    for name in ("\x1b[31mred.png", "\x9b2J.png"):
        Image.new("L", (12, 16)).save(tmp_path / name)
    (tmp_path / "\x1b]0;bad\x07.png").write_bytes(b"no image")
    assert kt_tuning(monkeypatch, "predict", exported, tmp_path, "--format", form) == 0
    shown = "".join(capsys.readouterr())
    assert "red.png" in shown
    assert "2J.png" in shown
    assert not set(shown) & {"\x1b", "\x9b", "\x07"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "Found no image files in"),
        (["new/in/broken.jpg"], "None of 1 image files can be read"),
        (["new", "--out", "none/answers.csv"], "there is no folder"),
        (["new", "--format", "xml"], "xml"),
        (["new", "--out", "new/in/../a.png"], "is another file, which would be lost"),
        (["new", "--out", "new/notes.txt"], "is another file, which would be lost"),
        (["new", "--out", "nothing"], "it is a folder"),
    ],
)
def test_what_cannot_be_done_is_an_error(
    exported, folder, monkeypatch, capsys, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nothing").mkdir()
    assert kt_tuning(monkeypatch, "predict", exported, *arguments) == 2
    assert message in capsys.readouterr().err
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "notes.txt").read_text() == "no image"
