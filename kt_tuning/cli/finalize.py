"""`finalize`: a model and a report from the trials of a run so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kt_tuning.cli.options import ImagesNow, Quiet, RunFolder
from kt_tuning.core.quiet import import_tensorflow

if TYPE_CHECKING:
    from kt_tuning.pipeline import RunOutcome


def finalize(run_directory: RunFolder, data: ImagesNow = None, quiet: Quiet = False) -> None:
    """Combine, evaluate, export and report the trials of a run so far, without searching further.

    For a run that was interrupted, or a search in Python. Finished and paused trials count. The
    search can continue afterwards; that the test images were used meanwhile is noted.
    """
    import_tensorflow()
    from kt_tuning.recorded_tuner import open_run

    print_outcome(open_run(run_directory).finalize(data, verbose=not quiet))


def print_outcome(outcome: RunOutcome) -> None:
    """Print the scores of a run and where its files are."""
    print(outcome.scores)
    if outcome.correction is not None:
        print(f"best validation score  {outcome.correction}")
    print(f"model   {outcome.export}")
    print(f"report  {outcome.report}\n\n{outcome}")
    if outcome.warning is not None:
        print(f"\nWarning: {outcome.warning}")
