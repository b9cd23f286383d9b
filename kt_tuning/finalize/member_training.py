"""Training of several models after a search, as trials in a run directory of their own."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from kt_tuning.core.errors import SearchError, StorageError, disk_errors_explained
from kt_tuning.core.json_record import read_json, write_json
from kt_tuning.core.process import interrupts_kept
from kt_tuning.core.quiet import light_collections, quiet_keras_tuner
from kt_tuning.core.records import FAILED, SearchRecord, TrialRecord
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Candidates, read_candidates
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.run import trial_folder
from kt_tuning.run.layout import CONFIGURATION, RESULT, SEARCH
from kt_tuning.search.descriptions import versions
from kt_tuning.search.display import SearchDisplay
from kt_tuning.search.identity import check_same_data
from kt_tuning.search.options import image_tasks
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.trials import (
    Decision,
    ImageTask,
    Progress,
    TrialSpec,
    load_weights,
    new_model,
    run_trial,
    weights_file,
)

logger = logging.getLogger("kt_tuning")


def with_train_rows(data: ImageData, rows: NDArray[np.integer[Any]]) -> ImageData:
    """Return data with these rows of the training split, each as often as it is given."""
    train = data.indices["train"][np.sort(rows)]
    return dataclasses.replace(data, indices={**data.indices, "train": train})


class MemberTraining:
    """Trains members of an ensemble, each as a trial of a run directory.

    Finished members are not trained again, and an interrupted one continues after its last finished
    epoch. Validation predictions are of the data's validation split, whatever a member is trained
    on.

    Args:
        kind: Kind of training, e.g. "bag".
        configuration: What is trained.
        data: The images.
        directory: Folder of the members; made when the first one is trained.
        metadata: Further options that decide what a member becomes, by name.
        overwrite: Whether members in the directory are deleted first.

    Raises:
        StorageError: if the directory cannot be written.
    """

    def __init__(
        self,
        kind: str,
        configuration: Configuration,
        data: ImageData,
        directory: str | Path,
        *,
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.configuration = configuration
        self.data = data
        self._kind = kind
        self._metadata = {f"{kind}/{name}": value for name, value in (metadata or {}).items()}
        assert isinstance(configuration.objective, keras_tuner.Objective)
        self._objective = configuration.objective
        self.files = RunDirectory(Path(directory), self._objective, overwrite=overwrite)

    def folder(self, index: int) -> Path:
        """Return the folder of a finished member."""
        return trial_folder(self.files.path, _trial_id(index))

    def record(self, index: int) -> TrialRecord | None:
        """Return the record of a member, or None if it is not finished."""
        path = self.folder(index) / RESULT
        return TrialRecord.load(path) if path.exists() else None

    def name(self, index: int) -> str:
        """Return the name of a member among candidates."""
        return f"{self._kind}/{_trial_id(index)}"

    def load(self, record: TrialRecord) -> keras.Model:
        """Return the model of a member, at its best epoch."""
        hp = keras_tuner.HyperParameters()
        hp.values = dict(record.values)
        with quiet_keras_tuner():
            model = new_model(self.configuration.hypermodel, hp)
        load_weights(model, weights_file(self.files.trial(record.trial_id), None))
        return model

    def candidates(self, count: int) -> Candidates:
        """Return the first `count` members that there are, best first."""
        found = read_candidates(self.files.path, load=self.load, prefix=f"{self._kind}/")
        names = {self.name(index) for index in range(count)}
        members = tuple(member for member in found.members if member.name in names)
        return dataclasses.replace(found, members=members)

    def train(
        self,
        count: int,
        plan: Callable[[int], ImageData | None],
        *,
        hypermodel: RecipeHyperModel | None = None,
        chained: bool = False,
        verbose: bool = True,
    ) -> None:
        """Train the missing members of `count`, also those that failed in an earlier call.

        Ctrl-C stops it and keeps the finished members. `plan` is called with the index of a member
        after all before it, and returns its images; None ends the training. A `hypermodel` builds
        and fits in place of the configuration's. Chained members start from the weights of the one
        before.
        """
        files, hypermodel = self.files, hypermodel or self.configuration.hypermodel
        if files.overwrite or any(not self._is_done(index) for index in range(count)):
            # Before the first epoch.
            with quiet_keras_tuner():
                image_tasks(
                    hypermodel,
                    self.configuration.recipe,
                    [self.data],
                    (),
                    {},
                    objectives=[self._objective.name],
                    defaults=self.configuration.hyperparameters(),
                )
        check = self._check_compatible
        with disk_errors_explained(files.path), files.begin(check, source=self.data.source):
            files.claim(self.data, [self.data.indices["validation"]])
            write_json(files.path / CONFIGURATION, self._definition())
            self._write_search(count)
            display = SearchDisplay(
                self._objective.name,
                max_trials=count,
                time_limit=None,
                done=len(files.trials()),
                used=files.seconds_spent(),
                console=Console(stderr=True) if verbose else None,
            )
            missing = [index for index in range(count) if not self._is_done(index)]
            try:
                with quiet_keras_tuner(), light_collections(), interrupts_kept(), display:
                    for index in missing:
                        data = plan(index)
                        if data is None:
                            break
                        origin = self.folder(index - 1) if chained and index else None
                        self._train(index, data, origin, hypermodel, display)
            except KeyboardInterrupt:
                logger.warning(
                    "Interrupted. %d finished members are kept in %s; the same call continues.",
                    len(files.best_trials()),
                    files.path,
                )
                raise
        records = files.trials()
        if not any(record.usable for record in records):
            raise SearchError(
                f"All {len(records)} members failed; the first one: {records[0].message}"
            )

    def _is_done(self, index: int) -> bool:
        """Return whether a member need not be trained; files of one that failed are set aside."""
        record = self.record(index)
        if record is None or record.status != FAILED:
            return record is not None
        name = record.trial_id
        logger.warning("Member %d failed in an earlier run; it is trained again.", index)
        self.files.set_aside(name, self.files.failures(name) + 1)
        return False

    def _train(
        self,
        index: int,
        data: ImageData,
        origin: Path | None,
        hypermodel: RecipeHyperModel,
        display: SearchDisplay,
    ) -> None:
        configuration = self.configuration
        task = ImageTask(hypermodel, data, configuration.recipe, objectives=[self._objective.name])
        spec = TrialSpec(
            trial_id=_trial_id(index),
            number=index,
            # Members of one configuration are no copies of each other.
            hp=configuration.hyperparameters(**self._metadata, **{f"{self._kind}/member": index}),
            epochs=configuration.epochs,
            origin=origin,
            seed=int(np.random.SeedSequence((configuration.seed, index)).generate_state(1)[0]),
            directory=self.files.trial(_trial_id(index)),
        )

        def report(progress: Progress) -> Decision:
            display.epoch_ended(index, progress)
            return Decision.CONTINUE

        display.trial_started(index, configuration.epochs)
        record = run_trial(spec, report, tasks=[task], objectives=[self._objective])
        self.files.note(record)
        display.trial_ended(record, self.files.best_trials(1))

    def _definition(self) -> dict[str, Any]:
        """Return the options that decide what a member becomes, JSON-able."""
        configuration = self.configuration
        asked = {
            "kind": self._kind,
            "hypermodel": configuration.hypermodel.title,
            "objective": self._objective.name,
            "epochs": configuration.epochs,
            "seed": configuration.seed,
            "recipe": repr(configuration.recipe),
            **configuration.values,
            **self._metadata,
        }
        plain: dict[str, Any] = json.loads(json.dumps(asked))
        return plain

    def _check_compatible(self) -> None:
        """Refuse a folder that holds other members, or a search; nothing is written."""
        files = self.files
        path = files.path / CONFIGURATION
        if path.exists():
            known = read_json(path)
            for name, value in self._definition().items():
                if known.get(name) != value:
                    raise StorageError(
                        f"{files.path} holds members of something else: "
                        f"{name}={known.get(name)!r}, now {value!r}. Choose another directory, or "
                        "pass overwrite=True."
                    )
        elif (files.path / SEARCH).exists():
            raise StorageError(
                f"{files.path} holds a search: members go into a folder of their own, such as "
                f"{files.path / self._kind}."
            )
        check_same_data(files.path, self.data)

    def _write_search(self, count: int) -> None:
        """Write the search record that readers of a run directory need."""
        record = SearchRecord(
            objective=self._objective.name,
            direction=self._objective.direction,
            strategy=self._kind,
            seed=self.configuration.seed,
            epochs=self.configuration.epochs,
            max_trials=count,
            time_limit=None,
            hypermodel=self.configuration.hypermodel.title,
            versions=versions(),
        )
        record.save(self.files.path / SEARCH)


def _trial_id(index: int) -> str:
    return f"{index:04d}"
