"""The tuner that users have: the one that searches, and what comes after a search."""

from __future__ import annotations

from pathlib import Path

from kt_tuning import refitting, search
from kt_tuning.data import ImageData
from kt_tuning.errors import SearchError
from kt_tuning.judging import ARRAYS, load_data
from kt_tuning.refitting import Refit, RefitOptions
from kt_tuning.report import Report, write_report


class Tuner(search.Tuner):
    """Searches a hypermodel's space, and shows what it found; see `kt_tuning.search.Tuner`."""

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
        data = self._data if data is None else data
        return refitting.refit(self, self._find_data() if data is None else data, options)

    def _find_data(self) -> ImageData:
        card = self._run.data_card()
        if card is None or card.source == ARRAYS:
            raise SearchError(
                "A refit needs the ImageData that was searched on: `tuner.refit(data)`."
            )
        return load_data(self.run_directory)
