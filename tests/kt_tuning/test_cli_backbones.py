"""`kt-tuning backbones`, and `run --backbone`."""

import json

import keras
import pytest
from command_line import kt_tuning, write_photos

from hypermodels.pretrained import PRETRAINED


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("KT_TUNING_BACKBONES", str(tmp_path / "backbones"))
    monkeypatch.setattr("hypermodels.download.unreachable", lambda url: "no such host")
    (tmp_path / "backbones").mkdir()
    return tmp_path / "backbones"


def save_tiny(path):
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
    keras.Sequential([keras.Input((8, 8, 3)), *layers]).save(path)


def test_the_list_says_what_is_at_hand_and_what_brings_the_others(monkeypatch, capsys, folder):
    (folder / "leaves.tf.keras").write_bytes(b"damaged")
    assert kt_tuning(monkeypatch, "backbones") == 0
    lines = capsys.readouterr().out.splitlines()
    (lite0,) = [line.split() for line in lines if line.startswith("EfficientNetLite0")]
    assert lite0 == [
        "EfficientNetLite0",
        "3.4",
        "M",
        "17",
        "384",
        "M",
        "75.1%",
        "Apache-2.0",
        "available",
    ]
    (dense,) = [line.split() for line in lines if line.startswith("DenseNet121")]
    assert " ".join(dense).endswith("BSD-3-Clause kt-tuning backbones fetch DenseNet121")
    (own,) = [line for line in lines if line.startswith("leaves")]
    # The folder's name may have cut the end off.
    assert "cannot be read" in own
    # Whoever reads it through a pipe wants a network a line.
    assert len([line for line in lines if line.startswith(tuple(PRETRAINED))]) == len(PRETRAINED)


def test_as_json_it_has_every_detail(monkeypatch, capsys, folder):
    save_tiny(folder / "leaves.tf.keras")
    (folder / "leaves.json").write_text('{"licence": "MIT", "data": "leaves"}')
    assert kt_tuning(monkeypatch, "backbones", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == [*PRETRAINED, "leaves"]
    row = PRETRAINED["EfficientNetLite0"]
    assert rows["EfficientNetLite0"]["digest"] == f"sha256:{row.digest}"
    assert not rows["MobileNetV2"]["at_hand"]
    told = ("at_hand", "values", "licence", "data")
    assert [rows["leaves"][name] for name in told] == [True, "tf", "MIT", "leaves"]


def test_a_download_that_cannot_be_had_is_one_line(monkeypatch, capsys):
    assert kt_tuning(monkeypatch, "backbones", "fetch", "mobilenetv2") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: MobileNetV2 cannot be downloaded from https://")


def test_what_is_at_hand_needs_no_download(monkeypatch, capsys):
    assert kt_tuning(monkeypatch, "backbones", "fetch", "EfficientNetLite0") == 0
    assert capsys.readouterr().out == "EfficientNetLite0 is available.\n"


def test_a_named_network_is_missed_before_the_images_are_read(monkeypatch, capsys, tmp_path):
    arguments = ["run", tmp_path / "nowhere", "--hypermodel", "linearprobe"]
    assert kt_tuning(monkeypatch, *arguments, "--backbone", "MobileNetV2") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: MobileNetV2 cannot be downloaded")


def test_a_backbone_is_refused_where_no_family_has_one(monkeypatch, capsys, tmp_path, folder):
    save_tiny(folder / "leaves.tf.keras")
    photos = write_photos(tmp_path / "photos")
    options = ["--out", tmp_path / "run", "--hypermodel", "mlp", "--backbone", "leaves", "--quiet"]
    assert kt_tuning(monkeypatch, "run", photos, *options) == 2
    assert "A backbone is for finetune or linearprobe." in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_without_a_broken_network_and_names_the_one_it_has(
    monkeypatch, capsys, caplog, tmp_path, folder
):
    monkeypatch.setattr("hypermodels.backbones.PRETRAINED", {})
    (folder / "broken.tf.keras").write_bytes(b"damaged")
    save_tiny(folder / "leaves.tf.keras")
    (folder / "leaves.json").write_text('{"licence": "MIT", "data": "leaves"}')
    photos = write_photos(tmp_path / "photos")
    options = ["--out", tmp_path / "run", "--hypermodel", "linearprobe", "--max-trials", "1"]
    options += ["--workers", "1", "--quiet"]
    assert kt_tuning(monkeypatch, "run", photos, *options) == 0, capsys.readouterr().err
    (said,) = [message for message in caplog.messages if "broken" in message]
    assert "cannot be read as a Keras model" in said
    (trial,) = (tmp_path / "run").glob("trial_*/result.json")
    origin = json.loads(trial.read_text())["backbone"]
    assert (origin["name"], origin["licence"], origin["data"]) == ("leaves", "MIT", "leaves")
    export = tmp_path / "run" / "export" / "1"
    (provenance,) = json.loads((export / "provenance.json").read_text())["model"]["trials"].values()
    assert provenance["backbone"] == origin
    assert f"digest: {origin['digest']}" in (export / "MODEL_CARD.md").read_text()
    assert origin["digest"] in (tmp_path / "run" / "report.html").read_text()


@pytest.fixture
def begin(monkeypatch, tmp_path, caplog):
    """Return a function that starts `run` without any network of the table, up to its search."""

    def stopped(tuner, data, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("kt_tuning.pipeline.make_tuner.PipelineTuner.search", stopped)
    monkeypatch.setattr("hypermodels.backbones.PRETRAINED", {})
    photos = write_photos(tmp_path / "photos")

    def run(*options):
        with caplog.at_level("INFO"):
            code = kt_tuning(monkeypatch, "run", photos, "--out", tmp_path / "run", *options)
        return code, caplog.messages

    return run


def save_damaged(folder):
    (folder / "leaves.tf.keras").write_bytes(b"damaged")


def save_another(folder):
    save_tiny(folder / "leaves.tf.keras")
    (folder / "leaves.json").write_text(json.dumps({"sha256": "0" * 64}))


@pytest.mark.parametrize(
    ("put", "options", "said"),
    [
        (None, (), "no pre-trained network: networks trained from scratch"),
        (save_damaged, (), "leaves is not used: "),
        (save_damaged, ("--backbone", "leaves"), "The search continues without it."),
        (save_another, (), "is damaged or another version"),
        (save_another, ("--backbone", "leaves"), "The search continues without it."),
        (None, ("--backbone", "MobileNetV2"), "no such host. Try again with a network"),
    ],
)
def test_without_a_network_the_search_goes_on_and_one_line_says_why(
    put, options, said, begin, folder
):
    if put is not None:
        put(folder)
    code, messages = begin(*options)
    assert code == 130
    assert len([message for message in messages if said in message]) == 1
    assert all("\n" not in message for message in messages)
    assert any(message.startswith("Searching convnet: ") for message in messages)


def test_a_network_that_is_named_is_used_where_none_is_at_hand(begin, tmp_path):
    save_tiny(tmp_path / "mine.tf.keras")
    code, messages = begin("--backbone", tmp_path / "mine.tf.keras")
    assert code == 130
    assert any(message.startswith("Searching linearprobe") for message in messages)


def test_a_name_that_no_network_has_is_refused(begin, capsys):
    code, _ = begin("--backbone", "MobilNetV2")
    assert code == 2
    assert "Did you mean 'MobileNetV2'?" in capsys.readouterr().err
