from __future__ import annotations

import pytest
from shipped_run import write_search, write_winner

from kt_tuning.core.errors import StorageError
from kt_tuning.evaluation import Scores
from kt_tuning.finalize import RunRecords


def test_everything_is_read(run_directory):
    records = RunRecords.load(run_directory)
    assert records.name == "photos"
    assert [trial.trial_id for trial in records.trials] == ["00", "01", "02"]
    assert [(t.trial_id, weight, heat) for t, weight, heat in records.members] == [
        ("00", 0.25, 1.5),
        ("01", 0.75, 0.8),
    ]
    assert records.scores["accuracy"] == 0.75
    provenance = records.provenance()
    assert provenance["trials"]["01"]["values"] == {"filters": 32, "activation": "relu"}
    assert provenance["search"]["seed"] == 7
    assert provenance["ensemble"]["solver"] == "convex"
    assert provenance["scores"]["images"] == 12


def test_stages_that_have_not_run_are_missing(tmp_path, stripes):
    write_search(tmp_path / "run", stripes)
    records = RunRecords.load(tmp_path / "run")
    assert (records.ensemble, records.scores, records.correction) == (None, None, None)
    assert records.members == []
    assert records.provenance()["scores"] is None


def test_scores_of_an_earlier_winner_are_left_out(run_directory):
    path = run_directory / "ensemble.json"
    path.write_text(path.read_text().replace("convex", "greedy"))
    assert RunRecords.load(run_directory).scores is None
    assert Scores.load(run_directory / "scores.json").images == 12


def test_members_from_elsewhere_have_no_record_here(run_directory, tmp_path, stripes):
    path = run_directory / "ensemble.json"
    path.write_text(path.read_text().replace('"00"', '"last_week/00"'))
    assert [trial.trial_id for trial, _, _ in RunRecords.load(run_directory).members] == ["01"]


def test_a_folder_without_a_search_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"search\.json"):
        RunRecords.load(tmp_path)
    write_winner(tmp_path)
    with pytest.raises(StorageError, match=r"search\.json"):
        RunRecords.load(tmp_path)
