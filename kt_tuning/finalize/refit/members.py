"""The trials whose configurations a refit trains again."""

from __future__ import annotations

import dataclasses

from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.errors import OptionError, SearchError
from kt_tuning.finalize.refit.options import AUTO, BEST
from kt_tuning.records import TrialRecord
from kt_tuning.run import Run
from kt_tuning.run.layout import ENSEMBLE
from kt_tuning.search import Tuner

SINGLE = "single"


def choose_members(tuner: Tuner, members: str) -> tuple[EnsembleRecord, list[TrialRecord]]:
    """Return the trials whose configurations are trained again, and how they are combined.

    Args:
        tuner: Has searched.
        members: "auto", "ensemble" or "best", see `RefitOptions`.

    Returns:
        The combination and its members, in its order. What is known of the models before they
        were trained again is not in it.

    Raises:
        OptionError: if the ensemble has members that are no trials of this run.
        SearchError: if no trial has completed, or there is no ensemble.
    """
    objective = tuner.objectives[0]
    run = Run(tuner.run_directory)
    trials = run.best_trials()
    if not trials:
        raise SearchError("No trial has completed yet: call `search` first.")
    record = run.read(EnsembleRecord, ENSEMBLE)
    if members == BEST or (members == AUTO and record is None):
        best = trials[0]
        alone = EnsembleRecord(
            trial_ids=(best.trial_id,),
            weights=(1.0,),
            solver=SINGLE,
            cross_fitted={},
            member_scores=(best.metrics[objective.name],),
            temperatures=(1.0,),
        )
        return alone, [best]
    if record is None:
        raise SearchError(
            f"{tuner.run_directory} has no ensemble yet: call `tuner.ensemble()` first, or refit "
            f"members={BEST!r}."
        )
    known = {trial.trial_id: trial for trial in trials}
    if strange := [name for name in record.trial_ids if name not in known]:
        raise OptionError(
            f"The ensemble should have trials of this run alone. Received: {', '.join(strange)}. "
            f"Refit members={BEST!r}, or combine the run's own trials: `tuner.ensemble()`."
        )
    unmeasured = dataclasses.replace(
        record,
        cross_fitted={},
        errors={},
        diversity=None,
        reliability=None,
        folds=1,
        sharpening=1.0,
    )
    return unmeasured, [known[name] for name in record.trial_ids]
