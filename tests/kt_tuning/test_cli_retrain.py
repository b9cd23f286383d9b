"""`kt-tuning distill`, `bag`, `boost` and `snapshots`: results that the other verbs take."""

import dataclasses
import time

import pytest
from command_line import kt_tuning, write_photos
from shipped_run import small_model, write_definition, write_search

from hypermodels import MLP
from kt_tuning import Recipe, open_run
from kt_tuning.core.records import TrialRecord
from kt_tuning.data import load_images
from kt_tuning.ensembling import Ensemble, EnsembleRecord
from kt_tuning.ensembling.run_files import RunRecords
from kt_tuning.evaluation import held_out_uses
from kt_tuning.evaluation.test_uses import HeldOutUse, add_uses
from kt_tuning.finalize import load_final_model, load_run_data, save_final_model
from kt_tuning.report.run_summary import load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on 60 files, won by trial 1, whose test split has been looked at."""
    base = tmp_path_factory.mktemp("retrained")
    write_photos(base / "photos")
    directory = base / "run"
    data = load_images(base / "photos", progress=False)
    write_search(directory, data, "MLP", seed=0)
    fixed = {"units": 8, "optimizer": "adam"}
    write_definition(directory, MLP((8, 8, 1), 2, **fixed), Recipe(batch_size=16, augment="none"))
    space = open_run(directory).get_default_hyperparameters()
    result = directory / "trial_01" / "result.json"
    record = dataclasses.replace(TrialRecord.load(result), values=dict(space.values))
    record.save(result)
    EnsembleRecord(
        ("01",), (1.0,), "single", {"single": 0.5}, (0.6,), costs=(1234.0,), single_cost=1234.0
    ).save(directory / "ensemble.json")
    save_final_model(Ensemble([small_model()], [1.0]), directory)
    add_uses(directory, [HeldOutUse(time.time(), "evaluate", data.fingerprint, 12)])
    return directory


def check(run, verb):
    """What a verb made is read like a run directory, and the report of the run names it."""
    folder = run / verb
    records = RunRecords.load(folder)
    assert records.members, "the ensemble names trials of its own folder"
    assert load_run(folder).ensemble == records.ensemble
    test = load_run_data(folder, progress=False).test
    assert load_final_model(folder).predict_on_batch(test.images).shape == (12, 2)
    # What judges these models knows of earlier looks at their test images.
    assert held_out_uses(folder) == held_out_uses(run)
    assert verb in [one.folder for one in load_run(run).again]
    return records


def test_a_bag_is_made_once_and_kept_from_others(run, monkeypatch, capsys):
    command = ["bag", run, "--members", 2, "--no-bootstrap", "--quiet", "--epochs"]
    assert kt_tuning(monkeypatch, *command, 2) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "run        1 model, 1,234 parameters, validation log_loss 0.5000"
    assert told[1].startswith("bag        ")
    assert "each best epoch was chosen on the same images" in told[2]
    assert told[-1] == f"export     kt-tuning export {run / 'bag'}"
    assert [trial.epochs for trial in check(run, "bag").trials] == [2, 2]
    (repeats,) = load_run(run).repeats
    assert (repeats.name, repeats.trainings) == ("bag", 2)

    before = {path: path.stat().st_mtime_ns for path in run.glob("bag/trial_*/result.json")}
    assert kt_tuning(monkeypatch, *command, 2) == 0
    assert capsys.readouterr().out.splitlines() == told
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert kt_tuning(monkeypatch, *command, 3) == 2
    assert "epochs=2, now 3" in capsys.readouterr().err


def test_a_student_has_the_ensemble_for_a_teacher(run, monkeypatch):
    command = ["distill", run, "--temperature", 4, "--epochs", 1, "--quiet"]
    assert kt_tuning(monkeypatch, *command) == 0
    (student,) = check(run, "distill").trials
    assert student.values["distill/temperature"] == 4


def test_a_boosting_has_rounds(run, monkeypatch):
    assert kt_tuning(monkeypatch, "boost", run, "--rounds", 1, "--epochs", 4, "--quiet") == 0
    assert [trial.epochs for trial in check(run, "boost").trials] == [4]


def test_snapshots_share_the_epochs(run, monkeypatch):
    assert kt_tuning(monkeypatch, "snapshots", run, "--cycles", 2, "--epochs", 2, "--quiet") == 0
    assert [trial.epochs for trial in check(run, "snapshots").trials] == [1, 1]


def test_a_run_without_an_ensemble_is_refused(run, tmp_path, monkeypatch, capsys):
    data = load_run_data(run, progress=False)
    write_search(tmp_path / "bare", data)
    write_definition(tmp_path / "bare", MLP((8, 8, 1), 2))
    folder = ["--data", run.parent / "photos", "--quiet"]
    assert kt_tuning(monkeypatch, "bag", tmp_path / "bare", *folder) == 2
    assert "ensemble.json" in capsys.readouterr().err
