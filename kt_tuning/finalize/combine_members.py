"""The ensemble of the members in a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kt_tuning.data import ImageData
from kt_tuning.ensembling import Candidates, Ensemble
from kt_tuning.run.layout import ENSEMBLE


def combine(
    candidates: Candidates, data: ImageData, directory: str | Path, *, solver: str = "auto"
) -> Ensemble:
    """Combine the members that were trained in a folder, and write its `ensemble.json`.

    Args:
        candidates: Result of `bag`, `boost` or `snapshots`.
        data: The data that they were trained on.
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
