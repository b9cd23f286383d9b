"""The code of README and guides runs, page by page, in a folder with photos and a finished run."""

from __future__ import annotations

import re
import shlex
import shutil
import traceback
from pathlib import Path

import matplotlib
import pytest
import tensorflow as tf
import typer
from documented_pages import PAGES, ROOT, blocks_of, python_blocks, runnable, write_photos
from PIL import Image

import kt_tuning as kt
from hypermodels import ConvNet
from kt_tuning.cli.app import app

matplotlib.use("Agg")
WITH_CODE = [page for page in PAGES if python_blocks(page)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """The files that the pages name: photos, a table of them, and the finished run of a search."""
    folder = tmp_path_factory.mktemp("documented")
    write_photos(folder / "photos")
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in folder.rglob("*.png")]
    (folder / "labels.csv").write_text("\n".join(["file,animal", *rows]))
    for number, path in enumerate(sorted(folder.glob("photos/*/*.png"))):
        copy = folder / "patients" / path.parent.name / f"patient{number // 2}-{path.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    Image.open(folder / "photos/cat/00.png").save(folder / "cat.jpg")
    data = kt.load_images(folder / "photos", image_size=8, progress=False)
    hypermodel = ConvNet(data.input_shape, data.classes, stages=1, blocks=1, filters=16)
    place = {"directory": folder / "runs", "project_name": "photos"}
    tuner = kt.Tuner(hypermodel, max_trials=2, epochs=1, **place)
    tuner.search(data, verbose=False)
    tuner.ensemble()
    tuner.export()
    (folder / "runs/photos/config.yaml").write_text("{}")
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings(r"ignore:\s*Warning. tf\.lite\.Interpreter:UserWarning")
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_of_a_page_runs(page, workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(workspace, tmp_path / "work"))
    names = {"__name__": "__main__"}
    for block in python_blocks(page):
        code = runnable(block, page)
        if block.language == "python no-run":
            continue
        try:
            exec(code, names)
        except Exception:
            pytest.fail(f"{page}, line {block.line}:\n{traceback.format_exc()}")


def command_lines(page: Path) -> list[list[str]]:
    """Return the arguments of each `kt-tuning` in the shell blocks of a page."""
    lines = [
        line
        for block in blocks_of(page)
        if block.language == "bash"
        for line in block.code.replace("\\\n", " ").splitlines()
    ]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("kt-tuning ")]


def test_the_command_line_accepts_each_documented_command(workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    found = [arguments for page in PAGES for arguments in command_lines(page)]
    assert len(found) > 30
    for arguments in found:
        command, rest = typer.main.get_command(app), list(arguments)
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        command.make_context(command.name, rest)


def test_the_request_to_tensorflow_serving_fits_an_export(workspace):
    text = (ROOT / "docs/guides/serving.md").read_text(encoding="utf-8")
    (name,) = re.findall(r'"signature_name": "(\w+)"', text)
    (answer,) = re.findall(r"`\{(\"probabilities\".+?)\}`", text)
    served = tf.saved_model.load(workspace / "runs/photos/export/1").signatures[name]
    # With a single input, an instance is its value; {"b64": ...} is a string of bytes.
    (dtype,) = [spec.dtype for spec in served.structured_input_signature[1].values()]
    assert dtype is tf.string
    assert set(re.findall(r'"(\w+)":', answer)) == set(served.structured_outputs)
    # TensorFlow Serving would encode an output whose name ends in "_bytes".
    assert not [output for output in served.structured_outputs if output.endswith("_bytes")]


def without_code(page: Path) -> str:
    """Return the text of a page of Markdown without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Return the addresses of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_links_inside_the_repository_lead_somewhere():
    pages = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    dead = []
    for page in pages:
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", without_code(page)):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                dead.append(f"{page.relative_to(ROOT)}: {link}")
    assert dead == []


def test_the_readme_is_one_page():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900
