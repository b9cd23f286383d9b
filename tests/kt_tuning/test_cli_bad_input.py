"""Bad input to the command line is one clear message, and leaves nothing behind."""

import re
import shutil
import subprocess
import sys

import pytest
from command_line import kt_tuning, write_photos


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos")


# Options of `run` on a folder that is good, and a part of the message.
BAD_OPTIONS = [
    (["--objective", "val_acuracy"], "val_acuracy"),
    (["--strategy", "magic"], "Unknown strategy 'magic'"),
    (["--hypermodel", "resnext"], "Unknown hypermodel 'resnext'"),
    (["--fix", "filterz=3"], "no hyperparameter 'filterz'"),
    (["--fix", "filters"], "NAME=VALUE"),
    (["--track", "neptune"], "Unknown tracker 'neptune'"),
    (["--augment", "mild"], "Unknown augmentation policy 'mild'"),
    (["--time-limit", "10 bananas"], "10 bananas"),
    (["--epochs", "0"], "epochs=0"),
    (["--max-trials", "0"], "max_trials"),
    (["--workers", "many"], "Received: 'many'"),
    (["--batch-size", "0"], "batch_size"),
    (["--image-size", "0"], "image_size"),
    (["--channels", "2"], "channels"),
    (["--limit", "1"], "limit"),
    (["--ensemble-size", "0"], "at least 1"),
    (["--out", "x" * 256], "The path of the run directory is too long: 'xxx"),
    (["--out", "run/" * 1024], "The path of the run directory is too long: 'run/run"),
]


def no_folder(base, photos):
    return ["run", base / "nowhere"], "nowhere"


def a_file(base, photos):
    return ["run", photos / "lying/00.png"], "00.png"


def empty_folder(base, photos):
    (base / "empty").mkdir()
    return ["run", base / "empty"], "empty"


def one_class(base, photos):
    shutil.rmtree(photos / "standing")
    return ["run", photos], "class"


def empty_class(base, photos):
    (photos / "unheard").mkdir()
    return ["run", photos], "unheard"


def class_too_small(base, photos):
    (photos / "rare").mkdir()
    shutil.copy(photos / "lying/00.png", photos / "rare")
    return ["run", photos], "rare"


def corrupt_files(base, photos):
    for path in list((photos / "lying").iterdir())[:5]:
        path.write_bytes(b"not an image")
    return ["run", photos], "5 of 60"


def unknown_narrowed_hyperparameter(base, photos):
    (base / "space.yaml").write_text("filterz: [16, 32]")
    return ["run", photos, "--hyperparameters", base / "space.yaml"], "no hyperparameter 'filterz'"


def unknown_option_in_the_configuration(base, photos):
    (base / "config.yaml").write_text("epoch: 3")
    return ["run", photos, "--config", base / "config.yaml"], "no option 'epoch'"


def out_is_a_file(base, photos):
    (base / "taken").write_text("")
    return ["run", photos, "--out", base / "taken"], "taken"


def not_a_saved_model(base, photos):
    return ["predict", photos, photos / "lying/00.png"], "not an exported model"


def not_a_run(base, photos):
    return ["report", photos], "photos"


BAD_FILES = [
    no_folder,
    a_file,
    empty_folder,
    one_class,
    empty_class,
    class_too_small,
    corrupt_files,
    unknown_narrowed_hyperparameter,
    unknown_option_in_the_configuration,
    out_is_a_file,
    not_a_saved_model,
    not_a_run,
]


@pytest.mark.parametrize("case", BAD_FILES, ids=lambda case: case.__name__)
def test_bad_files_are_one_clear_message(case, tmp_path, photos, monkeypatch, capsys):
    check_refused(*case(tmp_path, photos), tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS, ids=str)
def test_bad_options_are_one_clear_message(options, message, tmp_path, photos, monkeypatch, capsys):
    check_refused(["run", photos, *options], message, tmp_path, monkeypatch, capsys)


def check_refused(arguments, message, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    if arguments[0] == "run" and "--hypermodel" not in arguments:
        arguments += ["--hypermodel", "convnet"]
    assert kt_tuning(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert re.search(r"^error: ", error, re.MULTILINE)
    assert message in error
    assert "Traceback" not in error
    assert not (folder / "runs").exists(), "a refused command has left something behind"


def test_an_error_shows_escape_sequences_of_a_name_instead_of_sending_them(
    monkeypatch, tmp_path, capsys
):
    assert kt_tuning(monkeypatch, "run", tmp_path / "\x1b[31mred") == 2
    shown = capsys.readouterr().err
    assert "\\x1b[31mred" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_change_neither_the_status_nor_a_file(closed, tmp_path):
    command = f"{sys.executable} -m kt_tuning.cli config {closed}"
    assert subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path).returncode == 0
    command = f"{sys.executable} -m kt_tuning.cli run nowhere {closed}"
    assert subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path).returncode == 2
    assert not list(tmp_path.iterdir())
