"""`kt-tuning run` on a run directory that holds another search, and what a refusal leaves."""

import json
import shutil
from types import SimpleNamespace

import pytest
from command_line import kt_tuning, write_photos
from PIL import Image

from kt_tuning.pipeline import job

BASE = ["--hypermodel", "mlp", "--fix", "optimizer=adam", "--max-trials", "1"]
BASE += ["--epochs", "1", "--augment", "none", "--batch-size", "16", "--workers", "1", "--quiet"]


def finished(tuner, data, out, options, clock):
    """Stands for what comes after the search, which takes longer."""
    return SimpleNamespace(scores="", correction=None, export="", report="", warning=None)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A folder with images and with the run that was searched on them."""
    base = tmp_path_factory.mktemp("searched")
    write_photos(base / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "_finalize", finished)
        assert (
            kt_tuning(patch, "run", base / "photos", "--out", base / "runs" / "photos", *BASE) == 0
        )
    return base


@pytest.fixture
def base(searched, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "_finalize", finished)
    shutil.copytree(searched / "runs", tmp_path / "runs")
    shutil.copytree(searched / "photos", tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def without(option, *replacement):
    """The command with another value of an option, or none."""
    place = BASE.index(option)
    return [*BASE[:place], *replacement, *BASE[place + 2 :]]


def contents(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in directory.rglob("*")
    }


REFUSED = {
    "fixed otherwise": (
        [*BASE, "--fix", "optimizer=sgd"],
        "optimizer: was fixed at adam, now fixed at sgd",
    ),
    "fixed": ([*BASE, "--fix", "norm=batch"], "norm: was searched from"),
    "not fixed": (without("--fix"), "optimizer: was fixed at adam, now searched from"),
    "family": (
        without("--hypermodel", "--hypermodel", "convnet"),
        "hypermodel: was MLP, now ConvNet",
    ),
    "families": ([*BASE, "--hypermodel", "vit"], "hypermodel: was MLP, now Families"),
    "objective": ([*BASE, "--objective", "val_loss"], "objectives: was"),
    "augment": (without("--augment", "--augment", "light"), "augment of the recipe: was none"),
    "seed": ([*BASE, "--seed", "1"], "other images in the splits train, validation, test"),
    "size": ([*BASE, "--image-size", "16"], "height, width and channels: was (8, 8, 1), now (16"),
    "folds": ([*BASE, "--folds", "3"], "folds: was 1, now 3"),
    "limit": ([*BASE, "--max-parameters", "9999"], "limits: was"),
    "normalize": ([*BASE, "--normalize"], "normalization of the hypermodel: was None"),
    "mistyped objective": ([*BASE, "--objective", "acuracy"], "Unknown objective 'acuracy'"),
    "mistyped workers": (without("--workers", "--workers", "many"), "Received: 'many'"),
    "mistyped limit": ([*BASE, "--time-limit", "9 bananas"], "9 bananas"),
}


@pytest.mark.parametrize("change", REFUSED)
def test_another_search_is_refused_and_leaves_every_file_as_it_was(
    change, base, monkeypatch, capsys
):
    arguments, message = REFUSED[change]
    before = contents(base)
    # The default place is runs/photos.
    assert kt_tuning(monkeypatch, "run", "photos", "--out", "runs/photos", *arguments) == 2
    assert message in capsys.readouterr().err
    assert contents(base) == before


def test_the_refusal_names_the_options_of_the_command_line(base, monkeypatch, capsys):
    arguments = [*BASE, "--fix", "optimizer=sgd"]
    assert kt_tuning(monkeypatch, "run", "photos", "--out", "runs/photos", *arguments) == 2
    told, _, _ = capsys.readouterr().err.partition("In Python")
    assert "(--out)" in told
    assert "(--overwrite)" in told
    assert "=)" not in told


def test_other_images_are_refused(base, monkeypatch, capsys):
    Image.new("L", (8, 8)).save(base / "photos" / "lying" / "one_more.png")
    before = contents(base)
    assert kt_tuning(monkeypatch, "run", "photos", "--out", "runs/photos", *BASE) == 2
    assert "other data" in capsys.readouterr().err
    assert contents(base) == before


@pytest.mark.parametrize(
    "more",
    [["--epochs", "2"], ["--strategy", "random"], ["--batch-size", "32"], ["--track", "csv"]],
)
def test_more_of_the_same_search_goes_on(more, base, monkeypatch):
    first = (base / "runs/photos/trial_0/result.json").read_bytes()
    arguments = [*without("--max-trials", "--max-trials", "2"), *more]
    assert kt_tuning(monkeypatch, "run", "photos", "--out", "runs/photos", *arguments) == 0
    assert (base / "runs/photos/trial_0/result.json").read_bytes() == first
    assert len(list(base.glob("runs/photos/trial_*/result.json"))) == 2
    assert json.loads((base / "runs/photos/options.json").read_text())["max_trials"] == 2


def test_overwrite_begins_another_search(base, monkeypatch):
    (base / "runs/photos/notes.txt").write_text("mine")
    arguments = ["--overwrite", *without("--augment", "--augment", "light")]
    assert kt_tuning(monkeypatch, "run", "photos", "--out", "runs/photos", *arguments) == 0
    assert "augment: light" in (base / "runs/photos/config.yaml").read_text()
    assert (base / "runs/photos/notes.txt").read_text() == "mine"


@pytest.mark.parametrize("out", ["photos", ".", "photos/lying"])
def test_overwrite_never_deletes_images(out, base, monkeypatch, capsys):
    before = contents(base)
    assert kt_tuning(monkeypatch, "run", "photos", "--out", out, "--overwrite", *BASE) == 2
    told = capsys.readouterr().err
    assert "nothing in it is deleted" in told or "inside the folder of images" in told
    assert contents(base) == before
