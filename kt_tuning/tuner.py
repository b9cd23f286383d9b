"""The tuner that users have: the one that searches, and what comes after a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kt_tuning import refitting, search
from kt_tuning.data import ImageData
from kt_tuning.errors import SearchError
from kt_tuning.evaluation import Parts, Scores
from kt_tuning.judging import ARRAYS, judge, load_data
from kt_tuning.refitting import Refit, RefitOptions
from kt_tuning.report import Plots, Report, write_report


class Tuner(search.Tuner):
    """Searches a hypermodel's space, and shows what it found; see `kt_tuning.search.Tuner`."""

    @property
    def plot(self) -> Plots:
        """Figures of the search, the same as in the report: `tuner.plot.history()` and others."""
        objectives = [(objective.name, objective.direction) for objective in self.objectives]
        return Plots(self.run_directory, objectives=objectives)

    def report(self, path: str | Path | None = None) -> Report:
        """Write the report of the search as it is now, during the search, too.

        A notebook shows it; `tuner.report().open()` opens it in a browser.

        Args:
            path: The file to write; `report.html` in the run directory by default.

        Raises:
            StorageError: if nothing has been searched yet, a file of the run is damaged, or
                `path` cannot be written.
        """
        return Report(write_report(self.run_directory, path=path))

    def evaluate(
        self,
        model: Any = None,
        data: ImageData | None = None,
        *,
        parts: Parts | Sequence[str] = (),
        bootstrap: int = 1000,
        seed: int = 0,
    ) -> Scores:
        """Measure a model on the test split, which is there to be looked at once.

        Every metric comes with its 95% interval. That the split was used, and for which model, is
        noted in `test_uses.json` in the run directory; when a second model is measured on it, a
        warning and the report say what that does to its scores. Scores of the run's ensemble are
        kept for the report, those of any other model are returned alone.

        Args:
            model: The ensemble that `ensemble` made last if None (or a new one with its defaults);
                or any model, such as `tuner.best_model()`.
            data: What was searched on. None for that of the last `search`, or after a restart for
                the folder that was searched, as it was split then.
            parts: What else is measured, rows of `kt_tuning.evaluation.PARTS`: "generalization",
                "cost", "corruptions", "attacks"; see `kt_tuning.evaluate`.
            bootstrap: Resamples behind an interval, at least 1.
            seed: Of the resamples, and of what corruptions and attacks draw.

        Raises:
            DataError: if the search was run on other data.
            OptionError: if an argument is wrong, or a part cannot be measured on this model.
            SearchError: if no trial has completed, or there is no `ImageData`.
            StorageError: if a file of the run cannot be read or written.
        """
        data = self._known_data(data)
        measured = self._current_ensemble(data) if model is None else model
        return judge(
            measured, data, self.run_directory, parts=parts, bootstrap=bootstrap, seed=seed
        )

    def refit(self, data: ImageData | None = None, options: RefitOptions | None = None) -> Refit:
        """Train what won again, on training and validation images together, on all devices.

        See `kt_tuning.refitting.refit` for what is done. The models are in `refit` in the run
        directory; `tuner.refit().ensemble` predicts, saves and exports like any ensemble.

        Args:
            data: What was searched on. None for that of the last `search`, or after a restart for
                the folder that was searched, as it was split then.
            options: What is trained and on what; `RefitOptions()` if None.

        Raises:
            OptionError: if an option is wrong, or the ensemble has members from elsewhere.
            SearchError: if no trial has completed, or no `ImageData` can be found.
            StorageError: if the data are others, or the directory holds another refit.
            DataError: if the folder that was searched holds other images now.
        """
        return refitting.refit(self, self._known_data(data), options)

    def _known_data(self, data: ImageData | None) -> ImageData:
        """What was searched on, in memory or loaded again.

        Raises:
            SearchError: if it was arrays, which only a search in this process has.
        """
        if data is not None:
            return data
        if self._data is not None:
            return self._data
        card = self._run.data_card()
        if card is None or card.source == ARRAYS:
            raise SearchError(
                "The ImageData that was searched on is needed: call `search(data)` first, or pass "
                "`data`."
            )
        return load_data(self.run_directory)
