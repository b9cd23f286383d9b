"""A refit of a run that the command line made: all that it needs is in the run directory."""

from __future__ import annotations

from pathlib import Path

from kt_tuning.data import ImageData
from kt_tuning.finalize import refit as refitting
from kt_tuning.finalize.evaluate import load_data, save_winner
from kt_tuning.finalize.refit import Refit, RefitOptions
from kt_tuning.pipeline import tuner_of


def refit(
    run: str | Path,
    data: ImageData | str | Path | None = None,
    options: RefitOptions | None = None,
) -> Refit:
    """Train what won a run again, on training and validation images together, on all devices.

    For a search of your own hypermodel call `tuner.refit()`: a run directory has no code. See
    `kt_tuning.finalize.refit.refit` for what is done.

    Args:
        run: The run directory.
        data: The images, or where they are now; where they were if None.
        options: What is trained and on what; `RefitOptions()` if None.

    Returns:
        The models as an ensemble, which exports itself; also kept for `kt-tuning evaluate` and
        `kt-tuning export`, which take the folder `refit` like a run directory.

    Raises:
        KtTuningError: if the run or its images cannot be read, or an option is wrong.
    """
    run = Path(run)
    images = data if isinstance(data, ImageData) else load_data(run, data)
    made = refitting.refit(tuner_of(run, images), images, options)
    save_winner(made.ensemble, made.directory)
    return made
