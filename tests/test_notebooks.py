"""The notebooks run from top to bottom, with a small budget."""

import importlib.util
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("QUICKSTART_TRIALS", "1")
    monkeypatch.setenv("QUICKSTART_EPOCHS", "2")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(", verbose=False", "")
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": tmp_path}}).execute()
    assert list(tmp_path.glob("runs/*/report.html"))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    # Without ipywidgets rich would warn at each refresh of the live view, and tqdm once.
    assert "ipywidgets" not in said
    if importlib.util.find_spec("ipywidgets") is None:
        assert said.count("trial 0: val_accuracy") == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_with_its_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    # Messages of TensorFlow about the machine tell a reader nothing.
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
