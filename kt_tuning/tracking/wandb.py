"""Tracker for Weights & Biases: search and trials are runs of one group."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Literal

from kt_tuning.core.errors import require_extra
from kt_tuning.core.records import TrialRecord
from kt_tuning.tracking.tracker import (
    Epoch,
    SearchOutcome,
    TrackedSearch,
    TrackedTrial,
    Tracker,
    best_metrics,
)

TIMEOUT = 20.0
"""Seconds that a run may take to start, and to upload the rest when it ends."""


class WandbTracker(Tracker):
    """Logs to Weights & Biases, or with WANDB_MODE=offline to `wandb/` in the run directory.

    The search is a run with the job type "search", and each trial a run with the job type "trial",
    all in one group. The run of a trial has its hyperparameters as config, the metrics of every
    epoch as history, and those at the best epoch in its summary. At the end the model of the best
    trial is logged as an artifact of the run of the search. `wandb sync` uploads offline runs.

    Args:
        project: Name of the project; WANDB_PROJECT or the search's name if None.
        entity: User or team; W&B's own setting if None.
        mode: "online" or "offline"; WANDB_MODE, or "online", if None.

    Raises:
        MissingExtraError: without the package wandb.
    """

    name = "wandb"
    takes_models = True

    def __init__(
        self,
        project: str | None = None,
        *,
        entity: str | None = None,
        mode: Literal["online", "offline"] | None = None,
    ) -> None:
        require_extra("The tracker 'wandb'", "wandb")
        # Imported here and not in the background thread, where imports may deadlock.
        import wandb  # noqa: F401

        self._project = project
        self._entity = entity
        self._mode = mode

    def search_began(self, search: TrackedSearch) -> None:
        """Start or resume the search's run."""
        self._search = search
        self._trials: dict[str, Any] = {}
        self._run = self._begin("search", search.key, search.name, search.record.to_json())

    def trial_began(self, trial: TrackedTrial, *, logged: int) -> None:
        """Start or resume the trial's run."""
        key = f"{self._search.key}-{trial.trial_id}"
        self._trials[trial.trial_id] = self._begin(
            "trial", key, f"{self._search.name} trial {trial.number}", trial.values
        )

    def epoch(self, trial: TrackedTrial, epoch: Epoch) -> None:
        """Log the metrics."""
        self._trials[trial.trial_id].log(epoch.metrics, step=epoch.step, commit=True)

    def trial_ended(self, trial: TrackedTrial, record: TrialRecord) -> None:
        """Log the result of the trial, and end its run."""
        run = self._trials[trial.trial_id]
        run.config.update(record.values, allow_val_change=True)
        run.summary.update(_outcome(record))
        run.finish(exit_code=0 if record.usable else 1)
        del self._trials[trial.trial_id]

    def search_ended(self, outcome: SearchOutcome) -> None:
        """Log the best trial, and its model, and end all runs."""
        for run in self._trials.values():
            run.finish(exit_code=1)
        self._trials.clear()
        if outcome.best is not None:
            self._run.summary.update(_outcome(outcome.best))
        if outcome.model is not None:
            self._log_model(outcome.model)
        self._run.finish(exit_code=0 if outcome.finished else 1)

    def _begin(self, kind: str, key: str, name: str, config: dict[str, Any]) -> Any:
        import wandb

        return wandb.init(
            project=self._project or os.environ.get("WANDB_PROJECT") or self._search.name,
            entity=self._entity,
            mode=self._mode,
            group=f"{self._search.name}-{self._search.key}",
            job_type=kind,
            id=key,
            name=name,
            config=config,
            dir=str(self._search.directory),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=TIMEOUT,
                login_timeout=1,
                finish_timeout=TIMEOUT,
                disable_git=True,
                save_code=False,
                x_disable_stats=True,
            ),
        )

    def _log_model(self, model: Any) -> None:
        import wandb

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            model.save(path)
            artifact = wandb.Artifact(f"model-{self._search.key}", type="model")
            # Copied, as the file is removed before it is uploaded.
            artifact.add_file(str(path), policy="mutable")
            self._run.log_artifact(artifact)


def _outcome(record: TrialRecord) -> dict[str, Any]:
    """Return the summary of a run."""
    names = ("trial_id", "status", "message", "best_epoch", "epochs", "seconds", "parameters")
    return {**best_metrics(record), **{name: getattr(record, name) for name in names}}
