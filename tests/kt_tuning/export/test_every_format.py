"""What holds for every row of the table of formats."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os

import keras
import numpy as np
import pytest
from export_models import CLASS_NAMES, PIXELS, make_card, random_images

from kt_tuning.core.errors import DataError, ExportError, MissingExtraError, OptionError
from kt_tuning.ensembling import Ensemble
from kt_tuning.ensembling.combination import Combination
from kt_tuning.export import FORMATS, export_model, format_named
from kt_tuning.export.export_source import predict_all

# Bright on one side, so that they are told apart.
IMAGES = random_images(40) // np.repeat([1, 8], 6)[:, None].astype(np.uint8)
IMAGES[::2] = IMAGES[::2, :, ::-1]
FLOAT32 = [name for name in FORMATS if name not in ("litert_float16", "litert_int8")]


def needs(name):
    """Skip where a format's packages are missing; CI has them all."""
    missing = [p for p in FORMATS[name].packages if importlib.util.find_spec(p) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}, of the extra {FORMATS[name].extra!r}")


@pytest.fixture(scope="module")
def tempered() -> keras.Model:
    """Two members, one of them at a temperature that shows."""
    return Ensemble([member(1), member(2)], Combination((0.7, 0.3), (4.0, 1.0))).to_keras()


def member(seed) -> keras.Model:
    """A model with one large kernel, beside which in a file nothing else counts.

    TensorFlow would not take some of its names.
    """
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(PIXELS.shape, dtype="uint8", name="_image")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dense(400, activation="relu", name="_hidden")(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


@pytest.fixture(scope="module")
def exports(tempered, tmp_path_factory):
    """A function that exports in a format, once."""
    made = {}
    base = tmp_path_factory.mktemp("formats")

    def export(name):
        needs(name)
        if name not in made:
            made[name] = export_model(
                tempered,
                base / name / "1",
                format=name,
                card=make_card(),
                provenance={"from": "here"},
                check_images=IMAGES,
                examples=IMAGES,
            )
        return made[name]

    return export


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_is_read_as_the_model(name, exports, tempered):
    exported = exports(name)
    row = FORMATS[name]
    assert exported.format == name
    assert exported.check.images == 40
    assert exported.check.difference <= row.tolerance.difference
    served = predict_all(row.read(exported.path), IMAGES)
    assert (served.dtype, served.shape) == (np.float32, (40, 3))
    expected = tempered.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(served, expected, rtol=0, atol=row.tolerance.difference)


@pytest.mark.parametrize("name", FORMATS)
def test_the_reader_takes_any_number_of_images(name, exports):
    predict = FORMATS[name].read(exports(name).path)
    together = predict(IMAGES[:3])
    one_by_one = np.concatenate([predict(IMAGES[i : i + 1]) for i in range(3)])
    atol = 0.05 if name == "litert_int8" else 1e-5
    np.testing.assert_allclose(together, one_by_one, rtol=0, atol=atol)


@pytest.mark.parametrize("name", FORMATS)
def test_labels_and_provenance_lie_beside_it(name, exports):
    folder = exports(name).path
    assert (folder / "labels.txt").read_text(encoding="utf-8").split("\n")[:3] == [*CLASS_NAMES]
    content = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    assert content["format"] == name
    assert content["model"] == {"from": "here"}
    assert content["numerical_check"]["images"] == 40
    for package in FORMATS[name].packages:
        assert content["versions"][package]
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


def test_the_input_of_openvino_has_the_models_name(exports, tempered):
    needs("openvino")
    import openvino

    (pixels,) = openvino.Core().read_model(exports("openvino").path / "model.xml").inputs
    assert pixels.get_any_name() == tempered.inputs[0].name


@pytest.mark.parametrize("name", FLOAT32)
def test_the_temperature_is_inside(name, exports):
    served = predict_all(FORMATS[name].read(exports(name).path), IMAGES)
    cooled = member(1).predict(IMAGES, verbose=0) ** (1 / 4)
    cooled /= cooled.sum(axis=1, keepdims=True)
    expected = 0.7 * cooled + 0.3 * member(2).predict(IMAGES, verbose=0)
    np.testing.assert_allclose(served, expected, rtol=0, atol=1e-5)


def test_int8_is_a_quarter_and_float16_half_the_size(exports):
    whole, half, quarter = (
        (exports(name).path / "model.tflite").stat().st_size
        for name in ("litert", "litert_float16", "litert_int8")
    )
    assert half / whole == pytest.approx(1 / 2, abs=0.03)
    assert quarter / whole == pytest.approx(1 / 4, abs=0.03)


def test_an_export_that_is_off_leaves_nothing(tempered, tmp_path, monkeypatch):
    row = FORMATS["keras"]
    off = dataclasses.replace(row, read=lambda folder: lambda images: 1 - row.read(folder)(images))
    monkeypatch.setitem(FORMATS, "keras", off)
    with pytest.raises(ExportError, match=r"\(keras\) is not the trained one"):
        export_model(tempered, tmp_path / "1", format="keras", card=make_card())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_noticed_before_anything_is_written(tempered, tmp_path, monkeypatch):
    row = dataclasses.replace(FORMATS["onnx"], packages=("no_such_package",))
    monkeypatch.setitem(FORMATS, "onnx", row)
    with pytest.raises(MissingExtraError, match=r"pip install 'kt-tuning\[onnx\]'"):
        export_model(tempered, tmp_path / "1", format="onnx", card=make_card())
    assert list(tmp_path.iterdir()) == []


def test_int8_without_examples_is_refused(tempered, tmp_path):
    with pytest.raises(OptionError, match="training images as `examples`"):
        export_model(tempered, tmp_path / "1", format="litert_int8", card=make_card())
    with pytest.raises(DataError, match="examples should be uint8"):
        export_model(
            tempered,
            tmp_path / "1",
            format="litert_int8",
            card=make_card(),
            examples=IMAGES / 255,
        )


def test_onnx_takes_an_exact_gelu(tmp_path):
    needs("onnx")
    inputs = keras.Input(PIXELS.shape, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.ops.gelu(keras.layers.Dense(8)(x), approximate=False)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    path, card = tmp_path / "1", make_card()
    found = export_model(model, path, format="onnx", card=card, check_images=IMAGES)
    assert found.check.agreement == 1


def test_what_a_converter_says_is_told(tempered, tmp_path, monkeypatch):
    def write(source, folder):
        raise RuntimeError("Select TensorFlow op(s)\nand a stack")

    row = dataclasses.replace(FORMATS["litert"], write=write)
    monkeypatch.setitem(FORMATS, "litert", row)
    with pytest.raises(ExportError, match=r"'litert'.*RuntimeError: Select TensorFlow op\(s\) Exp"):
        export_model(tempered, tmp_path / "1", format="litert", card=make_card())
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_named():
    with pytest.raises(OptionError, match=r"'caffe'\. Known: saved_model, keras, litert"):
        format_named("caffe")


def test_openvino_reports_to_nobody(tempered, tmp_path, monkeypatch):
    needs("openvino")
    import openvino

    monkeypatch.delenv("CI", raising=False)
    seen = []

    def convert(graph):
        seen.append(os.environ.get("CI"))
        raise ZeroDivisionError("of nothing\nat line 3")

    monkeypatch.setattr(openvino, "convert_model", convert)
    told = r"'openvino' does not take this model: .* ZeroDivisionError: of nothing Export another"
    with pytest.raises(ExportError, match=told):
        export_model(tempered, tmp_path / "1", format="openvino", card=make_card())
    assert seen == ["true"]
    assert "CI" not in os.environ


def test_recurrent_models_are_unrolled_where_there_are_no_loops(tmp_path):
    inputs = keras.Input(PIXELS.shape, dtype="uint8")
    x = keras.layers.Reshape((PIXELS.height, -1))(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.GRU(6)(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    exported = export_model(
        model, tmp_path / "1", format="litert", card=make_card(), check_images=IMAGES
    )
    assert exported.check.difference <= FORMATS["litert"].tolerance.difference
    assert not model.layers[-2].unroll
