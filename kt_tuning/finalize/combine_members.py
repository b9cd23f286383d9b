"""The members in a folder, as the ensemble of that folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kt_tuning.data import ImageData
from kt_tuning.ensembling import Candidates, Ensemble

ENSEMBLE = "ensemble.json"


def combine(
    candidates: Candidates, data: ImageData, directory: str | Path, *, solver: str = "auto"
) -> Ensemble:
    """Combine the members that were trained in a folder, and note there how.

    What reads a run directory then reads the folder like one.

    Args:
        candidates: What `bag`, `boost` or `snapshots` returned.
        data: What they were trained on.
        directory: The folder.
        solver: "auto" or a name in `SOLVERS`.

    Raises:
        OptionError: on an unknown solver.
    """
    ensemble = Ensemble.from_members(candidates.members, candidates.labels, solver=solver)
    assert ensemble.record is not None
    # In their own folder members are called as their trials are.
    names = tuple(name.rpartition("/")[2] for name in ensemble.record.trial_ids)
    ensemble.record = dataclasses.replace(ensemble.record, trial_ids=names)
    ensemble.card = data.card
    ensemble.provenance = {
        "trials": {
            member.name.rpartition("/")[2]: dict(member.configuration or {})
            for member in candidates.members
        }
    }
    ensemble.record_model().save(Path(directory) / ENSEMBLE)
    return ensemble
