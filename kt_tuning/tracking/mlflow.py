"""Tracker for MLflow: the search is a run, and each trial is a nested run."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kt_tuning.core.errors import OptionError, require_extra
from kt_tuning.core.quiet import ignored_warnings
from kt_tuning.core.records import COMPLETED, PRUNED, TrialRecord
from kt_tuning.run.layout import DATA, HISTORY, RESULT, SEARCH
from kt_tuning.tracking.tracker import (
    Epoch,
    SearchOutcome,
    TrackedSearch,
    TrackedTrial,
    Tracker,
    best_metrics,
)

ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
"""Defaults of environment variables: MLflow's own retries take minutes, and failed calls are
repeated anyway."""
SEARCH_TAG, TRIAL_TAG = "kt_tuning.search", "kt_tuning.trial"
NO_TRIAL = "none"
"""Value of the trial tag of the search's run."""
PARENT_TAG = "mlflow.parentRunId"
LONGEST_VALUE = 6000
"""Largest number of characters of a parameter in MLflow."""
MODEL = "model"


class MlflowTracker(Tracker):
    """Logs to an MLflow server or store.

    The search is a run. Each trial is a nested run with its hyperparameters as parameters, the
    metrics of every epoch, those at the best epoch as `best/<name>`, and `result.json` and
    `history.csv` as artifacts. At the end the model of the best trial is logged to the run of the
    search and becomes a version of a registered model; `mlflow.keras.load_model` loads it.

    A resumed search continues its run. Server and credentials are set as usual for MLflow, for
    example with MLFLOW_TRACKING_URI.

    Args:
        uri: URI of the server or store; MLflow's own setting if None.
        experiment: Name of the experiment, which is created if it does not exist;
            MLFLOW_EXPERIMENT_NAME or the project's name if None.
        registered_model: Name of the registered model; the project's name if None.

    Raises:
        MissingExtraError: without the package mlflow, or mlflow-skinny.
        OptionError: if a name is empty.
    """

    name = "mlflow"
    takes_models = True

    def __init__(
        self,
        uri: str | None = None,
        *,
        experiment: str | None = None,
        registered_model: str | None = None,
    ) -> None:
        require_extra("The tracker 'mlflow'", "mlflow")
        if experiment == "" or registered_model == "":
            raise OptionError(
                "`experiment` and `registered_model` are names, or None for the project's name. "
                f"Received: experiment={experiment!r}, registered_model={registered_model!r}"
            )
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        # MLflow warns of type hints of its own.
        with ignored_warnings():
            # Imported here and not in the background thread, where imports may deadlock.
            import mlflow.keras
            import mlflow.pyfunc

        self._uri = uri or mlflow.get_tracking_uri()
        self._experiment_name = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        self._registered_model = registered_model

    def search_began(self, search: TrackedSearch) -> None:
        """Make or find the experiment and the search's run."""
        from mlflow import MlflowClient

        self._client = MlflowClient(self._uri)
        self._search = search
        name = self._experiment_name or search.name
        experiment = self._client.get_experiment_by_name(name)
        self._experiment = (
            self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        )
        self._runs: dict[str, str] = {}
        self._run = self._find_or_create(NO_TRIAL, search.name, {})
        record = search.record.to_json()
        versions = {f"versions.{name}": text for name, text in record.pop("versions").items()}
        self._log_tags(self._run, {**versions, "kt_tuning.directory": str(search.directory)})
        self._log_parameters(self._run, {name: v for name, v in record.items() if v is not None})

    def trial_began(self, trial: TrackedTrial, *, logged: int) -> None:
        """Make or find the trial's run, and log its hyperparameters."""
        run = self._find_or_create(trial.trial_id, f"trial {trial.number}", {PARENT_TAG: self._run})
        self._runs[trial.trial_id] = run
        self._log_parameters(run, trial.values)

    def epoch(self, trial: TrackedTrial, epoch: Epoch) -> None:
        """Log the metrics; MLflow keeps one that is logged again with the same time once."""
        self._log_metrics(self._runs[trial.trial_id], epoch.metrics, epoch.step, epoch.time)

    def trial_ended(self, trial: TrackedTrial, record: TrialRecord) -> None:
        """Log the result of the trial, and end its run."""
        run = self._runs[trial.trial_id]
        # Some hyperparameters appear when the model is built.
        self._log_parameters(run, record.values)
        cost = {name: float(getattr(record, name)) for name in ("epochs", "seconds", "parameters")}
        measured = {
            **best_metrics(record),
            **{f"trial/{name}": value for name, value in cost.items()},
        }
        self._log_metrics(run, measured, record.best_epoch, record.began + record.seconds)
        self._log_tags(run, {"status": record.status, "message": record.message or ""})
        self._log_files(run, [trial.directory / RESULT, trial.directory / HISTORY])
        done = record.status in (COMPLETED, PRUNED)
        self._client.set_terminated(run, "FINISHED" if done else "FAILED")

    def search_ended(self, outcome: SearchOutcome) -> None:
        """Log the best trial, and its model, and end the search's run."""
        best, run = outcome.best, self._run
        if best is not None:
            self._log_tags(run, {"best_trial": best.trial_id})
            self._log_metrics(run, best_metrics(best), best.number, best.began + best.seconds)
        self._log_files(run, [self._search.directory / name for name in (SEARCH, DATA)])
        if outcome.model is not None:
            self._log_model(outcome.model)
        self._client.set_terminated(run, "FINISHED" if outcome.finished else "KILLED")

    def _find_or_create(self, trial_id: str, name: str, tags: Mapping[str, str]) -> str:
        """Return the id of the run of a trial of this search, and set it to running."""
        mine = {SEARCH_TAG: self._search.key, TRIAL_TAG: trial_id}
        found = self._client.search_runs(
            [self._experiment],
            " and ".join(f"tags.`{tag}` = '{text}'" for tag, text in mine.items()),
            max_results=1,
        )
        if not found:
            made = self._client.create_run(self._experiment, run_name=name, tags={**mine, **tags})
            return str(made.info.run_id)
        run = found[0]
        self._client.update_run(run.info.run_id, status="RUNNING")
        return str(run.info.run_id)

    def _log_parameters(self, run: str, values: Mapping[str, Any]) -> None:
        """Log parameters that the run lacks; MLflow refuses changes."""
        from mlflow.entities import Param

        known = self._client.get_run(run).data.params
        new = [
            Param(name, str(value)[:LONGEST_VALUE])
            for name, value in values.items()
            if name not in known
        ]
        if new:
            self._client.log_batch(run, params=new)

    def _log_metrics(
        self, run: str, metrics: Mapping[str, float], step: int, moment: float
    ) -> None:
        from mlflow.entities import Metric

        stamp = round(moment * 1000)
        batch = [Metric(name, value, stamp, step) for name, value in metrics.items()]
        self._client.log_batch(run, metrics=batch)

    def _log_tags(self, run: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(run, tags=[RunTag(name, text) for name, text in tags.items()])

    def _log_files(self, run: str, paths: Iterable[Path]) -> None:
        for path in paths:
            if path.exists():
                self._client.log_artifact(run, str(path))

    def _log_model(self, model: Any) -> None:
        """Log a Keras model, and make it the next version of the registered one."""
        import mlflow.keras
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/{MODEL}"
            mlflow.keras.save_model(
                model, path, signature=_signature(model), pip_requirements=_requirements()
            )
            self._client.log_artifacts(self._run, path, MODEL)
        name = self._registered_model or self._search.name
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        artifacts = self._client.get_run(self._run).info.artifact_uri
        self._client.create_model_version(
            name, f"{artifacts}/{MODEL}", self._run, await_creation_for=0
        )


def _signature(model: Any) -> Any:
    """Return the signature of a model with one input and one output, else None."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    tensors = [*(getattr(model, "inputs", None) or ()), *(getattr(model, "outputs", None) or ())]
    if len(tensors) != 2:
        return None
    inputs, outputs = (
        Schema([TensorSpec(np.dtype(t.dtype), tuple(-1 if n is None else n for n in t.shape))])
        for t in tensors
    )
    return ModelSignature(inputs=inputs, outputs=outputs)


def _requirements() -> list[str]:
    """Return the packages that the model needs; MLflow would start a process to find them."""
    import keras

    packages = ("keras", keras.backend.backend(), "numpy")
    return [f"{package}=={importlib.metadata.version(package)}" for package in packages]
