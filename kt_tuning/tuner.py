"""The public tuner: a search, and a method for each thing that is done after it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kt_tuning import finalize, pipeline, search
from kt_tuning.core.errors import SearchError
from kt_tuning.data import ImageData
from kt_tuning.ensembling import COST_PENALTY, Ensemble, EnsembleRecord, trained_on_validation
from kt_tuning.evaluation import Parts, Scores
from kt_tuning.finalize import Configuration, Pruning
from kt_tuning.finalize.configuration import Retrained, combine
from kt_tuning.finalize.evaluate import ARRAYS
from kt_tuning.finalize.export import IMAGES
from kt_tuning.finalize.refit import Refit, refit
from kt_tuning.finalize.refit_plan import RefitOptions
from kt_tuning.report import Plots, Report, write_report
from kt_tuning.run import write_lock
from kt_tuning.run.layout import ENSEMBLE

if TYPE_CHECKING:
    import keras

Images = ImageData | str | Path | None
"""The data of the search; the folder where the images are now; or None: the data of the last
`search`, or after a restart the images loaded again from their folder, with the same split."""


class Tuner(search.Tuner):
    """Searches the space of a hypermodel, and evaluates, refits and exports the best models.

    It is a `keras_tuner.Tuner` with the same methods. Running the same script again resumes the
    search: finished trials are kept and interrupted ones continue after their last finished epoch.
    `kt_tuning.open_run(directory)` returns the tuner of an earlier search.

    Attributes:
        run_directory: Directory of all files of the search.
        recipe: How the models are trained.
        objectives: KerasTuner's objectives; trials are ranked by the first one.
        choice: The families that "auto" has chosen for the images, and the reason; else None.
    """

    def ensemble(  # noqa: D102 (inherited)
        self,
        size: int = 5,
        solver: str = "auto",
        *,
        metric: str = "log_loss",
        members: str = "best",
        cost_penalty: float = COST_PENALTY,
        mirror: bool = True,
    ) -> Ensemble:
        with write_lock(self.run_directory):
            made = super().ensemble(
                size,
                solver,
                metric=metric,
                members=members,
                cost_penalty=cost_penalty,
                mirror=mirror,
            )
            self._save(made, self.run_directory)
        return made

    def evaluate(
        self,
        model: Any = None,
        data: Images = None,
        *,
        parts: Parts | Sequence[str] = (),
        bootstrap: int = 1000,
        seed: int = 0,
    ) -> Scores:
        """Evaluate a model on the test split, which should be used only once.

        Every metric has a 95% interval. The use of the split and the model are recorded in
        `test_uses.json` in the run directory; if a second model is evaluated on it, a warning and
        the report say that its scores are optimistic. Scores of the run's ensemble are kept for the
        report, those of any other model are only returned.

        Args:
            model: None for the run's ensemble (made with the defaults if there is none), or any
                model, such as `tuner.best_model()`.
            data: The images of the search, or the folder where they are now. By default those of
                the last `search`; after a restart they are loaded again from their folder.
            parts: Names in `kt_tuning.evaluation.PARTS` to measure besides the metrics:
                "generalization", "cost", "corruptions", "attacks"; see `kt_tuning.evaluate`.
            bootstrap: Number of resamples for an interval, at least 1.
            seed: Seed of the resamples, corruptions and attacks.

        Raises:
            DataError: if the search was run on other data.
            OptionError: if an argument is invalid, or a part cannot be measured for this model.
            SearchError: if no trial has completed, or there is no `ImageData`.
            StorageError: if a file of the run cannot be read or written.
        """
        images = self._images(data)
        measured = self._current_ensemble(images) if model is None else model
        return finalize.evaluate_run(
            measured, images, self.run_directory, parts=parts, bootstrap=bootstrap, seed=seed
        )

    def refit(self, options: RefitOptions | None = None, data: Images = None) -> Refit:
        """Train the ensemble's members again, on training and validation images, on all devices.

        See `kt_tuning.finalize.refit`. The models are written to `refit` in the run directory;
        `tuner.refit().ensemble` predicts, saves and exports like any other ensemble.

        Args:
            options: The members, epochs, batch size and devices; `RefitOptions()` if None.
            data: As for `evaluate`.

        Raises:
            OptionError: if an option is invalid, or the ensemble has members of other runs.
            SearchError: if no trial has completed, or no `ImageData` can be found.
            StorageError: if the search was run on other data, or the folder has another refit.
            DataError: if the folder of the search contains other images now.
        """
        self._check_buildable()
        made = refit(self, self._images(data), options)
        self._save(made.ensemble, made.directory)
        return made

    def distill(
        self,
        student: Configuration | None = None,
        *,
        temperature: float = 2.0,
        soft_weight: float = 0.9,
        **training: Any,
    ) -> Retrained:
        """Train one model to predict like the run's ensemble; see `kt_tuning.finalize.distill`.

        Args:
            student: The configuration to train; if None, `Configuration.student_of` chooses it.
            temperature: T of the soft targets, more than 0.
            soft_weight: Weight of the soft targets in the loss, in (0, 1].
            **training: `epochs`, `data`, `overwrite` and `verbose`, as for `bag`.

        Raises:
            OptionError: if an argument is invalid, or the student does not fit the data.
            SearchError: if no trial has completed, or the training fails.
            StorageError: if `distill` in the run directory contains something else.
        """
        if finalize.has_final_model(self.run_directory):
            teacher = finalize.load_final_model(self.run_directory)
        else:
            teacher = self._current_ensemble(self._images(training.get("data"))).to_keras()
        train = functools.partial(
            finalize.distill,
            teacher,
            temperature=temperature,
            soft_weight=soft_weight,
            teacher_seen=trained_on_validation(self.run_directory),
        )
        student = student or Configuration.student_of(self, self._images(training.get("data")))
        return self._retrain("distill", train, configuration=student, **training)

    def bag(self, members: int = 5, *, bootstrap: bool = True, **training: Any) -> Retrained:
        """Train the best configuration several times and combine the models.

        See `kt_tuning.finalize.bag`. The models are written to `bag` in the run directory.

        Args:
            members: Number of models to train.
            bootstrap: Whether each is trained on a bootstrap sample of the images; otherwise each
                is trained on all of them, a deep ensemble.
            **training: `epochs` of a training, those of a full trial if None; `data`, as for
                `evaluate`; `overwrite`: whether other models in the folder are deleted first;
                `verbose`: whether to show progress.

        Raises:
            OptionError: if an argument is invalid.
            SearchError: if no trial has completed, or every training fails.
            StorageError: if there is no ensemble yet, or the folder contains something else.
        """
        train = functools.partial(finalize.bag, members=members, bootstrap=bootstrap)
        return self._retrain("bag", train, **training)

    def boost(self, rounds: int = 5, **training: Any) -> Retrained:
        """Train the best configuration repeatedly, with more weight on its errors, and combine.

        See `kt_tuning.finalize.boost`. The models are written to `boost` in the run directory.

        Args:
            rounds: Largest number of models.
            **training: As for `bag`.

        Raises:
            OptionError: if an argument is invalid.
            SearchError: if no trial has completed, or the first model is no better than guessing.
            StorageError: if there is no ensemble yet, or the folder contains something else.
        """
        return self._retrain("boost", functools.partial(finalize.boost, rounds=rounds), **training)

    def snapshots(self, cycles: int = 5, **training: Any) -> Retrained:
        """Train the best configuration once in cycles of the learning rate; combine one model each.

        See `kt_tuning.finalize.snapshots`. They are written to `snapshots` in the run directory.

        Args:
            cycles: Number of cycles, and of models.
            **training: As for `bag`; `epochs` is the number of epochs of all cycles together.

        Raises:
            OptionError: if an argument is invalid.
            SearchError: if no trial has completed, or the first cycle fails.
            StorageError: if there is no ensemble yet, or the folder contains something else.
        """
        train = functools.partial(finalize.snapshots, cycles=cycles)
        return self._retrain("snapshots", train, **training)

    def export(
        self,
        path: str | Path | None = None,
        format: str = "saved_model",
        *,
        model: Ensemble | keras.Model | None = None,
        data: Images = None,
        pruning: Pruning | None = None,
        images: int = IMAGES,
    ) -> Path:
        """Export a model, compare the export with the Keras model, and measure its speed and size.

        Args:
            path: Folder to write, which must not exist; by default the next version in `export` in
                the run directory.
            format: Name in `kt_tuning.export.FORMATS`: "saved_model", "keras", "litert",
                "litert_float16", "litert_int8", "onnx", "openvino".
            model: The run's ensemble if None, or another model. `pruning` changes its weights.
            data: As for `evaluate`.
            pruning: How to prune the model before the export; None for no pruning.
            images: Largest number of validation images on which the two are compared.

        Returns:
            The folder, with the model, labels.txt, provenance.json, measurement.json and
            MODEL_CARD.md.

        Raises:
            OptionError: if the format is unknown, or `images` or `pruning` is invalid.
            MissingExtraError: if the package of the format is not installed.
            ExportError: if the predictions of the export and of the model differ too much.
            StorageError: if a file cannot be read or written.
        """
        known = self._images(data)
        if model is None:
            model = self._current_ensemble(known)
        if isinstance(model, Ensemble):
            model = model.to_keras()
        (found,) = finalize.export_run(
            self.run_directory,
            model,
            known,
            [format],
            path=None if path is None else Path(path),
            images=images,
            pruning=pruning,
        )
        return self.run_directory / found.folder

    @property
    def plot(self) -> Plots:
        """Figures of the search, such as `tuner.plot.history()`; the report shows them, too."""
        objectives = [(objective.name, objective.direction) for objective in self.objectives]
        return Plots(self.run_directory, objectives=objectives)

    def report(self, path: str | Path | None = None) -> Report:
        """Write the report of the search in its present state; also while the search is running.

        A notebook displays it; `tuner.report().open()` opens it in a browser.

        Args:
            path: The file to write; `report.html` in the run directory by default.

        Raises:
            StorageError: if nothing has been searched yet, a file of the run is damaged, or
                `path` cannot be written.
        """
        return Report(write_report(self.run_directory, path=path))

    def finalize(self, data: Images = None, *, verbose: bool = True) -> pipeline.RunOutcome:
        """Combine, evaluate, export and report the trials so far, without continuing the search.

        Args:
            data: As for `evaluate`.
            verbose: Whether to show progress.

        Raises:
            SearchError: if no trial has a score yet.
            StorageError: if another process uses the run, or one of its files is damaged.
            DataError: if the images differ from those of the search.
        """
        images = functools.partial(self._images, data, progress=verbose)
        return pipeline.finalize(self, images, verbose=verbose)

    def _retrain(
        self,
        name: str,
        train: functools.partial[Any],
        *,
        configuration: Configuration | None = None,
        epochs: int | None = None,
        data: Images = None,
        overwrite: bool = False,
        verbose: bool = True,
    ) -> Retrained:
        """Train a configuration in a folder of the run directory, and combine its models."""
        self._check_buildable()
        images = self._images(data, progress=verbose)
        folder = self.run_directory / name
        before = EnsembleRecord.load(self.run_directory / ENSEMBLE)
        configuration = configuration or Configuration.of(self)
        if epochs is not None:
            configuration = dataclasses.replace(configuration, epochs=epochs)
        with write_lock(self.run_directory):
            made = train(configuration, images, folder, overwrite=overwrite, verbose=verbose)
            ensemble = made if isinstance(made, Ensemble) else combine(made, images, folder)
            self._save(ensemble, folder)
        return Retrained(ensemble, folder, before)

    def _save(self, ensemble: Ensemble, directory: Path) -> None:
        """Write an ensemble as a Keras file, as far as Keras can; what hinders it is said once."""
        finalize.save_final_model(ensemble, directory, obstacle=self.export_obstacle)

    def _check_buildable(self) -> None:
        """Refuse to train if the hypermodel is not known."""

    def _images(self, data: Images, *, progress: bool = True) -> ImageData:
        """Return the data of the search, from memory or loaded again; see `Images`.

        Raises:
            SearchError: if they were arrays, which only a search in this process has.
        """
        if isinstance(data, ImageData):
            return data
        if data is None and self._data is not None:
            return self._data
        card = self._run.data_card()
        if card is None or (data is None and card.source == ARRAYS):
            known = "has no data.json" if card is None else "was a search on arrays"
            raise SearchError(
                f"The ImageData that was searched on is needed, as {self.run_directory} {known}: "
                "call `search(data)` first, or pass `data` (--data of the command line)."
            )
        return finalize.load_run_data(self.run_directory, data, progress=progress)
